#include "server/codec/random_values.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace holdfast {
namespace {

// --- Equality: the fields of each struct, then one rule for all of them.
auto Fields(const LeaseRef& v) { return std::tie(v.job, v.token); }
auto Fields(const RequestIdentity& v) {
  return std::tie(v.session, v.sequence, v.floor, v.digest_high, v.digest_low, v.lifetime);
}
auto Fields(const JobSpec& v) {
  return std::tie(v.priority, v.delay, v.lease, v.ttl, v.dedup_key, v.payload_size_bytes,
                  v.payload_digest, v.dedup_window, v.buried, v.past);
}
auto Fields(const Job& v) {
  return std::tie(v.id, v.queue, v.state, v.buried_reason, v.priority, v.epoch, v.due, v.created,
                  v.expires, v.lease, v.delay, v.token, v.attempts, v.failures, v.reserves,
                  v.timeouts, v.releases, v.buries, v.kicks, v.payload_size_bytes, v.payload_digest,
                  v.holder, v.current_lease);
}
auto Fields(const ItemOutcome& v) {
  return std::tie(v.code, v.state, v.deduplicated, v.job, v.due);
}
auto Fields(const DedupRecord& v) { return std::tie(v.queue, v.key, v.job, v.expires); }

template <class T>
bool SameFields(const T& a, const T& b) {
  return Fields(a) == Fields(b);
}
template <class List>
bool SameLists(const List& a, const List& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameFields(a[i], b[i])) return false;
  }
  return true;
}

bool SameBody(const EnqueueCommand& a, const EnqueueCommand& b) {
  return a.queue == b.queue && SameLists(a.jobs, b.jobs);
}
bool SameBody(const ReserveCommand& a, const ReserveCommand& b) {
  return a.queues == b.queues && a.max == b.max && a.holder == b.holder && a.lease == b.lease;
}
bool SameBody(const ReserveJobCommand& a, const ReserveJobCommand& b) {
  return a.job == b.job && a.holder == b.holder && a.lease == b.lease;
}
bool SameBody(const DeleteCommand& a, const DeleteCommand& b) {
  return SameLists(a.leases, b.leases);
}
bool SameBody(const DeleteJobCommand& a, const DeleteJobCommand& b) {
  return a.jobs == b.jobs && a.reserved == b.reserved;
}
bool SameBody(const ReleaseCommand& a, const ReleaseCommand& b) {
  return SameLists(a.leases, b.leases) && a.mode == b.mode && a.priority == b.priority &&
         a.delay == b.delay;
}
bool SameBody(const TouchCommand& a, const TouchCommand& b) {
  return SameLists(a.leases, b.leases) && a.lease == b.lease;
}
bool SameBody(const BuryCommand& a, const BuryCommand& b) {
  return SameLists(a.leases, b.leases) && a.priority == b.priority;
}
bool SameBody(const ReturnUndeliveredCommand& a, const ReturnUndeliveredCommand& b) {
  return SameLists(a.leases, b.leases);
}
bool SameBody(const KickCommand& a, const KickCommand& b) {
  return a.queue == b.queue && a.bound == b.bound && a.from == b.from;
}
bool SameBody(const KickJobsCommand& a, const KickJobsCommand& b) { return a.jobs == b.jobs; }
bool SameBody(const PauseQueueCommand& a, const PauseQueueCommand& b) {
  return a.queue == b.queue && a.duration == b.duration && a.existence == b.existence;
}
bool SameBody(const PurgeQueueCommand& a, const PurgeQueueCommand& b) {
  return a.queue == b.queue && a.states == b.states;
}
bool SameBody(const PutQueueOptionsCommand& a, const PutQueueOptionsCommand& b) {
  return a.queue == b.queue && a.options == b.options && a.fields == b.fields;
}
bool SameBody(const DeleteQueueCommand& a, const DeleteQueueCommand& b) {
  return a.queue == b.queue;
}
bool SameBody(const CloseHolderCommand& a, const CloseHolderCommand& b) {
  return a.holder == b.holder;
}
bool SameBody(const NodeLostCommand& a, const NodeLostCommand& b) {
  return a.node == b.node && a.incarnation == b.incarnation;
}
bool SameBody(const ExpireCommand& a, const ExpireCommand& b) { return a.max == b.max; }
bool SameBody(const OpenSessionCommand& a, const OpenSessionCommand& b) {
  return a.idle_limit == b.idle_limit;
}
bool SameBody(const CloseSessionCommand& a, const CloseSessionCommand& b) {
  return a.session == b.session;
}
bool SameBody(const PutSettingsCommand& a, const PutSettingsCommand& b) {
  return a.settings == b.settings;
}
bool SameBody(const PutClusterRecordCommand& a, const PutClusterRecordCommand& b) {
  return a.version == b.version && a.record == b.record;
}

