#include "queue/machine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "queue/machine_impl.h"
#include "queue/state_hash.h"

namespace holdfast {

Machine::Impl::Impl(const Options& options) : options_(options) {
  CHECK_GT(options.shards, 0u);
  CHECK_LT(options.shard.value(), options.shards);
  CHECK_GT(options.window_jobs_max, 0u);
}

Outcome Machine::Impl::Refused(OutcomeCode code) {
  Outcome outcome;
  outcome.code = code;
  return outcome;
}

void Machine::Impl::Summarise(Outcome* outcome) {
  if (outcome->items.empty()) return;
  outcome->code = outcome->items.front().code;
  for (const ItemOutcome& item : outcome->items) {
    if (item.code != outcome->code) outcome->code = OutcomeCode::kPartial;
  }
}

Outcome Machine::Impl::ApplyUnremembered(const Command& command) {
  return std::visit([this](const auto& body) { return Do(body); }, command.body);
}

// That nothing was ready is not remembered: the same request is tried again when something is.
Outcome Machine::Impl::Apply(const Command& command, LogTime now) {
  CHECK_GE(now, globals_.now);
  if (now > globals_.now) globals_changed_ = true;
  globals_.now = now;
  const RequestIdentity& request = command.request;
  const auto worth_remembering = [](const Outcome& outcome) {
    return outcome.code != OutcomeCode::kNothingReady;
  };
  if (request.has_session()) {
    const Outcome* earlier = nullptr;
    const auto verdict = sessions_.Judge(request, now, settings().session_outcomes_max, &earlier);
    if (verdict == SessionTable::Verdict::kExpired) return Refused(OutcomeCode::kSessionExpired);
    if (verdict == SessionTable::Verdict::kReplay) {
      // Copied first: raising the floor moves the outcomes that are kept.
      Outcome outcome = *earlier;
      sessions_.Use(request, now);
      outcome.replayed = true;
      return outcome;
    }
    sessions_.Use(request, now);
    if (verdict == SessionTable::Verdict::kForgotten) {
      return Refused(OutcomeCode::kOutcomeForgotten);
    }
    if (verdict == SessionTable::Verdict::kFull) return Refused(OutcomeCode::kRequestTableFull);
    Outcome outcome = ApplyUnremembered(command);
    const bool open = sessions_.IsOpen(request.session, now);
    if (open && worth_remembering(outcome)) sessions_.Remember(request, outcome);
    EvictLoose();
    return outcome;
  }
  if (request.has_digest()) {
    const RequestMemory::Digest digest{request.digest_high, request.digest_low};
    if (const Outcome* earlier = requests_.Find(digest, now)) {
      Outcome outcome = *earlier;
      outcome.replayed = true;
      return outcome;
    }
    requests_.Collect(now, 2);
    if (requests_.Full(now, settings().requests_max)) {
      return Refused(OutcomeCode::kRequestTableFull);
    }
    Outcome outcome = ApplyUnremembered(command);
    if (worth_remembering(outcome)) {
      requests_.Remember(digest, outcome, now, now + request.lifetime);
    }
    EvictLoose();
    return outcome;
  }
  Outcome outcome = ApplyUnremembered(command);
  EvictLoose();
  return outcome;
}

void Machine::Impl::Restore(const QueueRecord& record) {
  QueueState* queue = queues_.Insert(record);
  urgent_jobs_ += record.urgent;
  for (int state = 0; state < kJobStates; ++state) {
    jobs_by_state_[state] += record.counts[state];
    if (record.counts[state] == 0) continue;
    queue->Set(static_cast<SetKind>(state)) = PagedSet::Cold(record.counts[state]);
  }
  if (record.ttl_count > 0) queue->Set(SetKind::kTtl) = PagedSet::Cold(record.ttl_count);
  if (record.dedup_count > 0) {
    queue->dedup = std::make_unique<DedupTable>(DedupTable::Cold(record.dedup_count));
  }
  deadlines_.Move(record.id, LogTime::Never(), record.deadline);
  queue->record_hash = HashOf(record);
  queue_hash_ += queue->record_hash;
  if (record.counts[0] > 0) WantRefill(RefOf(*queue, SetKind::kReady), &queue->ready);
  if (record.counts[2] > 0) WantRefill(RefOf(*queue, SetKind::kReserved), &queue->reserved);
}

void Machine::Impl::Restore(const SmallRowKey& key, const SmallRow& row) {
  if (std::holds_alternative<GlobalsKey>(key)) {
    globals_ = std::get<GlobalsRow>(row);
    CHECK_EQ(globals_.machine_version, 1u);
  } else if (const auto* holder = std::get_if<HolderKey>(&key)) {
    holders_.Restore(holder->holder, std::get<HolderRow>(row));
  } else if (const auto* floor = std::get_if<NodeFloorKey>(&key)) {
    holders_.Restore(floor->node, std::get<NodeFloorRow>(row));
  } else if (const auto* request = std::get_if<RequestKey>(&key)) {
    requests_.Restore(*request, std::get<RequestRow>(row));
  } else if (const auto* session = std::get_if<SessionKey>(&key)) {
    sessions_.Restore(session->session, std::get<SessionRow>(row));
  } else if (const auto* outcome = std::get_if<SessionOutcomeKey>(&key)) {
    sessions_.Restore(SessionTable::OutcomeKey(outcome->session, outcome->sequence),
                      std::get<SessionOutcomeRow>(row));
  } else if (std::holds_alternative<ClusterRecordKey>(key)) {
    cluster_record_ = std::get<ClusterRecordRow>(row);
  } else {
    const SetRef& set = std::get<GraveKey>(key).set;
    const uint64_t members = std::get<GraveRow>(row).members;
    Grave& grave = graves_[set];
    if (set.kind == SetKind::kDedup) {
      grave.dedups = DedupTable::Cold(members);
    } else {
      grave.jobs = PagedSet::Cold(members);
      garbage_jobs_ += members;
    }
  }
}

LogTime Machine::Impl::NextDeadline() const {
  return std::min({deadlines_.Earliest(), requests_.Earliest(), sessions_.Earliest()});
}

bool Machine::Impl::HasGarbage() const {
  Holder holder;
  return !graves_.empty() || holders_.FirstToCollect(&holder);
}

const Job* Machine::Impl::FindHotJob(JobId id) const {
  const JobNode* node = jobs_.Find(id);
  return node == nullptr ? nullptr : &node->job;
}

bool Machine::Impl::IsJobKnown(JobId id) const {
  if (id.value() % options_.shards != options_.shard.value()) return true;
  const uint64_t sequence = id.value() / options_.shards;
  if (sequence == 0 || sequence >= globals_.next_sequence) return true;
  return jobs_.Find(id) != nullptr || absent_jobs_.contains(id);
}

const PagedSet* Machine::Impl::FindSet(const SetRef& set) const {
  if (set.kind == SetKind::kHeld) return holders_.FindSet(set.holder);
  const QueueState* queue = queues_.Find(set.queue);
  if (queue != nullptr) {
    if (set.kind == SetKind::kTtl || set.kind == SetKind::kDedup) return queue->FindSet(set.kind);
    const int state = static_cast<int>(set.kind);
    if (queue->record.epochs[state] == set.epoch) return queue->FindSet(set.kind);
  }
  const auto grave = graves_.find(set);
  return grave == graves_.end() ? nullptr : &grave->second.set(set.kind);
}

SetRef Machine::Impl::RefOf(const QueueState& queue, SetKind kind) const {
  SetRef ref;
  ref.kind = kind;
  ref.queue = queue.record.id;
  const bool has_epoch = kind <= SetKind::kBuried;
  if (has_epoch) ref.epoch = queue.record.epochs[static_cast<int>(kind)];
  return ref;
}

SetRef Machine::Impl::StateSet(QueueId id, JobState state) const {
  const QueueState* queue = queues_.Find(id);
  if (queue != nullptr) return RefOf(*queue, static_cast<SetKind>(state));
  return SetRef{static_cast<SetKind>(state), id, 0, Holder()};
}

std::vector<Job> Machine::Impl::HotRange(const SetRef& ref, SetKey from, size_t limit) const {
  std::vector<Job> jobs;
  const PagedSet* set = FindSet(ref);
  if (set == nullptr || ref.kind == SetKind::kDedup) return jobs;
  for (auto it = set->tree().lower_bound(from); it != set->tree().end(); ++it) {
    if (jobs.size() >= limit) break;
    jobs.push_back(jobs_.Find(JobId(it->id))->job);
  }
  return jobs;
}

const Job* Machine::Impl::Front(const SetRef& ref, bool* cold) const {
  const PagedSet* set = FindSet(ref);
  *cold = set != nullptr && set->HeadUnknown();
  const SetKey* first = set == nullptr ? nullptr : set->First();
  return first == nullptr || ref.kind == SetKind::kDedup ? nullptr : FindHotJob(JobId(first->id));
}

Machine::Totals Machine::Impl::totals() const {
  Totals totals;
  for (int state = 0; state < kJobStates; ++state) {
    totals.jobs_by_state[state] = jobs_by_state_[state];
  }
  totals.urgent_jobs = urgent_jobs_;
  totals.enqueued = globals_.next_sequence - 1;
  totals.timeouts = timeouts_;
  totals.queues = queues_.size();
  totals.hot_jobs = jobs_.size();
  totals.garbage_jobs = garbage_jobs_;
  totals.holders = holders_.size();
  totals.requests = requests_.size();
  totals.sessions = sessions_.size();
  return totals;
}

// --- The interface.

Machine::Totals& Machine::Totals::operator+=(const Totals& other) {
  for (int state = 0; state < kJobStates; ++state)
    jobs_by_state[state] += other.jobs_by_state[state];
  urgent_jobs += other.urgent_jobs;
  enqueued += other.enqueued;
  timeouts += other.timeouts;
  queues += other.queues;
  hot_jobs += other.hot_jobs;
  garbage_jobs += other.garbage_jobs;
  holders += other.holders;
  requests += other.requests;
  sessions += other.sessions;
  return *this;
}

Machine::Machine(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
Machine::~Machine() = default;

void Machine::Restore(const QueueRecord& record) { impl_->Restore(record); }
void Machine::Restore(const SmallRowKey& key, const SmallRow& row) { impl_->Restore(key, row); }
Needs Machine::NeedsOf(const Command& command, LogTime now) const {
  return impl_->NeedsOf(command, now);
}
void Machine::Load(Loaded loaded) { impl_->Load(std::move(loaded)); }
std::vector<Needs::Scan> Machine::WantsRefill(size_t max) { return impl_->WantsRefill(max); }
void Machine::CancelRefills() { impl_->CancelRefills(); }
Outcome Machine::Apply(const Command& command, LogTime now) { return impl_->Apply(command, now); }
void Machine::DrainChanges(ChangeSink* sink) { impl_->DrainChanges(sink); }
std::vector<std::string> Machine::TakeWakeups() { return impl_->TakeWakeups(); }
std::vector<Machine::EndedLease> Machine::TakeEndedLeases() { return impl_->TakeEndedLeases(); }
void Machine::Flushed(const std::vector<JobId>& jobs, const std::vector<DedupRef>& dedups) {
  impl_->Flushed(jobs, dedups);
}
LogTime Machine::NextDeadline() const { return impl_->NextDeadline(); }
bool Machine::HasGarbage() const { return impl_->HasGarbage(); }
const Job* Machine::FindHotJob(JobId id) const { return impl_->FindHotJob(id); }
bool Machine::IsJobKnown(JobId id) const { return impl_->IsJobKnown(id); }
bool Machine::IsAlive(const Job& job) const { return impl_->IsAlive(job); }
const QueueRecord* Machine::FindQueue(std::string_view name) const {
  const QueueState* queue = impl_->queues().Find(name);
  return queue == nullptr ? nullptr : &queue->record;
}
const QueueRecord* Machine::FindQueue(QueueId id) const {
  const QueueState* queue = impl_->queues().Find(id);
  return queue == nullptr ? nullptr : &queue->record;
}
std::vector<std::string> Machine::ListQueues(std::string_view after, size_t limit) const {
  return impl_->queues().Names(after, limit);
}
SetRef Machine::StateSet(QueueId queue, JobState state) const {
  return impl_->StateSet(queue, state);
}
std::vector<Job> Machine::HotRange(const SetRef& set, SetKey from, size_t limit) const {
  return impl_->HotRange(set, from, limit);
}
bool Machine::IsFullyHot(const SetRef& ref) const {
  const PagedSet* set = impl_->FindSet(ref);
  return set == nullptr || set->complete();
}
const Job* Machine::Front(const SetRef& set, bool* cold) const { return impl_->Front(set, cold); }
LogTime Machine::now() const { return impl_->now(); }
const Settings& Machine::settings() const { return impl_->settings(); }
const ClusterRecordRow& Machine::cluster_record() const { return impl_->cluster_record(); }
std::vector<NodeRun> Machine::OpenRuns() const { return impl_->OpenRuns(); }
uint64_t Machine::LostIncarnation(NodeId node) const { return impl_->LostIncarnation(node); }
Machine::Totals Machine::totals() const { return impl_->totals(); }
uint64_t Machine::StateHash() const { return impl_->StateHash(); }
void Machine::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace holdfast
