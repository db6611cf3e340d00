#include "server/cluster/cluster_status.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/util/time_util.h"

namespace holdfast {
namespace {

using google::protobuf::util::TimeUtil;

// A copy that lacks more does not keep up.
constexpr uint64_t kKeepsUpEntries = 1000;

std::string Seconds(int64_t micros) {
  return absl::StrFormat("%.3f s", static_cast<double>(micros) / 1e6);
}

void FillMember(const ClusterMonitor::Heard& heard, v1::Member* member) {
  if (!heard.status.ok()) {
    if (member->problem().empty()) member->set_problem(std::string(heard.status.message()));
    return;
  }
  *member->mutable_status() = heard.report.status();
  *member->mutable_clock_offset() = TimeUtil::MicrosecondsToDuration(heard.clock.micros);
  *member->mutable_clock_uncertainty() =
      TimeUtil::MicrosecondsToDuration(heard.clock.uncertainty_micros);
}

// Of the nodes that say that they lead each shard, the one in the greatest term.
std::vector<v1::ShardStatus> Lead(const v1::ClusterView& view) {
  std::vector<v1::ShardStatus> shards(view.leaders_size());
  std::vector<uint64_t> terms(shards.size());
  for (const v1::Member& member : view.members()) {
    for (const v1::ReplicaStatus& replica : member.status().replicas()) {
      if (!replica.leading() || replica.shard() >= shards.size()) continue;
      if (replica.term() < terms[replica.shard()]) continue;
      terms[replica.shard()] = replica.term();
      shards[replica.shard()].set_leader(member.node_id());
      shards[replica.shard()].set_commit_index(replica.commit_index());
    }
  }
  return shards;
}

// Sets the lags; returns for each shard whether this member's copy is as it should be.
std::vector<bool> Follow(const std::vector<v1::ShardStatus>& shards, v1::Member* member) {
  std::vector<bool> keeps_up(shards.size());
  for (v1::ReplicaStatus& replica : *member->mutable_status()->mutable_replicas()) {
    if (replica.shard() >= shards.size()) continue;
    const uint64_t commit = shards[replica.shard()].commit_index();
    replica.set_lag(commit - std::min(commit, replica.applied_index()));
    const bool as_wanted = replica.votes() || member->state() == v1::MEMBER_STATE_LEARNER;
    keeps_up[replica.shard()] = as_wanted && replica.lag() <= kKeepsUpEntries;
  }
  return keeps_up;
}

void FillShards(v1::ClusterView* view) {
  std::vector<v1::ShardStatus> shards = Lead(*view);
  for (v1::ShardStatus& shard : shards) {
    shard.set_health(shard.leader() == 0 ? v1::SHARD_HEALTH_NO_LEADER : v1::SHARD_HEALTH_OK);
  }
  for (v1::Member& member : *view->mutable_members()) {
    std::vector<bool> keeps_up(shards.size());
    if (member.has_status()) keeps_up = Follow(shards, &member);
    if (member.state() == v1::MEMBER_STATE_LEAVING) continue;
    for (size_t i = 0; i < shards.size(); ++i) {
      if (!keeps_up[i] && shards[i].leader() != 0) {
        shards[i].set_health(v1::SHARD_HEALTH_DEGRADED);
      }
    }
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].set_shard(static_cast<uint32_t>(i));
    *view->add_shards() = std::move(shards[i]);
  }
}

void WarnOfClocks(const std::map<NodeId, ClockOffset>& clocks, v1::ClusterView* view) {
  const std::optional<ClocksApart> apart = FindClocksApart(clocks);
  if (!apart.has_value()) return;
  view->add_warnings(absl::StrCat("the clock of node ", apart->ahead.value(), " is ",
                                  Seconds(apart->micros), " ahead of that of node ",
                                  apart->behind.value(), ": see that both are synchronized"));
}

}  // namespace

void FillStatus(const peer::v1::NodeReport& own, const ClusterMonitor::Reports& others,
                v1::ClusterView* view) {
  std::map<NodeId, ClockOffset> clocks;
  for (v1::Member& member : *view->mutable_members()) {
    const NodeId node(member.node_id());
    const auto heard = others.find(node);
    if (member.node_id() == view->node_id()) {
      FillMember({.status = absl::OkStatus(), .report = own, .clock = {}}, &member);
    } else if (heard != others.end()) {
      FillMember(heard->second, &member);
    }
    if (!member.has_status()) continue;
    clocks[node] = heard == others.end() ? ClockOffset() : heard->second.clock;
  }
  FillShards(view);
  WarnOfClocks(clocks, view);
}

std::string ClockText(NodeId node, const ClockOffset& clock) {
  return absl::StrCat("the clock of node ", node.value(), " is ", Seconds(std::abs(clock.micros)),
                      clock.micros < 0 ? " behind" : " ahead");
}

}  // namespace holdfast
