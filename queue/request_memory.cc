#include "queue/request_memory.h"

#include <utility>

#include "base/check.h"
#include "queue/state_hash.h"

namespace holdfast {
namespace {

RequestKey KeyOf(RequestMemory::Digest digest) { return RequestKey{digest.high, digest.low}; }

}  // namespace

const Outcome* RequestMemory::Find(Digest digest, LogTime now) const {
  const RequestRow* row = FindRow(digest);
  return row == nullptr || now >= row->expires ? nullptr : &row->outcome;
}

const RequestRow* RequestMemory::FindRow(Digest digest) const {
  const auto it = rows_.find(digest);
  return it == rows_.end() ? nullptr : &it->second;
}

void RequestMemory::Remember(Digest digest, const Outcome& outcome, LogTime now) {
  // An ended entry of the same id may still wait to be collected.
  if (const RequestRow* old = FindRow(digest)) {
    CHECK_GE(now, old->expires);
    Erase(Place{old->expires, digest});
  }
  Restore(digest, RequestRow{now + kRemembered, outcome});
  changed_.Mark(digest);
}

void RequestMemory::Restore(Digest digest, const RequestRow& row) {
  const bool inserted = rows_.emplace(digest, row).second;
  CHECK(inserted);
  order_.insert(Place{row.expires, digest});
  hash_ += HashOf(KeyOf(digest), row);
}

size_t RequestMemory::Collect(LogTime now, size_t limit) {
  size_t done = 0;
  while (done < limit && Earliest() <= now && !order_.empty()) {
    const Place place = *order_.begin();
    Erase(place);
    ++done;
  }
  return done;
}

bool RequestMemory::Full(LogTime now, uint64_t max) const {
  size_t ended = 0;
  for (const Place& place : order_) {
    if (ended == 2 || place.expires > now) break;
    ++ended;
  }
  return rows_.size() - ended >= max;
}

void RequestMemory::Erase(const Place& place) {
  const auto it = rows_.find(place.digest);
  CHECK(it != rows_.end());
  hash_ -= HashOf(KeyOf(place.digest), it->second);
  const Digest digest = place.digest;
  rows_.erase(it);
  order_.erase(place);
  changed_.Mark(digest);
}

}  // namespace holdfast
