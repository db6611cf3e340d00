// What is told to the shell since the last time, and the state hash.

#include <utility>

#include "queue/machine_impl.h"
#include "queue/state_hash.h"

namespace holdfast {
namespace {

constexpr size_t kAbsentMax = 65536;

}  // namespace

void Machine::Impl::DrainJobs(ChangeSink* sink) {
  for (const JobChange& change : job_changes_) {
    const JobPlaces* before = change.created ? nullptr : &change.before;
    if (change.node != nullptr) {
      change.node->change = 0;
      sink->JobChanged(change.id, before, &change.node->job);
    } else if (before != nullptr) {
      sink->JobChanged(change.id, before, nullptr);
    }
  }
  job_changes_.clear();
  // A burst's memory is not kept for good.
  if (job_changes_.capacity() > 100'000) job_changes_.shrink_to_fit();
}

void Machine::Impl::DrainQueues(ChangeSink* sink) {
  for (const QueueId id : queue_changes_) {
    QueueState* queue = queues_.Find(id);
    if (queue == nullptr) {
      sink->QueueChanged(id, nullptr);
      continue;
    }
    queue->changed = false;
    queue_hash_ -= queue->record_hash;
    queue->record_hash = HashOf(queue->record);
    queue_hash_ += queue->record_hash;
    sink->QueueChanged(id, &queue->record);
  }
  queue_changes_.clear();
}

void Machine::Impl::DrainDedups(ChangeSink* sink) {
  for (const DedupChange& change : dedup_changes_) {
    const auto& [queue, key] = change.key;
    const DedupRecord* before = change.existed ? &change.before : nullptr;
    const DedupTable* table = FindDedups(queue);
    const DedupTable::Item* item = table == nullptr ? nullptr : table->Find(key);
    if (item != nullptr) {
      const DedupRecord after{queue, key, item->second.job, item->second.expires};
      sink->DedupChanged(queue, key, before, &after);
    } else if (before != nullptr) {
      sink->DedupChanged(queue, key, before, nullptr);
    }
  }
  dedup_changes_.clear();
  dedup_change_places_.clear();
}

bool Machine::Impl::FindGrave(const SetRef& ref, SmallRow* row) const {
  const auto it = graves_.find(ref);
  if (it == graves_.end()) return false;
  *row = GraveRow{it->second.set(ref.kind).total()};
  return true;
}

void Machine::Impl::DrainRows(ChangeSink* sink) {
  if (std::exchange(globals_changed_, false)) {
    const SmallRow row(globals_);
    sink->RowChanged(GlobalsKey(), &row);
  }
  for (const Holder& holder : holders_.TakeChangedHolders()) {
    HolderRow found;
    const bool exists = holders_.FindRow(holder, &found);
    const SmallRow row(found);
    sink->RowChanged(HolderKey{holder}, exists ? &row : nullptr);
  }
  for (const NodeId node : holders_.TakeChangedFloors()) {
    const SmallRow row(holders_.FindFloor(node));
    sink->RowChanged(NodeFloorKey{node}, &row);
  }
  const auto tell = [sink](const SmallRowKey& key, const auto* found) {
    if (found == nullptr) return sink->RowChanged(key, nullptr);
    const SmallRow row(*found);
    sink->RowChanged(key, &row);
  };
  for (const RequestKey& key : requests_.TakeChanged()) tell(key, requests_.FindRow(key));
  for (const SessionId id : sessions_.TakeChangedSessions()) {
    tell(SessionKey{id}, sessions_.FindRow(id));
  }
  for (const SessionTable::OutcomeKey& key : sessions_.TakeChangedOutcomes()) {
    tell(SessionOutcomeKey{key.first, key.second}, sessions_.FindRow(key));
  }
  if (std::exchange(cluster_record_changed_, false)) tell(ClusterRecordKey(), &cluster_record_);
  for (const SetRef& ref : grave_changes_.Take()) {
    SmallRow row;
    const bool exists = FindGrave(ref, &row);
    sink->RowChanged(GraveKey{ref}, exists ? &row : nullptr);
  }
}

void Machine::Impl::DrainChanges(ChangeSink* sink) {
  DrainJobs(sink);
  DrainQueues(sink);
  DrainDedups(sink);
  DrainRows(sink);
  // From here on the shell answers for what was deleted until now.
  if (absent_jobs_.size() > kAbsentMax) absent_jobs_.clear();
  if (absent_dedups_.size() > kAbsentMax) absent_dedups_.clear();
}

std::vector<std::string> Machine::Impl::TakeWakeups() {
  std::vector<std::string> names;
  for (const QueueId id : wakeups_) {
    QueueState* queue = queues_.Find(id);
    if (queue == nullptr) continue;
    queue->wakeup = false;
    const bool has_ready = queue->record.counts[static_cast<int>(JobState::kReady)] > 0;
    if (has_ready) names.push_back(queue->record.name);
  }
  wakeups_.clear();
  return names;
}

uint64_t Machine::Impl::StateHash() const {
  uint64_t queues = queue_hash_;
  for (const QueueId id : queue_changes_) {
    const QueueState* queue = queues_.Find(id);
    if (queue != nullptr) queues += HashOf(queue->record) - queue->record_hash;
  }
  RecordHash hash(11);
  hash.Add(queues, holders_.hash())
      .Add(requests_.hash(), sessions_.hash())
      .Add(HashOf(globals_), garbage_jobs_);
  // States from before there were such records keep their hash.
  if (cluster_record_.version > 0) hash.Add(HashOf(cluster_record_), 0);
  return hash.Finish();
}

}  // namespace holdfast
