// What goes with the parts of a state on their way to another node, and with the answers to them.
// Layout: FORMAT.md.
//
//   sender                                           receiver
//   kBegin  transfer, key, message ────────────────▶ stages, or finds what it has of `key`
//           ◀──────────────────── kGoOn transfer, cursor
//   kChunk  transfer + data ───────────────────────▶ adds
//           ◀──────────────────── kTaken transfer    for each of them, in order
//   kChunk  transfer + data (the last) ────────────▶ adds, and hands all of it to the replica
//           ◀──────────────────── kDone transfer
//           ◀──────────────────── kFailed transfer, why: at any time, and nothing follows
//
// Decoding is total and strict; errors are INVALID_ARGUMENT. Thread-safety: functions without
// state.

#ifndef HOLDFAST_SERVER_CLUSTER_SNAPSHOT_WIRE_H_
#define HOLDFAST_SERVER_CLUSTER_SNAPSHOT_WIRE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/types.h"

namespace holdfast {

// One way of a state to one node: drawn anew whenever it begins, or begins again.
using TransferId = StrongInt<struct TransferIdTag, uint64_t>;

inline constexpr size_t kStateKeyBytesMax = 256;

struct SnapshotPartHeader {
  enum class Kind : uint8_t { kBegin = 1, kChunk = 2 };
  Kind kind = Kind::kBegin;
  TransferId transfer;  // not 0
  // kBegin: names the state; the same one only for the same bytes.
  std::string key;
  // kBegin: the kSnapshot message of the leader (EncodeToBytes of message_codec.h).
  std::string message;
  bool operator==(const SnapshotPartHeader&) const = default;
};
std::string Encode(const SnapshotPartHeader& header);
absl::StatusOr<SnapshotPartHeader> DecodePartHeader(std::string_view bytes);

struct SnapshotAnswer {
  enum class Kind : uint8_t { kGoOn = 1, kTaken = 2, kDone = 3, kFailed = 4 };
  Kind kind = Kind::kGoOn;
  TransferId transfer;  // not 0
  std::string text;     // kGoOn: the cursor to go on from; kFailed: why; else empty
  bool operator==(const SnapshotAnswer&) const = default;
};
std::string Encode(const SnapshotAnswer& answer);
absl::StatusOr<SnapshotAnswer> DecodeAnswer(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_SNAPSHOT_WIRE_H_
