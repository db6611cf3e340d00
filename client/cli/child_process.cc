#include "client/cli/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

extern char** environ;

namespace holdfast {
namespace {

constexpr int kLookEveryMs = 100;
constexpr absl::Duration kKillAfter = absl::Seconds(5);

std::vector<std::string> Environment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(added.begin(), added.end(),
                                      [name](const auto& other) { return other.first == name; });
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Starts the command; its standard input is `*input_fd`'s other end.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command,
                            const std::vector<std::string>& environment, int* input_fd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, command[0].c_str(), &actions, &attributes,
                                 Pointers(command).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[0]);
  if (error != 0) {
    close(ends[1]);
    const std::string what = absl::StrCat("cannot run '", command[0], "': ", std::strerror(error));
    return error == EAGAIN || error == ENOMEM || error == E2BIG ? absl::ResourceExhaustedError(what)
                                                                : absl::NotFoundError(what);
  }
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  *input_fd = ends[1];
  return pid;
}

// Writes what the pipe takes; closes it, and sets *fd to -1, when all is written or nobody reads.
void Feed(int* fd, std::string_view* input) {
  while (*fd >= 0) {
    const ssize_t n = input->empty() ? 0 : write(*fd, input->data(), input->size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) input->remove_prefix(static_cast<size_t>(n));
    if (n < 0 || input->empty()) {
      close(*fd);
      *fd = -1;
    }
  }
}

}  // namespace

absl::StatusOr<ChildResult> RunChild(
    const std::vector<std::string>& command, std::string_view input,
    const std::vector<std::pair<std::string, std::string>>& environment,
    const std::function<bool()>& should_end) {
  int input_fd = -1;
  const absl::StatusOr<pid_t> pid = Spawn(command, Environment(environment), &input_fd);
  if (!pid.ok()) return pid.status();
  // A look every so often stands in for the descriptor where there is none.
  const int ended_fd = static_cast<int>(syscall(SYS_pidfd_open, *pid, 0));
  ChildResult result;
  absl::Time kill_at = absl::InfiniteFuture();
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(*pid, &status, WNOHANG)) == 0) {
    Feed(&input_fd, &input);
    pollfd fds[] = {{ended_fd, POLLIN, 0}, {input_fd, POLLOUT, 0}};
    poll(fds, 2, kLookEveryMs);
    if (!result.killed && should_end()) {
      result.killed = true;
      kill(-*pid, SIGTERM);
      kill_at = absl::Now() + kKillAfter;
    } else if (absl::Now() >= kill_at) {
      kill(-*pid, SIGKILL);
    }
  }
  if (input_fd >= 0) close(input_fd);
  if (ended_fd >= 0) close(ended_fd);
  if (ended < 0) {
    return absl::InternalError(
        absl::StrCat("how '", command[0], "' ended is unknown: ", std::strerror(errno)));
  }
  if (WIFSIGNALED(status)) {
    result.signal = WTERMSIG(status);
  } else {
    result.exit_code = WEXITSTATUS(status);
  }
  return result;
}

}  // namespace holdfast
