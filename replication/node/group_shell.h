// What surrounds a Group and does its I/O: the disk, the peers, the end of the process.
//
// The daemon's is GroupHost (group_host.h); the simulator has its own.

#ifndef HOLDFAST_REPLICATION_NODE_GROUP_SHELL_H_
#define HOLDFAST_REPLICATION_NODE_GROUP_SHELL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "replication/node/log_write.h"
#include "replication/node/state_machine.h"
#include "replication/raft/types.h"

namespace holdfast {

// A message between replicas, with the sender's wall clock (microseconds since the Unix epoch) as
// it was when the message was made.
struct PeerMessage {
  raft::Message message;
  int64_t wall_micros = 0;
};

// Who leads the shard, as one of its replicas knows it.
struct GroupView {
  Term term;
  ReplicaId leader;         // 0: unknown
  bool leading = false;     // it is this replica, and it may propose
  bool has_others = false;  // the replica is not the only one: it may have to wait for a leader
  bool operator==(const GroupView&) const = default;
};

// Thread-safety: called on the group's executor; calls every `done` exactly once, on that executor
// and not before the call has returned, or never if the process ends.
class GroupShell {
 public:
  using Done = absl::AnyInvocable<void(const absl::Status&) &&>;
  using ReadDone = absl::AnyInvocable<void(absl::StatusOr<std::vector<raft::Entry>>) &&>;

  virtual ~GroupShell() = default;

  // Writes go to the disk and are reported in the order of the calls. When one has failed with
  // RESOURCE_EXHAUSTED nothing of it is in the log, and all after it fail likewise until Resume;
  // after any other error all fail for good.
  virtual void Write(LogWrite write, Done done) = 0;
  // What is written from here on is tried again.
  virtual void Resume(Done done) = 0;

  // Entries of [begin, end) that are in the log store, as LogStore::ReadEntries.
  virtual void Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) = 0;

  // To message.to; may be lost.
  virtual void Send(PeerMessage message) = 0;
  // A kSnapshot message: to be delivered by Group::StepSnapshot when the receiver has staged all of
  // `state`. How it ended is told to Group::ReportSnapshot. One that is under way to the same
  // replica is given up.
  virtual void SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) = 0;

  // `view` is not what it was. Told at the end of whatever has changed it.
  virtual void OnView(const GroupView& view) = 0;

  // The replica cannot go on (its disk failed, or holds what must not be): the process should say
  // why and end. The group does nothing any more.
  virtual void OnFatal(const absl::Status& status) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_GROUP_SHELL_H_
