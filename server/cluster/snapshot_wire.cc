#include "server/cluster/snapshot_wire.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"

namespace holdfast {
namespace {

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed ", what, " of a state from a node"));
}

bool ReadStart(ByteReader* in, uint8_t* kind, TransferId* transfer) {
  uint64_t number = 0;
  if (!in->Fixed8(kind) || !in->Varint(&number) || number == 0) return false;
  *transfer = TransferId(number);
  return true;
}

}  // namespace

std::string Encode(const SnapshotPartHeader& header) {
  std::string out;
  PutFixed8(&out, static_cast<uint8_t>(header.kind));
  PutVarint(&out, header.transfer.value());
  if (header.kind == SnapshotPartHeader::Kind::kBegin) {
    PutBytes(&out, header.key);
    PutBytes(&out, header.message);
  }
  return out;
}

absl::StatusOr<SnapshotPartHeader> DecodePartHeader(std::string_view bytes) {
  ByteReader in(bytes);
  SnapshotPartHeader header;
  uint8_t kind = 0;
  if (!ReadStart(&in, &kind, &header.transfer)) return Malformed("part");
  header.kind = static_cast<SnapshotPartHeader::Kind>(kind);
  switch (header.kind) {
    case SnapshotPartHeader::Kind::kBegin: {
      std::string_view key;
      std::string_view message;
      if (!in.Bytes(&key) || !in.Bytes(&message)) return Malformed("beginning");
      if (key.empty() || key.size() > kStateKeyBytesMax) return Malformed("key");
      header.key = key;
      header.message = message;
      break;
    }
    case SnapshotPartHeader::Kind::kChunk:
      break;
    default:
      return Malformed("part");
  }
  if (!in.Done()) return Malformed("part");
  return header;
}

std::string Encode(const SnapshotAnswer& answer) {
  std::string out;
  PutFixed8(&out, static_cast<uint8_t>(answer.kind));
  PutVarint(&out, answer.transfer.value());
  PutBytes(&out, answer.text);
  return out;
}

absl::StatusOr<SnapshotAnswer> DecodeAnswer(std::string_view bytes) {
  ByteReader in(bytes);
  SnapshotAnswer answer;
  uint8_t kind = 0;
  std::string_view text;
  if (!ReadStart(&in, &kind, &answer.transfer) || !in.Bytes(&text) || !in.Done()) {
    return Malformed("answer");
  }
  answer.kind = static_cast<SnapshotAnswer::Kind>(kind);
  answer.text = text;
  switch (answer.kind) {
    case SnapshotAnswer::Kind::kGoOn:
    case SnapshotAnswer::Kind::kFailed:
      return answer;
    case SnapshotAnswer::Kind::kTaken:
    case SnapshotAnswer::Kind::kDone:
      if (text.empty()) return answer;
      break;
  }
  return Malformed("answer");
}

}  // namespace holdfast
