#include "replication/transport/greeting.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"

namespace holdfast {
namespace {

using peer::v1::Hello;
using peer::v1::Identity;
using peer::v1::RefusalReason;
using peer::v1::Welcome;

constexpr char kDomain[] = "holdfast";
constexpr char kReasonPrefix[] = "REFUSAL_REASON_";
constexpr uint32_t kShardsMax = 4096;

void Fill(const PeerIdentity& self, Identity* identity) {
  identity->set_cluster_id(self.cluster_id);
  identity->set_node_id(self.node.value());
  identity->set_disk_id(self.replica.value());
  identity->set_shards(self.shards);
  identity->set_incarnation(self.incarnation);
  identity->set_address(self.address);
}

std::string Disk(uint64_t id) { return absl::StrCat("disk ", absl::Hex(id, absl::kZeroPad16)); }

bool IsComplete(const Identity& identity) {
  return !identity.cluster_id().empty() && identity.node_id() > 0 && identity.disk_id() > 0 &&
         identity.shards() > 0 && identity.shards() <= kShardsMax && identity.incarnation() > 0 &&
         !identity.address().empty();
}

std::optional<Refusal> CheckCluster(const Identity& speaker, const PeerIdentity& self) {
  const std::string who = absl::StrCat("node ", speaker.node_id(), " at ", speaker.address());
  if (speaker.cluster_id() != self.cluster_id) {
    return Refusal{
        peer::v1::REFUSAL_REASON_WRONG_CLUSTER,
        absl::StrCat(who, " is of cluster ", speaker.cluster_id(), ", node ", self.node.value(),
                     " at ", self.address, " of cluster ", self.cluster_id,
                     ": correct the address that leads to the wrong one, or, to move a "
                     "node to this cluster, start it with an empty --data-dir and "
                     "--join")};
  }
  if (speaker.shards() != self.shards) {
    return Refusal{peer::v1::REFUSAL_REASON_WRONG_SHARDS,
                   absl::StrCat(who, " has ", speaker.shards(), " shards, node ", self.node.value(),
                                " has ", self.shards,
                                ": the number is fixed when a cluster is made; start the node that "
                                "is wrong with an empty --data-dir and --join")};
  }
  return std::nullopt;
}

std::optional<Refusal> CheckDisk(const Identity& speaker, const PeerPlace& known) {
  if (known.replica == ReplicaId() || speaker.disk_id() == known.replica.value()) {
    return std::nullopt;
  }
  return Refusal{
      peer::v1::REFUSAL_REASON_REPLACED_DISK,
      absl::StrCat("node ", speaker.node_id(), " comes with ", Disk(speaker.disk_id()),
                   ", but the cluster knows it by ", Disk(known.replica.value()),
                   ", and a node with another disk is another replica: start it with its old "
                   "--data-dir, or, if that is lost, remove it (holdfast cluster remove ",
                   speaker.node_id(), ") and add it again (holdfast cluster add, then --join)")};
}

std::optional<Refusal> CheckVersions(const Hello& hello, const PeerIdentity& self,
                                     const ProtocolVersions& ours) {
  const uint64_t dialer = hello.identity().node_id();
  const std::string against =
      absl::StrCat(" of the protocol between nodes, node ", self.node.value(), " versions ",
                   ours.oldest, " to ", ours.newest, ": update node ");
  if (hello.protocol_version() == 0 || hello.protocol_version_min() == 0 ||
      hello.protocol_version_min() > hello.protocol_version()) {
    return Refusal{peer::v1::REFUSAL_REASON_MALFORMED, "the greeting has no version"};
  }
  if (hello.protocol_version() < ours.oldest) {
    return Refusal{peer::v1::REFUSAL_REASON_VERSION_TOO_OLD,
                   absl::StrCat("node ", dialer, " speaks versions up to ",
                                hello.protocol_version(), against, dialer)};
  }
  if (hello.protocol_version_min() > ours.newest) {
    return Refusal{peer::v1::REFUSAL_REASON_VERSION_TOO_NEW,
                   absl::StrCat("node ", dialer, " speaks versions from ",
                                hello.protocol_version_min(), against, self.node.value())};
  }
  return std::nullopt;
}

}  // namespace

Hello MakeHello(const PeerIdentity& self, NodeId to, uint64_t epoch) {
  Hello hello;
  hello.set_protocol_version(ProtocolVersions().newest);
  hello.set_protocol_version_min(ProtocolVersions().oldest);
  Fill(self, hello.mutable_identity());
  hello.set_to_node_id(to.value());
  hello.set_epoch(epoch);
  return hello;
}

Welcome MakeWelcome(const PeerIdentity& self, const Hello& hello) {
  Welcome welcome;
  welcome.set_protocol_version(std::min(hello.protocol_version(), ProtocolVersions().newest));
  Fill(self, welcome.mutable_identity());
  return welcome;
}

std::optional<Refusal> CheckHello(const Hello& hello, const PeerIdentity& self,
                                  const PeerPlace* known, const ProtocolVersions& ours) {
  const Identity& dialer = hello.identity();
  // Before anything that another version might say in another way.
  if (auto refusal = CheckVersions(hello, self, ours)) return refusal;
  if (!IsComplete(dialer) || hello.to_node_id() == 0 || hello.epoch() == 0) {
    return Refusal{peer::v1::REFUSAL_REASON_MALFORMED, "the greeting leaves out a required field"};
  }
  if (auto refusal = CheckCluster(dialer, self)) return refusal;
  if (hello.to_node_id() != self.node.value()) {
    return Refusal{peer::v1::REFUSAL_REASON_WRONG_NODE,
                   absl::StrCat("node ", dialer.node_id(), " dialed node ", hello.to_node_id(),
                                " and reached node ", self.node.value(), " at ", self.address,
                                ": correct the address of node ", hello.to_node_id(),
                                " (holdfast cluster status shows what is known)")};
  }
  if (known == nullptr) {
    return Refusal{
        peer::v1::REFUSAL_REASON_NOT_A_MEMBER,
        absl::StrCat("node ", dialer.node_id(), " at ", dialer.address(),
                     " is not a member of this cluster as far as node ", self.node.value(),
                     " knows: add it (holdfast cluster add); if it was removed, stop "
                     "it")};
  }
  if (auto refusal = CheckDisk(dialer, *known)) return refusal;
  if (dialer.address() != known->address) {
    return Refusal{
        peer::v1::REFUSAL_REASON_WRONG_ADDRESS,
        absl::StrCat("node ", dialer.node_id(), " says that it is at ", dialer.address(),
                     ", but the cluster knows it at ", known->address,
                     ": if it has moved, tell the cluster (holdfast cluster add ", dialer.node_id(),
                     "=", dialer.address(), "); if not, start it with --advertise ", known->address,
                     ", and see that no second node runs under its id")};
  }
  return std::nullopt;
}

std::optional<Refusal> CheckWelcome(const Welcome& welcome, const PeerIdentity& self, NodeId to,
                                    const PeerPlace& known) {
  const Identity& acceptor = welcome.identity();
  if (!IsComplete(acceptor)) {
    return Refusal{peer::v1::REFUSAL_REASON_MALFORMED, "the answer leaves out a required field"};
  }
  if (welcome.protocol_version() < ProtocolVersions().oldest ||
      welcome.protocol_version() > ProtocolVersions().newest) {
    return Refusal{peer::v1::REFUSAL_REASON_MALFORMED,
                   absl::StrCat("node ", to.value(), " chose version ", welcome.protocol_version(),
                                " of the protocol between nodes, which was not offered")};
  }
  if (auto refusal = CheckCluster(acceptor, self)) return refusal;
  if (acceptor.node_id() != to.value()) {
    return Refusal{peer::v1::REFUSAL_REASON_WRONG_NODE,
                   absl::StrCat("the address ", known.address, " of node ", to.value(),
                                " leads to node ", acceptor.node_id(), ": correct it")};
  }
  return CheckDisk(acceptor, known);
}

grpc::Status ToStatus(const Refusal& refusal) {
  grpc::StatusCode code = grpc::StatusCode::FAILED_PRECONDITION;
  switch (refusal.reason) {
    case peer::v1::REFUSAL_REASON_MALFORMED:
      code = grpc::StatusCode::INVALID_ARGUMENT;
      break;
    case peer::v1::REFUSAL_REASON_STALE_CONNECTION:
      code = grpc::StatusCode::ABORTED;
      break;
    case peer::v1::REFUSAL_REASON_STOPPING:
      code = grpc::StatusCode::UNAVAILABLE;
      break;
    case peer::v1::REFUSAL_REASON_TOO_MANY_STREAMS:
      code = grpc::StatusCode::RESOURCE_EXHAUSTED;
      break;
    case peer::v1::REFUSAL_REASON_TOO_SLOW:
      code = grpc::StatusCode::DEADLINE_EXCEEDED;
      break;
    default:
      break;
  }
  google::rpc::ErrorInfo info;
  info.set_domain(kDomain);
  info.set_reason(RefusalReason_Name(refusal.reason).substr(sizeof(kReasonPrefix) - 1));
  google::rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(refusal.message);
  details.add_details()->PackFrom(info);
  return grpc::Status(code, refusal.message, details.SerializeAsString());
}

RefusalReason ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  RefusalReason reason = peer::v1::REFUSAL_REASON_UNSPECIFIED;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0 &&
      details.details(0).UnpackTo(&info) && info.domain() == kDomain) {
    RefusalReason_Parse(kReasonPrefix + info.reason(), &reason);
  }
  return reason;
}

}  // namespace holdfast