bool SameRow(const GlobalsRow& a, const GlobalsRow& b) {
  return a.machine_version == b.machine_version && a.next_sequence == b.next_sequence &&
         a.next_queue == b.next_queue && a.next_session == b.next_session && a.now == b.now &&
         a.settings == b.settings;
}
bool SameRow(const HolderRow& a, const HolderRow& b) {
  return a.closed == b.closed && a.held == b.held;
}
bool SameRow(const NodeFloorRow& a, const NodeFloorRow& b) {
  return a.lost_incarnation == b.lost_incarnation;
}
bool SameRow(const RequestRow& a, const RequestRow& b) { return Same(a.outcome, b.outcome); }
bool SameRow(const SessionRow& a, const SessionRow& b) {
  return a.idle_limit == b.idle_limit && a.expires == b.expires && a.floor == b.floor;
}
bool SameRow(const SessionOutcomeRow& a, const SessionOutcomeRow& b) {
  return Same(a.outcome, b.outcome);
}
bool SameRow(const GraveRow& a, const GraveRow& b) { return a.members == b.members; }
bool SameRow(const ClusterRecordRow& a, const ClusterRecordRow& b) {
  return a.version == b.version && a.record == b.record;
}

bool SameKey(const GlobalsKey&, const GlobalsKey&) { return true; }
bool SameKey(const ClusterRecordKey&, const ClusterRecordKey&) { return true; }
bool SameKey(const HolderKey& a, const HolderKey& b) { return a.holder == b.holder; }
bool SameKey(const NodeFloorKey& a, const NodeFloorKey& b) { return a.node == b.node; }
bool SameKey(const RequestKey& a, const RequestKey& b) { return a == b; }
bool SameKey(const SessionKey& a, const SessionKey& b) { return a.session == b.session; }
bool SameKey(const SessionOutcomeKey& a, const SessionOutcomeKey& b) {
  return a.session == b.session && a.sequence == b.sequence;
}
bool SameKey(const GraveKey& a, const GraveKey& b) { return a.set == b.set; }

}  // namespace

bool Same(const Job& a, const Job& b) { return SameFields(a, b); }
bool Same(const DedupRecord& a, const DedupRecord& b) { return SameFields(a, b); }

bool Same(const QueueRecord& a, const QueueRecord& b) {
  const auto fields = [](const QueueRecord& v) {
    return std::tie(v.id, v.name, v.options, v.has_options, v.created, v.paused_until, v.pause,
                    v.idle_since, v.deadline, v.urgent, v.ttl_count, v.dedup_count, v.bytes,
                    v.total_enqueued, v.total_deleted, v.total_timeouts, v.total_pauses);
  };
  return fields(a) == fields(b) && std::equal(a.epochs, a.epochs + 5, b.epochs) &&
         std::equal(a.counts, a.counts + kJobStates, b.counts) &&
         std::equal(a.hash_by_state, a.hash_by_state + kJobStates, b.hash_by_state);
}

