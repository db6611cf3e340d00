// An engine for tests of frontends: it knows no rules. Commands are recorded and answered as the
// test says; reserves wait until the test grants them. Answers come from a thread of its own, one
// after the other, as with the real one.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_SERVER_FRONTEND_FAKE_ENGINE_H_
#define HOLDFAST_SERVER_FRONTEND_FAKE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/engine.h"

namespace holdfast {

class FakeEngine final : public Engine {
 public:
  // A command as it arrived, with its bytes.
  struct Received {
    std::string bytes;  // what the command's views point into
    DecodedCommand decoded;
  };

  FakeEngine();
  // Cancels what waits, answers what is owed.
  ~FakeEngine() override;

  // --- What the test says. Set before the first call.
  // Default: every item OK, jobs of an enqueue with rising ids.
  std::function<ExecuteResult(const DecodedCommand&)> on_command;
  std::function<QueryResult(const Query&)> on_query;

  // --- What the test does.
  // Nothing is answered between these two.
  void Hold();
  void Release();
  // Waits until a reserve of this queue waits, and leases it a job; `id` its job id and token 1.
  void Grant(std::string_view queue, std::vector<std::pair<uint64_t, std::string>> jobs);
  // Answers the first waiting reserve of this queue.
  void AnswerReserve(std::string_view queue, ExecuteResult result);
  // A lease of the newest holder ends.
  void EndLease(JobId job, LeaseToken token, Machine::EndedLease::Why why);

  // --- What the test sees.
  // Waits until `n` commands have arrived in all (10 s at most), and returns them.
  std::vector<CommandBody> WaitForCommands(size_t n);
  void WaitForReserves(size_t n);
  size_t reserves_waiting() const;
  std::vector<ReserveRequest> reserves() const;  // all that ever came
  std::vector<LeaseRef> undelivered() const;
  std::vector<std::pair<Holder, LeasesAtClose>> closed() const;

  // --- Engine.
  void Enqueue(std::string_view queue, EnqueueEncoder command, ExecuteDone done) override;
  void Execute(const Command& command, ExecuteDone done) override;
  ReserveId Reserve(ReserveRequest request, ExecuteDone done) override;
  void CancelReserve(ReserveId id) override;
  void Ask(Query query, QueryDone done) override;
  Holder OpenHolder(LeasesAtClose leases, LeaseEndedFn ended) override;
  void CloseHolder(Holder holder, LeasesAtClose leases) override;
  EngineInfo Info() const override;

  // One job as a grant with a payload that has this body.
  static void AddGrant(std::string_view queue, uint64_t id, std::string_view body,
                       ExecuteResult* out);
  static PayloadRef MakePayload(std::string_view body);

 private:
  struct Parked {
    ReserveRequest request;
    ExecuteDone done;
  };
  using Task = absl::AnyInvocable<void() &&>;

  void Run();
  void Post(Task task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Receive(std::string bytes, ExecuteDone done);
  ExecuteResult Default(const DecodedCommand& command);

  mutable absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Received>> received_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Parked> parked_ ABSL_GUARDED_BY(mutex_);
  std::vector<ReserveRequest> reserves_ ABSL_GUARDED_BY(mutex_);
  std::vector<LeaseRef> undelivered_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<Holder, LeasesAtClose>> closed_ ABSL_GUARDED_BY(mutex_);
  std::map<Holder, LeaseEndedFn> holders_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_reserve_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_job_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_holder_ ABSL_GUARDED_BY(mutex_) = 1;
  std::thread thread_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_FAKE_ENGINE_H_
