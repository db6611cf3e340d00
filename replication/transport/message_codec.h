// Raft messages as records of a stream between nodes. FORMAT.md has the bytes.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_MESSAGE_CODEC_H_
#define HOLDFAST_REPLICATION_TRANSPORT_MESSAGE_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "replication/transport/peer_types.h"
#include "replication/transport/record.h"

namespace holdfast {

// Whether messages of this type travel at all; the others are a replica's own.
bool Travels(raft::MessageType type);

// The data of entries is shared, not copied. `sender` is the one whose stream it goes over: its id
// is left out where the message is from it. REQUIRES: the type travels.
Record EncodeEnvelope(const PeerEnvelope& envelope, ReplicaId sender);
// Errors: INVALID_ARGUMENT for everything that EncodeEnvelope does not make. The parts of `record`
// become the data of the entries.
absl::StatusOr<PeerEnvelope> DecodeEnvelope(Record record, ReplicaId sender);

// An envelope without entries as plain bytes, for what carries it elsewhere: the message of a
// snapshot at the beginning of its parts.
std::string EncodeToBytes(const PeerEnvelope& envelope);
absl::StatusOr<PeerEnvelope> DecodeFromBytes(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_MESSAGE_CODEC_H_
