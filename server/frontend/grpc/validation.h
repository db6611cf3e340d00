// The bounds of what a gRPC client may say, checked before a command is made of it.
//
// Every function names the field, the value and the bound in the violation it returns, and
// returns nullptr if all is fine. `field` is the path of what is checked.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_VALIDATION_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_VALIDATION_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/types.h"
#include "proto/holdfast/v1/job.pb.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/queue_options.h"
#include "server/answer/failure.h"

namespace holdfast {

inline constexpr uint32_t kPageSizeMax = 1000;
inline constexpr uint32_t kPageSizeDefault = 100;
inline constexpr uint32_t kCreditsMax = 10'000;

// A range of spans, both ends allowed.
struct SpanRange {
  LogDuration min;
  LogDuration max;
  bool zero_is_unset = true;  // 0 is allowed beside [min, max]
};
inline constexpr LogDuration kDay = LogDuration::Seconds(86'400);
inline constexpr LogDuration kTenYears = LogDuration::Seconds(86'400LL * 3650);
inline constexpr SpanRange kLeaseRange = {LogDuration::Millis(1),
                                          LogDuration::Seconds(86'400LL * 30)};
inline constexpr SpanRange kDelayRange = {LogDuration(), kTenYears};
inline constexpr SpanRange kTtlRange = {LogDuration::Millis(1), kTenYears};
inline constexpr SpanRange kDedupWindowRange = {LogDuration::Micros(1), kDedupWindowMax};
inline constexpr SpanRange kBackoffRange = {LogDuration(), kDay};
inline constexpr SpanRange kWaitRange = {LogDuration(), kDay};
inline constexpr SpanRange kPauseRange = {LogDuration::Micros(1), kTenYears, false};

// Microseconds, a finer part rounded up.
Violation CheckSpan(std::string_view field, const google::protobuf::Duration& span,
                    const SpanRange& range, LogDuration* out);
Violation CheckQueueName(std::string_view field, std::string_view name);
// 1..kQueuesPerReserveMax names; duplicates are left out of `out`.
Violation CheckQueueNames(std::string_view field,
                          const google::protobuf::RepeatedPtrField<std::string>& names,
                          std::vector<std::string>* out);
// 1..kItemsPerCommandMax items.
Violation CheckItems(std::string_view field, int items);
Violation CheckLeases(const google::protobuf::RepeatedPtrField<v1::Lease>& leases, LeaseRefs* out);
Violation CheckJobId(std::string_view field, uint64_t id);
Violation CheckJobIds(const google::protobuf::RepeatedField<uint64_t>& ids,
                      absl::InlinedVector<JobId, 1>* out);
Violation CheckAtMost(std::string_view field, uint64_t value, uint64_t max);
// A state that a job can be in.
Violation CheckState(std::string_view field, v1::JobState state, JobState* out);
// A page size with its default.
Violation CheckPageSize(uint32_t page_size, uint32_t* out);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_VALIDATION_H_
