#include "client/cli/binlog_source.h"

#include <xxhash.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/duration.h"

namespace holdfast {
namespace {

// What the API takes: job.proto.
constexpr absl::Duration kLeaseMax = absl::Hours(24 * 30);
constexpr absl::Duration kDelayMax = absl::Hours(24 * 3650);

// A good size of a message.
constexpr int kJobsPerMessage = 200;
constexpr size_t kBytesPerMessage = 1 << 20;

// Where the last message of a tube stands in a window, and how large it is.
struct Place {
  size_t message = 0;
  size_t bytes = 0;
};

std::string DedupKeyOf(const BinlogJob& job, const std::string& body) {
  return absl::StrCat("beanstalkd:", job.id, ":", absl::ToUnixNanos(job.created), ":",
                      absl::Hex(XXH3_64bits(body.data(), body.size()), absl::kZeroPad16));
}

}  // namespace

v1::JobSpec SpecOf(const BinlogJob& job, const std::string& body, absl::Time now, bool* shortened) {
  v1::JobSpec spec;
  spec.set_body(body);
  spec.set_priority(job.priority);
  *spec.mutable_lease() = ToProto(std::clamp(job.ttr, absl::Seconds(1), kLeaseMax));
  *shortened = job.ttr > kLeaseMax;
  if (job.state == BinlogState::kBuried) spec.set_buried(true);
  if (const absl::Duration delay = job.DelayLeft(now); delay > absl::ZeroDuration()) {
    *spec.mutable_delay() = ToProto(std::min(delay, kDelayMax));
    *shortened = *shortened || delay > kDelayMax;
  }
  spec.set_dedup_key(DedupKeyOf(job, body));
  *spec.mutable_dedup_window() = ToProto(BinlogSource::kDedupWindow);
  return spec;
}

absl::StatusOr<bool> BinlogSource::Next(v1::EnqueueStreamRequest* message) {
  if (window_.empty()) RETURN_IF_ERROR(FillWindow());
  if (window_.empty()) return false;
  *message = std::move(window_.front());
  window_.pop_front();
  return true;
}

absl::Status BinlogSource::FillWindow() {
  const absl::Time now = absl::Now();
  absl::flat_hash_map<const char*, Place> places;  // by the tube's one and only name
  size_t bytes = 0;
  std::string body;
  for (size_t jobs = 0; jobs < kWindowJobs && bytes < kWindowBytes; ++jobs, ++next_) {
    if (next_ == binlog_->jobs().end()) break;
    const BinlogJob& job = next_->second;
    RETURN_IF_ERROR(binlog_->ReadBody(job, &body));
    const auto [place, first] = places.try_emplace(job.tube.data());
    Place& last = place->second;
    if (first || last.bytes >= kBytesPerMessage ||
        window_[last.message].jobs_size() >= kJobsPerMessage) {
      last = {window_.size(), 0};
      window_.emplace_back().set_queue(std::string(job.tube));
    }
    bool shortened = false;
    *window_[last.message].add_jobs() = SpecOf(job, body, now, &shortened);
    if (shortened) ++shortened_;
    last.bytes += body.size();
    bytes += body.size();
  }
  return absl::OkStatus();
}

}  // namespace holdfast
