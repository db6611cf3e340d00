// Cuts the sorted rows of a batch into runs, each to become one table file.
//
// Every file that overlaps another one must one day be merged with it, and merging reads and
// writes both as wholes. So a file should hold rows that belong together, and reach over few
// files that are there already:
//
//   files there      [ a  b  c ]  [ d  e  f ]  [ g  h  i ]     (say, a queue's backlog)
//   rows to write      -a -b -c    -d                   +x  +y
//   files written     [ -a -b -c ] [ -d ]               [ x  y ]
//
// (1) A run never mixes many deletions with many puts, nor many rows of two shards: new rows
//     beyond all older ones go straight to the bottom and are never rewritten, and deletions go
//     right above the rows that they delete.
// (2) A long run ends where a file ends or begins: its deletions are merged with just the
//     files that they empty.
// (3) No run leaps over many files: else deletions at the front of a backlog, together with new
//     rows behind it, would have the whole backlog rewritten by every flush (docs/adr/0004).
//
// Thread-safety: pure functions and a value.

#ifndef HOLDFAST_STORAGE_ROCKSDB_BATCH_RUNS_H_
#define HOLDFAST_STORAGE_ROCKSDB_BATCH_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "storage/state_batch.h"

namespace holdfast {

// [begin, end) of the sorted positions.
struct BatchRun {
  size_t begin = 0;
  size_t end = 0;

  friend bool operator==(const BatchRun&, const BatchRun&) = default;
};

// A run shorter than both of these is not worth a file of its own: it is put together with its
// short neighbours.
inline constexpr uint64_t kLongRunBytes = 256 << 10;
inline constexpr size_t kLongRunRows = 4096;
// Runs are no longer than this, so that a drained front frees whole files early.
inline constexpr uint64_t kRunBytesMax = 32 << 20;
// A run leaps over fewer files than the larger of these: that many, or that part of all files. So
// a batch that is scattered over all of them becomes at most that many more runs.
inline constexpr size_t kLeapFiles = 4;
inline constexpr size_t kLeapParts = 32;

// Where the files of a table begin and end; each in rising order of keys, paired or not.
struct FileEdges {
  std::vector<std::string> begins;  // First keys.
  std::vector<std::string> ends;    // Last keys, included.
};

// The bytes at the front of a key that name the shard.
inline constexpr size_t kShardPrefixSize = 4;

// Cuts `sorted` (StateBatch::Sorted) of `table` into runs: all positions, in order.
std::vector<BatchRun> CutIntoRuns(const StateBatch& batch, Table table,
                                  const std::vector<uint32_t>& sorted, const FileEdges& files);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_BATCH_RUNS_H_
