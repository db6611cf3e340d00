#include "server/frontend/grpc/message_queue.h"
#include "server/frontend/grpc/message_settle.h"
#include "server/frontend/grpc/service.h"
#include "server/frontend/grpc/unary.h"

namespace holdfast {
namespace {

template <SettleKind kKind, class Request, class Response>
grpc::ServerUnaryReactor* Settle(Engine* engine, grpc::ServerUnaryReactor* reactor,
                                 const Request& request, Response* response) {
  Command command;
  if (const Violation violation = ToCommand(request, &command)) return Refuse(reactor, *violation);
  return ExecuteUnary(engine, reactor, command, static_cast<size_t>(request.leases_size()),
                      [response](const Outcome& outcome) {
                        FillLeaseResults(kKind, outcome, response->mutable_results());
                        if constexpr (kKind != SettleKind::kTouch) {
                          response->set_replayed(outcome.replayed);
                        }
                      });
}

// KickJobs and DeleteJobs.
template <class Request, class Response>
grpc::ServerUnaryReactor* ActOnJobs(Engine* engine, grpc::ServerUnaryReactor* reactor,
                                    const Request& request, Response* response) {
  Command command;
  if (const Violation violation = ToCommand(request, &command)) return Refuse(reactor, *violation);
  return ExecuteUnary(engine, reactor, command, static_cast<size_t>(request.job_ids_size()),
                      [response](const Outcome& outcome) {
                        for (const ItemOutcome& item : outcome.items) {
                          v1::JobResult* result = response->add_results();
                          if (item.code != OutcomeCode::kOk) {
                            FailureOf(item.code).Fill(result->mutable_error());
                          }
                        }
                        response->set_replayed(outcome.replayed);
                      });
}

}  // namespace

grpc::ServerUnaryReactor* HoldfastService::Delete(Context* context,
                                                  const v1::DeleteRequest* request,
                                                  v1::DeleteResponse* response) {
  return Settle<SettleKind::kDelete>(environment_.engine, context->DefaultReactor(), *request,
                                     response);
}

grpc::ServerUnaryReactor* HoldfastService::Release(Context* context,
                                                   const v1::ReleaseRequest* request,
                                                   v1::ReleaseResponse* response) {
  return Settle<SettleKind::kRelease>(environment_.engine, context->DefaultReactor(), *request,
                                      response);
}

grpc::ServerUnaryReactor* HoldfastService::Touch(Context* context, const v1::TouchRequest* request,
                                                 v1::TouchResponse* response) {
  return Settle<SettleKind::kTouch>(environment_.engine, context->DefaultReactor(), *request,
                                    response);
}

grpc::ServerUnaryReactor* HoldfastService::Bury(Context* context, const v1::BuryRequest* request,
                                                v1::BuryResponse* response) {
  return Settle<SettleKind::kBury>(environment_.engine, context->DefaultReactor(), *request,
                                   response);
}

grpc::ServerUnaryReactor* HoldfastService::KickJobs(Context* context,
                                                    const v1::KickJobsRequest* request,
                                                    v1::KickJobsResponse* response) {
  return ActOnJobs(environment_.engine, context->DefaultReactor(), *request, response);
}

grpc::ServerUnaryReactor* HoldfastService::DeleteJobs(Context* context,
                                                      const v1::DeleteJobsRequest* request,
                                                      v1::DeleteJobsResponse* response) {
  return ActOnJobs(environment_.engine, context->DefaultReactor(), *request, response);
}

}  // namespace holdfast
