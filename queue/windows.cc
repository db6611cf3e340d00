// What is in memory: loading cold rows, letting flushed ones go, refilling windows ahead of need.
// Nothing here shows in an outcome.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "queue/machine_impl.h"

namespace holdfast {
namespace {

constexpr size_t kWindowMinimum = 16;
constexpr size_t kLooseMax = 4096;

constexpr SetKind kJobSets[] = {SetKind::kReady, SetKind::kDelayed, SetKind::kReserved,
                                SetKind::kBuried, SetKind::kTtl};

}  // namespace

size_t Machine::Impl::WindowCap() const {
  const size_t share = options_.hot_jobs_max / std::max<size_t>(ring_.size(), 1);
  const size_t least = std::min(kWindowMinimum, options_.window_jobs_max);
  return std::clamp(share, least, options_.window_jobs_max);
}

size_t Machine::Impl::RefillLow() const {
  return std::min(options_.window_jobs_low, WindowCap() / 2 + 1);
}

DedupTable* Machine::Impl::FindDedups(QueueId id) const {
  if (QueueState* queue = queues_.Find(id)) return queue->dedup.get();
  const auto grave = graves_.find(SetRef{SetKind::kDedup, id, 0, Holder()});
  return grave == graves_.end() ? nullptr : const_cast<DedupTable*>(&grave->second.dedups);
}

void Machine::Impl::AddHot(QueueState* queue) {
  if (++queue->hot_jobs != 1) return;
  queue->ring_place = static_cast<uint32_t>(ring_.size());
  ring_.push_back(queue);
}

void Machine::Impl::RemoveHot(QueueState* queue, size_t jobs) {
  if (jobs == 0) return;
  CHECK_GE(queue->hot_jobs, jobs);
  queue->hot_jobs -= static_cast<uint32_t>(jobs);
  if (queue->hot_jobs > 0) return;
  QueueState* last = ring_.back();
  ring_[queue->ring_place] = last;
  last->ring_place = queue->ring_place;
  ring_.pop_back();
  queue->ring_place = QueueState::kNotInRing;
}

void Machine::Impl::SetUnflushed(JobNode* node, bool unflushed) {
  if (node->unflushed == unflushed) return;
  node->unflushed = unflushed;
  unflushed_jobs_ += unflushed ? 1 : -1;
}

// --- Loading.

void Machine::Impl::LoadJob(const Job& job) {
  if (jobs_.Find(job.id) != nullptr || absent_jobs_.contains(job.id)) return;
  const JobPlaces places = PlacesOf(job);
  const SetRef ref{static_cast<SetKind>(job.state), job.queue, job.epoch, Holder()};
  PagedSet* set = FindMutableSet(ref);
  if (set == nullptr || set->complete()) return;  // the row of a job that has been collected
  jobs_.Insert(job);
  set->Load(places.state_key);
  QueueState* queue = queues_.Find(job.queue);
  if (queue != nullptr && places.expires != LogTime::Never()) {
    queue->Set(SetKind::kTtl).Load(SetKey{places.expires.micros(), job.id.value()});
  }
  if (!places.holder.none()) {
    PagedSet* held = holders_.FindSet(places.holder);
    CHECK(held != nullptr);
    held->Load(SetKey{0, job.id.value()});
  }
  if (LiveQueue(job) != nullptr) AddHot(queue);
}

void Machine::Impl::LoadDedup(const DedupRecord& record) {
  DedupTable* table = FindDedups(record.queue);
  if (table == nullptr || table->order().complete()) return;
  if (absent_dedups_.contains(DedupKey(record.queue, record.key))) return;
  if (table->Find(record.key) == nullptr) table->Load(record.key, record.job, record.expires);
}

void Machine::Impl::LoadScan(const Loaded::Scan& scan) {
  for (const Job& job : scan.jobs) LoadJob(job);
  for (const DedupRecord& record : scan.dedups) LoadDedup(record);
  PagedSet* set = FindMutableSet(scan.set);
  const auto answered = [&](const Needs::Scan& asked) {
    return asked.set == scan.set && asked.from == scan.from;
  };
  if (std::erase_if(refills_under_way_, answered) > 0 && set != nullptr) {
    set->set_refill(PagedSet::Refill::kNone);
  }
  if (set == nullptr) return;
  if (scan.from > set->window_end()) {
    // The window shrank meanwhile: what came does not join it.
    for (const Job& job : scan.jobs) loose_jobs_.push_back(job.id);
    for (const DedupRecord& record : scan.dedups) {
      loose_dedups_.emplace_back(record.queue, record.key);
    }
    return;
  }
  const SetKey end = scan.exhausted ? SetKey::Max() : SetKey{scan.last.key, scan.last.id + 1};
  set->RaiseWindow(end);
}

void Machine::Impl::Load(Loaded loaded) {
  for (const Job& job : loaded.jobs) {
    LoadJob(job);
    loose_jobs_.push_back(job.id);
  }
  for (const JobId id : loaded.absent_jobs) {
    if (jobs_.Find(id) == nullptr) absent_jobs_.insert(id);
  }
  for (Loaded::Dedup& dedup : loaded.dedups) {
    if (dedup.found) {
      LoadDedup(dedup.record);
      loose_dedups_.emplace_back(dedup.queue, dedup.key);
      continue;
    }
    const DedupTable* table = FindDedups(dedup.queue);
    if (table != nullptr && table->Find(dedup.key) != nullptr) continue;
    absent_dedups_.emplace(dedup.queue, std::move(dedup.key));
  }
  for (const Loaded::Scan& scan : loaded.scans) LoadScan(scan);
}

// --- Refilling.

void Machine::Impl::WantRefill(const SetRef& ref, PagedSet* set) {
  set->set_refill(PagedSet::Refill::kWanted);
  refills_wanted_.push_back(ref);
}

// Where a scan for a command begins: at the window end or, so that its rows are not taken for
// those of a refill under way, one place before it (no job has id 0).
SetKey Machine::Impl::ScanStart(const SetRef& ref, const PagedSet& set) const {
  const SetKey end = set.window_end();
  if (set.refill() != PagedSet::Refill::kUnderWay) return end;
  for (const Needs::Scan& asked : refills_under_way_) {
    if (asked.set != ref || asked.from != end) continue;
    return end.id > 0 ? SetKey{end.key, end.id - 1} : SetKey{end.key - 1, UINT64_MAX};
  }
  return end;
}

std::vector<Needs::Scan> Machine::Impl::WantsRefill(size_t max) {
  std::vector<Needs::Scan> scans;
  size_t looked = 0;
  for (; looked < refills_wanted_.size() && scans.size() < max; ++looked) {
    const SetRef& ref = refills_wanted_[looked];
    PagedSet* set = FindMutableSet(ref);
    if (set == nullptr) continue;
    set->set_refill(PagedSet::Refill::kNone);
    if (set->Has(RefillLow()) || jobs_.size() >= options_.hot_jobs_max) continue;
    set->set_refill(PagedSet::Refill::kUnderWay);
    const size_t limit = std::max<size_t>(WindowCap() - std::min(WindowCap(), set->prefix()), 1);
    const SetKey from = std::max(set->window_end(), SetKey{0, 1});
    scans.push_back(Needs::Scan{ref, from, limit});
    refills_under_way_.push_back(scans.back());
  }
  refills_wanted_.erase(refills_wanted_.begin(),
                        refills_wanted_.begin() + static_cast<std::ptrdiff_t>(looked));
  return scans;
}

void Machine::Impl::CancelRefills() {
  for (const Needs::Scan& asked : std::exchange(refills_under_way_, {})) {
    PagedSet* set = FindMutableSet(asked.set);
    if (set != nullptr && set->refill() == PagedSet::Refill::kUnderWay) {
      WantRefill(asked.set, set);
    }
  }
}

// --- Letting go.

bool Machine::Impl::TryEvict(JobNode* node) {
  if (node->unflushed || node->change != 0) return false;
  const Job& job = node->job;
  const JobPlaces places = PlacesOf(job);
  const SetRef ref{static_cast<SetKind>(job.state), job.queue, job.epoch, Holder()};
  PagedSet* set = FindMutableSet(ref);
  CHECK(set != nullptr);
  if (places.state_key < set->window_end()) return false;
  PagedSet* ttl = nullptr;
  const SetKey ttl_key{places.expires.micros(), job.id.value()};
  QueueState* queue = queues_.Find(job.queue);
  if (queue != nullptr && places.expires != LogTime::Never()) {
    ttl = &queue->Set(SetKind::kTtl);
    if (ttl_key < ttl->window_end()) return false;
  }
  set->Evict(places.state_key);
  if (ttl != nullptr) ttl->Evict(ttl_key);
  // A holder's set is only for collecting it, so it keeps nothing in memory.
  if (!places.holder.none()) holders_.FindSet(places.holder)->Evict(SetKey{0, job.id.value()});
  if (LiveQueue(job) != nullptr) RemoveHot(queue, 1);
  jobs_.Remove(node);
  return true;
}

void Machine::Impl::EvictBeyondWindow(PagedSet* set) {
  std::vector<JobId> beyond;
  const PagedSet::Tree& tree = set->tree();
  for (auto it = tree.lower_bound(set->window_end()); it != tree.end(); ++it) {
    beyond.push_back(JobId(it->id));
  }
  for (const JobId id : beyond) TryEvict(jobs_.Find(id));
}

// All windows first: a job leaves memory only if none of its sets wants it there.
void Machine::Impl::ShrinkQueue(QueueState* queue, size_t cap) {
  const size_t slack = cap / 4;
  PagedSet* over[std::size(kJobSets)];
  size_t count = 0;
  for (const SetKind kind : kJobSets) {
    PagedSet* set = queue->FindSet(kind);
    if (set == nullptr || set->hot() <= cap + slack) continue;
    set->ShrinkWindow(cap);
    over[count++] = set;
  }
  for (size_t i = 0; i < count; ++i) EvictBeyondWindow(over[i]);
  if (queue->dedup != nullptr) ShrinkDedups(queue->record.id, queue->dedup.get(), cap);
}

bool Machine::Impl::TryEvictDedup(QueueId queue, DedupTable* table, std::string_view key) {
  const DedupTable::Item* item = table->Find(key);
  if (item == nullptr || item->second.unflushed) return false;
  if (DedupTable::PlaceOf(item->second) < table->order().window_end()) return false;
  if (dedup_change_places_.contains(DedupKey(queue, key))) return false;
  table->Evict(key);
  return true;
}

void Machine::Impl::ShrinkDedups(QueueId id, DedupTable* table, size_t cap) {
  PagedSet& order = table->order();
  if (order.hot() <= cap + cap / 4) return;
  order.ShrinkWindow(cap);
  std::vector<std::string> beyond;
  for (auto it = order.tree().lower_bound(order.window_end()); it != order.tree().end(); ++it) {
    beyond.push_back(table->At(*it).first);
  }
  for (const std::string& key : beyond) TryEvictDedup(id, table, key);
}

void Machine::Impl::EvictLoose() {
  if (loose_jobs_.size() > kLooseMax) {
    for (const JobId id : std::exchange(loose_jobs_, {})) {
      if (JobNode* node = jobs_.Find(id)) TryEvict(node);
    }
  }
  if (loose_dedups_.size() > kLooseMax) {
    for (const auto& [queue, key] : std::exchange(loose_dedups_, {})) {
      DedupTable* table = FindDedups(queue);
      if (table != nullptr) TryEvictDedup(queue, table, key);
    }
  }
}

// A hand that goes round the queues with hot jobs: one used since it last passed keeps its share,
// another keeps nothing.
void Machine::Impl::Sweep(size_t steps) {
  for (; steps > 0 && !ring_.empty(); --steps) {
    if (jobs_.size() <= options_.hot_jobs_max + unflushed_jobs_) return;
    hand_ = (hand_ + 1) % ring_.size();
    QueueState* queue = ring_[hand_];
    ShrinkQueue(queue, queue->referenced ? WindowCap() : 0);
    queue->referenced = false;
  }
}

void Machine::Impl::Flushed(const std::vector<JobId>& jobs, const std::vector<DedupRef>& dedups) {
  std::vector<QueueId> queues;
  for (const JobId id : jobs) {
    JobNode* node = jobs_.Find(id);
    if (node == nullptr || node->change != 0) continue;
    SetUnflushed(node, false);
    const QueueId queue = node->job.queue;
    if (!TryEvict(node) && (queues.empty() || queues.back() != queue)) queues.push_back(queue);
  }
  for (const DedupRef& dedup : dedups) {
    DedupTable* table = FindDedups(dedup.queue);
    DedupTable::Item* item = table == nullptr ? nullptr : table->Find(dedup.key);
    if (item == nullptr || dedup_change_places_.contains(DedupKey(dedup.queue, dedup.key))) {
      continue;
    }
    item->second.unflushed = false;
    if (TryEvictDedup(dedup.queue, table, dedup.key)) continue;
    if (queues.empty() || queues.back() != dedup.queue) queues.push_back(dedup.queue);
  }
  std::sort(queues.begin(), queues.end());
  queues.erase(std::unique(queues.begin(), queues.end()), queues.end());
  const size_t cap = WindowCap();
  for (const QueueId id : queues) {
    if (QueueState* queue = queues_.Find(id)) ShrinkQueue(queue, cap);
  }
  for (const JobId id : std::exchange(loose_jobs_, {})) {
    if (JobNode* node = jobs_.Find(id)) TryEvict(node);
  }
  Sweep(jobs.size() / 16 + 16);
}

}  // namespace holdfast
