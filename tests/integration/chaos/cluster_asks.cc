// Cluster's questions to its nodes, and changes of its members.

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "tests/integration/beanstalk_calls.h"
#include "tests/integration/chaos/cluster.h"
#include "tests/integration/connection.h"

namespace holdfast::testing {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(2);
constexpr absl::Duration kAskAgainAfter = absl::Milliseconds(50);
constexpr absl::Duration kCommandTimeout = absl::Seconds(40);

// One call; UNAVAILABLE with what the node says, or with why it is not reached.
template <class Response, class Call>
absl::StatusOr<Response> Ask(const Cluster& cluster, int node, Call call) {
  ASSIGN_OR_RETURN(const auto connection, Connection::Open(cluster.AddressOf(node), kAskTimeout));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kAskTimeout));
  Response response;
  const grpc::Status status = call(connection.get(), &context, &response);
  if (status.ok()) return response;
  return absl::UnavailableError(absl::StrCat("node ", node + 1, " says: ", status.error_message()));
}

}  // namespace

absl::Status Cluster::Retry(const std::string& what, absl::Duration timeout,
                            const std::function<absl::Status()>& attempt) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::Status missing;
  do {
    RETURN_IF_ERROR(Rest(kAskAgainAfter));
    missing = attempt();
    if (missing.ok()) return absl::OkStatus();
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(
      absl::StrCat(what, " within ", absl::FormatDuration(timeout), ": ", missing.message()));
}

std::string Cluster::OthersOf(int node) const {
  std::vector<std::string> others;
  for (const int other : All()) {
    if (other != node) others.push_back(AddressOf(other));
  }
  return absl::StrJoin(others, ",");
}

absl::Status Cluster::ChangeMember(const std::string& command, int node,
                                   const std::vector<std::string>& arguments,
                                   absl::Duration timeout) {
  ProcessOptions options;
  options.command = {options_.binary, "cluster", "--endpoint",
                     OthersOf(node),  command,   absl::StrCat(node + 1)};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.log_path = absl::StrCat(options_.directory, "/log-cluster");
  return Retry(absl::StrCat("cluster ", command), timeout, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<Process> process, Process::Start(options));
    ASSIGN_OR_RETURN(const Exit exit, process->Wait(kCommandTimeout));
    if (!exit.signalled && exit.code == 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("it ended with ", exit.ToString(), ": ", process->Log()));
  });
}

absl::StatusOr<v1::ClusterView> Cluster::AskMembers(int node) {
  return Ask<v1::ClusterView>(*this, node, [](Connection* to, auto* context, auto* response) {
    return to->cluster()->GetCluster(context, {}, response);
  });
}

absl::Status Cluster::AwaitForgotten(int node, absl::Duration timeout) {
  return Retry("a removed node is not forgotten", timeout, [&]() -> absl::Status {
    for (const int other : All()) {
      ASSIGN_OR_RETURN(const v1::ClusterView view, AskMembers(other));
      for (const v1::Member& member : view.members()) {
        if (member.node_id() != static_cast<uint64_t>(node + 1)) continue;
        return absl::UnavailableError(absl::StrCat("node ", other + 1, " still knows it"));
      }
    }
    return absl::OkStatus();
  });
}

absl::Status Cluster::AwaitVotes(int node, absl::Duration timeout) {
  RETURN_IF_ERROR(AwaitHealthy(timeout));
  std::set<uint32_t> led;
  absl::Time transfer_at = absl::InfinitePast();
  return Retry("a node that joined does not vote", timeout, [&]() -> absl::Status {
    if (absl::Now() >= transfer_at) {
      RETURN_IF_ERROR(ChangeMember("transfer", node, {}, timeout));
      transfer_at = absl::Now() + absl::Seconds(3);  // they are spread again meanwhile
    }
    ASSIGN_OR_RETURN(const Replicas all, AskReplicas());
    for (const v1::Replica& replica : all.at(node).replicas()) {
      if (replica.leading()) led.insert(replica.shard());
    }
    if (led.size() == static_cast<size_t>(options_.shards)) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("it has led ", led.size(), " shards"));
  });
}

