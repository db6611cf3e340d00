#include "tests/integration/chaos/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "tests/integration/connection.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

constexpr absl::Duration kStopTimeout = absl::Seconds(40);
constexpr absl::Duration kAskAgainAfter = absl::Milliseconds(50);

void WaitALittle(absl::Duration duration) {
  absl::Notification never;
  never.WaitForNotificationWithTimeout(duration);
}

std::string End(const std::string& text) {
  constexpr size_t kShown = 1500;
  return text.size() <= kShown ? text : text.substr(text.size() - kShown);
}

}  // namespace

Cluster::Cluster(const ClusterOptions& options, std::unique_ptr<Network> network)
    : options_(options), network_(std::move(network)) {
  nodes_.resize(static_cast<size_t>(options.nodes));
  for (int i = 0; i < options.nodes; ++i) {
    nodes_[static_cast<size_t>(i)].directory = absl::StrCat(options.directory, "/node", i);
    NewDisk(i);
  }
}

Cluster::~Cluster() {
  for (Node& node : nodes_) node.process.reset();
  if (!small_node().has_value()) return;
  const absl::Status gone =
      RunScript(absl::StrCat("umount ", nodes_[static_cast<size_t>(*small_node())].directory));
  CHECK(gone.ok());
}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(const ClusterOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Network> network, Network::Make(options.network, options.nodes));
  std::unique_ptr<Cluster> cluster(new Cluster(options, std::move(network)));
  if (cluster->small_node().has_value()) RETURN_IF_ERROR(cluster->MountSmallDisk());
  for (int node = 0; node < options.nodes; ++node) {
    RETURN_IF_ERROR(cluster->SetClock(node, 0));
    RETURN_IF_ERROR(cluster->Start(node));
  }
  return cluster;
}

std::optional<int> Cluster::small_node() const {
  if (options_.small_disk_bytes == 0) return std::nullopt;
  return size() - 1;
}

std::string Cluster::DiskOf(const Node& node) const {
  return absl::StrCat(node.directory, "/disk", node.disks_lost);
}

void Cluster::NewDisk(int node) {
  Node& at = nodes_[static_cast<size_t>(node)];
  std::filesystem::create_directories(at.directory);
  if (options_.preload.empty() || node == small_node()) return;
  at.disk = std::make_unique<TrackedDisk>(DiskOf(at), options_.preload, options_.syncs);
}

void Cluster::LoseDisk(int node) {
  Node& at = nodes_[static_cast<size_t>(node)];
  CHECK(at.process == nullptr);
  std::filesystem::remove_all(at.disk != nullptr ? DiskOf(at) : DataDirectory(node));
  ++at.disks_lost;
  NewDisk(node);
  retired_.erase(node);
}

absl::Status Cluster::MountSmallDisk() {
  const std::string& directory = nodes_[static_cast<size_t>(*small_node())].directory;
  return RunScript(absl::StrCat("mount -t tmpfs -o size=", options_.small_disk_bytes,
                                " small-disk ", directory));
}

std::string Cluster::DataDirectory(int node) const {
  const Node& at = nodes_[static_cast<size_t>(node)];
  return (at.disk != nullptr ? at.disk->root() : at.directory) + "/data";
}

std::vector<int> Cluster::All() const {
  std::vector<int> nodes;
  for (int node = 0; node < size(); ++node) {
    if (!Retired(node)) nodes.push_back(node);
  }
  return nodes;
}

std::vector<int> Cluster::Some(int count, Prng* random) const {
  std::vector<int> nodes = All();
  CHECK_LE(static_cast<size_t>(count), nodes.size());
  random->Shuffle(&nodes);
  nodes.resize(static_cast<size_t>(count));
  return nodes;
}

bool Cluster::HasMajority() const {
  const auto runs = [this](int node) {
    return Running(node) && !nodes_[static_cast<size_t>(node)].paused;
  };
  const auto cut = [this](int a, int b) {
    return cuts_.count({a, b}) > 0 || cuts_.count({b, a}) > 0;
  };
  for (int leader = 0; leader < size(); ++leader) {
    if (!runs(leader)) continue;
    int reached = 0;
    for (int node = 0; node < size(); ++node) reached += runs(node) && !cut(leader, node) ? 1 : 0;
    if (reached > size() / 2) return true;
  }
  return false;
}

