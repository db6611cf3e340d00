// The network between the nodes of a test, which can be cut in any direction.
//
//   node 0 ── veth ──┐
//   node 1 ── veth ──┼── bridge ── the test and its clients
//   node 2 ── veth ──┘
//
// Each node is in a network namespace of its own with the address 10.77.0.(n+1); a cut is a
// firewall rule of the node that shall not hear. The test reaches every node always. Outside of a
// sandbox all nodes share the loopback interface, and nothing can be cut.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_NETWORK_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_NETWORK_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::testing {

// Runs lines of /bin/sh, which stop at the first that fails. Errors: INTERNAL with what was
// printed.
absl::Status RunScript(const std::string& script);

enum class NetworkKind { kNamespaces, kLoopback };

// What `from` sends does not arrive at `to`. Nodes count from 0.
struct Cut {
  int from = 0;
  int to = 0;
};

// Thread-safety: thread-compatible.
class Network {
 public:
  // kNamespaces: REQUIRES the sandbox (sandbox.h). What an earlier network left is replaced.
  // Errors: INTERNAL of the tools that make it (iproute2, iptables).
  static absl::StatusOr<std::unique_ptr<Network>> Make(NetworkKind kind, int nodes);

  NetworkKind kind() const { return kind_; }
  // HOST:PORT of the node's gRPC, and of its beanstalkd protocol.
  const std::string& AddressOf(int node) const { return addresses_[static_cast<size_t>(node)]; }
  const std::string& BeanstalkAddressOf(int node) const {
    return beanstalk_addresses_[static_cast<size_t>(node)];
  }
  // What a command line begins with to run where the node is; may be empty.
  std::vector<std::string> Prefix(int node) const;

  // REQUIRES: kNamespaces, here and below. In addition to earlier ones.
  absl::Status Add(const std::vector<Cut>& cuts);
  // No cut is left.
  absl::Status Heal();

 private:
  Network(NetworkKind kind, int nodes);

  const NetworkKind kind_;
  const int nodes_;
  std::vector<std::string> addresses_;
  std::vector<std::string> beanstalk_addresses_;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_NETWORK_H_
