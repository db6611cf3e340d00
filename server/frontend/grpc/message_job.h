// Jobs, queues and times as messages.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_JOB_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_JOB_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "base/types.h"
#include "proto/holdfast/v1/job.pb.h"
#include "proto/holdfast/v1/queue.pb.h"
#include "queue/job.h"
#include "queue/records.h"
#include "server/codec/payload_ref.h"

namespace holdfast {

void FillTime(LogTime time, google::protobuf::Timestamp* out);
void FillSpan(LogDuration span, google::protobuf::Duration* out);
v1::JobState ToMessage(JobState state);

// Which parts of a job a message carries besides the record.
enum class JobParts : uint8_t {
  kRecord = 0,            // JOB_VIEW_BASIC
  kRecordAndPayload = 1,  // JOB_VIEW_FULL
  kHandOut = 2,           // with payload, without counters: Reserve and Work
};

// DataLoss if the payload cannot be decoded; then `out` is incomplete.
absl::Status FillJob(const Job& job, std::string_view queue, const PayloadRef& payload,
                     JobParts parts, v1::Job* out);

// `now`: the shard's log time, which tells whether a pause is over.
void FillQueue(const QueueRecord& record, LogTime now, v1::Queue* out);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_JOB_H_
