// Any bytes: an error, or an entry whose commands build the same bytes again.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "server/codec/entry_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<holdfast::EntryReader> reader = holdfast::EntryReader::Open(bytes);
  if (!reader.ok()) return 0;
  holdfast::EntryReader raw = *reader;
  std::vector<std::string_view> commands;
  while (!raw.done()) commands.push_back(raw.NextBytes());
  CHECK_EQ(commands.size(), reader->count());
  CHECK(*holdfast::BuildEntry(reader->log_time(), commands) == bytes);
  holdfast::DecodedCommand decoded;
  while (!reader->done()) {
    if (!reader->Next(&decoded).ok()) return 0;
  }
  return 0;
}
