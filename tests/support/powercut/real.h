// The system calls themselves, past the wrappers that this library puts over the C library's.
//
// Results and errno are as of the C library's functions of the same name. Inside the preload
// library nothing may call open(), write() and so on by name: that would reach a wrapper.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_REAL_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_REAL_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace holdfast::powercut::real {

inline int Open(int directory_fd, const char* path, int flags, mode_t mode) {
  return static_cast<int>(syscall(SYS_openat, directory_fd, path, flags | O_LARGEFILE, mode));
}
inline int Close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }
inline ssize_t Read(int fd, void* data, size_t size, int64_t offset) {
  return syscall(SYS_pread64, fd, data, size, offset);
}
inline ssize_t Write(int fd, const void* data, size_t size) {
  return syscall(SYS_write, fd, data, size);
}
inline ssize_t WriteAt(int fd, const void* data, size_t size, int64_t offset) {
  return syscall(SYS_pwrite64, fd, data, size, offset);
}
inline ssize_t WriteV(int fd, const struct iovec* parts, int count) {
  return syscall(SYS_writev, fd, parts, count);
}
// `flags` as of pwritev2; offset -1 means the file's position.
inline ssize_t WriteVAt(int fd, const struct iovec* parts, int count, int64_t offset, int flags) {
  return syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}
inline int Stat(int fd, struct stat* out) { return static_cast<int>(syscall(SYS_fstat, fd, out)); }
inline int StatAt(int directory_fd, const char* path, struct stat* out, int flags) {
  return static_cast<int>(syscall(SYS_newfstatat, directory_fd, path, out, flags));
}
inline int Truncate(int fd, int64_t size) {
  return static_cast<int>(syscall(SYS_ftruncate, fd, size));
}
inline int Allocate(int fd, int mode, int64_t offset, int64_t size) {
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, size));
}
inline int Sync(int fd) { return static_cast<int>(syscall(SYS_fsync, fd)); }
inline int SyncData(int fd) { return static_cast<int>(syscall(SYS_fdatasync, fd)); }
inline int64_t Seek(int fd, int64_t offset, int whence) {
  return syscall(SYS_lseek, fd, offset, whence);
}
inline int RenameAt(int fd, const char* from, int fd2, const char* to, unsigned flags) {
  return static_cast<int>(syscall(SYS_renameat2, fd, from, fd2, to, flags));
}
inline int UnlinkAt(int fd, const char* path, int flags) {
  return static_cast<int>(syscall(SYS_unlinkat, fd, path, flags));
}
inline int LinkAt(int fd, const char* from, int fd2, const char* to, int flags) {
  return static_cast<int>(syscall(SYS_linkat, fd, from, fd2, to, flags));
}
inline int MakeDirectoryAt(int fd, const char* path, mode_t mode) {
  return static_cast<int>(syscall(SYS_mkdirat, fd, path, mode));
}
inline ssize_t ReadLink(const char* path, char* out, size_t size) {
  return syscall(SYS_readlinkat, AT_FDCWD, path, out, size);
}
inline void* Map(void* at, size_t size, int protection, int flags, int fd, int64_t offset) {
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, fd, offset));
}
inline int Unmap(void* at, size_t size) { return static_cast<int>(syscall(SYS_munmap, at, size)); }

}  // namespace holdfast::powercut::real

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_REAL_H_
