#include <cstdio>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/job_output.h"

namespace holdfast {
namespace {

struct Arguments {
  std::string queue;
  std::string state = "ready";
  uint64_t job = 0;
  uint32_t limit = 20;
  bool bodies = false;
  bool stale = false;
  std::vector<uint64_t> jobs;
  bool cancel_reserved = false;
  std::string from;
};

void PrintJob(CliContext* context, const v1::Job& job) {
  if (context->json()) return context->PrintJson(JobJson(job));
  std::printf("%sbody:\n", JobText(job).c_str());
  std::fwrite(job.body().data(), 1, job.body().size(), stdout);
  std::printf("\n");
}

void Peek(CliContext* context, const Arguments& arguments) {
  v1::PeekRequest request;
  if (arguments.job != 0) {
    request.set_job_id(arguments.job);
  } else {
    if (arguments.queue.empty()) {
      return context->Misuse(
          absl::InvalidArgumentError("peek needs a QUEUE, or --id with a job's id"));
    }
    const absl::StatusOr<v1::JobState> state = ParseState(arguments.state);
    if (!state.ok()) return context->Misuse(state.status());
    request.mutable_next()->set_queue(arguments.queue);
    request.mutable_next()->set_state(*state);
  }
  request.set_view(v1::JOB_VIEW_FULL);
  request.set_stale(arguments.stale);
  const auto response = context->client().Call(&v1::Holdfast::Stub::Peek, request);
  if (response.ok() && response->has_job()) return PrintJob(context, response->job());
  if (response.ok() || absl::IsNotFound(response.status())) {
    const std::string what =
        arguments.job != 0
            ? absl::StrCat("no job ", arguments.job)
            : absl::StrCat("queue '", arguments.queue, "' has no ", arguments.state, " job");
    std::fprintf(stderr, "holdfast: %s\n", what.c_str());
    return context->SetExit(kExitNothing);
  }
  context->Fail(response.status());
}

void ListJobs(CliContext* context, const Arguments& arguments) {
  const absl::StatusOr<v1::JobState> state = ParseState(arguments.state);
  if (!state.ok()) return context->Misuse(state.status());
  v1::ListJobsRequest request;
  request.set_queue(arguments.queue);
  request.set_state(*state);
  request.set_view(arguments.bodies ? v1::JOB_VIEW_FULL : v1::JOB_VIEW_BASIC);
  request.set_stale(arguments.stale);
  nlohmann::json jobs = nlohmann::json::array();
  for (uint32_t left = arguments.limit; left > 0;) {
    request.set_page_size(std::min(left, 1000u));
    const auto response = context->Call(&v1::Holdfast::Stub::ListJobs, request);
    if (!response.has_value()) return;
    for (const v1::Job& job : response->jobs()) {
      if (context->json()) {
        jobs.push_back(JobJson(job));
        if (!arguments.bodies) jobs.back().erase("body");
      } else {
        std::printf("%-12llu priority %-10u %8u bytes  attempts %u  created %s\n",
                    static_cast<unsigned long long>(job.id()), job.priority(), job.payload_bytes(),
                    job.attempts(), TimeText(job.create_time()).c_str());
        if (arguments.bodies) {
          std::fwrite(job.body().data(), 1, job.body().size(), stdout);
          std::printf("\n");
        }
      }
    }
    left -= std::min(left, static_cast<uint32_t>(response->jobs_size()));
    if (response->next_page_token().empty()) break;
    request.set_page_token(response->next_page_token());
  }
  if (context->json()) context->PrintJson(jobs);
}

template <class Response>
void PrintJobResults(CliContext* context, const Arguments& arguments, const Response& response,
                     const char* done) {
  nlohmann::json results = nlohmann::json::array();
  for (int i = 0; i < response.results_size(); ++i) {
    const uint64_t id = arguments.jobs[static_cast<size_t>(i)];
    if (response.results(i).has_error()) {
      context->FailItem(absl::StrCat("job ", id), response.results(i).error());
      results.push_back({{"id", id}, {"error", response.results(i).error().message()}});
    } else {
      if (!context->json()) std::printf("%llu %s\n", static_cast<unsigned long long>(id), done);
      results.push_back({{"id", id}, {"result", done}});
    }
  }
  if (context->json()) context->PrintJson(results);
}

void DeleteJobs(CliContext* context, const Arguments& arguments) {
  v1::DeleteJobsRequest request;
  request.mutable_job_ids()->Add(arguments.jobs.begin(), arguments.jobs.end());
  request.set_cancel_reserved(arguments.cancel_reserved);
  const auto response = context->Call(&v1::Holdfast::Stub::DeleteJobs, request);
  if (response.has_value()) PrintJobResults(context, arguments, *response, "deleted");
}

void KickJobs(CliContext* context, const Arguments& arguments) {
  v1::KickJobsRequest request;
  request.mutable_job_ids()->Add(arguments.jobs.begin(), arguments.jobs.end());
  const auto response = context->Call(&v1::Holdfast::Stub::KickJobs, request);
  if (response.has_value()) PrintJobResults(context, arguments, *response, "kicked");
}

}  // namespace

void AddInspectCommands(CLI::App* app, CliContext* context) {
  auto peek = std::make_shared<Arguments>();
  CLI::App* command = app->add_subcommand("peek", "Shows a job without leasing it");
  command->add_option("queue", peek->queue, "Queue");
  command->add_option("--state", peek->state, "ready, delayed, reserved or buried")
      ->capture_default_str();
  command->add_option("--id", peek->job, "A job's id, instead of a queue");
  AddStale(command, &peek->stale);
  command->callback([context, peek] { Peek(context, *peek); });

  CLI::App* jobs = app->add_subcommand("jobs", "Lists, deletes or kicks single jobs");
  jobs->require_subcommand(1);
  auto list = std::make_shared<Arguments>();
  command = jobs->add_subcommand("list", "Lists a queue's jobs of one state, in order");
  command->add_option("queue", list->queue, "Queue")->required();
  command->add_option("--state", list->state, "ready, delayed, reserved or buried")
      ->capture_default_str();
  command->add_option("--limit", list->limit, "Most jobs to list")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1'000'000'000u));
  command->add_flag("--bodies", list->bodies, "With their bodies");
  AddStale(command, &list->stale);
  command->callback([context, list] { ListJobs(context, *list); });

  auto remove = std::make_shared<Arguments>();
  command = jobs->add_subcommand("delete", "Deletes jobs by id, without a lease");
  command->add_option("id", remove->jobs, "Ids")->required()->expected(1, 1000);
  command->add_flag("--cancel-reserved", remove->cancel_reserved,
                    "Also jobs that somebody works on; their leases end");
  command->callback([context, remove] { DeleteJobs(context, *remove); });

  auto kick = std::make_shared<Arguments>();
  command = jobs->add_subcommand("kick", "Makes buried or delayed jobs ready, by id");
  command->add_option("id", kick->jobs, "Ids")->required()->expected(1, 1000);
  command->callback([context, kick] { KickJobs(context, *kick); });
}

}  // namespace holdfast
