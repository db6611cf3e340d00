// FaultyFileSystem: a file system in memory that forgets what was not synced and fails by rule.
//
// After pebble's vfs/mem_fs.go (the crash clone) and vfs/errorfs. Only for tests.

#ifndef HOLDFAST_STORAGE_FAULTY_FAULTY_FILE_SYSTEM_H_
#define HOLDFAST_STORAGE_FAULTY_FAULTY_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/prng.h"
#include "storage/file_system.h"

namespace holdfast {

// What counts as an operation: every call that changes something or makes it durable.
enum class FileOperation : uint8_t {
  kAny,
  kWrite,
  kSync,
  kPreallocate,
  kTruncate,
  kCreate,
  kRename,
  kRemove,
  kSyncDirectory,
};

// How much of what was never synced a crash keeps.
enum class CrashKeeps : uint8_t {
  kNothing,
  kEverything,
  kSectors,  // any subset of the 512-byte sectors of each write, of size and directory changes
  kBytes,    // the same with cuts at any byte
};

// Invariants: a crash image holds all that was synced: contents and sizes by File::Sync, names by
// SyncDirectory (CreateDirectory is durable at once, as in FileSystem).
// Thread-safety: thread-safe. Must outlive its files and locks.
class FaultyFileSystem final : public FileSystem {
 public:
  FaultyFileSystem() = default;

  // The file system as it would be found after a power cut now. Which unsynced changes it keeps is
  // drawn from `seed`. The image has no rules and no locks.
  std::unique_ptr<FaultyFileSystem> CrashImage(CrashKeeps keeps, uint64_t seed) const;

  // Operations of a kind so far.
  uint64_t Count(FileOperation kind = FileOperation::kAny) const;

  // The power goes at the n-th operation from now (1 is the next): it and all later ones fail. If
  // it is a write, what it would have written counts as unsynced.
  void CrashAt(uint64_t nth);
  bool crashed() const;

  // The n-th operation of that kind from now fails with `error`. A failed write leaves its first
  // half written; after a failed sync everything unsynced of that file will never be durable,
  // though it is still read back.
  void FailAt(FileOperation kind, uint64_t nth, absl::Status error);

  // All files together may take this many bytes; growing beyond fails with RESOURCE_EXHAUSTED.
  void SetSpace(uint64_t bytes);

  // The file's content, also when it was changed behind everyone's back. REQUIRES: it exists.
  std::string Contents(const std::string& path) const;
  // Replaces (or creates) a file, durably.
  void SetContents(const std::string& path, std::string contents);

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  class FaultyFile;
  class FaultyLock;

  struct Change {
    enum class Kind : uint8_t { kWrite, kGrow, kTruncate } kind;
    uint64_t offset = 0;  // of the write; the new size
    std::string bytes;
  };
  struct Inode {
    std::string current;
    std::string durable;
    std::vector<Change> unsynced;
  };
  using InodePointer = std::shared_ptr<Inode>;
  struct NameChange {
    std::string directory;
    std::string erased;  // a path, or empty
    std::string set;     // a path, or empty
    InodePointer inode;
  };
  struct Rule {
    FileOperation kind;
    uint64_t at;  // of counts_[kind]
    absl::Status error;
  };

  static void Apply(const Change& change, std::string* contents);
  static std::string Survivor(const Inode& inode, CrashKeeps keeps, Prng* prng);

  // Counts the operation; its error, if a rule or a crash says so.
  absl::Status Begin(FileOperation kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckSpace(const Inode& inode, uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ChangeName(NameChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteTo(Inode* inode, uint64_t offset, std::string bytes);
  absl::Status SyncInode(Inode* inode);
  absl::Status Resize(Inode* inode, Change::Kind kind, uint64_t size);
  absl::StatusOr<size_t> ReadFrom(const Inode& inode, uint64_t offset, std::span<char> buffer);
  uint64_t SizeOf(const Inode& inode) const;
  void Unlock(const std::string& path);

  mutable absl::Mutex mutex_;
  std::set<std::string> directories_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, InodePointer> names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, InodePointer> durable_names_ ABSL_GUARDED_BY(mutex_);
  std::vector<NameChange> unsynced_names_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locks_ ABSL_GUARDED_BY(mutex_);
  std::map<FileOperation, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
  std::vector<Rule> rules_ ABSL_GUARDED_BY(mutex_);
  uint64_t crash_at_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
  bool crashed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t space_bytes_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_FAULTY_FAULTY_FILE_SYSTEM_H_
