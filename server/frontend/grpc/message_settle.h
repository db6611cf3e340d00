// Delete, Release, Touch and Bury requests to commands, and outcomes to their results; for the
// unary calls and for the settlements of Work.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_SETTLE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_SETTLE_H_

#include <google/protobuf/repeated_field.h>

#include <cstdint>

#include "proto/holdfast/v1/settle.pb.h"
#include "proto/holdfast/v1/work.pb.h"
#include "queue/command.h"
#include "queue/outcome.h"
#include "server/answer/failure.h"

namespace holdfast {

enum class SettleKind : uint8_t { kDelete = 0, kRelease = 1, kTouch = 2, kBury = 3 };

Violation ToCommand(const v1::DeleteRequest& request, Command* out);
Violation ToCommand(const v1::ReleaseRequest& request, Command* out);
Violation ToCommand(const v1::TouchRequest& request, Command* out);
Violation ToCommand(const v1::BuryRequest& request, Command* out);

// Any of the four. `leases`: how many there are.
Violation ToCommand(const v1::Settlement& settlement, Command* out, SettleKind* kind,
                    size_t* leases);

void FillLeaseResults(SettleKind kind, const Outcome& outcome,
                      google::protobuf::RepeatedPtrField<v1::LeaseResult>* out);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_SETTLE_H_
