#include "client/cli/cluster_output.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/values.h"
#include "client/duration.h"

namespace holdfast {
namespace {

// So many shards of one kind are named.
constexpr size_t kNamedMax = 16;

std::string StateName(const v1::Member& member) {
  switch (member.state()) {
    case v1::MEMBER_STATE_VOTER:
      return member.disk_id() == 0 ? "invited" : "voter";
    case v1::MEMBER_STATE_LEARNER:
      return member.disk_id() == 0 ? "invited" : "learner";
    case v1::MEMBER_STATE_LEAVING:
      return "leaving";
    default:
      return "unknown";
  }
}

std::string HealthName(v1::ShardHealth health) {
  const std::string name = v1::ShardHealth_Name(health);
  const std::string prefix = "SHARD_HEALTH_";
  return name.rfind(prefix, 0) == 0 ? absl::AsciiStrToLower(name.substr(prefix.size())) : "unknown";
}

int64_t LedBy(const v1::ClusterView& view, uint64_t node) {
  return std::count(view.leaders().begin(), view.leaders().end(), node);
}

uint64_t WorstLag(const v1::NodeStatus& status) {
  uint64_t lag = 0;
  for (const v1::ReplicaStatus& replica : status.replicas()) lag = std::max(lag, replica.lag());
  return lag;
}

nlohmann::json StatusJson(const v1::NodeStatus& status) {
  nlohmann::json replicas = nlohmann::json::array();
  for (const v1::ReplicaStatus& replica : status.replicas()) {
    replicas.push_back({{"shard", replica.shard()},
                        {"leading", replica.leading()},
                        {"votes", replica.votes()},
                        {"term", replica.term()},
                        {"applied_index", replica.applied_index()},
                        {"commit_index", replica.commit_index()},
                        {"last_index", replica.last_index()},
                        {"lag", replica.lag()}});
  }
  return {{"version", status.version()},
          {"uptime", absl::FormatDuration(FromProto(status.uptime()))},
          {"disk_bytes", status.disk_bytes()},
          {"disk_free_bytes", status.disk_free_bytes()},
          {"replicas", std::move(replicas)}};
}

nlohmann::json MemberJson(const v1::ClusterView& view, const v1::Member& member) {
  nlohmann::json told = {{"node_id", member.node_id()},
                         {"address", member.address()},
                         {"state", StateName(member)},
                         {"connected", member.connected()},
                         {"leads", LedBy(view, member.node_id())}};
  if (!member.problem().empty()) told["problem"] = member.problem();
  if (member.has_since()) told["since"] = TimeText(member.since());
  if (member.has_status()) {
    told["status"] = StatusJson(member.status());
    told["lag"] = WorstLag(member.status());
  }
  if (member.has_clock_offset()) {
    told["clock_offset"] = absl::FormatDuration(FromProto(member.clock_offset()));
    told["clock_uncertainty"] = absl::FormatDuration(FromProto(member.clock_uncertainty()));
  }
  return told;
}

std::string UptimeText(const v1::NodeStatus& status) {
  return absl::FormatDuration(absl::Trunc(FromProto(status.uptime()), absl::Seconds(1)));
}

std::string ClockText(const v1::ClusterView& view, const v1::Member& member) {
  if (member.node_id() == view.node_id() || !member.has_clock_offset()) return "-";
  const auto millis = [](const google::protobuf::Duration& duration) {
    return absl::ToDoubleMilliseconds(FromProto(duration));
  };
  return absl::StrFormat("%+.1f ms +-%.1f", millis(member.clock_offset()),
                         millis(member.clock_uncertainty()));
}

std::string DiskText(const v1::NodeStatus& status) {
  if (status.disk_bytes() == 0) return "-";
  constexpr double kGiB = 1 << 30;
  return absl::StrFormat("%.1f of %.1f GiB", static_cast<double>(status.disk_free_bytes()) / kGiB,
                         static_cast<double>(status.disk_bytes()) / kGiB);
}

using Row = std::vector<std::string>;

Row MemberRow(const v1::ClusterView& view, const v1::Member& member) {
  Row row = {absl::StrCat(member.node_id()), member.address().empty() ? "-" : member.address(),
             StateName(member), member.connected() ? "yes" : "no",
             absl::StrCat(LedBy(view, member.node_id()))};
  const v1::NodeStatus& status = member.status();
  if (member.has_status()) {
    row.insert(row.end(), {absl::StrCat(WorstLag(status)), ClockText(view, member),
                           DiskText(status), UptimeText(status), status.version()});
  } else {
    row.insert(row.end(), 5, "-");
  }
  return row;
}

// Columns as wide as what is in them, two spaces apart.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], std::string(widths[i] + 2 - row[i].size(), ' '));
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

std::string ProblemText(const v1::Member& member) {
  if (member.problem().empty()) return "";
  std::string text =
      absl::StrCat("node ", member.node_id(),
                   member.connected() ? " does not tell how it is" : " is not reached");
  if (!member.connected() && member.has_since()) {
    absl::StrAppend(&text, " since ", TimeText(member.since()));
  }
  return absl::StrCat(text, ": ", member.problem(), "\n");
}

// "shards 1, 4: WHAT", or nothing.
std::string ShardsText(const v1::ClusterView& view, v1::ShardHealth health,
                       const std::string& what) {
  std::string names;
  size_t count = 0;
  for (const v1::ShardStatus& shard : view.shards()) {
    if (shard.health() != health || ++count > kNamedMax) continue;
    absl::StrAppend(&names, count > 1 ? ", " : "", shard.shard());
  }
  if (count == 0) return "";
  if (count > kNamedMax) absl::StrAppend(&names, " and ", count - kNamedMax, " more");
  return absl::StrCat(count == 1 ? "shard " : "shards ", names, ": ", what, "\n");
}

std::string AllShardsText(const v1::ClusterView& view) {
  if (view.shards().empty()) {
    // What a change answers: nobody was asked.
    const int64_t without = LedBy(view, 0);
    return without == 0 ? ""
                        : absl::StrCat(without, " shards have no leader that this node knows of\n");
  }
  const std::string text = ShardsText(view, v1::SHARD_HEALTH_NO_LEADER, "no leader is reached") +
                           ShardsText(view, v1::SHARD_HEALTH_DEGRADED, "not every member keeps up");
  return text.empty() ? "every shard has a leader, and every member keeps up\n" : text;
}

}  // namespace

nlohmann::json ClusterJson(const v1::ClusterView& view) {
  nlohmann::json members = nlohmann::json::array();
  for (const v1::Member& member : view.members()) members.push_back(MemberJson(view, member));
  nlohmann::json shards = nlohmann::json::array();
  for (const v1::ShardStatus& shard : view.shards()) {
    shards.push_back({{"shard", shard.shard()},
                      {"leader", shard.leader()},
                      {"commit_index", shard.commit_index()},
                      {"health", HealthName(shard.health())}});
  }
  return {{"cluster_id", view.cluster_id()},
          {"node_id", view.node_id()},
          {"version", view.version()},
          {"members", std::move(members)},
          {"leaders", std::vector<uint64_t>(view.leaders().begin(), view.leaders().end())},
          {"shards", std::move(shards)},
          {"warnings", std::vector<std::string>(view.warnings().begin(), view.warnings().end())}};
}

std::string ClusterText(const v1::ClusterView& view) {
  std::vector<Row> rows = {{"NODE", "ADDRESS", "STATE", "UP", "LEADS", "LAG", "CLOCK", "DISK FREE",
                            "UPTIME", "VERSION"}};
  for (const v1::Member& member : view.members()) rows.push_back(MemberRow(view, member));
  std::string text = absl::StrFormat("cluster %s, %d shards, seen from node %d\n",
                                     view.cluster_id(), view.leaders_size(), view.node_id());
  absl::StrAppend(&text, Table(rows));
  for (const v1::Member& member : view.members()) absl::StrAppend(&text, ProblemText(member));
  absl::StrAppend(&text, AllShardsText(view));
  for (const std::string& warning : view.warnings()) {
    absl::StrAppend(&text, "warning: ", warning, "\n");
  }
  return text;
}

}  // namespace holdfast
