#include "server/frontend/grpc/enqueue_stream.h"

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "server/frontend/grpc/message_enqueue.h"

namespace holdfast {

using google::protobuf::Arena;

EnqueueStreamCall* EnqueueStreamCall::Start(const CallEnvironment& environment) {
  auto* call = new EnqueueStreamCall(environment);
  const bool entered = environment.calls->Enter(call);
  Next next;
  {
    absl::MutexLock lock(&call->mutex_);
    ++call->acting_;
    if (!entered) call->draining_ = true;
    next = call->Decide();
  }
  call->Act(next);
  return call;
}

// A read and a write are begun by whoever sets the flag, so at most once at a time.
EnqueueStreamCall::Next EnqueueStreamCall::Decide() {
  Next next;
  if (finished_) return next;
  const bool room = messages_in_flight_ < kMessagesMax && bytes_in_flight_ < kBytesMax;
  if (!reading_ && !read_all_ && !draining_ && room) {
    reading_ = true;
    next.read = true;
  }
  if (!writing_ && !broken_ && (!done_.empty() || !window_told_)) {
    writing_ = true;
    next.write = true;
  }
  return next;
}

bool EnqueueStreamCall::DecideFinish() {
  const bool told_all = broken_ || (done_.empty() && window_told_);
  if (finished_ || acting_ > 0 || writing_ || engine_owes_ > 0 || !told_all ||
      !(read_all_ || draining_)) {
    return false;
  }
  finished_ = true;
  return true;
}

void EnqueueStreamCall::Act(Next next) {
  if (next.read) {
    read_arena_.Reset();
    request_ = Arena::CreateMessage<v1::EnqueueStreamRequest>(&read_arena_);
    StartRead(request_);
  }
  if (next.write) WriteAcknowledgements();
  bool finish = false;
  bool all_read = false;
  {
    absl::MutexLock lock(&mutex_);
    --acting_;
    finish = DecideFinish();
    all_read = read_all_;
  }
  if (finish) Finish(all_read ? grpc::Status::OK : DrainingFailure().ToGrpc());
}

void EnqueueStreamCall::OnReadDone(bool ok) {
  const size_t bytes = ok ? request_->ByteSizeLong() : 0;
  {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;  // drained while this was on its way: it is not acknowledged
    ++acting_;
    if (ok) {
      ++messages_in_flight_;
      ++engine_owes_;
      bytes_in_flight_ += bytes;
    }
  }
  if (ok) Submit(*request_, bytes);
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) read_all_ = true;
    next = Decide();
  }
  Act(next);
}

void EnqueueStreamCall::Submit(const v1::EnqueueStreamRequest& message, size_t bytes) {
  Done done{.sequence = message.sequence(), .jobs = static_cast<size_t>(message.jobs_size())};
  std::optional<EnqueueEncoder> command;
  if (const Violation violation = EncodeEnqueue(message, environment_.body_bytes_max, &command)) {
    done.refused = FailureOf(*violation);
    Complete(std::move(done), bytes);
    return;
  }
  environment_.engine->Enqueue(
      message.queue(), *std::move(command),
      [this, bytes, sequence = done.sequence, jobs = done.jobs](ExecuteResult result) {
        Complete({.sequence = sequence, .jobs = jobs, .refused = {}, .result = std::move(result)},
                 bytes);
      });
}

void EnqueueStreamCall::Complete(Done done, size_t bytes) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    CHECK_GT(engine_owes_, 0u);
    --engine_owes_;
    --messages_in_flight_;
    bytes_in_flight_ -= bytes;
    if (!broken_) done_.push_back(std::move(done));
    next = Decide();
  }
  Act(next);
}

void EnqueueStreamCall::FillAcknowledgement(const Done& done, v1::EnqueueAcknowledgement* out) {
  out->set_sequence(done.sequence);
  if (done.refused.has_value()) {
    done.refused->Fill(out->mutable_error());
  } else if (const auto failure = WholeFailure(done.result, done.jobs)) {
    failure->Fill(out->mutable_error());
  } else {
    FillEnqueueResults(done.result.outcome, out->mutable_results());
    out->set_replayed(done.result.outcome.replayed);
  }
}

void EnqueueStreamCall::WriteAcknowledgements() {
  bool tell_window = false;
  writing_done_.clear();
  {
    absl::MutexLock lock(&mutex_);
    tell_window = !window_told_;
    window_told_ = true;
    size_t results = 0;
    size_t taken = 0;
    for (; taken < done_.size() && results < kResultsPerMessageMax; ++taken) {
      results += done_[taken].jobs;
      writing_done_.push_back(std::move(done_[taken]));
    }
    done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  write_arena_.Reset();
  auto* response = Arena::CreateMessage<v1::EnqueueStreamResponse>(&write_arena_);
  if (tell_window) {
    response->mutable_window()->set_messages_max(kMessagesMax);
    response->mutable_window()->set_bytes_max(kBytesMax);
  }
  response->mutable_acknowledgements()->Reserve(static_cast<int>(writing_done_.size()));
  for (const Done& done : writing_done_) {
    FillAcknowledgement(done, response->add_acknowledgements());
  }
  StartWrite(response);
}

void EnqueueStreamCall::OnWriteDone(bool ok) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    writing_ = false;
    if (!ok) {
      broken_ = true;
      read_all_ = true;
      done_.clear();
    }
    next = Decide();
  }
  Act(next);
}

void EnqueueStreamCall::OnCancel() {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    broken_ = true;
    read_all_ = true;
    done_.clear();
    next = Decide();
  }
  Act(next);
}

void EnqueueStreamCall::Drain(absl::Time) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    draining_ = true;
    next = Decide();
  }
  Act(next);
}

void EnqueueStreamCall::OnDone() {
  environment_.calls->Leave(this);
  delete this;
}

}  // namespace holdfast
