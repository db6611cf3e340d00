// The jobs of a binlog as messages that enqueue them.
//
// Each job carries a dedup key made of its id, the moment of its put and its body, which together
// no other job has, and which stay the same however often its records were rewritten. Within
// kDedupWindow of its import a job is therefore added once, whoever imports it how often.
//
// In a tube jobs go in the order of their ids; over the tubes too, but for those that are less than
// kWindowJobs apart.
//
// Bounds: kWindowBytes and the largest body are in memory.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_CLIENT_CLI_BINLOG_SOURCE_H_
#define HOLDFAST_CLIENT_CLI_BINLOG_SOURCE_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/binlog/binlog.h"
#include "proto/holdfast/v1/enqueue.pb.h"

namespace holdfast {

// As a job of the API. `shortened`: whether its ttr or delay is above what the API takes, and was
// cut to that.
v1::JobSpec SpecOf(const BinlogJob& job, const std::string& body, absl::Time now, bool* shortened);

class BinlogSource {
 public:
  static constexpr absl::Duration kDedupWindow = absl::Hours(24 * 30);
  static constexpr size_t kWindowJobs = 1000;
  static constexpr size_t kWindowBytes = 4 << 20;

  // From its first job on. Ownership: `binlog` has been read, and outlives this.
  explicit BinlogSource(Binlog* binlog) : binlog_(binlog), next_(binlog->jobs().begin()) {}

  // The next message; false: there are no more. Errors: those of Binlog::ReadBody.
  absl::StatusOr<bool> Next(v1::EnqueueStreamRequest* message);

  uint64_t shortened() const { return shortened_; }

 private:
  absl::Status FillWindow();

  Binlog* const binlog_;
  absl::btree_map<uint64_t, BinlogJob>::const_iterator next_;
  std::deque<v1::EnqueueStreamRequest> window_;
  uint64_t shortened_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_BINLOG_SOURCE_H_
