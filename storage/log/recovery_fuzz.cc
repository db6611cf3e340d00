// Recovery over arbitrary segment files: it may refuse, never crash, and what it takes it must be
// able to read back.
//
// Input: one byte, then what follows the checkpoint of segment 1. If the byte is odd, checksums of
// records are put right first, so that the fuzzer gets behind them.

#include <cstdint>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/crc32c.h"
#include "storage/faulty/faulty_file_system.h"
#include "storage/log/record_format.h"
#include "storage/log/segment_log_store.h"

namespace holdfast {
namespace {

void RightChecksums(const RecordSeed& seed, std::string* file) {
  uint64_t offset = kSegmentHeaderBytes + RecordBytes(0);
  while (offset + kRecordHeaderBytes <= file->size()) {
    char* record = file->data() + offset;
    uint32_t size = 0;
    std::memcpy(&size, record + 8, sizeof(size));
    size %= 256;
    std::memcpy(record + 8, &size, sizeof(size));
    if (offset + RecordBytes(size) > file->size()) return;
    const uint32_t payload_crc =
        Crc32c(std::string_view(record + kRecordHeaderBytes, PaddedBytes(size)));
    std::memcpy(record + 4, &payload_crc, sizeof(payload_crc));
    const uint32_t crc =
        ExtendCrc32c(seed.At(offset), std::string_view(record + 4, kRecordHeaderBytes - 4));
    std::memcpy(record, &crc, sizeof(crc));
    offset += RecordBytes(size);
  }
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const SegmentHeader header{.sequence = 1, .salt = 5, .previous_end = 0};
  const RecordSeed seed(header.salt, header.sequence);
  std::string file(kSegmentHeaderBytes + kRecordHeaderBytes, '\0');
  EncodeSegmentHeader(header, file.data());
  RecordHeader checkpoint;
  checkpoint.kind = StoredKind::kCheckpoint;
  EncodeRecordHeader(checkpoint, seed.At(kSegmentHeaderBytes), file.data() + kSegmentHeaderBytes);
  file.append(input.substr(1));
  if ((input[0] & 1) != 0) RightChecksums(seed, &file);

  FaultyFileSystem files;
  CHECK(files.CreateDirectory("log").ok());
  files.SetContents("log/" + SegmentFileName(1), file);
  auto log = SegmentLogStore::Open(&files, "log", {.segment_bytes = 4096});
  if (!log.ok()) return;
  for (const ShardId shard : (*log)->Usage().shards) {
    const ShardLog found = (*log)->Describe(shard);
    std::vector<StoredEntry> entries;
    CHECK((*log)->ReadEntries(shard, found.first, Next(found.last), UINT64_MAX, &entries).ok());
    CHECK_EQ(entries.size(), found.last.value() + 1 - found.first.value());
  }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  holdfast::Run(input.substr(0, 64 << 10));
  return 0;
}
