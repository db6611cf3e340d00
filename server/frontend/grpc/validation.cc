#include "server/frontend/grpc/validation.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/string_hash.h"

namespace holdfast {
namespace {

std::string SpanText(LogDuration span) {
  return absl::FormatDuration(absl::Microseconds(span.micros()));
}

Violation SpanViolation(std::string_view field, const google::protobuf::Duration& span,
                        const SpanRange& range) {
  std::string bound = absl::StrCat("outside of ", SpanText(range.min), "..", SpanText(range.max));
  if (range.zero_is_unset && range.min > LogDuration()) absl::StrAppend(&bound, " (or 0)");
  return MakeViolation(std::string(field), absl::StrFormat("%d s and %d ns is %s", span.seconds(),
                                                           span.nanos(), bound));
}

}  // namespace

Violation CheckSpan(std::string_view field, const google::protobuf::Duration& span,
                    const SpanRange& range, LogDuration* out) {
  // Also refuses what is not a Duration: nanos out of range or of the other sign.
  if (span.seconds() < 0 || span.seconds() > range.max.micros() / 1'000'000 || span.nanos() < 0 ||
      span.nanos() > 999'999'999) {
    return SpanViolation(field, span, range);
  }
  const auto micros = LogDuration::Micros(span.seconds() * 1'000'000 + (span.nanos() + 999) / 1000);
  const bool zero_allowed = range.zero_is_unset && micros == LogDuration();
  if (!zero_allowed && (micros < range.min || micros > range.max)) {
    return SpanViolation(field, span, range);
  }
  *out = micros;
  return nullptr;
}

Violation CheckQueueName(std::string_view field, std::string_view name) {
  if (IsValidQueueName(name)) return nullptr;
  if (name.empty()) return MakeViolation(std::string(field), "is empty, and is required");
  if (name.size() > kQueueNameBytesMax) {
    return MakeViolation(std::string(field), absl::StrCat("has ", name.size(), " bytes, more than ",
                                                          kQueueNameBytesMax));
  }
  return MakeViolation(std::string(field),
                       absl::StrCat("\"", absl::CHexEscape(std::string(name)),
                                    "\" has a byte other than A-Z a-z 0-9 - + / ; . $ _ ( ), or "
                                    "starts with \"-\""));
}

Violation CheckQueueNames(std::string_view field,
                          const google::protobuf::RepeatedPtrField<std::string>& names,
                          std::vector<std::string>* out) {
  if (names.empty()) return MakeViolation(std::string(field), "is empty, and is required");
  if (static_cast<size_t>(names.size()) > kQueuesPerReserveMax) {
    return MakeViolation(
        std::string(field),
        absl::StrCat("has ", names.size(), " names, more than ", kQueuesPerReserveMax));
  }
  out->clear();
  out->reserve(static_cast<size_t>(names.size()));
  absl::flat_hash_set<std::string_view, StringHash, std::equal_to<>> seen;
  for (int i = 0; i < names.size(); ++i) {
    if (Violation violation = CheckQueueName(field, names[i])) {
      violation->field += absl::StrCat("[", i, "]");
      return violation;
    }
    if (names.size() == 1 || seen.insert(names[i]).second) out->push_back(names[i]);
  }
  return nullptr;
}

Violation CheckItems(std::string_view field, int items) {
  if (items > 0 && static_cast<size_t>(items) <= kItemsPerCommandMax) return nullptr;
  if (items == 0) return MakeViolation(std::string(field), "is empty, and is required");
  return MakeViolation(std::string(field),
                       absl::StrCat("has ", items, " items, more than ", kItemsPerCommandMax));
}

Violation CheckLeases(const google::protobuf::RepeatedPtrField<v1::Lease>& leases, LeaseRefs* out) {
  if (Violation violation = CheckItems("leases", leases.size())) return violation;
  out->clear();
  out->reserve(static_cast<size_t>(leases.size()));
  for (int i = 0; i < leases.size(); ++i) {
    const v1::Lease& lease = leases[i];
    if (lease.job_id() == 0 || lease.job_id() >= kJobIdEnd) {
      return MakeViolation(absl::StrCat("leases[", i, "].job_id"),
                           absl::StrCat(lease.job_id(), " is outside of 1..2^53-1"));
    }
    if (lease.token() == 0) {
      return MakeViolation(absl::StrCat("leases[", i, "].token"), "is 0, and is required");
    }
    out->push_back({JobId(lease.job_id()), LeaseToken(lease.token())});
  }
  return nullptr;
}

Violation CheckJobId(std::string_view field, uint64_t id) {
  if (id > 0 && id < kJobIdEnd) return nullptr;
  return MakeViolation(std::string(field), absl::StrCat(id, " is outside of 1..2^53-1"));
}

Violation CheckJobIds(const google::protobuf::RepeatedField<uint64_t>& ids,
                      absl::InlinedVector<JobId, 1>* out) {
  if (Violation violation = CheckItems("job_ids", ids.size())) return violation;
  out->clear();
  out->reserve(static_cast<size_t>(ids.size()));
  for (int i = 0; i < ids.size(); ++i) {
    if (Violation violation = CheckJobId("job_ids", ids[i])) {
      violation->field = absl::StrCat("job_ids[", i, "]");
      return violation;
    }
    out->push_back(JobId(ids[i]));
  }
  return nullptr;
}

Violation CheckAtMost(std::string_view field, uint64_t value, uint64_t max) {
  if (value <= max) return nullptr;
  return MakeViolation(std::string(field), absl::StrCat(value, " is more than ", max));
}

Violation CheckState(std::string_view field, v1::JobState state, JobState* out) {
  switch (state) {
    case v1::JOB_STATE_READY:
      *out = JobState::kReady;
      return nullptr;
    case v1::JOB_STATE_DELAYED:
      *out = JobState::kDelayed;
      return nullptr;
    case v1::JOB_STATE_RESERVED:
      *out = JobState::kReserved;
      return nullptr;
    case v1::JOB_STATE_BURIED:
      *out = JobState::kBuried;
      return nullptr;
    default:
      return MakeViolation(
          std::string(field),
          absl::StrCat(static_cast<int>(state),
                       " is no state of a job (READY, DELAYED, RESERVED, BURIED)"));
  }
}

Violation CheckPageSize(uint32_t page_size, uint32_t* out) {
  if (Violation violation = CheckAtMost("page_size", page_size, kPageSizeMax)) return violation;
  *out = page_size == 0 ? kPageSizeDefault : page_size;
  return nullptr;
}

}  // namespace holdfast
