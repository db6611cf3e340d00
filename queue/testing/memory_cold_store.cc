#include "queue/testing/memory_cold_store.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/coding.h"

namespace holdfast {
namespace {

// Bytes that tell small rows apart.
std::string RowBytes(const SmallRowKey& key) {
  std::string bytes;
  PutFixed8(&bytes, static_cast<uint8_t>(key.index()));
  const auto put_holder = [&bytes](const Holder& holder) {
    PutBigEndian64(&bytes, holder.node.value());
    PutBigEndian64(&bytes, holder.incarnation);
    PutBigEndian64(&bytes, holder.n);
  };
  if (const auto* holder = std::get_if<HolderKey>(&key)) {
    put_holder(holder->holder);
  } else if (const auto* floor = std::get_if<NodeFloorKey>(&key)) {
    PutBigEndian64(&bytes, floor->node.value());
  } else if (const auto* request = std::get_if<RequestKey>(&key)) {
    PutBigEndian64(&bytes, request->expires.micros());
    PutBigEndian64(&bytes, request->digest_high);
    PutBigEndian64(&bytes, request->digest_low);
  } else if (const auto* session = std::get_if<SessionKey>(&key)) {
    PutBigEndian64(&bytes, session->session.value());
  } else if (const auto* outcome = std::get_if<SessionOutcomeKey>(&key)) {
    PutBigEndian64(&bytes, outcome->session.value());
    PutBigEndian64(&bytes, outcome->sequence);
  } else if (const auto* grave = std::get_if<GraveKey>(&key)) {
    PutFixed8(&bytes, static_cast<uint8_t>(grave->set.kind));
    PutBigEndian64(&bytes, grave->set.queue.value());
    PutBigEndian32(&bytes, grave->set.epoch);
    put_holder(grave->set.holder);
  }
  return bytes;
}

// Ttl sets are kept by queue alone: a job's places do not tell a ttl epoch.
SetRef Stored(SetRef set) {
  if (set.kind == SetKind::kTtl) set.epoch = 0;
  return set;
}

std::vector<std::pair<SetRef, SetKey>> IndexEntries(const Job& job) {
  const JobPlaces places = PlacesOf(job);
  std::vector<std::pair<SetRef, SetKey>> entries;
  SetRef state;
  state.kind = static_cast<SetKind>(places.state);
  state.queue = places.queue;
  state.epoch = places.epoch;
  entries.emplace_back(state, places.state_key);
  if (places.expires != LogTime::Never()) {
    SetRef ttl;
    ttl.kind = SetKind::kTtl;
    ttl.queue = places.queue;
    entries.emplace_back(ttl, SetKey{places.expires.micros(), job.id.value()});
  }
  if (!places.holder.none()) {
    SetRef held;
    held.kind = SetKind::kHeld;
    held.holder = places.holder;
    entries.emplace_back(held, SetKey{0, job.id.value()});
  }
  return entries;
}

template <class Map, class Key>
const typename Map::mapped_type* FindIn(const Map& map, const Key& key) {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

// --- What changed.

void MemoryColdStore::JobChanged(JobId id, const JobPlaces* before, const Job* after) {
  CHECK(before != nullptr || after != nullptr);
  const Job* known = FindJob(id);
  CHECK_EQ(known != nullptr, before != nullptr);
  if (known != nullptr) CHECK(PlacesOf(*known) == *before);
  if (after != nullptr) CHECK_EQ(after->id, id);
  active_.jobs[id] = after == nullptr ? std::nullopt : std::optional<Job>(*after);
}

void MemoryColdStore::QueueChanged(QueueId id, const QueueRecord* after) {
  if (after != nullptr) CHECK_EQ(after->id, id);
  active_.queues[id] = after == nullptr ? std::nullopt : std::optional<QueueRecord>(*after);
}

void MemoryColdStore::DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                                   const DedupRecord* after) {
  CHECK(before != nullptr || after != nullptr);
  const DedupKey dedup_key(queue, std::string(key));
  const DedupRecord* known = FindDedup(dedup_key);
  CHECK_EQ(known != nullptr, before != nullptr);
  if (known != nullptr) {
    CHECK_EQ(known->job, before->job);
    CHECK_EQ(known->expires, before->expires);
  }
  active_.dedups[dedup_key] = after == nullptr ? std::nullopt : std::optional<DedupRecord>(*after);
}

void MemoryColdStore::RowChanged(const SmallRowKey& key, const SmallRow* after) {
  if (after != nullptr) CHECK_EQ(after->index(), key.index());
  active_.rows[RowBytes(key)] = {key,
                                 after == nullptr ? std::nullopt : std::optional<SmallRow>(*after)};
}

// --- Reading.

const Job* MemoryColdStore::FindJob(JobId id) const {
  for (const Layer* layer : {&active_, &frozen_}) {
    if (const auto* change = FindIn(layer->jobs, id)) {
      return change->has_value() ? &**change : nullptr;
    }
  }
  return FindIn(jobs_, id);
}

std::vector<Job> MemoryColdStore::Jobs() const {
  std::map<JobId, std::optional<Job>> latest(jobs_.begin(), jobs_.end());
  for (const Layer* layer : {&frozen_, &active_}) {
    for (const auto& [id, job] : layer->jobs) latest[id] = job;
  }
  std::vector<Job> jobs;
  for (const auto& [id, job] : latest) {
    if (job.has_value()) jobs.push_back(*job);
  }
  return jobs;
}

const DedupRecord* MemoryColdStore::FindDedup(const DedupKey& key) const {
  for (const Layer* layer : {&active_, &frozen_}) {
    if (const auto* change = FindIn(layer->dedups, key)) {
      return change->has_value() ? &**change : nullptr;
    }
  }
  return FindIn(dedups_, key);
}

Loaded::Scan MemoryColdStore::ScanJobs(const Needs::Scan& scan, size_t visits_max) const {
  Loaded::Scan found;
  found.set = scan.set;
  found.from = scan.from;
  found.exhausted = true;
  const auto* members = FindIn(sets_, Stored(scan.set));
  if (members == nullptr) return found;
  size_t visits = 0;
  for (auto it = members->lower_bound(scan.from); it != members->end(); ++it) {
    if (found.jobs.size() >= scan.limit || visits >= visits_max) {
      found.exhausted = false;
      break;
    }
    ++visits;
    found.last = it->first;
    if (IsUnflushed(it->second)) continue;
    found.jobs.push_back(jobs_.at(it->second));
  }
  return found;
}

Loaded::Scan MemoryColdStore::ScanDedups(const Needs::Scan& scan, size_t visits_max) const {
  Loaded::Scan found;
  found.set = scan.set;
  found.from = scan.from;
  found.exhausted = true;
  const auto* members = FindIn(dedup_sets_, scan.set.queue);
  if (members == nullptr) return found;
  size_t visits = 0;
  for (auto it = members->lower_bound(scan.from); it != members->end(); ++it) {
    if (found.dedups.size() >= scan.limit || visits >= visits_max) {
      found.exhausted = false;
      break;
    }
    ++visits;
    found.last = it->first;
    const DedupKey key(scan.set.queue, it->second);
    if (IsUnflushed(key)) continue;
    found.dedups.push_back(dedups_.at(key));
  }
  return found;
}

Loaded MemoryColdStore::Fetch(const Needs& needs, size_t visits_max) const {
  Loaded loaded;
  for (const JobId id : needs.jobs) {
    const Job* latest = FindJob(id);
    if (latest == nullptr) {
      loaded.absent_jobs.push_back(id);
    } else if (!IsUnflushed(id)) {
      loaded.jobs.push_back(*latest);
    }
  }
  for (const Needs::Dedup& need : needs.dedups) {
    const DedupKey key(need.queue, need.key);
    const DedupRecord* latest = FindDedup(key);
    if (latest != nullptr && IsUnflushed(key)) continue;
    Loaded::Dedup dedup{need.queue, need.key, latest != nullptr, {}};
    if (latest != nullptr) dedup.record = *latest;
    loaded.dedups.push_back(std::move(dedup));
  }
  for (const Needs::Scan& scan : needs.scans) {
    CHECK_GT(scan.limit, 0u);
    loaded.scans.push_back(scan.set.kind == SetKind::kDedup ? ScanDedups(scan, visits_max)
                                                            : ScanJobs(scan, visits_max));
  }
  return loaded;
}

// --- Flushing.

void MemoryColdStore::StoreJob(JobId id, const std::optional<Job>& job) {
  if (const auto old = jobs_.find(id); old != jobs_.end()) {
    for (const auto& [set, key] : IndexEntries(old->second)) {
      CHECK_EQ(sets_[set].erase(key), 1u);
      if (sets_[set].empty()) sets_.erase(set);
    }
    jobs_.erase(old);
  }
  if (!job.has_value()) return;
  for (const auto& [set, key] : IndexEntries(*job)) CHECK(sets_[set].emplace(key, id).second);
  jobs_[id] = *job;
}

void MemoryColdStore::StoreDedup(const DedupKey& key, const std::optional<DedupRecord>& dedup) {
  const auto place = [](const DedupRecord& record) {
    return SetKey{record.expires.micros(), record.job.value()};
  };
  if (const auto old = dedups_.find(key); old != dedups_.end()) {
    CHECK_EQ(dedup_sets_[key.first].erase(place(old->second)), 1u);
    dedups_.erase(old);
  }
  if (!dedup.has_value()) return;
  CHECK(dedup_sets_[key.first].emplace(place(*dedup), key.second).second);
  dedups_[key] = *dedup;
}

void MemoryColdStore::BeginFlush() {
  CHECK(!in_flight_);
  in_flight_ = true;
  frozen_ = std::exchange(active_, Layer());
}

MemoryColdStore::FlushedIds MemoryColdStore::CompleteFlush() {
  CHECK(in_flight_);
  in_flight_ = false;
  const Layer done = std::exchange(frozen_, Layer());
  FlushedIds flushed;
  for (const auto& [id, job] : done.jobs) {
    StoreJob(id, job);
    if (active_.jobs.count(id) == 0) flushed.jobs.push_back(id);
  }
  for (const auto& [key, dedup] : done.dedups) {
    StoreDedup(key, dedup);
    if (active_.dedups.count(key) == 0) flushed.dedups.push_back({key.first, key.second});
  }
  for (const auto& [id, queue] : done.queues) {
    queues_.erase(id);
    if (queue.has_value()) queues_[id] = *queue;
  }
  for (const auto& [bytes, row] : done.rows) {
    rows_.erase(bytes);
    if (row.second.has_value()) rows_[bytes] = {row.first, *row.second};
  }
  return flushed;
}

void MemoryColdStore::DropUnflushed() {
  frozen_ = Layer();
  active_ = Layer();
  in_flight_ = false;
}

void MemoryColdStore::RestoreInto(Machine* machine) const {
  for (const auto& [id, queue] : queues_) machine->Restore(queue);
  for (const auto& [bytes, row] : rows_) machine->Restore(row.first, row.second);
}

}  // namespace holdfast
