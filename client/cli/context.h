// What every client command shares: the connection, the output format, and how errors end it.

#ifndef HOLDFAST_CLIENT_CLI_CONTEXT_H_
#define HOLDFAST_CLIENT_CLI_CONTEXT_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/values.h"
#include "client/client.h"

namespace holdfast {

// The process's exit codes. Documented in docs/cli.md.
enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,      // the server refused it, or a part of it
  kExitUsage = 2,        // wrong arguments
  kExitNothing = 3,      // reserve, peek: no job
  kExitUnreachable = 4,  // no answer: UNAVAILABLE, DEADLINE_EXCEEDED, UNKNOWN outcome
};

class CliContext {
 public:
  // Global flags, taken before or after the command's name.
  void AddFlags(CLI::App* app);

  bool json() const { return format_ == "json"; }
  Client& client();

  // The process will end with it. The first one that is not 0 stays.
  void SetExit(int code) {
    if (exit_ == kExitOk) exit_ = code;
  }
  // What stood after the first "--" of `holdfast work`.
  void set_command(std::vector<std::string> command) { command_ = std::move(command); }
  const std::vector<std::string>& command() const { return command_; }
  int exit_code() const { return exit_; }
  // Says on stderr what failed, with what the user can do about it.
  void Fail(const absl::Status& status);
  // Wrong arguments: says so and ends with kExitUsage.
  void Misuse(const absl::Status& status);
  // A refusal of one of several jobs or leases.
  void FailItem(const std::string& what, const google::rpc::Status& error);

  // Calls a method; nothing, after Fail, if it did not work.
  template <class Stub, class Request, class Response>
  std::optional<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                               const Request& request) {
    absl::StatusOr<Response> response = client().Call(method, request);
    if (response.ok()) return *std::move(response);
    Fail(response.status());
    return std::nullopt;
  }
  void PrintJson(const nlohmann::json& json) const;

 private:
  std::string endpoint_ = "127.0.0.1:7400";
  std::string format_ = "text";
  std::string timeout_ = "15s";
  std::unique_ptr<Client> client_;
  int exit_ = kExitOk;
  std::vector<std::string> command_;
};

// Each adds its commands to `app`; they run when they are parsed.
void AddEnqueueCommand(CLI::App* app, CliContext* context);
void AddReserveCommand(CLI::App* app, CliContext* context);
void AddSettleCommands(CLI::App* app, CliContext* context);
void AddWorkCommand(CLI::App* app, CliContext* context);
void AddInspectCommands(CLI::App* app, CliContext* context);
void AddImportCommand(CLI::App* app, CliContext* context);
void AddQueueCommands(CLI::App* app, CliContext* context);
void AddClusterCommands(CLI::App* app, CliContext* context);

// A duration option: `*value` is what was given, checked; untouched if it was not given.
CLI::Option* AddDuration(CLI::App* app, const std::string& flag,
                         std::optional<absl::Duration>* value, const std::string& help);
// A read's flag --stale.
void AddStale(CLI::App* app, bool* stale);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_CONTEXT_H_
