#include "server/frontend/beanstalk/stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/frontend/beanstalk/reply.h"

namespace holdfast::beanstalk {
namespace {

constexpr std::string_view kStateNames[] = {"ready", "delayed", "reserved", "buried"};

uint64_t Seconds(LogDuration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(duration.micros(), 0)) / 1'000'000;
}

uint64_t SecondsUntil(LogTime when, LogTime now) { return when <= now ? 0 : Seconds(when - now); }

uint64_t CountOf(const uint64_t (&counts)[kJobStates], JobState state) {
  return counts[static_cast<int>(state)];
}

void AddJobCounts(uint64_t urgent, const uint64_t (&counts)[kJobStates], Yaml* out) {
  out->Number("current-jobs-urgent", urgent);
  out->Number("current-jobs-ready", CountOf(counts, JobState::kReady));
  out->Number("current-jobs-reserved", CountOf(counts, JobState::kReserved));
  out->Number("current-jobs-delayed", CountOf(counts, JobState::kDelayed));
  out->Number("current-jobs-buried", CountOf(counts, JobState::kBuried));
}

struct CountedCommand {
  std::string_view key;
  Verb verb;
};
constexpr CountedCommand kCountedCommands[] = {
    {"cmd-put", Verb::kPut},
    {"cmd-peek", Verb::kPeek},
    {"cmd-peek-ready", Verb::kPeekReady},
    {"cmd-peek-delayed", Verb::kPeekDelayed},
    {"cmd-peek-buried", Verb::kPeekBuried},
    {"cmd-reserve", Verb::kReserve},
    {"cmd-reserve-with-timeout", Verb::kReserveWithTimeout},
    {"cmd-delete", Verb::kDelete},
    {"cmd-release", Verb::kRelease},
    {"cmd-use", Verb::kUse},
    {"cmd-watch", Verb::kWatch},
    {"cmd-ignore", Verb::kIgnore},
    {"cmd-bury", Verb::kBury},
    {"cmd-kick", Verb::kKick},
    {"cmd-touch", Verb::kTouch},
    {"cmd-stats", Verb::kStats},
    {"cmd-stats-job", Verb::kStatsJob},
    {"cmd-stats-tube", Verb::kStatsTube},
    {"cmd-list-tubes", Verb::kListTubes},
    {"cmd-list-tube-used", Verb::kListTubeUsed},
    {"cmd-list-tubes-watched", Verb::kListTubesWatched},
    {"cmd-pause-tube", Verb::kPauseTube},
};

int64_t Micros(const timeval& time) { return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

}  // namespace

bool IsTube(const QueueRecord& queue, LogTime now) {
  const bool empty = std::all_of(std::begin(queue.counts), std::end(queue.counts),
                                 [](uint64_t count) { return count == 0; });
  return !empty || queue.has_options || queue.paused_until > now;
}

std::string StatsJob(const JobView& view, LogTime now) {
  const Job& job = view.job;
  const bool timed = job.state == JobState::kReserved || job.state == JobState::kDelayed;
  Yaml yaml;
  yaml.Number("id", job.id.value());
  yaml.Quoted("tube", view.queue);
  yaml.Word("state", kStateNames[static_cast<int>(job.state)]);
  yaml.Number("pri", job.priority);
  yaml.Number("age", SecondsUntil(now, job.created));
  yaml.Number("delay", Seconds(job.delay));
  yaml.Number("ttr", Seconds(job.lease));
  yaml.Number("time-left", timed ? SecondsUntil(job.due, now) : 0);
  yaml.Number("file", 0);
  yaml.Number("reserves", job.reserves);
  yaml.Number("timeouts", job.timeouts);
  yaml.Number("releases", job.releases);
  yaml.Number("buries", job.buries);
  yaml.Number("kicks", job.kicks);
  return yaml.text();
}

std::string StatsTube(std::string_view name, const QueueRecord& queue,
                      const TubeTable::Counts& counts, LogTime now) {
  const bool paused = queue.paused_until > now;
  Yaml yaml;
  yaml.Quoted("name", name);
  AddJobCounts(queue.urgent, queue.counts, &yaml);
  yaml.Number("total-jobs", queue.total_enqueued);
  yaml.Number("current-using", counts.users);
  yaml.Number("current-watching", counts.watchers);
  yaml.Number("current-waiting", counts.waiters);
  yaml.Number("cmd-delete", queue.total_deleted);
  yaml.Number("cmd-pause-tube", queue.total_pauses);
  yaml.Number("pause", paused ? Seconds(queue.pause) : 0);
  yaml.Number("pause-time-left", SecondsUntil(queue.paused_until, now));
  return yaml.text();
}

std::string StatsNode(const NodeView& node, const Machine::Totals& totals, uint64_t tubes) {
  Yaml yaml;
  AddJobCounts(totals.urgent_jobs, totals.jobs_by_state, &yaml);
  const Counters& counters = node.counters;
  for (const CountedCommand& command : kCountedCommands) {
    yaml.Number(command.key, counters.commands[static_cast<size_t>(command.verb)]);
  }
  yaml.Number("job-timeouts", totals.timeouts);
  yaml.Number("total-jobs", totals.enqueued);
  yaml.Number("max-job-size", node.job_bytes_max);
  yaml.Number("current-tubes", tubes);
  yaml.Number("current-connections", counters.connections);
  yaml.Number("current-producers", counters.producers);
  yaml.Number("current-workers", counters.workers);
  yaml.Number("current-waiting", counters.waiting);
  yaml.Number("total-connections", counters.connections_ever);
  yaml.Number("pid", static_cast<uint64_t>(getpid()));
  yaml.Quoted("version", node.facts.version);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  yaml.Seconds("rusage-utime", Micros(usage.ru_utime));
  yaml.Seconds("rusage-stime", Micros(usage.ru_stime));
  yaml.Number("uptime",
              static_cast<uint64_t>(absl::ToInt64Seconds(absl::Now() - node.facts.started)));
  yaml.Number("binlog-oldest-index", 0);
  yaml.Number("binlog-current-index", 0);
  yaml.Number("binlog-records-migrated", 0);
  yaml.Number("binlog-records-written", 0);
  yaml.Number("binlog-max-size", node.binlog_bytes_max);
  yaml.Word("draining", node.draining ? "true" : "false");
  yaml.Word("id", node.facts.id);
  yaml.Quoted("hostname", node.facts.hostname);
  yaml.Quoted("os", node.facts.os);
  yaml.Quoted("platform", node.facts.platform);
  return yaml.text();
}

}  // namespace holdfast::beanstalk
