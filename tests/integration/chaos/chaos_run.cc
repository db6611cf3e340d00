#include "tests/integration/chaos/chaos_run.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/prng.h"
#include "base/status_macros.h"
#include "tests/integration/chaos/cluster.h"
#include "tests/integration/chaos/faults.h"
#include "tests/integration/connection.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

constexpr absl::Duration kHealWithin = absl::Seconds(60);
constexpr absl::Duration kDrainWithin = absl::Seconds(120);
constexpr absl::Duration kConnectWithin = absl::Seconds(1);

// Clients that use the nodes of a cluster, each one node after the other, on threads of their own.
class Clients {
 public:
  Clients(const ChaosOptions& options, const Cluster* cluster, Prng* random, SharedState* shared)
      : cluster_(*cluster) {
    using Maker = std::unique_ptr<Client> (*)(SharedState*, uint64_t);
    const auto start = [&](int count, Maker make, Protocol protocol) {
      for (int i = 0; i < count; ++i) {
        Client* const client = clients_.emplace_back(make(shared, random->Next())).get();
        threads_.emplace_back(
            [this, client, protocol, seed = random->Next()] { Drive(client, protocol, seed); });
      }
    };
    start(options.producers, MakeProducer, Protocol::kGrpc);
    start(options.workers, MakeWorker, Protocol::kGrpc);
    start(options.stream_workers, MakeStreamWorker, Protocol::kGrpc);
    start(options.beanstalk_producers, MakeBeanstalkProducer, Protocol::kBeanstalkd);
    start(options.beanstalk_workers, MakeBeanstalkWorker, Protocol::kBeanstalkd);
  }
  ~Clients() { Stop(); }

  // Waits for the calls under way.
  void Stop() {
    stop_.Set();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // REQUIRES: stopped.
  void Settle(v1::Holdfast::StubInterface* server) {
    const StopSignal never;
    for (const auto& client : clients_) client->Settle({.server = server, .stop = &never});
  }

 private:
  enum class Protocol { kGrpc, kBeanstalkd };

  void Drive(Client* client, Protocol protocol, uint64_t seed) {
    Prng random(seed);
    while (!stop_.IsSet()) {
      const int node = static_cast<int>(random.Below(static_cast<uint64_t>(cluster_.size())));
      const auto stay = absl::Milliseconds(static_cast<int64_t>(random.Between(200, 8000)));
      Round round = {.stop = &stop_, .until = absl::Now() + stay};
      if (protocol == Protocol::kGrpc) {
        const auto connection = Connection::Open(cluster_.AddressOf(node), kConnectWithin);
        if (!connection.ok()) continue;
        round.server = (*connection)->stub();
        client->Run(round);
      } else {
        const auto connection =
            BeanstalkConnection::Open(cluster_.BeanstalkAddressOf(node), kConnectWithin);
        if (!connection.ok()) {
          round.PauseAfterRefusal();
          continue;
        }
        round.beanstalkd = connection->get();
        client->Run(round);
      }
    }
  }

  const Cluster& cluster_;
  StopSignal stop_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::thread> threads_;
};

// The life of one cluster.
class Life {
 public:
  Life(const ChaosOptions& options, const ClusterOptions& cluster, absl::Time end, Prng* random)
      : options_(options),
        cluster_options_(cluster),
        end_(end),
        random_(*random),
        faults_(FaultsFor(options.kinds, cluster)) {
    if (options.control) {
      std::erase_if(faults_, [](const Fault& fault) { return fault.name != "power cut of all"; });
    }
    shared_.request_prefix = absl::StrCat("chaos-", options.seed, "-", random->Next(), "-");
    for (const char* name : {"kelp", "limpet", "mussel", "barnacle", "urchin", "whelk"}) {
      shared_.queues.push_back(name);
    }
  }

  absl::StatusOr<Verdict> Run() {
    begin_ = absl::Now();
    ASSIGN_OR_RETURN(cluster_, Cluster::Start(cluster_options_));
    RETURN_IF_ERROR(BecomeHealthy());
    {
      traffic_begin_ = absl::Now();
      Clients clients(options_, cluster_.get(), &random_, &shared_);
      RETURN_IF_ERROR(InjectFaults());
      clients.Stop();
      RETURN_IF_ERROR(Finish(&clients));
    }
    return Judge();
  }

