#include "server/engine/snapshot/snapshot_pins.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "server/codec/row_codec.h"
#include "server/codec/row_keys.h"
#include "server/engine/overlay/cold_reader.h"

namespace holdfast {

PinnedSnapshot::PinnedSnapshot(ShardSnapshotDescriptor descriptor,
                               std::shared_ptr<const StateSnapshot> rows, int64_t now_micros)
    : descriptor_(std::move(descriptor)),
      made_micros_(now_micros),
      rows_(std::move(rows)),
      used_micros_(now_micros) {}

bool PinnedSnapshot::Expire(const Limits& limits, int64_t now_micros) {
  std::shared_ptr<const StateSnapshot> released;  // without the lock
  absl::MutexLock lock(&mutex_);
  if (std::exchange(used_, false)) used_micros_ = now_micros;
  if (used_micros_ < limits.unused_before || made_micros_ < limits.made_before) {
    released = std::move(rows_);
    cut_row_.reset();
  }
  return rows_ == nullptr;
}

absl::StatusOr<SnapshotCursor> PinnedSnapshot::CursorOf(std::string_view cursor) const {
  SnapshotCursor first;
  first.id = descriptor_.id;
  if (cursor.empty()) return first;
  ASSIGN_OR_RETURN(SnapshotCursor decoded, DecodeCursor(cursor));
  if (decoded.id == descriptor_.id) return decoded;
  return absl::FailedPreconditionError(
      absl::StrCat("the cursor is of ", NameOf(decoded.id, descriptor_.shard), ", this is ",
                   NameOf(descriptor_.id, descriptor_.shard), ": begin anew"));
}

bool PinnedSnapshot::AddRow(Table table, std::string_view key, std::string_view value,
                            ChunkWriter* writer) const {
  if (writer->Add(table, key, value)) return true;
  if (writer->cursor().value_offset == 0) return false;
  auto row = std::make_shared<CutRow>();
  row->table = table;
  row->key = key;
  row->value = value;
  absl::MutexLock lock(&mutex_);
  cut_row_ = std::move(row);
  return false;
}

absl::StatusOr<bool> PinnedSnapshot::AddRestOfRow(const StateSnapshot& rows,
                                                  ChunkWriter* writer) const {
  const SnapshotCursor& at = writer->cursor();
  std::shared_ptr<const CutRow> row;
  {
    absl::MutexLock lock(&mutex_);
    row = cut_row_;
  }
  if (row == nullptr || row->table != at.table || row->key != at.key) {
    ASSIGN_OR_RETURN(std::optional<std::string> value, rows.Get(at.table, at.key));
    if (!value.has_value() || value->size() <= at.value_offset) {
      return absl::DataLossError(
          absl::StrCat("the cursor is not one of ", NameOf(descriptor_.id, descriptor_.shard)));
    }
    auto read = std::make_shared<CutRow>();
    read->table = at.table;
    read->key = at.key;
    read->value = *std::move(value);
    row = std::move(read);
  }
  const bool done = writer->Add(row->table, row->key, row->value);
  absl::MutexLock lock(&mutex_);
  cut_row_ = done ? nullptr : std::move(row);
  return done;
}

absl::StatusOr<bool> PinnedSnapshot::AddTable(const StateSnapshot& rows, Table table,
                                              ChunkWriter* writer) const {
  const KeyRange shard = ShardRange(descriptor_.shard);
  const SnapshotCursor& at = writer->cursor();
  const std::string begin = at.table == table && !at.key.empty() ? at.key : shard.begin;
  if (begin < shard.begin || begin > shard.end) {
    return absl::DataLossError(
        absl::StrCat("the cursor is not one of ", NameOf(descriptor_.id, descriptor_.shard)));
  }
  absl::Status error;
  ASSIGN_OR_RETURN(
      const ScanEnd end,
      rows.Scan(table,
                {.begin = begin,
                 .end = shard.end,
                 .rows_max = UINT64_MAX,
                 .bytes_max = writer->bytes_max()},
                [&](std::string_view key, std::string_view value) {
                  if (key.size() > kSnapshotKeyBytesMax || value.size() > kSnapshotValueBytesMax) {
                    error = RowError(absl::DataLossError("the row is too large"), TableName(table),
                                     key);
                    return false;
                  }
                  return AddRow(table, key, value, writer);
                }));
  RETURN_IF_ERROR(error);
  return end.reached_end;
}

absl::StatusOr<ExportedChunk> PinnedSnapshot::Read(std::string_view cursor,
                                                   uint64_t bytes_max) const {
  std::shared_ptr<const StateSnapshot> rows;
  {
    absl::MutexLock lock(&mutex_);
    used_ = true;
    rows = rows_;
  }
  if (rows == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(NameOf(descriptor_.id, descriptor_.shard),
                                                      " has expired: begin with a new one"));
  }
  ASSIGN_OR_RETURN(SnapshotCursor from, CursorOf(cursor));
  ChunkWriter writer(descriptor_, std::move(from), std::max(bytes_max, kChunkBytesMin));
  bool more = true;  // there is room in the chunk
  if (writer.cursor().value_offset > 0) {
    ASSIGN_OR_RETURN(more, AddRestOfRow(*rows, &writer));
  }
  const Table first = writer.cursor().table;
  for (const Table table : kAllTables) {
    if (!more || table < first) continue;
    ASSIGN_OR_RETURN(more, AddTable(*rows, table, &writer));
  }
  ExportedChunk chunk;
  chunk.last = more;
  chunk.data = writer.Finish(more ? ChunkWriter::Last::kYes : ChunkWriter::Last::kNo);
  chunk.next = EncodeCursor(writer.cursor());
  return chunk;
}

