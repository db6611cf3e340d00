#include "server/engine/snapshot/snapshot_stager.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

absl::Status At(const absl::Status& status, const SnapshotChunk& chunk, const std::string& place) {
  return absl::Status(status.code(),
                      absl::StrCat(NameOf(chunk.id, chunk.shard), ", chunk ", chunk.number, place,
                                   ": ", std::string(status.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SnapshotStager>> SnapshotStager::Stage(StateStore* store,
                                                                      ShardId shard) {
  const KeyRange range = ShardRange(shard);
  ASSIGN_OR_RETURN(std::unique_ptr<StateStaging> staging, store->Stage(range.begin, range.end));
  return std::unique_ptr<SnapshotStager>(new SnapshotStager(shard, std::move(staging)));
}

std::string SnapshotStager::next() const {
  return descriptor_.has_value() ? EncodeCursor(cursor_) : std::string();
}

absl::Status SnapshotStager::CheckPlace(const SnapshotChunk& chunk) const {
  if (chunk.shard != shard_) {
    return absl::FailedPreconditionError(absl::StrCat("not of shard ", shard_.value()));
  }
  if (descriptor_.has_value() && chunk.id != descriptor_->id) {
    return absl::FailedPreconditionError(
        absl::StrCat("not of ", NameOf(descriptor_->id, shard_), ": begin anew"));
  }
  if (chunk.number > cursor_.chunk) {
    return absl::DataLossError(absl::StrCat("chunk ", cursor_.chunk, " is missing before it"));
  }
  return absl::OkStatus();
}

absl::Status SnapshotStager::CheckDescriptor(const SnapshotChunk& chunk) const {
  const uint32_t layout = chunk.descriptor->layout_version;
  if (layout != kLayoutVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("layout version ", layout, "; this program reads ", kLayoutVersion));
  }
  if (chunk.id == SnapshotId() || chunk.descriptor->index == LogIndex()) {
    return absl::DataLossError("the descriptor names no state");
  }
  return absl::OkStatus();
}

absl::Status SnapshotStager::CheckRow(const SnapshotChunk& chunk,
                                      const SnapshotPiece& piece) const {
  if (piece.table != Table::kMeta || piece.bytes.size() != piece.value_size) {
    return absl::OkStatus();
  }
  if (piece.key == LayoutKey(shard_)) return CheckLayoutRow(piece.bytes);
  if (piece.key != AppliedKey(shard_)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const AppliedRow applied, DecodeAppliedRow(piece.bytes));
  const ShardSnapshotDescriptor& descriptor =
      descriptor_.has_value() ? *descriptor_ : *chunk.descriptor;
  if (applied.index != descriptor.index || applied.term != descriptor.term ||
      applied.state_hash != descriptor.state_hash ||
      applied.configuration != descriptor.configuration) {
    return absl::DataLossError("the applied row is not that of the descriptor");
  }
  return absl::OkStatus();
}

absl::Status SnapshotStager::CheckEnd(const SnapshotChunk& chunk,
                                      const SnapshotCursor& after) const {
  if (after.value_offset != 0) return absl::DataLossError("it ends within a row");
  if (after.rows != chunk.rows || after.bytes != chunk.bytes) {
    return absl::DataLossError(absl::StrCat("it ends after ", after.rows, " rows of ", after.bytes,
                                            " bytes, not after ", chunk.rows, " of ", chunk.bytes));
  }
  bool has_layout = has_layout_;
  bool has_applied = has_applied_;
  for (const SnapshotPiece& piece : chunk.pieces) {
    has_layout |= piece.table == Table::kMeta && piece.key == LayoutKey(shard_);
    has_applied |= piece.table == Table::kMeta && piece.key == AppliedKey(shard_);
  }
  if (has_layout && has_applied) return absl::OkStatus();
  return absl::DataLossError("it ends without a layout row and an applied row");
}

absl::Status SnapshotStager::Check(const SnapshotChunk& chunk, SnapshotCursor* after) const {
  if (chunk.chain != cursor_.chain) {
    return At(absl::DataLossError("what came before it is not what was sent"), chunk, "");
  }
  if (chunk.descriptor.has_value()) {
    if (absl::Status status = CheckDescriptor(chunk); !status.ok()) return At(status, chunk, "");
  }
  size_t number = 0;
  for (const SnapshotPiece& piece : chunk.pieces) {
    absl::Status status = Advance(piece, shard_, after);
    if (!status.ok()) status = absl::DataLossError(status.message());
    if (status.ok()) status = CheckRow(chunk, piece);
    if (!status.ok()) return At(status, chunk, absl::StrCat(", row ", number));
    ++number;
  }
  if (!chunk.last) return absl::OkStatus();
  const absl::Status status = CheckEnd(chunk, *after);
  return status.ok() ? status : At(status, chunk, "");
}

absl::Status SnapshotStager::Take(const SnapshotChunk& chunk) {
  if (chunk.descriptor.has_value()) descriptor_ = *chunk.descriptor;
  for (const SnapshotPiece& piece : chunk.pieces) {
    has_layout_ |= piece.table == Table::kMeta && piece.key == LayoutKey(shard_);
    has_applied_ |= piece.table == Table::kMeta && piece.key == AppliedKey(shard_);
    if (piece.bytes.size() == piece.value_size) {
      RETURN_IF_ERROR(staging_->Add(piece.table, piece.key, piece.bytes));
      continue;
    }
    if (piece.offset == 0) cut_value_.reserve(piece.value_size);
    cut_value_.append(piece.bytes);
    if (!piece.ends_row()) continue;
    RETURN_IF_ERROR(staging_->Add(piece.table, piece.key, cut_value_));
    cut_value_ = std::string();
  }
  return chunk.last ? staging_->Finish() : absl::OkStatus();
}

absl::Status SnapshotStager::Add(std::string_view bytes) {
  if (!failed_.ok()) return failed_;
  absl::StatusOr<SnapshotChunk> chunk = DecodeChunk(bytes);
  if (!chunk.ok()) {
    return absl::Status(chunk.status().code(),
                        absl::StrCat("chunk ", cursor_.chunk, " of a snapshot of shard ",
                                     shard_.value(), ": ", std::string(chunk.status().message())));
  }
  if (absl::Status status = CheckPlace(*chunk); !status.ok()) return At(status, *chunk, "");
  if (chunk->number < cursor_.chunk) return absl::OkStatus();
  if (complete_) return At(absl::DataLossError("it comes after the last one"), *chunk, "");
  SnapshotCursor after = cursor_;
  after.id = chunk->id;
  RETURN_IF_ERROR(Check(*chunk, &after));
  failed_ = Take(*chunk);
  if (!failed_.ok()) return failed_;
  after.chain = ChainAfter(bytes);
  ++after.chunk;
  cursor_ = std::move(after);
  complete_ = chunk->last;
  return absl::OkStatus();
}

absl::Status SnapshotStager::Install() {
  CHECK(complete_);
  AppliedRow applied;
  applied.index = descriptor_->index;
  applied.term = descriptor_->term;
  applied.state_hash = descriptor_->state_hash;
  applied.configuration = descriptor_->configuration;
  applied.installing = true;
  StateBatch batch;
  batch.Put(Table::kMeta, AppliedKey(shard_), EncodeAppliedRow(applied));
  return staging_->Install(batch);
}

}  // namespace holdfast
