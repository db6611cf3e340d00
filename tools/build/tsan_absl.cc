// Tells ThreadSanitizer what Abseil's locks do.
//
// Debian's Abseil is compiled without instrumentation, so ThreadSanitizer cannot see that a lock
// orders two accesses and would report races that are none. The linker's --wrap (see the BUILD
// file) sends every call of a function below, from our code and from Debian's libraries, to
// `__wrap_<function>`, which calls the real one and states the order that it makes.
//
// A lock is modelled as acquire and release of its address: exactly the happens-before relation,
// readers included. A Condition is evaluated inside Abseil by whichever thread holds the lock,
// so accesses made within a call are not recorded.

#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstdint>

#include "absl/base/internal/spinlock_wait.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tools/build/tsan_ignore.h"

namespace {

using absl::BlockingCounter;
using absl::Condition;
using absl::CondVar;
using absl::Duration;
using absl::Mutex;
using absl::Notification;
using absl::Time;
using holdfast::IgnoreAccesses;

// What happened before on this address happened before what follows.
void Acquire(const void* address) { __tsan_acquire(const_cast<void*>(address)); }

// What happened before on this thread happens before the next Acquire of the address.
void Release(const void* address) { __tsan_release(const_cast<void*>(address)); }

// Calls `real` as a function that takes the lock.
template <typename F>
auto Taking(const void* lock, F real) {
  struct AcquireLast {
    const void* lock;
    ~AcquireLast() { Acquire(lock); }
  } acquire_last{lock};
  IgnoreAccesses ignore;
  return real();
}

// Calls `real` as a function that gives the lock back.
template <typename F>
void Giving(const void* lock, F real) {
  Release(lock);
  IgnoreAccesses ignore;
  real();
}

// Calls `real` as a function that gives the lock back and takes it again.
template <typename F>
auto Waiting(const void* lock, F real) {
  Release(lock);
  return Taking(lock, real);
}

}  // namespace

extern "C" {

// Mutex.
void __real__ZN4absl7debian35Mutex4LockEv(Mutex* object);
void __wrap__ZN4absl7debian35Mutex4LockEv(Mutex* object) {
  Taking(object, [&] { __real__ZN4absl7debian35Mutex4LockEv(object); });
}

void __real__ZN4absl7debian35Mutex10ReaderLockEv(Mutex* object);
void __wrap__ZN4absl7debian35Mutex10ReaderLockEv(Mutex* object) {
  Taking(object, [&] { __real__ZN4absl7debian35Mutex10ReaderLockEv(object); });
}

bool __real__ZN4absl7debian35Mutex7TryLockEv(Mutex* object);
bool __wrap__ZN4absl7debian35Mutex7TryLockEv(Mutex* object) {
  return Taking(object, [&] { return __real__ZN4absl7debian35Mutex7TryLockEv(object); });
}

bool __real__ZN4absl7debian35Mutex13ReaderTryLockEv(Mutex* object);
bool __wrap__ZN4absl7debian35Mutex13ReaderTryLockEv(Mutex* object) {
  return Taking(object, [&] { return __real__ZN4absl7debian35Mutex13ReaderTryLockEv(object); });
}

void __real__ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE(Mutex* object,
                                                              const Condition& condition);
void __wrap__ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE(Mutex* object,
                                                              const Condition& condition) {
  Taking(object,
         [&] { __real__ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE(object, condition); });
}

bool __real__ZN4absl7debian35Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout);
bool __wrap__ZN4absl7debian35Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout) {
  return Taking(object, [&] {
    return __real__ZN4absl7debian35Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
        object, condition, timeout);
  });
}

bool __real__ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline);
bool __wrap__ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline) {
  return Taking(object, [&] {
    return __real__ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
        object, condition, deadline);
  });
}

void __real__ZN4absl7debian35Mutex14ReaderLockWhenERKNS0_9ConditionE(Mutex* object,
                                                                     const Condition& condition);
void __wrap__ZN4absl7debian35Mutex14ReaderLockWhenERKNS0_9ConditionE(Mutex* object,
                                                                     const Condition& condition) {
  Taking(object, [&] {
    __real__ZN4absl7debian35Mutex14ReaderLockWhenERKNS0_9ConditionE(object, condition);
  });
}

bool __real__ZN4absl7debian35Mutex25ReaderLockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout);
bool __wrap__ZN4absl7debian35Mutex25ReaderLockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout) {
  return Taking(object, [&] {
    return __real__ZN4absl7debian35Mutex25ReaderLockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE(
        object, condition, timeout);
  });
}

bool __real__ZN4absl7debian35Mutex26ReaderLockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline);
bool __wrap__ZN4absl7debian35Mutex26ReaderLockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline) {
  return Taking(object, [&] {
    return __real__ZN4absl7debian35Mutex26ReaderLockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE(
        object, condition, deadline);
  });
}

