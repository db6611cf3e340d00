#include "client/worker.h"

#include <algorithm>
#include <thread>

#include "client/duration.h"

namespace holdfast {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(50);
constexpr absl::Duration kReconnectPause = absl::Milliseconds(200);

bool IsLasting(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsUnimplemented(status) ||
         absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status) ||
         absl::IsUnauthenticated(status);
}

}  // namespace

struct Worker::Running {
  std::shared_ptr<WorkItem> item;
  absl::Time touch_at;
};

Worker::Worker(Client* client, Options options, Handler handler)
    : client_(client), options_(std::move(options)), handler_(std::move(handler)) {}

Worker::~Worker() = default;

Worker::Counts Worker::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

absl::Status Worker::Run() {
  std::vector<std::thread> handlers;
  for (uint32_t i = 0; i < options_.parallel; ++i) {
    handlers.emplace_back([this] { RunHandlers(); });
  }
  {
    absl::MutexLock lock(&mutex_);
    last_job_ = absl::Now();
    while (!ShouldEnd()) {
      if (MayConnect()) Connect();
      SettleAgain(absl::Now());
      TouchLeases(absl::Now());
      changed_.WaitWithTimeout(&mutex_, kLookEvery);
    }
    ending_ = true;
    changed_.SignalAll();
    if (stream_ != nullptr) stream_->Close();
  }
  for (std::thread& handler : handlers) handler.join();
  {
    absl::MutexLock lock(&mutex_);
    // Nothing is open any more, so the server ends the stream at once.
    const absl::Time patience = absl::Now() + absl::Seconds(5);
    bool cancelled = false;
    while (stream_ != nullptr) {
      if (cancelled) {
        changed_.Wait(&mutex_);
      } else if (changed_.WaitWithDeadline(&mutex_, patience)) {
        if (stream_ != nullptr) stream_->Cancel();
        cancelled = true;
      }
    }
  }
  ReturnLate();
  absl::MutexLock lock(&mutex_);
  return failure_;
}

void Worker::ReturnLate() {
  v1::ReleaseRequest release;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& item : waiting_) *release.add_leases() = item->job().lease();
    counts_.returned += waiting_.size();
    waiting_.clear();
  }
  if (release.leases_size() == 0) return;
  release.set_mode(v1::RELEASE_MODE_RETURN);
  // If it does not work their leases end them.
  client_->Call(&v1::Holdfast::Stub::Release, release).IgnoreError();
}

bool Worker::HasBeenIdle(absl::Time now) {
  return connected_since_ != absl::InfiniteFuture() &&
         now - std::max(last_job_, connected_since_) >= options_.idle_exit;
}

bool Worker::IsIdle() { return waiting_.empty() && running_.empty() && unsettled_.empty(); }

bool Worker::ShouldEnd() {
  if (!failure_.ok() && running_.empty()) return true;
  const absl::Time now = absl::Now();
  if (now - unreachable_since_ >= options_.give_up && running_.empty()) {
    failure_ = absl::UnavailableError("the server could not be reached for " +
                                      absl::FormatDuration(options_.give_up));
    return true;
  }
  if (stop_.load() && !waiting_.empty()) {
    // What no handler has begun goes back.
    for (const auto& item : waiting_) Settle(item->job(), Verdict::Returned());
    waiting_.clear();
  }
  if (!IsIdle()) return false;
  if (stop_.load()) return true;
  if (options_.jobs_max > 0 && settled_ >= options_.jobs_max) return true;
  return HasBeenIdle(now);
}

bool Worker::MayConnect() {
  return stream_ == nullptr && failure_.ok() && absl::Now() >= next_connect_;
}

void Worker::Connect() {
  v1::Subscribe subscribe;
  for (const std::string& queue : options_.queues) subscribe.add_queues(queue);
  const uint64_t held = running_.size() + waiting_.size();
  uint64_t credits = options_.parallel - std::min<uint64_t>(options_.parallel, held);
  if (options_.jobs_max > 0) {
    credits = std::min(credits, options_.jobs_max - std::min(options_.jobs_max, taken_));
  }
  subscribe.set_credits(stop_.load() ? 0 : static_cast<uint32_t>(credits));
  // A broken connection must not hand a job that is being worked on to another worker.
  subscribe.set_on_disconnect(v1::ON_DISCONNECT_EXPIRE);
  if (options_.lease > absl::ZeroDuration()) {
    *subscribe.mutable_lease() = ToProto(options_.lease);
  }
  stream_ = WorkStream::Open(
      client_->stub(), subscribe,
      [this](const v1::WorkResponse& response) { OnResponse(response); },
      [this](const absl::Status& status) { OnStreamEnded(status); });
  touches_.clear();
  for (auto& [sequence, unsettled] : unsettled_) {
    unsettled.sent_before = true;
    unsettled.again_at = absl::InfiniteFuture();
    stream_->Settle(unsettled.settlement);
  }
  // Whether their leases still hold is soon known.
  for (auto& [id, running] : running_) running.touch_at = absl::Now();
}

void Worker::OnStreamEnded(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  connected_since_ = absl::InfiniteFuture();
  const bool first = unreachable_since_ == absl::InfiniteFuture() && !ending_ && !status.ok();
  if (first && options_.on_unreachable) options_.on_unreachable(status);
  stream_ = nullptr;
  next_connect_ = absl::Now() + kReconnectPause;
  unreachable_since_ = std::min(unreachable_since_, absl::Now());
  if (IsLasting(status)) failure_ = status;
  changed_.SignalAll();
}

