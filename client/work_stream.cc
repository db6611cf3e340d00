#include "client/work_stream.h"

#include <utility>

#include "client/status.h"

namespace holdfast {
namespace {

constexpr int kSettlementsPerMessage = 100;

}  // namespace

std::shared_ptr<WorkStream> WorkStream::Open(v1::Holdfast::Stub* stub,
                                             const v1::Subscribe& subscribe, OnResponse on_response,
                                             OnEnded on_ended) {
  std::shared_ptr<WorkStream> stream(new WorkStream(std::move(on_response), std::move(on_ended)));
  stream->self_ = stream;
  stub->async()->Work(&stream->context_, stream.get());
  {
    absl::MutexLock lock(&stream->mutex_);
    *stream->next_.mutable_subscribe() = subscribe;
    stream->Flush();
  }
  stream->AddHold();  // writes begin outside of reactions; until nothing more can be read
  stream->StartRead(&stream->response_);
  stream->StartCall();
  return stream;
}

void WorkStream::Settle(const v1::Settlement& settlement) {
  absl::MutexLock lock(&mutex_);
  *next_.add_settlements() = settlement;
  Flush();
}

void WorkStream::AddCredits(uint32_t credits) {
  absl::MutexLock lock(&mutex_);
  next_.set_add_credits(next_.add_credits() + credits);
  Flush();
}

void WorkStream::Close() {
  absl::MutexLock lock(&mutex_);
  closing_ = true;
  Flush();
}

void WorkStream::Flush() {
  if (writing_ || closed_) return;
  const bool something =
      next_.has_subscribe() || next_.add_credits() > 0 || next_.settlements_size() > 0;
  if (!something) {
    if (!closing_) return;
    closed_ = true;
    return StartWritesDone();
  }
  sending_.Clear();
  if (next_.settlements_size() <= kSettlementsPerMessage) {
    sending_.Swap(&next_);
  } else {
    sending_.mutable_settlements()->Reserve(kSettlementsPerMessage);
    for (int i = 0; i < kSettlementsPerMessage; ++i) {
      *sending_.add_settlements() = std::move(*next_.mutable_settlements(i));
    }
    next_.mutable_settlements()->DeleteSubrange(0, kSettlementsPerMessage);
    if (next_.has_subscribe()) sending_.set_allocated_subscribe(next_.release_subscribe());
    sending_.set_add_credits(next_.add_credits());
    next_.set_add_credits(0);
  }
  writing_ = true;
  StartWrite(&sending_);
}

void WorkStream::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    return RemoveHold();
  }
  on_response_(response_);
  StartRead(&response_);
}

void WorkStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) closed_ = true;
  Flush();
}

void WorkStream::OnDone(const grpc::Status& status) {
  on_ended_(FromGrpc(status));
  self_.reset();
}

}  // namespace holdfast
