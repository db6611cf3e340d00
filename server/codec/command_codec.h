// Commands as bytes: what a frontend encodes, the log carries and every replica decodes.
//
// An enqueue command carries the payloads of its jobs inline; decoding gives the command for the
// machine and the payloads as views for the shell. Layout: FORMAT.md, "Command".
//
// Decoding is total (any bytes give a result or an error) and strict: unknown kinds, flags and
// enum values, counts over the bounds of queue/command.h and trailing bytes are refused. What
// encodes is certain to decode: the encoders CHECK the same bounds. The contents of names and
// keys are the machine's to judge.
//
// Thread-safety: functions without state; an EnqueueEncoder is thread-compatible.

#ifndef HOLDFAST_SERVER_CODEC_COMMAND_CODEC_H_
#define HOLDFAST_SERVER_CODEC_COMMAND_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "queue/command.h"
#include "server/codec/payload_codec.h"

namespace holdfast {

// The first byte of a command. Numbers are in the log, so they are for good.
enum class CommandKind : uint8_t {
  kEnqueue = 1,
  kReserve = 2,
  kReserveJob = 3,
  kDelete = 4,
  kDeleteJob = 5,
  kRelease = 6,
  kTouch = 7,
  kBury = 8,
  kReturnUndelivered = 9,
  kKick = 10,
  kKickJobs = 11,
  kPauseQueue = 12,
  kPurgeQueue = 13,
  kPutQueueOptions = 14,
  kDeleteQueue = 15,
  kCloseHolder = 16,
  kNodeLost = 17,
  kExpire = 18,
  kOpenSession = 19,
  kCloseSession = 20,
  kPutSettings = 21,
  kPutClusterRecord = 22,
};

// The command as bytes. `payloads`: for an enqueue one per job, in order; else empty.
// REQUIRES: counts within the bounds of queue/command.h; an enqueue's payload_size_bytes are the
// payloads' sizes, and their digests are set.
std::string EncodeCommand(const Command& command, absl::Span<const std::string_view> payloads = {});

// Encodes an enqueue job by job, each payload written once, straight into the command's bytes.
//
//   EnqueueEncoder encoder(request, "mail", bytes_expected);
//   encoder.Add(spec, payload);
//   std::string command = std::move(encoder).Finish();
class EnqueueEncoder {
 public:
  // `bytes_hint`: expected size of all payloads; saves reallocation, may be 0.
  EnqueueEncoder(const RequestIdentity& request, std::string_view queue, size_t bytes_hint);

  // The spec's payload size and digest are ignored: they are computed here. The spec's dedup key
  // is what the machine compares; `payload` carries its own copy.
  // REQUIRES: jobs() < kItemsPerCommandMax, CheckPayload(payload).ok().
  void Add(const JobSpec& spec, const PayloadView& payload);
  // The same with a payload that is encoded already.
  void AddEncoded(const JobSpec& spec, std::string_view payload);

  size_t jobs() const { return jobs_; }
  size_t bytes() const { return bytes_.size(); }

  // The command's bytes; the encoder is then used up.
  std::string Finish() &&;

 private:
  friend std::string EncodeCommand(const Command& command,
                                   absl::Span<const std::string_view> payloads);
  void BeginJob(const JobSpec& spec, size_t payload_size);
  void AddEncoded(const JobSpec& spec, std::string_view payload, uint64_t digest);

  std::string bytes_;
  size_t count_offset_ = 0;  // of the u16 count, set by Finish
  size_t jobs_ = 0;
};

// Whether an encoded command has a session or a digest. REQUIRES: made by an encoder above.
bool HasRequestIdentity(std::string_view command);
// Appends `command` as a request of `request`'s session. REQUIRES: the command has no identity,
// `request` has a session and no digest.
void AppendWithSession(std::string* out, std::string_view command, const RequestIdentity& request);

// A command whose views point into the bytes that it was decoded from.
struct DecodedCommand {
  Command command;
  // Of an enqueue: its jobs' payloads, in order. Else empty.
  absl::InlinedVector<std::string_view, 1> payloads;
};

// DataLoss, with kind and offset, if the bytes are not exactly one command.
absl::StatusOr<DecodedCommand> DecodeCommand(std::string_view bytes);
// The same into an object that can be used again; unspecified after an error.
absl::Status DecodeCommand(std::string_view bytes, DecodedCommand* out);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_COMMAND_CODEC_H_
