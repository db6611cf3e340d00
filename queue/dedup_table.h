// The dedup keys of one queue: which job each key stands for, until when.
//
// Like a job set, only a front part by (expires, job) need be in memory.
//
// Invariants: the entries in memory are the hot members of order().
// Bounds: an entry in memory costs its key and about 150 bytes.
// Thread-safety: thread-compatible. Pointers to entries end with the entry.

#ifndef HOLDFAST_QUEUE_DEDUP_TABLE_H_
#define HOLDFAST_QUEUE_DEDUP_TABLE_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "base/string_hash.h"
#include "queue/paged_set.h"
#include "queue/records.h"

namespace holdfast {

class DedupTable {
 public:
  struct Entry {
    JobId job;
    LogTime expires;
    bool unflushed = false;
  };
  using Item = std::pair<const std::string, Entry>;

  DedupTable() = default;
  static DedupTable Cold(uint64_t members);

  PagedSet& order() { return order_; }
  const PagedSet& order() const { return order_; }
  static SetKey PlaceOf(const Entry& entry) {
    return SetKey{entry.expires.micros(), entry.job.value()};
  }

  // nullptr if it is not in memory.
  Item* Find(std::string_view key);
  const Item* Find(std::string_view key) const;
  // The entry of a hot place.
  const Item& At(SetKey place) const;

  // A new member. REQUIRES: neither key nor job has an entry.
  void Add(std::string_view key, JobId job, LogTime expires);
  // A cold member comes into memory. REQUIRES: not in memory.
  void Load(std::string_view key, JobId job, LogTime expires);
  // REQUIRES: in memory.
  void Remove(std::string_view key);
  void Evict(std::string_view key);

 private:
  void Insert(std::string_view key, const Entry& entry);
  SetKey Erase(std::string_view key);

  absl::node_hash_map<std::string, Entry, StringHash, StringEqual> by_key_;
  absl::flat_hash_map<JobId, const Item*> by_job_;
  PagedSet order_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_DEDUP_TABLE_H_
