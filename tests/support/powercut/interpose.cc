// The wrappers: the C library's calls that change files or descriptors, each handed to the
// tracker when it concerns the tracked root and made as it is otherwise.

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstring>
#include <string>

#include "tests/support/powercut/real.h"
#include "tests/support/powercut/tracker.h"

namespace {

using holdfast::powercut::Die;
using holdfast::powercut::Handle;
using holdfast::powercut::Position;
using holdfast::powercut::Tracker;
namespace real = holdfast::powercut::real;

// The tracked file behind `fd`, or null.
Handle* File(int fd) {
  Tracker* const tracker = Tracker::Get();
  Handle* const handle = tracker == nullptr ? nullptr : tracker->Find(fd);
  return handle != nullptr && handle->file != nullptr ? handle : nullptr;
}

template <class Function>
Function Next(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) Die(std::string("no ") + name + " in the C library", 0);
  return reinterpret_cast<Function>(found);
}

bool TakesMode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

int OpenAny(int directory_fd, const char* path, int flags, mode_t mode) {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::Open(directory_fd, path, flags, mode)
                            : tracker->Open(directory_fd, path, flags, mode);
}

uint64_t TotalBytes(const struct iovec* parts, int count) {
  uint64_t total = 0;
  for (int i = 0; i < count; ++i) total += parts[i].iov_len;
  return total;
}

ssize_t WriteParts(int fd, const struct iovec* parts, int count, int64_t offset, int flags) {
  const auto change = [&] { return real::WriteVAt(fd, parts, count, offset, flags); };
  Handle* const handle = File(fd);
  if (handle == nullptr || parts == nullptr || count < 0) return change();
  const Position position = offset == -1 ? Position::kAtCursor : Position::kAtOffset;
  return Tracker::Get()->Write(fd, handle, position, offset, TotalBytes(parts, count),
                               flags & (RWF_DSYNC | RWF_SYNC), change);
}

int StdioFlags(const char* mode) {
  int flags = std::strchr(mode, '+') != nullptr ? O_RDWR : O_WRONLY;
  if (mode[0] == 'r' && flags == O_WRONLY) flags = O_RDONLY;
  if (mode[0] == 'w') flags |= O_CREAT | O_TRUNC;
  if (mode[0] == 'a') flags |= O_CREAT | O_APPEND;
  if (std::strchr(mode, 'x') != nullptr) flags |= O_EXCL;
  if (std::strchr(mode, 'e') != nullptr) flags |= O_CLOEXEC;
  return flags;
}

FILE* OpenStdio(const char* path, const char* mode, const char* symbol) {
  using Open = FILE* (*)(const char*, const char*);
  using OpenFd = FILE* (*)(int, const char*);
  Tracker* const tracker = Tracker::Get();
  const int flags = StdioFlags(mode);
  if (tracker == nullptr || flags == O_RDONLY || !tracker->Covers(AT_FDCWD, path)) {
    return Next<Open>(symbol)(path, mode);
  }
  const int fd = tracker->Open(AT_FDCWD, path, flags, 0666);
  if (fd < 0) return nullptr;
  tracker->UseStdio(fd);
  return Next<OpenFd>("fdopen")(fd, mode);
}