void Worker::OnResponse(const v1::WorkResponse& response) {
  absl::MutexLock lock(&mutex_);
  unreachable_since_ = absl::InfiniteFuture();
  connected_since_ = std::min(connected_since_, absl::Now());
  for (const v1::Job& job : response.jobs()) {
    last_job_ = absl::Now();
    ++taken_;
    waiting_.push_back(std::make_shared<WorkItem>(job));
  }
  for (const v1::SettlementResult& result : response.results()) OnResult(result);
  for (const v1::CancelledLease& cancelled : response.cancelled()) {
    const auto running = running_.find(cancelled.lease().job_id());
    if (running != running_.end() &&
        running->second.item->job().lease().token() == cancelled.lease().token()) {
      running->second.item->Cancel();
    }
  }
  if (response.has_drain() && stream_ != nullptr && IsIdle()) stream_->Close();
  changed_.SignalAll();
}

std::shared_ptr<WorkItem> Worker::TakeItem() {
  absl::MutexLock lock(&mutex_);
  while (waiting_.empty() && !ending_) changed_.Wait(&mutex_);
  if (ending_) return nullptr;
  std::shared_ptr<WorkItem> item = std::move(waiting_.front());
  waiting_.pop_front();
  running_[item->job().id()] = {item, absl::Now() + FromProto(item->job().lease_duration()) / 3};
  return item;
}

void Worker::RunHandlers() {
  while (const std::shared_ptr<WorkItem> item = TakeItem()) {
    const Verdict verdict = handler_(*item);
    absl::MutexLock lock(&mutex_);
    running_.erase(item->job().id());
    last_job_ = absl::Now();
    Settle(item->job(), verdict);
    changed_.SignalAll();
  }
}

void Worker::Settle(const v1::Job& job, const Verdict& verdict) {
  v1::Settlement settlement;
  settlement.set_sequence(++sequence_);
  switch (verdict.kind) {
    case Verdict::Kind::kDelete:
      *settlement.mutable_delete_jobs()->add_leases() = job.lease();
      break;
    case Verdict::Kind::kBury:
      *settlement.mutable_bury_jobs()->add_leases() = job.lease();
      break;
    case Verdict::Kind::kReturn:
    case Verdict::Kind::kFail: {
      v1::ReleaseRequest* release = settlement.mutable_release_jobs();
      *release->add_leases() = job.lease();
      release->set_mode(verdict.kind == Verdict::Kind::kFail ? v1::RELEASE_MODE_FAIL
                                                             : v1::RELEASE_MODE_RETURN);
      if (verdict.delay.has_value()) {
        *release->mutable_delay() = ToProto(*verdict.delay);
      }
      break;
    }
  }
  if (stream_ != nullptr) {
    stream_->Settle(settlement);
    const bool more = options_.jobs_max == 0 || taken_ < options_.jobs_max;
    if (!stop_.load() && more) stream_->AddCredits(1);
  }
  unsettled_.emplace(sequence_, Unsettled{.settlement = std::move(settlement),
                                          .sent_before = false,
                                          .again_at = absl::InfiniteFuture()});
}

void Worker::OnResult(const v1::SettlementResult& result) {
  const auto sent = unsettled_.find(result.sequence());
  if (sent == unsettled_.end()) {
    const auto touch = touches_.find(result.sequence());
    if (touch == touches_.end()) return;
    OnTouchResult(touch->second, result);
    touches_.erase(touch);
    return;
  }
  if (result.has_error() && IsPassing(FromRpcStatus(result.error()))) {
    sent->second.again_at = absl::Now() + kReconnectPause;
    return;
  }
  Count(sent->second, result);
  unsettled_.erase(sent);
  ++settled_;
}

void Worker::OnTouchResult(uint64_t job, const v1::SettlementResult& result) {
  // The server's word that a lease has ended may have been lost with an earlier stream.
  const auto running = running_.find(job);
  if (running == running_.end()) return;
  if (result.results_size() == 1 && result.results(0).has_error()) {
    running->second.item->Cancel();
  } else if (result.has_error()) {
    running->second.touch_at = absl::Now() + kReconnectPause;
  }
}

void Worker::SettleAgain(absl::Time now) {
  if (stream_ == nullptr) return;
  for (auto& [sequence, unsettled] : unsettled_) {
    if (unsettled.again_at > now) continue;
    unsettled.sent_before = true;
    unsettled.again_at = absl::InfiniteFuture();
    stream_->Settle(unsettled.settlement);
  }
}

void Worker::Count(const Unsettled& sent, const v1::SettlementResult& result) {
  const v1::Settlement& settlement = sent.settlement;
  const bool answered = !result.has_error() && result.results_size() == 1;
  // A delete whose first result was lost finds nothing to delete.
  const bool done_before = answered && sent.sent_before && settlement.has_delete_jobs() &&
                           result.results(0).has_error() &&
                           absl::IsNotFound(FromRpcStatus(result.results(0).error()));
  const bool ok = answered && (!result.results(0).has_error() || done_before);
  if (!ok) {
    ++counts_.lost;
  } else if (settlement.has_delete_jobs()) {
    ++counts_.done;
  } else if (settlement.has_bury_jobs()) {
    ++counts_.buried;
  } else if (settlement.release_jobs().mode() == v1::RELEASE_MODE_FAIL) {
    ++counts_.failed;
  } else {
    ++counts_.returned;
  }
}

void Worker::TouchLeases(absl::Time now) {
  if (stream_ == nullptr) return;
  for (auto& [id, running] : running_) {
    if (running.touch_at > now || running.item->cancelled()) continue;
    const v1::Job& job = running.item->job();
    v1::Settlement touch;
    touch.set_sequence(++sequence_);
    *touch.mutable_touch_jobs()->add_leases() = job.lease();
    touches_[sequence_] = id;
    stream_->Settle(touch);
    running.touch_at = now + FromProto(job.lease_duration()) / 3;
  }
}

}  // namespace holdfast
