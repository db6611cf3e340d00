// The strong types that every part of Holdfast uses for ids, positions and times.
//
// Pure: no clock, no thread, no I/O. A `StrongInt` is exactly its integer in memory; it has
// no implicit conversion from or to another type, so that two ids cannot be swapped in a call.

#ifndef HOLDFAST_BASE_TYPES_H_
#define HOLDFAST_BASE_TYPES_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

namespace holdfast {

// An integer with a name. Value-initialises to 0, which every id type reserves for "none".
template <class Tag, class Rep>
class StrongInt {
 public:
  using rep = Rep;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const StrongInt&) const = default;

  template <class H>
  friend H AbslHashValue(H h, StrongInt id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Rep value_{};
};

// A job: `sequence * S + shard`, sequence from 1; below 2^53; never reused. 0 is no job.
using JobId = StrongInt<struct JobIdTag, uint64_t>;
// A queue inside one shard; drawn in commit order, never reused (a deleted queue's name gets a
// new one). 0 is no queue.
using QueueId = StrongInt<struct QueueIdTag, uint64_t>;
// How often a job has been handed out, so the number of its latest lease. 0: never.
using LeaseToken = StrongInt<struct LeaseTokenTag, uint64_t>;
// A client session of one shard. 0 is no session.
using SessionId = StrongInt<struct SessionIdTag, uint64_t>;
using NodeId = StrongInt<struct NodeIdTag, uint64_t>;
// Drawn at random when a data directory is first used; a wiped disk is another disk.
using DiskId = StrongInt<struct DiskIdTag, uint64_t>;
// One participant of one Raft group: a node together with the disk that it was admitted with. It is
// the value of the node's DiskId, so a node with a wiped disk is somebody else. 0 is nobody.
using ReplicaId = StrongInt<struct ReplicaIdTag, uint64_t>;
// One Raft group, [0, S).
using ShardId = StrongInt<struct ShardIdTag, uint32_t>;
using Term = StrongInt<struct TermTag, uint64_t>;
// A position in one shard's log; the first entry is 1, 0 is "before the first".
using LogIndex = StrongInt<struct LogIndexTag, uint64_t>;

constexpr LogIndex Next(LogIndex index) { return LogIndex(index.value() + 1); }
constexpr LogIndex Previous(LogIndex index) { return LogIndex(index.value() - 1); }

// A span of log time, in microseconds; may be negative in arithmetic.
class LogDuration {
 public:
  constexpr LogDuration() = default;
  static constexpr LogDuration Micros(int64_t n) { return LogDuration(n); }
  static constexpr LogDuration Millis(int64_t n) { return LogDuration(n * 1000); }
  static constexpr LogDuration Seconds(int64_t n) { return LogDuration(n * 1'000'000); }
  static constexpr LogDuration Max() { return LogDuration(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t micros() const { return micros_; }
  constexpr auto operator<=>(const LogDuration&) const = default;
  constexpr LogDuration operator+(LogDuration o) const { return LogDuration(micros_ + o.micros_); }
  constexpr LogDuration operator-(LogDuration o) const { return LogDuration(micros_ - o.micros_); }

 private:
  constexpr explicit LogDuration(int64_t micros) : micros_(micros) {}
  int64_t micros_ = 0;
};

// A moment as the log tells it: microseconds since the Unix epoch, stamped by the leader into
// each entry; never decreases along a shard's log. 0 is "unset", `Never()` is after all others.
class LogTime {
 public:
  constexpr LogTime() = default;
  static constexpr LogTime FromMicros(uint64_t n) { return LogTime(n); }
  static constexpr LogTime Never() { return LogTime(std::numeric_limits<uint64_t>::max()); }

  constexpr uint64_t micros() const { return micros_; }
  constexpr auto operator<=>(const LogTime&) const = default;

  // Saturates at 0 and at Never(), so that a duration of Max() means "for ever".
  constexpr LogTime operator+(LogDuration d) const {
    if (*this == Never() || d == LogDuration::Max()) return Never();
    if (d.micros() < 0) {
      const uint64_t back = static_cast<uint64_t>(-(d.micros() + 1)) + 1;
      return LogTime(back > micros_ ? 0 : micros_ - back);
    }
    const uint64_t ahead = static_cast<uint64_t>(d.micros());
    return ahead > Never().micros() - micros_ ? Never() : LogTime(micros_ + ahead);
  }
  // REQUIRES: both are real moments (not Never()).
  constexpr LogDuration operator-(LogTime o) const {
    return LogDuration::Micros(static_cast<int64_t>(micros_ - o.micros_));
  }

  template <class H>
  friend H AbslHashValue(H h, LogTime t) {
    return H::combine(std::move(h), t.micros_);
  }

 private:
  constexpr explicit LogTime(uint64_t micros) : micros_(micros) {}
  uint64_t micros_ = 0;
};

}  // namespace holdfast

// gtest and CHECK print these through the value; no iostream include is forced on users.
template <class Tag, class Rep>
struct std::hash<holdfast::StrongInt<Tag, Rep>> {
  size_t operator()(holdfast::StrongInt<Tag, Rep> id) const { return std::hash<Rep>()(id.value()); }
};

#endif  // HOLDFAST_BASE_TYPES_H_