template <class... Args>
int MakeTemporary(const char* symbol, char* pattern, Args... args) {
  const int fd = Next<int (*)(char*, Args...)>(symbol)(pattern, args...);
  if (fd >= 0 && Tracker::Get() != nullptr) Tracker::Get()->AdoptCreated(fd);
  return fd;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int openat(int directory_fd, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = TakesMode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return OpenAny(directory_fd, path, flags, mode);
}
int openat64(int directory_fd, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = TakesMode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return OpenAny(directory_fd, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = TakesMode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return OpenAny(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = TakesMode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return OpenAny(AT_FDCWD, path, flags, mode);
}
int __open_2(const char* path, int flags) { return OpenAny(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return OpenAny(AT_FDCWD, path, flags, 0); }
int __openat_2(int fd, const char* path, int flags) { return OpenAny(fd, path, flags, 0); }
int __openat64_2(int fd, const char* path, int flags) { return OpenAny(fd, path, flags, 0); }
int creat(const char* path, mode_t mode) {
  return OpenAny(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char* path, mode_t mode) { return creat(path, mode); }
int mkstemp(char* pattern) { return MakeTemporary("mkstemp", pattern); }
int mkstemp64(char* pattern) { return MakeTemporary("mkstemp64", pattern); }
int mkostemp(char* pattern, int flags) { return MakeTemporary("mkostemp", pattern, flags); }
int mkostemp64(char* pattern, int flags) { return MakeTemporary("mkostemp64", pattern, flags); }

FILE* fopen(const char* path, const char* mode) { return OpenStdio(path, mode, "fopen"); }
FILE* fopen64(const char* path, const char* mode) { return OpenStdio(path, mode, "fopen64"); }
FILE* fdopen(int fd, const char* mode) noexcept {
  if (File(fd) != nullptr && StdioFlags(mode) != O_RDONLY) Tracker::Get()->UseStdio(fd);
  return Next<FILE* (*)(int, const char*)>("fdopen")(fd, mode);
}
int fclose(FILE* stream) {
  const int fd = fileno(stream);
  if (File(fd) == nullptr) return Next<int (*)(FILE*)>("fclose")(stream);
  const int flushed = fflush(stream);
  Tracker::Get()->Drop(fd);  // the C library closes the number by itself
  const int closed = Next<int (*)(FILE*)>("fclose")(stream);
  return flushed != 0 ? flushed : closed;
}
int closedir(DIR* directory) {
  if (Tracker::Get() != nullptr) Tracker::Get()->Drop(dirfd(directory));
  return Next<int (*)(DIR*)>("closedir")(directory);
}

int close(int fd) {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::Close(fd) : tracker->Close(fd);
}
int dup(int fd) noexcept {
  const int result = static_cast<int>(syscall(SYS_dup, fd));
  if (result >= 0 && Tracker::Get() != nullptr) Tracker::Get()->Duplicate(fd, result);
  return result;
}
int dup3(int fd, int target, int flags) noexcept {
  Tracker* const tracker = Tracker::Get();
  if (tracker != nullptr && fd != target) tracker->Drop(target);
  const int result = static_cast<int>(syscall(SYS_dup3, fd, target, flags));
  if (result >= 0 && tracker != nullptr) tracker->Duplicate(fd, result);
  return result;
}
int dup2(int fd, int target) noexcept {
  if (fd == target) return static_cast<int>(syscall(SYS_fcntl, fd, F_GETFD)) < 0 ? -1 : fd;
  return dup3(fd, target, 0);
}
int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* const argument = va_arg(list, void*);
  va_end(list);
  const int result = static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
  const bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (result >= 0 && duplicates && Tracker::Get() != nullptr) {
    Tracker::Get()->Duplicate(fd, result);
  }
  return result;
}
int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* const argument = va_arg(list, void*);
  va_end(list);
  return fcntl(fd, command, argument);
}

ssize_t write(int fd, const void* data, size_t size) {
  Handle* const handle = File(fd);
  const auto change = [&] { return real::Write(fd, data, size); };
  if (handle == nullptr) return change();
  return Tracker::Get()->Write(fd, handle, Position::kAtCursor, 0, size, 0, change);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  Handle* const handle = File(fd);
  const auto change = [&] { return real::WriteAt(fd, data, size, offset); };
  if (handle == nullptr || offset < 0) return change();
  return Tracker::Get()->Write(fd, handle, Position::kAtOffset, offset, size, 0, change);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
  Handle* const handle = File(fd);
  const auto change = [&] { return real::WriteV(fd, parts, count); };
  if (handle == nullptr || parts == nullptr || count < 0) return change();
  return Tracker::Get()->Write(fd, handle, Position::kAtCursor, 0, TotalBytes(parts, count), 0,
                               change);
}
ssize_t pwritev64v2(int fd, const struct iovec* parts, int count, off64_t offset, int flags) {
  return WriteParts(fd, parts, count, offset, flags);
}
ssize_t pwritev2(int fd, const struct iovec* parts, int count, off_t offset, int flags) {
  return WriteParts(fd, parts, count, offset, flags);
}
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  if (offset < 0) return errno = EINVAL, -1;
  return WriteParts(fd, parts, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) {
  return pwritev(fd, parts, count, offset);
}
ssize_t sendfile64(int out, int in, off64_t* offset, size_t count) noexcept {
  Handle* const handle = File(out);
  const auto change = [&]() -> ssize_t { return syscall(SYS_sendfile, out, in, offset, count); };
  if (handle == nullptr) return change();
  return Tracker::Get()->Write(out, handle, Position::kAtCursor, 0, count, 0, change);
}
ssize_t sendfile(int out, int in, off_t* offset, size_t count) noexcept {
  return sendfile64(out, in, offset, count);
}
ssize_t copy_file_range(int in, off64_t* in_offset, int out, off64_t* out_offset, size_t count,
                        unsigned flags) {
  Handle* const handle = File(out);
  const auto change = [&]() -> ssize_t {
    return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, count, flags);
  };
  if (handle == nullptr) return change();
  const Position position = out_offset == nullptr ? Position::kAtCursor : Position::kAtOffset;
  return Tracker::Get()->Write(out, handle, position, out_offset == nullptr ? 0 : *out_offset,
                               count, 0, change);
}

int ftruncate64(int fd, off64_t size) noexcept {
  Handle* const handle = File(fd);
  if (handle == nullptr || size < 0) return real::Truncate(fd, size);
  return Tracker::Get()->Truncate(fd, handle, size);
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }
int truncate64(const char* path, off64_t size) noexcept {
  Tracker* const tracker = Tracker::Get();
  if (tracker == nullptr || !tracker->Covers(AT_FDCWD, path)) {
    return static_cast<int>(syscall(SYS_truncate, path, size));
  }
  const int fd = tracker->Open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int result = ftruncate64(fd, size);
  const int error = errno;
  tracker->Close(fd);
  errno = error;
  return result;
}
int truncate(const char* path, off_t size) noexcept { return truncate64(path, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  Handle* const handle = File(fd);
  if (handle == nullptr || offset < 0 || length <= 0) {
    return real::Allocate(fd, mode, offset, length);
  }
  return Tracker::Get()->Allocate(fd, handle, mode, offset, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate64(fd, mode, offset, length);
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  Handle* const handle = File(fd);
  if (handle == nullptr) {
    return Next<int (*)(int, off64_t, off64_t)>("posix_fallocate64")(fd, offset, length);
  }
  return Tracker::Get()->PosixAllocate(fd, handle, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
  return posix_fallocate64(fd, offset, length);
}

int fsync(int fd) {
  Tracker* const tracker = Tracker::Get();
  Handle* const handle = tracker == nullptr ? nullptr : tracker->Find(fd);
  return handle == nullptr ? real::Sync(fd) : tracker->Sync(fd, handle, real::Sync);
}
int fdatasync(int fd) {
  Tracker* const tracker = Tracker::Get();
  Handle* const handle = tracker == nullptr ? nullptr : tracker->Find(fd);
  return handle == nullptr ? real::SyncData(fd) : tracker->Sync(fd, handle, real::SyncData);
}
// Starts writing back but makes nothing durable, as the manual page says.
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
  return static_cast<int>(syscall(SYS_sync_file_range, fd, offset, length, flags));
}

void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) noexcept {
  const bool shared_write = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0;
  if (shared_write && fd >= 0 && File(fd) != nullptr) {
    Die(std::string("a writable shared mapping cannot be followed: ") +
            File(fd)->file->slot()->path,
        0);
  }
  return real::Map(at, size, protection, flags, fd, offset);
}
void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return mmap64(at, size, protection, flags, fd, offset);
}

int unlinkat(int directory_fd, const char* path, int flags) noexcept {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::UnlinkAt(directory_fd, path, flags)
                            : tracker->Unlink(directory_fd, path, flags);
}
int unlink(const char* path) noexcept { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) noexcept { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  const int result = unlink(path);
  return result != 0 && errno == EISDIR ? rmdir(path) : result;
}
int renameat2(int fd, const char* from, int fd2, const char* to, unsigned flags) noexcept {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::RenameAt(fd, from, fd2, to, flags)
                            : tracker->Rename(fd, from, fd2, to, flags);
}
int renameat(int fd, const char* from, int fd2, const char* to) noexcept {
  return renameat2(fd, from, fd2, to, 0);
}
int rename(const char* from, const char* to) noexcept {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int fd, const char* from, int fd2, const char* to, int flags) noexcept {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::LinkAt(fd, from, fd2, to, flags)
                            : tracker->Link(fd, from, fd2, to, flags);
}
int link(const char* from, const char* to) noexcept {
  return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int mkdirat(int directory_fd, const char* path, mode_t mode) noexcept {
  Tracker* const tracker = Tracker::Get();
  return tracker == nullptr ? real::MakeDirectoryAt(directory_fd, path, mode)
                            : tracker->MakeDirectory(directory_fd, path, mode);
}
int mkdir(const char* path, mode_t mode) noexcept { return mkdirat(AT_FDCWD, path, mode); }

}  // extern "C"
#pragma GCC visibility pop