SnapshotPins::SnapshotPins(const Options& options) : options_(options), prng_(options.seed) {
  CHECK_GT(options.pins_max, 0u);
}

absl::StatusOr<std::shared_ptr<const PinnedSnapshot>> SnapshotPins::Pin(const StateStore& store,
                                                                        ShardId shard,
                                                                        int64_t now_micros) {
  Expire(now_micros);
  std::shared_ptr<const StateSnapshot> rows = store.Snapshot();
  ASSIGN_OR_RETURN(const std::optional<AppliedRow> applied, ReadApplied(*rows, shard));
  if (!applied.has_value()) {
    return absl::UnavailableError(
        absl::StrCat("shard ", shard.value(), " has no durable state yet"));
  }
  absl::MutexLock lock(&mutex_);
  if (pins_.size() >= options_.pins_max) {
    return absl::ResourceExhaustedError(absl::StrCat(
        pins_.size(), " states are being sent to other replicas, the most that may at once"));
  }
  ShardSnapshotDescriptor descriptor;
  do {
    descriptor.id = SnapshotId(prng_.Next());
  } while (descriptor.id == SnapshotId());
  descriptor.shard = shard;
  descriptor.index = applied->index;
  descriptor.term = applied->term;
  descriptor.state_hash = applied->state_hash;
  descriptor.layout_version = kLayoutVersion;
  descriptor.configuration = applied->configuration;
  auto pin = std::make_shared<PinnedSnapshot>(std::move(descriptor), std::move(rows), now_micros);
  pins_.push_back(pin);
  return pin;
}

void SnapshotPins::Expire(int64_t now_micros) {
  const PinnedSnapshot::Limits limits = {.unused_before = now_micros - options_.unused_micros_max,
                                         .made_before = now_micros - options_.age_micros_max};
  absl::MutexLock lock(&mutex_);
  std::erase_if(pins_, [&](const std::weak_ptr<PinnedSnapshot>& weak) {
    const std::shared_ptr<PinnedSnapshot> pin = weak.lock();
    return pin == nullptr || pin->Expire(limits, now_micros);
  });
}

size_t SnapshotPins::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(
      std::count_if(pins_.begin(), pins_.end(), [](const auto& pin) { return !pin.expired(); }));
}

}  // namespace holdfast
