// One Work call: keeps reserves waiting in the engine while the worker has credits, pushes what
// they grant, and executes and answers the worker's settlements.
//
//   kOpening --Subscribe--> kRunning --half-close, break, trouble--> kEnding --engine owes
//   nothing, all told--> kClosed (holder closed, Finish called)
//
// Invariants: at most one read and one write are under way; it is closed by the last thread that
// acts for it; unused credits are either free or
// out with a reserve; the holder is closed exactly once, after the engine's last answer; jobs
// granted but not written are returned.
// Bounds: kSettlementsMax settlements without results, then reading stops; kReservesMax reserves
// of at most kReserveJobsMax jobs out; none while granted jobs wait for a write.
// Thread-safety: thread-safe (gRPC and engine threads meet here). Ownership: deletes itself when
// gRPC is done with it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_WORK_STREAM_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_WORK_STREAM_H_

#include <google/protobuf/arena.h>
#include <grpcpp/alarm.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/holdfast/v1/work.pb.h"
#include "server/answer/failure.h"
#include "server/engine/engine.h"
#include "server/frontend/grpc/call_registry.h"
#include "server/frontend/grpc/message_settle.h"
#include "server/frontend/grpc/service.h"

namespace holdfast {

class WorkStreamCall final : public grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>,
                             private LastingCall {
 public:
  static constexpr uint32_t kSettlementsMax = 128;
  static constexpr int kSettlementsPerMessageMax = 100;
  static constexpr uint32_t kReservesMax = 2;
  static constexpr uint32_t kReserveJobsMax = 256;
  // What one message carries at most, so that it fits into a client's default message limit.
  static constexpr size_t kPayloadBytesMax = 3 << 20;
  static constexpr size_t kJobsPerMessageMax = 1000;
  static constexpr size_t kResultsPerMessageMax = 10'000;

  static WorkStreamCall* Start(const CallEnvironment& environment);

 private:
  enum class Phase : uint8_t { kOpening, kRunning, kEnding, kClosed };

  // A settlement that is done, told with the next write.
  struct Settled {
    uint64_t sequence = 0;
    SettleKind kind = SettleKind::kDelete;
    size_t leases = 0;
    std::optional<Failure> refused = {};  // by this frontend
    ExecuteResult result = {};            // otherwise
  };
  struct GrantedJob {
    Grant grant;
    PayloadRef payload;
  };
  struct CancelledLease {
    JobId job;
    LeaseToken token;
    v1::CancelReason reason;
  };
  // What is to be told with one write.
  struct Outbox {
    bool window = false;
    std::optional<absl::Duration> drain;
    std::vector<GrantedJob> jobs;
    std::vector<Settled> settled;
    std::vector<CancelledLease> cancelled;

    bool empty() const {
      return !window && !drain && jobs.empty() && settled.empty() && cancelled.empty();
    }
  };
  // A reserve that is out. `id` is known once the engine's Reserve has returned.
  struct Waiting {
    uint64_t number = 0;
    uint32_t credits = 0;
    ReserveId id;
    bool cancel = false;  // as soon as the id is known
  };
  // What to do next, decided under the lock and done without it: gRPC and the engine may call
  // back at once.
  struct Next {
    bool read = false;
    bool write = false;
    uint64_t reserve_number = 0;  // 0: none
    uint32_t reserve_max = 0;
    std::vector<ReserveId> cancel;
    LeaseRefs give_back;
  };

  explicit WorkStreamCall(const CallEnvironment& environment) : environment_(environment) {}

  // --- Reading.
  // A violation ends the stream.
  Violation Take(const v1::WorkRequest& message);
  Violation Subscribe(const v1::Subscribe& message);
  void AddCredits(uint32_t credits);
  void Settle(const v1::Settlement& settlement);
  void Answer(Settled settled);

  // --- Reserving.
  void Reserve(uint64_t number, uint32_t max);
  void Reserved(uint64_t number, ExecuteResult result);
  // Takes in what a reserve brought; REQUIRES that its Waiting is gone from waiting_.
  void TakeGrants(ExecuteResult result, Next* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No reserve is sent before the engine's retry delay has passed.
  void PauseReserving(absl::Duration delay) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaseEnded(const Machine::EndedLease& lease);

  // --- Deciding and acting. Whatever happens: lock, ++acting_, change, Decide, unlock, Act.
  void DecideReserve(Next* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Decide(Next* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(Next next);
  // True: everything is over, and the caller is the one to Close.
  bool DecideClose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the stream: no more reads of interest, reserves or jobs.
  void End(std::optional<Failure> why, Next* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Break(Next* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write();
  // What fits into one message, from outbox_ to writing_outbox_.
  void TakeFromOutbox() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Jobs that cannot be told are left out, and why is returned.
  absl::Status FillJobs(v1::WorkResponse* out, LeaseRefs* left_out);
  void Close();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Drain(absl::Time deadline) override;

  const CallEnvironment environment_;

  // Of the read that is under way; used by no one else.
  google::protobuf::Arena read_arena_;
  v1::WorkRequest* request_ = nullptr;
  // Of the write that is under way.
  google::protobuf::Arena write_arena_;
  Outbox writing_outbox_;

  // Set by the subscription, before the first reserve; constant from then on.
  std::vector<std::string> queues_;
  LogDuration lease_;
  Holder holder_;
  LeasesAtClose at_close_ = LeasesAtClose::kExpire;

  absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kOpening;
  int acting_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that are not done with this call
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // half-closed, or broken
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;    // nothing can be written any more
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Failure> why_ ABSL_GUARDED_BY(mutex_);  // the stream's status; none: OK
  uint32_t credits_ ABSL_GUARDED_BY(mutex_) = 0;        // not out with a reserve
  bool plenty_ ABSL_GUARDED_BY(mutex_) = false;         // the last reserve got all it asked for
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  uint32_t settling_ ABSL_GUARDED_BY(mutex_) = 0;  // settlements that the engine owes
  // Jobs pushed and neither settled here nor ended; may be off by those settled elsewhere.
  int64_t held_ ABSL_GUARDED_BY(mutex_) = 0;
  Outbox outbox_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;  // until alarm_
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_WORK_STREAM_H_
