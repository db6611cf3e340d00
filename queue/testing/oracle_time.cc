// What passing time ends in the oracle, and whom it wakes.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "queue/testing/oracle.h"

namespace holdfast {

bool Oracle::ExpireTimed(Job* job) {
  if (job->state == JobState::kReserved && HolderGone(job->holder)) {
    EndLease(*job, Machine::EndedLease::Why::kHolderClosed);
    MakeReadyOrDelayed(job, LogDuration());
  } else if (job->state == JobState::kReserved && job->due <= now_) {
    EndLease(*job, Machine::EndedLease::Why::kExpired);
    ++job->timeouts;
    ++QueueOf(*job)->total_timeouts;
    Fail(job, std::nullopt);
  } else if (job->state == JobState::kDelayed && job->due <= now_) {
    MakeReadyOrDelayed(job, LogDuration());
  } else {
    return false;
  }
  return true;
}

bool Oracle::TtlEnded(const Job& job) const {
  const bool waits = job.state == JobState::kReady || job.state == JobState::kDelayed;
  return waits && job.expires <= now_;
}

void Oracle::ExpireTtl(Job* job) {
  if (QueueOf(*job)->options.on_expiry == ExpiryAction::kBury) {
    BuryJob(job, BuriedReason::kExpired);
  } else {
    Remove(job->id);
  }
}

Job* Oracle::Refreshed(JobId id) {
  Job* job = Find(id);
  if (job == nullptr) return nullptr;
  while (ExpireTimed(job)) {
  }
  if (TtlEnded(*job)) ExpireTtl(job);
  return Find(id);
}

bool Oracle::ExpireJobs(const QueueRecord* only) {
  bool moved = false;
  for (auto& [id, job] : jobs_) {
    // What a closed holder left is looked for by holder, unless its time is over too.
    if (only == nullptr || (job.queue == only->id && job.due <= now_)) moved |= ExpireTimed(&job);
  }
  return moved;
}

bool Oracle::ExpireTtls(const QueueRecord* only) {
  std::vector<JobId> ended;
  for (const auto& [id, job] : jobs_) {
    if ((only == nullptr || job.queue == only->id) && TtlEnded(job)) ended.push_back(id);
  }
  for (const JobId id : ended) ExpireTtl(Find(id));
  return !ended.empty();
}

void Oracle::EndPause(QueueRecord* queue) {
  if (queue->paused_until == LogTime() || queue->paused_until > now_) return;
  queue->paused_until = LogTime();
  queue->pause = LogDuration();
  resumed_.insert(queue->id);
}

void Oracle::ExpireQueue(QueueRecord* queue) {
  EndPause(queue);
  while (ExpireJobs(queue) || ExpireTtls(queue)) {
  }
}

uint64_t Oracle::DueFor(const ReserveCommand& command, LogTime now) const {
  uint64_t due = 0;
  const auto is_named = [this, &command](QueueId id) {
    return std::any_of(command.queues.begin(), command.queues.end(), [&](std::string_view name) {
      const auto it = queues_.find(name);
      return it != queues_.end() && it->second.id == id;
    });
  };
  for (const auto& [id, job] : jobs_) {
    if (!is_named(job.queue)) continue;
    const bool timed = job.state == JobState::kReserved || job.state == JobState::kDelayed;
    due += timed && job.due <= now;
    due += job.expires <= now;
  }
  for (const auto& [key, dedup] : dedups_) due += dedup.expires <= now && is_named(key.first);
  return due;
}

void Oracle::ForgetSessions() {
  const LogTime now = now_;
  std::erase_if(sessions_, [now](const auto& entry) { return entry.second.expires <= now; });
}

void Oracle::ExpireRest() {
  const LogTime now = now_;
  std::erase_if(dedups_, [now](const auto& entry) { return entry.second.expires <= now; });
  std::erase_if(requests_, [now](const auto& entry) { return entry.second.expires <= now; });
  ForgetSessions();
  for (auto& [name, queue] : queues_) {
    EndPause(&queue);
  }
  UpdateIdle();
  std::erase_if(queues_, [this](const auto& entry) {
    const QueueRecord& queue = entry.second;
    if (queue.has_options || IsPaused(queue) || CountAll(queue.id) != 0) return false;
    for (const auto& [key, dedup] : dedups_) {
      if (key.first == queue.id) return false;
    }
    return queue.idle_since + settings_.idle_queue_linger <= now_;
  });
}

LogTime Oracle::NextJobDeadline() const {
  LogTime next = LogTime::Never();
  for (const auto& [id, job] : jobs_) {
    if (job.state == JobState::kReserved || job.state == JobState::kDelayed) {
      next = std::min(next, job.due);
    }
    if (job.state == JobState::kReady || job.state == JobState::kDelayed) {
      next = std::min(next, job.expires);
    }
  }
  for (const auto& [name, queue] : queues_) {
    if (queue.paused_until != LogTime()) next = std::min(next, queue.paused_until);
  }
  return next;
}

void Oracle::UpdateIdle() {
  for (auto& [name, queue] : queues_) {
    if (CountAll(queue.id) != 0) {
      queue.idle_since = LogTime();
    } else if (queue.idle_since == LogTime()) {
      queue.idle_since = now_;
    }
  }
}

// --- What changed, for the shell.

std::vector<JobId> Oracle::ReadyJobs() const {
  std::vector<JobId> ready;
  for (const auto& [id, job] : jobs_) {
    if (job.state == JobState::kReady) ready.push_back(id);
  }
  return ready;
}

std::set<QueueId> Oracle::OpenQueues() const {
  std::set<QueueId> open;
  for (const auto& [name, queue] : queues_) {
    if (IsOpen(queue)) open.insert(queue.id);
  }
  return open;
}

void Oracle::CollectWakeups(const std::vector<JobId>& ready_before,
                            const std::set<QueueId>& open_before) {
  for (const auto& [name, queue] : queues_) {
    if (!IsOpen(queue)) continue;
    const bool opened = open_before.count(queue.id) == 0 || resumed_.count(queue.id) != 0;
    for (const Job& job : Range(queue.id, JobState::kReady)) {
      const bool new_ready = !std::binary_search(ready_before.begin(), ready_before.end(), job.id);
      if (opened || new_ready) wakeups_.insert(name);
    }
  }
}

std::set<std::string> Oracle::TakeWakeups() { return std::exchange(wakeups_, {}); }

std::vector<Machine::EndedLease> Oracle::TakeEndedLeases() { return std::exchange(ended_, {}); }

}  // namespace holdfast