void __real__ZN4absl7debian35Mutex6UnlockEv(Mutex* object);
void __wrap__ZN4absl7debian35Mutex6UnlockEv(Mutex* object) {
  Giving(object, [&] { __real__ZN4absl7debian35Mutex6UnlockEv(object); });
}

void __real__ZN4absl7debian35Mutex12ReaderUnlockEv(Mutex* object);
void __wrap__ZN4absl7debian35Mutex12ReaderUnlockEv(Mutex* object) {
  Giving(object, [&] { __real__ZN4absl7debian35Mutex12ReaderUnlockEv(object); });
}

void __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(Mutex* object,
                                                           const Condition& condition);
void __wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(Mutex* object,
                                                           const Condition& condition) {
  Waiting(object,
          [&] { __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(object, condition); });
}

bool __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout);
bool __wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    Mutex* object, const Condition& condition, Duration timeout) {
  return Waiting(object, [&] {
    return __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
        object, condition, timeout);
  });
}

bool __real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline);
bool __wrap__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    Mutex* object, const Condition& condition, Time deadline) {
  return Waiting(object, [&] {
    return __real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
        object, condition, deadline);
  });
}

// CondVar: the lock that matters is the mutex.
void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(CondVar* object, Mutex* mutex);
void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(CondVar* object, Mutex* mutex) {
  Waiting(mutex, [&] { __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(object, mutex); });
}

bool __real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(CondVar* object,
                                                                                 Mutex* mutex,
                                                                                 Duration timeout);
bool __wrap__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(CondVar* object,
                                                                                 Mutex* mutex,
                                                                                 Duration timeout) {
  return Waiting(mutex, [&] {
    return __real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(
        object, mutex, timeout);
  });
}

bool __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(CondVar* object,
                                                                              Mutex* mutex,
                                                                              Time deadline);
bool __wrap__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(CondVar* object,
                                                                              Mutex* mutex,
                                                                              Time deadline) {
  return Waiting(mutex, [&] {
    return __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(object, mutex,
                                                                                    deadline);
  });
}

// Notification, BlockingCounter and the slow path of absl::call_once.
void __real__ZN4absl7debian312Notification6NotifyEv(Notification* object);
void __wrap__ZN4absl7debian312Notification6NotifyEv(Notification* object) {
  // HasBeenNotified() is inline and reads the flag, which stands behind the mutex.
  Release(reinterpret_cast<const char*>(object) + sizeof(Mutex));
  Giving(object, [&] { __real__ZN4absl7debian312Notification6NotifyEv(object); });
}

void __real__ZNK4absl7debian312Notification19WaitForNotificationEv(const Notification* object);
void __wrap__ZNK4absl7debian312Notification19WaitForNotificationEv(const Notification* object) {
  Taking(object, [&] { __real__ZNK4absl7debian312Notification19WaitForNotificationEv(object); });
}

bool __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
    const Notification* object, Duration timeout);
bool __wrap__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
    const Notification* object, Duration timeout) {
  return Taking(object, [&] {
    return __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
        object, timeout);
  });
}

bool __real__ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE(
    const Notification* object, Time deadline);
bool __wrap__ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE(
    const Notification* object, Time deadline) {
  return Taking(object, [&] {
    return __real__ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE(
        object, deadline);
  });
}

bool __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(BlockingCounter* object);
bool __wrap__ZN4absl7debian315BlockingCounter14DecrementCountEv(BlockingCounter* object) {
  return Waiting(
      object, [&] { return __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(object); });
}

void __real__ZN4absl7debian315BlockingCounter4WaitEv(BlockingCounter* object);
void __wrap__ZN4absl7debian315BlockingCounter4WaitEv(BlockingCounter* object) {
  Taking(object, [&] { __real__ZN4absl7debian315BlockingCounter4WaitEv(object); });
}

uint32_t
__real__ZN4absl7debian313base_internal12SpinLockWaitEPSt6atomicIjEiPKNS1_22SpinLockWaitTransitionENS1_14SchedulingModeE(
    std::atomic<uint32_t>* object, int transition_count,
    const absl::base_internal::SpinLockWaitTransition* transitions,
    absl::base_internal::SchedulingMode mode);
uint32_t
__wrap__ZN4absl7debian313base_internal12SpinLockWaitEPSt6atomicIjEiPKNS1_22SpinLockWaitTransitionENS1_14SchedulingModeE(
    std::atomic<uint32_t>* object, int transition_count,
    const absl::base_internal::SpinLockWaitTransition* transitions,
    absl::base_internal::SchedulingMode mode) {
  return Taking(object, [&] {
    return __real__ZN4absl7debian313base_internal12SpinLockWaitEPSt6atomicIjEiPKNS1_22SpinLockWaitTransitionENS1_14SchedulingModeE(
        object, transition_count, transitions, mode);
  });
}
}  // extern "C"
