#include "server/frontend/grpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>
#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/codec/payload_codec.h"

namespace holdfast {
namespace {

constexpr size_t kMessageBytesDefault = 16 << 20;
// What a message needs beside one body: attributes, names, framing.
constexpr size_t kMessageOverheadBytes = 64 << 10;

// A connection that says nothing for this long is asked whether it is there.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Clients may ask as often as this.
constexpr int kPingIntervalMinMs = 5'000;

GrpcServerOptions WithDefaults(GrpcServerOptions options) {
  const size_t needed = options.body_bytes_max + kMessageOverheadBytes;
  if (options.message_bytes_max == 0) {
    options.message_bytes_max = std::max(kMessageBytesDefault, needed);
  }
  return options;
}

}  // namespace

GrpcServer::GrpcServer(const GrpcServerOptions& options, Engine* engine)
    : options_(WithDefaults(options)),
      engine_(engine),
      service_({.engine = engine, .calls = &calls_, .body_bytes_max = options.body_bytes_max}),
      admin_([this] { return Info(); }, engine) {}

GrpcServer::~GrpcServer() { Stop(absl::Now()); }

void GrpcServer::Listen(grpc::ServerBuilder* builder) {
  builder->AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port_);
  builder->RegisterService(&service_);
  builder->RegisterService(&admin_);
  for (grpc::Service* const service : options_.services) builder->RegisterService(service);
  builder->SetMaxReceiveMessageSize(static_cast<int>(options_.message_bytes_max));
  builder->SetMaxSendMessageSize(-1);
  grpc::ResourceQuota quota("holdfast");
  quota.Resize(options_.transport_bytes_max);
  builder->SetResourceQuota(quota);
  // A second process on the same port is a mistake to be told, not to be shared with.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kPingIntervalMinMs);
  // Only reflection has synchronous methods: it needs one thread.
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              Engine* engine) {
  if (options.body_bytes_max > kBodyBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body limit ", options.body_bytes_max, " is more than ", kBodyBytesMax));
  }
  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<GrpcServer> server(new GrpcServer(options, engine));
  grpc::ServerBuilder builder;
  server->Listen(&builder);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen for gRPC on ", options.listen,
                     ": the address is wrong, not of this machine, or in use"));
  }
  server->TellHealth(false);
  return server;
}

void GrpcServer::TellHealth(bool serving) {
  auto* health = server_->GetHealthCheckService();
  health->SetServingStatus(serving);
  health->SetServingStatus("holdfast.v1.Holdfast", serving);
  health->SetServingStatus("holdfast.v1.Admin", serving);
}

void GrpcServer::SetReady() {
  TellHealth(true);  // does nothing after Drain
  ready_.store(true, std::memory_order_relaxed);
}

std::string GrpcServer::address() const {
  const size_t colon = options_.listen.rfind(':');
  return absl::StrCat(options_.listen.substr(0, colon), ":", port_);
}

v1::NodeInfo GrpcServer::Info() const {
  const EngineInfo engine = engine_->Info();
  v1::NodeInfo info;
  info.set_node_id(engine.node.value());
  info.set_version(options_.version);
  info.set_shards(engine.shards);
  const int64_t micros = absl::ToUnixMicros(started_);
  info.mutable_start_time()->set_seconds(micros / 1'000'000);
  info.mutable_start_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
  info.set_address(options_.advertise.empty() ? address() : options_.advertise);
  info.set_body_bytes_max(options_.body_bytes_max);
  info.set_message_bytes_max(options_.message_bytes_max);
  info.set_sync(options_.sync);
  info.set_draining(calls_.draining());
  info.set_ready(ready_.load(std::memory_order_relaxed) && !calls_.draining());
  return info;
}

void GrpcServer::Drain(absl::Time deadline) {
  server_->GetHealthCheckService()->Shutdown();
  calls_.Drain(deadline);
}

void GrpcServer::Close(absl::Time deadline) {
  if (closing_.joinable()) return;
  Drain(deadline);
  closing_ = std::thread([this, deadline] { server_->Shutdown(absl::ToChronoTime(deadline)); });
  pthread_setname_np(closing_.native_handle(), "grpc_closing");
}

void GrpcServer::Stop(absl::Time deadline) {
  if (server_ == nullptr || stopped_) return;
  Close(deadline);
  closing_.join();
  server_->Wait();
  stopped_ = true;
}

}  // namespace holdfast
