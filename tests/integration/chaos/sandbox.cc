#include "tests/integration/chaos/sandbox.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"

namespace holdfast::testing {
namespace {

[[noreturn]] void EndAs(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

void Mount(const char* what, const char* where, const char* type, unsigned long flags) {
  CHECK_EQ(mount(what, where, type, flags, nullptr), 0);
}

}  // namespace

absl::Status EnterSandbox() {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) != 0) {
    return absl::ErrnoToStatus(errno, "network namespaces of our own");
  }
  // So that what is buffered is not written twice.
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK_GE(child, 0);
  if (child > 0) EndAs(child);
  CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
  Mount("none", "/", nullptr, MS_REC | MS_PRIVATE);
  Mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mkdir("/run/netns", 0755);
  Mount("tmpfs", "/run/netns", "tmpfs", 0);
  Mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV);  // libfaketime leaves files there
  return absl::OkStatus();
}

}  // namespace holdfast::testing
