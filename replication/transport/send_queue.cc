#include "replication/transport/send_queue.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "replication/transport/frame_format.h"

namespace holdfast {

// Collects records: their heads in one string, the bytes of their parts as ranges. Short parts are
// copied together, since a range costs more than a copy of that many bytes.
class SendQueue::FrameBuilder {
 public:
  static constexpr size_t kCopiedMax = 1024;

  size_t size_bytes() const { return heads_.size() + body_bytes_; }
  bool empty() const { return heads_.empty(); }

  void AddWhole(const Record& record) {
    AppendRecordHead(record, RecordForm::kWhole, 0, &heads_);
    for (const SharedBytes& part : record.parts) AddRange(part, 0, part->size());
  }
  void AddPieceHead(const Record& record, RecordForm form, size_t piece_bytes) {
    AppendRecordHead(record, form, piece_bytes, &heads_);
  }
  void AddRange(const SharedBytes& part, size_t begin, size_t size) {
    if (size == 0) return;
    body_bytes_ += size;
    if (size <= kCopiedMax) {
      if (copied_ == nullptr) copied_ = std::make_shared<std::string>();
      copied_->append(*part, begin, size);
      return;
    }
    FlushCopied();
    body_.push_back({part, begin, size});
  }

  OutFrame Finish() {
    FlushCopied();
    OutFrame frame;
    frame.head = FrameHead(heads_, body_);
    frame.body = std::move(body_);
    return frame;
  }

 private:
  void FlushCopied() {
    if (copied_ == nullptr) return;
    const size_t size = copied_->size();
    body_.push_back({std::move(copied_), 0, size});
    copied_ = nullptr;
  }

  std::string heads_;
  std::vector<ByteRange> body_;
  size_t body_bytes_ = 0;
  std::shared_ptr<std::string> copied_;
};

bool SendQueue::Push(Record&& record) {
  CHECK_LT(record.shard.value(), lanes_.size());
  CHECK_LE(record.header.size(), kRecordHeaderBytesMax);
  CHECK_LE(record.parts.size(), kRecordPartsMax);
  const size_t bytes = record.size_bytes();
  if (records_ >= limits_.records_max) return false;
  if (bytes_ > 0 && bytes_ + bytes > limits_.bytes_max) return false;
  Lane& lane = lanes_[record.shard.value()];
  if (lane.records.empty()) turns_.push_back(record.shard.value());
  const size_t part_bytes = record.part_bytes();
  lane.records.push_back({std::move(record), bytes, part_bytes});
  ++records_;
  bytes_ += bytes;
  return true;
}

bool SendQueue::DropOldest(ShardId shard, uint64_t tag) {
  CHECK_LT(shard.value(), lanes_.size());
  Lane& lane = lanes_[shard.value()];
  const bool front_begun = begun_.has_value() && begun_->lane == shard.value();
  for (size_t i = lane.begin + (front_begun ? 1 : 0); i < lane.records.size(); ++i) {
    if (lane.records[i].record.tag != tag) continue;
    bytes_ -= lane.records[i].size_bytes;
    --records_;
    lane.records.erase(lane.records.begin() + static_cast<std::ptrdiff_t>(i));
    if (lane.begin == lane.records.size()) {
      lane.records.clear();
      lane.begin = 0;
      turns_.erase(std::find(turns_.begin(), turns_.end(), shard.value()));
    }
    return true;
  }
  return false;
}

void SendQueue::PopFront(uint32_t index) {
  // A lane that is never empty does not grow for ever: what has left is cut off now and then.
  constexpr size_t kLeftMax = 256;
  Lane& lane = lanes_[index];
  --records_;
  lane.records[lane.begin] = Waiting();
  ++lane.begin;
  if (lane.begin == lane.records.size()) {
    lane.records.clear();
    if (lane.records.capacity() > kLeftMax) lane.records.shrink_to_fit();
    lane.begin = 0;
  } else if (lane.begin >= kLeftMax && lane.begin * 2 >= lane.records.size()) {
    lane.records.erase(lane.records.begin(),
                       lane.records.begin() + static_cast<std::ptrdiff_t>(lane.begin));
    lane.begin = 0;
  }
}

void SendQueue::PackWhole(FrameBuilder* builder) {
  // Ends after a round in which every lane had to stand back for its record in pieces.
  for (size_t stood_back = 0; stood_back < turns_.size();) {
    const uint32_t index = turns_.front();
    const Waiting& front = Front(index);
    if (front.part_bytes > limits_.frame_bytes_max) {
      if (!begun_) {
        begun_ = Begun{.lane = index, .rest = front.part_bytes};
        bytes_ -= front.size_bytes;
      }
      turns_.pop_front();
      turns_.push_back(index);
      ++stood_back;
      continue;
    }
    if (!builder->empty() && builder->size_bytes() + front.size_bytes > limits_.frame_bytes_max) {
      return;
    }
    builder->AddWhole(front.record);
    bytes_ -= front.size_bytes;
    PopFront(index);
    turns_.pop_front();
    if (!lanes_[index].records.empty()) turns_.push_back(index);
    stood_back = 0;
  }
}

void SendQueue::PackPiece(FrameBuilder* builder) {
  Begun& begun = *begun_;
  const Record& record = Front(begun.lane).record;
  const bool first = begun.part == 0 && begun.offset == 0;
  const size_t room =
      limits_.frame_bytes_max - std::min(limits_.frame_bytes_max, builder->size_bytes());
  size_t piece = std::min(begun.rest, std::max(limits_.piece_bytes_min, room));
  builder->AddPieceHead(record, first ? RecordForm::kFirstPiece : RecordForm::kFurtherPiece, piece);
  begun.rest -= piece;
  while (piece > 0) {
    const SharedBytes& part = record.parts[begun.part];
    const size_t size = std::min(piece, part->size() - begun.offset);
    builder->AddRange(part, begun.offset, size);
    piece -= size;
    begun.offset += size;
    if (begun.offset == part->size()) {
      ++begun.part;
      begun.offset = 0;
    }
  }
  if (begun.rest > 0) return;
  const uint32_t index = begun.lane;
  begun_.reset();
  PopFront(index);
  if (lanes_[index].records.empty()) turns_.erase(std::find(turns_.begin(), turns_.end(), index));
}

bool SendQueue::Next(OutFrame* frame) {
  if (records_ == 0) return false;
  FrameBuilder builder;
  PackWhole(&builder);
  if (begun_) PackPiece(&builder);
  *frame = builder.Finish();
  return true;
}

std::vector<uint64_t> SendQueue::Clear() {
  std::vector<uint64_t> tags;
  tags.reserve(records_);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const bool front_begun =
        begun_.has_value() && begun_->lane == i && begun_->part + begun_->offset > 0;
    for (size_t j = lane.begin + (front_begun ? 1 : 0); j < lane.records.size(); ++j) {
      tags.push_back(lane.records[j].record.tag);
    }
    lane = Lane();
  }
  turns_.clear();
  begun_.reset();
  records_ = 0;
  bytes_ = 0;
  return tags;
}

}  // namespace holdfast
