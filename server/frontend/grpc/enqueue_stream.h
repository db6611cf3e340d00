// One EnqueueStream call: reads messages of jobs, has them enqueued, and acknowledges whatever is
// done by the time the previous acknowledgement has left.
//
// Invariants: at most one read and one write are under way; messages are given to the engine in
// the order read; the stream is finished only when the engine owes it no answer, by the last
// thread that acts for it.
// Bounds: kMessagesMax messages or kBytesMax bytes unacknowledged, then reading stops, so that
// the client's writes wait.
// Thread-safety: thread-safe (gRPC and engine threads meet here). Ownership: deletes itself when
// gRPC is done with it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_ENQUEUE_STREAM_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_ENQUEUE_STREAM_H_

#include <google/protobuf/arena.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/holdfast/v1/enqueue.pb.h"
#include "server/answer/failure.h"
#include "server/engine/engine.h"
#include "server/frontend/grpc/call_registry.h"
#include "server/frontend/grpc/service.h"

namespace holdfast {

class EnqueueStreamCall final
    : public grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>,
      private LastingCall {
 public:
  static constexpr uint32_t kMessagesMax = 64;
  static constexpr uint64_t kBytesMax = 8 << 20;
  // What one message carries at most, so that it fits into a client's default message limit.
  static constexpr size_t kResultsPerMessageMax = 10'000;

  static EnqueueStreamCall* Start(const CallEnvironment& environment);

 private:
  // A message that is done, acknowledged with the next write.
  struct Done {
    uint64_t sequence = 0;
    size_t jobs = 0;
    std::optional<Failure> refused = {};  // by this frontend
    ExecuteResult result = {};            // otherwise
  };
  // What to do next, decided under the lock and done without it: gRPC and the engine may call
  // back at once.
  struct Next {
    bool read = false;
    bool write = false;
  };

  explicit EnqueueStreamCall(const CallEnvironment& environment) : environment_(environment) {}

  void Submit(const v1::EnqueueStreamRequest& message, size_t bytes);
  void Complete(Done done, size_t bytes);
  // Whatever happens: lock, ++acting_, change, Decide, unlock, Act.
  Next Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(Next next);
  // True: everything is over, and the caller is the one to Finish.
  bool DecideFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteAcknowledgements();
  static void FillAcknowledgement(const Done& done, v1::EnqueueAcknowledgement* out);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Drain(absl::Time deadline) override;

  const CallEnvironment environment_;

  // Of the read that is under way; used by no one else.
  google::protobuf::Arena read_arena_;
  v1::EnqueueStreamRequest* request_ = nullptr;
  // Of the write that is under way.
  google::protobuf::Arena write_arena_;
  std::vector<Done> writing_done_;

  absl::Mutex mutex_;
  int acting_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that are not done with this call
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool window_told_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // half-closed, or broken
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;    // nothing can be written any more
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  uint32_t messages_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t engine_owes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Done> done_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_ENQUEUE_STREAM_H_
