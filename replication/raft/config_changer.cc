#include "replication/raft/config_changer.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

namespace holdfast::raft {
namespace {

using Ids = std::vector<ReplicaId>;

bool Contains(const Ids& ids, ReplicaId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

void Insert(Ids* ids, ReplicaId id) {
  const auto at = std::lower_bound(ids->begin(), ids->end(), id);
  if (at == ids->end() || *at != id) ids->insert(at, id);
}

void Erase(Ids* ids, ReplicaId id) {
  const auto at = std::lower_bound(ids->begin(), ids->end(), id);
  if (at != ids->end() && *at == id) ids->erase(at);
}

// How many are in one of the two only.
size_t Differences(const Ids& a, const Ids& b) {
  Ids both;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both.size();
}

void Remove(Configuration* c, ReplicaId id) {
  Erase(&c->voters, id);
  Erase(&c->learners, id);
  Erase(&c->learners_next, id);
}

void AddVoter(Configuration* c, ReplicaId id) {
  Erase(&c->learners, id);
  Erase(&c->learners_next, id);
  Insert(&c->voters, id);
}

void AddLearner(Configuration* c, ReplicaId id) {
  if (Contains(c->learners, id)) return;
  Remove(c, id);
  // Nobody is voter and learner at once: it becomes one when its half goes out.
  Insert(Contains(c->voters_outgoing, id) ? &c->learners_next : &c->learners, id);
}

ChangeFault TakeSteps(const std::vector<ConfigStep>& steps, Configuration* c) {
  for (const ConfigStep& step : steps) {
    if (step.replica == ReplicaId()) continue;
    switch (step.kind) {
      case ConfigStep::Kind::kAddVoter:
        AddVoter(c, step.replica);
        break;
      case ConfigStep::Kind::kRemove:
        Remove(c, step.replica);
        break;
      case ConfigStep::Kind::kAddLearner:
        AddLearner(c, step.replica);
        break;
      case ConfigStep::Kind::kUpdate:
        break;
    }
  }
  return c->voters.empty() ? ChangeFault::kNoVoters : ChangeFault::kNone;
}

ChangeFault LeaveJoint(Configuration* c) {
  if (!IsJoint(*c)) return ChangeFault::kNotJoint;
  for (const ReplicaId id : c->learners_next) Insert(&c->learners, id);
  c->learners_next.clear();
  c->voters_outgoing.clear();
  c->auto_leave = false;
  return ChangeFault::kNone;
}

ChangeFault EnterJoint(const ConfigChange& change, Configuration* c) {
  if (IsJoint(*c)) return ChangeFault::kJoint;
  if (c->voters.empty()) return ChangeFault::kNoVoters;
  c->voters_outgoing = c->voters;
  c->auto_leave = change.transition != ConfigChange::Transition::kExplicit;
  return TakeSteps(change.steps, c);
}

ChangeFault Simple(const ConfigChange& change, Configuration* c) {
  if (IsJoint(*c)) return ChangeFault::kJoint;
  const Ids before = c->voters;
  const ChangeFault fault = TakeSteps(change.steps, c);
  if (fault != ChangeFault::kNone) return fault;
  return Differences(before, c->voters) > 1 ? ChangeFault::kTooManyVoters : ChangeFault::kNone;
}

bool IsAscending(const Ids& ids) {
  return std::is_sorted(ids.begin(), ids.end(), std::less_equal<>()) && !Contains(ids, ReplicaId());
}

}  // namespace

std::string_view Describe(ChangeFault fault) {
  switch (fault) {
    case ChangeFault::kNone:
      return "fits";
    case ChangeFault::kJoint:
      return "the configuration is joint";
    case ChangeFault::kNotJoint:
      return "the configuration is not joint";
    case ChangeFault::kNoVoters:
      return "no voter would be left";
    case ChangeFault::kTooManyVoters:
      return "more than one voter changes without a joint configuration";
  }
  return "";
}

ChangedConfiguration ApplyChange(const Configuration& configuration, const ConfigChange& change) {
  ChangedConfiguration result{.configuration = configuration};
  if (Leaves(change)) {
    result.fault = LeaveJoint(&result.configuration);
  } else if (change.transition != ConfigChange::Transition::kAuto || change.steps.size() > 1) {
    result.fault = EnterJoint(change, &result.configuration);
  } else {
    result.fault = Simple(change, &result.configuration);
  }
  if (result.fault != ChangeFault::kNone) result.configuration = configuration;
  return result;
}

bool IsValid(const Configuration& c) {
  if (!IsAscending(c.voters) || !IsAscending(c.voters_outgoing) || !IsAscending(c.learners) ||
      !IsAscending(c.learners_next)) {
    return false;
  }
  for (const ReplicaId id : c.learners) {
    if (IsVoter(c, id)) return false;
  }
  for (const ReplicaId id : c.learners_next) {
    if (!Contains(c.voters_outgoing, id) || Contains(c.voters, id)) return false;
  }
  if (IsJoint(c)) return !c.voters.empty();
  return c.learners_next.empty() && !c.auto_leave;
}

bool IsJoint(const Configuration& c) { return !c.voters_outgoing.empty(); }

bool IsVoter(const Configuration& c, ReplicaId replica) {
  return Contains(c.voters, replica) || Contains(c.voters_outgoing, replica);
}

bool IsMember(const Configuration& c, ReplicaId replica) {
  return IsVoter(c, replica) || Contains(c.learners, replica);
}

bool Leaves(const ConfigChange& change) {
  return change.transition == ConfigChange::Transition::kAuto && change.steps.empty();
}

}  // namespace holdfast::raft
