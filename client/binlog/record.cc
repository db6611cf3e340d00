#include "client/binlog/record.h"

#include <cstring>

namespace holdfast {
namespace {

using What = ParsedBinlogRecord::What;

constexpr size_t kNameLengthBytes = 4;
constexpr size_t kFixedBytes = 80;
constexpr size_t kTubeBytesMax = 200;
constexpr std::string_view kBodyEnd = "\r\n";

template <class Number>
Number At(std::string_view bytes, size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

bool IsTubeName(std::string_view name) {
  constexpr std::string_view kOthers = "-+/;.$_()";
  if (name.front() == '-') return false;
  for (const char c : name) {
    const bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      kOthers.find(c) != std::string_view::npos;
    if (!fits) return false;
  }
  return true;
}

ParsedBinlogRecord Damaged(const char* problem) {
  ParsedBinlogRecord parsed;
  parsed.what = What::kDamaged;
  parsed.problem = problem;
  return parsed;
}
ParsedBinlogRecord More(size_t size) {
  ParsedBinlogRecord parsed;
  parsed.size = size;
  return parsed;
}

// Reads the 80 bytes; why they are none of a record, or nullptr.
const char* ReadFixed(std::string_view fixed, BinlogRecord* record) {
  const auto delay_ns = At<int64_t>(fixed, 16);
  const auto ttr_ns = At<int64_t>(fixed, 24);
  const auto body_size = At<int32_t>(fixed, 32);
  const auto created_ns = At<int64_t>(fixed, 40);
  const auto deadline_ns = At<int64_t>(fixed, 48);
  const auto state = At<uint8_t>(fixed, 76);
  if (state > static_cast<uint8_t>(BinlogState::kDelayed)) return "an unknown state of a job";
  if (delay_ns < 0) return "a delay below zero";
  if (ttr_ns < 0) return "a ttr below zero";
  if (created_ns < 0 || deadline_ns < 0) return "a time before 1970";
  if (body_size < static_cast<int32_t>(kBodyEnd.size())) return "a body without an end";
  record->body_size_bytes = static_cast<size_t>(body_size) - kBodyEnd.size();
  if (record->body_size_bytes > kBinlogBodyBytesMax) return "a body above beanstalkd's limit";
  record->id = At<uint64_t>(fixed, 0);
  record->priority = At<uint32_t>(fixed, 8);
  record->delay = absl::Nanoseconds(delay_ns);
  record->ttr = absl::Nanoseconds(ttr_ns);
  record->created = absl::FromUnixNanos(created_ns);
  record->deadline = absl::FromUnixNanos(deadline_ns);
  record->counters = {At<uint32_t>(fixed, 56), At<uint32_t>(fixed, 60), At<uint32_t>(fixed, 64),
                      At<uint32_t>(fixed, 68), At<uint32_t>(fixed, 72)};
  record->state = static_cast<BinlogState>(state);
  return nullptr;
}

}  // namespace

int32_t BinlogVersionOf(std::string_view bytes) {
  return bytes.size() < kBinlogHeaderBytes ? 0 : At<int32_t>(bytes, 0);
}

ParsedBinlogRecord ParseBinlogRecord(std::string_view bytes) {
  if (bytes.size() < kNameLengthBytes) return More(kNameLengthBytes);
  const auto name_length = At<int32_t>(bytes, 0);
  if (name_length < 0 || name_length > static_cast<int32_t>(kTubeBytesMax)) {
    return Damaged("a tube's name of an impossible length");
  }
  const auto name_bytes = static_cast<size_t>(name_length);
  const size_t head_bytes = kNameLengthBytes + name_bytes + kFixedBytes;
  if (bytes.size() < head_bytes) return More(head_bytes);
  const std::string_view fixed = bytes.substr(kNameLengthBytes + name_bytes, kFixedBytes);
  ParsedBinlogRecord parsed;
  BinlogRecord& record = parsed.record;
  if (At<uint64_t>(fixed, 0) == 0) {
    parsed.what = What::kZeros;
    return name_bytes == 0 ? parsed : Damaged("a job without an id");
  }
  if (const char* const problem = ReadFixed(fixed, &record)) return Damaged(problem);
  record.tube = bytes.substr(kNameLengthBytes, name_bytes);
  parsed.size = head_bytes;
  if (!record.tube.empty()) {
    if (!IsTubeName(record.tube)) return Damaged("what is no name of a tube");
    record.body_offset_bytes = head_bytes;
    parsed.size += record.body_size_bytes + kBodyEnd.size();
    if (bytes.size() < parsed.size) return More(parsed.size);
    record.body = bytes.substr(head_bytes, record.body_size_bytes);
    if (bytes.substr(parsed.size - kBodyEnd.size(), kBodyEnd.size()) != kBodyEnd) {
      return Damaged("a body that does not end in CRLF");
    }
  }
  parsed.what = What::kRecord;
  return parsed;
}

}  // namespace holdfast
