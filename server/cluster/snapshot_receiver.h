// Receives states of other replicas, chunk by chunk, and hands them over when they are whole.
//
// What has come of a state stays when the stream breaks, so that the same state goes on where it
// stopped; it goes when another one begins for the shard, when it cannot be taken, or when nothing
// has come for Options::idle_micros.
//
// Bounds: one state for each shard; chunks are not acknowledged to the transport before they are
// added. Thread-safety: loop-bound, except for the constructor. Ownership: staged states are
// released with this object; additions under way hold them too.

#ifndef HOLDFAST_SERVER_CLUSTER_SNAPSHOT_RECEIVER_H_
#define HOLDFAST_SERVER_CLUSTER_SNAPSHOT_RECEIVER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/group_shell.h"
#include "replication/node/state_machine.h"
#include "replication/transport/peer_types.h"
#include "server/cluster/snapshot_wire.h"

namespace holdfast {

class SnapshotReceiver {
 public:
  struct Options {
    int64_t idle_micros = 60'000'000;
  };
  struct Parts {
    Executor* executor = nullptr;
    std::function<Executor*(ShardId)> reader;  // where chunks of the shard are added
    std::function<absl::StatusOr<std::shared_ptr<StagedState>>(ShardId,
                                                               const raft::SnapshotDescriptor&)>
        stage;
    // A whole state, with the message that it was announced by.
    std::function<void(ShardId, PeerMessage, std::shared_ptr<StagedState>)> received;
    std::function<void(NodeId, ShardId, std::string)> answer;
  };
  SnapshotReceiver(const Options& options, Parts parts)
      : options_(options), parts_(std::move(parts)) {}

  // From the transport. `credit` is kept until the part is dealt with.
  void OnPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit);

 private:
  struct Reception {
    NodeId from;
    TransferId transfer;
    std::string key;
    PeerMessage message;
    std::shared_ptr<StagedState> staged;
    int64_t used_micros = 0;
  };
  // A state that was handed over, so that one whose last answer was lost is not sent again.
  struct Delivered {
    NodeId from;
    std::string key;
  };
  struct Added {
    absl::Status status;
    bool complete = false;
  };

  void Begin(NodeId from, ShardId shard, SnapshotPartHeader header);
  void Add(Reception* reception, ShardId shard, SnapshotPart part, std::shared_ptr<void> credit);
  void OnAdded(ShardId shard, TransferId transfer, const Added& added);
  void Answer(const Reception& reception, ShardId shard, SnapshotAnswer::Kind kind,
              std::string text = {});
  Reception* Find(ShardId shard, TransferId transfer);
  // Whether it was handed over; true once, since what came of it may have been of no use.
  bool TakeDelivered(NodeId from, ShardId shard, const std::string& key);
  void DropWhenIdle(ShardId shard);

  const Options options_;
  const Parts parts_;
  std::map<ShardId, Reception> receptions_;
  std::map<ShardId, Delivered> delivered_;  // the last of each shard, until it is asked for
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_SNAPSHOT_RECEIVER_H_