bool Same(const Outcome& a, const Outcome& b) {
  if (a.code != b.code || a.more != b.more || a.replayed != b.replayed || a.count != b.count ||
      a.session != b.session || !SameLists(a.items, b.items) ||
      a.grants.size() != b.grants.size()) {
    return false;
  }
  for (size_t i = 0; i < a.grants.size(); ++i) {
    if (!Same(a.grants[i].job, b.grants[i].job) || a.grants[i].queue != b.grants[i].queue) {
      return false;
    }
  }
  return true;
}

bool Same(const SmallRow& a, const SmallRow& b) {
  return a.index() == b.index() &&
         std::visit(
             [&b](const auto& row) {
               return SameRow(row, std::get<std::decay_t<decltype(row)>>(b));
             },
             a);
}

bool Same(const SmallRowKey& a, const SmallRowKey& b) {
  return a.index() == b.index() &&
         std::visit(
             [&b](const auto& key) {
               return SameKey(key, std::get<std::decay_t<decltype(key)>>(b));
             },
             a);
}

bool Same(const Command& a, const Command& b) {
  return SameFields(a.request, b.request) && a.body.index() == b.body.index() &&
         std::visit(
             [&b](const auto& body) {
               return SameBody(body, std::get<std::decay_t<decltype(body)>>(b.body));
             },
             a.body);
}

uint64_t RandomValues::Number() {
  switch (prng_.Below(8)) {
    case 0:
      return 0;
    case 1:
      return UINT64_MAX;
    default:
      return prng_.Next() >> prng_.Below(64);
  }
}

