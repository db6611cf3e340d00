#include "tests/support/checkers.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace holdfast::testing {
namespace {

struct SeenGrant {
  Grant grant;
  const Operation* operation;
};
struct SeenSettled {
  Settled settled;
  const Operation* operation;
};
// All that concerns one job.
struct JobStory {
  std::vector<SeenGrant> grants;  // by token, holds first
  std::vector<SeenSettled> settled;
};

// Ordered by id, so that violations come in the same order every time.
std::map<uint64_t, JobStory> StoriesById(const std::vector<Operation>& operations) {
  std::map<uint64_t, JobStory> stories;
  for (const Operation& operation : operations) {
    for (const Grant& grant : operation.grants) {
      stories[grant.id].grants.push_back({grant, &operation});
    }
    for (const Settled& settled : operation.settled) {
      stories[settled.id].settled.push_back({settled, &operation});
    }
  }
  for (auto& [id, story] : stories) {
    std::stable_sort(
        story.grants.begin(), story.grants.end(),
        [](const SeenGrant& a, const SeenGrant& b) { return a.grant.token < b.grant.token; });
  }
  return stories;
}

std::string LeaseName(uint64_t id, uint64_t token) {
  return absl::StrCat("lease ", id, ":", token);
}
template <class Lease>  // a Grant or a Settled
std::string LeaseName(const Lease& lease) {
  if (lease.hold == 0) return LeaseName(lease.id, lease.token);
  return absl::StrCat("job ", lease.id, " in hold ", lease.hold);
}

bool Ends(OperationKind kind) { return kind != OperationKind::kTouch; }

bool MayHaveBeenDone(const SeenSettled& seen) { return seen.settled.ended != Ended::kRefused; }

bool SameLease(const Settled& settled, const Grant& grant) {
  return settled.token == grant.token && settled.hold == grant.hold;
}

// When it began, as the chaos run tells when its faults began.
std::string At(const Operation& operation) {
  return absl::FormatTime(" (at %H:%M:%E3S)", absl::FromUnixMicros(operation.begin_micros),
                          absl::UTCTimeZone());
}

// How much later than told an expiry may be: that of a hold is told from its operation's begin.
int64_t Leeway(uint64_t hold, const Operation& operation) {
  return hold == 0 ? 0 : operation.end_micros - operation.begin_micros;
}

enum class Bound { kEarliest, kLatest };

// When the lease can have ended by itself: its expiry, or the latest one that a touch other than
// `except` was acknowledged with. In log time; of a hold, by the test's clock.
int64_t ExpiryOf(const SeenGrant& granted, const JobStory& story, Bound bound,
                 const Operation* except = nullptr) {
  const Grant& grant = granted.grant;
  const auto later = [&](const Operation& operation) {
    return bound == Bound::kLatest ? Leeway(grant.hold, operation) : 0;
  };
  int64_t expiry = grant.expiry_micros + later(*granted.operation);
  for (const SeenSettled& seen : story.settled) {
    const bool touched = seen.operation->kind == OperationKind::kTouch &&
                         seen.settled.ended == Ended::kOk && SameLease(seen.settled, grant);
    if (!touched || seen.operation == except) continue;
    expiry = std::max(expiry, seen.settled.expiry_micros + later(*seen.operation));
  }
  return expiry;
}

// The earliest moment, by the test's clock, at which the holder of `grant` may have given the job
// back or deleted it; INT64_MAX: it did not.
int64_t EndedByHolder(const Grant& grant, const JobStory& story) {
  int64_t earliest = INT64_MAX;
  for (const SeenSettled& seen : story.settled) {
    if (!Ends(seen.operation->kind) || !MayHaveBeenDone(seen)) continue;
    if (!SameLease(seen.settled, grant)) continue;
    earliest = std::min(earliest, seen.operation->begin_micros);
  }
  return earliest;
}

int64_t Uncertainty(const Grant& grant, const CheckerOptions& options) {
  return options.clock_difference_micros * (grant.hold == 0 ? 1 : 2);
}

// Whether the lease was valid throughout the operation, by the test's clock.
bool HeldThroughout(const SeenGrant& seen, const JobStory& story, const Operation& operation,
                    const CheckerOptions& options) {
  const int64_t until =
      std::min(ExpiryOf(seen, story, Bound::kEarliest) - Uncertainty(seen.grant, options),
               EndedByHolder(seen.grant, story));
  return seen.operation->end_micros < operation.begin_micros && operation.end_micros < until;
}

// Whether another hand-out came after that of the lease and before it was used; tells which.
const SeenGrant* ReplacedBefore(const SeenSettled& used, const JobStory& story) {
  const SeenGrant* own = nullptr;
  for (const SeenGrant& seen : story.grants) {
    if (SameLease(used.settled, seen.grant)) own = &seen;
  }
  for (const SeenGrant& other : story.grants) {
    if (other.operation->end_micros >= used.operation->begin_micros) continue;
    const bool both_have_tokens = used.settled.hold == 0 && other.grant.hold == 0;
    const bool newer = both_have_tokens
                           ? other.grant.token > used.settled.token
                           : own != nullptr && &other != own &&
                                 other.operation->begin_micros > own->operation->end_micros;
    if (newer) return &other;
  }
  return nullptr;
}

// Whether the lease had been given up for sure before it was used.
bool GivenUpBefore(const SeenSettled& used, const JobStory& story) {
  return std::any_of(story.settled.begin(), story.settled.end(), [&](const SeenSettled& seen) {
    return Ends(seen.operation->kind) && seen.settled.ended == Ended::kOk &&
           seen.settled.token == used.settled.token && seen.settled.hold == used.settled.hold &&
           seen.operation->end_micros < used.operation->begin_micros;
  });
}

// By how much the lease had expired when it was used, at least; 0 if it is not known to have.
int64_t LateBy(const SeenSettled& used, const JobStory& story, const CheckerOptions& options) {
  int64_t late = 0;
  for (const SeenGrant& seen : story.grants) {
    if (!SameLease(used.settled, seen.grant)) continue;
    late = used.operation->begin_micros - ExpiryOf(seen, story, Bound::kLatest, used.operation) -
           Uncertainty(seen.grant, options);
  }
  return late;
}

}  // namespace

