#include "server/frontend/grpc/message_enqueue.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/codec/payload_codec.h"
#include "server/frontend/grpc/request_identity.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

constexpr uint32_t kPriorityDefault = 1024;
// What a job's record and framing take in a command, roughly.
constexpr size_t kJobBytesHint = 48;

Violation CheckAttributes(const v1::JobSpec& job, PayloadView* payload) {
  const auto& attributes = job.attributes();
  if (attributes.size() > kAttributesMax) {
    return MakeViolation("attributes", absl::StrCat("has ", attributes.size(), " pairs, more than ",
                                                    kAttributesMax));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : attributes) {
    if (name.empty() || name.size() > 255) {
      return MakeViolation("attributes",
                           absl::StrCat("has a key of ", name.size(), " bytes, outside of 1..255"));
    }
    bytes += name.size() + value.size();
    payload->attributes.push_back({name, value});
  }
  if (bytes > kAttributeBytesMax) {
    return MakeViolation("attributes",
                         absl::StrCat("has ", bytes, " bytes, more than ", kAttributeBytesMax));
  }
  // A map has no order; equal jobs shall be equal bytes.
  std::sort(payload->attributes.begin(), payload->attributes.end(),
            [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  return nullptr;
}

Violation CheckJob(const v1::JobSpec& job, size_t body_bytes_max, JobSpec* spec,
                   PayloadView* payload) {
  if (job.body().size() > body_bytes_max) {
    return MakeViolation(
        "body", absl::StrCat("has ", job.body().size(), " bytes, more than ", body_bytes_max));
  }
  payload->body = job.body();
  if (!job.attributes().empty()) {
    if (Violation violation = CheckAttributes(job, payload)) return violation;
  }
  if (job.dedup_key().size() > kDedupKeyBytesMax) {
    return MakeViolation("dedup_key", absl::StrCat("has ", job.dedup_key().size(),
                                                   " bytes, more than ", kDedupKeyBytesMax));
  }
  payload->dedup_key = job.dedup_key();
  spec->dedup_key = job.dedup_key();
  spec->priority = job.has_priority() ? job.priority() : kPriorityDefault;
  if (job.has_delay()) {
    if (auto violation = CheckSpan("delay", job.delay(), kDelayRange, &spec->delay)) {
      return violation;
    }
  }
  if (job.has_lease()) {
    if (auto violation = CheckSpan("lease", job.lease(), kLeaseRange, &spec->lease)) {
      return violation;
    }
  }
  if (job.has_ttl()) {
    if (auto violation = CheckSpan("ttl", job.ttl(), kTtlRange, &spec->ttl)) return violation;
  }
  if (job.has_dedup_window()) {
    if (auto violation =
            CheckSpan("dedup_window", job.dedup_window(), kDedupWindowRange, &spec->dedup_window)) {
      return violation;
    }
  }
  spec->buried = job.buried();
  return nullptr;
}

// Request: EnqueueRequest or EnqueueStreamRequest.
template <class Request>
Violation Encode(const Request& request, size_t body_bytes_max,
                 std::optional<EnqueueEncoder>* out) {
  const std::string& queue = request.queue();
  const auto& jobs = request.jobs();
  RequestIdentity identity;
  if (Violation violation = CheckQueueName("queue", queue)) return violation;
  if (Violation violation = CheckItems("jobs", jobs.size())) return violation;
  if (Violation violation = ReadRequestIdentity("Enqueue", queue, request, &identity)) {
    return violation;
  }
  size_t bytes_hint = queue.size() + kJobBytesHint;
  for (const v1::JobSpec& job : jobs) bytes_hint += job.body().size() + kJobBytesHint;
  out->emplace(identity, queue, bytes_hint);
  for (int i = 0; i < jobs.size(); ++i) {
    JobSpec spec;
    PayloadView payload;
    if (Violation violation = CheckJob(jobs[i], body_bytes_max, &spec, &payload)) {
      violation->field = absl::StrCat("jobs[", i, "].", violation->field);
      return violation;
    }
    (*out)->Add(spec, payload);
  }
  return nullptr;
}

}  // namespace

Violation EncodeEnqueue(const v1::EnqueueRequest& request, size_t body_bytes_max,
                        std::optional<EnqueueEncoder>* out) {
  return Encode(request, body_bytes_max, out);
}

Violation EncodeEnqueue(const v1::EnqueueStreamRequest& request, size_t body_bytes_max,
                        std::optional<EnqueueEncoder>* out) {
  return Encode(request, body_bytes_max, out);
}

void FillEnqueueResults(const Outcome& outcome,
                        google::protobuf::RepeatedPtrField<v1::EnqueueResult>* out) {
  out->Reserve(static_cast<int>(outcome.items.size()));
  for (const ItemOutcome& item : outcome.items) {
    v1::EnqueueResult* result = out->Add();
    if (item.code == OutcomeCode::kOk) {
      result->set_job_id(item.job.value());
      result->set_deduplicated(item.deduplicated);
    } else {
      FailureOf(item.code).Fill(result->mutable_error());
    }
  }
}

}  // namespace holdfast
