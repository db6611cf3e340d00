#include <algorithm>
#include <cstdio>

#include "client/cli/context.h"
#include "client/cli/job_output.h"

namespace holdfast {
namespace {

// The longest wait of a queue that is given a shortest one only.
constexpr absl::Duration kBackoffMax = absl::Hours(1);

struct Arguments {
  std::string queue;
  std::string from = "any";
  uint32_t max = 1000;
  std::vector<std::string> states;
  std::optional<absl::Duration> duration;
  std::string prefix;
  bool stale = false;
};

// The options of `queue set`; unset ones stay as they are.
struct QueueChanges {
  std::string queue;
  std::optional<absl::Duration> default_lease;
  std::optional<absl::Duration> ttl;
  std::optional<absl::Duration> dedup_window;
  std::optional<absl::Duration> backoff_min;
  std::optional<absl::Duration> backoff_max;
  std::optional<uint32_t> max_attempts;
  std::optional<uint32_t> multiplier;
  std::optional<uint64_t> max_jobs;
  std::optional<uint64_t> max_bytes;
  std::optional<uint64_t> max_reserved;
  std::string on_expiry;
};

void PrintNumber(CliContext* context, const char* name, uint64_t number, const char* text) {
  if (context->json()) return context->PrintJson({{name, number}});
  std::printf("%llu jobs %s\n", static_cast<unsigned long long>(number), text);
}

void Kick(CliContext* context, const Arguments& arguments) {
  v1::KickRequest request;
  request.set_queue(arguments.queue);
  request.set_max_jobs(arguments.max);
  request.set_from(arguments.from == "buried"    ? v1::KICK_FROM_BURIED
                   : arguments.from == "delayed" ? v1::KICK_FROM_DELAYED
                                                 : v1::KICK_FROM_BURIED_ELSE_DELAYED);
  const auto response = context->Call(&v1::Holdfast::Stub::Kick, request);
  if (response.has_value()) PrintNumber(context, "kicked", response->kicked_jobs(), "kicked");
}

void Purge(CliContext* context, const Arguments& arguments) {
  v1::PurgeQueueRequest request;
  request.set_queue(arguments.queue);
  for (const std::string& text : arguments.states) {
    const absl::StatusOr<v1::JobState> state = ParseState(text);
    if (!state.ok()) return context->Misuse(state.status());
    request.add_states(*state);
  }
  const auto response = context->Call(&v1::Holdfast::Stub::PurgeQueue, request);
  if (response.has_value()) PrintNumber(context, "deleted", response->deleted_jobs(), "deleted");
}

void PrintDone(CliContext* context, const std::string& queue, const char* done) {
  if (context->json()) return context->PrintJson({{"queue", queue}, {"result", done}});
  std::printf("queue %s %s\n", queue.c_str(), done);
}

void Pause(CliContext* context, const Arguments& arguments) {
  v1::PauseQueueRequest request;
  request.set_queue(arguments.queue);
  if (arguments.duration.has_value()) *request.mutable_duration() = ToProto(*arguments.duration);
  const auto response = context->Call(&v1::Holdfast::Stub::PauseQueue, request);
  if (response.has_value()) PrintDone(context, arguments.queue, "paused");
}

void Resume(CliContext* context, const Arguments& arguments) {
  v1::ResumeQueueRequest request;
  request.set_queue(arguments.queue);
  const auto response = context->Call(&v1::Holdfast::Stub::ResumeQueue, request);
  if (response.has_value()) PrintDone(context, arguments.queue, "resumed");
}

void ListQueues(CliContext* context, const Arguments& arguments) {
  v1::ListQueuesRequest request;
  request.set_page_size(1000);
  request.set_prefix(arguments.prefix);
  request.set_stale(arguments.stale);
  nlohmann::json queues = nlohmann::json::array();
  do {
    const bool first = request.page_token().empty();
    const auto response = context->Call(&v1::Holdfast::Stub::ListQueues, request);
    if (!response.has_value()) return;
    if (first && !context->json()) {
      std::printf("%-32s %12s %12s %12s %12s\n", "QUEUE", "READY", "DELAYED", "RESERVED", "BURIED");
    }
    for (const v1::Queue& queue : response->queues()) {
      if (context->json()) {
        queues.push_back(QueueJson(queue));
        continue;
      }
      const v1::QueueCounts& counts = queue.counts();
      std::printf("%-32s %12llu %12llu %12llu %12llu%s\n", queue.name().c_str(),
                  static_cast<unsigned long long>(counts.ready()),
                  static_cast<unsigned long long>(counts.delayed()),
                  static_cast<unsigned long long>(counts.reserved()),
                  static_cast<unsigned long long>(counts.buried()),
                  queue.paused() ? "  paused" : "");
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  if (context->json()) context->PrintJson(queues);
}

void PrintQueue(CliContext* context, const v1::Queue& queue) {
  if (context->json()) return context->PrintJson(QueueJson(queue));
  std::printf("%s", QueueText(queue).c_str());
}

void GetQueue(CliContext* context, const Arguments& arguments) {
  v1::GetQueueRequest request;
  request.set_name(arguments.queue);
  request.set_stale(arguments.stale);
  const auto response = context->Call(&v1::Holdfast::Stub::GetQueue, request);
  if (response.has_value()) PrintQueue(context, *response);
}

void DeleteQueue(CliContext* context, const Arguments& arguments) {
  v1::DeleteQueueRequest request;
  request.set_name(arguments.queue);
  const auto response = context->Call(&v1::Holdfast::Stub::DeleteQueue, request);
  if (response.has_value()) PrintNumber(context, "deleted", response->deleted_jobs(), "deleted");
}

v1::UpdateQueueRequest ToRequest(const QueueChanges& changes) {
  v1::UpdateQueueRequest request;
  v1::Queue* queue = request.mutable_queue();
  queue->set_name(changes.queue);
  const auto set = [&request](const auto& value, const char* path, const auto& store) {
    if (!value.has_value()) return;
    request.mutable_update_mask()->add_paths(path);
    store(*value);
  };
  set(changes.default_lease, "default_lease",
      [&](absl::Duration d) { *queue->mutable_default_lease() = ToProto(d); });
  set(changes.ttl, "ttl", [&](absl::Duration d) { *queue->mutable_ttl() = ToProto(d); });
  set(changes.dedup_window, "dedup_window",
      [&](absl::Duration d) { *queue->mutable_dedup_window() = ToProto(d); });
  set(changes.max_jobs, "max_jobs", [&](uint64_t n) { queue->set_max_jobs(n); });
  set(changes.max_bytes, "max_bytes", [&](uint64_t n) { queue->set_max_bytes(n); });
  set(changes.max_reserved, "max_reserved", [&](uint64_t n) { queue->set_max_reserved(n); });
  if (!changes.on_expiry.empty()) {
    request.mutable_update_mask()->add_paths("expiry_action");
    queue->set_expiry_action(changes.on_expiry == "delete" ? v1::EXPIRY_ACTION_DELETE
                                                           : v1::EXPIRY_ACTION_BURY);
  }
  return request;
}

bool ChangesRetry(const QueueChanges& changes) {
  return changes.max_attempts.has_value() || changes.multiplier.has_value() ||
         changes.backoff_min.has_value() || changes.backoff_max.has_value();
}

// A retry policy is set as a whole: what is not named is taken from the queue as it is. False
// after a complaint.
bool AddRetryPolicy(CliContext* context, const QueueChanges& changes,
                    v1::UpdateQueueRequest* request) {
  v1::GetQueueRequest get;
  get.set_name(changes.queue);
  const auto queue = context->client().Call(&v1::Holdfast::Stub::GetQueue, get);
  if (!queue.ok() && !absl::IsNotFound(queue.status())) {
    context->Fail(queue.status());
    return false;
  }
  v1::RetryPolicy* retry = request->mutable_queue()->mutable_retry_policy();
  if (queue.ok()) *retry = queue->retry_policy();
  if (changes.max_attempts.has_value()) retry->set_max_attempts(*changes.max_attempts);
  if (changes.multiplier.has_value()) retry->set_multiplier_percent(*changes.multiplier);
  if (changes.backoff_max.has_value()) {
    *retry->mutable_backoff_max() = ToProto(*changes.backoff_max);
  }
  if (changes.backoff_min.has_value()) {
    *retry->mutable_backoff_min() = ToProto(*changes.backoff_min);
    if (!changes.backoff_max.has_value() &&
        FromProto(retry->backoff_max()) < *changes.backoff_min) {
      *retry->mutable_backoff_max() = ToProto(std::max(kBackoffMax, *changes.backoff_min));
    }
  }
  request->mutable_update_mask()->add_paths("retry_policy");
  return true;
}

void SetQueue(CliContext* context, const QueueChanges& changes) {
  v1::UpdateQueueRequest request = ToRequest(changes);
  if (ChangesRetry(changes) && !AddRetryPolicy(context, changes, &request)) return;
  if (request.update_mask().paths_size() == 0) {
    return context->Misuse(absl::InvalidArgumentError(
        "queue set needs something to set; see holdfast queue set --help"));
  }
  const auto response = context->Call(&v1::Holdfast::Stub::UpdateQueue, request);
  if (response.has_value()) PrintQueue(context, *response);
}

void AddQueueSet(CLI::App* queue, CliContext* context) {
  CLI::App* command = queue->add_subcommand(
      "set", "Sets options of a queue, which comes to exist; what is not named stays");
  auto changes = std::make_shared<QueueChanges>();
  command->add_option("queue", changes->queue, "Queue")->required();
  AddDuration(command, "--default-lease", &changes->default_lease,
              "Lease of jobs enqueued without one");
  AddDuration(command, "--ttl", &changes->ttl, "Life of jobs enqueued without one; 0: no end");
  command->add_option("--on-expiry", changes->on_expiry, "What happens to expired jobs")
      ->check(CLI::IsMember({"bury", "delete"}));
  AddDuration(command, "--dedup-window", &changes->dedup_window, "How long dedup keys count");
  command->add_option("--max-attempts", changes->max_attempts,
                      "Failures after which a job is buried; 0: never");
  AddDuration(command, "--backoff-min", &changes->backoff_min, "Wait after the first failure");
  AddDuration(command, "--backoff-max", &changes->backoff_max,
              "Longest wait; 1h where only a shortest is set");
  command->add_option("--backoff-multiplier", changes->multiplier,
                      "Percent by which each wait is longer than the last, 100..1000");
  command->add_option("--max-jobs", changes->max_jobs, "Most jobs; 0: no limit");
  command->add_option("--max-bytes", changes->max_bytes, "Most bytes; 0: no limit");
  command->add_option("--max-reserved", changes->max_reserved,
                      "Most jobs leased at once; 0: no limit");
  command->callback([context, changes] { SetQueue(context, *changes); });
}

CLI::App* AddOnQueue(CLI::App* app, CliContext* context, const char* name, const char* help,
                     void (*run)(CliContext*, const Arguments&),
                     const std::shared_ptr<Arguments>& arguments) {
  CLI::App* command = app->add_subcommand(name, help);
  command->add_option("queue", arguments->queue, "Queue")->required();
  command->callback([context, run, arguments] { run(context, *arguments); });
  return command;
}

}  // namespace

void AddQueueCommands(CLI::App* app, CliContext* context) {
  auto kick = std::make_shared<Arguments>();
  CLI::App* command =
      AddOnQueue(app, context, "kick", "Makes buried or delayed jobs ready", Kick, kick);
  command->add_option("--max", kick->max, "Most jobs to kick")->capture_default_str();
  command->add_option("--from", kick->from, "any (buried, else delayed), buried or delayed")
      ->capture_default_str()
      ->check(CLI::IsMember({"any", "buried", "delayed"}));

  auto pause = std::make_shared<Arguments>();
  command = AddOnQueue(app, context, "pause", "Hands out nothing of a queue", Pause, pause);
  AddDuration(command, "--for", &pause->duration, "How long; default: until it is resumed");

  AddOnQueue(app, context, "resume", "Ends a pause", Resume, std::make_shared<Arguments>());

  auto purge = std::make_shared<Arguments>();
  command = AddOnQueue(app, context, "purge", "Deletes all jobs of a queue", Purge, purge);
  command->add_option("--state", purge->states, "Only those of this state; may be repeated")
      ->allow_extra_args(false);

  CLI::App* queue = app->add_subcommand("queue", "Lists, shows, sets up or deletes queues");
  queue->require_subcommand(1);
  auto list = std::make_shared<Arguments>();
  command = queue->add_subcommand("list", "Lists queues and their counts");
  command->add_option("--prefix", list->prefix, "Only names that begin so");
  AddStale(command, &list->stale);
  command->callback([context, list] { ListQueues(context, *list); });
  auto get = std::make_shared<Arguments>();
  command = AddOnQueue(queue, context, "get", "Shows a queue's counts and options", GetQueue, get);
  AddStale(command, &get->stale);
  AddQueueSet(queue, context);
  AddOnQueue(queue, context, "delete", "Deletes a queue with all its jobs", DeleteQueue,
             std::make_shared<Arguments>());
}

}  // namespace holdfast
