// SnapshotStager: receives the chunks of another replica's pinned state (snapshot_pins.h) and puts
// that state in the place of the shard's own.
//
//   Stage ─▶ Add(chunk) … Add(last chunk) ─▶ Install ─▶ RestoreMachine on the store's new snapshot
//
// What was added lies in files beside the store's own, invisible; it goes with this object, and
// with the process. Every chunk is checked wholly before a row of it is taken: its checksum, that
// it is the next one of this snapshot (by its number and by the digest of all before it), that its
// keys rise and are the shard's; with the last one, the numbers of rows and bytes, and that the
// layout and applied rows are there and are those of the descriptor.
//
// Install is one atomic step: the shard's old rows, in all tables, give way to the new ones, and
// the applied row says `installing`. A crash leaves the one state or the other. The caller then
// resets the shard's log to the snapshot's position; the next flush of the shard takes the mark
// off. So at a start: state ahead of the log, and the mark: the reset is to be done; without the
// mark: the log has lost entries, which is damage.
//
// Thread-safety: thread-compatible; Add and Install block on the disk; Install counts as a flush of
// the store. Ownership: released before the store.

#ifndef HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_STAGER_H_
#define HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_STAGER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "server/codec/row_codec.h"
#include "server/engine/snapshot/chunk_codec.h"
#include "storage/state_store.h"

namespace holdfast {

class SnapshotStager {
 public:
  // Begins to receive a state of `shard`. Errors: of the store.
  static absl::StatusOr<std::unique_ptr<SnapshotStager>> Stage(StateStore* store, ShardId shard);

  SnapshotStager(const SnapshotStager&) = delete;
  SnapshotStager& operator=(const SnapshotStager&) = delete;

  // Takes the next chunk. A chunk that was taken already is ignored.
  // Errors: DATA_LOSS, naming chunk and place: it is not what the sender made, or not the next; it
  // is refused as a whole, and the right one may still be added. FAILED_PRECONDITION: it is of
  // another snapshot, or of a layout that this build does not read. Others, of the store, are
  // sticky.
  absl::Status Add(std::string_view chunk);

  // The cursor of the chunk that comes next: where the sender goes on. "" before the first.
  std::string next() const;
  // All of it has been added.
  bool complete() const { return complete_; }
  // What the sender said with its first chunk; nullopt before that.
  const std::optional<ShardSnapshotDescriptor>& descriptor() const { return descriptor_; }

  // Replaces the shard's state, durably. Errors: as StateStaging::Install; after RESOURCE_EXHAUSTED
  // with a healthy store it may be called again. REQUIRES (checked): complete(), not installed.
  absl::Status Install();

 private:
  SnapshotStager(ShardId shard, std::unique_ptr<StateStaging> staging)
      : shard_(shard), staging_(std::move(staging)) {}

  absl::Status Check(const SnapshotChunk& chunk, SnapshotCursor* after) const;
  absl::Status CheckPlace(const SnapshotChunk& chunk) const;
  absl::Status CheckDescriptor(const SnapshotChunk& chunk) const;
  absl::Status CheckEnd(const SnapshotChunk& chunk, const SnapshotCursor& after) const;
  // Sees to it that the row, if it is one of those, fits the descriptor.
  absl::Status CheckRow(const SnapshotChunk& chunk, const SnapshotPiece& piece) const;
  absl::Status Take(const SnapshotChunk& chunk);

  const ShardId shard_;
  const std::unique_ptr<StateStaging> staging_;
  std::optional<ShardSnapshotDescriptor> descriptor_;
  SnapshotCursor cursor_;  // behind what was taken
  std::string cut_value_;  // what has come of a row in pieces
  bool has_layout_ = false;
  bool has_applied_ = false;
  bool complete_ = false;
  absl::Status failed_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_STAGER_H_
