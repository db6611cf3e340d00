#include "client/client.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"

namespace holdfast {
namespace {

constexpr absl::Duration kPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kPauseMax = absl::Seconds(2);

bool MayTryAgain(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return true;
  return absl::IsResourceExhausted(status) && DetailsOf(status).retry_after > absl::ZeroDuration();
}

}  // namespace

std::string MakeRequestId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
}

Client::Client(const Options& options) : options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes_max);
  arguments.SetMaxSendMessageSize(options.message_bytes_max);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  stub_ = v1::Holdfast::NewStub(
      grpc::CreateCustomChannel(options.endpoint, grpc::InsecureChannelCredentials(), arguments));
}

absl::Status Client::Retry(absl::Time deadline,
                           const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  for (absl::Duration pause = kPauseMin;; pause = std::min(pause * 2, kPauseMax)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    const absl::Status status = FromGrpc(call(&context));
    if (status.ok() || !MayTryAgain(status)) return status;
    const absl::Duration wait = std::max(pause, DetailsOf(status).retry_after);
    if (absl::Now() + wait >= deadline) return status;
    absl::Notification never;
    never.WaitForNotificationWithTimeout(wait);
  }
}

}  // namespace holdfast