void Cluster::NoteMajority() { timeline_.SetMajority(HasMajority(), NowMicros()); }

std::map<std::string, std::string> Cluster::EnvironmentOf(const Node& node) const {
  std::map<std::string, std::string> environment;
  if (node.disk != nullptr) environment = node.disk->Environment();
  if (options_.clock_library.empty()) return environment;
  std::string& preload = environment["LD_PRELOAD"];
  absl::StrAppend(&preload, preload.empty() ? "" : ":", options_.clock_library);
  environment["FAKETIME_TIMESTAMP_FILE"] = node.directory + "/clock";
  environment["FAKETIME_CACHE_DURATION"] = "1";  // seconds until the file is read again
  environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1";
  environment["NO_FAKE_STAT"] = "1";
  return environment;
}

absl::Status Cluster::SetClock(int node, int seconds) {
  Node& at = nodes_[static_cast<size_t>(node)];
  at.clock_seconds = seconds;
  const std::string path = at.directory + "/clock";
  std::ofstream(path + ".new") << absl::StrFormat("%+d\n", seconds);
  if (rename((path + ".new").c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

std::vector<std::string> Cluster::ArgumentsOf(int node) const {
  std::vector<std::string> arguments = {"serve",
                                        "--data-dir",
                                        DataDirectory(node),
                                        "--node-id",
                                        absl::StrCat(node + 1),
                                        "--listen",
                                        AddressOf(node),
                                        "--listen-beanstalk",
                                        BeanstalkAddressOf(node),
                                        "--shards",
                                        absl::StrCat(options_.shards)};
  if (nodes_[static_cast<size_t>(node)].disks_lost > 0) {
    arguments.insert(arguments.end(), {"--join", AddressOf(All()[All()[0] == node ? 1 : 0])});
  } else {
    std::string initial_cluster;
    for (int i = 0; i < size(); ++i) {
      absl::StrAppend(&initial_cluster, i == 0 ? "" : ",", i + 1, "=", AddressOf(i));
    }
    arguments.insert(arguments.end(), {"--initial-cluster", initial_cluster});
  }
  arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
  return arguments;
}

absl::Status Cluster::Start(int node) {
  Node& at = nodes_[static_cast<size_t>(node)];
  CHECK(at.process == nullptr);
  ProcessOptions options;
  options.command = network_->Prefix(node);
  options.command.push_back("/usr/bin/env");
  // Only of the node: what puts it into its place is not followed.
  for (const auto& [name, value] : EnvironmentOf(at)) {
    options.command.push_back(absl::StrCat(name, "=", value));
  }
  options.command.push_back(options_.binary);
  const std::vector<std::string> arguments = ArgumentsOf(node);
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.log_path = absl::StrCat(options_.directory, "/log", node);
  ASSIGN_OR_RETURN(at.process, Process::Start(options));
  NoteMajority();
  return absl::OkStatus();
}

void Cluster::Kill(const std::vector<int>& nodes) {
  for (const int node : nodes) {
    if (Running(node)) process(node)->Signal(SIGKILL);
  }
  for (const int node : nodes) {
    nodes_[static_cast<size_t>(node)].process.reset();
    nodes_[static_cast<size_t>(node)].paused = false;
  }
  NoteMajority();
}

absl::Status Cluster::CutPower(const std::vector<int>& nodes, Prng* random) {
  Kill(nodes);
  for (const int node : nodes) {
    TrackedDisk* const disk = nodes_[static_cast<size_t>(node)].disk.get();
    if (disk == nullptr) continue;
    ASSIGN_OR_RETURN(const powercut::RestoreReport cut, disk->Cut(random));
    writes_cut_ += cut.writes_undone;
  }
  return absl::OkStatus();
}

void Cluster::Pause(const std::vector<int>& nodes) {
  for (const int node : nodes) {
    if (!Running(node)) continue;
    process(node)->Signal(SIGSTOP);
    nodes_[static_cast<size_t>(node)].paused = true;
  }
  NoteMajority();
}

void Cluster::Resume() {
  for (Node& node : nodes_) {
    if (node.paused) node.process->Signal(SIGCONT);
    node.paused = false;
  }
  NoteMajority();
}

absl::Status Cluster::Stop(int node) {
  process(node)->Signal(SIGTERM);
  ASSIGN_OR_RETURN(const Exit exit, process(node)->Wait(kStopTimeout));
  const std::string log = process(node)->Log();
  nodes_[static_cast<size_t>(node)].process.reset();
  NoteMajority();
  if (!exit.signalled && exit.code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("node ", node + 1, " was told to stop and ended with ",
                                          exit.ToString(), ": ", End(log)));
}

absl::Status Cluster::RestartInTurn(const std::vector<int>& nodes, absl::Duration timeout) {
  for (const int node : nodes) {
    RETURN_IF_ERROR(Stop(node));
    RETURN_IF_ERROR(Start(node));
    RETURN_IF_ERROR(AwaitReady(node, timeout));
  }
  return absl::OkStatus();
}

absl::Status Cluster::CutLinks(const std::vector<Cut>& cuts) {
  RETURN_IF_ERROR(network_->Add(cuts));
  for (const Cut& cut : cuts) cuts_.insert({cut.from, cut.to});
  NoteMajority();
  return absl::OkStatus();
}

absl::Status Cluster::Part(const std::vector<int>& one, const std::vector<int>& other) {
  std::vector<Cut> cuts;
  for (const int a : one) {
    for (const int b : other) {
      cuts.push_back({.from = a, .to = b});
      cuts.push_back({.from = b, .to = a});
    }
  }
  return CutLinks(cuts);
}

absl::Status Cluster::HealLinks() {
  if (!cuts_.empty()) RETURN_IF_ERROR(network_->Heal());
  cuts_.clear();
  NoteMajority();
  return absl::OkStatus();
}

absl::Status Cluster::FillDisk() {
  disk_is_full_ = true;
  const std::string path = nodes_[static_cast<size_t>(*small_node())].directory + "/ballast";
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  struct statvfs space = {};
  if (fd < 0 || fstatvfs(fd, &space) != 0) return absl::ErrnoToStatus(errno, path);
  int error = 0;
  off_t size = 0;
  // The node writes meanwhile: what is left is taken in ever smaller pieces.
  for (auto piece = static_cast<off_t>(space.f_bavail * space.f_bsize); piece >= 4096; piece /= 2) {
    error = posix_fallocate(fd, size, piece);
    if (error == 0) size += piece;
    if (error != 0 && error != ENOSPC) break;
  }
  close(fd);
  return error == 0 || error == ENOSPC ? absl::OkStatus() : absl::ErrnoToStatus(error, path);
}

absl::Status Cluster::EmptyDisk() {
  RETURN_IF_ERROR(Rest(absl::ZeroDuration()));
  disk_is_full_ = false;
  const std::string path = nodes_[static_cast<size_t>(*small_node())].directory + "/ballast";
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, path);
}

absl::Status Cluster::Heal() {
  Resume();
  RETURN_IF_ERROR(HealLinks());
  for (const int node : All()) {
    if (nodes_[static_cast<size_t>(node)].clock_seconds != 0) RETURN_IF_ERROR(SetClock(node, 0));
    if (!Running(node)) RETURN_IF_ERROR(Start(node));
  }
  return absl::OkStatus();
}

absl::Status Cluster::Rest(absl::Duration duration) {
  const absl::Time end = absl::Now() + duration;
  do {
    for (int node = 0; node < size(); ++node) {
      if (!Running(node) || process(node)->Running()) continue;
      const Exit exit = *process(node)->Wait(absl::ZeroDuration());
      const std::string log = process(node)->Log();
      nodes_[static_cast<size_t>(node)].process.reset();
      NoteMajority();
      const bool no_room = disk_is_full_ && node == small_node();
      if ((Retired(node) || no_room) && !exit.signalled) continue;
      return absl::InternalError(absl::StrCat("node ", node + 1, " ended by itself with ",
                                              exit.ToString(), ": ", End(log)));
    }
    WaitALittle(std::min(kAskAgainAfter, end - absl::Now()));
  } while (absl::Now() < end);
  return absl::OkStatus();
}

}  // namespace holdfast::testing