std::vector<Violation> CheckNothingLost(const std::vector<Operation>& operations) {
  // By key: a server that lost a job may give its id to another one.
  std::unordered_set<uint64_t> deleted;
  for (const Operation& operation : operations) {
    if (operation.kind != OperationKind::kDelete) continue;
    for (const Settled& settled : operation.settled) {
      if (settled.ended != Ended::kRefused) deleted.insert(settled.key);
    }
  }
  std::map<uint64_t, uint64_t> lost;  // key to id
  for (const Operation& operation : operations) {
    for (const EnqueuedJob& job : operation.enqueued) {
      if (job.ended == Ended::kOk && deleted.count(job.key) == 0) lost[job.key] = job.id;
    }
  }
  std::vector<Violation> violations;
  for (const auto& [key, id] : lost) {
    violations.push_back({"nothing acknowledged is lost", absl::StrCat("job ", id, " (key ", key,
                                                                       ") was acknowledged, never "
                                                                       "deleted, and is gone")});
  }
  return violations;
}

std::vector<Violation> CheckNothingInvented(const std::vector<Operation>& operations) {
  std::unordered_set<uint64_t> possible;         // keys
  std::unordered_map<uint64_t, uint64_t> id_of;  // of acknowledged keys
  for (const Operation& operation : operations) {
    for (const EnqueuedJob& job : operation.enqueued) {
      if (job.ended != Ended::kRefused) possible.insert(job.key);
      if (job.ended == Ended::kOk) id_of.emplace(job.key, job.id);
    }
  }
  std::vector<Violation> violations;
  const auto add = [&](const Grant& grant, const std::string& what) {
    violations.push_back(
        {"nothing is invented", absl::StrCat("job ", grant.id, " (key ", grant.key, ") ", what)});
  };
  for (const Operation& operation : operations) {
    for (const Grant& grant : operation.grants) {
      const auto known = id_of.find(grant.key);
      if (possible.count(grant.key) == 0) {
        add(grant, "was handed out, but was never enqueued or was refused");
      } else if (!grant.body_intact) {
        add(grant, "was handed out with another body than was enqueued");
      } else if (known != id_of.end() && known->second != grant.id) {
        add(grant, absl::StrCat("was acknowledged as job ", known->second));
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckExactlyOnce(const std::vector<Operation>& operations) {
  std::map<uint64_t, std::set<uint64_t>> ids_of_key;
  std::map<uint64_t, std::set<uint64_t>> keys_of_id;
  const auto note = [&](uint64_t key, uint64_t id) {
    ids_of_key[key].insert(id);
    keys_of_id[id].insert(key);
  };
  for (const Operation& operation : operations) {
    for (const EnqueuedJob& job : operation.enqueued) {
      if (job.ended == Ended::kOk) note(job.key, job.id);
    }
    for (const Grant& grant : operation.grants) note(grant.key, grant.id);
  }
  std::vector<Violation> violations;
  for (const auto& [key, ids] : ids_of_key) {
    if (ids.size() > 1) {
      violations.push_back(
          {"an enqueue is done once", absl::StrCat("key ", key, " became ", ids.size(), " jobs, ",
                                                   *ids.begin(), " and ", *ids.rbegin())});
    }
  }
  for (const auto& [id, keys] : keys_of_id) {
    if (keys.size() > 1) {
      violations.push_back(
          {"an id is never reused", absl::StrCat("job ", id, " was ", keys.size(), " jobs, keys ",
                                                 *keys.begin(), " and ", *keys.rbegin())});
    }
  }
  return violations;
}

std::vector<Violation> CheckLeasesDoNotOverlap(const std::vector<Operation>& operations,
                                               const CheckerOptions& options) {
  std::vector<Violation> violations;
  const auto add = [&](const Grant& grant, const std::string& what) {
    violations.push_back({"leases do not overlap", absl::StrCat(LeaseName(grant), what)});
  };
  for (const auto& [id, story] : StoriesById(operations)) {
    for (size_t i = 1; i < story.grants.size(); ++i) {
      const Grant& earlier = story.grants[i - 1].grant;
      const Grant& later = story.grants[i].grant;
      if (earlier.hold != 0) continue;
      if (earlier.token == later.token) {
        add(later, " was given twice");
        continue;
      }
      if (later.granted_micros < earlier.granted_micros) {
        add(later, absl::StrCat(" was granted before ", earlier.token, " was"));
      }
      const int64_t expiry = ExpiryOf(story.grants[i - 1], story, Bound::kEarliest);
      const bool ended = EndedByHolder(earlier, story) <= story.grants[i].operation->end_micros;
      if (later.granted_micros < expiry && !ended) {
        add(later, absl::StrCat(" was granted ", expiry - later.granted_micros, " us before ",
                                LeaseName(earlier), " expired"));
      }
    }
    for (const SeenGrant& later : story.grants) {
      for (const SeenGrant& earlier : story.grants) {
        if (earlier.grant.hold == later.grant.hold) continue;  // the same, or both have tokens
        if (!HeldThroughout(earlier, story, *later.operation, options)) continue;
        add(later.grant, absl::StrCat(" was granted during ", LeaseName(earlier.grant)));
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckStaleTokensFail(const std::vector<Operation>& operations,
                                            const CheckerOptions& options) {
  std::vector<Violation> violations;
  for (const auto& [id, story] : StoriesById(operations)) {
    for (const SeenSettled& seen : story.settled) {
      if (seen.settled.ended != Ended::kOk) continue;
      const auto add = [&](const std::string& what) {
        violations.push_back(
            {"a stale token never succeeds",
             absl::StrCat(LeaseName(seen.settled), " was taken ", what, At(*seen.operation))});
      };
      if (seen.settled.token != 0 || seen.operation->kind != OperationKind::kDelete) {
        if (const SeenGrant* const other = ReplacedBefore(seen, story); other != nullptr) {
          add(absl::StrCat("after ", LeaseName(other->grant), " had been handed out"));
        }
        if (GivenUpBefore(seen, story)) add("after it had been given up");
        if (const int64_t late = LateBy(seen, story, options); late > 0) {
          add(absl::StrCat("at least ", late, " us after it had expired"));
        }
        continue;
      }
      for (const SeenGrant& other : story.grants) {
        if (SameLease(seen.settled, other.grant)) continue;
        if (!HeldThroughout(other, story, *seen.operation, options)) continue;
        add(absl::StrCat("to delete it during ", LeaseName(other.grant)));
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckDeletesAreFinal(const std::vector<Operation>& operations) {
  std::vector<Violation> violations;
  for (const auto& [id, story] : StoriesById(operations)) {
    const SeenSettled* deleted = nullptr;
    for (const SeenSettled& seen : story.settled) {
      if (seen.operation->kind != OperationKind::kDelete) continue;
      if (seen.settled.ended != Ended::kOk) continue;
      if (deleted != nullptr) {
        violations.push_back({"a delete is final",
                              absl::StrCat("job ", id, " was deleted twice, with tokens ",
                                           deleted->settled.token, " and ", seen.settled.token)});
      }
      deleted = &seen;
    }
    if (deleted == nullptr) continue;
    for (const SeenGrant& seen : story.grants) {
      // A token above that of the delete was given after it, or else the delete was stale.
      const bool later = seen.operation->begin_micros > deleted->operation->end_micros;
      const bool both_have_tokens = deleted->settled.token != 0 && seen.grant.token != 0;
      if (later || (both_have_tokens && seen.grant.token > deleted->settled.token)) {
        violations.push_back({"a delete is final",
                              absl::StrCat(LeaseName(seen.grant),
                                           " was handed out although the job was deleted with ",
                                           "token ", deleted->settled.token, At(*seen.operation))});
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckNothingEarly(const std::vector<Operation>& operations,
                                         const CheckerOptions& options) {
  struct Enqueued {
    int64_t begin_micros;
    int64_t delay_micros;
  };
  std::unordered_map<uint64_t, Enqueued> enqueued;
  for (const Operation& operation : operations) {
    for (const EnqueuedJob& job : operation.enqueued) {
      enqueued[job.key] = {operation.begin_micros, job.delay_micros};
    }
  }
  std::vector<Violation> violations;
  for (const Operation& operation : operations) {
    for (const Grant& grant : operation.grants) {
      const auto job = enqueued.find(grant.key);
      if (job == enqueued.end()) continue;
      const auto& [begin_micros, delay_micros] = job->second;
      // Of a hold only what both clients' clocks tell is known.
      const int64_t early =
          grant.hold == 0
              ? grant.created_micros + delay_micros - grant.granted_micros
              : begin_micros + delay_micros - operation.end_micros - Uncertainty(grant, options);
      if (early > 0) {
        violations.push_back({"nothing is handed out before its delay",
                              absl::StrCat(LeaseName(grant), " came ", early, " us early")});
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckCountsConserve(const std::vector<CountsSample>& samples) {
  std::vector<Violation> violations;
  for (const CountsSample& sample : samples) {
    const uint64_t present = sample.ready + sample.delayed + sample.reserved + sample.buried;
    if (sample.total_enqueued != sample.total_deleted + present) {
      violations.push_back(
          {"counts conserve",
           absl::StrCat("queue ", sample.queue, ": ", sample.total_enqueued, " enqueued, ",
                        sample.total_deleted, " deleted, ", present, " present")});
    }
  }
  return violations;
}

std::vector<Violation> CheckAll(const History& history, const CheckerOptions& options) {
  const std::vector<Operation> operations = history.operations();
  std::vector<Violation> all;
  for (std::vector<Violation> found :
       {CheckNothingLost(operations), CheckNothingInvented(operations),
        CheckExactlyOnce(operations), CheckLeasesDoNotOverlap(operations, options),
        CheckStaleTokensFail(operations, options), CheckDeletesAreFinal(operations),
        CheckNothingEarly(operations, options), CheckCountsConserve(history.counts())}) {
    all.insert(all.end(), std::make_move_iterator(found.begin()),
               std::make_move_iterator(found.end()));
  }
  return all;
}

std::string Describe(const std::vector<Violation>& violations, size_t shown_max) {
  std::map<std::string, size_t> counts;
  for (const Violation& violation : violations) ++counts[violation.rule];
  std::string text = absl::StrCat(violations.size(), " violations");
  for (const auto& [rule, count] : counts) absl::StrAppend(&text, "\n  ", count, " x ", rule);
  for (size_t i = 0; i < std::min(shown_max, violations.size()); ++i) {
    absl::StrAppend(&text, "\n  ", violations[i].rule, ": ", violations[i].what);
  }
  return text;
}

}  // namespace holdfast::testing
