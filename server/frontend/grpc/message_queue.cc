#include "server/frontend/grpc/message_queue.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "server/frontend/grpc/request_identity.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

constexpr uint64_t kCapMax = (uint64_t{1} << 63) - 1;
constexpr uint8_t kPageTokenVersion = 1;

Violation SetSpan(std::string_view field, bool has, const google::protobuf::Duration& span,
                  const SpanRange& range, LogDuration* out) {
  if (!has) return nullptr;
  LogDuration value;
  if (Violation violation = CheckSpan(field, span, range, &value)) return violation;
  if (value != LogDuration()) *out = value;
  return nullptr;
}

Violation SetRetryPolicy(const v1::RetryPolicy& policy, RetryPolicy* out) {
  out->max_attempts = policy.max_attempts();
  if (Violation violation = SetSpan("queue.retry_policy.backoff_min", policy.has_backoff_min(),
                                    policy.backoff_min(), kBackoffRange, &out->backoff_min)) {
    return violation;
  }
  if (Violation violation = SetSpan("queue.retry_policy.backoff_max", policy.has_backoff_max(),
                                    policy.backoff_max(), kBackoffRange, &out->backoff_max)) {
    return violation;
  }
  if (out->backoff_max != LogDuration() && out->backoff_max < out->backoff_min) {
    return MakeViolation("queue.retry_policy.backoff_max", "is below backoff_min");
  }
  if (policy.multiplier_percent() == 0) return nullptr;
  if (policy.multiplier_percent() < 100 || policy.multiplier_percent() > 1000) {
    return MakeViolation("queue.retry_policy.multiplier_percent",
                         absl::StrCat(policy.multiplier_percent(), " is outside of 100..1000"));
  }
  out->multiplier_percent = policy.multiplier_percent();
  return nullptr;
}

// The option bits that a mask path names; 0: none.
uint32_t FieldsOfPath(std::string_view path) {
  if (path == "*") return kAllQueueOptionFields;
  if (path == "default_lease") return kFieldDefaultLease;
  if (path == "retry_policy") return kFieldRetry;
  if (path == "ttl") return kFieldTtl;
  if (path == "expiry_action") return kFieldOnExpiry;
  if (path == "max_jobs") return kFieldMaxJobs;
  if (path == "max_bytes") return kFieldMaxBytes;
  if (path == "max_reserved") return kFieldMaxReserved;
  if (path == "dedup_window") return kFieldDedupWindow;
  return 0;
}

uint32_t PopulatedFields(const v1::Queue& queue) {
  return (queue.has_default_lease() ? kFieldDefaultLease : 0u) |
         (queue.has_retry_policy() ? kFieldRetry : 0u) | (queue.has_ttl() ? kFieldTtl : 0u) |
         (queue.expiry_action() != v1::EXPIRY_ACTION_UNSPECIFIED ? kFieldOnExpiry : 0u) |
         (queue.max_jobs() != 0 ? kFieldMaxJobs : 0u) |
         (queue.max_bytes() != 0 ? kFieldMaxBytes : 0u) |
         (queue.max_reserved() != 0 ? kFieldMaxReserved : 0u) |
         (queue.has_dedup_window() ? kFieldDedupWindow : 0u);
}

