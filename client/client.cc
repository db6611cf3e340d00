#include "client/client.h"

#include <algorithm>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"

namespace holdfast {
namespace {

constexpr absl::Duration kPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kPauseMax = absl::Milliseconds(400);
constexpr int kReconnectMillisMin = 50;
constexpr int kReconnectMillisMax = 1000;
constexpr int kConnectMillisMax = 2000;

// gRPC's name of some nodes: it connects to the first that answers, and to the next when that one
// goes. Several must be IPv4 addresses: gRPC resolves only one name in a channel.
std::string TargetOf(const std::string& endpoints) {
  return absl::StrContains(endpoints, ',') ? absl::StrCat("ipv4:", endpoints) : endpoints;
}

}  // namespace

std::string MakeRequestId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
}

absl::Duration RequestIdLifetime(absl::Duration timeout) {
  return std::clamp(2 * timeout + absl::Seconds(30), absl::Seconds(30), absl::Minutes(5));
}

Client::Client(const Options& options) : options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes_max);
  arguments.SetMaxSendMessageSize(options.message_bytes_max);
  // A node that starts, or the next one, is found at once.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMillisMin);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMillisMax);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMillisMax);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kReconnectMillisMin);
  const auto channel = grpc::CreateCustomChannel(TargetOf(options.endpoint),
                                                 grpc::InsecureChannelCredentials(), arguments);
  stub_ = v1::Holdfast::NewStub(channel);
  admin_ = v1::Admin::NewStub(channel);
  cluster_ = v1::Cluster::NewStub(channel);
}

absl::StatusOr<v1::NodeInfo> Client::GetNodeInfo() {
  v1::NodeInfo info;
  const absl::Status status =
      Retry(absl::Now() + options_.timeout, [&](grpc::ClientContext* context) {
        return admin_->GetNodeInfo(context, v1::GetNodeInfoRequest(), &info);
      });
  if (!status.ok()) return status;
  return info;
}

absl::Status Client::Retry(absl::Time deadline,
                           const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  for (absl::Duration pause = kPauseMin;; pause = std::min(pause * 2, kPauseMax)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    const absl::Status status = FromGrpc(call(&context));
    if (status.ok() || !IsPassing(status)) return status;
    const absl::Duration wait = std::max(pause, DetailsOf(status).retry_after);
    if (absl::Now() + wait >= deadline) return status;
    absl::Notification never;
    never.WaitForNotificationWithTimeout(wait);
  }
}

}  // namespace holdfast
