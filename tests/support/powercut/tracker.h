// Follows every change that the process makes under one root directory, so that afterwards it
// can be told what a power cut would have left.
//
// The rules are the strict reading of POSIX, stricter than any one file system:
//   - a file's bytes and length are durable once an fsync or fdatasync of that file that began
//     after the change has answered success (sync_file_range makes nothing durable);
//   - a name (creation, removal, rename, mkdir, rmdir) is durable once its directory was
//     fsync'ed; what an older change of the same name or file had done is then durable too;
//     a rename across directories is durable with either of them.
//
// Thread-safety: thread-safe. Two locks, taken in this order: names_mutex_, UndoLog::mutex.
// Bounds: format.h. Calls return what the system calls return, with errno set.
//
// Not followed, and ended with a message: writable shared mappings, O_TMPFILE, symbolic links,
// renames into or out of the root, collapsing or inserting ranges. Not seen at all: raw
// system calls and io_uring writes; a file whose length shows that is reported.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_TRACKER_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_TRACKER_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/powercut/format.h"
#include "tests/support/powercut/journal.h"
#include "tests/support/powercut/undo_log.h"

namespace holdfast::powercut {

// What an open descriptor stands for; shared by its duplicates.
struct Handle {
  UndoLog* file = nullptr;  // null for a directory
  uint32_t directory = 0;   // id, for a directory
  std::atomic<int> references{1};
};

// Where a changing call puts its bytes.
enum class Position { kAtOffset, kAtCursor };

class Tracker {
 public:
  // The one tracker of the process, made at first use from the environment
  // (HOLDFAST_POWERCUT_ROOT, HOLDFAST_POWERCUT_JOURNAL, ...); null when they are not set.
  static Tracker* Get();

  Tracker(std::string root, std::string journal);

  // What `fd` stands for; null unless it is a file or directory under the root.
  Handle* Find(int fd) const {
    return fd >= 0 && fd < kDescriptorsMax ? handles_[fd].load(std::memory_order_acquire) : nullptr;
  }
  int Open(int directory_fd, const char* path, int flags, mode_t mode);
  // For a file made by the C library itself (mkstemp): `fd` is open on the new file.
  void AdoptCreated(int fd);
  int Close(int fd);
  // The number is closed by somebody else: forgets what it stood for.
  void Drop(int fd);
  void Duplicate(int fd, int new_fd);
  // `fd` is about to be used by stdio, whose writes are not seen one by one.
  void UseStdio(int fd);

  // Changes of contents. `change` makes the system call and returns its result.
  template <class Change>
  ssize_t Write(int fd, Handle* handle, Position position, int64_t offset, uint64_t length,
                int sync_flags, Change change);
  int Truncate(int fd, Handle* handle, int64_t size);
  int Allocate(int fd, Handle* handle, int mode, int64_t offset, int64_t length);
  // posix_fallocate: returns an error number and leaves errno alone.
  int PosixAllocate(int fd, Handle* handle, int64_t offset, int64_t length);

  template <class RealSync>
  int Sync(int fd, Handle* handle, RealSync sync);

  // Changes of names.
  int Unlink(int directory_fd, const char* path, int flags);
  int Rename(int fd, const char* from, int fd2, const char* to, unsigned flags);
  int Link(int fd, const char* from, int fd2, const char* to, int flags);
  int MakeDirectory(int directory_fd, const char* path, mode_t mode);

  // True iff `path` names (or would name) something under the root.
  bool Covers(int directory_fd, const char* path);

 private:
  static constexpr int kDescriptorsMax = 1 << 16;
  using Key = std::pair<uint64_t, uint64_t>;  // device, inode number

  struct Place {
    uint32_t directory = 0;  // id
    std::string name;
    bool exists = false;
    struct stat status = {};
  };
  // The parent directory and last part of `path`; nothing when it is not under the root.
  std::optional<Place> Locate(int directory_fd, const char* path);
  bool IsUnderRoot(const std::string& path) const;
  static std::string ResolveDirectory(int directory_fd, const std::string& path);

  uint32_t DirectoryId(const struct stat& status, const std::string& path);
  UndoLog* FindOrAddFile(const struct stat& status, const std::string& path);
  UndoLog* AddFile(const struct stat& status, const std::string& path);
  void ReleaseHandle(Handle* handle);
  void SetHandle(int fd, UndoLog* file, uint32_t directory);
  void Register(int fd, const struct stat& status, const std::string& path, bool created);
  int OpenExisting(int directory_fd, const char* path, int flags, mode_t mode);
  int OpenNew(int directory_fd, const char* path, const Place& place, int flags, mode_t mode);

  NameRecord MakeRecord(NameKind kind, const Place& place) const;
  // Runs `change` between the record's intent and its outcome.
  template <class Change>
  int ChangeName(NameRecord record, Change change);
  void KeepSaved(const Place& place, UndoLog* file, int directory_fd, const char* path);
  int SyncDirectory(uint32_t directory, int (*sync)(int), int fd);
  void MarkNamesSynced(uint32_t directory, uint64_t count);
  void DropSaved(uint32_t id);
  void TakeOver();

  // Size of the file before a change; dies when it changed unseen.
  uint64_t CheckedSize(int fd, UndoLog* file);
  // True iff the control says that this call must fail; sets errno.
  bool MustFail(bool needs_space);
  uint64_t BeginWrite(int fd, UndoLog* file, Position position, int64_t offset, uint64_t length,
                      bool* failed);
  void EndWrite(int fd, UndoLog* file, uint64_t begin, ssize_t result, int sync_flags);
  bool MustFailSync(Handle* handle, uint64_t seq);

  const std::string root_;
  Journal journal_;
  std::atomic<Handle*> handles_[kDescriptorsMax] = {};

  std::mutex names_mutex_;
  std::map<Key, std::unique_ptr<UndoLog>> files_;        // guarded by names_mutex_
  std::vector<std::unique_ptr<UndoLog>> removed_files_;  // guarded by names_mutex_
  std::map<Key, uint32_t> directories_;                  // guarded by names_mutex_
  std::vector<uint64_t> unsynced_names_;                 // guarded by names_mutex_
};

template <class Change>
ssize_t Tracker::Write(int fd, Handle* handle, Position position, int64_t offset, uint64_t length,
                       int sync_flags, Change change) {
  UndoLog* const file = handle->file;
  const std::lock_guard lock(file->mutex);
  bool failed = false;
  const uint64_t begin = BeginWrite(fd, file, position, offset, length, &failed);
  if (failed) return -1;
  const ssize_t result = change();
  EndWrite(fd, file, begin, result, sync_flags);
  return result;
}

template <class RealSync>
int Tracker::Sync(int fd, Handle* handle, RealSync sync) {
  if (handle->file == nullptr) return SyncDirectory(handle->directory, sync, fd);
  UndoLog* const file = handle->file;
  uint64_t seq = 0;
  {
    const std::lock_guard lock(file->mutex);
    seq = file->last_seq();
    if (MustFailSync(handle, seq)) return -1;
    // What stdio wrote was not recorded: from now on, what is there now is the base.
    if (file->slot()->opaque != 0) {
      file->OpenReader(fd);
      const uint64_t size = CheckedSize(fd, file);
      file->Append(UndoKind::kWrite, 0, size, size, size);
    }
  }
  if (journal_.control()->ignore_sync != 0) return 0;
  const int result = sync(fd);
  if (result != 0) return result;
  const std::lock_guard lock(file->mutex);
  file->MarkSynced(seq);
  std::atomic_ref(journal_.control()->syncs).fetch_add(1, std::memory_order_relaxed);
  return 0;
}

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_TRACKER_H_
