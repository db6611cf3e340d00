// The first byte chooses a decoder, the rest is its input: an error, or a record that encodes to
// a fixed point.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/codec/outcome_codec.h"
#include "server/codec/row_codec.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(1);

// Decodes, encodes, and does so again: both encodings are equal.
template <class Decode, class Encode>
void Check(std::string_view bytes, Decode decode, Encode encode) {
  const auto first = decode(bytes);
  if (!first.ok()) return;
  const std::string once = encode(*first);
  const auto second = decode(once);
  CHECK(second.ok());
  CHECK(encode(*second) == once);
}

SmallRowKey KeyOfKind(int kind) {
  switch (kind) {
    case 0:
      return GlobalsKey{};
    case 1:
      return HolderKey{};
    case 2:
      return NodeFloorKey{};
    case 3:
      return RequestKey{};
    case 4:
      return SessionKey{};
    case 5:
      return SessionOutcomeKey{};
    case 7:
      return ClusterRecordKey{};
    default:
      return GraveKey{};
  }
}

void DecodeKeys(std::string_view bytes) {
  Check(
      bytes, [](std::string_view key) { return ParseJobRowKey(kShard, key); },
      [](JobId job) { return JobRowKey(kShard, job); });
  Check(
      bytes, [](std::string_view key) { return ParseQueueRowKey(kShard, key); },
      [](QueueId queue) { return QueueRowKey(kShard, queue); });
  Check(
      bytes, [](std::string_view key) { return ParseSmallRowKey(kShard, key); },
      [](const SmallRowKey& key) { return SmallRowKeyBytes(kShard, key); });
  const SetRef set = {SetKind::kReady, QueueId(1), 0, Holder()};
  Check(
      bytes, [&](std::string_view key) { return ParseIndexKey(kShard, set, key); },
      [&](SetKey place) { return IndexKey(kShard, set, place); });
}

void DecodeRow(int kind, std::string_view bytes) {
  const SetKey place = {1, 2};
  switch (kind) {
    case 0:
      return Check(
          bytes, [](std::string_view row) { return DecodeJobRow(JobId(1), row); }, EncodeJobRow);
    case 1:
      return Check(
          bytes, [](std::string_view row) { return DecodeQueueRow(QueueId(1), row); },
          EncodeQueueRow);
    case 2:
      return Check(
          bytes, [](std::string_view row) { return DecodeDedupRow(QueueId(1), "k", row); },
          EncodeDedupRow);
    case 3:
      return Check(
          bytes, [&](std::string_view row) { return DecodeDedupIndexRow(QueueId(1), place, row); },
          [](const DedupRecord& record) { return EncodeDedupIndexRow(record.key); });
    case 4:
      return Check(bytes, DecodeAppliedRow, EncodeAppliedRow);
    case 5:
      return Check(bytes, DecodeOutcome, [](const Outcome& outcome) {
        std::string out;
        AppendOutcome(&out, outcome);
        return out;
      });
    case 6:
      return DecodeKeys(bytes);
    case 7:
      (void)CheckLayoutRow(bytes);
      return;
    default:
      return Check(
          bytes, [&](std::string_view row) { return DecodeSmallRow(KeyOfKind(kind - 8), row); },
          EncodeSmallRow);
  }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  holdfast::DecodeRow(data[0] % 16,
                      std::string_view(reinterpret_cast<const char*>(data), size).substr(1));
  return 0;
}
