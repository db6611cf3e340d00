// The gRPC frontend of a node: the services holdfast.v1.Holdfast and Admin, grpc.health.v1 and
// server reflection, on one listening address.
//
// Thread-safety: Start, Drain and Stop from one thread; the rest from any. Ownership: the engine
// must outlive it, and must answer everything that it was asked before Stop can return.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_GRPC_SERVER_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_GRPC_SERVER_H_

#include <grpcpp/server.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/frontend/grpc/admin_service.h"
#include "server/frontend/grpc/call_registry.h"
#include "server/frontend/grpc/service.h"

namespace holdfast {

struct GrpcServerOptions {
  std::string listen = "127.0.0.1:7400";  // HOST:PORT; port 0: any free one
  std::string advertise;                  // what clients are told; empty: the listening address
  size_t body_bytes_max = 1 << 20;        // of one job; at most kBodyBytesMax
  // The largest message taken. 0: 16 MiB, or what one body needs if that is more.
  size_t message_bytes_max = 0;
  // Memory that gRPC's transport may use for all connections before it slows them down.
  size_t transport_bytes_max = 256 << 20;
  std::string version = "0.1.0";
  std::string sync = "always";
  bool reflection = true;
  // Served on the same port; they outlive the server.
  std::vector<grpc::Service*> services = {};
};

class GrpcServer {
 public:
  // Listens and serves. InvalidArgument or Unavailable, naming the address, if it cannot.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           Engine* engine);
  // Stops at once if Stop was not called.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // The port it listens on, also if port 0 was asked for.
  int port() const { return port_; }
  // HOST:PORT as listened on.
  std::string address() const;

  // Health tells SERVING from now on, until Drain: calls are taken before, too, but cannot yet
  // count on being answered. Any thread.
  void SetReady();
  // Health tells NOT_SERVING; reserves that wait end, and streams end as soon as they can: all of
  // them by `deadline`. Calls under way go on.
  void Drain(absl::Time deadline);
  // Drains, and takes no new call: clients turn to other nodes. What is under way goes on, until
  // `deadline` at most. Stop follows.
  void Close(absl::Time deadline);
  // Closes, waits until the last call has ended or the deadline (of Close, if that came before)
  // has passed, and ends the rest. Blocks.
  void Stop(absl::Time deadline);

 private:
  GrpcServer(const GrpcServerOptions& options, Engine* engine);
  v1::NodeInfo Info() const;
  void TellHealth(bool serving);
  void Listen(grpc::ServerBuilder* builder);

  const GrpcServerOptions options_;
  Engine* const engine_;
  const absl::Time started_ = absl::Now();
  std::atomic<bool> ready_{false};
  CallRegistry calls_;
  HoldfastService service_;
  AdminService admin_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  bool stopped_ = false;
  std::thread closing_;  // between Close and Stop: gRPC's shutdown blocks
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_GRPC_SERVER_H_
