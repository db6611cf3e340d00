#include "client/binlog/binlog.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr char kFilePrefix[] = "binlog.";
constexpr size_t kReadBytes = size_t{1} << 20;

// The number of a binlog by its name; false for any other file.
bool NumberOf(const std::string& name, uint64_t* number) {
  if (name.rfind(kFilePrefix, 0) != 0) return false;
  const std::string digits = name.substr(sizeof(kFilePrefix) - 1);
  return digits.find_first_not_of("0123456789") == std::string::npos &&
         absl::SimpleAtoi(digits, number);
}

// beanstalkd holds a write lock on all of the file while it runs. -1: there is no such file.
absl::StatusOr<int> KeepBeanstalkdOut(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return -1;
    return ErrnoStatus(errno, absl::StrCat("open ", path));
  }
  struct flock wanted = {};
  wanted.l_type = F_RDLCK;
  wanted.l_whence = SEEK_SET;
  if (fcntl(fd, F_SETLK, &wanted) == 0) return fd;
  const int error = errno;
  struct flock held = wanted;
  const bool known = fcntl(fd, F_GETLK, &held) == 0 && held.l_type != F_UNLCK;
  close(fd);
  if (error != EACCES && error != EAGAIN) return ErrnoStatus(error, absl::StrCat("lock ", path));
  return absl::FailedPreconditionError(absl::StrCat(
      directory, " is in use", known ? absl::StrCat(" by process ", held.l_pid) : std::string(),
      ": stop that beanstalkd first"));
}

}  // namespace

// A file that is read from front to back through a window, or anywhere.
class Binlog::File {
 public:
  static absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open ", path));
    auto file = std::unique_ptr<File>(new File(path, fd));
    struct stat about;
    if (fstat(fd, &about) != 0) return ErrnoStatus(errno, absl::StrCat("stat ", path));
    file->size_bytes_ = static_cast<uint64_t>(about.st_size);
    return file;
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size_bytes() const { return size_bytes_; }
  uint64_t offset_bytes() const { return offset_bytes_; }  // of the window
  uint64_t left_bytes() const { return size_bytes_ - offset_bytes_; }
  std::string_view window() const { return std::string_view(buffer_).substr(begin_); }
  void Advance(size_t bytes) {
    begin_ += bytes;
    offset_bytes_ += bytes;
  }
  // Widens the window to `bytes` or some more, or to the end of the file.
  absl::Status Widen(size_t bytes) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old = buffer_.size();
    const auto wanted =
        static_cast<size_t>(std::min<uint64_t>(std::max(bytes, kReadBytes), left_bytes()));
    if (wanted <= old) return absl::OkStatus();
    buffer_.resize(wanted);
    return ReadAt(offset_bytes_ + old, &buffer_[old], wanted - old);
  }

  // Moves the window over zeros; whether they reach to the end.
  absl::StatusOr<bool> SkipZeros() {
    for (;;) {
      const size_t end = window().find_first_not_of('\0');
      Advance(std::min(end, window().size()));
      if (end != std::string_view::npos) return false;
      if (left_bytes() == 0) return true;
      RETURN_IF_ERROR(Widen(kReadBytes));
    }
  }

  absl::Status ReadAt(uint64_t offset, char* out, size_t bytes) const {
    while (bytes > 0) {
      const ssize_t got = pread(fd_, out, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, absl::StrCat("read ", path_));
      if (got == 0) {
        return absl::DataLossError(absl::StrCat("read ", path_, ": it has become shorter"));
      }
      out += got;
      offset += static_cast<uint64_t>(got);
      bytes -= static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }

 private:
  File(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
  uint64_t size_bytes_ = 0;
  uint64_t offset_bytes_ = 0;
  std::string buffer_;
  size_t begin_ = 0;  // of the window in the buffer
};

std::string BinlogDamage::Text() const {
  return absl::StrCat(file, ": byte ", offset_bytes, ": ", problem);
}

Binlog::Binlog(std::string directory, int lock_fd)
    : directory_(std::move(directory)), lock_fd_(lock_fd) {}

Binlog::~Binlog() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::StatusOr<std::unique_ptr<Binlog>> Binlog::Open(const std::string& directory) {
  ASSIGN_OR_RETURN(const int lock_fd, KeepBeanstalkdOut(directory));
  auto binlog = std::unique_ptr<Binlog>(new Binlog(directory, lock_fd));
  RETURN_IF_ERROR(binlog->List());
  return binlog;
}

absl::Status Binlog::List() {
  std::vector<std::pair<uint64_t, std::string>> found;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    uint64_t number = 0;
    if (NumberOf(name, &number) && entry->is_regular_file(error) && !error) {
      size_bytes_ += entry->file_size(error);
      found.emplace_back(number, name);
    }
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("read the directory ", directory_));
  std::sort(found.begin(), found.end());
  for (size_t i = 0; i < found.size(); ++i) {
    if (i > 0 && found[i].first != found[i - 1].first + 1) {
      damages_.push_back({absl::StrCat(directory_, "/", kFilePrefix, found[i - 1].first + 1), 0,
                          "the file is missing"});
    }
    files_.push_back(std::move(found[i].second));
  }
  return absl::OkStatus();
}

