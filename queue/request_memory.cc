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
  const Part& part = parts_[PartOf(digest)];
  const auto it = part.find(digest);
  return it == part.end() ? nullptr : it->second.get();
}

void RequestMemory::Remember(Digest digest, const Outcome& outcome, LogTime now, LogTime expires) {
  // An ended entry of the same id may still wait to be collected.
  if (const RequestRow* old = FindRow(digest)) {
    CHECK_GE(now, old->expires);
    Erase(Place{old->expires, digest});
  }
  Restore(digest, RequestRow{expires, outcome});
  changed_.Mark(digest);
}

void RequestMemory::Restore(Digest digest, RequestRow row) {
  const auto [place, inserted] =
      parts_[PartOf(digest)].emplace(digest, std::make_unique<const RequestRow>(std::move(row)));
  CHECK(inserted);
  order_.insert(Place{place->second->expires, digest});
  hash_ += HashOf(KeyOf(digest), *place->second);
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
  return size() - ended >= max;
}

void RequestMemory::Erase(const Place& place) {
  Part& part = parts_[PartOf(place.digest)];
  const auto it = part.find(place.digest);
  CHECK(it != part.end());
  hash_ -= HashOf(KeyOf(place.digest), *it->second);
  const Digest digest = place.digest;
  part.erase(it);
  order_.erase(place);
  changed_.Mark(digest);
}

}  // namespace holdfast
