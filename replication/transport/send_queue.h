// The records that wait for one stream, and the frames made of them.
//
// Everything that waits goes into the next frame, up to a bound of bytes, one record of each shard
// after the other. A record that is larger than the bound travels in pieces, at most one to a
// frame, and whatever else waits goes along in the same frames: a large record delays the small
// ones of other shards by one piece.
//
// Invariants: records of one shard leave in the order of Push; at most one record is in pieces at
// a time.
// Bounds: records_max, and bytes_max of records that are not begun; a record that is larger than
// that is taken when nothing else waits.
// Thread-safety: thread-compatible. Ownership: owns the records; shares their parts.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_SEND_QUEUE_H_
#define HOLDFAST_REPLICATION_TRANSPORT_SEND_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/transport/record.h"

namespace holdfast {

class SendQueue {
 public:
  struct Limits {
    size_t bytes_max = 64 << 20;
    size_t records_max = 16'384;
    size_t frame_bytes_max = 1 << 20;   // whole records to a frame; a record with more: in pieces
    size_t piece_bytes_min = 64 << 10;  // of a record in pieces in each frame, if it has as much
  };

  SendQueue(const Limits& limits, uint32_t shards) : limits_(limits), lanes_(shards) {}

  // False if it is full: `record` is unchanged. REQUIRES: record.shard < shards.
  bool Push(Record&& record);
  // Drops the oldest record with this shard and tag that is not begun; false if there is none.
  bool DropOldest(ShardId shard, uint64_t tag);

  // The next frame; false, and *frame unchanged, if nothing waits.
  bool Next(OutFrame* frame);
  // Drops everything, and returns the tags of the records of which nothing was put into a frame.
  std::vector<uint64_t> Clear();

  const Limits& limits() const { return limits_; }
  bool empty() const { return records_ == 0; }
  size_t records() const { return records_; }
  // Of the records that wait; one that is begun does not count any more.
  size_t bytes() const { return bytes_; }

 private:
  struct Waiting {
    Record record;
    size_t size_bytes = 0;
    size_t part_bytes = 0;
  };
  // One shard's records, from `begin` on.
  struct Lane {
    std::vector<Waiting> records;
    size_t begin = 0;
  };
  // The record that is on its way in pieces: the front of its lane.
  struct Begun {
    uint32_t lane = 0;
    size_t part = 0;  // what goes next: this byte of this part
    size_t offset = 0;
    size_t rest = 0;  // bytes that are not in a frame yet
  };
  class FrameBuilder;

  const Waiting& Front(uint32_t lane) const { return lanes_[lane].records[lanes_[lane].begin]; }
  void PackWhole(FrameBuilder* builder);
  void PackPiece(FrameBuilder* builder);
  void PopFront(uint32_t lane);

  const Limits limits_;
  std::vector<Lane> lanes_;
  std::deque<uint32_t> turns_;  // the lanes that have records, the next one to be served first
  std::optional<Begun> begun_;
  size_t records_ = 0;
  size_t bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_SEND_QUEUE_H_
