// What the holder of a lease may do: delete, release, touch, bury, return; and delete by id.

#include "base/mutant.h"
#include "queue/machine_impl.h"

namespace holdfast {

OutcomeCode Machine::Impl::FindLease(const LeaseRef& lease, QueueState** queue, JobNode** node) {
  *node = jobs_.Find(lease.job);
  if (*node == nullptr) return OutcomeCode::kJobNotFound;
  const Job& job = (*node)->job;
  *queue = LiveQueue(job);
  if (*queue == nullptr) return OutcomeCode::kJobNotFound;
  const bool its_lease = job.token == lease.token || MutantIs(Mutant::kLeaseSurvivesToken);
  const bool valid = job.state == JobState::kReserved && its_lease && now() < job.due &&
                     !holders_.IsClosed(job.holder);
  return valid ? OutcomeCode::kOk : OutcomeCode::kLeaseInvalid;
}

template <class Settle>
Outcome Machine::Impl::SettleEach(const LeaseRefs& leases, Settle settle) {
  if (leases.size() > kItemsPerCommandMax) return Refused(OutcomeCode::kInvalidArgument);
  Outcome outcome;
  outcome.items.reserve(leases.size());
  for (const LeaseRef& lease : leases) {
    ItemOutcome item;
    item.job = lease.job;
    QueueState* queue = nullptr;
    JobNode* node = nullptr;
    item.code = FindLease(lease, &queue, &node);
    if (item.code == OutcomeCode::kOk) settle(queue, node, &item);
    outcome.items.push_back(item);
  }
  Summarise(&outcome);
  return outcome;
}

Outcome Machine::Impl::Do(const DeleteCommand& command) {
  return SettleEach(command.leases,
                    [this](QueueState* queue, JobNode* node, ItemOutcome*) { Erase(queue, node); });
}

Outcome Machine::Impl::Do(const ReleaseCommand& command) {
  if (command.delay.has_value() && *command.delay < LogDuration()) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  const auto release = [&](QueueState* queue, JobNode* node, ItemOutcome* item) {
    Unlink(queue, node);
    Job& job = node->job;
    ++job.releases;
    if (command.priority.has_value()) job.priority = *command.priority;
    if (command.delay.has_value()) job.delay = *command.delay;
    const uint32_t max_attempts = queue->record.options.retry.max_attempts;
    if (command.mode == ReleaseMode::kFail) ++job.failures;
    const bool exhausted = max_attempts > 0 && job.failures >= max_attempts;
    if (command.mode == ReleaseMode::kFail && (exhausted || !command.delay.has_value())) {
      Retry(queue, node);
    } else {
      MakeReadyAt(queue, node, now() + command.delay.value_or(LogDuration()));
    }
    item->state = job.state;
    if (job.state == JobState::kDelayed) item->due = job.due;
  };
  return SettleEach(command.leases, release);
}

Outcome Machine::Impl::Do(const TouchCommand& command) {
  if (command.lease < LogDuration()) return Refused(OutcomeCode::kInvalidArgument);
  const auto touch = [&](QueueState* queue, JobNode* node, ItemOutcome* item) {
    Unlink(queue, node);
    Job& job = node->job;
    job.due = now() + (command.lease == LogDuration() ? job.current_lease : command.lease);
    Link(queue, node);
    item->state = job.state;
    item->due = job.due;
  };
  return SettleEach(command.leases, touch);
}

Outcome Machine::Impl::Do(const BuryCommand& command) {
  const auto bury = [&](QueueState* queue, JobNode* node, ItemOutcome* item) {
    Unlink(queue, node);
    if (command.priority.has_value()) node->job.priority = *command.priority;
    Bury(queue, node, BuriedReason::kByWorker);
    item->state = node->job.state;
  };
  return SettleEach(command.leases, bury);
}

Outcome Machine::Impl::Do(const ReturnUndeliveredCommand& command) {
  const auto give_back = [&](QueueState* queue, JobNode* node, ItemOutcome* item) {
    Unlink(queue, node);
    Job& job = node->job;
    // A kick may have reset the attempts between; a reserve always counts.
    if (job.attempts > 0) --job.attempts;
    --job.reserves;
    MakeReady(queue, node);
    item->state = job.state;
  };
  return SettleEach(command.leases, give_back);
}

JobNode* Machine::Impl::Refresh(JobNode* node) {
  if (node == nullptr) return nullptr;
  const JobId id = node->job.id;
  QueueState* queue = LiveQueue(node->job);
  if (queue == nullptr) return nullptr;
  const Job& job = node->job;
  if (job.state == JobState::kReserved) {
    if (holders_.IsClosed(job.holder)) {
      ReturnFromClosedHolder(queue, node);
    } else if (job.due <= now()) {
      EndLease(queue, node);
    }
  }
  if (job.state == JobState::kDelayed && job.due <= now()) {
    Unlink(queue, node);
    MakeReady(queue, node);
  }
  const bool waits = job.state == JobState::kReady || job.state == JobState::kDelayed;
  if (waits && job.expires <= now()) ExpireJob(queue, node);
  return jobs_.Find(id);
}

Outcome Machine::Impl::Do(const DeleteJobCommand& command) {
  if (command.jobs.size() > kItemsPerCommandMax) return Refused(OutcomeCode::kInvalidArgument);
  Outcome outcome;
  outcome.items.reserve(command.jobs.size());
  for (const JobId id : command.jobs) {
    ItemOutcome item;
    item.job = id;
    JobNode* node = Refresh(jobs_.Find(id));
    if (node == nullptr) {
      item.code = OutcomeCode::kJobNotFound;
    } else if (node->job.state == JobState::kReserved &&
               command.reserved == ReservedJobs::kRefuse) {
      item.code = OutcomeCode::kReserved;
      item.state = node->job.state;
    } else {
      const Job& job = node->job;
      if (job.state == JobState::kReserved) {
        ended_leases_.push_back({job.id, job.token, job.holder, EndedLease::Why::kDeleted});
      }
      Erase(LiveQueue(job), node);
    }
    outcome.items.push_back(item);
  }
  Summarise(&outcome);
  return outcome;
}

}  // namespace holdfast
