#include "queue/job.h"

#include "base/mutant.h"

namespace holdfast {

JobPlaces PlacesOf(const Job& job) {
  JobPlaces places;
  places.queue = job.queue;
  places.state = job.state;
  places.epoch = job.epoch;
  const uint64_t priority = MutantIs(Mutant::kOrderByWrongKey) ? 0 : job.priority;
  const uint64_t key = job.state == JobState::kReady ? priority : job.due.micros();
  places.state_key = SetKey{key, job.id.value()};
  const bool may_expire = job.state == JobState::kReady || job.state == JobState::kDelayed;
  places.expires = may_expire ? job.expires : LogTime::Never();
  if (job.state == JobState::kReserved) places.holder = job.holder;
  return places;
}

}  // namespace holdfast
