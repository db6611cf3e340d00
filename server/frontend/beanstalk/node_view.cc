#include "server/frontend/beanstalk/node_view.h"

#include <sys/utsname.h>

#include <random>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/version.h"

namespace holdfast::beanstalk {
namespace {

// Clients compare the number: the protocol is that of this beanstalkd. All of it is a semantic
// version, since some of them read it as one.
constexpr char kCompatibleVersion[] = "1.13.0";

}  // namespace

ProcessFacts ProcessFacts::Read() {
  ProcessFacts facts;
  facts.version = absl::StrFormat("%s+holdfast.%s", kCompatibleVersion, kVersion);
  std::random_device random;
  facts.id = absl::StrFormat("%08x%08x", random(), random());
  utsname system = {};
  if (uname(&system) == 0) {
    facts.hostname = system.nodename;
    facts.os = system.version;
    facts.platform = system.machine;
  }
  facts.started = absl::Now();
  return facts;
}

}  // namespace holdfast::beanstalk
