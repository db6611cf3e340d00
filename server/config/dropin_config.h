// What `holdfast beanstalkd` can be told: beanstalkd's own flags, read as beanstalkd reads them.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CONFIG_DROPIN_CONFIG_H_
#define HOLDFAST_SERVER_CONFIG_DROPIN_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace holdfast {

struct DropInConfig {
  std::string listen = "0.0.0.0";  // -l: an address, or unix:PATH
  std::string port = "11300";      // -p
  std::string directory;           // -b; empty: nothing is kept
  // -f: how long what was answered may be unsynced. Zero: not at all. Infinite (-F): it is never
  // synced.
  absl::Duration sync_interval = absl::Milliseconds(50);
  uint32_t job_bytes_max = 65535;          // -z
  uint64_t binlog_bytes_max = 10'485'760;  // -s; told by stats only
  std::string user;                        // -u
  int verbosity = 0;                       // -V, as often as given

  // HOST:PORT or unix:PATH.
  std::string Address() const;
};

struct ParsedDropIn {
  std::optional<DropInConfig> config;  // unset: exit with `exit_code`
  int exit_code = 0;
};
// Parses the arguments after the program's or the command's name. The version and help go to
// stdout; errors, which name the flag or value, to stderr, with exit code 5 as beanstalkd's.
ParsedDropIn ParseDropIn(int argc, const char* const* argv);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CONFIG_DROPIN_CONFIG_H_
