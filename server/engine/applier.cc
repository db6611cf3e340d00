#include "server/engine/applier.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

using raft::EntryType;

// Cold tails fetched at once, ahead of need.
constexpr size_t kRefillsMax = 8;
// Entries whose rows are fetched before they are pushed, and rows of one of them.
constexpr size_t kPrefetchesMax = 8;
constexpr size_t kPrefetchRowsMax = 4096;

bool HasColdJobs(const Machine& machine) {
  const Machine::Totals totals = machine.totals();
  uint64_t jobs = totals.garbage_jobs;
  for (const uint64_t count : totals.jobs_by_state) jobs += count;
  return jobs > totals.hot_jobs;
}

size_t SizeOf(const Needs& needs) {
  return needs.jobs.size() + needs.dedups.size() + needs.scans.size();
}

void Append(Needs from, Needs* to) {
  std::move(from.jobs.begin(), from.jobs.end(), std::back_inserter(to->jobs));
  std::move(from.dedups.begin(), from.dedups.end(), std::back_inserter(to->dedups));
  // Reserves of the same queue ask for the same part of it.
  for (Needs::Scan& scan : from.scans) {
    const bool known = std::any_of(to->scans.begin(), to->scans.end(), [&](const Needs::Scan& has) {
      return has.set == scan.set && has.from == scan.from && has.limit >= scan.limit;
    });
    if (!known) to->scans.push_back(scan);
  }
}

}  // namespace

Applier::Applier(Parts parts, const AppliedRow& applied, OnApplied on_applied, OnFatal on_fatal)
    : parts_(std::move(parts)),
      on_applied_(std::move(on_applied)),
      on_fatal_(std::move(on_fatal)),
      applied_(applied),
      snapshot_(parts_.store->Snapshot()) {}

void Applier::Push(const raft::Entry& entry) {
  CHECK(parts_.executor->IsCurrent());
  if (stopped_) return;
  entries_.push_back(entry);
  Run();
}

void Applier::Prefetch(const raft::Entry& entry) {
  CHECK(parts_.executor->IsCurrent());
  if (failed_ || stopped_ || entry.type != EntryType::kCommands) return;
  if (prefetching_ >= kPrefetchesMax || !HasColdJobs(*parts_.machine)) return;
  absl::StatusOr<EntryReader> reader = EntryReader::Open(*entry.data);
  if (!reader.ok()) return;
  Needs all;
  DecodedCommand command;
  while (!reader->done() && SizeOf(all) < kPrefetchRowsMax && reader->Next(&command).ok()) {
    Append(parts_.machine->NeedsOf(command.command, reader->log_time()), &all);
  }
  if (all.empty()) return;
  ++prefetching_;
  Fetch(std::move(all), Purpose::kPrefetch);
}

void Applier::Stop() {
  CHECK(parts_.executor->IsCurrent());
  stopped_ = true;
  ++run_;
  entries_.clear();
  current_.reset();
  awaiting_ = refilling_ = false;
  prefetching_ = 0;
}

void Applier::Restart(AppliedRow applied) {
  CHECK(parts_.executor->IsCurrent());
  CHECK(stopped_);
  stopped_ = false;
  applied_ = std::move(applied);
  SnapshotChanged();
}

void Applier::Run() {
  while (!failed_ && !awaiting_ && (current_.has_value() || !entries_.empty())) {
    if (!current_.has_value()) {
      if (absl::Status status = Begin(); !status.ok()) return Fail(status);
    }
    const absl::StatusOr<bool> done = ApplyCommands();
    if (!done.ok()) return Fail(done.status());
    if (*done) Finish();
  }
}

absl::Status Applier::Begin() {
  raft::Entry entry = std::move(entries_.front());
  entries_.pop_front();
  CHECK_EQ(entry.index.value(), applied_.index.value() + 1);
  static const std::string* const kNothing =
      new std::string(*BuildEntry(LogTime(), absl::Span<const std::string_view>()));
  const bool commands = entry.type == EntryType::kCommands;
  absl::StatusOr<EntryReader> reader = EntryReader::Open(commands ? *entry.data : *kNothing);
  if (!reader.ok()) {
    return absl::DataLossError(absl::StrCat("entry ", entry.index.value(), " of term ",
                                            entry.term.value(), ": ",
                                            std::string(reader.status().message())));
  }
  current_.emplace(Current{.entry = std::move(entry),
                           .reader = *std::move(reader),
                           .command = {},
                           .decoded = false,
                           .outcomes = {},
                           .granted = {},
                           .payloads = {}});
  current_->outcomes.reserve(current_->reader.count());
  return absl::OkStatus();
}

