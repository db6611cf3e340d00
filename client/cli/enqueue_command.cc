#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/batch_enqueuer.h"
#include "client/cli/context.h"
#include "client/cli/progress.h"

namespace holdfast {
namespace {

constexpr uint64_t kCountMax = 1'000'000;
// Of a message of lines.
constexpr int kJobsPerMessage = 200;
constexpr size_t kBytesPerMessage = 1 << 20;

struct Arguments {
  std::string queue;
  std::string body;
  std::optional<uint32_t> priority;
  std::optional<absl::Duration> delay;
  std::optional<absl::Duration> lease;
  std::optional<absl::Duration> ttl;
  std::string dedup_key;
  std::vector<std::string> attributes;
  uint64_t count = 1;
  std::string lines;
  std::string request_id;
};

std::string ReadAll(std::istream& in) {
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

absl::StatusOr<v1::JobSpec> SpecOf(const Arguments& arguments) {
  v1::JobSpec spec;
  if (arguments.priority.has_value()) spec.set_priority(*arguments.priority);
  if (arguments.delay.has_value()) *spec.mutable_delay() = ToProto(*arguments.delay);
  if (arguments.lease.has_value()) *spec.mutable_lease() = ToProto(*arguments.lease);
  if (arguments.ttl.has_value()) *spec.mutable_ttl() = ToProto(*arguments.ttl);
  spec.set_dedup_key(arguments.dedup_key);
  for (const std::string& text : arguments.attributes) {
    const auto attribute = ParseAttribute(text);
    if (!attribute.ok()) return attribute.status();
    (*spec.mutable_attributes())[attribute->first] = attribute->second;
  }
  return spec;
}

void PrintResults(CliContext* context, const v1::EnqueueResponse& response,
                  nlohmann::json* results) {
  for (const v1::EnqueueResult& result : response.results()) {
    if (result.has_error()) {
      context->FailItem("job refused", result.error());
      results->push_back({{"error", result.error().message()}});
    } else if (context->json()) {
      results->push_back({{"id", result.job_id()}, {"deduplicated", result.deduplicated()}});
    } else {
      std::printf("%llu%s\n", static_cast<unsigned long long>(result.job_id()),
                  result.deduplicated() ? " (duplicate of an earlier job)" : "");
    }
  }
}

void EnqueueCopies(CliContext* context, const Arguments& arguments, v1::JobSpec spec) {
  spec.set_body(arguments.body == "-" ? ReadAll(std::cin) : arguments.body);
  nlohmann::json results = nlohmann::json::array();
  for (uint64_t left = arguments.count; left > 0;) {
    v1::EnqueueRequest request;
    request.set_queue(arguments.queue);
    request.set_request_id(arguments.request_id);
    // One message stays below the server's bound on messages whatever the body.
    const uint64_t fits = std::max<uint64_t>(1, (4 << 20) / (spec.body().size() + 1));
    const uint64_t now = std::min<uint64_t>({left, 1000, fits});
    for (uint64_t i = 0; i < now; ++i) *request.add_jobs() = spec;
    const auto response = context->Call(&v1::Holdfast::Stub::Enqueue, request);
    if (!response.has_value()) break;
    PrintResults(context, *response, &results);
    left -= now;
  }
  if (context->json()) context->PrintJson(results);
}

// The next lines of `in` as one message; false at its end.
bool ReadLines(std::istream& in, const std::string& queue, const v1::JobSpec& spec,
               v1::EnqueueStreamRequest* message) {
  std::string line;
  size_t bytes = 0;
  while (message->jobs_size() < kJobsPerMessage && bytes < kBytesPerMessage &&
         std::getline(in, line)) {
    v1::JobSpec* job = message->add_jobs();
    *job = spec;
    bytes += line.size();
    job->set_body(std::move(line));
    line.clear();
  }
  message->set_queue(queue);
  return message->jobs_size() > 0;
}

void EnqueueLines(CliContext* context, const Arguments& arguments, const v1::JobSpec& spec) {
  std::ifstream file;
  if (arguments.lines != "-") {
    file.open(arguments.lines, std::ios::binary);
    if (!file) {
      return context->Misuse(
          absl::NotFoundError(absl::StrCat("cannot read '", arguments.lines, "'")));
    }
  }
  std::istream& in = arguments.lines == "-" ? std::cin : file;
  Progress progress("jobs enqueued");
  BatchEnqueuer enqueuer(
      &context->client(),
      [&](v1::EnqueueStreamRequest* message) {
        return ReadLines(in, arguments.queue, spec, message);
      },
      [&] { progress.Show(enqueuer.answered()); });
  const absl::Status status = enqueuer.Run();
  progress.End();
  if (context->json()) {
    context->PrintJson({{"enqueued", enqueuer.enqueued()},
                        {"deduplicated", enqueuer.deduplicated()},
                        {"refused", enqueuer.refused()}});
  } else {
    std::printf("%llu jobs enqueued", static_cast<unsigned long long>(enqueuer.enqueued()));
    if (enqueuer.deduplicated() > 0) {
      std::printf(", %llu duplicates", static_cast<unsigned long long>(enqueuer.deduplicated()));
    }
    if (enqueuer.refused() > 0) {
      std::printf(", %llu refused", static_cast<unsigned long long>(enqueuer.refused()));
    }
    std::printf("\n");
  }
  if (enqueuer.refused() > 0) context->FailItem("a line was refused", enqueuer.first_refusal());
  if (!status.ok()) context->Fail(status);
}

void Run(CliContext* context, const Arguments& arguments, bool has_body) {
  const absl::StatusOr<v1::JobSpec> spec = SpecOf(arguments);
  if (!spec.ok()) return context->Misuse(spec.status());
  if (arguments.lines.empty()) {
    if (!has_body) {
      return context->Misuse(absl::InvalidArgumentError(
          "enqueue needs a BODY ('-' reads it from standard input), or --lines FILE"));
    }
    return EnqueueCopies(context, arguments, *spec);
  }
  if (has_body || arguments.count != 1 || !arguments.request_id.empty()) {
    return context->Misuse(absl::InvalidArgumentError(
        "--lines takes bodies from its file: BODY, --count and --request-id do not go with it"));
  }
  EnqueueLines(context, arguments, *spec);
}

}  // namespace

void AddEnqueueCommand(CLI::App* app, CliContext* context) {
  CLI::App* command = app->add_subcommand("enqueue", "Adds a job; prints its id");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("queue", arguments->queue, "Queue")->required();
  CLI::Option* body =
      command->add_option("body", arguments->body, "The job's body; '-': standard input");
  command->add_option("--priority", arguments->priority, "Smaller is sooner; default 1024");
  AddDuration(command, "--delay", &arguments->delay, "Ready only after this");
  AddDuration(command, "--lease", &arguments->lease, "How long a reserve leases it");
  AddDuration(command, "--ttl", &arguments->ttl, "Ends the job if nobody took it by then");
  command->add_option("--dedup-key", arguments->dedup_key,
                      "Within the queue's window the same key adds no second job");
  command->add_option("--attribute", arguments->attributes, "NAME=VALUE; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--count", arguments->count, "So many copies")
      ->check(CLI::Range(uint64_t{1}, kCountMax));
  command->add_option("--lines", arguments->lines,
                      "One job for each line of a file; '-': of standard input");
  command->add_option("--request-id", arguments->request_id,
                      "The same id again, within 5 minutes, adds nothing");
  command->callback([context, arguments, body] { Run(context, *arguments, body->count() > 0); });
}

}  // namespace holdfast
