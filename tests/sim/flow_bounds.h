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
#include "replication/raft/progress.h"
#include "replication/raft/types.h"
#include "tests/sim/log_image.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

class FlowBounds {
 public:
  void Clear() { peers_.clear(); }
  // Whoever else was a member is none any more.
  void Keep(const std::set<ReplicaId>& members) {
    std::erase_if(peers_, [&members](const auto& peer) { return !members.contains(peer.first); });
  }
  // The transport told the leader that it may have to begin anew with this peer.
  void OnReport(ReplicaId peer) { peers_[peer].unanswered.clear(); }
  // The leader sends a message. Returns what bound it breaks.
  std::optional<std::string> OnSend(const raft::Message& message, const Setup& setup);
  // The leader gets an answer to an append, of its own term; `progress` is what it knows before
  // that of who sends it, `log` its own log.
  std::optional<std::string> OnAnswer(const raft::Message& message, const raft::Progress& progress,
                                      const LogImage& log);

 private:
  struct Peer {
    Term term;
    std::set<LogIndex> unanswered;  // the indexes before those of appends with entries
    std::set<LogIndex> rejected;    // the same of probes, since one was accepted
  };
  static size_t TermsIn(const LogImage& log);

  std::map<ReplicaId, Peer> peers_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_FLOW_BOUNDS_H_
