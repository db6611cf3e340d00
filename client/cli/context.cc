#include "client/cli/context.h"

#include <cstdio>

namespace holdfast {

void CliContext::AddFlags(CLI::App* app) {
  app->add_option(
         "--endpoint", endpoint_,
         "HOST:PORT of a node; several ADDRESS:PORT, with commas, stand in for one another")
      ->envname("HOLDFAST_ENDPOINT")
      ->capture_default_str();
  app->add_option("--format", format_, "text, or json for programs")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
  app->add_option("--timeout", timeout_, "How long to wait for an answer, retries included")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto parsed = ParseDuration(text);
        return parsed.ok() ? std::string() : std::string(parsed.status().message());
      });
}

void AddStale(CLI::App* app, bool* stale) {
  app->add_flag("--stale", *stale, "By the node's own copy, which may be old; no leader is asked");
}

Client& CliContext::client() {
  if (client_ == nullptr) {
    Client::Options options;
    options.endpoint = endpoint_;
    options.timeout = *ParseDuration(timeout_);
    client_ = std::make_unique<Client>(options);
  }
  return *client_;
}

void CliContext::Fail(const absl::Status& status) {
  const bool unreachable =
      absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsUnknown(status);
  const std::string reason = DetailsOf(status).reason;
  std::fprintf(stderr, "holdfast: %s%s%s%s\n", std::string(status.message()).c_str(),
               reason.empty() ? "" : " [", reason.c_str(), reason.empty() ? "" : "]");
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    std::fprintf(stderr,
                 "holdfast: no answer from %s; is a node running there? "
                 "(--endpoint or HOLDFAST_ENDPOINT)\n",
                 endpoint_.c_str());
  }
  SetExit(unreachable ? kExitUnreachable : kExitRefused);
}

void CliContext::Misuse(const absl::Status& status) {
  std::fprintf(stderr, "holdfast: %s\n", std::string(status.message()).c_str());
  SetExit(kExitUsage);
}

void CliContext::FailItem(const std::string& what, const google::rpc::Status& error) {
  const absl::Status status = FromRpcStatus(error);
  const std::string reason = DetailsOf(status).reason;
  std::fprintf(stderr, "holdfast: %s: %s%s%s%s\n", what.c_str(),
               std::string(status.message()).c_str(), reason.empty() ? "" : " [", reason.c_str(),
               reason.empty() ? "" : "]");
  SetExit(kExitRefused);
}

void CliContext::PrintJson(const nlohmann::json& json) const {
  std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

CLI::Option* AddDuration(CLI::App* app, const std::string& flag,
                         std::optional<absl::Duration>* value, const std::string& help) {
  return app
      ->add_option_function<std::string>(
          flag, [value](const std::string& text) { *value = *ParseDuration(text); }, help)
      ->type_name("DURATION")
      ->check([](const std::string& text) {
        const auto parsed = ParseDuration(text);
        return parsed.ok() ? std::string() : std::string(parsed.status().message());
      });
}

}  // namespace holdfast
