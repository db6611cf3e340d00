#include "queue/testing/oracle.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr LogDuration kDay = LogDuration::Seconds(86'400);
constexpr uint32_t kUrgentBelow = 1024;

Outcome Just(OutcomeCode code) {
  Outcome outcome;
  outcome.code = code;
  return outcome;
}

// The code of the whole follows from the codes of its items.
Outcome Summed(Outcome outcome) {
  for (const ItemOutcome& item : outcome.items) {
    if (item.code != outcome.items[0].code) {
      outcome.code = OutcomeCode::kPartial;
      return outcome;
    }
    outcome.code = item.code;
  }
  return outcome;
}

ItemOutcome Refused(JobId job, OutcomeCode code) {
  ItemOutcome item;
  item.code = code;
  item.job = job;
  return item;
}

ItemOutcome Done(const Job& job) {
  ItemOutcome item;
  item.job = job.id;
  item.state = job.state;
  if (job.state == JobState::kDelayed || job.state == JobState::kReserved) item.due = job.due;
  return item;
}

// min(backoff_max, backoff_min * multiplier^(n-1)) for the n-th failure.
LogDuration Backoff(const RetryPolicy& retry, uint32_t n) {
  LogDuration most = kDay;
  if (retry.backoff_max > LogDuration()) most = retry.backoff_max;
  unsigned __int128 wait = static_cast<uint64_t>(retry.backoff_min.micros());
  for (uint32_t i = 1; i < n; ++i) {
    wait = wait * retry.multiplier_percent / 100;
    if (wait >= static_cast<uint64_t>(most.micros())) return most;
  }
  return std::min(most, LogDuration::Micros(static_cast<int64_t>(wait)));
}

}  // namespace

// --- Looking things up.

