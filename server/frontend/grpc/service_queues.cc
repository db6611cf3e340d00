#include <algorithm>
#include <utility>
#include <variant>

#include "base/check.h"
#include "server/frontend/grpc/message_job.h"
#include "server/frontend/grpc/message_queue.h"
#include "server/frontend/grpc/service.h"
#include "server/frontend/grpc/unary.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

// PurgeQueue and DeleteQueue.
template <class Request, class Response>
grpc::ServerUnaryReactor* EndJobs(Engine* engine, grpc::ServerUnaryReactor* reactor,
                                  const Request& request, Response* response) {
  Command command;
  if (const Violation violation = ToCommand(request, &command)) return Refuse(reactor, *violation);
  return ExecuteUnary(engine, reactor, command, 0, [response](const Outcome& outcome) {
    response->set_deleted_jobs(outcome.count);
    response->set_replayed(outcome.replayed);
  });
}

// Kicks in steps of kKickMax until nothing is left to kick or to ask for.
void KickOn(Engine* engine, grpc::ServerUnaryReactor* reactor, const v1::KickRequest* request,
            v1::KickResponse* response, const Command& command) {
  engine->Execute(command, [engine, reactor, request, response](ExecuteResult result) {
    if (const auto failure = WholeFailure(result, 0)) {
      reactor->Finish(failure->ToGrpc());
      return;
    }
    response->set_kicked_jobs(response->kicked_jobs() + result.outcome.count);
    response->set_replayed(result.outcome.replayed);
    const uint64_t left = request->max_jobs() - response->kicked_jobs();
    if (left == 0 || result.outcome.count < kKickMax) {
      reactor->Finish(grpc::Status::OK);
      return;
    }
    Command next;
    CHECK(ToCommand(*request, &next) == nullptr);
    std::get<KickCommand>(next.body).bound =
        static_cast<uint32_t>(std::min<uint64_t>(left, kKickMax));
    KickOn(engine, reactor, request, response, next);
  });
}

}  // namespace

grpc::ServerUnaryReactor* HoldfastService::Kick(Context* context, const v1::KickRequest* request,
                                                v1::KickResponse* response) {
  auto* reactor = context->DefaultReactor();
  Command command;
  if (const Violation violation = ToCommand(*request, &command)) {
    return Refuse(reactor, *violation);
  }
  KickOn(environment_.engine, reactor, request, response, command);
  return reactor;
}

grpc::ServerUnaryReactor* HoldfastService::PurgeQueue(Context* context,
                                                      const v1::PurgeQueueRequest* request,
                                                      v1::PurgeQueueResponse* response) {
  return EndJobs(environment_.engine, context->DefaultReactor(), *request, response);
}

grpc::ServerUnaryReactor* HoldfastService::DeleteQueue(Context* context,
                                                       const v1::DeleteQueueRequest* request,
                                                       v1::DeleteQueueResponse* response) {
  return EndJobs(environment_.engine, context->DefaultReactor(), *request, response);
}

grpc::ServerUnaryReactor* HoldfastService::PauseQueue(Context* context,
                                                      const v1::PauseQueueRequest* request,
                                                      v1::PauseQueueResponse*) {
  auto* reactor = context->DefaultReactor();
  Command command;
  if (const Violation violation = ToCommand(*request, &command)) {
    return Refuse(reactor, *violation);
  }
  return ExecuteUnary(environment_.engine, reactor, command, 0, [](const Outcome&) {});
}

grpc::ServerUnaryReactor* HoldfastService::ResumeQueue(Context* context,
                                                       const v1::ResumeQueueRequest* request,
                                                       v1::ResumeQueueResponse*) {
  auto* reactor = context->DefaultReactor();
  if (const Violation violation = CheckQueueName("queue", request->queue())) {
    return Refuse(reactor, *violation);
  }
  Command command;
  command.body.emplace<PauseQueueCommand>().queue = request->queue();  // duration 0: resume
  return ExecuteUnary(environment_.engine, reactor, command, 0, [](const Outcome&) {});
}

grpc::ServerUnaryReactor* HoldfastService::UpdateQueue(Context* context,
                                                       const v1::UpdateQueueRequest* request,
                                                       v1::Queue* response) {
  auto* reactor = context->DefaultReactor();
  Command command;
  if (const Violation violation = ToCommand(*request, &command)) {
    return Refuse(reactor, *violation);
  }
  Engine* engine = environment_.engine;
  engine->Execute(command, [engine, reactor, request, response](ExecuteResult executed) {
    if (const auto failure = WholeFailure(executed, 0)) {
      reactor->Finish(failure->ToGrpc());
      return;
    }
    engine->Ask(QueueQuery{request->queue().name()}, [reactor, response](QueryResult result) {
      if (!result.status.ok()) {
        reactor->Finish(FailureOf(result.status).ToGrpc());
      } else if (result.queues.empty()) {
        // Deleted by somebody else in between.
        reactor->Finish(FailureOf(OutcomeCode::kQueueNotFound).ToGrpc());
      } else {
        FillQueue(result.queues.front(), result.now, response);
        reactor->Finish(grpc::Status::OK);
      }
    });
  });
  return reactor;
}

}  // namespace holdfast
