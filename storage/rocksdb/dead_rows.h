// DeadRows: drops what lies under physical prefixes that are no shard's any more (prefix_map.h).
//
// When no snapshot is left that was made before the prefix died, files that hold nothing else are
// unlinked, whatever is in them, without being read. What is left of it in files that hold other
// rows too is deleted by the following flushes, a bounded number of rows each.
//
// Thread-safety: thread-compatible; of the flushing thread.

#ifndef HOLDFAST_STORAGE_ROCKSDB_DEAD_ROWS_H_
#define HOLDFAST_STORAGE_ROCKSDB_DEAD_ROWS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/rocksdb/database.h"
#include "storage/rocksdb/prefix_map.h"
#include "storage/state_batch.h"

namespace holdfast {

class DeadRows {
 public:
  // `dead` at the open: no snapshot shows them.
  DeadRows(std::shared_ptr<Database> database, const std::set<uint32_t>& dead);

  // A flush is done: `dead` are dead for all who read from the snapshot of this number on.
  void Published(const std::set<uint32_t>& dead, uint64_t sequence);

  // Drops what nobody can see: no snapshot is older than `oldest_in_use`. Best effort: what fails
  // is tried again by the next call.
  void Drop(uint64_t oldest_in_use);

  // Deletes in `stored` (keys as they are stored) what Drop has found left over.
  void AddDeletes(StateBatch* stored);
  // Takes the prefixes that nothing is left of out of `map`.
  void ForgetGone(PrefixMap* map) const;

 private:
  // Removes files, and notes some of the rows that are left. True: there are none.
  bool DropPrefix(uint32_t physical);
  bool NoteRowsOf(Table table, const std::string& begin, const std::string& end);

  const std::shared_ptr<Database> database_;
  std::map<uint32_t, uint64_t> dead_since_;  // By prefix; those of which something may be left.
  // Their files have been removed. Once only: the deletions of what is left over are in files that
  // hold nothing else.
  std::set<uint32_t> unlinked_;
  std::set<uint32_t> gone_;
  std::vector<std::pair<Table, std::string>> left_over_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_DEAD_ROWS_H_
