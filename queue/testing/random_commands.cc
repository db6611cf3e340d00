#include "queue/testing/random_commands.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>

#include "base/prng.h"
#include "queue/testing/oracle.h"
#include "queue/testing/text.h"

namespace holdfast {
namespace {

constexpr LogDuration kTick = LogDuration::Millis(100);

enum class Kind {
  kEnqueue,
  kReserve,
  kReserveJob,
  kDelete,
  kDeleteJob,
  kRelease,
  kTouch,
  kBury,
  kReturn,
  kKick,
  kKickJobs,
  kPause,
  kPurge,
  kOptions,
  kDeleteQueue,
  kCloseHolder,
  kNodeLost,
  kExpire,
  kOpenSession,
  kCloseSession,
  kSettings,
  kClusterRecord,
};
constexpr int kKinds = 22;
// In order of Kind; a phase that fills enqueues more, one that drains deletes more.
constexpr int kBalanced[kKinds] = {220, 240, 40, 130, 40, 90, 45, 60, 20, 30, 25,
                                   30,  8,   30, 8,   10, 3,  60, 12, 4,  4,  2};
constexpr int kFilling[kKinds] = {600, 120, 20, 30, 10, 60, 20, 60, 10, 10, 10,
                                  20,  1,   15, 1,  4,  1,  30, 4,  1,  2,  1};
constexpr int kDraining[kKinds] = {60, 400, 60, 350, 60, 40, 20, 10, 10, 40, 40,
                                   10, 10,  10, 4,   10, 3,  60, 4,  2,  2,  1};

class Generator {
 public:
  Generator(uint64_t seed, Expiring expiring)
      : prng_(seed), expiring_(expiring), oracle_(ShardId(1), 4), now_(kTestOrigin) {
    queues_ = 1 + prng_.Below(6);
    holders_ = 1 + prng_.Below(4);
    calm_ = prng_.Chance(1, 2);
    linger_ = Ticks(900);
    // A session that is over keeps its place in the table until its outcomes are collected.
    sessions_max_ = expiring == Expiring::kPromptly ? prng_.Between(1, 6) : 10'000;
    requests_max_ = prng_.Chance(1, 2) ? prng_.Between(1, 30) : 1'000'000;
  }

  CommandStream Run(size_t length) {
    Emit({{}, PutSettings()});
    for (size_t i = 0; i < length; ++i) {
      if (i % 250 == 0) NextPhase();
      StepTime();
      Emit(Wrap(Body()));
      if (expiring_ == Expiring::kPromptly) Emit({{}, ExpireCommand{}});
    }
    Emit({{}, ExpireCommand{}});
    return std::move(stream_);
  }

 private:
  void Emit(const Command& command) {
    stream_.push_back({command, now_});
    const Outcome outcome = oracle_.Apply(command, now_);
    for (const Grant& grant : outcome.grants) {
      leases_.push_back({grant.job.id, grant.job.token});
    }
    for (const ItemOutcome& item : outcome.items) {
      if (item.job != JobId() && (ids_.empty() || ids_.back() < item.job)) {
        ids_.push_back(item.job);
      }
    }
    if (outcome.session != SessionId()) last_session_ = outcome.session.value();
    if (std::holds_alternative<PutClusterRecordCommand>(command.body)) {
      record_version_ = outcome.count;
    }
  }

  void NextPhase() {
    const int* const phases[] = {kBalanced, kBalanced, kFilling, kDraining};
    weights_ = phases[prng_.Below(4)];
  }

  void StepTime() {
    const LogTime before = now_;
    const uint64_t dice = prng_.Below(100);
    if (dice < 50) return;
    if (dice < 90) {
      now_ = now_ + LogDuration::Micros(kTick.micros() * prng_.Between(1, 5));
    } else if (dice < 98) {
      now_ = now_ + LogDuration::Micros(kTick.micros() * prng_.Between(10, 100));
    } else if (dice < 99 || calm_) {
      now_ = now_ + LogDuration::Seconds(prng_.Between(10, 90));
    } else {
      now_ = now_ + LogDuration::Seconds(prng_.Between(60, 900));
    }
    if (expiring_ == Expiring::kPromptly && now_ != before) Emit({{}, ExpireCommand{}});
  }