const Job* Oracle::FindJob(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

Job* Oracle::Find(JobId id) { return const_cast<Job*>(FindJob(id)); }

QueueRecord* Oracle::Queue(std::string_view name) {
  const auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : &it->second;
}

QueueRecord* Oracle::QueueOf(const Job& job) {
  for (auto& [name, queue] : queues_) {
    if (queue.id == job.queue) return &queue;
  }
  CHECK(false);
  return nullptr;
}

QueueRecord* Oracle::QueueOrNew(std::string_view name) {
  if (QueueRecord* queue = Queue(name)) return queue;
  if (queues_.size() >= settings_.queues_max) return nullptr;
  QueueRecord& queue = queues_[std::string(name)];
  queue.id = QueueId(next_queue_++);
  queue.name = std::string(name);
  queue.created = now_;
  return &queue;
}

uint64_t Oracle::Count(QueueId queue, JobState state) const {
  uint64_t n = 0;
  for (const auto& [id, job] : jobs_) n += job.queue == queue && job.state == state;
  return n;
}

uint64_t Oracle::CountAll(QueueId queue) const {
  uint64_t n = 0;
  for (const auto& [id, job] : jobs_) n += job.queue == queue;
  return n;
}

std::vector<Job> Oracle::Range(QueueId queue, JobState state) const {
  std::vector<Job> range;
  for (const auto& [id, job] : jobs_) {
    if (job.queue == queue && job.state == state) range.push_back(job);
  }
  std::stable_sort(range.begin(), range.end(), [state](const Job& a, const Job& b) {
    return state == JobState::kReady ? a.priority < b.priority : a.due < b.due;
  });
  return range;
}

bool Oracle::FindQueue(std::string_view name, QueueRecord* record) const {
  const auto it = queues_.find(name);
  if (it == queues_.end()) return false;
  *record = it->second;
  for (const auto& [id, job] : jobs_) {
    if (job.queue != record->id) continue;
    ++record->counts[static_cast<int>(job.state)];
    record->bytes += job.payload_size_bytes;
    const bool waits = job.state == JobState::kReady || job.state == JobState::kDelayed;
    record->ttl_count += waits && job.expires != LogTime::Never();
    record->urgent += job.state == JobState::kReady && job.priority < kUrgentBelow;
  }
  for (const auto& [key, dedup] : dedups_) record->dedup_count += key.first == record->id;
  return true;
}

std::vector<std::string> Oracle::QueueNames() const {
  std::vector<std::string> names;
  for (const auto& [name, queue] : queues_) names.push_back(name);
  return names;
}

bool Oracle::HolderGone(const Holder& holder) const {
  if (holder.none()) return false;
  const auto end = closed_holders_.end();
  if (std::find(closed_holders_.begin(), end, holder) != end) return true;
  const auto lost = lost_incarnations_.find(holder.node);
  return lost != lost_incarnations_.end() && holder.incarnation <= lost->second;
}

Job* Oracle::Leased(const LeaseRef& lease, OutcomeCode* why) {
  Job* job = Find(lease.job);
  if (job == nullptr) {
    *why = OutcomeCode::kJobNotFound;
    return nullptr;
  }
  *why = OutcomeCode::kLeaseInvalid;
  if (job->state != JobState::kReserved || job->token != lease.token) return nullptr;
  if (now_ >= job->due || HolderGone(job->holder)) return nullptr;
  *why = OutcomeCode::kOk;
  return job;
}

bool Oracle::IsOpen(const QueueRecord& queue) const {
  if (IsPaused(queue)) return false;
  const uint64_t cap = queue.options.max_reserved;
  return cap == 0 || Count(queue.id, JobState::kReserved) < cap;
}

Job* Oracle::BestReady(const std::set<std::string_view>& names) {
  Job* best = nullptr;
  for (const std::string_view name : names) {
    const QueueRecord* queue = Queue(name);
    if (queue == nullptr || !IsOpen(*queue)) continue;
    for (auto& [id, job] : jobs_) {
      if (job.queue != queue->id || job.state != JobState::kReady) continue;
      const bool sooner =
          best == nullptr || std::pair(job.priority, job.id) < std::pair(best->priority, best->id);
      if (sooner) {
        best = &job;
      }
    }
  }
  return best;
}

// --- Moves of one job.

void Oracle::MakeReadyOrDelayed(Job* job, LogDuration delay) {
  job->buried_reason = BuriedReason::kNone;
  job->state = delay > LogDuration() ? JobState::kDelayed : JobState::kReady;
  job->due = delay > LogDuration() ? now_ + delay : LogTime();
}

void Oracle::BuryJob(Job* job, BuriedReason reason) {
  job->state = JobState::kBuried;
  job->buried_reason = reason;
  job->due = now_;
  ++job->buries;
}

void Oracle::Fail(Job* job, const std::optional<LogDuration>& delay) {
  ++job->failures;
  const RetryPolicy& retry = QueueOf(*job)->options.retry;
  if (retry.max_attempts != 0 && job->failures >= retry.max_attempts) {
    BuryJob(job, BuriedReason::kAttemptsExhausted);
    return;
  }
  MakeReadyOrDelayed(job, delay.value_or(Backoff(retry, job->failures)));
}

void Oracle::KickJob(Job* job) {
  ++job->kicks;
  if (job->state == JobState::kBuried) {
    job->attempts = job->failures = 0;
    // Else it would be buried again at once.
    if (job->expires <= now_) job->expires = LogTime::Never();
  }
  MakeReadyOrDelayed(job, LogDuration());
}

void Oracle::Remove(JobId id) {
  ++QueueOf(jobs_.at(id))->total_deleted;
  jobs_.erase(id);
}

void Oracle::EndLease(const Job& job, Machine::EndedLease::Why why) {
  ended_.push_back({job.id, job.token, job.holder, why});
}

Grant Oracle::Lease(Job* job, const Holder& holder, LogDuration lease) {
  job->state = JobState::kReserved;
  job->buried_reason = BuriedReason::kNone;
  job->token = LeaseToken(job->token.value() + 1);
  ++job->attempts;
  ++job->reserves;
  job->holder = holder;
  job->current_lease = lease > LogDuration() ? lease : job->lease;
  job->due = now_ + job->current_lease;
  return Grant{*job, QueueOf(*job)->name};
}

// --- Applying.

Outcome Oracle::Apply(const Command& command, LogTime now) {
  CHECK_GE(now, now_);
  now_ = now;
  const std::vector<JobId> ready_before = ReadyJobs();
  const std::set<QueueId> open_before = OpenQueues();
  Outcome outcome = ApplyOnce(command);
  UpdateIdle();
  CollectWakeups(ready_before, open_before);
  resumed_.clear();
  return outcome;
}

Outcome Oracle::ApplyOnce(const Command& command) {
  if (command.request.has_session()) return ApplySession(command);
  if (command.request.has_digest()) return ApplyDigest(command);
  return Execute(command.body);
}

Outcome Oracle::ApplySession(const Command& command) {
  const RequestIdentity& request = command.request;
  const auto it = sessions_.find(request.session);
  if (it == sessions_.end() || now_ >= it->second.expires) {
    return Just(OutcomeCode::kSessionExpired);
  }
  Session& session = it->second;
  session.expires = now_ + session.idle_limit;
  session.floor = std::max(session.floor, request.floor);
  session.outcomes.erase(session.outcomes.begin(), session.outcomes.upper_bound(session.floor));
  if (request.sequence <= session.floor) return Just(OutcomeCode::kOutcomeForgotten);
  if (const auto seen = session.outcomes.find(request.sequence); seen != session.outcomes.end()) {
    Outcome outcome = seen->second;
    outcome.replayed = true;
    return outcome;
  }
  if (session.outcomes.size() >= settings_.session_outcomes_max) {
    return Just(OutcomeCode::kRequestTableFull);
  }
  const Outcome outcome = Execute(command.body);
  const auto still_open = sessions_.find(request.session);
  if (still_open != sessions_.end() && outcome.code != OutcomeCode::kNothingReady) {
    still_open->second.outcomes[request.sequence] = outcome;
  }
  return outcome;
}

Outcome Oracle::ApplyDigest(const Command& command) {
  const auto key = std::pair(command.request.digest_high, command.request.digest_low);
  const auto it = requests_.find(key);
  if (it != requests_.end() && now_ < it->second.expires) {
    Outcome outcome = it->second.outcome;
    outcome.replayed = true;
    return outcome;
  }
  // One that is over makes room for another.
  const LogTime now = now_;
  std::erase_if(requests_, [now](const auto& entry) { return entry.second.expires <= now; });
  if (requests_.size() >= settings_.requests_max) return Just(OutcomeCode::kRequestTableFull);
  const Outcome outcome = Execute(command.body);
  if (outcome.code != OutcomeCode::kNothingReady) {
    requests_[key] = Request{now_ + command.request.lifetime, outcome};
  }
  return outcome;
}

Outcome Oracle::Execute(const CommandBody& body) {
  return std::visit([this](const auto& command) { return Do(command); }, body);
}

ItemOutcome Oracle::EnqueueOne(const JobSpec& spec, QueueRecord* queue) {
  const LogDuration none;
  if (spec.delay < none || spec.lease < none || spec.ttl < none ||
      spec.dedup_key.size() > kDedupKeyBytesMax || spec.dedup_window < none ||
      spec.dedup_window > kDedupWindowMax || (spec.past.has_value() && spec.past->delay < none)) {
    return Refused(JobId(), OutcomeCode::kInvalidArgument);
  }
  const auto dedup_key = std::pair(queue->id, std::string(spec.dedup_key));
  const auto dedup = dedups_.find(dedup_key);
  if (!spec.dedup_key.empty() && dedup != dedups_.end() && now_ < dedup->second.expires) {
    const Job* earlier = FindJob(dedup->second.job);
    ItemOutcome item = earlier == nullptr ? ItemOutcome() : Done(*earlier);
    item.job = dedup->second.job;
    item.deduplicated = true;
    return item;
  }
  QueueRecord scanned;
  CHECK(FindQueue(queue->name, &scanned));
  const QueueOptions& options = queue->options;
  if (options.max_jobs != 0 && CountAll(queue->id) >= options.max_jobs) {
    return Refused(JobId(), OutcomeCode::kQueueFullJobs);
  }
  if (options.max_bytes != 0 && scanned.bytes + spec.payload_size_bytes > options.max_bytes) {
    return Refused(JobId(), OutcomeCode::kQueueFullBytes);
  }
  Job job;
  job.id = JobId(next_sequence_ * shards_ + shard_.value());
  if (spec.past.has_value() && spec.past->id > JobId()) {
    if (spec.past->id < job.id || spec.past->id >= JobId(kJobIdEnd) ||
        (spec.past->id.value() - job.id.value()) % shards_ != 0) {
      return Refused(JobId(), OutcomeCode::kInvalidArgument);
    }
    job.id = spec.past->id;
  }
  next_sequence_ = job.id.value() / shards_ + 1;
  job.queue = queue->id;
  job.priority = spec.priority;
  job.created = now_;
  const LogDuration ttl = spec.ttl > none ? spec.ttl : options.ttl;
  job.expires = ttl > none ? now_ + ttl : LogTime::Never();
  job.lease = spec.lease > none ? spec.lease : options.default_lease;
  job.delay = spec.delay;
  job.payload_size_bytes = spec.payload_size_bytes;
  job.payload_digest = spec.payload_digest;
  if (spec.past.has_value()) {
    const JobPast& past = *spec.past;
    if (past.created < now_) job.created = past.created;
    job.delay = past.delay;
    std::tie(job.reserves, job.timeouts, job.releases, job.buries, job.kicks) =
        std::tie(past.reserves, past.timeouts, past.releases, past.buries, past.kicks);
  }
  if (spec.buried) {
    BuryJob(&job, BuriedReason::kByWorker);
    --job.buries;
  } else {
    MakeReadyOrDelayed(&job, spec.delay);
  }
  ++queue->total_enqueued;
  jobs_[job.id] = job;
  if (!spec.dedup_key.empty()) {
    dedups_[dedup_key] = {
        queue->id, dedup_key.second, job.id,
        now_ + (spec.dedup_window > none ? spec.dedup_window : options.dedup_window)};
  }
  return Done(job);
}

Outcome Oracle::Do(const EnqueueCommand& command) {
  if (!IsValidQueueName(command.queue) || command.jobs.size() > kItemsPerCommandMax) {
    return Just(OutcomeCode::kInvalidArgument);
  }
  QueueRecord* queue = QueueOrNew(command.queue);
  if (queue == nullptr) return Just(OutcomeCode::kTooManyQueues);
  Outcome outcome;
  for (const JobSpec& spec : command.jobs) outcome.items.push_back(EnqueueOne(spec, queue));
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const ReserveCommand& command) {
  if (command.max > kItemsPerCommandMax || command.queues.size() > kQueuesPerReserveMax) {
    return Just(OutcomeCode::kInvalidArgument);
  }
  if (HolderGone(command.holder)) return Just(OutcomeCode::kHolderGone);
  const std::set<std::string_view> names(command.queues.begin(), command.queues.end());
  for (const std::string_view name : names) {
    if (QueueRecord* queue = Queue(name)) ExpireQueue(queue);
  }
  Outcome outcome;
  while (outcome.grants.size() < command.max) {
    Job* job = BestReady(names);
    if (job == nullptr) break;
    outcome.grants.push_back(Lease(job, command.holder, command.lease));
  }
  if (outcome.grants.empty()) outcome.code = OutcomeCode::kNothingReady;
  return outcome;
}

Outcome Oracle::Do(const ReserveJobCommand& command) {
  if (HolderGone(command.holder)) return Just(OutcomeCode::kHolderGone);
  Job* job = Refreshed(command.job);
  if (job == nullptr) return Just(OutcomeCode::kJobNotFound);
  if (job->state == JobState::kReserved) return Just(OutcomeCode::kReserved);
  const uint64_t cap = QueueOf(*job)->options.max_reserved;
  if (cap != 0 && Count(job->queue, JobState::kReserved) >= cap) {
    return Just(OutcomeCode::kReservedCap);
  }
  Outcome outcome;
  outcome.grants.push_back(Lease(job, command.holder, command.lease));
  return outcome;
}

Outcome Oracle::Do(const DeleteCommand& command) {
  Outcome outcome;
  for (const LeaseRef& lease : command.leases) {
    OutcomeCode why;
    if (Leased(lease, &why) != nullptr) Remove(lease.job);
    outcome.items.push_back(Refused(lease.job, why));
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const DeleteJobCommand& command) {
  Outcome outcome;
  for (const JobId id : command.jobs) {
    const Job* job = Refreshed(id);
    OutcomeCode code = OutcomeCode::kOk;
    if (job == nullptr) {
      code = OutcomeCode::kJobNotFound;
    } else if (job->state == JobState::kReserved && command.reserved == ReservedJobs::kRefuse) {
      code = OutcomeCode::kReserved;
    } else {
      if (job->state == JobState::kReserved) EndLease(*job, Machine::EndedLease::Why::kDeleted);
      Remove(id);
    }
    outcome.items.push_back(Refused(id, code));
  }
  return Summed(std::move(outcome));
}

ItemOutcome Oracle::ReleaseOne(const ReleaseCommand& command, const LeaseRef& lease) {
  OutcomeCode why;
  Job* job = Leased(lease, &why);
  if (job == nullptr) return Refused(lease.job, why);
  job->priority = command.priority.value_or(job->priority);
  job->delay = command.delay.value_or(job->delay);
  ++job->releases;
  if (command.mode == ReleaseMode::kFail) {
    Fail(job, command.delay);
  } else {
    MakeReadyOrDelayed(job, command.delay.value_or(LogDuration()));
  }
  return Done(*job);
}

Outcome Oracle::Do(const ReleaseCommand& command) {
  Outcome outcome;
  for (const LeaseRef& lease : command.leases) {
    outcome.items.push_back(ReleaseOne(command, lease));
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const TouchCommand& command) {
  Outcome outcome;
  for (const LeaseRef& lease : command.leases) {
    OutcomeCode why;
    Job* job = Leased(lease, &why);
    if (job == nullptr) {
      outcome.items.push_back(Refused(lease.job, why));
      continue;
    }
    job->due = now_ + (command.lease > LogDuration() ? command.lease : job->current_lease);
    outcome.items.push_back(Done(*job));
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const BuryCommand& command) {
  Outcome outcome;
  for (const LeaseRef& lease : command.leases) {
    OutcomeCode why;
    Job* job = Leased(lease, &why);
    if (job == nullptr) {
      outcome.items.push_back(Refused(lease.job, why));
      continue;
    }
    job->priority = command.priority.value_or(job->priority);
    BuryJob(job, BuriedReason::kByWorker);
    outcome.items.push_back(Done(*job));
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const ReturnUndeliveredCommand& command) {
  Outcome outcome;
  for (const LeaseRef& lease : command.leases) {
    OutcomeCode why;
    Job* job = Leased(lease, &why);
    if (job == nullptr) {
      outcome.items.push_back(Refused(lease.job, why));
      continue;
    }
    --job->attempts;
    --job->reserves;
    MakeReadyOrDelayed(job, LogDuration());
    outcome.items.push_back(Done(*job));
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const KickCommand& command) {
  const QueueRecord* queue = Queue(command.queue);
  if (queue == nullptr) return Just(OutcomeCode::kQueueNotFound);
  JobState from = JobState::kBuried;
  if (command.from == KickFrom::kDelayed ||
      (command.from == KickFrom::kBuriedElseDelayed && Count(queue->id, from) == 0)) {
    from = JobState::kDelayed;
  }
  Outcome outcome;
  for (const Job& job : Range(queue->id, from)) {
    if (outcome.count >= std::min(command.bound, kKickMax)) break;
    KickJob(Find(job.id));
    ++outcome.count;
  }
  return outcome;
}

Outcome Oracle::Do(const KickJobsCommand& command) {
  Outcome outcome;
  for (const JobId id : command.jobs) {
    Job* job = Refreshed(id);
    if (job == nullptr) {
      outcome.items.push_back(Refused(id, OutcomeCode::kJobNotFound));
    } else if (job->state != JobState::kBuried && job->state != JobState::kDelayed) {
      outcome.items.push_back(Refused(id, OutcomeCode::kNotKickable));
    } else {
      KickJob(job);
      outcome.items.push_back(Done(*job));
    }
  }
  return Summed(std::move(outcome));
}

Outcome Oracle::Do(const PauseQueueCommand& command) {
  if (!IsValidQueueName(command.queue) || command.duration < LogDuration()) {
    return Just(OutcomeCode::kInvalidArgument);
  }
  QueueRecord* queue = Queue(command.queue);
  if (queue == nullptr && command.existence == Existence::kRequire) {
    return Just(OutcomeCode::kQueueNotFound);
  }
  if (queue == nullptr) queue = QueueOrNew(command.queue);
  if (queue == nullptr) return Just(OutcomeCode::kTooManyQueues);
  const bool resume = command.duration == LogDuration();
  queue->pause = command.duration;
  queue->paused_until = resume ? LogTime() : now_ + command.duration;
  ++queue->total_pauses;
  return Outcome();
}

Outcome Oracle::Do(const PurgeQueueCommand& command) {
  QueueRecord* queue = Queue(command.queue);
  if (queue == nullptr) return Just(OutcomeCode::kQueueNotFound);
  Outcome outcome;
  for (int state = 0; state < kJobStates; ++state) {
    if ((command.states >> state & 1) == 0) continue;
    for (const Job& job : Range(queue->id, static_cast<JobState>(state))) {
      if (job.state == JobState::kReserved) EndLease(job, Machine::EndedLease::Why::kPurged);
      Remove(job.id);
      ++outcome.count;
    }
  }
  return outcome;
}

Outcome Oracle::Do(const PutQueueOptionsCommand& command) {
  const QueueOptions& put = command.options;
  const uint32_t fields = command.fields;
  const LogDuration none;
  const bool bad_lease = (fields & kFieldDefaultLease) && put.default_lease <= none;
  const bool bad_retry =
      (fields & kFieldRetry) &&
      (put.retry.multiplier_percent < 100 || put.retry.multiplier_percent > 1000 ||
       put.retry.backoff_min < none || put.retry.backoff_max < none);
  const bool bad_ttl = (fields & kFieldTtl) && put.ttl < none;
  const bool bad_window =
      (fields & kFieldDedupWindow) &&
      (put.dedup_window <= none || put.dedup_window > LogDuration::Seconds(30 * 86'400));
  if (!IsValidQueueName(command.queue) || bad_lease || bad_retry || bad_ttl || bad_window) {
    return Just(OutcomeCode::kInvalidArgument);
  }
  QueueRecord* queue = QueueOrNew(command.queue);
  if (queue == nullptr) return Just(OutcomeCode::kTooManyQueues);
  QueueOptions& options = queue->options;
  if (fields & kFieldDefaultLease) options.default_lease = put.default_lease;
  if (fields & kFieldRetry) options.retry = put.retry;
  if (fields & kFieldTtl) options.ttl = put.ttl;
  if (fields & kFieldOnExpiry) options.on_expiry = put.on_expiry;
  if (fields & kFieldMaxJobs) options.max_jobs = put.max_jobs;
  if (fields & kFieldMaxBytes) options.max_bytes = put.max_bytes;
  if (fields & kFieldMaxReserved) options.max_reserved = put.max_reserved;
  if (fields & kFieldDedupWindow) options.dedup_window = put.dedup_window;
  queue->has_options = true;
  return Outcome();
}

Outcome Oracle::Do(const DeleteQueueCommand& command) {
  PurgeQueueCommand purge;
  purge.queue = command.queue;
  const Outcome outcome = Do(purge);
  if (outcome.code != OutcomeCode::kOk) return outcome;
  const QueueId id = Queue(command.queue)->id;
  std::erase_if(dedups_, [id](const auto& entry) { return entry.first.first == id; });
  queues_.erase(queues_.find(command.queue));
  return outcome;
}

Outcome Oracle::Do(const CloseHolderCommand& command) {
  if (HolderGone(command.holder)) return Outcome();
  closed_holders_.push_back(command.holder);
  const auto holds = [this](const Holder& holder) {
    return std::any_of(jobs_.begin(), jobs_.end(), [&holder](const auto& entry) {
      return entry.second.state == JobState::kReserved && entry.second.holder == holder;
    });
  };
  std::vector<Holder> idle;
  for (const Holder& holder : closed_holders_) {
    if (closed_holders_.size() > kClosedHoldersMax && !holds(holder)) idle.push_back(holder);
  }
  if (idle.size() > kClosedHoldersMax) std::erase(closed_holders_, idle.front());
  return Outcome();
}

Outcome Oracle::Do(const NodeLostCommand& command) {
  if (command.incarnation >= kNeverLost) return Just(OutcomeCode::kInvalidArgument);
  uint64_t& lost = lost_incarnations_[command.node];
  lost = std::max(lost, command.incarnation);
  std::erase_if(closed_holders_, [&command](const Holder& holder) {
    return holder.node == command.node && holder.incarnation <= command.incarnation;
  });
  return Outcome();
}

Outcome Oracle::Do(const OpenSessionCommand& command) {
  if (command.idle_limit < LogDuration::Seconds(1) ||
      command.idle_limit > LogDuration::Seconds(3600)) {
    return Just(OutcomeCode::kInvalidArgument);
  }
  ForgetSessions();
  if (sessions_.size() >= settings_.sessions_max) return Just(OutcomeCode::kSessionTableFull);
  Outcome outcome;
  outcome.session = SessionId(next_session_++);
  sessions_[outcome.session] = {command.idle_limit, now_ + command.idle_limit, 0, {}};
  return outcome;
}

Outcome Oracle::Do(const CloseSessionCommand& command) {
  ForgetSessions();
  return Just(sessions_.erase(command.session) != 0 ? OutcomeCode::kOk
                                                    : OutcomeCode::kSessionExpired);
}

Outcome Oracle::Do(const PutClusterRecordCommand& command) {
  const bool changes = command.record != cluster_record_.record;
  Outcome outcome;
  outcome.count = cluster_record_.version;
  if (command.version != cluster_record_.version) {
    outcome.code = OutcomeCode::kRecordChanged;
  } else if (changes) {
    outcome.count = ++cluster_record_.version;
    cluster_record_.record = std::string(command.record);
  }
  return outcome;
}

Outcome Oracle::Do(const PutSettingsCommand& command) {
  settings_ = command.settings;
  return Outcome();
}

// --- Time.

Outcome Oracle::Do(const ExpireCommand&) {
  while (ExpireJobs(nullptr) || ExpireTtls(nullptr)) {
  }
  ExpireRest();
  return Outcome();
}

}  // namespace holdfast
