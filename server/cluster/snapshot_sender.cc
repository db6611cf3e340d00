#include "server/cluster/snapshot_sender.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/transport/message_codec.h"

namespace holdfast {

using raft::Core;

void SnapshotSender::Start(NodeId to, ShardId shard, PeerMessage message,
                           std::shared_ptr<const PinnedState> state, Executor* reader) {
  CHECK(parts_.executor->IsCurrent());
  const Key key(shard, to);
  const raft::Message& said = message.message;
  Transfer transfer;
  transfer.replica = said.to;
  transfer.key = absl::StrCat(options_.incarnation, "/", said.snapshot->source);
  transfer.message = EncodeToBytes(
      {.shard = shard, .wall_micros = message.wall_micros, .message = std::move(message.message)});
  transfer.state = std::move(state);
  transfer.reader = reader;
  transfer.progress_micros = Now();
  Transfer* const placed = &transfers_.insert_or_assign(key, std::move(transfer)).first->second;
  Begin(key, placed);
  Watch(key, placed->id);
}

SnapshotSender::Transfer* SnapshotSender::Find(const Key& key, TransferId id) {
  const auto it = transfers_.find(key);
  return it == transfers_.end() || it->second.id != id ? nullptr : &it->second;
}

void SnapshotSender::Begin(const Key& key, Transfer* transfer) {
  transfer->id = TransferId(++transfers_made_);
  transfer->begun = transfer->reading = transfer->read_all = false;
  transfer->unanswered = 0;
  transfer->waiting.reset();
  Queue(key, transfer,
        {.shard = key.first,
         .header = Encode(SnapshotPartHeader{.kind = SnapshotPartHeader::Kind::kBegin,
                                             .transfer = transfer->id,
                                             .key = transfer->key,
                                             .message = transfer->message}),
         .data = nullptr});
}

void SnapshotSender::BeginAgain(const Key& key, Transfer* transfer) {
  // What is still under way is of a try that is over.
  transfer->id = TransferId(++transfers_made_);
  transfer->waiting.reset();
  parts_.executor->RunAt(Now() + options_.again_micros, [this, key, id = transfer->id] {
    if (Transfer* const found = Find(key, id)) Begin(key, found);
  });
}

// Gives the state up when nothing has moved for too long, in whichever try.
void SnapshotSender::Watch(const Key& key, TransferId first) {
  parts_.executor->RunAt(Now() + options_.patience_micros, [this, key, first] {
    const auto it = transfers_.find(key);
    if (it == transfers_.end() || it->second.id < first) return;
    if (Now() - it->second.progress_micros < options_.patience_micros) return Watch(key, first);
    End(key, Core::SnapshotResult::kFailed);
  });
}

void SnapshotSender::Queue(const Key& key, Transfer* transfer, SnapshotPart part) {
  SnapshotPart kept = part;
  if (parts_.send(key.second, std::move(part)) == SnapshotSend::kWait) {
    transfer->waiting = std::move(kept);
  }
}

void SnapshotSender::Pump(const Key& key, Transfer* transfer) {
  if (!transfer->begun || transfer->reading || transfer->read_all ||
      transfer->waiting.has_value() || transfer->unanswered >= options_.chunks_in_flight) {
    return;
  }
  transfer->reading = true;
  const int64_t now = Now();
  free_from_micros_ = std::max(free_from_micros_, now);
  const int64_t at = free_from_micros_;
  free_from_micros_ +=
      static_cast<int64_t>(options_.chunk_bytes * 1'000'000 / options_.bytes_per_second);
  if (at <= now) return Read(key, transfer);
  parts_.executor->RunAt(at, [this, key, id = transfer->id] {
    if (Transfer* const found = Find(key, id)) Read(key, found);
  });
}

void SnapshotSender::Read(const Key& key, Transfer* transfer) {
  transfer->reader->Post(
      [this, key, id = transfer->id, state = transfer->state, cursor = transfer->cursor]() mutable {
        absl::StatusOr<StateChunk> chunk = state->Read(cursor, options_.chunk_bytes);
        parts_.executor->Post([this, key, id, chunk = std::move(chunk)]() mutable {
          OnRead(key, id, std::move(chunk));
        });
      });
}

void SnapshotSender::OnRead(const Key& key, TransferId id, absl::StatusOr<StateChunk> chunk) {
  Transfer* const transfer = Find(key, id);
  if (transfer == nullptr) return;
  transfer->reading = false;
  if (!chunk.ok()) return End(key, Core::SnapshotResult::kFailed);
  transfer->cursor = std::move(chunk->next);
  transfer->read_all = chunk->last;
  ++transfer->unanswered;
  Queue(key, transfer,
        {.shard = key.first,
         .header = Encode(SnapshotPartHeader{
             .kind = SnapshotPartHeader::Kind::kChunk, .transfer = id, .key = {}, .message = {}}),
         .data = std::make_shared<const std::string>(std::move(chunk->data))});
  Pump(key, transfer);
}

void SnapshotSender::OnAnswer(NodeId from, ShardId shard, const std::string& answer) {
  CHECK(parts_.executor->IsCurrent());
  const absl::StatusOr<SnapshotAnswer> decoded = DecodeAnswer(answer);
  if (!decoded.ok()) return;  // as if it were lost
  const Key key(shard, from);
  Transfer* const transfer = Find(key, decoded->transfer);
  if (transfer == nullptr) return;
  transfer->progress_micros = Now();
  switch (decoded->kind) {
    case SnapshotAnswer::Kind::kGoOn:
      if (transfer->begun) return;
      transfer->begun = true;
      transfer->cursor = decoded->text;
      return Pump(key, transfer);
    case SnapshotAnswer::Kind::kTaken:
      if (transfer->unanswered > 0) --transfer->unanswered;
      return Pump(key, transfer);
    case SnapshotAnswer::Kind::kDone:
      return End(key, Core::SnapshotResult::kInstalled);
    case SnapshotAnswer::Kind::kFailed:
      return End(key, Core::SnapshotResult::kFailed);
  }
}

void SnapshotSender::OnStream(NodeId to, SnapshotStream event) {
  CHECK(parts_.executor->IsCurrent());
  for (auto& [key, transfer] : transfers_) {
    if (key.second != to) continue;
    if (event == SnapshotStream::kBroken) {
      BeginAgain(key, &transfer);
    } else if (transfer.waiting.has_value()) {
      Queue(key, &transfer, *std::exchange(transfer.waiting, std::nullopt));
      Pump(key, &transfer);
    }
  }
}

void SnapshotSender::End(const Key& key, Core::SnapshotResult result) {
  const auto transfer = transfers_.extract(key);
  parts_.report(key.first, transfer.mapped().replica, result);
}

}  // namespace holdfast
