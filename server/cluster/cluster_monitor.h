// Asks the other members how they are: every few seconds, and whenever somebody wants to know.
//
//   Ask ──▶ a round: each other member is asked once, at the same time ──▶ their answers
//             │                  │
//             ▼                  ▼
//         ClockWatch        Membership: whoever has a newer table of members has it from a majority
//
// The second is how a node that was removed while it was away, or is not told any more, learns it:
// nobody sends it entries, and the others refuse its streams. Nothing is concluded from silence.
//
// Bounds: one round at a time, of one request to each other member and at most Options::patience;
// whoever asks meanwhile is answered with its end.
// Thread-safety: Ask is thread-safe; Start and Stop from one thread, which is not the executor's.
// Ownership: executor and membership outlive it, and the executor runs until Stop has returned.

#ifndef HOLDFAST_SERVER_CLUSTER_CLUSTER_MONITOR_H_
#define HOLDFAST_SERVER_CLUSTER_CLUSTER_MONITOR_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/types.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "proto/holdfast/peer/v1/peer.pb.h"
#include "server/cluster/clock_offset.h"
#include "server/cluster/membership.h"

namespace holdfast {

class ClusterMonitor {
 public:
  struct Options {
    std::string cluster_id;
    NodeId self;
    int64_t every_micros = 5'000'000;  // > 0
    absl::Duration patience = absl::Seconds(1);
    // A node's clock is apart from this one's, or is right again. On the executor.
    std::function<void(NodeId node, const ClockOffset& clock, ClockWatch::Change change)> on_clock;
  };
  // What came of asking one node.
  struct Heard {
    absl::Status status;  // not OK: nothing else is set
    peer::v1::NodeReport report;
    ClockOffset clock;
  };
  // Of the other members that have come, as this node knows them.
  using Reports = std::map<NodeId, Heard>;
  using Done = absl::AnyInvocable<void(const Reports&) &&>;

  ClusterMonitor(Options options, Executor* executor, Membership* membership);
  // REQUIRES: never started, or stopped.
  ~ClusterMonitor();
  ClusterMonitor(const ClusterMonitor&) = delete;
  ClusterMonitor& operator=(const ClusterMonitor&) = delete;

  void Start();
  // Nothing is asked any more. Returns when the last call has ended; whoever waits is answered.
  void Stop();
  // `done` is called once, on the executor; with nothing after Stop. It must not block.
  void Ask(Done done);

 private:
  struct Call {
    NodeId node;
    int64_t sent_wall_micros = 0;
    int64_t sent_micros = 0;  // monotonic
    int64_t came_micros = 0;  // monotonic
    grpc::ClientContext context;
    peer::v1::GetReportRequest request;
    peer::v1::NodeReport report;
    grpc::Status status;
  };
  // How a node is reached.
  struct Line {
    std::string address;
    std::unique_ptr<peer::v1::Report::Stub> stub;
  };

  void Tick();
  void BeginRound();
  void Send(NodeId node, const PeerPlace& place, uint64_t members_version);
  void OnAnswer();
  void EndRound();
  Heard Judge(Call* call);
  void TakeMembers(const Heard& heard);
  void Add();
  void Remove();

  const Options options_;
  Executor* const executor_;
  Membership* const membership_;

  // On the executor.
  bool stopped_ = true;
  std::map<NodeId, Line> lines_;
  std::vector<std::unique_ptr<Call>> calls_;  // of the round under way
  size_t unanswered_ = 0;                     // of them
  std::vector<Done> waiting_;                 // not empty: a round is under way
  ClockWatch clocks_;

  absl::Mutex mutex_;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;  // what Stop waits for
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLUSTER_MONITOR_H_
