#include "server/frontend/grpc/message_job.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/codec/payload_codec.h"

namespace holdfast {

void FillTime(LogTime time, google::protobuf::Timestamp* out) {
  out->set_seconds(static_cast<int64_t>(time.micros() / 1'000'000));
  out->set_nanos(static_cast<int32_t>(time.micros() % 1'000'000 * 1000));
}

void FillSpan(LogDuration span, google::protobuf::Duration* out) {
  out->set_seconds(span.micros() / 1'000'000);
  out->set_nanos(static_cast<int32_t>(span.micros() % 1'000'000 * 1000));
}

v1::JobState ToMessage(JobState state) {
  return static_cast<v1::JobState>(static_cast<int>(state) + 1);
}
static_assert(static_cast<int>(v1::JOB_STATE_READY) == static_cast<int>(JobState::kReady) + 1);
static_assert(static_cast<int>(v1::JOB_STATE_BURIED) == static_cast<int>(JobState::kBuried) + 1);

static_assert(static_cast<int>(v1::BURIED_REASON_BY_WORKER) ==
              static_cast<int>(BuriedReason::kByWorker));
static_assert(static_cast<int>(v1::BURIED_REASON_ATTEMPTS_EXHAUSTED) ==
              static_cast<int>(BuriedReason::kAttemptsExhausted));
static_assert(static_cast<int>(v1::BURIED_REASON_EXPIRED) ==
              static_cast<int>(BuriedReason::kExpired));

namespace {

absl::Status FillPayload(const Job& job, const PayloadRef& payload, v1::Job* out) {
  const auto view = DecodePayload(payload.bytes);
  if (!view.ok()) {
    return absl::DataLossError(absl::StrCat("the payload of job ", job.id.value(),
                                            " is damaged: ", view.status().message()));
  }
  out->set_body(view->body.data(), view->body.size());
  for (const Attribute& attribute : view->attributes) {
    (*out->mutable_attributes())[std::string(attribute.name)].assign(attribute.value);
  }
  if (!view->dedup_key.empty()) {
    out->set_dedup_key(view->dedup_key.data(), view->dedup_key.size());
  }
  return absl::OkStatus();
}

void FillStateTimes(const Job& job, v1::Job* out) {
  switch (job.state) {
    case JobState::kReady:
      break;
    case JobState::kDelayed:
      FillTime(job.due, out->mutable_ready_time());
      break;
    case JobState::kReserved:
      out->mutable_lease()->set_job_id(job.id.value());
      out->mutable_lease()->set_token(job.token.value());
      FillTime(job.due, out->mutable_lease_expire_time());
      break;
    case JobState::kBuried:
      FillTime(job.due, out->mutable_bury_time());
      out->set_buried_reason(static_cast<v1::BuriedReason>(job.buried_reason));
      break;
  }
}

}  // namespace

absl::Status FillJob(const Job& job, std::string_view queue, const PayloadRef& payload,
                     JobParts parts, v1::Job* out) {
  out->set_id(job.id.value());
  out->set_queue(queue.data(), queue.size());
  out->set_state(ToMessage(job.state));
  out->set_priority(job.priority);
  FillStateTimes(job, out);
  FillSpan(job.state == JobState::kReserved ? job.current_lease : job.lease,
           out->mutable_lease_duration());
  FillTime(job.created, out->mutable_create_time());
  if (job.expires != LogTime::Never()) FillTime(job.expires, out->mutable_expire_time());
  out->set_attempts(job.attempts);
  out->set_failures(job.failures);
  out->set_payload_bytes(job.payload_size_bytes);
  if (parts != JobParts::kHandOut) {
    auto* counters = out->mutable_counters();
    counters->set_reserves(job.reserves);
    counters->set_timeouts(job.timeouts);
    counters->set_releases(job.releases);
    counters->set_buries(job.buries);
    counters->set_kicks(job.kicks);
  }
  if (parts == JobParts::kRecord) return absl::OkStatus();
  return FillPayload(job, payload, out);
}

void FillQueue(const QueueRecord& record, LogTime now, v1::Queue* out) {
  const QueueOptions& options = record.options;
  out->set_name(record.name);
  FillSpan(options.default_lease, out->mutable_default_lease());
  auto* retry = out->mutable_retry_policy();
  retry->set_max_attempts(options.retry.max_attempts);
  if (options.retry.backoff_min > LogDuration()) {
    FillSpan(options.retry.backoff_min, retry->mutable_backoff_min());
  }
  if (options.retry.backoff_max > LogDuration()) {
    FillSpan(options.retry.backoff_max, retry->mutable_backoff_max());
  }
  retry->set_multiplier_percent(options.retry.multiplier_percent);
  if (options.ttl > LogDuration()) FillSpan(options.ttl, out->mutable_ttl());
  out->set_expiry_action(options.on_expiry == ExpiryAction::kDelete ? v1::EXPIRY_ACTION_DELETE
                                                                    : v1::EXPIRY_ACTION_BURY);
  out->set_max_jobs(options.max_jobs);
  out->set_max_bytes(options.max_bytes);
  out->set_max_reserved(options.max_reserved);
  FillSpan(options.dedup_window, out->mutable_dedup_window());
  FillTime(record.created, out->mutable_create_time());
  out->set_paused(record.paused_until > now);
  if (out->paused() && record.paused_until != LogTime::Never()) {
    FillTime(record.paused_until, out->mutable_resume_time());
  }
  auto* counts = out->mutable_counts();
  counts->set_ready(record.counts[static_cast<int>(JobState::kReady)]);
  counts->set_delayed(record.counts[static_cast<int>(JobState::kDelayed)]);
  counts->set_reserved(record.counts[static_cast<int>(JobState::kReserved)]);
  counts->set_buried(record.counts[static_cast<int>(JobState::kBuried)]);
  counts->set_urgent(record.urgent);
  counts->set_bytes(record.bytes);
  counts->set_total_enqueued(record.total_enqueued);
  counts->set_total_deleted(record.total_deleted);
  counts->set_total_timeouts(record.total_timeouts);
}

}  // namespace holdfast
