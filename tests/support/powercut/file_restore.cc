#include "tests/support/powercut/file_restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace holdfast::powercut {
namespace {

absl::Status Failed(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

absl::Status WriteAll(int fd, std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::ErrnoToStatus(errno, "pwrite of a pre-image");
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

FileRestore::FileRestore(const Slot& slot, std::string_view area, Prng* random,
                         RestoreReport* report)
    : slot_(slot), area_(area), random_(random), report_(report) {}

absl::Status FileRestore::ReadRecords() {
  for (uint64_t at = 0; at < area_.size();) {
    Change change;
    if (area_.size() - at < sizeof(UndoRecord)) return absl::DataLossError("short undo record");
    std::memcpy(&change.record, area_.data() + at, sizeof(UndoRecord));
    const uint64_t bytes = PaddedRecordBytes(change.record.preimage);
    if (change.record.magic != kUndoMagic || bytes > area_.size() - at) {
      return absl::DataLossError(absl::StrCat("bad undo record of ", slot_.path, " at ", at));
    }
    change.preimage = area_.substr(at + sizeof(UndoRecord), change.record.preimage);
    changes_.push_back(change);
    at += bytes;
  }
  return absl::OkStatus();
}

bool FileRestore::Synced(const UndoRecord& record) const {
  if ((record.flags & kFlagSynced) != 0) return true;
  return record.seq <= slot_.synced_seq && (record.flags & kFlagDoomed) == 0;
}

bool FileRestore::HasUnsynced() const {
  return std::any_of(changes_.begin(), changes_.end(),
                     [this](const Change& change) { return !Synced(change.record); });
}

// A write the library did not see shows as a length it does not know.
absl::Status FileRestore::CheckLength(const std::string& path, uint64_t size) const {
  if (slot_.opaque != 0 || slot_.length == UINT64_MAX || size == slot_.length) {
    return absl::OkStatus();
  }
  if (!changes_.empty()) {
    const UndoRecord& newest = changes_.back().record;
    const auto [low, high] = std::minmax(newest.old_size, newest.new_size);
    if (size >= low && size <= high) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(path, " has ", size, " bytes and not ",
                                                    slot_.length,
                                                    ": changed by a call that is not followed"));
}

void FileRestore::ChooseRange(uint64_t size) {
  const auto size_before = [&](size_t i) {
    return i < changes_.size() ? changes_[i].record.old_size : size;
  };
  size_t after_synced = 0;
  for (size_t i = 0; i < changes_.size(); ++i) {
    if (Synced(changes_[i].record)) after_synced = i + 1;
  }
  final_size_ = size_before(after_synced);
  if (random_ == nullptr || random_->Chance(1, 4)) return;
  // A cut-off end does not come back in part: the moment lies between two of them.
  std::vector<size_t> ends = {changes_.size()};
  for (size_t i = after_synced; i < changes_.size(); ++i) {
    if (changes_[i].record.kind == static_cast<uint32_t>(UndoKind::kShrink)) ends.push_back(i);
  }
  end_open_ = ends[random_->Below(ends.size())];
  for (const size_t end : ends) {
    if (end < end_open_) first_open_ = std::max(first_open_, end + 1);
  }
  constexpr uint32_t kKeepPercents[] = {5, 50, 95, 100};
  keep_percent_ = kKeepPercents[random_->Below(std::size(kKeepPercents))];
  const size_t begin = std::max(first_open_, after_synced);
  final_size_ = size_before(random_->Between(begin, std::max(begin, end_open_)));
}

bool FileRestore::KeepsSector(uint64_t sector) {
  if (!random_->Chance(keep_percent_, 100)) return false;
  settled_.insert(sector);
  return true;
}

absl::Status FileRestore::UndoSector(int fd, const Change& change, uint64_t begin, uint64_t end) {
  const uint64_t known_end = change.record.offset + change.record.preimage;
  if (begin < known_end) {
    const uint64_t bytes = std::min(end, known_end) - begin;
    RETURN_IF_ERROR(
        WriteAll(fd, change.preimage.substr(begin - change.record.offset, bytes), begin));
  }
  if (end <= known_end) return absl::OkStatus();
  // Beyond the old end of the file there was nothing.
  const uint64_t zeros_begin = std::max(begin, known_end);
  return WriteAll(fd, std::string(end - zeros_begin, '\0'), zeros_begin);
}

absl::Status FileRestore::Undo(int fd, size_t index) {
  const Change& change = changes_[index];
  const uint64_t begin = change.record.offset;
  const uint64_t end = begin + change.record.length;
  ++report_->writes_undone;
  report_->bytes_undone += change.record.length;
  if (random_ == nullptr && settled_.empty()) {
    return WriteAll(fd, change.preimage, begin);  // what is beyond goes with the length
  }
  bool kept = false;
  for (uint64_t at = begin; at < end;) {
    const uint64_t sector = at / kSectorBytes;
    const uint64_t sector_end = std::min(end, (sector + 1) * kSectorBytes);
    if (settled_.count(sector) != 0 || (index < end_open_ && KeepsSector(sector))) {
      kept = true;
    } else {
      RETURN_IF_ERROR(UndoSector(fd, change, at, sector_end));
    }
    at = sector_end;
  }
  if (kept) ++report_->writes_kept;
  return absl::OkStatus();
}

absl::Status FileRestore::UndoAll(int fd) {
  for (size_t i = changes_.size(); i-- > 0;) {
    const UndoRecord& record = changes_[i].record;
    if (Synced(record)) {
      const uint64_t end = record.offset + record.length;
      for (uint64_t s = record.offset / kSectorBytes; s * kSectorBytes < end; ++s) {
        settled_.insert(s);
      }
    } else if (i >= first_open_) {
      RETURN_IF_ERROR(Undo(fd, i));
    } else {
      ++report_->writes_kept;
    }
  }
  return absl::OkStatus();
}

absl::Status FileRestore::Run(const std::string& path) {
  RETURN_IF_ERROR(ReadRecords());
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return Failed("stat", path);
  RETURN_IF_ERROR(CheckLength(path, static_cast<uint64_t>(status.st_size)));
  if (!HasUnsynced()) return absl::OkStatus();
  ++report_->files_changed;
  ChooseRange(static_cast<uint64_t>(status.st_size));
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  absl::Status result = UndoAll(fd);
  if (result.ok() && ftruncate(fd, static_cast<off_t>(final_size_)) != 0) {
    result = Failed("ftruncate", path);
  }
  close(fd);
  return result;
}

}  // namespace holdfast::powercut
