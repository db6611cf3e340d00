// FileSystem over the operating system's.

#ifndef HOLDFAST_STORAGE_POSIX_FILE_SYSTEM_H_
#define HOLDFAST_STORAGE_POSIX_FILE_SYSTEM_H_

#include "storage/file_system.h"

namespace holdfast {

// The process's one instance; lives for ever. Thread-safety: thread-safe.
FileSystem& PosixFileSystem();

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_POSIX_FILE_SYSTEM_H_
