#include "server/cluster/snapshot_receiver.h"

#include <utility>

#include "base/check.h"
#include "replication/transport/message_codec.h"

namespace holdfast {

void SnapshotReceiver::OnPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit) {
  CHECK(parts_.executor->IsCurrent());
  absl::StatusOr<SnapshotPartHeader> header = DecodePartHeader(part.header);
  if (!header.ok()) return;  // the sender loses patience
  if (header->kind == SnapshotPartHeader::Kind::kBegin) {
    return Begin(from, part.shard, *std::move(header));
  }
  Reception* const reception = Find(part.shard, header->transfer);
  if (reception == nullptr || reception->from != from || part.data == nullptr) return;
  Add(reception, part.shard, std::move(part), std::move(credit));
}

SnapshotReceiver::Reception* SnapshotReceiver::Find(ShardId shard, TransferId transfer) {
  const auto it = receptions_.find(shard);
  return it == receptions_.end() || it->second.transfer != transfer ? nullptr : &it->second;
}

bool SnapshotReceiver::TakeDelivered(NodeId from, ShardId shard, const std::string& key) {
  const auto it = delivered_.find(shard);
  if (it == delivered_.end()) return false;
  const bool same = it->second.from == from && it->second.key == key;
  delivered_.erase(it);
  return same;
}

void SnapshotReceiver::Begin(NodeId from, ShardId shard, SnapshotPartHeader header) {
  absl::StatusOr<PeerEnvelope> envelope = DecodeFromBytes(header.message);
  if (!envelope.ok() || envelope->shard != shard || envelope->message.snapshot == nullptr) return;
  if (TakeDelivered(from, shard, header.key)) {
    return parts_.answer(
        from, shard,
        Encode(SnapshotAnswer{
            .kind = SnapshotAnswer::Kind::kDone, .transfer = header.transfer, .text = {}}));
  }
  const bool timed = receptions_.count(shard) > 0;
  Reception& reception = receptions_[shard];
  if (reception.staged == nullptr || reception.from != from || reception.key != header.key) {
    reception = Reception();
    absl::StatusOr<std::shared_ptr<StagedState>> staged =
        parts_.stage(shard, *envelope->message.snapshot);
    if (!staged.ok()) {
      receptions_.erase(shard);
      return parts_.answer(from, shard,
                           Encode(SnapshotAnswer{.kind = SnapshotAnswer::Kind::kFailed,
                                                 .transfer = header.transfer,
                                                 .text = std::string(staged.status().message())}));
    }
    reception.staged = *std::move(staged);
  }
  reception.from = from;
  reception.transfer = header.transfer;
  reception.key = std::move(header.key);
  reception.message = {.message = std::move(envelope->message),
                       .wall_micros = envelope->wall_micros};
  reception.used_micros = parts_.executor->MonotonicMicros();
  if (!timed) DropWhenIdle(shard);
  // Behind the additions of an earlier try.
  parts_.reader(shard)->Post([this, shard, transfer = header.transfer, staged = reception.staged] {
    const bool complete = staged->complete();
    std::string cursor = complete ? std::string() : staged->next();
    parts_.executor->Post([this, shard, transfer, complete, cursor = std::move(cursor)]() mutable {
      if (complete) return OnAdded(shard, transfer, {.status = absl::OkStatus(), .complete = true});
      const Reception* const found = Find(shard, transfer);
      if (found == nullptr) return;
      Answer(*found, shard, SnapshotAnswer::Kind::kGoOn, std::move(cursor));
    });
  });
}

void SnapshotReceiver::Add(Reception* reception, ShardId shard, SnapshotPart part,
                           std::shared_ptr<void> credit) {
  reception->used_micros = parts_.executor->MonotonicMicros();
  parts_.reader(shard)->Post([this, shard, transfer = reception->transfer,
                              staged = reception->staged, data = std::move(part.data),
                              credit = std::move(credit)]() mutable {
    Added added;
    added.status = staged->Add({.data = *data, .next = {}, .last = false});
    added.complete = staged->complete();
    credit.reset();
    parts_.executor->Post(
        [this, shard, transfer, added = std::move(added)] { OnAdded(shard, transfer, added); });
  });
}

void SnapshotReceiver::OnAdded(ShardId shard, TransferId transfer, const Added& added) {
  Reception* const reception = Find(shard, transfer);
  if (reception == nullptr) return;
  if (added.status.ok() && !added.complete) {
    return Answer(*reception, shard, SnapshotAnswer::Kind::kTaken);
  }
  Reception whole = std::move(receptions_.extract(shard).mapped());
  if (!added.status.ok()) {
    return Answer(whole, shard, SnapshotAnswer::Kind::kFailed, std::string(added.status.message()));
  }
  Answer(whole, shard, SnapshotAnswer::Kind::kDone);
  delivered_[shard] = {.from = whole.from, .key = std::move(whole.key)};
  parts_.received(shard, std::move(whole.message), std::move(whole.staged));
}

void SnapshotReceiver::Answer(const Reception& reception, ShardId shard, SnapshotAnswer::Kind kind,
                              std::string text) {
  parts_.answer(reception.from, shard,
                Encode(SnapshotAnswer{
                    .kind = kind, .transfer = reception.transfer, .text = std::move(text)}));
}

void SnapshotReceiver::DropWhenIdle(ShardId shard) {
  const auto it = receptions_.find(shard);
  if (it == receptions_.end()) return;
  const int64_t at = it->second.used_micros + options_.idle_micros;
  if (parts_.executor->MonotonicMicros() >= at) {
    receptions_.erase(it);
    return;
  }
  parts_.executor->RunAt(at, [this, shard] { DropWhenIdle(shard); });
}

}  // namespace holdfast
