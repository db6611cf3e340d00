#include "server/cluster/join.h"

#include <grpcpp/client_context.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "server/cluster/members_codec.h"
#include "server/cluster/node_channel.h"

namespace holdfast {
namespace {

constexpr absl::Duration kAskEvery = absl::Milliseconds(500);
constexpr absl::Duration kAnswerWithin = absl::Seconds(5);
constexpr absl::Duration kTellEvery = absl::Seconds(5);

bool IsWorthAnotherTry(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::ABORTED ||
         code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::RESOURCE_EXHAUSTED;
}

absl::Status TakeOver(const peer::v1::JoinResponse& response, const JoinOptions& options,
                      DataDir* data) {
  RETURN_IF_ERROR(DecodeMembers(response.members()).status());
  if (response.cluster_id().empty() || response.shards() == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.through, " does not say what its cluster is"));
  }
  if (options.shards != 0 && options.shards != response.shards()) {
    return absl::FailedPreconditionError(absl::StrCat("the cluster has ", response.shards(),
                                                      " shards, not ", options.shards,
                                                      ": leave --shards out"));
  }
  // First: a node that is of a cluster has to know whom to listen to.
  RETURN_IF_ERROR(data->WriteMembers(response.members()));
  return data->SetCluster(
      {.cluster_id = response.cluster_id(), .shards = response.shards(), .members = {}});
}

}  // namespace

absl::Status Join(const JoinOptions& options, DataDir* data) {
  CHECK(!data->identity().has_cluster());
  const auto stub = peer::v1::Bootstrap::NewStub(MakeNodeChannel(options.through));
  peer::v1::JoinRequest request;
  request.set_node_id(data->identity().node.value());
  request.set_disk_id(data->identity().disk.value());
  request.set_address(options.address);
  absl::Time tell_at = absl::Now();
  for (;;) {
    peer::v1::JoinResponse response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerWithin));
    const grpc::Status status = stub->Join(&context, request, &response);
    if (status.ok()) return TakeOver(response, options, data);
    if (!IsWorthAnotherTry(status.error_code())) {
      return absl::Status(
          static_cast<absl::StatusCode>(status.error_code()),
          absl::StrCat("the cluster at ", options.through, " refused: ", status.error_message()));
    }
    if (absl::Now() >= tell_at) {
      tell_at = absl::Now() + kTellEvery;
      options.on_waiting(
          absl::StrCat("waiting for ", options.through, " (", status.error_message(), ")"));
    }
    if (options.pause(kAskEvery)) return absl::CancelledError("asked to stop before it had joined");
  }
}

}  // namespace holdfast
