#include <cstdio>

#include "client/cli/context.h"
#include "client/cli/job_output.h"

namespace holdfast {
namespace {

struct Arguments {
  std::vector<std::string> queues;
  std::optional<absl::Duration> wait;
  std::optional<absl::Duration> lease;
  uint32_t max = 1;
};

void Run(CliContext* context, const Arguments& arguments) {
  v1::ReserveRequest request;
  for (const std::string& queue : arguments.queues) request.add_queues(queue);
  request.set_max_jobs(arguments.max);
  if (arguments.wait.has_value()) *request.mutable_wait() = ToProto(*arguments.wait);
  if (arguments.lease.has_value()) *request.mutable_lease() = ToProto(*arguments.lease);
  const auto response = context->Call(&v1::Holdfast::Stub::Reserve, request);
  if (!response.has_value()) return;
  if (context->json()) {
    nlohmann::json jobs = nlohmann::json::array();
    for (const v1::Job& job : response->jobs()) jobs.push_back(JobJson(job));
    context->PrintJson(jobs);
  } else {
    for (const v1::Job& job : response->jobs()) {
      std::printf("%s\n", LeaseText(job.lease()).c_str());
      std::fwrite(job.body().data(), 1, job.body().size(), stdout);
      std::printf("\n");
    }
  }
  if (response->jobs_size() == 0) {
    if (!context->json()) std::fprintf(stderr, "holdfast: nothing is ready\n");
    context->SetExit(kExitNothing);
  }
}

}  // namespace

void AddReserveCommand(CLI::App* app, CliContext* context) {
  CLI::App* command = app->add_subcommand(
      "reserve", "Leases jobs; prints each one's lease and, on the next lines, its body");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("queue", arguments->queues, "Queues to take from")->required();
  AddDuration(command, "--wait", &arguments->wait, "Wait so long for a job; default: not at all");
  AddDuration(command, "--lease", &arguments->lease, "Length of the lease; default: the job's");
  command->add_option("--max", arguments->max, "Most jobs to take")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  command->callback([context, arguments] { Run(context, *arguments); });
}

}  // namespace holdfast
