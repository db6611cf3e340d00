#include "client/cli/job_output.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/values.h"

namespace holdfast {
namespace {

using nlohmann::json;

bool IsUtf8(const std::string& text) {
  const json probe = text;
  return json::accept(probe.dump(-1, ' ', false, json::error_handler_t::ignore)) &&
         json::parse(probe.dump(-1, ' ', false, json::error_handler_t::replace)) == probe;
}

std::string DurationText(const google::protobuf::Duration& duration) {
  return absl::FormatDuration(FromProto(duration));
}

// One "name: value" line, nothing if there is no value.
void AppendLine(std::string* out, const char* name, const std::string& value) {
  if (!value.empty()) absl::StrAppend(out, name, ": ", value, "\n");
}

std::string Number(uint64_t value) { return value == 0 ? "" : absl::StrCat(value); }

}  // namespace

json JobJson(const v1::Job& job) {
  json out = {{"id", job.id()},
              {"queue", job.queue()},
              {"state", StateText(job.state())},
              {"priority", job.priority()},
              {"attempts", job.attempts()},
              {"failures", job.failures()},
              {"payload_bytes", job.payload_bytes()},
              {"attributes", json::object()}};
  for (const auto& [name, value] : job.attributes()) out["attributes"][name] = value;
  if (!job.dedup_key().empty()) out["dedup_key"] = job.dedup_key();
  if (job.has_lease()) {
    out["lease"] = LeaseText(job.lease());
    out["token"] = job.lease().token();
    out["lease_expire_time"] = TimeText(job.lease_expire_time());
  }
  out["lease_duration"] = DurationText(job.lease_duration());
  out["create_time"] = TimeText(job.create_time());
  if (job.has_ready_time()) out["ready_time"] = TimeText(job.ready_time());
  if (job.has_expire_time()) out["expire_time"] = TimeText(job.expire_time());
  if (job.has_bury_time()) out["bury_time"] = TimeText(job.bury_time());
  if (job.state() == v1::JOB_STATE_BURIED) out["buried_reason"] = ReasonText(job.buried_reason());
  if (IsUtf8(job.body())) {
    out["body"] = job.body();
  } else {
    out["body_base64"] = absl::Base64Escape(job.body());
  }
  return out;
}

std::string JobText(const v1::Job& job) {
  std::string out;
  AppendLine(&out, "id", absl::StrCat(job.id()));
  AppendLine(&out, "queue", job.queue());
  AppendLine(&out, "state", StateText(job.state()));
  if (job.state() == v1::JOB_STATE_BURIED) {
    AppendLine(&out, "reason", ReasonText(job.buried_reason()));
  }
  if (job.has_lease()) {
    AppendLine(&out, "lease", LeaseText(job.lease()));
    AppendLine(&out, "lease ends", TimeText(job.lease_expire_time()));
  }
  AppendLine(&out, "priority", absl::StrCat(job.priority()));
  AppendLine(&out, "created", TimeText(job.create_time()));
  AppendLine(&out, "ready at", TimeText(job.ready_time()));
  AppendLine(&out, "expires", TimeText(job.expire_time()));
  AppendLine(&out, "buried at", TimeText(job.bury_time()));
  AppendLine(&out, "attempts", Number(job.attempts()));
  AppendLine(&out, "failures", Number(job.failures()));
  AppendLine(&out, "dedup key", job.dedup_key());
  for (const auto& [name, value] : job.attributes()) {
    AppendLine(&out, ("attribute " + name).c_str(), value);
  }
  return out;
}

json QueueJson(const v1::Queue& queue) {
  const v1::QueueCounts& counts = queue.counts();
  const v1::RetryPolicy& retry = queue.retry_policy();
  json out = {
      {"name", queue.name()},
      {"default_lease", DurationText(queue.default_lease())},
      {"retry_policy",
       {{"max_attempts", retry.max_attempts()},
        {"backoff_min", DurationText(retry.backoff_min())},
        {"backoff_max", DurationText(retry.backoff_max())},
        {"multiplier_percent", retry.multiplier_percent()}}},
      {"ttl", DurationText(queue.ttl())},
      {"expiry_action", queue.expiry_action() == v1::EXPIRY_ACTION_DELETE ? "delete" : "bury"},
      {"max_jobs", queue.max_jobs()},
      {"max_bytes", queue.max_bytes()},
      {"max_reserved", queue.max_reserved()},
      {"dedup_window", DurationText(queue.dedup_window())},
      {"create_time", TimeText(queue.create_time())},
      {"paused", queue.paused()},
      {"counts",
       {{"ready", counts.ready()},
        {"delayed", counts.delayed()},
        {"reserved", counts.reserved()},
        {"buried", counts.buried()},
        {"urgent", counts.urgent()},
        {"bytes", counts.bytes()},
        {"total_enqueued", counts.total_enqueued()},
        {"total_deleted", counts.total_deleted()},
        {"total_timeouts", counts.total_timeouts()}}}};
  if (queue.has_resume_time()) out["resume_time"] = TimeText(queue.resume_time());
  return out;
}

std::string QueueText(const v1::Queue& queue) {
  const v1::QueueCounts& counts = queue.counts();
  const v1::RetryPolicy& retry = queue.retry_policy();
  std::string out;
  AppendLine(&out, "queue", queue.name());
  AppendLine(&out, "ready", absl::StrCat(counts.ready()));
  AppendLine(&out, "delayed", absl::StrCat(counts.delayed()));
  AppendLine(&out, "reserved", absl::StrCat(counts.reserved()));
  AppendLine(&out, "buried", absl::StrCat(counts.buried()));
  AppendLine(&out, "bytes", absl::StrCat(counts.bytes()));
  AppendLine(&out, "enqueued in all", absl::StrCat(counts.total_enqueued()));
  AppendLine(&out, "deleted in all", absl::StrCat(counts.total_deleted()));
  AppendLine(&out, "timeouts in all", absl::StrCat(counts.total_timeouts()));
  if (queue.paused()) {
    AppendLine(&out, "paused until",
               queue.has_resume_time() ? TimeText(queue.resume_time()) : "resumed");
  }
  AppendLine(&out, "default lease", DurationText(queue.default_lease()));
  AppendLine(&out, "max attempts", Number(retry.max_attempts()));
  AppendLine(
      &out, "backoff",
      absl::StrCat(DurationText(retry.backoff_min()), " to ", DurationText(retry.backoff_max()),
                   ", x", retry.multiplier_percent(), "%"));
  if (FromProto(queue.ttl()) > absl::ZeroDuration()) {
    AppendLine(
        &out, "ttl",
        absl::StrCat(DurationText(queue.ttl()), ", then ",
                     queue.expiry_action() == v1::EXPIRY_ACTION_DELETE ? "deleted" : "buried"));
  }
  AppendLine(&out, "max jobs", Number(queue.max_jobs()));
  AppendLine(&out, "max bytes", Number(queue.max_bytes()));
  AppendLine(&out, "max reserved", Number(queue.max_reserved()));
  AppendLine(&out, "dedup window", DurationText(queue.dedup_window()));
  return out;
}

}  // namespace holdfast
