// The little of a file system that storage/ needs, so that tests can crash it and make it fail.
//
// Implementations: posix_file_system.h; faulty/faulty_file_system.h (testonly, in memory).
// Errors: RESOURCE_EXHAUSTED no space left, NOT_FOUND, ALREADY_EXISTS, UNAVAILABLE a lock that is
// held, UNIMPLEMENTED an operation the file system lacks, UNKNOWN any other failure of the
// operating system; the message names the operation, the path and the system's reason.

#ifndef HOLDFAST_STORAGE_FILE_SYSTEM_H_
#define HOLDFAST_STORAGE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast {

// An open file. Closed by its destructor, which syncs nothing.
//
// Thread-safety: Read may be called from any thread, also during the other calls (bytes being
// written meanwhile may be seen or not); the others by one thread at a time.
class File {
 public:
  virtual ~File() = default;

  // Writes the pieces, concatenated, at `offset`; grows the file if needed. On error any part of
  // them may have been written.
  virtual absl::Status Write(uint64_t offset, std::span<const std::string_view> pieces) = 0;

  // Reads up to buffer.size() bytes from `offset`; fewer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> buffer) const = 0;

  // Contents and size are on stable storage when this returns ok. After an error nothing is known
  // about what was written since the last ok, and calling again proves nothing.
  virtual absl::Status Sync() = 0;

  // Grows the file to `size` with space set aside for all of it (new bytes read as zeros), so that
  // writes below `size` do not run out of space. Never shrinks.
  virtual absl::Status Preallocate(uint64_t size) = 0;

  virtual absl::Status Truncate(uint64_t size) = 0;

  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

// Held until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode : uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // must not exist
};

// Names and directories. Paths use '/'. A created, renamed or removed name is on stable storage
// only after SyncDirectory of its directory.
//
// Thread-safety: thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;

  // Names (without the directory, in no order) of the files in it.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;

  // Atomic; replaces `to`. Within one directory.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;

  virtual absl::Status Remove(const std::string& path) = 0;

  // Creates the directory (its parent must be there) and makes its name durable. Ok if it exists.
  virtual absl::Status CreateDirectory(const std::string& path) = 0;

  virtual absl::Status SyncDirectory(const std::string& path) = 0;

  // Locks the file (created if need be) against every other process and every other Lock of this
  // one. UNAVAILABLE if it is held.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_FILE_SYSTEM_H_
