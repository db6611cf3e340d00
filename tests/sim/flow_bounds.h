// Judges how much a leader sends a follower: etcd-raft's windows, as the follower sees them.
//
//   append size       an append's data fits in message_bytes_max, or it is one entry
//   window            no more than inflight_messages_max appends with data are unanswered
//   probing           finding where the logs part takes a step a term, not a step an entry
//
// One per leader. Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_FLOW_BOUNDS_H_
#define HOLDFAST_TESTS_SIM_FLOW_BOUNDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/types.h"
#include "replication/raft/types.h"
#include "tests/sim/log_image.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

class FlowBounds {
 public:
  void Clear() { peers_.clear(); }
  // The transport told the leader that it may have to begin anew with this peer.
  void OnReport(ReplicaId peer) { peers_[peer].unanswered.clear(); }
  // The leader sends a message. Returns what bound it breaks.
  std::optional<std::string> OnSend(const raft::Message& message, const Setup& setup);
  // The leader gets one; `log` is its own.
  std::optional<std::string> OnReceive(const raft::Message& message, Term term,
                                       const LogImage& log);

 private:
  struct Peer {
    Term term;
    std::set<LogIndex> unanswered;      // last indexes of appends with entries
    std::set<LogIndex> rejected;        // appends' indexes that were rejected in this term
  };
  static size_t TermsIn(const LogImage& log);

  std::map<ReplicaId, Peer> peers_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_FLOW_BOUNDS_H_
