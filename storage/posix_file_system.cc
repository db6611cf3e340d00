#include "storage/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

absl::Status Failed(const char* operation, const std::string& path, int error) {
  return ErrnoStatus(error, absl::StrCat(operation, " ", path));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int OpenRetrying(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  absl::Status Write(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::array<iovec, IOV_MAX> vectors;
    size_t skip = 0;  // bytes of the first piece already written
    while (!pieces.empty()) {
      size_t count = 0;
      for (; count < pieces.size() && count < vectors.size(); ++count) {
        vectors[count] = {const_cast<char*>(pieces[count].data()), pieces[count].size()};
      }
      vectors[0].iov_base = static_cast<char*>(vectors[0].iov_base) + skip;
      vectors[0].iov_len -= skip;
      const ssize_t n =
          ::pwritev(fd_.get(), vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("write", path_, errno);
      }
      offset += static_cast<uint64_t>(n);
      size_t written = static_cast<size_t>(n) + skip;
      while (!pieces.empty() && written >= pieces.front().size()) {
        written -= pieces.front().size();
        pieces = pieces.subspan(1);
      }
      skip = written;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> buffer) const override {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t n = ::pread(fd_.get(), buffer.data() + done, buffer.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("read", path_, errno);
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  // Not retried on EINTR or anything else: see File::Sync.
  absl::Status Sync() override {
    if (::fdatasync(fd_.get()) != 0) return Failed("fdatasync", path_, errno);
    return absl::OkStatus();
  }

  absl::Status Preallocate(uint64_t size) override {
    int error = 0;
    do {
      error = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EOPNOTSUPP || error == ENOSYS) return FillWithZeros(size);
    if (error != 0) return Failed("fallocate", path_, error);
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      return Failed("ftruncate", path_, errno);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return Failed("fstat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  // For file systems without fallocate.
  absl::Status FillWithZeros(uint64_t size) {
    ASSIGN_OR_RETURN(uint64_t end, Size());
    const std::string zeros(1 << 20, '\0');
    while (end < size) {
      const std::string_view piece =
          std::string_view(zeros).substr(0, std::min<uint64_t>(zeros.size(), size - end));
      RETURN_IF_ERROR(Write(end, {&piece, 1}));
      end += piece.size();
    }
    return absl::OkStatus();
  }

  const std::string path_;
  const Descriptor fd_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}

 private:
  const Descriptor fd_;  // closing it unlocks
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFileSystemImpl final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::kRead        ? O_RDONLY
                      : mode == OpenMode::kReadWrite ? O_RDWR
                                                     : O_RDWR | O_CREAT | O_EXCL;
    const int fd = OpenRetrying(path, flags);
    if (fd < 0) return Failed("open", path, errno);
    return std::make_unique<PosixFile>(path, fd);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return Failed("opendir", directory, errno);
    std::vector<std::string> names;
    int error = 0;
    while (true) {
      errno = 0;
      const dirent* found = ::readdir(stream);
      if (found == nullptr) {
        error = errno;
        break;
      }
      const std::string_view name = found->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(stream);
    if (error != 0) return Failed("readdir", directory, error);
    return names;
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      return Failed("rename", absl::StrCat(from, " to ", to), errno);
    }
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return Failed("unlink", path, errno);
    return absl::OkStatus();
  }

  absl::Status CreateDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
      return Failed("mkdir", path, errno);
    }
    return SyncDirectory(ParentOf(path));
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const Descriptor fd(OpenRetrying(path, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return Failed("open", path, errno);
    if (::fsync(fd.get()) != 0) return Failed("fsync", path, errno);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    const int fd = OpenRetrying(path, O_RDWR | O_CREAT);
    if (fd < 0) return Failed("open", path, errno);
    auto lock = std::make_unique<PosixFileLock>(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        return absl::UnavailableError(absl::StrCat("lock ", path, ": held by another process"));
      }
      return Failed("flock", path, errno);
    }
    return lock;
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static auto* const file_system = new PosixFileSystemImpl;
  return *file_system;
}

}  // namespace holdfast
