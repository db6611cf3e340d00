// How many streams gRPC still holds, so that a stop can wait for the last.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_STREAM_COUNT_H_
#define HOLDFAST_REPLICATION_TRANSPORT_STREAM_COUNT_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace holdfast {

class StreamCount {
 public:
  void Add() {
    absl::MutexLock lock(&mutex_);
    ++count_;
  }
  // The last thing that is done with a stream.
  void Remove() {
    absl::MutexLock lock(&mutex_);
    --count_;
  }
  // Blocks until there is none; false if that takes longer than `patience`.
  bool AwaitNone(absl::Duration patience) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(
                                       +[](size_t* count) { return *count == 0; }, &count_),
                                   patience);
  }

 private:
  absl::Mutex mutex_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_STREAM_COUNT_H_