absl::StatusOr<bool> Applier::ApplyCommands() {
  Current& current = *current_;
  while (current.decoded || !current.reader.done()) {
    if (!current.decoded) {
      RETURN_IF_ERROR(current.reader.Next(&current.command));
      current.decoded = true;
    }
    Needs needs = parts_.machine->NeedsOf(current.command.command, current.reader.log_time());
    if (!needs.empty()) {
      awaiting_ = true;
      Fetch(std::move(needs), Purpose::kCommand);
      return false;
    }
    ApplyOne();
  }
  return true;
}

void Applier::ApplyOne() {
  Current& current = *current_;
  Outcome outcome = parts_.machine->Apply(current.command.command, current.reader.log_time());
  if (!outcome.replayed) {
    for (size_t i = 0; i < current.command.payloads.size() && i < outcome.items.size(); ++i) {
      const ItemOutcome& item = outcome.items[i];
      if (item.code != OutcomeCode::kOk || item.deduplicated) continue;
      current.payloads.push_back({item.job, current.command.payloads[i]});
    }
  }
  for (const Grant& grant : outcome.grants) {
    current.granted.push_back(PayloadInMemory(grant.job.id));
  }
  current.outcomes.push_back(std::move(outcome));
  current.decoded = false;
}

PayloadRef Applier::PayloadInMemory(JobId job) const {
  const std::vector<Current::Payload>& fresh = current_->payloads;
  const auto found =
      std::lower_bound(fresh.begin(), fresh.end(), job,
                       [](const Current::Payload& payload, JobId id) { return payload.job < id; });
  if (found != fresh.end() && found->job == job) return {current_->entry.data, found->bytes};
  return parts_.overlay->FindPayload(job).value_or(PayloadRef());
}

void Applier::Drain() {
  parts_.machine->DrainChanges(parts_.overlay);
  if (!current_.has_value()) return;
  for (const Current::Payload& payload : current_->payloads) {
    parts_.overlay->AttachPayload(payload.job, current_->entry.data, payload.bytes);
  }
  current_->payloads.clear();
}

void Applier::Finish() {
  Drain();
  applied_.index = current_->entry.index;
  applied_.term = current_->entry.term;
  applied_.state_hash = parts_.machine->StateHash();
  applied_.installing = false;
  if (current_->entry.type == EntryType::kConfiguration) {
    applied_.configuration = *current_->entry.data;
  }
  Applied applied{.position = {current_->entry.term, current_->entry.index},
                  .outcomes = std::move(current_->outcomes),
                  .payloads = std::move(current_->granted)};
  current_.reset();
  on_applied_(std::move(applied));
}

void Applier::Fetch(Needs needs, Purpose purpose) {
  const uint64_t releases = parts_.overlay->releases();
  parts_.reader->Post([this, needs = std::move(needs), run = run_, releases, purpose,
                       snapshot = snapshot_]() mutable {
    absl::StatusOr<Loaded> loaded = FetchNeeds(*snapshot, parts_.shard, needs);
    snapshot.reset();
    parts_.executor->Post([this, loaded = std::move(loaded), needs = std::move(needs), run,
                           releases, purpose]() mutable {
      Fetched(std::move(loaded), run, releases, std::move(needs), purpose);
    });
  });
}

void Applier::Fetched(absl::StatusOr<Loaded> loaded, uint64_t run, uint64_t releases, Needs needs,
                      Purpose purpose) {
  if (failed_ || run != run_) return;
  if (!loaded.ok()) return Fail(loaded.status());
  Drain();  // so that what the current entry has deleted is left out
  std::optional<Loaded> current = FilterLoaded(*std::move(loaded), releases, *parts_.overlay);
  if (purpose == Purpose::kPrefetch) {
    --prefetching_;
    if (current.has_value()) parts_.machine->Load(*std::move(current));
    return;
  }
  if (!current.has_value()) return Fetch(std::move(needs), purpose);
  parts_.machine->Load(*std::move(current));
  if (purpose == Purpose::kRefill) {
    refilling_ = false;
    return;
  }
  awaiting_ = false;
  Run();
}

void Applier::Refill() {
  if (failed_ || stopped_ || refilling_) return;
  std::vector<Needs::Scan> scans = parts_.machine->WantsRefill(kRefillsMax);
  if (scans.empty()) return;
  refilling_ = true;
  Needs needs;
  needs.scans = std::move(scans);
  Fetch(std::move(needs), Purpose::kRefill);
}

void Applier::SnapshotChanged() { snapshot_ = parts_.store->Snapshot(); }

void Applier::Fail(const absl::Status& status) {
  failed_ = true;
  on_fatal_(status);
}

}  // namespace holdfast
