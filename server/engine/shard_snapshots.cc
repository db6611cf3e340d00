// Shard's part in state transfers: pinning its durable rows, receiving those of another replica,
// and putting them in the place of its own.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "server/engine/shard.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/engine/snapshot/snapshot_stager.h"

namespace holdfast {
namespace {

class PinnedShard final : public PinnedState {
 public:
  explicit PinnedShard(std::shared_ptr<const PinnedSnapshot> pin)
      : pin_(std::move(pin)),
        applied_{.position = {pin_->descriptor().term, pin_->descriptor().index},
                 .configuration = pin_->descriptor().configuration} {}

  const AppliedState& applied() const override { return applied_; }
  absl::StatusOr<StateChunk> Read(std::string_view cursor, uint64_t bytes_max) const override {
    ASSIGN_OR_RETURN(ExportedChunk chunk, pin_->Read(cursor, bytes_max));
    return StateChunk{
        .data = std::move(chunk.data), .next = std::move(chunk.next), .last = chunk.last};
  }

 private:
  const std::shared_ptr<const PinnedSnapshot> pin_;
  const AppliedState applied_;
};

class StagedShard final : public StagedState {
 public:
  explicit StagedShard(std::unique_ptr<SnapshotStager> stager) : stager_(std::move(stager)) {}
  absl::Status Add(const StateChunk& chunk) override { return stager_->Add(chunk.data); }
  std::string next() const override { return stager_->next(); }
  bool complete() const override { return stager_->complete(); }
  SnapshotStager* stager() { return stager_.get(); }

 private:
  const std::unique_ptr<SnapshotStager> stager_;
};

// Whether the staged rows are what `snapshot` stands for.
absl::Status CheckStaged(const SnapshotStager& stager, const raft::SnapshotDescriptor& snapshot) {
  const std::optional<ShardSnapshotDescriptor>& descriptor = stager.descriptor();
  if (stager.complete() && descriptor->index == snapshot.index &&
      descriptor->term == snapshot.term) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("the state received is not that of entry ", snapshot.index.value()));
}

}  // namespace

void Shard::Pin(
    absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done) {
  CHECK(parts_.executor->IsCurrent());
  if (configured_ > flushed_) {
    // A new member would receive a state that does not know it, in vain.
    parts_.flush_soon();
    const absl::Status status = absl::UnavailableError(
        absl::StrCat("the members as of entry ", configured_.value(), " are not durable yet"));
    parts_.executor->Post([status, done = std::move(done)]() mutable { std::move(done)(status); });
    return;
  }
  const int64_t now = parts_.executor->MonotonicMicros();
  parts_.reader->Post([this, now, done = std::move(done)]() mutable {
    absl::StatusOr<std::shared_ptr<const PinnedSnapshot>> pin =
        parts_.pins->Pin(*parts_.store, options_.shard, now);
    parts_.executor->Post([pin = std::move(pin), done = std::move(done)]() mutable {
      if (!pin.ok()) return std::move(done)(pin.status());
      std::move(done)(std::make_shared<const PinnedShard>(*std::move(pin)));
    });
  });
}

absl::StatusOr<std::shared_ptr<StagedState>> Shard::Stage(const raft::SnapshotDescriptor&) {
  ASSIGN_OR_RETURN(std::unique_ptr<SnapshotStager> stager,
                   SnapshotStager::Stage(parts_.store, options_.shard));
  return std::make_shared<StagedShard>(std::move(stager));
}

void Shard::Install(const raft::SnapshotDescriptor& snapshot, std::shared_ptr<StagedState> staged,
                    absl::AnyInvocable<void(const absl::Status&) &&> done) {
  CHECK(parts_.executor->IsCurrent());
  CHECK(!leading_ && !installing_);
  installing_ = true;
  applier_->Stop();
  if (freeze_) std::exchange(freeze_, nullptr)(Frozen());
  parts_.between_flushes(
      [this, snapshot, staged = std::move(staged), done = std::move(done)]() mutable {
        SnapshotStager* const stager = static_cast<StagedShard&>(*staged).stager();
        absl::Status status = CheckStaged(*stager, snapshot);
        if (status.ok()) status = stager->Install();
        staged.reset();
        parts_.executor->Post([this, status, done = std::move(done)]() mutable {
          if (status.ok()) status = BeginAnew();
          std::move(done)(status);
        });
      });
}

absl::Status Shard::BeginAnew() {
  CHECK(!overlay_.has_frozen());
  machine_.emplace(options_.machine);
  overlay_.Reset();
  RETURN_IF_ERROR(Restore().status());
  installing_ = false;
  // What was proposed here may be in the state or not.
  Refuse(proposer_.TakeInFlight(LogIndex()), absl::UnknownError("the outcome is unknown: a state "
                                                                "was received meanwhile"));
  AccountOverlay();
  RunBarriers();
  return absl::OkStatus();
}

}  // namespace holdfast
