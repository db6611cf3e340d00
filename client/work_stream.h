// One Work stream: sends what it is given, in as few messages as possible, and reports what comes.
//
// Thread-safety: thread-safe. The callbacks run on gRPC's threads, never two at a time; on_ended
// is the last. Ownership: shared by its owner and, until on_ended has returned, by itself.

#ifndef HOLDFAST_CLIENT_WORK_STREAM_H_
#define HOLDFAST_CLIENT_WORK_STREAM_H_

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/grpcpp.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"

namespace holdfast {

class WorkStream final : public grpc::ClientBidiReactor<v1::WorkRequest, v1::WorkResponse> {
 public:
  using OnResponse = std::function<void(const v1::WorkResponse&)>;
  using OnEnded = std::function<void(const absl::Status&)>;

  static std::shared_ptr<WorkStream> Open(v1::Holdfast::Stub* stub, const v1::Subscribe& subscribe,
                                          OnResponse on_response, OnEnded on_ended);

  void Settle(const v1::Settlement& settlement);
  void AddCredits(uint32_t credits);
  // Sends what waits, then half-closes: the server answers what is open and ends the stream.
  void Close();
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  WorkStream(OnResponse on_response, OnEnded on_ended)
      : on_response_(std::move(on_response)), on_ended_(std::move(on_ended)) {}
  void Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OnResponse on_response_;
  const OnEnded on_ended_;
  grpc::ClientContext context_;
  v1::WorkResponse response_;
  std::shared_ptr<WorkStream> self_;  // until OnDone

  absl::Mutex mutex_;
  v1::WorkRequest sending_;  // the write under way
  v1::WorkRequest next_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_WORK_STREAM_H_
