#include "client/cli/batch_enqueuer.h"

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr size_t kMessagesOpen = 16;
constexpr absl::Duration kRetryPause = absl::Milliseconds(300);

}  // namespace

BatchEnqueuer::BatchEnqueuer(Client* client, Source source, Progress progress)
    : client_(client), source_(std::move(source)), progress_(std::move(progress)) {}

absl::Status BatchEnqueuer::Run() {
  for (;;) {
    const absl::Status status = RunStream();
    // Each message has a request id: whatever became of it, it may be sent again.
    if (status.ok() || source_failed_ || !IsPassing(status) ||
        absl::Now() - last_success_ > client_->options().timeout) {
      return status;
    }
    absl::Notification never;
    never.WaitForNotificationWithTimeout(kRetryPause);
  }
}

absl::Status BatchEnqueuer::RunStream() {
  grpc::ClientContext context;
  const auto stream = client_->stub()->EnqueueStream(&context);
  absl::Status status = Send(stream.get());
  if (status.ok()) {
    stream->WritesDone();
    v1::EnqueueStreamResponse response;
    while (status.ok() && stream->Read(&response)) status = TakeAcknowledgements(response);
  }
  if (!status.ok()) {
    context.TryCancel();
    stream->Finish();
    return status;
  }
  status = FromGrpc(stream->Finish());
  if (status.ok() && !open_.empty()) {
    return absl::UnavailableError("the server ended the stream without acknowledging everything");
  }
  return status;
}

absl::Status BatchEnqueuer::Send(
    grpc::ClientReaderWriter<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>* stream) {
  for (const v1::EnqueueStreamRequest& message : open_) {
    if (!stream->Write(message)) return absl::OkStatus();
  }
  for (;;) {
    if (open_.size() < kMessagesOpen) {
      v1::EnqueueStreamRequest message;
      const absl::StatusOr<bool> more = source_(&message);
      source_failed_ = !more.ok();
      RETURN_IF_ERROR(more.status());
      if (!*more) return absl::OkStatus();
      message.set_sequence(++sequence_);
      message.set_request_id(MakeRequestId());
      open_.push_back(std::move(message));
      if (!stream->Write(open_.back())) return absl::OkStatus();
      continue;
    }
    v1::EnqueueStreamResponse response;
    if (!stream->Read(&response)) return absl::OkStatus();
    RETURN_IF_ERROR(TakeAcknowledgements(response));
  }
}

absl::Status BatchEnqueuer::TakeAcknowledgements(const v1::EnqueueStreamResponse& response) {
  for (const v1::EnqueueAcknowledgement& acknowledgement : response.acknowledgements()) {
    const auto sent = std::find_if(open_.begin(), open_.end(), [&](const auto& message) {
      return message.sequence() == acknowledgement.sequence();
    });
    if (sent == open_.end()) continue;
    if (acknowledgement.has_error()) return FromRpcStatus(acknowledgement.error());
    for (const v1::EnqueueResult& result : acknowledgement.results()) {
      if (result.has_error()) {
        if (refused_++ == 0) first_refusal_ = result.error();
      } else if (result.deduplicated()) {
        ++deduplicated_;
      } else {
        ++enqueued_;
      }
    }
    open_.erase(sent);
    last_success_ = absl::Now();
  }
  progress_();
  return absl::OkStatus();
}

}  // namespace holdfast
