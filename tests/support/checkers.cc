#include "tests/support/checkers.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"

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
  std::vector<SeenGrant> grants;  // by token
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

bool Ends(OperationKind kind) { return kind != OperationKind::kTouch; }

bool MayHaveBeenDone(const SeenSettled& seen) { return seen.settled.ended != Ended::kRefused; }

// The earliest log time at which the lease of `grant` can have ended by itself: its expiry, or
// the latest one that a touch other than `except` was acknowledged with.
int64_t ExpiryOf(const Grant& grant, const JobStory& story, const Operation* except) {
  int64_t expiry = grant.expiry_micros;
  for (const SeenSettled& seen : story.settled) {
    const bool touched = seen.operation->kind == OperationKind::kTouch &&
                         seen.settled.ended == Ended::kOk && seen.settled.token == grant.token;
    if (touched && seen.operation != except) expiry = std::max(expiry, seen.settled.expiry_micros);
  }
  return expiry;
}

// Whether the holder of `grant` may have given the job back or deleted it.
bool EndedByHolder(const Grant& grant, const JobStory& story) {
  return std::any_of(story.settled.begin(), story.settled.end(), [&](const SeenSettled& seen) {
    return Ends(seen.operation->kind) && seen.settled.token == grant.token && MayHaveBeenDone(seen);
  });
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

std::vector<Violation> CheckLeasesDoNotOverlap(const std::vector<Operation>& operations) {
  std::vector<Violation> violations;
  const auto add = [&](uint64_t id, uint64_t token, const std::string& what) {
    violations.push_back({"leases do not overlap", absl::StrCat(LeaseName(id, token), what)});
  };
  for (const auto& [id, story] : StoriesById(operations)) {
    for (size_t i = 1; i < story.grants.size(); ++i) {
      const Grant& earlier = story.grants[i - 1].grant;
      const Grant& later = story.grants[i].grant;
      if (earlier.token == later.token) {
        add(id, later.token, " was given twice");
        continue;
      }
      if (later.granted_micros < earlier.granted_micros) {
        add(id, later.token, absl::StrCat(" was granted before ", earlier.token, " was"));
      }
      const int64_t expiry = ExpiryOf(earlier, story, nullptr);
      if (later.granted_micros < expiry && !EndedByHolder(earlier, story)) {
        add(id, later.token,
            absl::StrCat(" was granted ", expiry - later.granted_micros, " us before ",
                         LeaseName(id, earlier.token), " expired"));
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
      const auto add = [&, id = id](const std::string& what) {
        violations.push_back(
            {"a stale token never succeeds",
             absl::StrCat(LeaseName(id, seen.settled.token), " was taken ", what)});
      };
      int64_t expiry = 0;
      bool granted = false;
      for (const SeenGrant& other : story.grants) {
        const bool newer = other.grant.token > seen.settled.token;
        if (newer && other.operation->end_micros < seen.operation->begin_micros) {
          add(absl::StrCat("after ", LeaseName(id, other.grant.token), " had been handed out"));
          break;
        }
        if (other.grant.token == seen.settled.token) {
          granted = true;
          expiry = ExpiryOf(other.grant, story, seen.operation);
        }
      }
      const int64_t late = seen.operation->begin_micros - expiry;
      if (granted && late > options.clock_difference_micros) {
        add(absl::StrCat(late, " us after it had expired"));
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
      if (later || seen.grant.token > deleted->settled.token) {
        violations.push_back(
            {"a delete is final", absl::StrCat(LeaseName(id, seen.grant.token),
                                               " was handed out although the job was deleted with ",
                                               "token ", deleted->settled.token)});
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckNothingEarly(const std::vector<Operation>& operations) {
  std::unordered_map<uint64_t, int64_t> delays;
  for (const Operation& operation : operations) {
    for (const EnqueuedJob& job : operation.enqueued) delays[job.key] = job.delay_micros;
  }
  std::vector<Violation> violations;
  for (const Operation& operation : operations) {
    for (const Grant& grant : operation.grants) {
      const auto delay = delays.find(grant.key);
      if (delay == delays.end()) continue;
      const int64_t early = grant.created_micros + delay->second - grant.granted_micros;
      if (early > 0) {
        violations.push_back(
            {"nothing is handed out before its delay",
             absl::StrCat(LeaseName(grant.id, grant.token), " came ", early, " us early")});
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
        CheckExactlyOnce(operations), CheckLeasesDoNotOverlap(operations),
        CheckStaleTokensFail(operations, options), CheckDeletesAreFinal(operations),
        CheckNothingEarly(operations), CheckCountsConserve(history.counts())}) {
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
