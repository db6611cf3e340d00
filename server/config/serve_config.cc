#include "server/config/serve_config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/address.h"

namespace holdfast {
namespace {

constexpr size_t kInitialNodesMax = 64;

// "--data-dir" -> "HOLDFAST_DATA_DIR".
std::string EnvironmentName(const std::string& flag) {
  std::string name = "HOLDFAST_" + flag.substr(2);
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return name;
}

template <class T>
CLI::Option* Add(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  return app.add_option(flag, value, help)
      ->envname(EnvironmentName(flag))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->capture_default_str();
}

// The command line with what the environment says before its own flags: the last one counts, and
// both win over the file. (CLI11 by itself would ask the environment after the file.)
std::vector<std::string> WithEnvironment(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments = {argv[0]};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_envname().empty()) continue;
    const char* const value = std::getenv(option->get_envname().c_str());
    if (value == nullptr || *value == '\0') continue;
    arguments.push_back(absl::StrCat(option->get_name(), "=", value));
  }
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  return arguments;
}

CLI::Validator SyncForm() {
  return CLI::Validator(
      [](std::string& text) {
        const absl::StatusOr<absl::Duration> parsed = ParseSync(text);
        return parsed.ok() ? std::string() : std::string(parsed.status().message());
      },
      "always|interval:MS");
}

CLI::Validator HostAndPort(int port_min = 0) {
  return CLI::Validator(
      [port_min](std::string& text) -> std::string {
        if (IsHostAndPort(text, port_min)) return "";
        return absl::StrCat("'", text, "' is not HOST:PORT, e.g. 127.0.0.1:7400");
      },
      "HOST:PORT");
}

CLI::Validator UnixPath() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const bool good = text.rfind("unix:", 0) == 0 && text.size() > 5;
        return good ? "" : absl::StrCat("'", text, "' is not unix:PATH");
      },
      "unix:PATH");
}

CLI::Validator InitialClusterForm() {
  return CLI::Validator(
      [](std::string& text) {
        const auto parsed = ParseInitialCluster(text);
        return parsed.ok() ? std::string() : std::string(parsed.status().message());
      },
      "ID=HOST:PORT,...");
}

void AddLimits(CLI::App& app, ServeConfig* config) {
  Add(app, "--max-body-bytes", config->body_bytes_max, "Largest job body")
      ->check(CLI::Range(1u << 10, 64u << 20));
  Add(app, "--max-in-flight-bytes", config->in_flight_bytes_max,
      "Commands taken and not yet answered, in bytes; beyond it RESOURCE_EXHAUSTED")
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{64} << 30));
  Add(app, "--max-in-flight-commands", config->in_flight_commands_max, "The same, in commands")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}));
  Add(app, "--unflushed-bytes", config->unflushed_bytes,
      "Changes held in memory before they are flushed to the state store")
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{4} << 30));
  Add(app, "--max-hot-jobs", config->hot_jobs_max,
      "Jobs whose records are kept in memory; the others are read when they are needed")
      ->check(CLI::Range(uint64_t{1000}, uint64_t{1'000'000'000}));
  Add(app, "--snapshot-bytes-per-second", config->snapshot_bytes_per_second,
      "How fast state is sent to nodes that are far behind")
      ->check(CLI::Range(uint64_t{64} << 10, uint64_t{64} << 30));
  Add(app, "--loops", config->loops, "Threads that run shards; 0: one a core, at most 8")
      ->check(CLI::Range(0u, 256u));
}

// What no single flag can be blamed for. "": nothing.
std::string WrongTogether(const ServeConfig& config) {
  if (!config.join.empty() && !config.initial_cluster.empty()) {
    return "--join is for a cluster that runs, --initial-cluster for one to be made: give one of "
           "them";
  }
  if (!config.join.empty() && config.sync_interval != absl::ZeroDuration()) {
    return "--sync interval is for a single node, and --join makes this one part of a cluster";
  }
  if (config.initial_cluster.empty()) return "";
  const auto self =
      std::find_if(config.initial_cluster.begin(), config.initial_cluster.end(),
                   [&](const InitialNode& node) { return node.node == config.node_id; });
  if (self == config.initial_cluster.end()) {
    return absl::StrCat("--initial-cluster does not name this node: --node-id is ", config.node_id);
  }
  if (!config.advertise.empty() && config.advertise != self->address) {
    return absl::StrCat("--advertise is ", config.advertise, ", but --initial-cluster has ",
                        self->address, " for this node: make them equal");
  }
  if (config.initial_cluster.size() > 1 && config.sync_interval != absl::ZeroDuration()) {
    return "--sync interval is for a single node: in a cluster what was acknowledged must survive "
           "a crash, or a majority is none";
  }
  return "";
}

}  // namespace

absl::StatusOr<absl::Duration> ParseSync(const std::string& text) {
  if (text == "always") return absl::ZeroDuration();
  const std::string prefix = "interval:";
  int milliseconds = 0;
  if (text.rfind(prefix, 0) == 0 && absl::SimpleAtoi(text.substr(prefix.size()), &milliseconds) &&
      milliseconds >= 1 && milliseconds <= 60'000) {
    return absl::Milliseconds(milliseconds);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is neither 'always' nor 'interval:MS' with MS in [1, 60000]"));
}

absl::StatusOr<std::vector<InitialNode>> ParseInitialCluster(const std::string& text) {
  const auto wrong = [&](const std::string& part, const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", part, "' ", why, "; the form is 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT"));
  };
  std::vector<InitialNode> nodes;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, ','))) {
    const size_t equals = part.find('=');
    InitialNode node;
    if (equals == std::string::npos || !absl::SimpleAtoi(part.substr(0, equals), &node.node) ||
        node.node < 1 || node.node > uint64_t{INT64_MAX}) {
      return wrong(part, "does not begin with a node id and '='");
    }
    node.address = part.substr(equals + 1);
    if (!IsHostAndPort(node.address, 1)) return wrong(part, "does not end with HOST:PORT");
    for (const InitialNode& other : nodes) {
      if (other.node == node.node) return wrong(part, "repeats a node id");
      if (other.address == node.address) return wrong(part, "repeats an address");
    }
    nodes.push_back(std::move(node));
  }
  if (nodes.size() > kInitialNodesMax) return wrong(text, "has more than 64 nodes");
  std::sort(nodes.begin(), nodes.end(),
            [](const InitialNode& a, const InitialNode& b) { return a.node < b.node; });
  return nodes;
}

