#include "replication/transport/byte_buffer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/coding.h"
#include "base/status_macros.h"
#include "replication/transport/frame_reader.h"

namespace holdfast {
namespace {

// Field 3 with a length: protobuf's encoding of PeerFrame.records.
constexpr uint8_t kRecordsTag = (3 << 3) | 2;

absl::Status Malformed() {
  return absl::InvalidArgumentError("malformed frame from a node: not a PeerFrame with records");
}

template <class Owner>
grpc::Slice OwnedSlice(Owner owner, std::string_view bytes) {
  auto* kept = new Owner(std::move(owner));
  return grpc::Slice(
      const_cast<char*>(bytes.data()), bytes.size(),
      [](void* data) { delete static_cast<Owner*>(data); }, kept);
}

}  // namespace

grpc::ByteBuffer ToByteBuffer(OutFrame frame) {
  auto head = std::make_shared<std::string>();
  head->reserve(frame.head.size() + 12);
  PutFixed8(head.get(), kRecordsTag);
  PutVarint(head.get(), frame.size_bytes());
  head->append(frame.head);
  std::vector<grpc::Slice> slices;
  slices.reserve(frame.body.size() + 1);
  const std::string_view head_bytes = *head;
  slices.push_back(OwnedSlice(std::move(head), head_bytes));
  for (ByteRange& range : frame.body) {
    const std::string_view bytes = std::string_view(*range.owner).substr(range.begin, range.size);
    slices.push_back(OwnedSlice(std::move(range.owner), bytes));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer ToByteBuffer(const peer::v1::PeerFrame& frame) {
  const grpc::Slice slice(frame.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status ParseGreeting(const grpc::ByteBuffer& buffer, peer::v1::PeerFrame* frame) {
  // A greeting is small: one that is not is not read.
  constexpr size_t kGreetingBytesMax = 64 << 10;
  std::vector<grpc::Slice> slices;
  if (buffer.Length() > kGreetingBytesMax || !buffer.Dump(&slices).ok()) return Malformed();
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  if (!frame->ParseFromString(bytes)) {
    return absl::InvalidArgumentError("malformed greeting from a node: not a PeerFrame");
  }
  return absl::OkStatus();
}

absl::Status ReceivedFrame::Parse(const grpc::ByteBuffer& buffer) {
  slices_.clear();
  views_.clear();
  if (buffer.Length() > kFrameBytesMax || !buffer.Dump(&slices_).ok()) return Malformed();
  views_.reserve(slices_.size());
  for (const grpc::Slice& slice : slices_) {
    views_.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  ScatteredReader reader(views_);
  std::string tag;
  uint64_t size = 0;
  if (!reader.Append(1, &tag) || static_cast<uint8_t>(tag[0]) != kRecordsTag ||
      !reader.Varint(&size) || size != reader.remaining()) {
    return Malformed();
  }
  // The field is the rest of the message.
  size_t skip = buffer.Length() - size;
  for (std::string_view& view : views_) {
    const size_t here = std::min(skip, view.size());
    view.remove_prefix(here);
    skip -= here;
  }
  return absl::OkStatus();
}

}  // namespace holdfast
