#include "client/cli/line_enqueuer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/synchronization/notification.h"

namespace holdfast {
namespace {

constexpr int kJobsPerMessage = 200;
constexpr size_t kBytesPerMessage = 1 << 20;
constexpr size_t kMessagesOpen = 16;
constexpr absl::Duration kRetryPause = absl::Milliseconds(300);

}  // namespace

LineEnqueuer::LineEnqueuer(Client* client, std::string queue, v1::JobSpec spec, Progress progress)
    : client_(client), queue_(std::move(queue)), spec_(std::move(spec)), progress_(progress) {}

absl::Status LineEnqueuer::Run(std::istream& in) {
  for (;;) {
    const absl::Status status = RunStream(in);
    if (status.ok() || !IsPassing(status) ||
        absl::Now() - last_success_ > client_->options().timeout) {
      ShowProgress(/*last=*/true);
      return status;
    }
    absl::Notification never;
    never.WaitForNotificationWithTimeout(kRetryPause);
  }
}

bool LineEnqueuer::ReadMessage(std::istream& in, v1::EnqueueStreamRequest* message) {
  std::string line;
  size_t bytes = 0;
  while (message->jobs_size() < kJobsPerMessage && bytes < kBytesPerMessage &&
         std::getline(in, line)) {
    v1::JobSpec* job = message->add_jobs();
    *job = spec_;
    bytes += line.size();
    job->set_body(std::move(line));
    line.clear();
  }
  if (message->jobs_size() == 0) return false;
  message->set_sequence(++sequence_);
  message->set_queue(queue_);
  message->set_request_id(MakeRequestId());
  return true;
}

absl::Status LineEnqueuer::RunStream(std::istream& in) {
  grpc::ClientContext context;
  const auto stream = client_->stub()->EnqueueStream(&context);
  v1::EnqueueStreamResponse response;
  bool writable = true;
  for (const v1::EnqueueStreamRequest& message : open_) {
    writable = writable && stream->Write(message);
  }
  while (writable) {
    if (open_.size() < kMessagesOpen) {
      v1::EnqueueStreamRequest message;
      if (!ReadMessage(in, &message)) break;
      open_.push_back(std::move(message));
      writable = stream->Write(open_.back());
      continue;
    }
    if (!stream->Read(&response)) break;
    if (absl::Status status = TakeAcknowledgements(response); !status.ok()) {
      context.TryCancel();
      stream->Finish();
      return status;
    }
  }
  stream->WritesDone();
  while (stream->Read(&response)) {
    if (absl::Status status = TakeAcknowledgements(response); !status.ok()) {
      context.TryCancel();
      stream->Finish();
      return status;
    }
  }
  const absl::Status status = FromGrpc(stream->Finish());
  if (status.ok() && !open_.empty()) {
    return absl::UnavailableError("the server ended the stream without acknowledging everything");
  }
  return status;
}

absl::Status LineEnqueuer::TakeAcknowledgements(const v1::EnqueueStreamResponse& response) {
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
  ShowProgress(/*last=*/false);
  return absl::OkStatus();
}

void LineEnqueuer::ShowProgress(bool last) {
  if (progress_ == Progress::kQuiet) return;
  const absl::Time now = absl::Now();
  if (!last && now - last_progress_ < absl::Milliseconds(200)) return;
  last_progress_ = now;
  std::fprintf(stderr, "\r%llu jobs enqueued%s", static_cast<unsigned long long>(enqueued_),
               last ? "\n" : " ...");
}

}  // namespace holdfast
