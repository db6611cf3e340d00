// Writes frames: the bytes of PeerFrame.records. FORMAT.md has the layout.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_FRAME_FORMAT_H_
#define HOLDFAST_REPLICATION_TRANSPORT_FRAME_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "replication/transport/record.h"

namespace holdfast {

// The upper three bits of a record's first byte; the others are its kind.
enum class RecordForm : uint8_t {
  kWhole = 0x00,
  kFirstPiece = 0x20,
  kFurtherPiece = 0x40,
};
inline constexpr uint8_t kRecordFormMask = 0xe0;

// Appends what goes into a frame's head for `record`. `piece_bytes`: how many bytes of its parts
// are in the frame; not used by kWhole.
void AppendRecordHead(const Record& record, RecordForm form, size_t piece_bytes,
                      std::string* heads);

// The frame up to its body: checksum, length of `heads`, `heads`.
std::string FrameHead(const std::string& heads, const std::vector<ByteRange>& body);

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_FRAME_FORMAT_H_
