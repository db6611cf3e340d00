// Makes Debian's gRPC, RocksDB and parts of Abseil (status, strings, time) invisible to
// ThreadSanitizer, and what gRPC orders visible.
//
// They are compiled without instrumentation, but ThreadSanitizer still sees their calls of the C
// library (memcpy, free, sendmsg, ...) and not the atomics that order them, so it would report
// races that are none. //third_party/tsan makes copies of the archives in which those calls go to
// `holdfast_quiet_*` instead: the same function, not recorded. What RocksDB orders by pthread
// locks remains visible.
//
// gRPC also hands objects of ours from thread to thread through its queues. For ThreadSanitizer
// gRPC is one big lock here: every lock inside it, starting a batch and taking a completion are
// acquire and release of one address. This cannot report what is no race; it can miss a race
// between two threads that both called gRPC in between.

#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <new>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tools/build/tsan_ignore.h"

namespace {

using holdfast::IgnoreAccesses;

// The address that stands for the order that gRPC makes.
char g_grpc_order;

void AcquireGrpc() { __tsan_acquire(&g_grpc_order); }
void ReleaseGrpc() { __tsan_release(&g_grpc_order); }

}  // namespace

extern "C" {

// The C library, as gRPC and RocksDB call it.

void* holdfast_quiet_memcpy(void* to, const void* from, size_t size) {
  const IgnoreAccesses ignore;
  return memcpy(to, from, size);
}

void* holdfast_quiet_memmove(void* to, const void* from, size_t size) {
  const IgnoreAccesses ignore;
  return memmove(to, from, size);
}

void* holdfast_quiet_memset(void* to, int byte, size_t size) {
  const IgnoreAccesses ignore;
  return memset(to, byte, size);
}

int holdfast_quiet_memcmp(const void* a, const void* b, size_t size) {
  const IgnoreAccesses ignore;
  return memcmp(a, b, size);
}

const void* holdfast_quiet_memchr(const void* a, int byte, size_t size) {
  const IgnoreAccesses ignore;
  return memchr(a, byte, size);
}

size_t holdfast_quiet_strlen(const char* a) {
  const IgnoreAccesses ignore;
  return strlen(a);
}

int holdfast_quiet_strcmp(const char* a, const char* b) {
  const IgnoreAccesses ignore;
  return strcmp(a, b);
}

int holdfast_quiet_strncmp(const char* a, const char* b, size_t size) {
  const IgnoreAccesses ignore;
  return strncmp(a, b, size);
}

const char* holdfast_quiet_strchr(const char* a, int byte) {
  const IgnoreAccesses ignore;
  return strchr(a, byte);
}

const char* holdfast_quiet_strrchr(const char* a, int byte) {
  const IgnoreAccesses ignore;
  return strrchr(a, byte);
}

const char* holdfast_quiet_strstr(const char* a, const char* b) {
  const IgnoreAccesses ignore;
  return strstr(a, b);
}

char* holdfast_quiet_strncpy(char* to, const char* from, size_t size) {
  const IgnoreAccesses ignore;
  return strncpy(to, from, size);
}

char* holdfast_quiet_strcpy(char* to, const char* from) {
  const IgnoreAccesses ignore;
  return strcpy(to, from);
}

size_t holdfast_quiet_strnlen(const char* a, size_t size) {
  const IgnoreAccesses ignore;
  return strnlen(a, size);
}

void* holdfast_quiet_malloc(size_t size) {
  const IgnoreAccesses ignore;
  return malloc(size);
}

void* holdfast_quiet_calloc(size_t count, size_t size) {
  const IgnoreAccesses ignore;
  return calloc(count, size);
}

void* holdfast_quiet_realloc(void* block, size_t size) {
  const IgnoreAccesses ignore;
  return realloc(block, size);
}

void holdfast_quiet_free(void* block) {
  const IgnoreAccesses ignore;
  return free(block);
}

int holdfast_quiet_posix_memalign(void** block, size_t alignment, size_t size) {
  const IgnoreAccesses ignore;
  return posix_memalign(block, alignment, size);
}

ssize_t holdfast_quiet_sendmsg(int file, const msghdr* message, int flags) {
  const IgnoreAccesses ignore;
  return sendmsg(file, message, flags);
}

ssize_t holdfast_quiet_recvmsg(int file, msghdr* message, int flags) {
  const IgnoreAccesses ignore;
  return recvmsg(file, message, flags);
}

ssize_t holdfast_quiet_read(int file, void* to, size_t size) {
  const IgnoreAccesses ignore;
  return read(file, to, size);
}

ssize_t holdfast_quiet_write(int file, const void* from, size_t size) {
  const IgnoreAccesses ignore;
  return write(file, from, size);
}

ssize_t holdfast_quiet_pread(int file, void* to, size_t size, off_t offset) {
  const IgnoreAccesses ignore;
  return pread(file, to, size, offset);
}

ssize_t holdfast_quiet_pwrite(int file, const void* from, size_t size, off_t offset) {
  const IgnoreAccesses ignore;
  return pwrite(file, from, size, offset);
}

void* holdfast_quiet__Znwm(size_t size) {
  const IgnoreAccesses ignore;
  return ::operator new(size);
}

void* holdfast_quiet__Znam(size_t size) {
  const IgnoreAccesses ignore;
  return ::operator new[](size);
}

void* holdfast_quiet__ZnwmRKSt9nothrow_t(size_t size, const std::nothrow_t& tag) {
  const IgnoreAccesses ignore;
  return ::operator new(size, tag);
}

void* holdfast_quiet__ZnwmSt11align_val_t(size_t size, std::align_val_t alignment) {
  const IgnoreAccesses ignore;
  return ::operator new(size, alignment);
}

void* holdfast_quiet__ZnamSt11align_val_t(size_t size, std::align_val_t alignment) {
  const IgnoreAccesses ignore;
  return ::operator new[](size, alignment);
}

void holdfast_quiet__ZdlPv(void* block) {
  const IgnoreAccesses ignore;
  return ::operator delete(block);
}

void holdfast_quiet__ZdlPvm(void* block, size_t size) {
  const IgnoreAccesses ignore;
  return ::operator delete(block, size);
}

void holdfast_quiet__ZdaPv(void* block) {
  const IgnoreAccesses ignore;
  return ::operator delete[](block);
}

void holdfast_quiet__ZdaPvm(void* block, size_t size) {
  const IgnoreAccesses ignore;
  return ::operator delete[](block, size);
}

void holdfast_quiet__ZdlPvSt11align_val_t(void* block, std::align_val_t alignment) {
  const IgnoreAccesses ignore;
  return ::operator delete(block, alignment);
}

void holdfast_quiet__ZdlPvmSt11align_val_t(void* block, size_t size, std::align_val_t alignment) {
  const IgnoreAccesses ignore;
  return ::operator delete(block, size, alignment);
}

void holdfast_quiet__ZdaPvSt11align_val_t(void* block, std::align_val_t alignment) {
  const IgnoreAccesses ignore;
  return ::operator delete[](block, alignment);
}

// gRPC's locks, by their mangled names.

void holdfast_grpc_MutexLock(absl::Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  mutex->Lock();
  AcquireGrpc();
}

bool holdfast_grpc_MutexTryLock(absl::Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool locked = mutex->TryLock();
  if (locked) AcquireGrpc();
  return locked;
}

void holdfast_grpc_MutexUnlock(absl::Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  ReleaseGrpc();
  mutex->Unlock();
}

void holdfast_grpc_CondVarWait(absl::CondVar* condition, absl::Mutex* mutex) {
  ReleaseGrpc();
  condition->Wait(mutex);
  AcquireGrpc();
}

bool holdfast_grpc_CondVarWaitWithTimeout(absl::CondVar* condition, absl::Mutex* mutex,
                                          absl::Duration timeout) {
  ReleaseGrpc();
  const bool timed_out = condition->WaitWithTimeout(mutex, timeout);
  AcquireGrpc();
  return timed_out;
}

bool holdfast_grpc_CondVarWaitWithDeadline(absl::CondVar* condition, absl::Mutex* mutex,
                                           absl::Time deadline) {
  ReleaseGrpc();
  const bool timed_out = condition->WaitWithDeadline(mutex, deadline);
  AcquireGrpc();
  return timed_out;
}

int holdfast_grpc_epoll_wait(int poll, epoll_event* events, int events_max, int timeout_ms) {
  ReleaseGrpc();
  int ready;
  {
    const IgnoreAccesses ignore;
    ready = epoll_wait(poll, events, events_max, timeout_ms);
  }
  AcquireGrpc();
  return ready;
}

// What our code, and gRPC's C++ part, calls of gRPC's core: wrapped by the linker.

grpc_call_error __real_grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count,
                                             void* tag, void* reserved);
grpc_call_error __wrap_grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count,
                                             void* tag, void* reserved) {
  ReleaseGrpc();
  return __real_grpc_call_start_batch(call, ops, count, tag, reserved);
}

void* __real_grpc_call_arena_alloc(grpc_call* call, size_t size);
void* __wrap_grpc_call_arena_alloc(grpc_call* call, size_t size) {
  AcquireGrpc();
  return __real_grpc_call_arena_alloc(call, size);
}

grpc_event __real_grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                             void* reserved);
grpc_event __wrap_grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                             void* reserved) {
  ReleaseGrpc();
  const grpc_event event = __real_grpc_completion_queue_next(queue, deadline, reserved);
  AcquireGrpc();
  return event;
}

grpc_event __real_grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag,
                                              gpr_timespec deadline, void* reserved);
grpc_event __wrap_grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag,
                                              gpr_timespec deadline, void* reserved) {
  ReleaseGrpc();
  const grpc_event event = __real_grpc_completion_queue_pluck(queue, tag, deadline, reserved);
  AcquireGrpc();
  return event;
}

}  // extern "C"
