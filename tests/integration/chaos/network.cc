#include "tests/integration/chaos/network.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/testing/free_address.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

constexpr absl::Duration kScriptTimeout = absl::Seconds(30);
constexpr int kPort = 7400;
constexpr int kBeanstalkPort = 11300;

std::string NameOf(int node) { return absl::StrCat("node", node); }
std::string HostOf(int node) { return absl::StrCat("10.77.0.", node + 1); }

}  // namespace

absl::Status RunScript(const std::string& script) {
  const TemporaryDirectory directory;
  ASSIGN_OR_RETURN(const std::unique_ptr<Process> shell,
                   Process::Start({.command = {"/bin/sh", "-e", "-c", script},
                                   .environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}},
                                   .log_path = directory.path() + "/log"}));
  ASSIGN_OR_RETURN(const Exit exit, shell->Wait(kScriptTimeout));
  if (!exit.signalled && exit.code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("'", script, "' ended with ", exit.ToString(), ": ", shell->Log()));
}

Network::Network(NetworkKind kind, int nodes) : kind_(kind), nodes_(nodes) {
  const bool loopback = kind == NetworkKind::kLoopback;
  for (int node = 0; node < nodes; ++node) {
    const auto address = [&](int port) {
      return loopback ? FreeAddress() : absl::StrCat(HostOf(node), ":", port);
    };
    addresses_.push_back(address(kPort));
    beanstalk_addresses_.push_back(address(kBeanstalkPort));
  }
}

absl::StatusOr<std::unique_ptr<Network>> Network::Make(NetworkKind kind, int nodes) {
  CHECK(nodes >= 1 && nodes <= 9);
  std::unique_ptr<Network> network(new Network(kind, nodes));
  if (kind == NetworkKind::kLoopback) return network;
  CHECK_EQ(getpid(), 1);  // outside of the sandbox these would be somebody else's
  std::string script =
      "for veth in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/@.*//'); do\n"
      "  ip link delete $veth\n"
      "done\n"
      "ip -all netns delete\n"
      "ip link delete hub 2> /dev/null || true\n"
      "ip link set lo up\n"
      "ip link add hub type bridge\n"
      "ip address add 10.77.0.254/24 dev hub\n"
      "ip link set hub up\n";
  for (int node = 0; node < nodes; ++node) {
    const std::string name = NameOf(node);
    absl::StrAppend(&script, "ip netns add ", name, "\n");
    absl::StrAppend(&script, "ip link add to-", name, " type veth peer name eth0 netns ", name,
                    "\n");
    absl::StrAppend(&script, "ip link set to-", name, " master hub up\n");
    absl::StrAppend(&script, "ip -n ", name, " address add ", HostOf(node), "/24 dev eth0\n");
    absl::StrAppend(&script, "ip -n ", name, " link set lo up\n");
    absl::StrAppend(&script, "ip -n ", name, " link set eth0 up\n");
  }
  RETURN_IF_ERROR(RunScript(script));
  // That cuts can be made is known from the start.
  RETURN_IF_ERROR(network->Heal());
  return network;
}

std::vector<std::string> Network::Prefix(int node) const {
  if (kind_ == NetworkKind::kLoopback) return {};
  return {"/sbin/ip", "netns", "exec", NameOf(node)};
}

absl::Status Network::Add(const std::vector<Cut>& cuts) {
  CHECK(kind_ == NetworkKind::kNamespaces);
  std::string script;
  for (const Cut& cut : cuts) {
    absl::StrAppend(&script, "ip netns exec ", NameOf(cut.to), " iptables -A INPUT -s ",
                    HostOf(cut.from), " -j DROP\n");
  }
  return RunScript(script);
}

absl::Status Network::Heal() {
  CHECK(kind_ == NetworkKind::kNamespaces);
  std::string script;
  for (int node = 0; node < nodes_; ++node) {
    absl::StrAppend(&script, "ip netns exec ", NameOf(node), " iptables -F INPUT\n");
  }
  return RunScript(script);
}

}  // namespace holdfast::testing
