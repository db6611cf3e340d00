// Enqueue requests to commands, and outcomes to their results; for Enqueue and EnqueueStream.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_ENQUEUE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_ENQUEUE_H_

#include <google/protobuf/repeated_field.h>

#include <cstddef>
#include <optional>

#include "proto/holdfast/v1/enqueue.pb.h"
#include "queue/outcome.h"
#include "server/answer/failure.h"
#include "server/codec/command_codec.h"

namespace holdfast {

// Checks and encodes in one pass; each body is copied once, into the command.
// A violation leaves `out` unspecified.
Violation EncodeEnqueue(const v1::EnqueueRequest& request, size_t body_bytes_max,
                        std::optional<EnqueueEncoder>* out);
Violation EncodeEnqueue(const v1::EnqueueStreamRequest& request, size_t body_bytes_max,
                        std::optional<EnqueueEncoder>* out);

void FillEnqueueResults(const Outcome& outcome,
                        google::protobuf::RepeatedPtrField<v1::EnqueueResult>* out);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_ENQUEUE_H_
