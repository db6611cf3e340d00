// One log entry: {version, log time, count, commands}. Layout: FORMAT.md, "Entry".
//
// The entry is built once, as one contiguous buffer that is then shared by the log write, the
// apply and, for payloads that are not stored yet, the dirty overlay.
//
// Thread-safety: functions without state; an EntryReader is thread-compatible.

#ifndef HOLDFAST_SERVER_CODEC_ENTRY_CODEC_H_
#define HOLDFAST_SERVER_CODEC_ENTRY_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/types.h"
#include "server/codec/command_codec.h"

namespace holdfast {

inline constexpr uint8_t kEntryVersion = 1;
inline constexpr size_t kCommandsPerEntryMax = 1 << 20;

using EntryBuffer = std::shared_ptr<const std::string>;

// What one command of `command_bytes` bytes adds to an entry, for keeping entries within a bound.
size_t EntryCost(size_t command_bytes);

// The entry's bytes: one allocation, one copy of each command.
// REQUIRES: at most kCommandsPerEntryMax commands, each made by an encoder of command_codec.h and
// smaller than 4 GiB.
EntryBuffer BuildEntry(LogTime log_time, absl::Span<const std::string_view> commands);
EntryBuffer BuildEntry(LogTime log_time, absl::Span<const std::string> commands);

// Walks the commands of an entry.
//
//   ASSIGN_OR_RETURN(EntryReader reader, EntryReader::Open(*entry));
//   DecodedCommand command;
//   while (!reader.done()) { RETURN_IF_ERROR(reader.Next(&command)); ... }
class EntryReader {
 public:
  // Checks version, count and the framing of all commands (not yet the commands themselves).
  // DataLoss, with the offset, if they are wrong. The reader and what it gives point into `bytes`.
  static absl::StatusOr<EntryReader> Open(std::string_view bytes);

  LogTime log_time() const { return log_time_; }
  // Commands in the entry, read or not.
  uint32_t count() const { return count_; }
  bool done() const { return read_ == count_; }

  // Decodes the next command. DataLoss, naming the command's number, if its bytes are wrong; the
  // reader must not be used further then. REQUIRES: !done().
  absl::Status Next(DecodedCommand* out);
  // The next command's bytes, undecoded. REQUIRES: !done().
  std::string_view NextBytes();

 private:
  EntryReader(LogTime log_time, uint32_t count, std::string_view rest)
      : log_time_(log_time), count_(count), rest_(rest) {}

  LogTime log_time_;
  uint32_t count_;
  uint32_t read_ = 0;
  std::string_view rest_;
};

// Every command of the entry only begins leases or prolongs them: Reserve, ReserveJob, Touch.
// False of bytes that are no entry, and of one without commands.
bool OnlyLeases(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_ENTRY_CODEC_H_