std::string_view RandomValues::Bytes(size_t size_max) {
  std::string bytes(prng_.Below(size_max + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(prng_.Next());
  return kept_.emplace_back(std::move(bytes));
}

LogTime RandomValues::Time() { return LogTime::FromMicros(Number()); }
LogDuration RandomValues::Duration() {
  return prng_.Chance(1, 8) ? LogDuration::Max()
                            : LogDuration::Micros(static_cast<int64_t>(Number()));
}
Holder RandomValues::AnyHolder() { return {NodeId(Number()), Number(), Number()}; }

PayloadView RandomValues::Payload(size_t body_bytes_max) {
  PayloadView payload;
  for (uint64_t i = prng_.Chance(1, 2) ? 0 : prng_.Below(kAttributesMax + 1); i > 0; --i) {
    payload.attributes.push_back({Bytes(100), Bytes(300)});
  }
  if (prng_.Chance(1, 3)) payload.dedup_key = Bytes(kDedupKeyBytesMax);
  payload.body = Bytes(body_bytes_max);
  return payload;
}

Job RandomValues::AnyJob(JobId id) {
  Job job;
  job.id = id;
  job.queue = QueueId(Number());
  job.state = static_cast<JobState>(prng_.Below(kJobStates));
  job.buried_reason = static_cast<BuriedReason>(prng_.Below(4));
  job.priority = Number32();
  job.epoch = Number32();
  job.due = Time();
  job.created = Time();
  job.expires = Time();
  job.lease = Duration();
  job.delay = Duration();
  job.token = LeaseToken(Number());
  for (uint32_t* counter : {&job.attempts, &job.failures, &job.reserves, &job.timeouts,
                            &job.releases, &job.buries, &job.kicks, &job.payload_size_bytes}) {
    *counter = Number32();
  }
  job.payload_digest = prng_.Next();
  job.holder = AnyHolder();
  job.current_lease = Duration();
  return job;
}

QueueOptions RandomValues::Options() {
  QueueOptions options;
  options.default_lease = Duration();
  options.retry = {Number32(), Duration(), Duration(), Number32()};
  options.ttl = Duration();
  options.on_expiry = static_cast<ExpiryAction>(prng_.Below(2));
  options.max_jobs = Number();
  options.max_bytes = Number();
  options.max_reserved = Number();
  options.dedup_window = Duration();
  return options;
}

QueueRecord RandomValues::Queue() {
  QueueRecord record;
  record.id = QueueId(Number());
  record.name = std::string(Bytes(kQueueNameBytesMax));
  record.options = Options();
  record.has_options = prng_.Chance(1, 2);
  record.created = Time();
  record.paused_until = Time();
  record.pause = Duration();
  record.idle_since = Time();
  record.deadline = Time();
  for (uint32_t& epoch : record.epochs) epoch = Number32();
  for (uint64_t& count : record.counts) count = Number();
  for (uint64_t& hash : record.hash_by_state) hash = prng_.Next();
  for (uint64_t* number : {&record.urgent, &record.ttl_count, &record.dedup_count, &record.bytes,
                           &record.total_enqueued, &record.total_deleted, &record.total_timeouts,
                           &record.total_pauses}) {
    *number = Number();
  }
  return record;
}

SetRef RandomValues::Set() {
  return {static_cast<SetKind>(prng_.Below(7)), QueueId(Number()), Number32(), AnyHolder()};
}

Outcome RandomValues::AnyOutcome() {
  Outcome outcome;
  outcome.code = static_cast<OutcomeCode>(prng_.Below(18));
  outcome.more = prng_.Chance(1, 2);
  outcome.replayed = prng_.Chance(1, 2);
  outcome.count = Number();
  outcome.session = SessionId(Number());
  for (uint64_t i = prng_.Below(4); i > 0; --i) {
    outcome.items.push_back({static_cast<OutcomeCode>(prng_.Below(19)),
                             static_cast<JobState>(prng_.Below(kJobStates)), prng_.Chance(1, 2),
                             JobId(Number()), Time()});
  }
  for (uint64_t i = prng_.Below(3); i > 0; --i) {
    outcome.grants.push_back({AnyJob(JobId(Number())), std::string(Bytes(kQueueNameBytesMax))});
  }
  return outcome;
}

SmallRowKey RandomValues::Key(int kind) {
  switch (kind) {
    case 0:
      return GlobalsKey{};
    case 1:
      return HolderKey{AnyHolder()};
    case 2:
      return NodeFloorKey{NodeId(Number())};
    case 3:
      return RequestKey{Time(), Number(), Number()};
    case 4:
      return SessionKey{SessionId(Number())};
    case 5:
      return SessionOutcomeKey{SessionId(Number()), Number()};
    case 7:
      return ClusterRecordKey{};
    default:
      return GraveKey{Set()};
  }
}

SmallRow RandomValues::Row(int kind) {
  const auto settings = [this] {
    return Settings{Number(), Number(), Number(), Number(), Duration()};
  };
  switch (kind) {
    case 0:
      return GlobalsRow{Number32(), Number(), Number(), Number(), Time(), settings()};
    case 1:
      return HolderRow{Number(), Number()};
    case 2:
      return NodeFloorRow{Number()};
    case 3:
      return RequestRow{AnyOutcome()};
    case 4:
      return SessionRow{Duration(), Time(), Number()};
    case 5:
      return SessionOutcomeRow{AnyOutcome()};
    case 7:
      return ClusterRecordRow{Number(), std::string(Bytes(100))};
    default:
      return GraveRow{Number()};
  }
}

RequestIdentity RandomValues::Request() {
  RequestIdentity request;
  switch (prng_.Below(3)) {
    case 0:
      request = {SessionId(Number() | 1), Number(), Number(), 0, 0};
      return request;
    case 1:
      request = {SessionId(), 0, 0, prng_.Next(), prng_.Next() | 1};
      if (prng_.Chance(1, 2)) request.lifetime = LogDuration::Micros(prng_.Between(0, 299'999'999));
      return request;
    default:
      return request;
  }
}

LeaseRefs RandomValues::Leases() {
  LeaseRefs leases;
  for (uint64_t i = prng_.Chance(1, 50) ? kItemsPerCommandMax : prng_.Below(4); i > 0; --i) {
    leases.push_back({JobId(Number()), LeaseToken(Number())});
  }
  return leases;
}

absl::InlinedVector<JobId, 1> RandomValues::Jobs() {
  absl::InlinedVector<JobId, 1> jobs;
  for (uint64_t i = prng_.Chance(1, 50) ? kItemsPerCommandMax : prng_.Below(4); i > 0; --i) {
    jobs.push_back(JobId(Number()));
  }
  return jobs;
}

RandomValues::EncodableCommand RandomValues::Enqueue() {
  EncodableCommand out;
  EnqueueCommand enqueue;
  enqueue.queue = Bytes(kQueueNameBytesMax);
  for (uint64_t i = prng_.Chance(1, 50) ? kItemsPerCommandMax : prng_.Below(4); i > 0; --i) {
    std::string payload;
    AppendPayload(&payload, Payload(40));
    out.payloads.push_back(kept_.emplace_back(std::move(payload)));
    JobSpec job = {Number32(),
                   Duration(),
                   Duration(),
                   Duration(),
                   prng_.Chance(1, 2) ? Bytes(kDedupKeyBytesMax) : std::string_view(),
                   static_cast<uint32_t>(out.payloads.back().size()),
                   PayloadDigest(out.payloads.back())};
    if (prng_.Chance(1, 4)) job.dedup_window = Duration();
    job.buried = prng_.Chance(1, 4);
    if (prng_.Chance(1, 4)) {
      job.past = {JobId(Number()), LogTime::FromMicros(Number()),
                  Duration(),      Number32(),
                  Number32(),      Number32(),
                  Number32(),      Number32()};
    }
    enqueue.jobs.push_back(job);
  }
  out.command = {Request(), std::move(enqueue)};
  return out;
}

RandomValues::EncodableCommand RandomValues::AnyCommand(size_t kind) {
  if (kind == 0) return Enqueue();
  return {{Request(), Body(kind)}, {}};
}

CommandBody RandomValues::Body(size_t kind) {
  const auto priority = [this] {
    return prng_.Chance(1, 2) ? std::optional<uint32_t>(Number32()) : std::nullopt;
  };
  const auto name = [this] { return Bytes(kQueueNameBytesMax); };
  switch (kind) {
    case 1: {
      ReserveCommand reserve{{}, Number32(), AnyHolder(), Duration()};
      for (uint64_t i = prng_.Below(4); i > 0; --i) reserve.queues.push_back(name());
      return reserve;
    }
    case 2:
      return ReserveJobCommand{JobId(Number()), AnyHolder(), Duration()};
    case 3:
      return DeleteCommand{Leases()};
    case 4:
      return DeleteJobCommand{Jobs(), static_cast<ReservedJobs>(prng_.Below(2))};
    case 5:
      return ReleaseCommand{
          Leases(), static_cast<ReleaseMode>(prng_.Below(2)), priority(),
          prng_.Chance(1, 2) ? std::optional<LogDuration>(Duration()) : std::nullopt};
    case 6:
      return TouchCommand{Leases(), Duration()};
    case 7:
      return BuryCommand{Leases(), priority()};
    case 8:
      return ReturnUndeliveredCommand{Leases()};
    case 9:
      return KickCommand{name(), Number32(), static_cast<KickFrom>(prng_.Below(3))};
    case 10:
      return KickJobsCommand{Jobs()};
    case 11:
      return PauseQueueCommand{name(), Duration(), static_cast<Existence>(prng_.Below(2))};
    case 12:
      return PurgeQueueCommand{name(), static_cast<uint8_t>(prng_.Below(16))};
    case 13:
      return PutQueueOptionsCommand{name(), Options(), kAllQueueOptionFields};
    case 14:
      return DeleteQueueCommand{name()};
    case 15:
      return CloseHolderCommand{AnyHolder()};
    case 16:
      return NodeLostCommand{NodeId(Number()), Number()};
    case 17:
      return ExpireCommand{Number32()};
    case 18:
      return OpenSessionCommand{Duration()};
    case 19:
      return CloseSessionCommand{SessionId(Number())};
    case 20:
      return PutSettingsCommand{{Number(), Number(), Number(), Number(), Duration()}};
    default:
      CHECK_EQ(kind, 21u);
      return PutClusterRecordCommand{Number(), Bytes(100)};
  }
}

}  // namespace holdfast