absl::Status Binlog::Read(const std::function<void(uint64_t bytes)>& progress) {
  for (uint32_t file = 0; file < files_.size(); ++file) {
    RETURN_IF_ERROR(ReadFile(file, progress));
  }
  return absl::OkStatus();
}

absl::Status Binlog::ReadFile(uint32_t index, const std::function<void(uint64_t)>& progress) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, File::Open(PathOf(index)));
  const uint64_t read_before = std::exchange(read_bytes_, read_bytes_ + file->size_bytes());
  RETURN_IF_ERROR(file->Widen(kBinlogHeaderBytes));
  const int32_t version = BinlogVersionOf(file->window());
  if (version == 0) return Damaged(index, 0, "no version, as if never written");
  if (version != kBinlogVersion) {
    return absl::UnimplementedError(absl::StrCat(PathOf(index), " has version ", version,
                                                 " of beanstalkd's binlog; only version ",
                                                 kBinlogVersion, " can be read"));
  }
  file->Advance(kBinlogHeaderBytes);
  using What = ParsedBinlogRecord::What;
  for (;;) {
    const ParsedBinlogRecord parsed = ParseBinlogRecord(file->window());
    const char* problem = parsed.problem;
    if (parsed.what == What::kMore && parsed.size <= file->left_bytes()) {
      progress(read_before + file->offset_bytes());
      RETURN_IF_ERROR(file->Widen(parsed.size));
      continue;
    }
    if (parsed.what == What::kRecord) {
      problem = Take(parsed.record, index, file->offset_bytes());
      if (problem == nullptr) {
        file->Advance(parsed.size);
        continue;
      }
    } else if (parsed.what != What::kDamaged) {
      const uint64_t end = file->offset_bytes();
      ASSIGN_OR_RETURN(const bool zeros, file->SkipZeros());
      if (zeros) return absl::OkStatus();
      problem = parsed.what == What::kMore ? "the file ends within a record"
                                           : "zeros, with something after them";
      return Damaged(index, end, problem);
    }
    return Damaged(index, file->offset_bytes(), problem);
  }
}

const char* Binlog::Take(const BinlogRecord& record, uint32_t file, uint64_t offset_bytes) {
  max_id_ = std::max(max_id_, record.id);
  const auto known = jobs_.find(record.id);
  if (record.state == BinlogState::kDeleted) {
    if (known != jobs_.end()) jobs_.erase(known);
    return nullptr;
  }
  // Its record was in a file that is gone: it was deleted, or written again further on.
  if (record.tube.empty() && known == jobs_.end()) return nullptr;
  if (known != jobs_.end() && known->second.body_size_bytes != record.body_size_bytes) {
    return "a job whose size has changed";
  }
  BinlogJob& job = known == jobs_.end() ? jobs_[record.id] : known->second;
  if (job.tube.empty()) job.tube = *tubes_.emplace(record.tube).first;
  if (!record.tube.empty()) {
    job.file = file;
    job.body_offset_bytes = offset_bytes + record.body_offset_bytes;
  }
  job.id = record.id;
  job.priority = record.priority;
  job.delay = record.delay;
  job.ttr = record.ttr;
  job.created = record.created;
  job.deadline = record.deadline;
  job.counters = record.counters;
  job.state = record.state == BinlogState::kReserved ? BinlogState::kReady : record.state;
  job.body_size_bytes = record.body_size_bytes;
  return nullptr;
}

absl::Status Binlog::Damaged(uint32_t file, uint64_t offset_bytes, std::string_view problem) {
  damages_.push_back({PathOf(file), offset_bytes, std::string(problem)});
  return absl::OkStatus();
}

absl::Status Binlog::ReadBody(const BinlogJob& job, std::string* body) {
  if (body_file_ == nullptr || body_file_index_ != job.file) {
    ASSIGN_OR_RETURN(body_file_, File::Open(PathOf(job.file)));
    body_file_index_ = job.file;
  }
  body->resize(job.body_size_bytes);
  return body_file_->ReadAt(job.body_offset_bytes, body->data(), body->size());
}

}  // namespace holdfast
