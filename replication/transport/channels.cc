#include "replication/transport/channels.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "replication/transport/record.h"

namespace holdfast {
namespace {

// What PeerFrame adds to a frame.
constexpr int kEnvelopeBytesMax = 64;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const TransportOptions& options) {
  grpc::ChannelArguments arguments;
  // Channels with the same target and arguments would otherwise share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(options.keepalive_time_micros / 1000));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(options.keepalive_timeout_micros / 1000));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Messages are not sent again by gRPC: it would keep all of a stream's for that.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kFrameBytesMax) + kEnvelopeBytesMax);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

bool Broken(grpc::Channel* channel) {
  const grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/false);
  return state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN;
}

}  // namespace

std::shared_ptr<grpc::Channel> Channels::For(StreamKind kind, const std::string& address) {
  if (kind != StreamKind::kAppend && kind != StreamKind::kForward) {
    return MakeChannel(address, *options_);
  }
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel> channel = bulk_.lock();
  if (channel == nullptr || bulk_address_ != address || Broken(channel.get())) {
    channel = MakeChannel(address, *options_);
    bulk_ = channel;
    bulk_address_ = address;
  }
  return channel;
}

}  // namespace holdfast
