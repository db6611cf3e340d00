#include "queue/request_memory.h"

#include <utility>

#include "base/check.h"
#include "queue/state_hash.h"

namespace holdfast {
namespace {

using Digest = RequestMemory::Digest;

RequestKey KeyOf(LogTime expires, Digest digest) {
  return RequestKey{expires, digest.high, digest.low};
}
Digest DigestOf(const RequestKey& key) { return Digest{key.digest_high, key.digest_low}; }

}  // namespace

const Outcome* RequestMemory::Find(Digest digest, LogTime now) const {
  const Entry* entry = FindEntry(digest);
  return entry == nullptr || now >= entry->expires ? nullptr : &entry->row.outcome;
}

const RequestMemory::Entry* RequestMemory::FindEntry(Digest digest) const {
  const Part& part = parts_[PartOf(digest)];
  const auto it = part.find(digest);
  return it == part.end() ? nullptr : it->second.get();
}

const RequestRow* RequestMemory::FindRow(const RequestKey& key) const {
  const Entry* entry = FindEntry(DigestOf(key));
  return entry == nullptr || entry->expires != key.expires ? nullptr : &entry->row;
}

void RequestMemory::Remember(Digest digest, const Outcome& outcome, LogTime now, LogTime expires) {
  // An ended entry of the same id may still wait to be collected.
  if (const Entry* old = FindEntry(digest)) {
    CHECK_GE(now, old->expires);
    Erase(KeyOf(old->expires, digest));
  }
  Restore(KeyOf(expires, digest), RequestRow{outcome});
  changed_.Mark(KeyOf(expires, digest));
}

void RequestMemory::Restore(const RequestKey& key, RequestRow row) {
  const Digest digest = DigestOf(key);
  const auto [place, inserted] = parts_[PartOf(digest)].emplace(
      digest, std::make_unique<const Entry>(Entry{key.expires, std::move(row)}));
  CHECK(inserted);
  order_.insert(order_.end(), key);
  hash_ += HashOf(key, place->second->row);
}

size_t RequestMemory::Collect(LogTime now, size_t limit) {
  size_t done = 0;
  while (done < limit && Earliest() <= now && !order_.empty()) {
    const RequestKey key = *order_.begin();
    Erase(key);
    ++done;
  }
  return done;
}

bool RequestMemory::Full(LogTime now, uint64_t max) const {
  size_t ended = 0;
  for (const RequestKey& key : order_) {
    if (ended == 2 || key.expires > now) break;
    ++ended;
  }
  return size() - ended >= max;
}

void RequestMemory::Erase(const RequestKey& key) {
  const Digest digest = DigestOf(key);
  Part& part = parts_[PartOf(digest)];
  const auto it = part.find(digest);
  CHECK(it != part.end());
  hash_ -= HashOf(key, it->second->row);
  part.erase(it);
  order_.erase(key);
  changed_.Mark(key);
}

}  // namespace holdfast
