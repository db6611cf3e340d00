// failover_measurement --binary HOLDFAST [--tries N] [--only NAME,...] [--each]
//
// How long a queue stands still when the node that leads most shards goes: three nodes, each in a
// network namespace of its own, and clients of the C++ library with 64 unary enqueues in flight. A
// figure is the longest time without an acknowledged enqueue on any one queue, over a window that
// begins before the fault. Exit code 0: measured, whatever the figures; 2: could not measure.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "tests/integration/chaos/cluster.h"
#include "tests/integration/chaos/sandbox.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

constexpr int kInFlight = 64;
constexpr int kConnections = 12;
constexpr absl::Duration kHealWithin = absl::Seconds(60);
// Leaders are spread over the nodes again by then.
constexpr absl::Duration kCalm = absl::Seconds(6);
constexpr absl::Duration kBefore = absl::Milliseconds(200);
constexpr absl::Duration kWindow = absl::Seconds(4);

// When each queue was last acknowledged something. Thread-safety: thread-safe.
class Acknowledgements {
 public:
  explicit Acknowledgements(int queues) : queues_(static_cast<size_t>(queues)) {}

  void Note(int queue) {
    const absl::Time now = absl::Now();
    const absl::MutexLock lock(&mutex_);
    Queue& at = queues_[static_cast<size_t>(queue)];
    if (now - at.last > at.longest) {
      at.longest = now - at.last;
      at.longest_since = at.last;
    }
    at.last = now;
  }
  void NoteError(const absl::Status& status) {
    const absl::MutexLock lock(&mutex_);
    ++errors_;
    last_error_ = status;
  }
  void Begin() {
    const absl::Time now = absl::Now();
    const absl::MutexLock lock(&mutex_);
    for (Queue& queue : queues_) queue = {.last = now, .longest = {}, .longest_since = now};
  }
  struct Gap {
    absl::Duration length;
    size_t queue = 0;
    absl::Time since;
  };
  // Since Begin, until now, of the queue that waited longest.
  Gap Longest() const {
    const absl::Time now = absl::Now();
    const absl::MutexLock lock(&mutex_);
    Gap longest;
    for (size_t i = 0; i < queues_.size(); ++i) {
      const Queue& queue = queues_[i];
      const bool still = now - queue.last > queue.longest;
      const Gap gap =
          still ? Gap{now - queue.last, i, queue.last} : Gap{queue.longest, i, queue.longest_since};
      if (gap.length > longest.length) longest = gap;
    }
    return longest;
  }
  int errors() const {
    const absl::MutexLock lock(&mutex_);
    return errors_;
  }
  absl::Status last_error() const {
    const absl::MutexLock lock(&mutex_);
    return last_error_;
  }

 private:
  struct Queue {
    absl::Time last;
    absl::Duration longest;
    absl::Time longest_since;
  };
  mutable absl::Mutex mutex_;
  std::vector<Queue> queues_ ABSL_GUARDED_BY(mutex_);
  int errors_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
};

// Enqueues without end, on as many threads as there are to be calls in flight. The clients of one
// queue have different nodes at the head of their lists.
class Load {
 public:
  Load(const Cluster& cluster, int queues, Acknowledgements* acknowledgements)
      : acknowledgements_(acknowledgements) {
    for (int i = 0; i < kConnections; ++i) {
      std::vector<std::string> nodes;
      for (int k = 0; k < cluster.size(); ++k) {
        nodes.push_back(cluster.AddressOf((i + k) % cluster.size()));
      }
      clients_.push_back(
          std::make_unique<Client>(Client::Options{.endpoint = absl::StrJoin(nodes, ",")}));
    }
    for (int i = 0; i < kInFlight; ++i) {
      const int queue = i % queues;
      Client* const client = clients_[static_cast<size_t>(queue + i / queues) % kConnections].get();
      threads_.emplace_back([this, client, queue] { Run(client, queue); });
    }
  }
  ~Load() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run(Client* client, int queue) {
    v1::EnqueueRequest request;
    request.set_queue(absl::StrCat("queue-", queue));
    request.add_jobs()->set_body(std::string(100, 'j'));
    while (!stop_.load()) {
      const auto answer = client->Call(&v1::Holdfast::Stub::Enqueue, request);
      if (answer.ok()) {
        acknowledgements_->Note(queue);
      } else {
        acknowledgements_->NoteError(answer.status());
      }
    }
  }

