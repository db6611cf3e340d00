#include "server/engine/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

// Cold tails fetched at once, ahead of need.
constexpr size_t kRefillsMax = 8;

}  // namespace

Applier::Applier(Parts parts, const AppliedRow& applied, OnApplied on_applied, OnFatal on_fatal)
    : parts_(std::move(parts)),
      on_applied_(std::move(on_applied)),
      on_fatal_(std::move(on_fatal)),
      applied_(applied),
      snapshot_(parts_.store->Snapshot()) {}

void Applier::Push(const CommittedEntry& entry) {
  CHECK(parts_.executor->IsCurrent());
  entries_.push_back(entry);
  Run(Mode::kAsynchronous);
}

void Applier::PushAndFinish(const CommittedEntry& entry) {
  CHECK(parts_.executor->IsCurrent());
  CHECK(!awaiting_);
  entries_.push_back(entry);
  Run(Mode::kBlocking);
}

void Applier::Run(Mode mode) {
  while (!failed_ && !awaiting_ && (current_.has_value() || !entries_.empty())) {
    if (!current_.has_value()) {
      if (absl::Status status = Begin(); !status.ok()) return Fail(status);
    }
    const absl::StatusOr<bool> done = ApplyCommands(mode);
    if (!done.ok()) return Fail(done.status());
    if (*done) Finish();
  }
}

absl::Status Applier::Begin() {
  CommittedEntry entry = std::move(entries_.front());
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

absl::StatusOr<bool> Applier::ApplyCommands(Mode mode) {
  Current& current = *current_;
  while (current.decoded || !current.reader.done()) {
    if (!current.decoded) {
      RETURN_IF_ERROR(current.reader.Next(&current.command));
      current.decoded = true;
    }
    for (;;) {
      Needs needs = parts_.machine->NeedsOf(current.command.command, current.reader.log_time());
      if (needs.empty()) break;
      if (mode == Mode::kAsynchronous) {
        awaiting_ = true;
        Fetch(std::move(needs), Purpose::kCommand);
        return false;
      }
      RETURN_IF_ERROR(FetchNow(needs));
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
  applied_ = {.index = current_->entry.index,
              .term = current_->entry.term,
              .state_hash = parts_.machine->StateHash()};
  Applied applied{.position = {current_->entry.term, current_->entry.index},
                  .outcomes = std::move(current_->outcomes),
                  .payloads = std::move(current_->granted)};
  current_.reset();
  on_applied_(std::move(applied));
}

absl::Status Applier::FetchNow(const Needs& needs) {
  ASSIGN_OR_RETURN(Loaded fetched, FetchNeeds(*snapshot_, parts_.shard, needs));
  Drain();  // so that what this entry has deleted is left out
  std::optional<Loaded> loaded =
      FilterLoaded(std::move(fetched), parts_.overlay->releases(), *parts_.overlay);
  parts_.machine->Load(*std::move(loaded));
  return absl::OkStatus();
}

void Applier::Fetch(Needs needs, Purpose purpose) {
  const uint64_t releases = parts_.overlay->releases();
  parts_.reader->Post(
      [this, needs = std::move(needs), releases, purpose, snapshot = snapshot_]() mutable {
        absl::StatusOr<Loaded> loaded = FetchNeeds(*snapshot, parts_.shard, needs);
        snapshot.reset();
        parts_.executor->Post([this, loaded = std::move(loaded), needs = std::move(needs), releases,
                               purpose]() mutable {
          Fetched(std::move(loaded), releases, std::move(needs), purpose);
        });
      });
}

void Applier::Fetched(absl::StatusOr<Loaded> loaded, uint64_t releases, Needs needs,
                      Purpose purpose) {
  if (failed_) return;
  if (!loaded.ok()) return Fail(loaded.status());
  Drain();  // so that what the current entry has deleted is left out
  std::optional<Loaded> current = FilterLoaded(*std::move(loaded), releases, *parts_.overlay);
  (void)needs;
  if (!current.has_value()) current = Loaded();
  parts_.machine->Load(*std::move(current));
  if (purpose == Purpose::kRefill) {
    refilling_ = false;
    return;
  }
  awaiting_ = false;
  Run(Mode::kAsynchronous);
}

void Applier::Refill() {
  if (failed_ || refilling_) return;
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