 private:
  absl::Status BecomeHealthy() {
    RETURN_IF_ERROR(cluster_->Heal());
    RETURN_IF_ERROR(cluster_->AwaitHealthy(kHealWithin));
    // They may be gone with everything else.
    if (!queues_made_ || options_.control) {
      ASSIGN_OR_RETURN(const auto connection, ConnectToOne());
      RETURN_IF_ERROR(MakeQueues(shared_, connection->stub()));
      queues_made_ = true;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Connection>> ConnectToOne() {
    return Connection::Open(cluster_->AddressOf(cluster_->Some(1, &random_)[0]));
  }

  absl::Status InjectFaults() {
    std::vector<Fault> deck;
    do {
      if (deck.empty()) {
        deck = faults_;
        random_.Shuffle(&deck);
      }
      const Fault fault = deck.back();
      deck.pop_back();
      RETURN_IF_ERROR(Inject(fault));
    } while (options_.length == absl::ZeroDuration() ? !deck.empty() : absl::Now() < end_);
    if (options_.control || !(options_.kinds.empty() || Wanted("bitflip"))) return absl::OkStatus();
    Begin("bit flips");
    ASSIGN_OR_RETURN(verdict_.damaged, FlipBits(cluster_.get(), &random_));
    return absl::OkStatus();
  }

  bool Wanted(const std::string& kind) const {
    return std::find(options_.kinds.begin(), options_.kinds.end(), kind) != options_.kinds.end();
  }

  void Begin(const std::string& fault) {
    ++verdict_.faults[fault];
    cluster_->timeline()->BeginFault(fault, NowMicros());
    std::cout << absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::UTCTimeZone()) << fault
              << std::endl;
  }

  absl::Status Inject(const Fault& fault) {
    // After a time of calm.
    RETURN_IF_ERROR(
        cluster_->Rest(absl::Milliseconds(static_cast<int64_t>(random_.Between(500, 2000)))));
    Begin(fault.name);
    absl::Status status = fault.run(cluster_.get(), &random_);
    if (status.ok()) status = BecomeHealthy();
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat(fault.name, ": ", status.message()));
  }

  absl::Status Finish(Clients* clients) {
    RETURN_IF_ERROR(BecomeHealthy());
    ASSIGN_OR_RETURN(const auto connection, ConnectToOne());
    traffic_end_ = absl::Now();
    clients->Settle(connection->stub());
    RETURN_IF_ERROR(SampleCounts(&shared_, connection->stub()));
    RETURN_IF_ERROR(Drain(&shared_, connection->stub(), kDrainWithin));
    RETURN_IF_ERROR(SampleCounts(&shared_, connection->stub()));
    return options_.control ? absl::OkStatus() : cluster_->AwaitEqualReplicas(kHealWithin);
  }

  Verdict Judge() {
    Verdict& verdict = verdict_;
    verdict.clusters = 1;
    verdict.length = absl::Now() - begin_;
    verdict.skipped = FaultsLost(cluster_options_);
    verdict.acknowledged = shared_.acknowledged.load();
    verdict.by_beanstalkd = shared_.by_beanstalkd.load();
    verdict.refused = shared_.refused.load();
    verdict.unknown = shared_.unknown.load();
    verdict.repeated = shared_.repeated.load();
    verdict.enqueued = shared_.enqueued.load();
    verdict.deleted = shared_.deleted.load();
    verdict.writes_cut = cluster_->writes_cut();
    verdict.states_compared = cluster_->states_compared();
    verdict.violations = CheckAll(shared_.history, {});
    const std::vector<Violation>& unequal = cluster_->violations();
    verdict.violations.insert(verdict.violations.end(), unequal.begin(), unequal.end());
    const std::vector<int64_t> moments = AcknowledgedMicros(shared_.history.operations());
    verdict.gaps = cluster_->timeline()->LongestGaps(moments, absl::ToUnixMicros(traffic_begin_),
                                                     absl::ToUnixMicros(traffic_end_));
    return verdict;
  }

  const ChaosOptions& options_;
  const ClusterOptions cluster_options_;
  const absl::Time end_;
  Prng random_;
  std::vector<Fault> faults_;
  SharedState shared_;
  std::unique_ptr<Cluster> cluster_;
  bool queues_made_ = false;
  absl::Time begin_;
  absl::Time traffic_begin_;
  absl::Time traffic_end_;
  Verdict verdict_;
};

}  // namespace

absl::StatusOr<Verdict> RunChaos(const ChaosOptions& options) {
  Prng random(options.seed);
  Verdict all;
  all.seed = options.seed;
  all.nodes = options.nodes;
  const absl::Time end = absl::Now() + options.length;
  do {
    ClusterOptions cluster;
    cluster.binary = options.binary;
    cluster.preload = options.preload;
    cluster.directory = absl::StrCat(options.directory, "/cluster", all.clusters);
    cluster.network = options.network;
    cluster.nodes = options.nodes;
    cluster.clock_library = options.clock_library;
    cluster.fault_length_max = options.fault_length_max;
    cluster.syncs = options.control ? Syncs::kIgnored : Syncs::kKept;
    if (all.clusters % 2 == 1 || options.length == absl::ZeroDuration()) {
      cluster.small_disk_bytes = options.small_disk_bytes;
    }
    std::filesystem::create_directories(cluster.directory);
    Prng of_cluster(random.Next());
    const absl::Time cluster_end = std::min(end, absl::Now() + options.cluster_length);
    ASSIGN_OR_RETURN(const Verdict verdict, Life(options, cluster, cluster_end, &of_cluster).Run());
    all.Add(verdict);
    if (verdict.violations.empty()) std::filesystem::remove_all(cluster.directory);
  } while (absl::Now() < end);
  return all;
}

}  // namespace holdfast::testing
