#include "replication/transport/frame_format.h"

#include <string_view>

#include "base/coding.h"
#include "base/crc32c.h"

namespace holdfast {

void AppendRecordHead(const Record& record, RecordForm form, size_t piece_bytes,
                      std::string* heads) {
  PutFixed8(heads,
            static_cast<uint8_t>(static_cast<uint8_t>(record.kind) | static_cast<uint8_t>(form)));
  if (form != RecordForm::kFurtherPiece) {
    PutVarint(heads, record.shard.value());
    PutBytes(heads, record.header);
    PutVarint(heads, record.parts.size());
    for (const SharedBytes& part : record.parts) PutVarint(heads, part->size());
  }
  if (form != RecordForm::kWhole) PutVarint(heads, piece_bytes);
}

std::string FrameHead(const std::string& heads, const std::vector<ByteRange>& body) {
  std::string head;
  head.reserve(heads.size() + 16);
  PutFixed32(&head, 0);
  PutBytes(&head, heads);
  uint32_t crc = Crc32c(std::string_view(head).substr(4));
  for (const ByteRange& range : body) {
    crc = ExtendCrc32c(crc, std::string_view(*range.owner).substr(range.begin, range.size));
  }
  std::string checksum;
  PutFixed32(&checksum, crc);
  head.replace(0, checksum.size(), checksum);
  return head;
}

}  // namespace holdfast
