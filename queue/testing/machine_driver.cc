#include "queue/testing/machine_driver.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "queue/testing/text.h"

namespace holdfast {
namespace {

// A command is satisfied after that many fetches or the machine asks in circles.
constexpr int kFetchesMax = 20'000;
constexpr size_t kRefillScansMax = 16;

}  // namespace

MachineDriver::MachineDriver(const Options& options)
    : options_(options),
      prng_(options.seed),
      machine_(std::make_unique<Machine>(options.machine)) {}

void MachineDriver::LoadNeeds(const Command& command, LogTime now) {
  for (int fetches = 0;; ++fetches) {
    const Needs needs = machine_->NeedsOf(command, now);
    if (needs.empty()) return;
    if (fetches == kFetchesMax) {
      std::fprintf(stderr, "asks in circles: %s\n  %zu jobs %zu dedups %zu scans\n",
                   CommandText(command).c_str(), needs.jobs.size(), needs.dedups.size(),
                   needs.scans.size());
      std::abort();
    }
    machine_->Load(store_.Fetch(needs, options_.scan_visits_max));
  }
}

Outcome MachineDriver::ApplyLoaded(const Command& command, LogTime now) {
  LoadNeeds(command, now);
  Outcome outcome = machine_->Apply(command, now);
  CHECK_EQ(machine_->now(), now);
  return outcome;
}

Outcome MachineDriver::Apply(const Command& command, LogTime now) {
  Outcome outcome = ApplyLoaded(command, now);
  log_.push_back(
      {command, now, OutcomeText(command.body, outcome, Detail::kFull), machine_->StateHash()});
  TakeNews();
  FollowSchedule();
  return outcome;
}

void MachineDriver::TakeNews() {
  for (std::string& name : machine_->TakeWakeups()) {
    wakeups_.insert(std::move(name));
  }
  for (const Machine::EndedLease& lease : machine_->TakeEndedLeases()) ended_.push_back(lease);
}

void MachineDriver::FollowSchedule() {
  const Schedule& schedule = options_.schedule;
  if (OneIn(schedule.drain)) Drain();
  if (OneIn(schedule.begin_flush)) BeginFlush();
  if (OneIn(schedule.complete_flush)) CompleteFlush();
  FollowRefills();
  if (OneIn(schedule.restart)) Restart();
  if (OneIn(schedule.fetch_ahead) && !log_.empty()) {
    // As if an equal command were coming: rows are loaded that nobody may want after all.
    const Logged& ahead = log_[prng_.Below(log_.size())];
    const Needs needs = machine_->NeedsOf(ahead.command, machine_->now());
    machine_->Load(store_.Fetch(needs, options_.scan_visits_max));
  }
  if (OneIn(schedule.check_invariants)) machine_->CheckInvariants();
}

void MachineDriver::FollowRefills() {
  const Schedule& schedule = options_.schedule;
  if (OneIn(schedule.refill_ask)) {
    for (const Needs::Scan& scan : machine_->WantsRefill(kRefillScansMax)) {
      refills_.push_back(scan);
    }
  }
  if (refills_.empty()) return;
  if (OneIn(schedule.refill_cancel)) {
    machine_->CancelRefills();
    refills_.clear();
  } else if (OneIn(schedule.refill_answer)) {
    Needs needs;
    needs.scans = std::exchange(refills_, {});
    machine_->Load(store_.Fetch(needs, options_.scan_visits_max));
  }
}

void MachineDriver::Refill() {
  for (int rounds = 0; rounds < 10; ++rounds) {
    Needs needs;
    needs.scans = machine_->WantsRefill(kRefillScansMax);
    if (needs.empty()) return;
    machine_->Load(store_.Fetch(needs, options_.scan_visits_max));
  }
}

void MachineDriver::Drain() { machine_->DrainChanges(&store_); }

void MachineDriver::BeginFlush() {
  if (store_.FlushInFlight()) return;
  Drain();
  store_.BeginFlush();
  flush_begun_at_ = log_.size();
}

void MachineDriver::CompleteFlush() {
  if (!store_.FlushInFlight()) return;
  Drain();
  const MemoryColdStore::FlushedIds flushed = store_.CompleteFlush();
  log_.erase(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(flush_begun_at_));
  flush_begun_at_ = 0;
  machine_->Flushed(flushed.jobs, flushed.dedups);
}

void MachineDriver::Flush() {
  CompleteFlush();
  BeginFlush();
  CompleteFlush();
}

void MachineDriver::Restart() {
  store_.DropUnflushed();
  flush_begun_at_ = 0;
  refills_.clear();
  machine_ = std::make_unique<Machine>(options_.machine);
  store_.RestoreInto(machine_.get());
  machine_->CheckInvariants();
  Replay();
  // What was said of these commands has been said already.
  machine_->TakeWakeups();
  machine_->TakeEndedLeases();
}

void MachineDriver::Replay() {
  for (const Logged& entry : log_) {
    const Outcome outcome = ApplyLoaded(entry.command, entry.now);
    const std::string answer = OutcomeText(entry.command.body, outcome, Detail::kFull);
    if (answer != entry.answer || machine_->StateHash() != entry.hash) {
      std::fprintf(stderr, "a replay differs at: %s\nfirst run: %s %llx\nreplay: %s %llx\n",
                   CommandText(entry.command).c_str(), entry.answer.c_str(),
                   static_cast<unsigned long long>(entry.hash), answer.c_str(),
                   static_cast<unsigned long long>(machine_->StateHash()));
      std::abort();
    }
    if (OneIn(options_.schedule.drain)) Drain();
  }
}

bool MachineDriver::FindJob(JobId id, Job* job) const {
  const Job* found = machine_->FindHotJob(id);
  if (found == nullptr && !machine_->IsJobKnown(id)) found = store_.FindJob(id);
  if (found == nullptr || !machine_->IsAlive(*found)) return false;
  *job = *found;
  return true;
}

std::vector<Job> MachineDriver::Range(QueueId queue, JobState state) {
  Drain();
  std::map<SetKey, Job> members;
  for (const Job& job : store_.Jobs()) {
    if (job.queue != queue || job.state != state || !machine_->IsAlive(job)) continue;
    members[PlacesOf(job).state_key] = job;
  }
  CheckHot(machine_->StateSet(queue, state), members);
  std::vector<Job> range;
  for (const auto& [key, job] : members) range.push_back(job);
  return range;
}

void MachineDriver::CheckHot(const SetRef& set, const std::map<SetKey, Job>& members) const {
  const std::vector<Job> hot = machine_->HotRange(set, SetKey::Min(), members.size() + 1);
  CHECK_LE(hot.size(), members.size());
  if (machine_->IsFullyHot(set)) CHECK_EQ(hot.size(), members.size());
  SetKey last;
  for (const Job& job : hot) {
    const SetKey key = PlacesOf(job).state_key;
    CHECK(last < key);
    last = key;
    const auto it = members.find(key);
    CHECK(it != members.end());
    CHECK_EQ(JobText(it->second, Detail::kFull), JobText(job, Detail::kFull));
  }
  bool cold = false;
  const Job* front = machine_->Front(set, &cold);
  if (front != nullptr) {
    CHECK(!members.empty());
    CHECK_EQ(front->id, members.begin()->second.id);
  } else if (!cold) {
    CHECK(members.empty());
  }
}

}  // namespace holdfast
