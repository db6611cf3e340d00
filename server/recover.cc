#include "server/recover.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "replication/node/group.h"
#include "replication/raft/config_changer.h"
#include "server/cluster/known_members.h"
#include "server/cluster/members_codec.h"
#include "server/cluster/membership.h"
#include "server/cluster/recovery.h"
#include "server/data_dir/data_dir.h"
#include "server/engine/node_engine.h"
#include "storage/log/segment_log_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"

namespace holdfast {
namespace {

// A node that does not run, in order of construction.
struct Node {
  std::unique_ptr<DataDir> data;
  MembersView members;
  std::unique_ptr<LogStore> log;
  std::unique_ptr<StateStore> state;
  std::vector<CopyPosition> positions;

  const Identity& identity() const { return data->identity(); }
  ReplicaId replica() const { return ReplicaOf(identity().node, identity().disk); }
};

absl::StatusOr<Node> Open(const std::string& path) {
  Node node;
  ASSIGN_OR_RETURN(node.data, DataDir::OpenForRepair(path));
  ASSIGN_OR_RETURN(node.members, KnownMembers(*node.data));
  ASSIGN_OR_RETURN(node.log, SegmentLogStore::Open(&PosixFileSystem(), node.data->log_path(), {}));
  RocksDbStateStoreOptions state;
  state.directory = node.data->state_path();
  ASSIGN_OR_RETURN(node.state, OpenRocksDbStateStore(state));
  ASSIGN_OR_RETURN(node.positions,
                   Positions(node.identity().cluster.shards, *node.log, *node.state));
  return node;
}

const char* RoleIn(const CopyPosition& position, ReplicaId replica) {
  if (position.last == LogIndex()) return "none";
  if (raft::IsVoter(position.configuration, replica)) return "voter";
  return raft::IsMember(position.configuration, replica) ? "learner" : "removed";
}

std::string TimeOf(const CopyPosition& position) {
  if (position.time == LogTime()) return "-";
  const auto micros = static_cast<int64_t>(position.time.micros());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMicros(micros),
                          absl::UTCTimeZone());
}

// --- What is there.

nlohmann::json ToJson(const Node& node) {
  nlohmann::json members = nlohmann::json::array();
  for (const auto& [id, member] : node.members.members) {
    members.push_back({{"node_id", id.value()}, {"address", member.address}});
  }
  nlohmann::json shards = nlohmann::json::array();
  for (const CopyPosition& position : node.positions) {
    shards.push_back({{"shard", position.shard.value()},
                      {"role", RoleIn(position, node.replica())},
                      {"term", position.term.value()},
                      {"last", position.last.value()},
                      {"committed", position.committed.value()},
                      {"flushed", position.flushed.value()},
                      {"last_entry_at", TimeOf(position)}});
  }
  return {{"node_id", node.identity().node.value()},
          {"cluster_id", node.identity().cluster.cluster_id},
          {"members", std::move(members)},
          {"shards", std::move(shards)}};
}

void PrintText(const Node& node) {
  std::printf("node %" PRIu64 " of cluster %s; its members: %s\n", node.identity().node.value(),
              node.identity().cluster.cluster_id.c_str(),
              absl::StrJoin(node.members.members, ", ", [](std::string* out, const auto& member) {
                absl::StrAppend(out, member.first.value());
              }).c_str());
  std::printf("%-6s %-8s %8s %12s %12s %12s  %s\n", "SHARD", "ROLE", "TERM", "LAST", "COMMITTED",
              "FLUSHED", "LAST ENTRY AT");
  for (const CopyPosition& position : node.positions) {
    std::printf("%-6u %-8s %8" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s\n",
                position.shard.value(), RoleIn(position, node.replica()), position.term.value(),
                position.last.value(), position.committed.value(), position.flushed.value(),
                TimeOf(position).c_str());
  }
  std::printf(
      "What was acknowledged after these entries is lost if only the lost nodes had it. Of two "
      "survivors the\none with the larger (TERM, LAST) has more of a shard. Entries after "
      "COMMITTED may be ones that nobody\nwas told of, and will have happened.\n");
}

// --- What is done.

bool IsAlone(const Node& node) {
  const Identity& identity = node.identity();
  const std::vector<ReplicaId> voters = {node.replica()};
  const auto only_voter = [&voters](const CopyPosition& position) {
    raft::Configuration alone;
    alone.voters = voters;
    return position.configuration == alone;
  };
  return !identity.recovery.has_value() && node.members.members.size() == 1 &&
         std::all_of(node.positions.begin(), node.positions.end(), only_voter);
}

absl::Status CheckCopies(const Node& node) {
  for (const CopyPosition& position : node.positions) {
    if (position.last != LogIndex()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("this node has no copy of shard ", position.shard.value(),
                     ": its jobs would be lost. Recover from another node"));
  }
  return absl::OkStatus();
}

// As what this node goes on.
ClusterMember Self(const Node& node) {
  const ClusterMember* const known = node.members.Find(node.identity().node);
  return {.node = node.identity().node,
          .disk = node.identity().disk,
          .address = known == nullptr ? "" : known->address,
          .state = MemberState::kVoter};
}

NodeEngine::Options EngineOptions(const Identity& identity) {
  NodeEngine::Options options;
  options.node = identity.node;
  options.disk = identity.disk;
  options.incarnation = identity.incarnation;
  options.cluster_id = identity.cluster.cluster_id;
  options.shards = identity.cluster.shards;
  options.loops = std::min(2u, identity.cluster.shards);
  return options;
}

absl::Status MakeAlone(Node* node) {
  RETURN_IF_ERROR(CheckCopies(*node));
  const ClusterMember self = Self(*node);
  if (!node->identity().recovery.has_value()) {
    ASSIGN_OR_RETURN(
        InitialCluster made,
        MakeCluster(node->identity().cluster.shards,
                    {{.node = self.node, .disk = self.disk, .address = self.address}}));
    RETURN_IF_ERROR(node->data->BeginRecovery(std::move(made)));
  }
  ASSIGN_OR_RETURN(const MembersView members,
                   GoOnAlone(EngineOptions(node->identity()), self, node->log.get(),
                             node->state.get(), [](const absl::Status& status) {
                               std::fprintf(stderr, "cannot go on: %s\n",
                                            status.ToString().c_str());
                               _exit(1);  // a crash is always safe
                             }));
  RETURN_IF_ERROR(node->data->WriteMembers(EncodeMembers(members)));
  return node->data->EndRecovery();
}

std::string WhatNext(const Node& node, const std::string& path) {
  const uint64_t id = node.identity().node.value();
  return absl::StrCat(
      "node ", id, " is the only member of the new cluster ", node.identity().cluster.cluster_id,
      ".\nStart it: holdfast serve --data-dir ", path, " --node-id ", id,
      " (without --initial-cluster).\nThen add others, on empty data directories: holdfast cluster "
      "add, and holdfast serve --join.\nThe data directories of the old cluster's other nodes are "
      "refused from now on.\n");
}

absl::Status Run(const RecoverConfig& config) {
  const bool json = config.format == RecoverConfig::Format::kJson;
  ASSIGN_OR_RETURN(Node node, Open(config.data_dir));
  if (!json) PrintText(node);
  nlohmann::json told = json ? ToJson(node) : nlohmann::json();
  if (config.action == RecoverConfig::Action::kRecover) {
    if (IsAlone(node)) {
      if (!json) std::printf("Nothing to do: it is the only member already.\n");
    } else {
      RETURN_IF_ERROR(MakeAlone(&node));
      if (!json) std::printf("%s", WhatNext(node, config.data_dir).c_str());
    }
    told["recovered_cluster_id"] = node.identity().cluster.cluster_id;
  }
  if (json) std::printf("%s\n", told.dump(2).c_str());
  return absl::OkStatus();
}

}  // namespace

int Recover(const RecoverConfig& config) {
  const absl::Status status = Run(config);
  if (status.ok()) return 0;
  std::fprintf(stderr, "holdfast cluster recover: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace holdfast
