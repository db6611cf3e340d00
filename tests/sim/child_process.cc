#include "tests/sim/child_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast::sim {
namespace {

constexpr rlim_t kMemoryMax = rlim_t{2} << 30;
constexpr size_t kErrorsShownMax = 400;

// Sanitizers map more than any limit.
constexpr bool HasSanitizer() {
#if defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

// Of processor time. The longest runs take some 5 s, and ten times that with a sanitizer.
constexpr int kRunSecondsMax = HasSanitizer() ? 300 : 30;

void Copy(const std::string& from, char* to, size_t size) {
  const size_t length = std::min(from.size(), size - 1);
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

}  // namespace

RunRecord RunRecord::Of(uint64_t seed, const RunResult& result) {
  RunRecord record;
  record.seed = seed;
  record.hash = result.hash;
  record.stats = result.stats;
  if (result.violation.has_value()) {
    record.violated = true;
    Copy(result.violation->rule, record.rule, sizeof(record.rule));
    Copy(result.violation->what, record.what, sizeof(record.what));
  }
  return record;
}

RunResult RunRecord::ToResult() const {
  RunResult result;
  result.hash = hash;
  result.stats = stats;
  if (violated) result.violation = Violation{rule, what};
  return result;
}

ChildProcess::ChildProcess(const std::function<void(const Report& report)>& body) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  errors_ = memfd_create("stderr", 0);
  CHECK_GE(errors_, 0);
  std::fflush(stdout);
  std::fflush(stderr);
  pid_ = fork();
  CHECK_GE(pid_, 0);
  if (pid_ > 0) {
    close(ends[1]);
    records_ = ends[0];
    return;
  }
  close(ends[0]);
  dup2(errors_, STDERR_FILENO);
  if (!HasSanitizer()) {
    const rlimit limit{kMemoryMax, kMemoryMax};
    setrlimit(RLIMIT_AS, &limit);
  }
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  body([out = ends[1]](const RunRecord& record) {
    if (write(out, &record, sizeof(record)) != sizeof(record)) _exit(3);
  });
  std::fflush(stdout);
  _exit(0);
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(records_);
  close(errors_);
}

void ChildProcess::BeforeRun() {
  itimerval timer{};
  timer.it_value.tv_sec = kRunSecondsMax;
  setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

std::optional<RunRecord> ChildProcess::Read() {
  RunRecord record;
  size_t got = 0;
  while (got < sizeof(record)) {
    const ssize_t n = read(records_, reinterpret_cast<char*>(&record) + got, sizeof(record) - got);
    if (n <= 0) return std::nullopt;
    got += static_cast<size_t>(n);
  }
  return record;
}

std::optional<Violation> ChildProcess::HowItEnded() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  std::string errors(1 << 16, '\0');
  const off_t size = lseek(errors_, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(errors.size()));
  const ssize_t n = pread(errors_, errors.data(), errors.size(), from);
  errors.resize(n > 0 ? static_cast<size_t>(n) : 0);
  while (!errors.empty() && errors.back() == '\n') errors.pop_back();
  if (errors.size() > kErrorsShownMax) errors.erase(0, errors.size() - kErrorsShownMax);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM) {
    return Violation{"endless", absl::StrCat("more than ", kRunSecondsMax, " s of work")};
  }
  const std::string how = WIFSIGNALED(status) ? absl::StrCat("signal ", WTERMSIG(status))
                                              : absl::StrCat("status ", WEXITSTATUS(status));
  return Violation{"crash", absl::StrCat(how, ": ", errors)};
}

}  // namespace holdfast::sim