std::string InitialClusterText(const std::vector<InitialNode>& nodes) {
  return absl::StrJoin(nodes, ",", [](std::string* out, const InitialNode& node) {
    absl::StrAppend(out, node.node, "=", node.address);
  });
}

ParsedServe ParseServe(int argc, const char* const* argv) {
  ServeConfig config;
  std::string sync = "always";
  std::string initial_cluster;
  CLI::App app(
      "Runs a node. Every flag is also a key of the configuration file (without the dashes) and\n"
      "an environment variable (HOLDFAST_ and the flag in capitals). A flag wins over the\n"
      "environment, the environment over the file.",
      "holdfast serve");
  Add(app, "--data-dir", config.data_dir, "Where the node keeps its data");
  Add(app, "--node-id", config.node_id, "This node's number; fixed at first start")
      ->check(CLI::Range(uint64_t{1}, uint64_t{INT64_MAX}));
  Add(app, "--listen", config.listen,
      "Address for gRPC; port 0 takes a free one. A node of --initial-cluster listens by default "
      "where that says")
      ->check(HostAndPort());
  Add(app, "--advertise", config.advertise,
      "Address at which the other nodes reach this one; as listened on if not told")
      ->check(HostAndPort(1));
  Add(app, "--initial-cluster", initial_cluster,
      "All nodes of a new cluster, this one too, the same on each of them; only the first start "
      "needs it")
      ->check(InitialClusterForm());
  Add(app, "--join", config.join,
      "A member of the cluster that this node was added to (holdfast cluster add); only the first "
      "start needs it")
      ->check(HostAndPort(1));
  Add(app, "--listen-beanstalk", config.listen_beanstalk,
      "Address for the beanstalkd protocol, or unix:PATH, or 'none'")
      ->check(HostAndPort() | UnixPath() | CLI::IsMember({"none"}));
  Add(app, "--shards", config.shards,
      "Number of shards, fixed at first start; 0: 16, or what the directory has")
      ->check(CLI::Range(0u, 4096u));
  Add(app, "--sync", sync,
      "When a write is acknowledged: 'always' once it is on stable storage; 'interval:MS' before "
      "that, so that a crash may lose the last MS milliseconds of what was acknowledged")
      ->check(SyncForm());
  AddLimits(app, &config);
  Add(app, "--log-level", config.log_level, "How much to log")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.set_config("--config", "", "Configuration file, one 'key = value' a line")
      ->envname("HOLDFAST_CONFIG")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.allow_config_extras(CLI::config_extras_mode::error);
  try {
    const std::vector<std::string> arguments = WithEnvironment(app, argc, argv);
    std::vector<const char*> words;
    for (const std::string& argument : arguments) words.push_back(argument.c_str());
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    return {.config = std::nullopt, .exit_code = app.exit(error) == 0 ? 0 : 2};
  }
  config.sync_interval = *ParseSync(sync);
  if (!initial_cluster.empty()) config.initial_cluster = *ParseInitialCluster(initial_cluster);
  if (config.listen_beanstalk == "none") config.listen_beanstalk.clear();
  config.listen_was_told = app.get_option("--listen")->count() > 0;
  if (const std::string wrong = WrongTogether(config); !wrong.empty()) {
    std::cerr << wrong << "\n";
    return {.config = std::nullopt, .exit_code = 2};
  }
  return {.config = std::move(config), .exit_code = 0};
}

}  // namespace holdfast