  Kind DrawKind() {
    int total = 0;
    for (int i = 0; i < kKinds; ++i) total += weights_[i];
    auto dice = static_cast<int>(prng_.Below(static_cast<uint64_t>(total)));
    for (int i = 0; i < kKinds; ++i) {
      if (dice < weights_[i]) return static_cast<Kind>(i);
      dice -= weights_[i];
    }
    return Kind::kEnqueue;
  }

  Command Wrap(CommandBody body) {
    Command command{{}, std::move(body)};
    if (std::holds_alternative<ExpireCommand>(command.body)) return command;
    const uint64_t dice = prng_.Below(100);
    if (dice < 6) {
      command.request.digest_low = prng_.Between(1, 40);
      command.request.digest_high = prng_.Below(2);
      if (prng_.Chance(1, 2)) command.request.lifetime = LogDuration::Seconds(prng_.Between(1, 60));
    } else if (dice < 11 && last_session_ != 0) {
      const uint64_t newest = last_session_ + (prng_.Chance(1, 20) ? 1 : 0);
      command.request.session = SessionId(prng_.Between(newest < 3 ? 1 : newest - 2, newest));
      if (prng_.Chance(3, 4)) ++session_sequence_;
      const uint64_t back = prng_.Below(4);
      command.request.sequence = session_sequence_ > back ? session_sequence_ - back : 1;
      const uint64_t floor_back = prng_.Between(2, 12);
      command.request.floor = session_sequence_ > floor_back ? session_sequence_ - floor_back : 0;
    }
    return command;
  }

