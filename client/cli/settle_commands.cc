#include <cstdio>

#include "client/cli/context.h"

namespace holdfast {
namespace {

struct Arguments {
  std::vector<std::string> leases;
  std::optional<uint32_t> priority;
  std::optional<absl::Duration> delay;
  std::optional<absl::Duration> lease;
  bool fail = false;
};

// Adds the leases given to `request`; false after a complaint.
template <class Request>
bool AddLeases(CliContext* context, const Arguments& arguments, Request* request) {
  for (const std::string& text : arguments.leases) {
    const absl::StatusOr<v1::Lease> lease = ParseLease(text);
    if (!lease.ok()) {
      context->Misuse(lease.status());
      return false;
    }
    *request->add_leases() = *lease;
  }
  return true;
}

template <class Response>
void Print(CliContext* context, const Arguments& arguments, const Response& response,
           const char* done) {
  nlohmann::json results = nlohmann::json::array();
  for (int i = 0; i < response.results_size(); ++i) {
    const v1::LeaseResult& result = response.results(i);
    const std::string& lease = arguments.leases[static_cast<size_t>(i)];
    if (result.has_error()) {
      context->FailItem(lease, result.error());
      results.push_back({{"lease", lease}, {"error", result.error().message()}});
    } else {
      if (!context->json()) std::printf("%s %s\n", lease.c_str(), done);
      nlohmann::json ok = {{"lease", lease}, {"result", done}};
      if (result.has_lease_expire_time()) {
        ok["lease_expire_time"] = TimeText(result.lease_expire_time());
      }
      if (result.has_ready_time()) ok["ready_time"] = TimeText(result.ready_time());
      results.push_back(ok);
    }
  }
  if (context->json()) context->PrintJson(results);
}

void Delete(CliContext* context, const Arguments& arguments) {
  v1::DeleteRequest request;
  if (!AddLeases(context, arguments, &request)) return;
  const auto response = context->Call(&v1::Holdfast::Stub::Delete, request);
  if (response.has_value()) Print(context, arguments, *response, "deleted");
}

void Release(CliContext* context, const Arguments& arguments) {
  v1::ReleaseRequest request;
  if (!AddLeases(context, arguments, &request)) return;
  if (arguments.priority.has_value()) request.set_priority(*arguments.priority);
  if (arguments.delay.has_value()) *request.mutable_delay() = ToProto(*arguments.delay);
  request.set_mode(arguments.fail ? v1::RELEASE_MODE_FAIL : v1::RELEASE_MODE_RETURN);
  const auto response = context->Call(&v1::Holdfast::Stub::Release, request);
  if (response.has_value()) Print(context, arguments, *response, "released");
}

void Touch(CliContext* context, const Arguments& arguments) {
  v1::TouchRequest request;
  if (!AddLeases(context, arguments, &request)) return;
  if (arguments.lease.has_value()) *request.mutable_lease() = ToProto(*arguments.lease);
  const auto response = context->Call(&v1::Holdfast::Stub::Touch, request);
  if (response.has_value()) Print(context, arguments, *response, "touched");
}

void Bury(CliContext* context, const Arguments& arguments) {
  v1::BuryRequest request;
  if (!AddLeases(context, arguments, &request)) return;
  if (arguments.priority.has_value()) request.set_priority(*arguments.priority);
  const auto response = context->Call(&v1::Holdfast::Stub::Bury, request);
  if (response.has_value()) Print(context, arguments, *response, "buried");
}

CLI::App* Add(CLI::App* app, CliContext* context, const char* name, const char* help,
              void (*run)(CliContext*, const Arguments&), std::shared_ptr<Arguments> arguments) {
  CLI::App* command = app->add_subcommand(name, help);
  command->add_option("lease", arguments->leases, "JOB_ID:TOKEN, as reserve prints them")
      ->required()
      ->expected(1, 1000);
  command->callback([context, run, arguments] { run(context, *arguments); });
  return command;
}

}  // namespace

void AddSettleCommands(CLI::App* app, CliContext* context) {
  Add(app, context, "delete", "The work is done: deletes leased jobs", Delete,
      std::make_shared<Arguments>());

  auto release = std::make_shared<Arguments>();
  CLI::App* command = Add(app, context, "release", "Gives leased jobs back", Release, release);
  command->add_option("--priority", release->priority, "A new priority");
  AddDuration(command, "--delay", &release->delay, "Ready again only after this");
  command->add_flag("--fail", release->fail,
                    "Counts a failure: the queue's retry policy decides what follows");

  auto touch = std::make_shared<Arguments>();
  command = Add(app, context, "touch", "Starts the leases anew", Touch, touch);
  AddDuration(command, "--lease", &touch->lease, "Length from now on; default: as granted");

  auto bury = std::make_shared<Arguments>();
  command = Add(app, context, "bury", "Sets leased jobs aside until they are kicked", Bury, bury);
  command->add_option("--priority", bury->priority, "A new priority");
}

}  // namespace holdfast
