// A child process of a test: started with its own environment, watched, and ended in any way.
//
// Nothing here sleeps for a fixed time: everything waits for an event (the child's end by a
// process descriptor, a file by inotify, a port by connecting) under a deadline.

#ifndef HOLDFAST_TESTS_SUPPORT_PROCESS_H_
#define HOLDFAST_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast::testing {

struct ProcessOptions {
  std::vector<std::string> command;                     // the program's path, then its arguments
  std::map<std::string, std::string> environment = {};  // added to (or replacing) the test's own
  std::string log_path;                                 // stdout and stderr, appended
};

// How a process ended.
struct Exit {
  bool signalled = false;
  int code = 0;  // the exit code, or the signal's number
  std::string ToString() const;
};

// Thread-safety: thread-compatible. A process that still runs at destruction is killed.
class Process {
 public:
  // Errors: INTERNAL when it cannot be started.
  static absl::StatusOr<std::unique_ptr<Process>> Start(const ProcessOptions& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Sends a signal; harmless when it has ended.
  void Signal(int number);
  // Waits for its end. DEADLINE_EXCEEDED when it still runs after `timeout`.
  absl::StatusOr<Exit> Wait(absl::Duration timeout);
  // SIGKILL, and waits until it is gone.
  void Kill();
  bool Running();
  // Resident memory now, in bytes; 0 when it has ended.
  uint64_t ResidentBytes() const;
  // What it wrote to stdout and stderr since it was started.
  std::string Log() const;

 private:
  Process(pid_t pid, int pid_fd, std::string log_path, int64_t log_begin);
  const pid_t pid_;
  const int pid_fd_;
  const std::string log_path_;
  const int64_t log_begin_;
  bool ended_ = false;
  Exit exit_;
};

// Debian's libfaketime, for LD_PRELOAD: a process whose wall clock is wrong.
inline constexpr char kClockLibrary[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

struct ServerOptions {
  std::string binary;  // `holdfast`
  std::string data_directory;
  std::vector<std::string> arguments;  // after `serve --data-dir DIR --listen 127.0.0.1:0`
  std::map<std::string, std::string> environment;
  std::string log_path;
};

// A `holdfast serve`. Thread-safety: thread-compatible.
class ServerProcess {
 public:
  // Starts it and waits until its gRPC port accepts. Errors: FAILED_PRECONDITION when it ended
  // first (with how, and its log's end), DEADLINE_EXCEEDED.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const ServerOptions& options,
                                                              absl::Duration timeout);
  // HOST:PORT of gRPC.
  const std::string& address() const { return address_; }
  Process& process() { return *process_; }

 private:
  ServerProcess(std::unique_ptr<Process> process, std::string address)
      : process_(std::move(process)), address_(std::move(address)) {}
  const std::unique_ptr<Process> process_;
  const std::string address_;
};

// The file that Bazel built at `path` (from the repository's root), for a test or a run by hand.
std::string BuiltFile(const std::string& path);

// A new directory under the test's temporary folder, removed with all in it at destruction.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  // Leaves the directory where it is, to be looked at after a failure.
  void Keep() { keep_ = true; }

 private:
  std::string path_;
  bool keep_ = false;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_SUPPORT_PROCESS_H_
