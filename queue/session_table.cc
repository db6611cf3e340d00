#include "queue/session_table.h"

#include <algorithm>

#include "base/check.h"
#include "queue/state_hash.h"

namespace holdfast {

SessionTable::Verdict SessionTable::Judge(const RequestIdentity& request, LogTime now,
                                          uint64_t outcomes_max, const Outcome** replay) const {
  const auto it = sessions_.find(request.session);
  if (it == sessions_.end() || now >= it->second.row.expires) return Verdict::kExpired;
  const Session& session = it->second;
  const uint64_t floor = std::max(session.row.floor, request.floor);
  if (request.sequence <= floor) return Verdict::kForgotten;
  const auto outcome = session.outcomes.find(request.sequence);
  if (outcome != session.outcomes.end()) {
    *replay = &outcome->second.outcome;
    return Verdict::kReplay;
  }
  const auto kept = session.outcomes.upper_bound(floor);
  const auto dropped = std::distance(session.outcomes.begin(), kept);
  if (session.outcomes.size() - static_cast<size_t>(dropped) >= outcomes_max) {
    return Verdict::kFull;
  }
  return Verdict::kExecute;
}

void SessionTable::Use(const RequestIdentity& request, LogTime now) {
  const auto it = sessions_.find(request.session);
  CHECK(it != sessions_.end());
  Session& session = it->second;
  SessionRow row = session.row;
  row.expires = now + row.idle_limit;
  row.floor = std::max(row.floor, request.floor);
  SetRow(request.session, &session, row);
  while (!session.outcomes.empty() && session.outcomes.begin()->first <= row.floor) {
    DropFirstOutcome(request.session, &session);
  }
}

void SessionTable::Remember(const RequestIdentity& request, const Outcome& outcome) {
  const OutcomeKey key(request.session, request.sequence);
  Restore(key, SessionOutcomeRow{outcome});
  changed_outcomes_.Mark(key);
}

void SessionTable::Open(SessionId id, LogDuration idle_limit, LogTime now) {
  Restore(id, SessionRow{idle_limit, now + idle_limit, 0});
  changed_sessions_.Mark(id);
}

bool SessionTable::Close(SessionId id, LogTime now) {
  if (!IsOpen(id, now)) return false;
  Session& session = sessions_.find(id)->second;
  SessionRow row = session.row;
  row.expires = now;
  SetRow(id, &session, row);
  return true;
}

bool SessionTable::IsOpen(SessionId id, LogTime now) const {
  const SessionRow* row = FindRow(id);
  return row != nullptr && now < row->expires;
}

size_t SessionTable::Collect(LogTime now, size_t limit) {
  size_t done = 0;
  while (done < limit && !order_.empty() && order_.begin()->expires <= now) {
    const Place place = *order_.begin();
    const auto it = sessions_.find(place.session);
    CHECK(it != sessions_.end());
    while (done < limit && !it->second.outcomes.empty()) {
      DropFirstOutcome(place.session, &it->second);
      ++done;
    }
    if (done == limit) break;
    hash_ -= HashOf(place.session, it->second.row);
    sessions_.erase(it);
    order_.erase(place);
    changed_sessions_.Mark(place.session);
    ++done;
  }
  return done;
}

void SessionTable::Restore(SessionId id, const SessionRow& row) {
  Session& session = sessions_[id];
  CHECK(!session.restored);
  session.restored = true;
  session.row = row;
  order_.insert(Place{row.expires, id});
  hash_ += HashOf(id, row);
}

void SessionTable::Restore(const OutcomeKey& key, const SessionOutcomeRow& row) {
  const bool inserted = sessions_[key.first].outcomes.emplace(key.second, row).second;
  CHECK(inserted);
  hash_ += HashOf(SessionOutcomeKey{key.first, key.second}, row);
}

const SessionRow* SessionTable::FindRow(SessionId id) const {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second.row;
}

const SessionOutcomeRow* SessionTable::FindRow(const OutcomeKey& key) const {
  const auto it = sessions_.find(key.first);
  if (it == sessions_.end()) return nullptr;
  const auto outcome = it->second.outcomes.find(key.second);
  return outcome == it->second.outcomes.end() ? nullptr : &outcome->second;
}

void SessionTable::SetRow(SessionId id, Session* session, const SessionRow& row) {
  hash_ -= HashOf(id, session->row);
  if (row.expires != session->row.expires) {
    order_.erase(Place{session->row.expires, id});
    order_.insert(Place{row.expires, id});
  }
  session->row = row;
  hash_ += HashOf(id, row);
  changed_sessions_.Mark(id);
}

void SessionTable::DropFirstOutcome(SessionId id, Session* session) {
  const auto first = session->outcomes.begin();
  hash_ -= HashOf(SessionOutcomeKey{id, first->first}, first->second);
  changed_outcomes_.Mark(OutcomeKey(id, first->first));
  session->outcomes.erase(first);
}

}  // namespace holdfast
