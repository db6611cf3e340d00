#include "storage/rocksdb/flush_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"
#include "storage/rocksdb/status.h"
#include "xxhash.h"

namespace holdfast {
namespace {

constexpr std::string_view kMagic = "HFSTATE\n";
constexpr size_t kSlotSize = 512;  // One disk sector: the unit that is written or not.
constexpr size_t kUsedSize = 8 + 4 + 8 + 8;

std::string SlotBytes(uint64_t flush_number) {
  std::string slot(kMagic);
  PutFixed32(&slot, FlushMark::kFormatVersion);
  PutFixed64(&slot, flush_number);
  PutFixed64(&slot, XXH3_64bits(slot.data(), slot.size()));
  CHECK_EQ(slot.size(), kUsedSize);
  slot.resize(kSlotSize, '\0');
  return slot;
}

struct Slot {
  uint32_t format_version = 0;
  uint64_t flush_number = 0;
};

std::optional<Slot> ParseSlot(std::string_view bytes) {
  ByteReader reader(bytes);
  std::string_view magic;
  Slot slot;
  uint64_t digest = 0;
  if (!reader.Skip(kMagic.size(), &magic) || magic != kMagic) return std::nullopt;
  if (!reader.Fixed32(&slot.format_version) || !reader.Fixed64(&slot.flush_number) ||
      !reader.Fixed64(&digest)) {
    return std::nullopt;
  }
  if (digest != XXH3_64bits(bytes.data(), kUsedSize - sizeof(digest))) return std::nullopt;
  return slot;
}

absl::Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open the directory of the state store", directory);
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0) return FromErrno(error, "sync the directory of the state store", directory);
  return absl::OkStatus();
}

absl::Status WriteAt(int fd, std::string_view bytes, off_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno, "write the flush mark of the state store", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

// Appears whole or not at all: written under another name first.
absl::Status Create(const std::string& directory, const std::string& path) {
  // The directory may be new too: a power cut must not take it away with all that is in it.
  const auto parent = std::filesystem::absolute(directory + "/..").lexically_normal();
  RETURN_IF_ERROR(SyncDirectory(parent.string()));
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FromErrno(errno, "create the flush mark of the state store", temporary);
  const std::string slot = SlotBytes(0);
  absl::Status status = WriteAt(fd, slot + slot, 0, temporary);
  if (status.ok() && fsync(fd) != 0) {
    status = FromErrno(errno, "sync the flush mark of the state store", temporary);
  }
  close(fd);
  RETURN_IF_ERROR(status);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return FromErrno(errno, "name the flush mark of the state store", path);
  }
  return SyncDirectory(directory);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FlushMark>> FlushMark::Open(const std::string& directory) {
  const std::string path = directory + "/FLUSHED";
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    const std::string current = directory + "/CURRENT";
    if (access(current.c_str(), F_OK) == 0) {
      return absl::DataLossError(absl::StrCat("could not open the state store: ", path,
                                              " is missing but ", current, " is there"));
    }
    RETURN_IF_ERROR(Create(directory, path));
  }
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open the flush mark of the state store", path);
  std::unique_ptr<FlushMark> mark(new FlushMark(fd, path));
  RETURN_IF_ERROR(mark->Read());
  return mark;
}

FlushMark::~FlushMark() { close(fd_); }

absl::Status FlushMark::Read() {
  char bytes[2 * kSlotSize];
  const ssize_t n = pread(fd_, bytes, sizeof(bytes), 0);
  if (n < 0) return FromErrno(errno, "read the flush mark of the state store", path_);
  bool found = false;
  for (size_t offset = 0; offset + kSlotSize <= static_cast<size_t>(n); offset += kSlotSize) {
    const std::optional<Slot> slot = ParseSlot(std::string_view(bytes + offset, kSlotSize));
    if (!slot.has_value()) continue;
    if (slot->format_version != kFormatVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("the state store has format version ", slot->format_version, " (", path_,
                       "); this program reads and writes version ", kFormatVersion,
                       ": use the program that wrote it, or one that knows how to convert it"));
    }
    found = true;
    if (slot->flush_number > flush_number_) flush_number_ = slot->flush_number;
  }
  if (!found) {
    return absl::DataLossError(
        absl::StrCat("the flush mark of the state store is damaged: ", path_));
  }
  return absl::OkStatus();
}

absl::Status FlushMark::Write(uint64_t flush_number) {
  CHECK_GT(flush_number, flush_number_);
  const auto offset = static_cast<off_t>((flush_number % 2) * kSlotSize);
  RETURN_IF_ERROR(WriteAt(fd_, SlotBytes(flush_number), offset, path_));
  if (fdatasync(fd_) != 0) {
    return FromErrno(errno, "sync the flush mark of the state store", path_);
  }
  flush_number_ = flush_number;
  return absl::OkStatus();
}

}  // namespace holdfast
