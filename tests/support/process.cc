#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

extern char** environ;

namespace holdfast::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> MergedEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string line = *entry;
    if (added.count(line.substr(0, line.find('='))) == 0) merged.push_back(line);
  }
  for (const auto& [name, value] : added) merged.push_back(absl::StrCat(name, "=", value));
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string ReadFrom(const std::string& path, int64_t begin) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(begin);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string LastBytes(const std::string& text, size_t bytes_max) {
  return text.size() <= bytes_max ? text : text.substr(text.size() - bytes_max);
}

int MillisLeft(absl::Time deadline) {
  const int64_t millis = absl::ToInt64Milliseconds(deadline - absl::Now());
  return static_cast<int>(std::clamp<int64_t>(millis, 0, 60'000));
}

// True iff something accepts connections at HOST:PORT of an IPv4 address.
bool Accepts(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return false;
  }
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1) return false;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof(target)) == 0;
  close(fd);
  return connected;
}

// The gRPC address in ports.json, once it is whole and written by this start of the server.
std::optional<std::string> AddressIn(const std::string& path) {
  const nlohmann::json ports =
      nlohmann::json::parse(ReadFrom(path, 0), nullptr, /*allow_exceptions=*/false);
  if (!ports.is_object() || !ports.contains("grpc") || !ports["grpc"].is_string()) {
    return std::nullopt;
  }
  return ports["grpc"].get<std::string>();
}

}  // namespace

std::string Exit::ToString() const {
  return absl::StrCat(signalled ? "signal " : "exit code ", code);
}

Process::Process(pid_t pid, int pid_fd, std::string log_path, int64_t log_begin)
    : pid_(pid), pid_fd_(pid_fd), log_path_(std::move(log_path)), log_begin_(log_begin) {}

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const ProcessOptions& options) {
  CHECK(!options.command.empty());
  std::vector<std::string> arguments = options.command;
  std::vector<std::string> environment = MergedEnvironment(options.environment);
  struct stat status;
  const int64_t log_begin = stat(options.log_path.c_str(), &status) == 0 ? status.st_size : 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, options.log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, arguments[0].c_str(), &actions, nullptr,
                                Pointers(arguments).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("start ", arguments[0]));
  const auto pid_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  CHECK_GE(pid_fd, 0);
  return std::unique_ptr<Process>(new Process(pid, pid_fd, options.log_path, log_begin));
}

Process::~Process() {
  Kill();
  close(pid_fd_);
}

void Process::Signal(int number) {
  if (!ended_) syscall(SYS_pidfd_send_signal, pid_fd_, number, nullptr, 0);
}

absl::StatusOr<Exit> Process::Wait(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!ended_) {
    pollfd poll_fd = {.fd = pid_fd_, .events = POLLIN, .revents = 0};
    const int ready = poll(&poll_fd, 1, MillisLeft(deadline));
    if (ready == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("process ", pid_, " still runs after ", absl::FormatDuration(timeout)));
    }
    if (ready != 1) continue;
    int status = 0;
    CHECK_EQ(waitpid(pid_, &status, 0), pid_);
    ended_ = true;
    exit_.signalled = WIFSIGNALED(status);
    exit_.code = exit_.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
  }
  return exit_;
}

void Process::Kill() {
  if (ended_) return;
  Signal(SIGKILL);
  const absl::StatusOr<Exit> gone = Wait(absl::InfiniteDuration());
  CHECK(gone.ok());
}

bool Process::Running() { return !Wait(absl::ZeroDuration()).ok(); }

uint64_t Process::ResidentBytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string Process::Log() const { return ReadFrom(log_path_, log_begin_); }

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const ServerOptions& options,
                                                                    absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const std::string ports_path = options.data_directory + "/ports.json";
  const std::string parent = fs::path(options.data_directory).parent_path().string();
  // What an earlier start left would name a port of the past.
  std::error_code ignored;
  fs::remove(ports_path, ignored);
  ProcessOptions process_options;
  process_options.command = {options.binary,         "serve",    "--data-dir",
                             options.data_directory, "--listen", "127.0.0.1:0",
                             "--listen-beanstalk",   "none"};
  process_options.command.insert(process_options.command.end(), options.arguments.begin(),
                                 options.arguments.end());
  process_options.environment = options.environment;
  process_options.log_path = options.log_path;
  const int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  CHECK_GE(watch, 0);
  constexpr uint32_t kEvents = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO;
  inotify_add_watch(watch, parent.c_str(), kEvents);
  ASSIGN_OR_RETURN(std::unique_ptr<Process> process, Process::Start(process_options));
  absl::Status failure;
  std::optional<std::string> address;
  while (true) {
    // The data directory may have come to exist only now; adding it twice is harmless.
    inotify_add_watch(watch, options.data_directory.c_str(), kEvents);
    address = AddressIn(ports_path);
    if (address.has_value() && Accepts(*address)) break;
    if (!process->Running()) {
      failure = absl::FailedPreconditionError(
          absl::StrCat("the server ended with ", process->Wait(absl::ZeroDuration())->ToString(),
                       ": ", LastBytes(process->Log(), 2000)));
      break;
    }
    if (absl::Now() >= deadline) {
      failure = absl::DeadlineExceededError(absl::StrCat("the server accepts nothing after ",
                                                         absl::FormatDuration(timeout), ": ",
                                                         LastBytes(process->Log(), 2000)));
      break;
    }
    // Wakes at a change of the directory; the bound covers the moment between file and listen.
    pollfd poll_fd = {.fd = watch, .events = POLLIN, .revents = 0};
    if (poll(&poll_fd, 1, std::min(MillisLeft(deadline), 5)) == 1) {
      char events[4096];
      while (read(watch, events, sizeof(events)) > 0) continue;
    }
  }
  close(watch);
  if (!failure.ok()) return failure;
  return std::unique_ptr<ServerProcess>(new ServerProcess(std::move(process), *address));
}

std::string BuiltFile(const std::string& path) {
  const char* const folder = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  const std::string base = folder == nullptr || workspace == nullptr
                               ? "bazel-bin"
                               : absl::StrCat(folder, "/", workspace);
  return fs::absolute(absl::StrCat(base, "/", path)).string();
}

TemporaryDirectory::TemporaryDirectory() {
  const char* const folder = std::getenv("TEST_TMPDIR");
  path_ = absl::StrCat(folder == nullptr ? fs::temp_directory_path().string() : folder,
                       "/holdfast.XXXXXX");
  CHECK(mkdtemp(path_.data()) != nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!keep_) fs::remove_all(path_, ignored);
}

}  // namespace holdfast::testing
