// The shape that most unary methods share: a command, executed, and its outcome told.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_UNARY_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_UNARY_H_

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "queue/command.h"
#include "server/answer/failure.h"
#include "server/engine/engine.h"

namespace holdfast {

inline grpc::ServerUnaryReactor* Refuse(grpc::ServerUnaryReactor* reactor,
                                        const FieldError& error) {
  reactor->Finish(FailureOf(error).ToGrpc());
  return reactor;
}

// Executes the command; then `tell(outcome)` fills the response, which must live until the
// reactor is finished. `items`: how many the outcome must have.
template <class Tell>
grpc::ServerUnaryReactor* ExecuteUnary(Engine* engine, grpc::ServerUnaryReactor* reactor,
                                       const Command& command, size_t items, Tell tell) {
  engine->Execute(command, [reactor, items, tell](ExecuteResult result) {
    if (const auto failure = WholeFailure(result, items)) {
      reactor->Finish(failure->ToGrpc());
      return;
    }
    tell(result.outcome);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_UNARY_H_