  std::string_view QueueName() {
    static constexpr std::string_view kNames[] = {"a", "b", "c", "d", "e", "f", "g"};
    if (prng_.Chance(1, 200)) return prng_.Chance(1, 2) ? "never" : "seldom";
    return kNames[prng_.Below(queues_)];
  }
  Holder DrawHolder() {
    if (prng_.Chance(1, 3)) return Holder();
    return {NodeId(prng_.Between(1, 2)), incarnation_ - prng_.Below(2),
            holder_base_ + prng_.Below(holders_)};
  }
  LogDuration Ticks(uint64_t most) {
    return LogDuration::Micros(kTick.micros() * static_cast<int64_t>(prng_.Between(1, most)));
  }
  // 0 two times out of three.
  LogDuration MaybeTicks(uint64_t most) { return prng_.Chance(1, 3) ? Ticks(most) : LogDuration(); }
  uint32_t Priority() {
    static constexpr uint32_t kPriorities[] = {0, 1, 1023, 1024, 5000, UINT32_MAX};
    return kPriorities[prng_.Below(6)];
  }
  // A job that exists, of any age; nullptr if there is none.
  const Job* DrawJob() {
    const std::map<JobId, Job>& jobs = oracle_.jobs();
    if (jobs.empty()) return nullptr;
    const uint64_t span = jobs.rbegin()->first.value() - jobs.begin()->first.value() + 1;
    const auto it = jobs.lower_bound(JobId(jobs.begin()->first.value() + prng_.Below(span)));
    return &it->second;
  }
  JobId DrawId() {
    const Job* job = prng_.Chance(3, 4) ? DrawJob() : nullptr;
    if (job != nullptr) return job->id;
    if (ids_.empty() || prng_.Chance(1, 40)) return JobId(prng_.Below(100'000));
    // Any recent one; seldom any at all.
    const size_t reach = prng_.Chance(1, 10) ? ids_.size() : std::min<size_t>(ids_.size(), 60);
    return ids_[ids_.size() - 1 - prng_.Below(reach)];
  }
  LeaseRef DrawLease() {
    const bool maybe_over = prng_.Chance(1, 8);
    for (int tries = prng_.Chance(3, 4) ? 25 : 0; tries > 0; --tries) {
      const Job* job = DrawJob();
      if (job == nullptr || job->state != JobState::kReserved) continue;
      if (maybe_over || now_ < job->due) return {job->id, job->token};
    }
    if (leases_.empty()) return {DrawId(), LeaseToken(1)};
    // Most often one that is thought to be held still, which is then forgotten half of the time.
    const size_t reach = std::min<size_t>(leases_.size(), 40);
    const size_t at = leases_.size() - 1 - prng_.Below(reach);
    LeaseRef lease = leases_[at];
    if (prng_.Chance(1, 2)) leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(at));
    if (prng_.Chance(1, 20)) lease.token = LeaseToken(lease.token.value() + prng_.Below(3) - 1);
    return lease;
  }
  uint64_t BatchSize() {
    if (prng_.Chance(1, 200)) return 100;
    return prng_.Chance(3, 4) ? 1 : prng_.Between(2, 8);
  }
  LeaseRefs DrawLeases() {
    LeaseRefs leases;
    for (uint64_t n = BatchSize(); n > 0; --n) leases.push_back(DrawLease());
    return leases;
  }
  template <class Ids>
  void DrawIds(Ids* ids) {
    for (uint64_t n = BatchSize(); n > 0; --n) ids->push_back(DrawId());
  }

  CommandBody Body() {
    const Kind kind = DrawKind();
    switch (kind) {
      case Kind::kEnqueue:
        return Enqueue();
      case Kind::kReserve:
        return Reserve();
      case Kind::kReserveJob:
        return ReserveJobCommand{DrawId(), DrawHolder(), MaybeTicks(50)};
      case Kind::kDelete:
        return DeleteCommand{DrawLeases()};
      case Kind::kDeleteJob:
        return DeleteJob();
      case Kind::kRelease:
        return Release();
      case Kind::kTouch:
        return TouchCommand{DrawLeases(), MaybeTicks(100)};
      case Kind::kBury:
        return Bury();
      case Kind::kReturn:
        return ReturnUndeliveredCommand{DrawLeases()};
      default:
        return OtherBody(kind);
    }
  }

  CommandBody OtherBody(Kind kind) {
    switch (kind) {
      case Kind::kKick:
        return KickCommand{QueueName(), static_cast<uint32_t>(prng_.Between(1, 6)),
                           static_cast<KickFrom>(prng_.Below(3))};
      case Kind::kKickJobs: {
        KickJobsCommand kick;
        DrawIds(&kick.jobs);
        return kick;
      }
      case Kind::kPause:
        return Pause();
      case Kind::kPurge:
        return PurgeQueueCommand{
            QueueName(), static_cast<uint8_t>(prng_.Chance(1, 2) ? 0xf : prng_.Between(1, 15))};
      case Kind::kOptions:
        return PutOptions();
      case Kind::kDeleteQueue:
        return DeleteQueueCommand{QueueName()};
      case Kind::kCloseHolder:
        return CloseHolder();
      case Kind::kNodeLost:
        return NodeLost();
      case Kind::kOpenSession:
        session_sequence_ = 0;
        return OpenSessionCommand{LogDuration::Seconds(prng_.Between(1, 90))};
      case Kind::kCloseSession:
        return CloseSessionCommand{SessionId(prng_.Between(1, last_session_ + 1))};
      case Kind::kSettings:
        return PutSettings();
      case Kind::kClusterRecord:
        return PutClusterRecord();
      default:
        return ExpireCommand{static_cast<uint32_t>(prng_.Between(1, 20))};
    }
  }

  CommandBody Enqueue() {
    static constexpr std::string_view kKeys[] = {"k1", "k2", "k3", "k4", "k5", "k6"};
    EnqueueCommand enqueue;
    enqueue.queue = QueueName();
    for (uint64_t n = BatchSize(); n > 0; --n) {
      JobSpec spec;
      spec.priority = Priority();
      spec.delay = MaybeTicks(60);
      spec.lease = MaybeTicks(60);
      spec.ttl = prng_.Chance(1, 6) ? Ticks(200) : LogDuration();
      if (prng_.Chance(1, 20)) spec.ttl = LogDuration::Max();
      if (prng_.Chance(1, 6)) spec.dedup_key = kKeys[prng_.Below(6)];
      spec.payload_size_bytes = static_cast<uint32_t>(prng_.Below(100));
      spec.payload_digest = prng_.Next();
      if (prng_.Chance(1, 20)) spec.dedup_window = Ticks(300);
      spec.buried = prng_.Chance(1, 20);
      if (prng_.Chance(1, 30)) spec.past = Past();
      enqueue.jobs.push_back(spec);
    }
    return enqueue;
  }
  // Mostly one that the shard, 1 of 4, can take.
  JobPast Past() {
    JobPast past;
    const uint64_t last = ids_.empty() ? 1 : ids_.back().value();
    if (prng_.Chance(3, 4)) past.id = JobId(last + prng_.Below(5) * (prng_.Chance(1, 9) ? 1 : 4));
    past.created = now_ + ((prng_.Chance(1, 3) ? Ticks(50) : LogDuration()) - Ticks(50));
    past.delay = Ticks(100);
    past.reserves = static_cast<uint32_t>(prng_.Below(5));
    past.buries = static_cast<uint32_t>(prng_.Below(5));
    past.kicks = 3;
    past.releases = 2;
    past.timeouts = 1;
    return past;
  }
  CommandBody Reserve() {
    ReserveCommand reserve;
    for (uint64_t n = prng_.Chance(1, 2) ? 1 : prng_.Between(1, 5); n > 0; --n) {
      reserve.queues.push_back(QueueName());
    }
    reserve.max = static_cast<uint32_t>(BatchSize());
    reserve.holder = DrawHolder();
    reserve.lease = MaybeTicks(60);
    return reserve;
  }
  CommandBody DeleteJob() {
    DeleteJobCommand command;
    DrawIds(&command.jobs);
    command.reserved = static_cast<ReservedJobs>(prng_.Below(2));
    return command;
  }
  CommandBody Release() {
    ReleaseCommand release;
    release.leases = DrawLeases();
    release.mode = static_cast<ReleaseMode>(prng_.Below(2));
    if (prng_.Chance(1, 2)) release.priority = Priority();
    if (prng_.Chance(1, 3)) release.delay = MaybeTicks(40);
    return release;
  }
  CommandBody Bury() {
    BuryCommand bury;
    bury.leases = DrawLeases();
    if (prng_.Chance(1, 2)) bury.priority = Priority();
    return bury;
  }
  CommandBody Pause() {
    PauseQueueCommand pause;
    pause.queue = QueueName();
    pause.duration = MaybeTicks(60);
    if (prng_.Chance(1, 10)) pause.duration = LogDuration::Max();
    if (prng_.Chance(1, 3)) pause.existence = Existence::kCreate;
    return pause;
  }
  CommandBody PutOptions() {
    PutQueueOptionsCommand put;
    put.queue = QueueName();
    put.fields = static_cast<uint32_t>(prng_.Below(kAllQueueOptionFields + 1));
    QueueOptions& options = put.options;
    options.default_lease = Ticks(100);
    options.retry.max_attempts = static_cast<uint32_t>(prng_.Below(4));
    options.retry.backoff_min = MaybeTicks(20);
    options.retry.backoff_max = MaybeTicks(50);
    options.retry.multiplier_percent = static_cast<uint32_t>(prng_.Between(1, 10) * 100);
    options.ttl = prng_.Chance(1, 4) ? Ticks(300) : LogDuration();
    options.on_expiry = static_cast<ExpiryAction>(prng_.Below(2));
    options.max_jobs = prng_.Chance(1, 3) ? prng_.Between(1, 60) : 0;
    // What a purge has ended counts against max_bytes until it is collected.
    const bool capped = expiring_ == Expiring::kPromptly && prng_.Chance(1, 4);
    options.max_bytes = capped ? prng_.Between(1, 3000) : 0;
    options.max_reserved = prng_.Chance(1, 3) ? prng_.Between(1, 8) : 0;
    options.dedup_window = Ticks(300);
    return put;
  }
  CommandBody CloseHolder() {
    Holder holder = DrawHolder();
    if (holder.none()) holder = {NodeId(1), incarnation_, holder_base_};
    // Holders are never reused, so that there are living ones later.
    if (prng_.Chance(2, 3)) holder_base_ += holders_;
    return CloseHolderCommand{holder};
  }
  CommandBody NodeLost() {
    const NodeLostCommand lost{NodeId(prng_.Between(1, 2)), incarnation_ - prng_.Below(2)};
    if (prng_.Chance(7, 8)) incarnation_ += 1 + prng_.Below(2);
    return lost;
  }
  CommandBody PutClusterRecord() {
    static constexpr std::string_view kRecords[] = {"a", "b", "the-members"};
    const uint64_t version = prng_.Chance(1, 4) ? prng_.Below(5) : record_version_;
    return PutClusterRecordCommand{version, kRecords[prng_.Below(3)]};
  }

  CommandBody PutSettings() {
    Settings settings;
    settings.requests_max = requests_max_;
    settings.sessions_max = sessions_max_;
    settings.session_outcomes_max = prng_.Between(1, 20);
    settings.queues_max = prng_.Chance(1, 4) ? prng_.Between(1, 5) : 1000;
    // Another linger counts for queues that become idle from then on, and requests and sessions
    // that are over make room one by one, so these stay as they are.
    settings.idle_queue_linger = linger_;
    return PutSettingsCommand{settings};
  }

  Prng prng_;
  const Expiring expiring_;
  Oracle oracle_;
  LogTime now_;
  uint64_t queues_ = 1;
  uint64_t holders_ = 1;
  bool calm_ = false;
  LogDuration linger_;
  uint64_t sessions_max_ = 1;
  uint64_t requests_max_ = 1;
  const int* weights_ = kBalanced;
  std::vector<JobId> ids_;  // rising
  std::vector<LeaseRef> leases_;
  uint64_t last_session_ = 0;
  uint64_t record_version_ = 0;
  uint64_t session_sequence_ = 0;
  uint64_t incarnation_ = 2;
  uint64_t holder_base_ = 1;
  CommandStream stream_;
};

}  // namespace

CommandStream RandomStream(uint64_t seed, size_t length, Expiring expiring) {
  return Generator(seed, expiring).Run(length);
}

std::string StreamText(const CommandStream& stream) {
  std::string text;
  LogTime now = kTestOrigin;
  for (const TimedCommand& timed : stream) {
    if (timed.now != now) text += "at " + TimeText(timed.now) + "\n";
    now = timed.now;
    text += CommandText(timed.command) + "\n";
  }
  return text;
}

std::pair<uint64_t, uint64_t> SeedRange(uint64_t default_count) {
  const char* const text = std::getenv("HOLDFAST_SEEDS");
  if (text == nullptr || *text == '\0') return {1, default_count};
  char* end = nullptr;
  const uint64_t first = std::strtoull(text, &end, 10);
  const bool is_range = end[0] == '.' && end[1] == '.';
  const uint64_t last = is_range ? std::strtoull(end + 2, nullptr, 10) : first;
  return {first, last};
}

}  // namespace holdfast