// What once kept it from that: the log took the holders of a new disk for ones of the lost disk.
absl::Status Cluster::AwaitServes(int node, absl::Duration timeout) {
  const std::string what = absl::StrCat("node ", node + 1, " serves no beanstalkd client");
  return Retry(what, timeout, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto connection,
                     BeanstalkConnection::Open(BeanstalkAddressOf(node), kAskTimeout));
    return WorkOnOne(connection.get(), "probe");
  });
}

absl::StatusOr<Cluster::Replicas> Cluster::AskReplicas() {
  Replicas all;
  for (const int node : All()) {
    ASSIGN_OR_RETURN(all[node], Ask<v1::ListReplicasResponse>(
                                    *this, node, [](Connection* to, auto* context, auto* response) {
                                      return to->admin()->ListReplicas(context, {}, response);
                                    }));
    Compare(node, all[node]);
  }
  return all;
}

void Cluster::Compare(int node, const v1::ListReplicasResponse& replicas) {
  for (const v1::Replica& replica : replicas.replicas()) {
    const auto [at, is_new] = states_.try_emplace({replica.shard(), replica.applied_index()},
                                                  Seen{node, replica.state_hash()});
    if (is_new) continue;
    if (at->second.node != node) ++states_compared_;
    if (at->second.state_hash == replica.state_hash()) continue;
    violations_.push_back(
        {"replicas are equal",
         absl::StrCat("shard ", replica.shard(), " after entry ", replica.applied_index(),
                      ": nodes ", at->second.node + 1, " and ", node + 1, " differ")});
  }
}

absl::Status Cluster::Await(const std::string& what, absl::Duration timeout,
                            const std::function<absl::Status(const Replicas&)>& check) {
  return Retry(what, timeout, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const Replicas replicas, AskReplicas());
    return check(replicas);
  });
}

absl::Status Cluster::AwaitReady(int node, absl::Duration timeout) {
  return Retry(absl::StrCat("node ", node + 1, " is not ready"), timeout, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        const auto info,
        Ask<v1::NodeInfo>(*this, node, [](Connection* to, auto* context, auto* response) {
          return to->admin()->GetNodeInfo(context, {}, response);
        }));
    return info.ready() ? absl::OkStatus() : absl::UnavailableError("it says so");
  });
}

absl::Status Cluster::AwaitHealthy(absl::Duration timeout) {
  return Await("the cluster does not heal", timeout, [this](const Replicas& all) {
    std::vector<int> leaders(static_cast<size_t>(options_.shards), 0);
    for (const auto& [node, replicas] : all) {
      for (const v1::Replica& replica : replicas.replicas()) {
        leaders[replica.shard()] += replica.leading() ? 1 : 0;
      }
    }
    const auto odd = std::find_if(leaders.begin(), leaders.end(), [](int n) { return n != 1; });
    if (odd == leaders.end()) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat("shard ", odd - leaders.begin(), " has ", *odd, " leaders"));
  });
}

absl::Status Cluster::AwaitEqualReplicas(absl::Duration timeout) {
  return Await("the replicas do not get to one entry", timeout, [](const Replicas& all) {
    const auto& [first_node, first] = *all.begin();
    for (const auto& [node, replicas] : all) {
      for (int shard = 0; shard < replicas.replicas_size(); ++shard) {
        const uint64_t here = replicas.replicas(shard).applied_index();
        const uint64_t there = first.replicas(shard).applied_index();
        if (here == there) continue;
        return absl::UnavailableError(absl::StrCat("shard ", shard, ": node ", node + 1,
                                                   " is at entry ", here, ", node ", first_node + 1,
                                                   " at ", there));
      }
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<int> Cluster::Leader() {
  ASSIGN_OR_RETURN(const auto all, AskReplicas());
  int most = 0;
  int leader = 0;
  for (const auto& [node, replicas] : all) {
    int led = 0;
    for (const v1::Replica& replica : replicas.replicas()) led += replica.leading() ? 1 : 0;
    if (led <= most) continue;
    most = led;
    leader = node;
  }
  return leader;
}

}  // namespace holdfast::testing
