#include <algorithm>

#include "base/check.h"
#include "queue/machine_impl.h"

namespace holdfast {

// A job kicked out of buried begins anew; if its ttl had ended it has none from here on, else it
// would be buried again at once.
void Machine::Impl::KickOne(QueueState* queue, JobNode* node) {
  Unlink(queue, node);
  Job& job = node->job;
  ++job.kicks;
  if (job.state == JobState::kBuried) {
    job.attempts = 0;
    job.failures = 0;
    if (job.expires <= now()) job.expires = LogTime::Never();
  }
  MakeReady(queue, node);
}

Outcome Machine::Impl::Do(const KickCommand& command) {
  QueueState* queue = queues_.Find(command.queue);
  if (queue == nullptr) return Refused(OutcomeCode::kQueueNotFound);
  const uint64_t buried = queue->record.counts[static_cast<int>(JobState::kBuried)];
  const bool from_buried = command.from == KickFrom::kBuried ||
                           (command.from == KickFrom::kBuriedElseDelayed && buried > 0);
  PagedSet& set = queue->Set(from_buried ? JobState::kBuried : JobState::kDelayed);
  const uint64_t bound = std::min<uint64_t>({command.bound, kKickMax, set.total()});
  Outcome outcome;
  for (; outcome.count < bound; ++outcome.count) {
    const SetKey* first = set.First();
    CHECK(first != nullptr);
    KickOne(queue, jobs_.Find(JobId(first->id)));
  }
  return outcome;
}

Outcome Machine::Impl::Do(const KickJobsCommand& command) {
  if (command.jobs.size() > kItemsPerCommandMax) return Refused(OutcomeCode::kInvalidArgument);
  Outcome outcome;
  outcome.items.reserve(command.jobs.size());
  for (const JobId id : command.jobs) {
    ItemOutcome item;
    item.job = id;
    JobNode* node = Refresh(jobs_.Find(id));
    if (node == nullptr) {
      item.code = OutcomeCode::kJobNotFound;
    } else if (node->job.state == JobState::kBuried || node->job.state == JobState::kDelayed) {
      KickOne(LiveQueue(node->job), node);
      ++outcome.count;
    } else {
      item.code = OutcomeCode::kNotKickable;
      item.state = node->job.state;
    }
    outcome.items.push_back(item);
  }
  Summarise(&outcome);
  return outcome;
}

}  // namespace holdfast