  Acknowledgements* const acknowledgements_;
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::thread> threads_;
};

struct Scenario {
  std::string name;
  std::function<absl::Status(Cluster*, int leader)> run;
};

std::vector<Scenario> Scenarios() {
  const auto window = [](Cluster* cluster) { return cluster->Rest(kWindow); };
  return {
      {"nothing", [=](Cluster* cluster, int) { return window(cluster); }},
      {"kill -9",
       [=](Cluster* cluster, int leader) {
         cluster->Kill({leader});
         return window(cluster);
       }},
      {"SIGSTOP",
       [=](Cluster* cluster, int leader) {
         cluster->Pause({leader});
         return window(cluster);
       }},
      {"cut off",
       [=](Cluster* cluster, int leader) {
         std::vector<int> others = cluster->All();
         std::erase(others, leader);
         RETURN_IF_ERROR(cluster->Part({leader}, others));
         return window(cluster);
       }},
      {"rolling restart",
       [](Cluster* cluster, int) { return cluster->RestartInTurn(cluster->All(), kHealWithin); }},
  };
}

absl::Status Measure(Cluster* cluster, const Scenario& scenario, int tries, bool each,
                     Acknowledgements* acknowledgements) {
  std::vector<double> millis;
  const int errors_before = acknowledgements->errors();
  for (int i = 0; i < tries; ++i) {
    RETURN_IF_ERROR(cluster->AwaitHealthy(kHealWithin));
    RETURN_IF_ERROR(cluster->Rest(kCalm));
    ASSIGN_OR_RETURN(const int leader, cluster->Leader());
    acknowledgements->Begin();
    RETURN_IF_ERROR(cluster->Rest(kBefore));
    RETURN_IF_ERROR(scenario.run(cluster, leader));
    const Acknowledgements::Gap gap = acknowledgements->Longest();
    millis.push_back(absl::ToDoubleMilliseconds(gap.length));
    if (each) {
      std::cout << absl::StrFormat("  %s: %.0f ms, queue-%d, from %s on\n", scenario.name,
                                   millis.back(), gap.queue,
                                   absl::FormatTime("%H:%M:%E3S", gap.since, absl::UTCTimeZone()))
                << std::flush;
    }
    RETURN_IF_ERROR(cluster->Heal());
  }
  std::sort(millis.begin(), millis.end());
  const int errors = acknowledgements->errors() - errors_before;
  std::cout << absl::StrFormat("%-16s %5d %10.0f %10.0f %10.0f %8d", scenario.name, tries,
                               millis[0], millis[millis.size() / 2], millis.back(), errors);
  if (errors > 0) std::cout << "  last: " << acknowledgements->last_error();
  std::cout << std::endl;
  return absl::OkStatus();
}

absl::Status Run(const ClusterOptions& options, int tries, bool each,
                 const std::vector<std::string>& only) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Cluster::Start(options));
  RETURN_IF_ERROR(cluster->AwaitHealthy(kHealWithin));
  Acknowledgements acknowledgements(options.shards);
  const Load load(*cluster, options.shards, &acknowledgements);
  std::cout << absl::StrFormat("%-16s %5s %10s %10s %10s %8s\n", "", "tries", "least ms",
                               "median ms", "worst ms", "errors");
  for (const Scenario& scenario : Scenarios()) {
    if (!only.empty() && std::find(only.begin(), only.end(), scenario.name) == only.end()) continue;
    RETURN_IF_ERROR(Measure(cluster.get(), scenario, tries, each, &acknowledgements));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) {
  holdfast::testing::ClusterOptions options;
  options.shards = 16;
  int tries = 20;
  bool each = false;
  std::vector<std::string> only;
  CLI::App app("Measures how long queues stand still when the leader of most shards goes.");
  app.add_option("--binary", options.binary, "the holdfast binary")->required();
  app.add_option("--tries", tries, "of each")->check(CLI::Range(1, 1000));
  app.add_flag("--each", each, "print each try, and when its longest wait began");
  app.add_option("--only", only, "nothing, kill -9, SIGSTOP, cut off, rolling restart")
      ->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  const absl::Status entered = holdfast::testing::EnterSandbox();
  const holdfast::testing::TemporaryDirectory directory;
  options.directory = directory.path();
  const absl::Status status =
      entered.ok() ? holdfast::testing::Run(options, tries, each, only) : entered;
  if (status.ok()) return 0;
  std::cerr << status << std::endl;
  return 2;
}
