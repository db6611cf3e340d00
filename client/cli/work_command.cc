#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cli/child_process.h"
#include "client/cli/context.h"
#include "client/worker.h"

namespace holdfast {
namespace {

struct Arguments {
  std::vector<std::string> queues;
  uint32_t parallel = 1;
  std::optional<absl::Duration> lease;
  std::optional<absl::Duration> idle_exit;
  std::optional<absl::Duration> give_up;
  uint64_t max_jobs = 0;
  bool quiet = false;
};

std::atomic<Worker*> running_worker{nullptr};
std::atomic<int> signals_seen{0};
std::atomic<bool> hurry{false};        // ends the commands, too
std::atomic<bool> tells{false};        // on stderr, what becomes of it
std::atomic<int> cannot_run{kExitOk};  // the exit code if the command cannot be started

// The first signal stops gracefully, the second also ends the commands, the third is the end.
void OnSignal(int number) {
  Worker* worker = running_worker.load();
  const int seen = signals_seen.fetch_add(1) + 1;
  if (worker == nullptr || seen >= 3) _exit(128 + number);
  if (seen == 2) hurry.store(true);
  worker->Stop();
  if (seen > 1 || !tells.load()) return;
  constexpr std::string_view kText = "holdfast work: ends when the running commands have ended\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText.data(), kText.size());
}

void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);  // ignored, as some parents leave it, exit codes would be lost
}

std::vector<std::pair<std::string, std::string>> EnvironmentOf(const v1::Job& job) {
  std::vector<std::pair<std::string, std::string>> environment = {
      {"HOLDFAST_JOB_ID", absl::StrCat(job.id())},
      {"HOLDFAST_JOB_QUEUE", job.queue()},
      {"HOLDFAST_JOB_TOKEN", absl::StrCat(job.lease().token())},
      {"HOLDFAST_JOB_ATTEMPTS", absl::StrCat(job.attempts())},
  };
  for (const auto& [name, value] : job.attributes()) {
    const bool plain = name.find('=') == std::string::npos &&
                       name.find('\0') == std::string::npos &&
                       value.find('\0') == std::string::npos;
    if (plain) environment.emplace_back("HOLDFAST_ATTRIBUTE_" + name, value);
  }
  return environment;
}

// A queue with a backoff of its own decides when a failed job is tried again; in one without, it
// waits here: 1 s after the first failure, twice as long after each further one, at most 5 min.
Verdict FailedWithBackoff(const v1::Job& job, CliContext* context) {
  Verdict verdict = Verdict::Failed();
  v1::GetQueueRequest request;
  request.set_name(job.queue());
  const auto queue = context->client().Call(&v1::Holdfast::Stub::GetQueue, request);
  if (queue.ok() && FromProto(queue->retry_policy().backoff_min()) == absl::ZeroDuration()) {
    verdict.delay =
        std::min(absl::Seconds(1) * (1 << std::min(job.failures(), 9u)), absl::Minutes(5));
  }
  return verdict;
}

Verdict Handle(const Arguments& arguments, const WorkItem& item, CliContext* context) {
  const v1::Job& job = item.job();
  const absl::StatusOr<ChildResult> result =
      RunChild(context->command(), job.body(), EnvironmentOf(job),
               [&item] { return item.cancelled() || hurry.load(); });
  if (!result.ok()) {
    std::fprintf(stderr, "holdfast work: %s\n", std::string(result.status().message()).c_str());
    cannot_run.store(absl::IsNotFound(result.status()) ? kExitUsage : kExitRefused);
    if (Worker* worker = running_worker.load()) worker->Stop();
    return Verdict::Returned();  // the job is not to blame
  }
  if (result->exit_code == 0 && result->signal == 0) return Verdict::Done();
  if (result->killed && !item.cancelled()) return Verdict::Returned();  // in a hurry
  if (!arguments.quiet) {
    const std::string how = result->signal != 0 ? absl::StrCat("signal ", result->signal)
                                                : absl::StrCat("exit code ", result->exit_code);
    std::fprintf(stderr, "holdfast work: job %llu failed with %s%s\n",
                 static_cast<unsigned long long>(job.id()), how.c_str(),
                 result->killed ? " after its lease had ended" : "");
  }
  return FailedWithBackoff(job, context);
}

void PrintCounts(CliContext* context, const Worker::Counts& counts, bool quiet) {
  if (context->json()) {
    return context->PrintJson({{"done", counts.done},
                               {"failed", counts.failed},
                               {"returned", counts.returned},
                               {"lost", counts.lost}});
  }
  if (quiet) return;
  std::fprintf(stderr, "holdfast work: %llu done, %llu failed, %llu returned, %llu lost\n",
               static_cast<unsigned long long>(counts.done),
               static_cast<unsigned long long>(counts.failed),
               static_cast<unsigned long long>(counts.returned),
               static_cast<unsigned long long>(counts.lost));
}

void Run(CliContext* context, const Arguments& arguments) {
  if (context->command().empty()) {
    return context->Misuse(absl::InvalidArgumentError(
        "work needs a command: holdfast work QUEUE -- COMMAND ARGUMENT..."));
  }
  tells.store(!arguments.quiet);
  Worker::Options options;
  options.queues = arguments.queues;
  options.parallel = arguments.parallel;
  options.lease = arguments.lease.value_or(absl::ZeroDuration());
  options.jobs_max = arguments.max_jobs;
  options.idle_exit = arguments.idle_exit.value_or(absl::InfiniteDuration());
  options.give_up = arguments.give_up.value_or(options.give_up);
  options.on_unreachable = [&arguments](const absl::Status& status) {
    if (arguments.quiet) return;
    std::fprintf(stderr, "holdfast work: no connection, trying again: %s\n",
                 std::string(status.message()).c_str());
  };
  Worker worker(&context->client(), options, [&arguments, context](const WorkItem& item) {
    return Handle(arguments, item, context);
  });
  running_worker.store(&worker);
  HandleSignals();
  const absl::Status status = worker.Run();
  running_worker.store(nullptr);
  PrintCounts(context, worker.counts(), arguments.quiet);
  context->SetExit(cannot_run.load());
  if (!status.ok()) context->Fail(status);
}

}  // namespace

void AddWorkCommand(CLI::App* app, CliContext* context) {
  CLI::App* command = app->add_subcommand(
      "work",
      "Runs a command for each job, its body on standard input. Exit code 0 deletes the job;\n"
      "anything else counts as a failure and the queue's retry policy applies. The lease is kept\n"
      "alive meanwhile. SIGINT or SIGTERM takes no more jobs and waits for the running ones; a\n"
      "second one ends the commands, too, and gives their jobs back.\n"
      "holdfast work QUEUE... [FLAGS] -- COMMAND [ARGUMENT...]");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("queue", arguments->queues, "Queues to take from")->required();
  command->add_option("--parallel", arguments->parallel, "Commands at a time")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  AddDuration(command, "--lease", &arguments->lease, "Length of the leases; default: the jobs'");
  AddDuration(command, "--idle-exit", &arguments->idle_exit,
              "End when nothing has come for so long");
  command->add_option("--max-jobs", arguments->max_jobs, "End after so many jobs; 0: never")
      ->capture_default_str();
  AddDuration(command, "--give-up", &arguments->give_up,
              "End when the server could not be reached for so long; default 60s");
  command->add_flag("--quiet", arguments->quiet, "Say nothing of failures and counts");
  command->callback([context, arguments] { Run(context, *arguments); });
}

}  // namespace holdfast
