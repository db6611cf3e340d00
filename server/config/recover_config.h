// What `holdfast cluster recover` can be told.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CONFIG_RECOVER_CONFIG_H_
#define HOLDFAST_SERVER_CONFIG_RECOVER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast {

struct RecoverConfig {
  std::string data_dir = "./holdfast-data";
  enum class Action : uint8_t {
    kShow,     // only says what is there
    kRecover,  // and makes the node the only member
  } action = Action::kShow;
  enum class Format : uint8_t { kText, kJson } format = Format::kText;
};

struct ParsedRecover {
  std::optional<RecoverConfig> config;  // unset: exit with `exit_code`
  int exit_code = 0;
};
// Parses the arguments after `holdfast cluster recover`. Help goes to stdout, errors to stderr.
ParsedRecover ParseRecover(int argc, const char* const* argv);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CONFIG_RECOVER_CONFIG_H_
