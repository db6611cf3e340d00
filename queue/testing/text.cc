#include "queue/testing/text.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>
#include <tuple>

#include "base/check.h"

namespace holdfast {
namespace {

// More are told by their number and the last one, unless the full text is wanted.
constexpr size_t kBriefItems = 50;

const char* const kStateTexts[] = {"ready", "delayed", "reserved", "buried"};
const char* const kReasonTexts[] = {"none", "by_worker", "attempts_exhausted", "expired"};
const char* const kCodeTexts[] = {"ok",
                                  "nothing_ready",
                                  "job_not_found",
                                  "queue_not_found",
                                  "lease_invalid",
                                  "reserved",
                                  "not_kickable",
                                  "queue_full_jobs",
                                  "queue_full_bytes",
                                  "reserved_cap",
                                  "holder_gone",
                                  "session_expired",
                                  "outcome_forgotten",
                                  "request_table_full",
                                  "session_table_full",
                                  "too_many_queues",
                                  "invalid_argument",
                                  "partial",
                                  "record_changed"};
const char* const kWhyTexts[] = {"expired", "deleted", "purged", "holder_closed"};

void AppendFullJob(std::ostringstream& out, const Job& job) {
  out << " queue=" << job.queue.value() << " delay=" << DurationText(job.delay)
      << " lease=" << DurationText(job.lease) << " created=" << TimeText(job.created)
      << " reserves=" << job.reserves << " timeouts=" << job.timeouts
      << " releases=" << job.releases << " buries=" << job.buries << " kicks=" << job.kicks
      << " bytes=" << job.payload_size_bytes << " digest=" << job.payload_digest;
  if (job.state == JobState::kReserved) {
    out << " current_lease=" << DurationText(job.current_lease);
  }
}

bool ShowsState(const CommandBody& body) {
  return !std::holds_alternative<DeleteCommand>(body) &&
         !std::holds_alternative<DeleteJobCommand>(body);
}

bool ShowsCount(const CommandBody& body) {
  return std::holds_alternative<KickCommand>(body) ||
         std::holds_alternative<PurgeQueueCommand>(body) ||
         std::holds_alternative<DeleteQueueCommand>(body) ||
         std::holds_alternative<PutClusterRecordCommand>(body);
}

void AppendItem(std::ostringstream& out, const CommandBody& body, const ItemOutcome& item) {
  out << "\n ";
  if (item.code != OutcomeCode::kOk) {
    out << " " << CodeText(item.code);
    return;
  }
  out << " " << item.job.value();
  if (item.deduplicated) {
    out << " deduplicated";
  } else if (ShowsState(body)) {
    out << " " << StateText(item.state);
    if (item.due != LogTime()) out << " " << TimeText(item.due);
  }
}

}  // namespace

std::string_view Intern(std::string_view text) {
  static auto* const table = new std::set<std::string, std::less<>>();
  const auto it = table->find(text);
  return it == table->end() ? *table->emplace(text).first : *it;
}

std::vector<std::string> SplitWords(std::string_view line, char separator) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : line) {
    if (c != separator) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

std::string DurationText(LogDuration duration) {
  if (duration == LogDuration::Max()) return "forever";
  const int64_t micros = duration.micros();
  char text[48];
  std::snprintf(text, sizeof(text), "%s%lld.%06lld", micros < 0 ? "-" : "",
                static_cast<long long>(std::abs(micros) / 1'000'000),
                static_cast<long long>(std::abs(micros) % 1'000'000));
  std::string trimmed = text;
  while (trimmed.back() == '0') trimmed.pop_back();
  if (trimmed.back() == '.') trimmed.pop_back();
  return trimmed + "s";
}

std::string TimeText(LogTime time) {
  if (time == LogTime()) return "unset";
  if (time == LogTime::Never()) return "never";
  if (time < kTestOrigin) return DurationText(time - kTestOrigin);
  return "+" + DurationText(time - kTestOrigin);
}

std::optional<LogDuration> ParseDuration(std::string_view text) {
  if (text == "forever") return LogDuration::Max();
  if (text == "0") return LogDuration();
  double value = 0;
  char unit[4] = {};
  if (std::sscanf(std::string(text).c_str(), "%lf%3s", &value, unit) != 2) return std::nullopt;
  double micros = 0;
  for (const auto& [name, factor] : {std::pair<std::string_view, double>("us", 1),
                                     {"ms", 1e3},
                                     {"s", 1e6},
                                     {"m", 60e6},
                                     {"h", 3600e6},
                                     {"d", 86'400e6}}) {
    if (name == unit) micros = factor;
  }
  if (micros == 0) return std::nullopt;
  const double rounding = value < 0 ? -0.5 : 0.5;
  return LogDuration::Micros(static_cast<int64_t>(value * micros + rounding));
}

const char* StateText(JobState state) { return kStateTexts[static_cast<int>(state)]; }

const char* CodeText(OutcomeCode code) { return kCodeTexts[static_cast<int>(code)]; }

std::string HolderText(const Holder& holder) {
  if (holder.none()) return "none";
  return std::to_string(holder.node.value()) + "/" + std::to_string(holder.incarnation) + "/" +
         std::to_string(holder.n);
}

std::string JobText(const Job& job, Detail detail) {
  std::ostringstream out;
  out << job.id.value() << " " << StateText(job.state);
  if (job.state != JobState::kReady) out << " " << TimeText(job.due);
  if (job.state == JobState::kBuried) {
    out << " " << kReasonTexts[static_cast<int>(job.buried_reason)];
  }
  out << " priority=" << job.priority << " token=" << job.token.value();
  if (job.state == JobState::kReserved) out << " holder=" << HolderText(job.holder);
  if (job.attempts != 0) out << " attempts=" << job.attempts;
  if (job.failures != 0) out << " failures=" << job.failures;
  if (job.expires != LogTime::Never()) out << " expires=" << TimeText(job.expires);
  if (detail == Detail::kFull) AppendFullJob(out, job);
  return out.str();
}

std::string OptionsText(const QueueOptions& options) {
  std::ostringstream out;
  out << "default_lease=" << DurationText(options.default_lease)
      << " retry=" << options.retry.max_attempts << ":" << DurationText(options.retry.backoff_min)
      << ":" << DurationText(options.retry.backoff_max) << ":" << options.retry.multiplier_percent
      << " ttl=" << DurationText(options.ttl)
      << " on_expiry=" << (options.on_expiry == ExpiryAction::kBury ? "bury" : "delete")
      << " max_jobs=" << options.max_jobs << " max_bytes=" << options.max_bytes
      << " max_reserved=" << options.max_reserved
      << " dedup_window=" << DurationText(options.dedup_window);
  return out.str();
}

std::string QueueText(const QueueRecord& queue) {
  std::ostringstream out;
  out << queue.name << " id=" << queue.id.value();
  for (int state = 0; state < kJobStates; ++state) {
    out << " " << kStateTexts[state] << "=" << queue.counts[state];
  }
  out << " urgent=" << queue.urgent << " bytes=" << queue.bytes << " ttl=" << queue.ttl_count
      << " dedup=" << queue.dedup_count << " enqueued=" << queue.total_enqueued
      << " deleted=" << queue.total_deleted << " timeouts=" << queue.total_timeouts
      << " pauses=" << queue.total_pauses << " created=" << TimeText(queue.created);
  if (queue.idle_since != LogTime()) out << " idle_since=" << TimeText(queue.idle_since);
  if (queue.paused_until != LogTime()) {
    out << " pause=" << DurationText(queue.pause)
        << " paused_until=" << TimeText(queue.paused_until);
  }
  if (queue.has_options) out << "\n  " << OptionsText(queue.options);
  return out.str();
}

std::string OutcomeText(const CommandBody& body, const Outcome& outcome, Detail detail) {
  std::ostringstream out;
  out << CodeText(outcome.code);
  if (outcome.replayed) out << " replayed";
  const bool moved_jobs = ShowsCount(body) && outcome.items.empty() && outcome.grants.empty();
  if (moved_jobs && outcome.code == OutcomeCode::kOk) out << " count=" << outcome.count;
  if (outcome.more) out << " more";
  if (outcome.session != SessionId()) out << " session=" << outcome.session.value();
  if (detail == Detail::kBrief && outcome.items.size() > kBriefItems) {
    out << "\n  " << outcome.items.size() << " items, the last one:";
    AppendItem(out, body, outcome.items.back());
  } else {
    for (const ItemOutcome& item : outcome.items) AppendItem(out, body, item);
  }
  for (const Grant& grant : outcome.grants) {
    out << "\n  " << grant.queue << " " << JobText(grant.job, detail);
  }
  return out.str();
}

std::string EndedLeasesText(std::vector<Machine::EndedLease> ended) {
  const auto key = [](const Machine::EndedLease& lease) {
    return std::pair(lease.job, lease.token);
  };
  std::sort(ended.begin(), ended.end(),
            [&key](const auto& a, const auto& b) { return key(a) < key(b); });
  std::ostringstream out;
  for (const Machine::EndedLease& lease : ended) {
    out << lease.job.value() << "/" << lease.token.value() << " " << HolderText(lease.holder) << " "
        << kWhyTexts[static_cast<int>(lease.why)] << "\n";
  }
  return out.str();
}

}  // namespace holdfast
