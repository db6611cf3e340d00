// The payload of a job: everything that the queue core never looks at (body, attributes and the
// dedup key as the user gave it), as one string of bytes under the job's id.
//
// A payload is encoded once, by the frontend that took the job; the same bytes are then the tail
// of the enqueue command, a slice of the log entry, the stored payload row and what a reserve
// hands out. Layout: FORMAT.md, "Payload".
//
// Thread-safety: functions without state. Ownership: views point into the caller's bytes.

#ifndef HOLDFAST_SERVER_CODEC_PAYLOAD_CODEC_H_
#define HOLDFAST_SERVER_CODEC_PAYLOAD_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast {

inline constexpr size_t kAttributesMax = 32;
inline constexpr size_t kAttributeBytesMax = 16 * 1024;    // names and values together
inline constexpr size_t kBodyBytesMax = 64 * 1024 * 1024;  // the highest limit one can configure
inline constexpr size_t kPayloadBytesMax = kBodyBytesMax + kAttributeBytesMax + 4096;

struct Attribute {
  std::string_view name;
  std::string_view value;

  bool operator==(const Attribute&) const = default;
};

struct PayloadView {
  absl::InlinedVector<Attribute, 2> attributes;  // in the order given; names may repeat
  std::string_view dedup_key;                    // empty: none
  std::string_view body;
};

// InvalidArgument, naming the bound and the value, if a payload is over one of the bounds above
// or over kDedupKeyBytesMax. Frontends call this before they encode.
absl::Status CheckPayload(const PayloadView& payload);

// The number of bytes that AppendPayload would append.
size_t PayloadSize(const PayloadView& payload);

// REQUIRES: CheckPayload(payload).ok().
void AppendPayload(std::string* out, const PayloadView& payload);

// DataLoss if the bytes are not exactly one payload of a known version within the bounds.
absl::StatusOr<PayloadView> DecodePayload(std::string_view bytes);

// The digest that travels in the command and stands in the job's row: XXH3-64 of the bytes.
uint64_t PayloadDigest(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_PAYLOAD_CODEC_H_
