#include <optional>
#include <utility>

#include "server/frontend/grpc/enqueue_stream.h"
#include "server/frontend/grpc/message_enqueue.h"
#include "server/frontend/grpc/service.h"
#include "server/frontend/grpc/unary.h"

namespace holdfast {

grpc::ServerUnaryReactor* HoldfastService::Enqueue(Context* context,
                                                   const v1::EnqueueRequest* request,
                                                   v1::EnqueueResponse* response) {
  auto* reactor = context->DefaultReactor();
  std::optional<EnqueueEncoder> command;
  if (const Violation violation = EncodeEnqueue(*request, environment_.body_bytes_max, &command)) {
    return Refuse(reactor, *violation);
  }
  const auto items = static_cast<size_t>(request->jobs_size());
  environment_.engine->Enqueue(request->queue(), *std::move(command),
                               [reactor, items, response](ExecuteResult result) {
                                 if (const auto failure = WholeFailure(result, items)) {
                                   reactor->Finish(failure->ToGrpc());
                                   return;
                                 }
                                 FillEnqueueResults(result.outcome, response->mutable_results());
                                 response->set_replayed(result.outcome.replayed);
                                 reactor->Finish(grpc::Status::OK);
                               });
  return reactor;
}

grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>*
HoldfastService::EnqueueStream(Context*) {
  return EnqueueStreamCall::Start(environment_);
}

}  // namespace holdfast
