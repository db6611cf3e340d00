#include "server/cluster/cluster_admin.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/cluster/members_codec.h"
#include "server/config/address.h"

namespace holdfast {
namespace {

constexpr int kTries = 5;

}  // namespace

void ClusterAdmin::Start(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  address_ = address;
}

void ClusterAdmin::Change(const MemberChange& change, Done done) {
  Try(change, kTries, std::move(done));
}

absl::StatusOr<MembersView> ClusterAdmin::Next(const ClusterRecordRow& record,
                                               const MemberChange& change) const {
  absl::MutexLock lock(&mutex_);
  if (address_.empty()) return absl::UnavailableError("the node is starting");
  // Until the first change the members are those of the start.
  MembersView now = *parts_.membership->Get();
  if (record.version > 0) {
    ASSIGN_OR_RETURN(now, DecodeMembers(record.record));
  }
  now.version = record.version;
  const NodeId self = parts_.engine->Info().node;
  const auto me = now.members.find(self);
  const bool invites = change.kind == MemberChange::Kind::kAdd;
  if (invites && change.node != self && parts_.alone_only) {
    return absl::FailedPreconditionError(
        "this node runs with --sync interval, which is for a single node: restart it with --sync "
        "always, then add others");
  }
  const bool tells_own_address = me != now.members.end() && me->second.address.empty();
  if (tells_own_address) me->second.address = address_;
  if (invites && me != now.members.end() && IsForAnyInterface(me->second.address)) {
    return absl::FailedPreconditionError(
        absl::StrCat("other nodes cannot reach this one at ", me->second.address,
                     ": restart it with --advertise HOST:PORT, then add them"));
  }
  ASSIGN_OR_RETURN(MembersView next, Changed(now, change, parts_.cluster->NodesUp()));
  return next;
}

void ClusterAdmin::Try(const MemberChange& change, int tries_left, Done done) {
  parts_.engine->Ask(ClusterRecordQuery(), [this, change, tries_left,
                                            done = std::move(done)](QueryResult result) mutable {
    if (!result.status.ok()) return std::move(done)(result.status);
    absl::StatusOr<MembersView> next = Next(result.cluster_record, change);
    if (!next.ok()) return std::move(done)(next.status());
    // What is there already is what was just read, linearizably.
    if (next->version == result.cluster_record.version) return std::move(done)(std::move(next));
    const std::string record = EncodeMembers(*next);
    const PutClusterRecordCommand put{.version = result.cluster_record.version, .record = record};
    parts_.engine->Execute(
        {.request = {}, .body = put}, [this, change, tries_left, next = *std::move(next),
                                       done = std::move(done)](ExecuteResult executed) mutable {
          if (!executed.status.ok()) return std::move(done)(executed.status);
          if (executed.outcome.code == OutcomeCode::kOk) return std::move(done)(std::move(next));
          if (executed.outcome.code == OutcomeCode::kRecordChanged && tries_left > 1) {
            return Try(change, tries_left - 1, std::move(done));
          }
          std::move(done)(absl::AbortedError("the members of the cluster were changed meanwhile"));
        });
  });
}

absl::Status ClusterAdmin::Transfer(const std::vector<ShardId>& shards, NodeId to) {
  const Membership::View view = parts_.membership->Get();
  const ClusterMember* const member = view->Find(to);
  if (member == nullptr || member->state != MemberState::kVoter || member->disk == DiskId()) {
    return absl::FailedPreconditionError(
        absl::StrCat("node ", to.value(), " is no voter of the cluster"));
  }
  if (!parts_.cluster->NodesUp().contains(to)) {
    return absl::FailedPreconditionError(
        absl::StrCat("node ", to.value(), " cannot be reached: it could not lead"));
  }
  for (const ShardId shard : shards) parts_.cluster->TransferLeadership(shard, to);
  return absl::OkStatus();
}

}  // namespace holdfast
