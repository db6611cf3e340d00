// Any bytes: a record within its bounds, and the same one however few bytes come at a time.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "client/binlog/record.h"

namespace {

using holdfast::BinlogRecord;
using holdfast::ParsedBinlogRecord;
using What = ParsedBinlogRecord::What;

// Gives the parser no more than it asks for. A copy, so that a sanitizer sees a view beyond it.
ParsedBinlogRecord ParseSparingly(std::string_view bytes, std::string* given) {
  for (;;) {
    const ParsedBinlogRecord parsed = holdfast::ParseBinlogRecord(*given);
    if (parsed.what != What::kMore || parsed.size > bytes.size()) return parsed;
    CHECK_GT(parsed.size, given->size());
    *given = std::string(bytes.substr(0, parsed.size));
  }
}

void CheckRecord(const ParsedBinlogRecord& parsed, std::string_view bytes) {
  const BinlogRecord& record = parsed.record;
  CHECK_GT(parsed.size, size_t{0});
  CHECK_LE(parsed.size, bytes.size());
  CHECK_GT(record.id, uint64_t{0});
  CHECK_LE(record.tube.size(), size_t{200});
  CHECK_LE(record.body_size_bytes, holdfast::kBinlogBodyBytesMax);
  if (record.tube.empty()) return;
  CHECK_EQ(record.body.size(), record.body_size_bytes);
  CHECK(bytes.substr(record.body_offset_bytes, record.body_size_bytes) == record.body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (;;) {
    const ParsedBinlogRecord whole = holdfast::ParseBinlogRecord(bytes);
    std::string given;
    const ParsedBinlogRecord sparing = ParseSparingly(bytes, &given);
    CHECK(whole.what == sparing.what);
    CHECK_EQ(whole.size, sparing.size);
    CHECK(whole.record.tube == sparing.record.tube);
    CHECK(whole.record.body == sparing.record.body);
    if (whole.what == What::kMore) CHECK_GT(whole.size, bytes.size());
    if (whole.what != What::kRecord) return 0;
    CheckRecord(whole, bytes);
    bytes.remove_prefix(whole.size);
  }
}
