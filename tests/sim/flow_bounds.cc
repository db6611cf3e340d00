#include "tests/sim/flow_bounds.h"

#include "absl/strings/str_cat.h"

namespace holdfast::sim {

std::optional<std::string> FlowBounds::OnSend(const raft::Message& message, const Setup& setup) {
  if (message.type == raft::MessageType::kSnapshot) OnReport(message.to);
  if (message.type != raft::MessageType::kAppend || message.entries.empty()) return std::nullopt;
  uint64_t bytes = 0;
  for (const raft::Entry& entry : message.entries) bytes += entry.size_bytes();
  if (message.entries.size() > 1 && bytes > setup.message_bytes_max) {
    return absl::StrCat("an append of ", message.entries.size(), " entries has ", bytes,
                        " bytes; at most ", setup.message_bytes_max);
  }
  Peer& peer = peers_[message.to];
  if (peer.term != message.term) peer = {message.term, {}, {}};
  peer.unanswered.insert(message.index);
  if (peer.unanswered.size() > setup.inflight_messages_max) {
    return absl::StrCat(peer.unanswered.size(), " appends to replica ", message.to.value(),
                        " are unanswered; at most ", setup.inflight_messages_max);
  }
  return std::nullopt;
}

std::optional<std::string> FlowBounds::OnAnswer(const raft::Message& message,
                                                const raft::Progress& progress,
                                                const LogImage& log) {
  Peer& peer = peers_[message.from];
  if (message.term != peer.term) return std::nullopt;
  if (!message.reject) {
    const bool probed = progress.state == raft::ProgressState::kProbe;
    peer.unanswered.erase(
        peer.unanswered.begin(),
        probed ? peer.unanswered.end() : peer.unanswered.lower_bound(message.index));
    peer.rejected.clear();
    return std::nullopt;
  }
  peer.unanswered.clear();
  // Only what answers the probe that is under way is a step.
  if (progress.state != raft::ProgressState::kProbe || Next(message.index) != progress.next) {
    return std::nullopt;
  }
  peer.rejected.insert(message.index);
  // Each rejection passes over a term of the one log or of the other. The follower's has no more
  // terms than there have been.
  const size_t bound = 2 * TermsIn(log) + 8;
  if (peer.rejected.size() > bound) {
    return absl::StrCat("probing replica ", message.from.value(), " has taken ",
                        peer.rejected.size(), " steps; at most ", bound);
  }
  return std::nullopt;
}

size_t FlowBounds::TermsIn(const LogImage& log) {
  size_t terms = 1;
  Term last = log.base().term;
  for (const raft::Entry& entry : log.entries()) {
    if (entry.term != last) ++terms;
    last = entry.term;
  }
  return terms;
}

}  // namespace holdfast::sim
