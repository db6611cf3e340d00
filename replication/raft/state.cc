// The state that future behaviour depends on, as bytes.

#include <string>

#include "base/check.h"
#include "base/coding.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

void AppendEntry(std::string* out, const Entry& entry) {
  PutVarint(out, entry.term.value());
  PutVarint(out, static_cast<uint64_t>(entry.type));
  PutBytes(out, entry.data == nullptr ? std::string_view() : std::string_view(*entry.data));
}

void AppendProgress(std::string* out, const Peer& peer) {
  const Progress& progress = peer.progress;
  PutVarint(out, progress.match.value());
  PutVarint(out, progress.next.value());
  PutVarint(out, static_cast<uint64_t>(progress.state));
  PutVarint(out, progress.pending_snapshot.value());
  PutVarint(out, progress.append_paused ? 1 : 0);
  PutVarint(out, peer.sent_commit.value());
}

}  // namespace

void Core::Impl::AppendState(std::string* out) const {
  CHECK(!HasReady());
  PutVarint(out, term_.value());
  PutVarint(out, vote_.value());
  PutVarint(out, static_cast<uint64_t>(role_));
  PutVarint(out, leader_.value());
  PutVarint(out, stopped_ ? 1 : 0);
  PutVarint(out, transferee_.value());
  PutVarint(out, pending_config_.value());
  PutVarint(out, log_.commit().value());
  PutVarint(out, log_.applying().value());
  PutVarint(out, log_.applied().value());
  const UnstableLog& unstable = log_.unstable();
  PutVarint(out, unstable.offset().value());
  PutVarint(out, unstable.snapshot() == nullptr ? 0 : unstable.snapshot()->index.value());
  for (LogIndex i = unstable.offset(); i < unstable.end(); i = Next(i)) {
    AppendEntry(out, unstable.at(i));
  }
  for (const Peer& peer : tracker_.peers()) {
    PutVarint(out, peer.id.value());
    if (role_ == Role::kLeader) {
      AppendProgress(out, peer);
    } else if (role_ != Role::kFollower) {
      PutVarint(out, static_cast<uint64_t>(peer.vote));
    }
  }
}

}  // namespace holdfast::raft
