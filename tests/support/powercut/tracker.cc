#include "tests/support/powercut/tracker.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "tests/support/powercut/real.h"

namespace holdfast::powercut {
namespace {

void CopyPath(const std::string& path, char* out, size_t size) {
  const size_t n = std::min(path.size(), size - 1);
  std::memcpy(out, path.data(), n);
  out[n] = '\0';
}

std::string DescriptorPath(int fd) {
  char buffer[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = real::ReadLink(link.c_str(), buffer, sizeof(buffer));
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

FailMode FailModeFromName(const std::string& name) {
  if (name == "enospc") return FailMode::kNoSpace;
  if (name == "eio_fsync") return FailMode::kSyncError;
  if (name == "erofs") return FailMode::kReadOnly;
  if (!name.empty() && name != "none") Die("unknown HOLDFAST_POWERCUT_FAIL=" + name, 0);
  return FailMode::kNone;
}

const char* Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Tracker* MakeFromEnvironment() {
  const std::string root = Environment("HOLDFAST_POWERCUT_ROOT");
  const std::string journal = Environment("HOLDFAST_POWERCUT_JOURNAL");
  if (root.empty() && journal.empty()) return nullptr;
  char resolved[PATH_MAX];
  if (realpath(root.c_str(), resolved) == nullptr) Die("HOLDFAST_POWERCUT_ROOT " + root, errno);
  return new Tracker(resolved, journal);
}

}  // namespace

Tracker* Tracker::Get() {
  // Made under its own flag, since threads may come here before any constructor has run.
  static Tracker* const tracker = MakeFromEnvironment();
  return tracker;
}

Tracker::Tracker(std::string root, std::string journal)
    : root_(std::move(root)), journal_(std::move(journal)) {
  Control* const control = journal_.control();
  if (*Environment("HOLDFAST_POWERCUT_IGNORE_SYNC") != '\0') {
    control->ignore_sync = *Environment("HOLDFAST_POWERCUT_IGNORE_SYNC") == '1' ? 1 : 0;
  }
  if (*Environment("HOLDFAST_POWERCUT_FAIL") != '\0') {
    control->fail_mode =
        static_cast<uint32_t>(FailModeFromName(Environment("HOLDFAST_POWERCUT_FAIL")));
    control->fail_after_calls =
        std::strtoull(Environment("HOLDFAST_POWERCUT_FAIL_AFTER"), nullptr, 10);
  }
  TakeOver();
}

void Tracker::TakeOver() {
  for (uint32_t id = 1; id < journal_.control()->inode_ids; ++id) {
    Slot* const slot = journal_.slot(id);
    if (slot->in_use == 0) continue;
    auto file = std::make_unique<UndoLog>(&journal_, id);
    // The process before may have died between a change and the note of its length.
    slot->length = UINT64_MAX;
    files_[{slot->device, slot->inode}] = std::move(file);
  }
  for (uint32_t id = 1; id < kDirectoriesMax && journal_.directory(id)->in_use != 0; ++id) {
    const DirectorySlot* const slot = journal_.directory(id);
    if (slot->gone == 0) directories_[{slot->device, slot->inode}] = id;
  }
  for (uint64_t i = 0; i < journal_.name_count(); ++i) {
    const auto state = static_cast<NameState>(journal_.name(i)->state);
    if (state == NameState::kIntent || state == NameState::kDone) unsynced_names_.push_back(i);
  }
}

bool Tracker::IsUnderRoot(const std::string& path) const {
  return path.size() >= root_.size() && path.compare(0, root_.size(), root_) == 0 &&
         (path.size() == root_.size() || path[root_.size()] == '/');
}

std::string Tracker::ResolveDirectory(int directory_fd, const std::string& path) {
  std::string full = path;
  if (path[0] != '/' && directory_fd != AT_FDCWD) {
    full = "/proc/self/fd/" + std::to_string(directory_fd) + "/" + path;
  }
  char resolved[PATH_MAX];
  return realpath(full.c_str(), resolved) == nullptr ? std::string() : std::string(resolved);
}

std::optional<Tracker::Place> Tracker::Locate(int directory_fd, const char* path) {
  std::string whole = path;
  while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
  const size_t slash = whole.rfind('/');
  std::string parent = slash == std::string::npos ? "." : whole.substr(0, slash);
  if (parent.empty()) parent = "/";
  Place place;
  place.name = slash == std::string::npos ? whole : whole.substr(slash + 1);
  const int saved_errno = errno;
  const std::string resolved = whole.empty() ? "" : ResolveDirectory(directory_fd, parent);
  errno = saved_errno;
  if (resolved.empty() || !IsUnderRoot(resolved)) return std::nullopt;
  if (place.name.size() >= kNameBytes) return std::nullopt;  // the call itself will fail
  struct stat parent_status;
  if (real::StatAt(AT_FDCWD, resolved.c_str(), &parent_status, 0) != 0) return std::nullopt;
  place.directory = DirectoryId(parent_status, resolved);
  const std::string full = resolved + "/" + place.name;
  place.exists = real::StatAt(AT_FDCWD, full.c_str(), &place.status, AT_SYMLINK_NOFOLLOW) == 0;
  errno = saved_errno;
  return place;
}

bool Tracker::Covers(int directory_fd, const char* path) {
  const std::lock_guard lock(names_mutex_);
  return Locate(directory_fd, path).has_value();
}

uint32_t Tracker::DirectoryId(const struct stat& status, const std::string& path) {
  const Key key{status.st_dev, status.st_ino};
  if (const auto found = directories_.find(key); found != directories_.end()) {
    return found->second;
  }
  const uint32_t id = journal_.FreeDirectory();
  DirectorySlot* const slot = journal_.directory(id);
  slot->device = status.st_dev;
  slot->inode = status.st_ino;
  CopyPath(path, slot->path, sizeof(slot->path));
  slot->in_use = 1;
  directories_[key] = id;
  return id;
}

UndoLog* Tracker::FindOrAddFile(const struct stat& status, const std::string& path) {
  const auto found = files_.find({status.st_dev, status.st_ino});
  return found != files_.end() ? found->second.get() : AddFile(status, path);
}

UndoLog* Tracker::AddFile(const struct stat& status, const std::string& path) {
  const Key key{status.st_dev, status.st_ino};
  if (const auto found = files_.find(key); found != files_.end()) {
    // The number was used by a file that is gone.
    found->second->Forget();
    removed_files_.push_back(std::move(found->second));
    files_.erase(found);
  }
  const uint32_t id = journal_.FreeSlot();
  Slot* const slot = journal_.slot(id);
  slot->device = status.st_dev;
  slot->inode = status.st_ino;
  slot->length = static_cast<uint64_t>(status.st_size);
  CopyPath(path, slot->path, sizeof(slot->path));
  slot->in_use = 1;
  auto file = std::make_unique<UndoLog>(&journal_, id);
  UndoLog* const result = file.get();
  files_[key] = std::move(file);
  return result;
}

void Tracker::SetHandle(int fd, UndoLog* file, uint32_t directory) {
  if (fd >= kDescriptorsMax) Die("a descriptor above the library's bound", 0);
  auto* const handle = new Handle;
  handle->file = file;
  handle->directory = directory;
  if (file != nullptr) ++file->open_count;
  // A stale handle means that the C library closed the number without telling: dropped.
  handles_[fd].store(handle, std::memory_order_release);
}

void Tracker::Register(int fd, const struct stat& status, const std::string& path, bool created) {
  if (S_ISDIR(status.st_mode)) {
    SetHandle(fd, nullptr, DirectoryId(status, path));
  } else if (S_ISREG(status.st_mode)) {
    SetHandle(fd, created ? AddFile(status, path) : FindOrAddFile(status, path), 0);
  }
}

int Tracker::Open(int directory_fd, const char* path, int flags, mode_t mode) {
  if ((flags & O_TMPFILE) == O_TMPFILE && Covers(directory_fd, path)) {
    Die(std::string("O_TMPFILE is not followed: ") + path, 0);
  }
  if ((flags & O_PATH) != 0) return real::Open(directory_fd, path, flags, mode);
  const std::lock_guard lock(names_mutex_);
  if ((flags & O_CREAT) != 0) {
    const std::optional<Place> place = Locate(directory_fd, path);
    if (place.has_value() && !place->exists) {
      return OpenNew(directory_fd, path, *place, flags, mode);
    }
  }
  return OpenExisting(directory_fd, path, flags, mode);
}

int Tracker::OpenNew(int directory_fd, const char* path, const Place& place, int flags,
                     mode_t mode) {
  if (MustFail(true)) return -1;
  NameRecord record = MakeRecord(NameKind::kCreate, place);
  const uint64_t index = journal_.AppendName(record);
  const int fd = real::Open(directory_fd, path, flags, mode);
  NameRecord* const stored = journal_.name(index);
  struct stat status;
  if (fd < 0 || real::Stat(fd, &status) != 0) {
    stored->state = static_cast<uint32_t>(NameState::kFailed);
    return fd;
  }
  Register(fd, status, DescriptorPath(fd), true);
  stored->inode = Find(fd)->file->id();
  stored->device = status.st_dev;
  stored->inode_number = status.st_ino;
  stored->state = static_cast<uint32_t>(NameState::kDone);
  unsynced_names_.push_back(index);
  return fd;
}

int Tracker::OpenExisting(int directory_fd, const char* path, int flags, mode_t mode) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  const int fd = real::Open(directory_fd, path, flags & ~O_TRUNC, mode);
  if (fd < 0) return fd;
  struct stat status;
  const std::string opened = DescriptorPath(fd);
  const bool tracked = IsUnderRoot(opened) && real::Stat(fd, &status) == 0;
  if (tracked && writes && S_ISREG(status.st_mode) && MustFail(false)) {
    const int error = errno;
    real::Close(fd);
    errno = error;
    return -1;
  }
  if (tracked) Register(fd, status, opened, false);
  if ((flags & O_TRUNC) == 0 || !writes) return fd;
  Handle* const handle = tracked ? Find(fd) : nullptr;
  const bool regular = handle != nullptr && handle->file != nullptr;
  struct stat target;
  if (!regular && (real::Stat(fd, &target) != 0 || !S_ISREG(target.st_mode))) return fd;
  if ((regular ? Truncate(fd, handle, 0) : real::Truncate(fd, 0)) != 0) {
    const int error = errno;
    handles_[fd].store(nullptr, std::memory_order_release);
    real::Close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

void Tracker::AdoptCreated(int fd) {
  const std::string path = DescriptorPath(fd);
  const std::lock_guard lock(names_mutex_);
  struct stat status;
  if (!IsUnderRoot(path) || real::Stat(fd, &status) != 0) return;
  std::optional<Place> place = Locate(AT_FDCWD, path.c_str());
  if (!place.has_value()) return;
  Register(fd, status, path, true);
  NameRecord record = MakeRecord(NameKind::kCreate, *place);
  record.inode = Find(fd)->file->id();
  const uint64_t index = journal_.AppendName(record);
  journal_.name(index)->state = static_cast<uint32_t>(NameState::kDone);
  unsynced_names_.push_back(index);
}

void Tracker::Duplicate(int fd, int new_fd) {
  Handle* const handle = Find(fd);
  if (new_fd < 0 || new_fd >= kDescriptorsMax || fd == new_fd) return;
  if (handle != nullptr) handle->references.fetch_add(1);
  handles_[new_fd].store(handle, std::memory_order_release);
}

int Tracker::Close(int fd) {
  if (Find(fd) == nullptr) return real::Close(fd);
  const std::lock_guard lock(names_mutex_);
  Handle* const handle = handles_[fd].exchange(nullptr, std::memory_order_acq_rel);
  const int result = real::Close(fd);
  const int error = errno;
  ReleaseHandle(handle);
  errno = error;
  return result;
}

void Tracker::Drop(int fd) {
  if (Find(fd) == nullptr) return;
  const std::lock_guard lock(names_mutex_);
  ReleaseHandle(handles_[fd].exchange(nullptr, std::memory_order_acq_rel));
}

void Tracker::ReleaseHandle(Handle* handle) {
  if (handle == nullptr || handle->references.fetch_sub(1) != 1) return;
  UndoLog* const file = handle->file;
  delete handle;
  if (file == nullptr || --file->open_count > 0) return;
  const std::lock_guard file_lock(file->mutex);
  if (file->gone) {
    file->Forget();
  } else {
    file->Release();
  }
}

void Tracker::UseStdio(int fd) {
  Handle* const handle = Find(fd);
  if (handle == nullptr || handle->file == nullptr) return;
  UndoLog* const file = handle->file;
  const std::lock_guard lock(file->mutex);
  if (file->slot()->opaque != 0) return;
  file->OpenReader(fd);
  const uint64_t size = CheckedSize(fd, file);
  file->Append(UndoKind::kWrite, 0, size, size, size);
  file->slot()->opaque = 1;
}

bool Tracker::MustFail(bool needs_space) {
  Control* const control = journal_.control();
  const auto mode = static_cast<FailMode>(std::atomic_ref(control->fail_mode).load());
  const bool concerned = mode == FailMode::kReadOnly || (mode == FailMode::kNoSpace && needs_space);
  if (!concerned) return false;
  std::atomic_ref left(control->fail_after_calls);
  uint64_t calls = left.load();
  while (calls > 0) {
    if (left.compare_exchange_weak(calls, calls - 1)) return false;
  }
  std::atomic_ref(control->failures).fetch_add(1);
  errno = mode == FailMode::kReadOnly ? EROFS : ENOSPC;
  return true;
}

uint64_t Tracker::CheckedSize(int fd, UndoLog* file) {
  struct stat status;
  if (real::Stat(fd, &status) != 0) Die(std::string("fstat ") + file->slot()->path, errno);
  const auto size = static_cast<uint64_t>(status.st_size);
  Slot* const slot = file->slot();
  if (slot->length != size && slot->length != UINT64_MAX && slot->opaque == 0) {
    Die(std::string(slot->path) + " has " + std::to_string(size) + " bytes and not " +
            std::to_string(slot->length) + ": changed by a call that is not followed",
        0);
  }
  return size;
}

uint64_t Tracker::BeginWrite(int fd, UndoLog* file, Position position, int64_t offset,
                             uint64_t length, bool* failed) {
  const uint64_t size = CheckedSize(fd, file);
  uint64_t begin = static_cast<uint64_t>(offset);
  if (position == Position::kAtCursor) {
    const auto flags = static_cast<int>(syscall(SYS_fcntl, fd, F_GETFL));
    begin = (flags & O_APPEND) != 0 ? size : static_cast<uint64_t>(real::Seek(fd, 0, SEEK_CUR));
  }
  if (MustFail(begin + length > size)) {
    *failed = true;
    return 0;
  }
  file->OpenReader(fd);
  file->Append(UndoKind::kWrite, begin, length, size, std::max(size, begin + length));
  return begin;
}

void Tracker::EndWrite(int fd, UndoLog* file, uint64_t begin, ssize_t result, int sync_flags) {
  Slot* const slot = file->slot();
  struct stat status;
  const int error = errno;
  if (real::Stat(fd, &status) != 0) Die(std::string("fstat ") + slot->path, errno);
  std::atomic_ref(slot->length).store(static_cast<uint64_t>(status.st_size));
  const auto flags = static_cast<int>(syscall(SYS_fcntl, fd, F_GETFL));
  const bool synced = sync_flags != 0 || (flags & O_DSYNC) != 0;
  if (result > 0 && synced && journal_.control()->ignore_sync == 0) file->MarkNewestSynced();
  std::atomic_ref(journal_.control()->writes).fetch_add(1, std::memory_order_relaxed);
  static_cast<void>(begin);
  errno = error;
}

int Tracker::Truncate(int fd, Handle* handle, int64_t new_size) {
  UndoLog* const file = handle->file;
  const std::lock_guard lock(file->mutex);
  const uint64_t size = CheckedSize(fd, file);
  const auto target = static_cast<uint64_t>(new_size);
  if (MustFail(target > size)) return -1;
  file->OpenReader(fd);
  if (target < size) {
    file->Append(UndoKind::kShrink, target, size - target, size, target);
  } else if (target > size) {
    file->Append(UndoKind::kWrite, size, 0, size, target);
  }
  const int result = real::Truncate(fd, new_size);
  if (result == 0) file->slot()->length = target;
  return result;
}

int Tracker::Allocate(int fd, Handle* handle, int mode, int64_t offset, int64_t length) {
  UndoLog* const file = handle->file;
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
    Die(std::string("fallocate mode not followed: ") + file->slot()->path, 0);
  }
  const std::lock_guard lock(file->mutex);
  const uint64_t size = CheckedSize(fd, file);
  if (MustFail((mode & FALLOC_FL_PUNCH_HOLE) == 0)) return -1;
  const auto begin = static_cast<uint64_t>(offset);
  const uint64_t end = begin + static_cast<uint64_t>(length);
  const uint64_t new_size = (mode & FALLOC_FL_KEEP_SIZE) != 0 ? size : std::max(size, end);
  const bool overwrites = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  if (overwrites || new_size != size) {
    file->OpenReader(fd);
    const uint64_t from = overwrites ? begin : size;
    file->Append(UndoKind::kWrite, from, overwrites ? end - begin : 0, size, new_size);
  }
  const int result = real::Allocate(fd, mode, offset, length);
  if (result == 0) file->slot()->length = new_size;
  return result;
}

int Tracker::PosixAllocate(int fd, Handle* handle, int64_t offset, int64_t length) {
  if (offset < 0 || length <= 0) return EINVAL;
  const int saved_errno = errno;
  const int error = Allocate(fd, handle, 0, offset, length) == 0 ? 0 : errno;
  errno = saved_errno;
  return error;
}

bool Tracker::MustFailSync(Handle* handle, uint64_t seq) {
  Control* const control = journal_.control();
  const auto mode = static_cast<FailMode>(std::atomic_ref(control->fail_mode).load());
  if (mode != FailMode::kSyncError) return false;
  std::atomic_ref left(control->fail_after_calls);
  uint64_t calls = left.load();
  while (calls > 0) {
    if (left.compare_exchange_weak(calls, calls - 1)) return false;
  }
  if (handle->file != nullptr) handle->file->MarkDoomed(seq);
  std::atomic_ref(control->failures).fetch_add(1);
  errno = EIO;
  return true;
}

}  // namespace holdfast::powercut
