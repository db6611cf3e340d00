// A directory of beanstalkd's binlogs (`beanstalkd -b DIR`): the jobs that are in it.
//
// The files binlog.1, binlog.2, ... are read once in their order, as beanstalkd does at its start:
// a job's latest record counts, an update of an unknown job is ignored, a reserved job is ready.
// What is damaged is told by file and byte; the rest of that file is left out, and the next file is
// read.
//
// Bounds: memory for each job that is not deleted about 200 bytes, and once the largest record;
// bodies stay in the files.
// Thread-safety: thread-compatible.
// Ownership: holds a lock that keeps beanstalkd out until destroyed. Nothing in the directory is
// changed.

#ifndef HOLDFAST_CLIENT_BINLOG_BINLOG_H_
#define HOLDFAST_CLIENT_BINLOG_BINLOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/binlog/record.h"

namespace holdfast {

// A job as its last record tells it.
struct BinlogJob {
  uint64_t id = 0;
  std::string_view tube;  // lives as long as the Binlog
  uint32_t priority = 0;
  absl::Duration delay;
  absl::Duration ttr;
  absl::Time created;
  absl::Time deadline;  // delayed: when it is ready, perhaps past
  BinlogCounters counters;
  BinlogState state = BinlogState::kReady;  // kReady, kBuried or kDelayed
  // Where its body is.
  uint32_t file = 0;  // an index into files()
  uint64_t body_offset_bytes = 0;
  size_t body_size_bytes = 0;

  // What is left of its delay; zero unless it is delayed.
  absl::Duration DelayLeft(absl::Time now) const {
    const bool waits = state == BinlogState::kDelayed && deadline > now;
    return waits ? deadline - now : absl::ZeroDuration();
  }
};

// Something in a file that is no record: what follows it in the file was not read.
struct BinlogDamage {
  std::string file;  // its path
  uint64_t offset_bytes = 0;
  std::string problem;

  std::string Text() const;  // "DIR/binlog.3: byte 512: PROBLEM"
};

class Binlog {
 public:
  // Errors: NOT_FOUND (no such directory), FAILED_PRECONDITION (beanstalkd is using it), those of
  // base/errno_status.h. A directory without binlogs is fine, and empty.
  static absl::StatusOr<std::unique_ptr<Binlog>> Open(const std::string& directory);
  ~Binlog();
  Binlog(const Binlog&) = delete;
  Binlog& operator=(const Binlog&) = delete;

  const std::string& directory() const { return directory_; }
  // Their names, in the order in which they were written.
  const std::vector<std::string>& files() const { return files_; }
  uint64_t size_bytes() const { return size_bytes_; }  // of all files

  // Once. `progress` is told how many bytes have been read, every MiB or so.
  // Errors: UNIMPLEMENTED (a file of another version than 7), those of base/errno_status.h.
  absl::Status Read(const std::function<void(uint64_t bytes)>& progress);

  // By id. What Read has found.
  const absl::btree_map<uint64_t, BinlogJob>& jobs() const { return jobs_; }
  const std::vector<BinlogDamage>& damages() const { return damages_; }
  uint64_t max_id() const { return max_id_; }  // of all jobs seen, deleted ones too; 0: none

  // REQUIRES: `job` is of jobs(). Errors: those of base/errno_status.h, DATA_LOSS (the file has
  // become shorter).
  absl::Status ReadBody(const BinlogJob& job, std::string* body);

 private:
  class File;
  Binlog(std::string directory, int lock_fd);
  absl::Status List();
  absl::Status ReadFile(uint32_t file, const std::function<void(uint64_t)>& progress);
  // Why the record cannot follow those before it, or nullptr.
  const char* Take(const BinlogRecord& record, uint32_t file, uint64_t offset_bytes);
  absl::Status Damaged(uint32_t file, uint64_t offset_bytes, std::string_view problem);
  std::string PathOf(uint32_t file) const { return directory_ + "/" + files_[file]; }

  const std::string directory_;
  const int lock_fd_;  // -1: there is no lock to hold
  std::vector<std::string> files_;
  uint64_t size_bytes_ = 0;
  uint64_t read_bytes_ = 0;
  std::set<std::string, std::less<>> tubes_;
  absl::btree_map<uint64_t, BinlogJob> jobs_;
  std::vector<BinlogDamage> damages_;
  uint64_t max_id_ = 0;
  std::unique_ptr<File> body_file_;  // the one that ReadBody read last
  uint32_t body_file_index_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BINLOG_BINLOG_H_
