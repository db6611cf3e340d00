// Client sessions: which outcome each numbered request of a client had.
//
// A session ends when it was not used for its idle limit, or was closed; an ended one counts as
// unknown at once and is collected later. Outcomes up to a session's floor are forgotten; a
// session with too many outcomes refuses new requests, it never evicts.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_SESSION_TABLE_H_
#define HOLDFAST_QUEUE_SESSION_TABLE_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/node_hash_map.h"
#include "queue/changed_keys.h"
#include "queue/records.h"

namespace holdfast {

class SessionTable {
 public:
  using OutcomeKey = std::pair<SessionId, uint64_t>;  // session, sequence

  // What to do with a request of a session.
  enum class Verdict { kExecute, kReplay, kExpired, kForgotten, kFull };
  // Changes nothing. `replay` is set with kReplay only, and ends with the next change.
  Verdict Judge(const RequestIdentity& request, LogTime now, uint64_t outcomes_max,
                const Outcome** replay) const;
  // The session was used: its end moves, outcomes up to the request's floor go.
  // REQUIRES: Judge() != kExpired.
  void Use(const RequestIdentity& request, LogTime now);
  // REQUIRES: Judge() was kExecute and the command did not close the session.
  void Remember(const RequestIdentity& request, const Outcome& outcome);

  void Open(SessionId id, LogDuration idle_limit, LogTime now);
  // False if there is no such session (that has not ended).
  bool Close(SessionId id, LogTime now);
  bool IsOpen(SessionId id, LogTime now) const;
  // Drops at most `limit` outcomes and ended sessions; returns how many.
  size_t Collect(LogTime now, size_t limit);

  void Restore(SessionId id, const SessionRow& row);
  void Restore(const OutcomeKey& key, const SessionOutcomeRow& row);

  size_t size() const { return sessions_.size(); }
  LogTime Earliest() const { return order_.empty() ? LogTime::Never() : order_.begin()->expires; }
  // The sum of the sessions' and outcomes' hashes.
  uint64_t hash() const { return hash_; }
  std::vector<SessionId> TakeChangedSessions() { return changed_sessions_.Take(); }
  std::vector<OutcomeKey> TakeChangedOutcomes() { return changed_outcomes_.Take(); }
  // nullptr if gone.
  const SessionRow* FindRow(SessionId id) const;
  const SessionOutcomeRow* FindRow(const OutcomeKey& key) const;

 private:
  struct Session {
    SessionRow row;
    bool restored = false;  // its row has come; false: only outcomes of it have, so far
    absl::btree_map<uint64_t, SessionOutcomeRow> outcomes;
  };
  struct Place {
    LogTime expires;
    SessionId session;

    auto operator<=>(const Place&) const = default;
  };

  void SetRow(SessionId id, Session* session, const SessionRow& row);
  void DropFirstOutcome(SessionId id, Session* session);

  absl::node_hash_map<SessionId, Session> sessions_;
  absl::btree_set<Place> order_;
  ChangedKeys<SessionId> changed_sessions_;
  ChangedKeys<OutcomeKey> changed_outcomes_;
  uint64_t hash_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_SESSION_TABLE_H_
