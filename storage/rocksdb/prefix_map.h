// PrefixMap: where the rows of each shard lie.
//
// Every key begins with four bytes that name its shard. The rows of such a prefix, as callers know
// it (logical), are stored under another one (physical): at first the same, and a new one each time
// that all rows of the shard are replaced. Old and new rows thus never meet in a file, new ones are
// written as if the table were empty there, and one row with this map makes them the shard's. What
// lies under a prefix that is no shard's any more (dead) is dropped later, whole files at a time.
//
// Why not a range deletion: docs/adr/0007-replacing-a-shard.md.
//
// Invariants: physical prefixes are never used again; those of replacements are >= kFirst, logical
// ones below it. Thread-safety: a value.

#ifndef HOLDFAST_STORAGE_ROCKSDB_PREFIX_MAP_H_
#define HOLDFAST_STORAGE_ROCKSDB_PREFIX_MAP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/rocksdb/batch_runs.h"

namespace holdfast {

std::string PrefixBytes(uint32_t prefix);

class PrefixMap {
 public:
  // Keys of callers are below PrefixBytes(kFirst).
  static constexpr uint32_t kFirst = 0x80000000;

  // `key` as it is stored; `buffer` keeps the bytes if they differ. Keys shorter than a prefix
  // are stored as they are.
  std::string_view PhysicalKey(std::string_view key, std::string* buffer) const;
  uint32_t PhysicalOf(uint32_t logical) const;

  // A range of stored keys. To its keys as callers know them: `logical` in place of their first
  // bytes, unless it is empty.
  struct Segment {
    std::string begin;
    std::string end;
    std::string logical;
  };
  // The stored keys of the callers' range [begin, end), in the order of their logical keys. One
  // segment if the range lies within one prefix.
  std::vector<Segment> Segments(std::string_view begin, std::string_view end) const;

  // Nothing was ever stored under this physical prefix and those above it.
  uint32_t next() const { return next_; }
  // From now on the rows of `logical` are those under `physical`; what they were is dead.
  void Replace(uint32_t logical, uint32_t physical);

  const std::set<uint32_t>& dead() const { return dead_; }
  // Nothing is left under a dead prefix.
  void Forget(uint32_t physical) { dead_.erase(physical); }

  bool is_identity() const { return physical_.empty(); }
  // Layout: FORMAT.md in this folder. nullopt if the bytes are not a map.
  std::string Encode() const;
  static std::optional<PrefixMap> Decode(std::string_view bytes);

 private:
  std::map<uint32_t, uint32_t> physical_;  // by logical prefix; not there: the same
  std::set<uint32_t> dead_;
  uint32_t next_ = kFirst;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_PREFIX_MAP_H_
