#include "tests/support/powercut/journal.h"

#include <sys/file.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/support/powercut/real.h"

namespace holdfast::powercut {

void Die(const std::string& what, int error) {
  std::string text = "powercut: " + what;
  if (error != 0) text += std::string(": ") + std::strerror(error);
  text += "\n";
  static_cast<void>(real::Write(STDERR_FILENO, text.data(), text.size()));
  std::abort();
}

Journal::Journal(std::string directory) : directory_(std::move(directory)) {
  // The lock's descriptor stays open for the life of the process.
  const std::string lock = directory_ + "/lock";
  const int fd = real::Open(AT_FDCWD, lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) Die("open " + lock, errno);
  if (syscall(SYS_flock, fd, LOCK_EX | LOCK_NB) != 0) {
    Die("the journal " + directory_ + " is in use by another process", errno);
  }
  const std::string saved = directory_ + "/saved";
  if (real::MakeDirectoryAt(AT_FDCWD, saved.c_str(), 0755) != 0 && errno != EEXIST) {
    Die("mkdir " + saved, errno);
  }
  control_ = static_cast<Control*>(MapFile(directory_ + "/control", sizeof(Control)));
  slots_ = static_cast<Slot*>(MapFile(directory_ + "/inodes", kInodesMax * sizeof(Slot)));
  directories_ = static_cast<DirectorySlot*>(
      MapFile(directory_ + "/directories", kDirectoriesMax * sizeof(DirectorySlot)));
  void* names =
      MapFile(directory_ + "/names", sizeof(NamesHeader) + kNameRecordsMax * sizeof(NameRecord));
  names_header_ = static_cast<NamesHeader*>(names);
  names_ = reinterpret_cast<NameRecord*>(static_cast<char*>(names) + sizeof(NamesHeader));
}

void* Journal::MapFile(const std::string& path, uint64_t bytes) const {
  const int fd = real::Open(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) Die("open " + path, errno);
  if (real::Truncate(fd, static_cast<int64_t>(bytes)) != 0) Die("ftruncate " + path, errno);
  void* at = real::Map(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED) Die("mmap " + path, errno);
  real::Close(fd);
  return at;
}

uint64_t Journal::AppendName(const NameRecord& record) {
  const uint64_t index = names_header_->count;
  if (index == kNameRecordsMax) Die("too many names in the journal", 0);
  names_[index] = record;
  std::atomic_ref(names_header_->count).store(index + 1, std::memory_order_release);
  return index;
}

uint32_t Journal::FreeSlot() {
  for (uint32_t i = 1; i < kInodesMax; ++i) {
    const uint32_t id = 1 + (slot_hint_ - 1 + i - 1) % (kInodesMax - 1);
    if (slots_[id].in_use == 0) {
      slot_hint_ = 1 + id % (kInodesMax - 1);
      control_->inode_ids = std::max<uint64_t>(control_->inode_ids, id + 1);
      return id;
    }
  }
  Die("too many files in the journal", 0);
}

uint32_t Journal::FreeDirectory() {
  while (directory_hint_ < kDirectoriesMax && directories_[directory_hint_].in_use != 0) {
    ++directory_hint_;
  }
  if (directory_hint_ == kDirectoriesMax) Die("too many directories in the journal", 0);
  return directory_hint_++;
}

std::string Journal::SavedPath(uint32_t id) const {
  return directory_ + "/saved/" + std::to_string(id);
}
std::string Journal::AreaPath(uint32_t id, uint32_t area) const {
  return directory_ + "/undo." + std::to_string(id) + "." + std::to_string(area);
}
char* Journal::MapArea(uint32_t id, uint32_t area) const {
  return static_cast<char*>(MapFile(AreaPath(id, area), kAreaBytes));
}

}  // namespace holdfast::powercut
