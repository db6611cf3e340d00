#include "storage/rocksdb/batch_runs.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast {
namespace {

// Walks over the files' edges beside the rows.
class EdgeWalk {
 public:
  explicit EdgeWalk(const FileEdges& files)
      : files_(files), leap_(std::max(kLeapFiles, files.begins.size() / kLeapParts)) {}

  // To the next row.
  void Advance(std::string_view key) {
    const size_t begin = begin_;
    const size_t end = end_;
    while (begin_ < files_.begins.size() && files_.begins[begin_] <= key) ++begin_;
    while (end_ < files_.ends.size() && files_.ends[end_] < key) ++end_;
    crossed_begins_ = begin_ - begin;
    crossed_ends_ = end_ - end;
  }

  // Between the last two rows, or right at them, a file begins or ends.
  bool crossed_edge() const { return crossed_begins_ > 0 || crossed_ends_ > 0; }
  // Many files lie there.
  bool leapt() const { return crossed_begins_ >= leap_; }

 private:
  const FileEdges& files_;
  const size_t leap_;
  size_t begin_ = 0;  // The first file that begins beyond the row.
  size_t end_ = 0;    // The first file that ends at the row or beyond.
  size_t crossed_begins_ = 0;
  size_t crossed_ends_ = 0;
};

// Rows of one kind and one shard, between edges.
struct Stretch {
  BatchRun rows;
  uint64_t bytes = 0;
  bool is_delete = false;
  std::string_view shard;

  bool IsLong() const { return bytes >= kLongRunBytes || rows.end - rows.begin >= kLongRunRows; }
};

// Gathers stretches into runs: one long stretch, or short ones together.
class RunGatherer {
 public:
  void Add(const Stretch& stretch) {
    if (stretch.IsLong()) {
      Close();
      has_long_ = true;
    } else if (has_long_) {
      Close();
    }
    current_.end = stretch.rows.end;
  }
  void Close() {
    if (current_.end > current_.begin) runs_.push_back(current_);
    current_.begin = current_.end;
    has_long_ = false;
  }
  std::vector<BatchRun> Take() {
    Close();
    return std::move(runs_);
  }

 private:
  std::vector<BatchRun> runs_;
  BatchRun current_;
  bool has_long_ = false;
};

}  // namespace

std::vector<BatchRun> CutIntoRuns(const StateBatch& batch, Table table,
                                  const std::vector<uint32_t>& sorted, const FileEdges& files) {
  RunGatherer gatherer;
  EdgeWalk edges(files);
  Stretch stretch;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const StateBatch::Row row = batch.At(table, sorted[i]);
    const std::string_view shard = row.key.substr(0, kShardPrefixSize);
    edges.Advance(row.key);
    const bool goes_on = i > 0 && row.is_delete == stretch.is_delete && shard == stretch.shard &&
                         stretch.bytes < kRunBytesMax && !edges.leapt() &&
                         !(edges.crossed_edge() && stretch.IsLong());
    if (!goes_on) {
      if (i > 0) gatherer.Add(stretch);
      if (edges.leapt()) gatherer.Close();
      stretch = Stretch{.rows = {i, i}, .bytes = 0, .is_delete = row.is_delete, .shard = shard};
    }
    stretch.rows.end = i + 1;
    stretch.bytes += row.key.size() + row.value.size();
  }
  if (!sorted.empty()) gatherer.Add(stretch);
  return gatherer.Take();
}

}  // namespace holdfast
