// A command on its way to the node that leads its shard, and its answer on the way back, as bytes.
// Layout: FORMAT.md. What carries them: replication/transport (PeerTransport::Forward).
//
// Decoding is total and strict, as server/codec/command_codec.h says. Thread-safety: functions
// without state.

#ifndef HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_CODEC_H_
#define HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_CODEC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "queue/command.h"
#include "server/engine/engine.h"

namespace holdfast {

struct ForwardRequest {
  // It may have been executed before, under the same identity.
  bool repeated = false;
  std::string_view command;  // server/codec/command_codec, in the bytes that were decoded
};

// `session`: that of the sender; used if it has one and the command no identity of its own.
std::string EncodeForwardRequest(bool repeated, std::string_view command,
                                 const RequestIdentity& session);
// DataLoss if the bytes are not a request of this version. The command is not looked at.
absl::StatusOr<ForwardRequest> DecodeForwardRequest(std::string_view bytes);

// REQUIRES: as many payloads as grants; the status is none or one that an Engine answers.
std::string EncodeForwardReply(const ExecuteResult& result);
// The payloads point into `bytes`, which they keep. DataLoss if the bytes are not exactly one
// reply of this version.
absl::StatusOr<ExecuteResult> DecodeForwardReply(std::shared_ptr<const std::string> bytes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_CODEC_H_
