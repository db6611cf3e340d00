// What bare request ids were answered, each for its lifetime (log time, 5 minutes at most).
//
// A full table refuses new requests; it never evicts, because a forgotten request could be done
// twice.
//
// Invariants: an entry counts iff now < its end, collected or not.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_REQUEST_MEMORY_H_
#define HOLDFAST_QUEUE_REQUEST_MEMORY_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "base/types.h"
#include "queue/changed_keys.h"
#include "queue/records.h"

namespace holdfast {

class RequestMemory {
 public:
  struct Digest {
    uint64_t high = 0;
    uint64_t low = 0;

    auto operator<=>(const Digest&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Digest& digest) {
      return H::combine(std::move(h), digest.high, digest.low);
    }
  };

  // The remembered outcome; nullptr if there is none.
  const Outcome* Find(Digest digest, LogTime now) const;
  // Remembers an outcome until `expires`. REQUIRES: Find(digest, now) == nullptr.
  void Remember(Digest digest, const Outcome& outcome, LogTime now, LogTime expires);
  void Restore(const RequestKey& key, RequestRow row);
  // Forgets at most `limit` ended entries; returns how many.
  size_t Collect(LogTime now, size_t limit);
  // True if a new request would not fit even after Collect(now, 2).
  bool Full(LogTime now, uint64_t max) const;

  size_t size() const { return order_.size(); }
  LogTime Earliest() const { return order_.empty() ? LogTime::Never() : order_.begin()->expires; }
  // The sum of the entries' hashes.
  uint64_t hash() const { return hash_; }
  std::vector<RequestKey> TakeChanged() { return changed_.Take(); }
  // nullptr if it is gone.
  const RequestRow* FindRow(const RequestKey& key) const;

 private:
  struct Entry {
    LogTime expires;
    RequestRow row;
  };

  const Entry* FindEntry(Digest digest) const;
  void Erase(const RequestKey& key);

  // By pointer, and in parts by the digest's first bits: a table that grows moves all that it has
  // at once, 100 ms for a million rows, and everything waits meanwhile.
  using Part = absl::flat_hash_map<Digest, std::unique_ptr<const Entry>>;
  static constexpr int kPartBits = 6;
  static size_t PartOf(Digest digest) { return digest.high >> (64 - kPartBits); }

  std::array<Part, 1 << kPartBits> parts_;
  absl::btree_set<RequestKey> order_;  // one for each entry
  ChangedKeys<RequestKey> changed_;
  uint64_t hash_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_REQUEST_MEMORY_H_
