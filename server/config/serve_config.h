// What `holdfast serve` can be told: by flag, by environment variable, or in a configuration file,
// in that order of precedence.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CONFIG_SERVE_CONFIG_H_
#define HOLDFAST_SERVER_CONFIG_SERVE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast {

// A node of a cluster that is to be made.
struct InitialNode {
  uint64_t node = 0;    // [1, 2^63)
  std::string address;  // HOST:PORT
  bool operator==(const InitialNode&) const = default;
};

struct ServeConfig {
  std::string data_dir = "./holdfast-data";
  uint64_t node_id = 1;                      // [1, 2^63)
  std::string listen = "127.0.0.1:7400";     // port 0: any free one
  bool listen_was_told = false;              // or is the default
  std::string advertise;                     // HOST:PORT for the other nodes; "": as listened on
  std::vector<InitialNode> initial_cluster;  // ascending, this node among them; or empty
  std::string join;                          // HOST:PORT of a member; or empty
  // HOST:PORT, unix:PATH; empty: not served
  std::string listen_beanstalk = "127.0.0.1:11300";
  uint32_t shards = 0;                       // 0: 16, or what the data directory has
  absl::Duration sync_interval;              // zero: always
  uint32_t body_bytes_max = 1 << 20;         // [1 KiB, 64 MiB]
  uint64_t in_flight_bytes_max = 128 << 20;  // [1 MiB, 64 GiB]
  uint64_t in_flight_commands_max = 100'000;
  uint64_t unflushed_bytes = 24 << 20;  // [1 MiB, 4 GiB]; a flush begins at this
  uint64_t hot_jobs_max = 400'000;
  uint64_t snapshot_bytes_per_second = 64 << 20;  // [64 KiB, 64 GiB]
  uint32_t loops = 0;                             // 0: one a core, at most 8
  std::string log_level = "info";                 // debug, info, warning, error
};

struct ParsedServe {
  std::optional<ServeConfig> config;  // unset: nothing to serve, exit with `exit_code`
  int exit_code = 0;
};
// Parses the arguments after `holdfast serve`. Help goes to stdout, errors, which say what was
// wrong with which value, to stderr.
ParsedServe ParseServe(int argc, const char* const* argv);

// "always", or "interval:MS" with MS in [1, 60000]; INVALID_ARGUMENT otherwise.
absl::StatusOr<absl::Duration> ParseSync(const std::string& text);

// "1=HOST:PORT,2=HOST:PORT", at most 64, in any order; returned ascending. INVALID_ARGUMENT, saying
// what is wrong with which part, for anything else, a repeated id or address, and port 0.
absl::StatusOr<std::vector<InitialNode>> ParseInitialCluster(const std::string& text);
// The form that ParseInitialCluster takes.
std::string InitialClusterText(const std::vector<InitialNode>& nodes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CONFIG_SERVE_CONFIG_H_
