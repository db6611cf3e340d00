// The one binary: `holdfast serve` runs a node, `holdfast beanstalkd` one in the place of
// beanstalkd, and so does the binary under the name beanstalkd; `holdfast cluster recover` repairs
// one that does not run; everything else is a client command.

#include <cstring>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "client/cli/cli.h"
#include "server/config/dropin_config.h"
#include "server/config/recover_config.h"
#include "server/config/serve_config.h"
#include "server/dropin.h"
#include "server/recover.h"
#include "server/serve.h"

namespace {

int RunDropIn(int argc, const char* const* argv) {
  const holdfast::ParsedDropIn parsed = holdfast::ParseDropIn(argc, argv);
  return parsed.config.has_value() ? holdfast::ServeDropIn(*parsed.config) : parsed.exit_code;
}

bool IsNamedBeanstalkd(std::string_view program) {
  return program.substr(program.rfind('/') + 1) == "beanstalkd";
}

}  // namespace

int main(int argc, char** argv) {
  // Debian builds Abseil with it on; it costs a twentieth of the server's time. Tests keep it on.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (argc > 0 && IsNamedBeanstalkd(argv[0])) return RunDropIn(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "beanstalkd") == 0) return RunDropIn(argc - 1, argv + 1);
  if (argc > 1 && std::strcmp(argv[1], "serve") == 0) {
    const holdfast::ParsedServe parsed = holdfast::ParseServe(argc - 1, argv + 1);
    return parsed.config.has_value() ? holdfast::Serve(*parsed.config) : parsed.exit_code;
  }
  if (argc > 2 && std::strcmp(argv[1], "cluster") == 0 && std::strcmp(argv[2], "recover") == 0) {
    const holdfast::ParsedRecover parsed = holdfast::ParseRecover(argc - 2, argv + 2);
    return parsed.config.has_value() ? holdfast::Recover(*parsed.config) : parsed.exit_code;
  }
  return holdfast::RunCli(argc, argv);
}