Violation SetOptions(const v1::Queue& queue, QueueOptions* out) {
  if (auto violation = SetSpan("queue.default_lease", queue.has_default_lease(),
                               queue.default_lease(), kLeaseRange, &out->default_lease)) {
    return violation;
  }
  if (auto violation = SetRetryPolicy(queue.retry_policy(), &out->retry)) return violation;
  if (auto violation = SetSpan("queue.ttl", queue.has_ttl(), queue.ttl(), kTtlRange, &out->ttl)) {
    return violation;
  }
  if (queue.expiry_action() < v1::EXPIRY_ACTION_UNSPECIFIED ||
      queue.expiry_action() > v1::EXPIRY_ACTION_DELETE) {
    return MakeViolation("queue.expiry_action",
                         absl::StrCat(static_cast<int>(queue.expiry_action()),
                                      " is no ExpiryAction (BURY, DELETE)"));
  }
  out->on_expiry = queue.expiry_action() == v1::EXPIRY_ACTION_DELETE ? ExpiryAction::kDelete
                                                                     : ExpiryAction::kBury;
  if (auto violation = CheckAtMost("queue.max_jobs", queue.max_jobs(), kCapMax)) {
    return violation;
  }
  if (auto violation = CheckAtMost("queue.max_bytes", queue.max_bytes(), kCapMax)) {
    return violation;
  }
  if (auto violation = CheckAtMost("queue.max_reserved", queue.max_reserved(), kCapMax)) {
    return violation;
  }
  out->max_jobs = queue.max_jobs();
  out->max_bytes = queue.max_bytes();
  out->max_reserved = queue.max_reserved();
  return SetSpan("queue.dedup_window", queue.has_dedup_window(), queue.dedup_window(),
                 kDedupWindowRange, &out->dedup_window);
}

}  // namespace

Violation ToCommand(const v1::UpdateQueueRequest& request, Command* out) {
  auto& command = out->body.emplace<PutQueueOptionsCommand>();
  if (Violation violation = CheckQueueName("queue.name", request.queue().name())) {
    return violation;
  }
  command.queue = request.queue().name();
  command.fields = 0;
  for (int i = 0; i < request.update_mask().paths_size(); ++i) {
    const std::string& path = request.update_mask().paths(i);
    const uint32_t fields = FieldsOfPath(path);
    if (fields == 0) {
      return MakeViolation(
          absl::StrCat("update_mask.paths[", i, "]"),
          absl::StrCat("\"", absl::CHexEscape(path.substr(0, 64)), "\" is no option of a queue"));
    }
    command.fields |= fields;
  }
  if (request.update_mask().paths_size() == 0) command.fields = PopulatedFields(request.queue());
  return SetOptions(request.queue(), &command.options);
}

Violation ToCommand(const v1::PauseQueueRequest& request, Command* out) {
  auto& command = out->body.emplace<PauseQueueCommand>();
  if (Violation violation = CheckQueueName("queue", request.queue())) return violation;
  command.queue = request.queue();
  command.duration = LogDuration::Max();
  command.existence = request.allow_missing() ? Existence::kCreate : Existence::kRequire;
  if (!request.has_duration()) return nullptr;
  return CheckSpan("duration", request.duration(), kPauseRange, &command.duration);
}

Violation ToCommand(const v1::PurgeQueueRequest& request, Command* out) {
  auto& command = out->body.emplace<PurgeQueueCommand>();
  if (Violation violation = CheckQueueName("queue", request.queue())) return violation;
  command.queue = request.queue();
  if (request.states_size() > 0) command.states = 0;
  for (int i = 0; i < request.states_size(); ++i) {
    JobState state;
    if (Violation violation = CheckState("states", request.states(i), &state)) {
      violation->field = absl::StrCat("states[", i, "]");
      return violation;
    }
    command.states = static_cast<uint8_t>(command.states | (1u << static_cast<int>(state)));
  }
  return ReadRequestIdentity("PurgeQueue", request.queue(), request, &out->request);
}

Violation ToCommand(const v1::DeleteQueueRequest& request, Command* out) {
  auto& command = out->body.emplace<DeleteQueueCommand>();
  if (Violation violation = CheckQueueName("name", request.name())) return violation;
  command.queue = request.name();
  return ReadRequestIdentity("DeleteQueue", request.name(), request, &out->request);
}

