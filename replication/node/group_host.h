// One group on a node: binds it to its loop, the node's log writer, and a thread that reads the
// log back.
//
//   loop:     Group ──Write──▶ LogWriter ──done──▶ loop
//             Group ──Read───▶ reader: LogStore::ReadEntries ──▶ loop
//
// Thread-safety: loop-bound, except for the constructor. Ownership: what Parts points to outlives
// it; the log writer must be stopped, and both executors drained, before it is destroyed.

#ifndef HOLDFAST_REPLICATION_NODE_GROUP_HOST_H_
#define HOLDFAST_REPLICATION_NODE_GROUP_HOST_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/group.h"
#include "replication/node/group_shell.h"
#include "replication/node/log_writer.h"
#include "replication/node/state_machine.h"
#include "storage/log_store.h"

namespace holdfast {

class GroupHost final : public GroupShell {
 public:
  struct Parts {
    Executor* executor = nullptr;
    Executor* reader = nullptr;  // where blocking reads run
    const LogStore* store = nullptr;
    LogWriter* writer = nullptr;
    StateMachine* machine = nullptr;
    std::function<void(const absl::Status&)> on_fatal;
    std::function<void(const GroupView&)> on_view = nullptr;  // may be empty
    // Takes messages to other replicas, and states with kSnapshot messages (else nullptr). Empty:
    // this node has no peers, and what is for them is lost.
    std::function<void(PeerMessage, std::shared_ptr<const PinnedState>)> send = nullptr;
  };

  GroupHost(const Group::Options& options, Parts parts);

  Group* group() { return &group_; }

  // --- GroupShell.
  void Write(LogWrite write, Done done) override;
  void Resume(Done done) override;
  void Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) override;
  void Send(PeerMessage message) override;
  void SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) override;
  void OnView(const GroupView& view) override {
    if (parts_.on_view) parts_.on_view(view);
  }
  void OnFatal(const absl::Status& status) override { parts_.on_fatal(status); }

 private:
  // `done` as the writer's thread calls it.
  LogWriter::Done OnLoop(Done done);

  const ShardId shard_;
  const Parts parts_;
  Group group_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_GROUP_HOST_H_
