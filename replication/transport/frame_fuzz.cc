// Any bytes, as the contents of one frame or of several: an error, or records; and every record
// that is a Raft message decodes to an error, or to a message that encodes to a fixed point.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/message_codec.h"

namespace holdfast {
namespace {

constexpr ReplicaId kSender(7);

void CheckMessage(const Record& record) {
  const auto first = DecodeEnvelope(record, kSender);
  if (!first.ok()) return;
  const Record once = EncodeEnvelope(*first, kSender);
  const auto second = DecodeEnvelope(once, kSender);
  CHECK(second.ok());
  CHECK(EncodeEnvelope(*second, kSender).header == once.header);
}

}  // namespace
}  // namespace holdfast

// The first byte says how many of the bytes after it are the first frame; the rest is the second.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  const size_t first = static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  holdfast::FrameReader reader({.shards = 16, .record_bytes_max = 1 << 16});
  std::vector<holdfast::Record> records;
  for (std::string_view frame :
       {bytes.substr(0, first), bytes.substr(std::min(first, bytes.size()))}) {
    // In two pieces, as it may come from the network.
    const std::string_view pieces[] = {frame.substr(0, frame.size() / 2),
                                       frame.substr(frame.size() / 2)};
    if (!reader.ReadContents(holdfast::ScatteredReader(pieces), &records).ok()) break;
  }
  for (const holdfast::Record& record : records) {
    CHECK(record.shard.value() < 16);
    CHECK_LE(record.part_bytes(), size_t{1} << 16);
    if (record.kind == holdfast::RecordKind::kMessage) holdfast::CheckMessage(record);
  }
  return 0;
}