Violation ToCommand(const v1::KickRequest& request, Command* out) {
  auto& command = out->body.emplace<KickCommand>();
  if (Violation violation = CheckQueueName("queue", request.queue())) return violation;
  command.queue = request.queue();
  const uint32_t max = request.request_id().empty() ? 1'000'000 : kKickMax;
  if (request.max_jobs() == 0 || request.max_jobs() > max) {
    return MakeViolation("max_jobs", absl::StrCat(request.max_jobs(), " is outside of 1..", max));
  }
  command.bound = std::min(request.max_jobs(), kKickMax);
  switch (request.from()) {
    case v1::KICK_FROM_UNSPECIFIED:
    case v1::KICK_FROM_BURIED_ELSE_DELAYED:
      command.from = KickFrom::kBuriedElseDelayed;
      break;
    case v1::KICK_FROM_BURIED:
      command.from = KickFrom::kBuried;
      break;
    case v1::KICK_FROM_DELAYED:
      command.from = KickFrom::kDelayed;
      break;
    default:
      return MakeViolation("from", absl::StrCat(static_cast<int>(request.from()),
                                                " is no KickFrom (BURIED_ELSE_DELAYED, BURIED, "
                                                "DELAYED)"));
  }
  return ReadRequestIdentity("Kick", request.queue(), request, &out->request);
}

Violation ToCommand(const v1::KickJobsRequest& request, Command* out) {
  auto& command = out->body.emplace<KickJobsCommand>();
  if (Violation violation = CheckJobIds(request.job_ids(), &command.jobs)) return violation;
  return ReadRequestIdentity("KickJobs", "", request, &out->request);
}

Violation ToCommand(const v1::DeleteJobsRequest& request, Command* out) {
  auto& command = out->body.emplace<DeleteJobCommand>();
  command.reserved = request.cancel_reserved() ? ReservedJobs::kCancel : ReservedJobs::kRefuse;
  if (Violation violation = CheckJobIds(request.job_ids(), &command.jobs)) return violation;
  return ReadRequestIdentity("DeleteJobs", "", request, &out->request);
}

std::string JobPageToken(std::string_view queue, JobState state, SetKey last) {
  std::string bytes;
  PutFixed8(&bytes, kPageTokenVersion);
  PutFixed8(&bytes, static_cast<uint8_t>(state));
  PutBytes(&bytes, queue);
  PutVarint(&bytes, last.key);
  PutVarint(&bytes, last.id);
  return absl::WebSafeBase64Escape(bytes);
}

Violation ParseJobPageToken(std::string_view token, std::string_view queue, JobState state,
                            SetKey* after) {
  if (token.empty()) return nullptr;
  std::string bytes;
  uint8_t version = 0, token_state = 0;
  std::string_view token_queue;
  if (!absl::WebSafeBase64Unescape(std::string(token), &bytes)) {
    return MakeViolation("page_token", "was not made by this method");
  }
  ByteReader reader(bytes);
  reader.Fixed8(&version);
  reader.Fixed8(&token_state);
  reader.Bytes(&token_queue);
  reader.Varint(&after->key);
  reader.Varint(&after->id);
  if (!reader.Done() || version != kPageTokenVersion) {
    return MakeViolation("page_token", "was not made by this method");
  }
  if (token_state != static_cast<uint8_t>(state) || token_queue != queue) {
    return MakeViolation("page_token", "was made for another queue or state");
  }
  return nullptr;
}

std::string QueuePageToken(std::string_view prefix, std::string_view last) {
  std::string bytes;
  PutFixed8(&bytes, kPageTokenVersion);
  PutBytes(&bytes, prefix);
  PutBytes(&bytes, last);
  return absl::WebSafeBase64Escape(bytes);
}

Violation ParseQueuePageToken(std::string_view token, std::string_view prefix, std::string* after) {
  if (token.empty()) return nullptr;
  std::string bytes;
  uint8_t version = 0;
  std::string_view token_prefix, last;
  if (!absl::WebSafeBase64Unescape(std::string(token), &bytes)) {
    return MakeViolation("page_token", "was not made by this method");
  }
  ByteReader reader(bytes);
  reader.Fixed8(&version);
  reader.Bytes(&token_prefix);
  reader.Bytes(&last);
  if (!reader.Done() || version != kPageTokenVersion) {
    return MakeViolation("page_token", "was not made by this method");
  }
  if (token_prefix != prefix) {
    return MakeViolation("page_token", "was made for another prefix");
  }
  after->assign(last);
  return nullptr;
}

}  // namespace holdfast
