// Sends pinned states to nodes that are too far behind to be brought up by log entries.
//
//   Start ─▶ kBegin ─▶ (kGoOn) ─▶ read on the reader, send, ... ─▶ (kDone) ─▶ report kInstalled
//               ▲                        │ the stream broke
//               └── after a pause ◀──────┘                  no progress for too long: kFailed
//
// Chunks go out no faster than Options::bytes_per_second, so that the shards stay responsive, and
// at most Options::chunks_in_flight of a state are without an answer.
//
// Bounds: one state for each (shard, node), chunks_in_flight chunks of each.
// Thread-safety: loop-bound, except for the constructor. Ownership: pinned states are released when
// they have been sent or given up, or with this object; reads under way hold them too.

#ifndef HOLDFAST_SERVER_CLUSTER_SNAPSHOT_SENDER_H_
#define HOLDFAST_SERVER_CLUSTER_SNAPSHOT_SENDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/group_shell.h"
#include "replication/node/state_machine.h"
#include "replication/raft/core.h"
#include "replication/transport/peer_types.h"
#include "server/cluster/snapshot_wire.h"

namespace holdfast {

class SnapshotSender {
 public:
  struct Options {
    uint64_t incarnation = 1;  // of this node: a state of an earlier one is another state
    uint64_t chunk_bytes = 256 << 10;
    uint32_t chunks_in_flight = 4;
    uint64_t bytes_per_second = 64 << 20;  // of all states that this object sends; > 0
    int64_t again_micros = 200'000;        // the pause before it begins again on a new stream
    int64_t patience_micros = 30'000'000;  // without progress a state is given up
  };
  struct Parts {
    Executor* executor = nullptr;
    std::function<SnapshotSend(NodeId, SnapshotPart)> send;
    std::function<void(ShardId, ReplicaId, raft::Core::SnapshotResult)> report;
  };
  SnapshotSender(const Options& options, Parts parts)
      : options_(options), parts_(std::move(parts)) {}

  // Begins to send; what is under way from this shard to this node is given up without a report.
  // `reader`: where the state is read.
  void Start(NodeId to, ShardId shard, PeerMessage message,
             std::shared_ptr<const PinnedState> state, Executor* reader);

  // --- From the transport.
  void OnAnswer(NodeId from, ShardId shard, const std::string& answer);
  void OnStream(NodeId to, SnapshotStream event);

 private:
  using Key = std::pair<ShardId, NodeId>;
  struct Transfer {
    TransferId id;  // of the present try
    ReplicaId replica;
    std::string key;
    std::string message;
    std::shared_ptr<const PinnedState> state;
    Executor* reader = nullptr;
    bool begun = false;  // kGoOn came
    bool reading = false;
    bool read_all = false;
    std::string cursor;                   // of the next chunk to read
    uint32_t unanswered = 0;              // chunks
    std::optional<SnapshotPart> waiting;  // for room in the transport's queue
    int64_t progress_micros = 0;
  };

  Transfer* Find(const Key& key, TransferId id);
  void Begin(const Key& key, Transfer* transfer);
  void BeginAgain(const Key& key, Transfer* transfer);
  void Watch(const Key& key, TransferId first);
  void Queue(const Key& key, Transfer* transfer, SnapshotPart part);
  // Reads the next chunk if it may go.
  void Pump(const Key& key, Transfer* transfer);
  void Read(const Key& key, Transfer* transfer);
  void OnRead(const Key& key, TransferId id, absl::StatusOr<StateChunk> chunk);
  void End(const Key& key, raft::Core::SnapshotResult result);
  int64_t Now() const { return parts_.executor->MonotonicMicros(); }

  const Options options_;
  const Parts parts_;
  std::map<Key, Transfer> transfers_;
  uint64_t transfers_made_ = 0;
  int64_t free_from_micros_ = 0;  // when the next chunk may be read
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_SNAPSHOT_SENDER_H_
