// The greeting of a stream between nodes: who may speak to whom, and what to do if not.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_GREETING_H_
#define HOLDFAST_REPLICATION_TRANSPORT_GREETING_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>

#include "proto/holdfast/peer/v1/peer.pb.h"
#include "replication/transport/peer_types.h"

namespace holdfast {

// The versions of the contract that this build speaks.
struct ProtocolVersions {
  uint32_t newest = 1;
  uint32_t oldest = 1;
};

// Why a stream is refused or ended, in words for an operator: what is wrong, and what to do.
struct Refusal {
  peer::v1::RefusalReason reason = peer::v1::REFUSAL_REASON_UNSPECIFIED;
  std::string message;
};

peer::v1::Hello MakeHello(const PeerIdentity& self, NodeId to, uint64_t epoch);
peer::v1::Welcome MakeWelcome(const PeerIdentity& self, const peer::v1::Hello& hello);

// Whether the dialer of `hello` may speak to `self`, which knows it as `known` (nullptr: not at
// all). nullopt: yes.
std::optional<Refusal> CheckHello(const peer::v1::Hello& hello, const PeerIdentity& self,
                                  const PeerPlace* known, const ProtocolVersions& ours = {});
// Whether `self`, who dialed `known` as node `to`, may speak to the one who answered.
std::optional<Refusal> CheckWelcome(const peer::v1::Welcome& welcome, const PeerIdentity& self,
                                    NodeId to, const PeerPlace& known);

// As the stream's final status, with the reason in its details, and back.
grpc::Status ToStatus(const Refusal& refusal);
peer::v1::RefusalReason ReasonOf(const grpc::Status& status);

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_GREETING_H_
