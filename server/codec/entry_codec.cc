#include "server/codec/entry_codec.h"

#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr size_t kHeaderBytes = 1 + 8 + 4;
constexpr size_t kLengthBytes = 4;

absl::Status Malformed(std::string_view bytes, const std::string& what) {
  return absl::DataLossError("entry of " + std::to_string(bytes.size()) + " bytes: " + what);
}

uint32_t LengthAt(std::string_view bytes) {
  uint32_t length = 0;
  CHECK(ByteReader(bytes).Fixed32(&length));
  return length;
}

template <class String>
EntryBuffer Build(LogTime log_time, absl::Span<const String> commands) {
  CHECK_LE(commands.size(), kCommandsPerEntryMax);
  size_t size = kHeaderBytes;
  for (const String& command : commands) {
    CHECK_LE(command.size(), UINT32_MAX);
    size += EntryCost(command.size());
  }
  auto entry = std::make_shared<std::string>();
  entry->reserve(size);
  PutFixed8(entry.get(), kEntryVersion);
  PutFixed64(entry.get(), log_time.micros());
  PutFixed32(entry.get(), static_cast<uint32_t>(commands.size()));
  for (const String& command : commands) {
    PutFixed32(entry.get(), static_cast<uint32_t>(command.size()));
    entry->append(command);
  }
  CHECK_EQ(entry->size(), size);
  return entry;
}

}  // namespace

size_t EntryCost(size_t command_bytes) { return kLengthBytes + command_bytes; }

EntryBuffer BuildEntry(LogTime log_time, absl::Span<const std::string_view> commands) {
  return Build(log_time, commands);
}
EntryBuffer BuildEntry(LogTime log_time, absl::Span<const std::string> commands) {
  return Build(log_time, commands);
}

absl::StatusOr<EntryReader> EntryReader::Open(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t version = 0;
  uint64_t micros = 0;
  uint32_t count = 0;
  if (!in.Fixed8(&version)) return Malformed(bytes, "empty");
  if (version != kEntryVersion) {
    return Malformed(bytes, "version " + std::to_string(version) + " is not known");
  }
  if (!in.Fixed64(&micros) || !in.Fixed32(&count)) return Malformed(bytes, "header is cut");
  if (count > kCommandsPerEntryMax) {
    return Malformed(bytes, std::to_string(count) + " commands are too many");
  }
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t length = 0;
    std::string_view command;
    if (!in.Fixed32(&length) || !in.Skip(length, &command)) {
      return Malformed(bytes, "command " + std::to_string(i) + " is cut");
    }
  }
  if (!in.Done()) {
    return Malformed(bytes, std::to_string(in.remaining()) + " bytes after the last command");
  }
  return EntryReader(LogTime::FromMicros(micros), count, bytes.substr(kHeaderBytes));
}

std::string_view EntryReader::NextBytes() {
  CHECK(!done());
  const std::string_view command = rest_.substr(kLengthBytes, LengthAt(rest_));
  rest_.remove_prefix(EntryCost(command.size()));
  ++read_;
  return command;
}

absl::Status EntryReader::Next(DecodedCommand* out) {
  const absl::Status status = DecodeCommand(NextBytes(), out);
  if (status.ok()) return status;
  return absl::DataLossError("command " + std::to_string(read_ - 1) + " of " +
                             std::to_string(count_) + ": " + std::string(status.message()));
}

bool OnlyLeases(std::string_view bytes) {
  absl::StatusOr<EntryReader> reader = EntryReader::Open(bytes);
  if (!reader.ok() || reader->done()) return false;
  while (!reader->done()) {
    const std::string_view command = reader->NextBytes();
    if (command.empty()) return false;
    switch (static_cast<CommandKind>(command[0])) {
      case CommandKind::kReserve:
      case CommandKind::kReserveJob:
      case CommandKind::kTouch:
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace holdfast
