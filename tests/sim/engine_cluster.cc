#include "tests/sim/engine_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/sim/members.h"

namespace holdfast::sim {
namespace {

DiskId DiskNumber(uint64_t n) { return DiskId(1000 + n); }

std::vector<ReplicaId> InitialVoters(const Setup& setup) {
  std::vector<ReplicaId> voters;
  for (uint64_t i = 1; i <= setup.nodes; ++i) {
    voters.push_back(ReplicaOf(NodeId(i), DiskNumber(i)));
  }
  std::sort(voters.begin(), voters.end());
  return voters;
}

raft::Configuration InitialConfiguration(const Setup& setup) {
  raft::Configuration configuration;
  configuration.voters = InitialVoters(setup);
  return configuration;
}

}  // namespace

EngineCluster::EngineCluster(const Schedule& schedule, holdfast::EventQueue* events,
                             Timeline* timeline, RunStats* stats, Trace* trace)
    : schedule_(schedule),
      timeline_(timeline),
      stats_(stats),
      trace_(trace),
      network_(schedule, timeline, stats),
      initial_(InitialVoters(schedule.setup)),
      checker_({}, InitialConfiguration(schedule.setup), this, stats),
      clients_(schedule.seed, {.setup = &schedule.setup,
                               .timeline = timeline,
                               .checker = &checker_,
                               .stats = stats,
                               .engine_at = [this](Slot slot) -> Engine* {
                                 EngineNode* const node = Find(slot);
                                 if (node == nullptr || !node->up()) return nullptr;
                                 return &node->engine();
                               }}) {
  const Setup& setup = schedule.setup;
  const EngineSurroundings around{.setup = &setup,
                                  .events = events,
                                  .timeline = timeline,
                                  .network = &network_,
                                  .checker = &checker_,
                                  .stats = stats,
                                  .trace = trace,
                                  .host = this,
                                  .hash = &hash_,
                                  .seed = schedule.seed};
  for (Slot slot = 0; slot < setup.nodes + setup.spares; ++slot) {
    nodes_.push_back(std::make_unique<EngineNode>(slot, DiskNumber(++disks_), around));
  }
  for (const auto& node : nodes_) Start(node.get());
}

EngineCluster::~EngineCluster() = default;

EngineNode* EngineCluster::NodeOf(ReplicaId replica) {
  for (const auto& node : nodes_) {
    if (node->replica() == replica) return node.get();
  }
  return nullptr;
}

bool EngineCluster::HasEntry(ReplicaId replica, raft::EntryId entry) const {
  for (const auto& node : nodes_) {
    if (node->replica() != replica) continue;
    return entry.index <= node->log().base().index || node->log().TermAt(entry.index) == entry.term;
  }
  return true;  // wiped: not known any more
}

raft::HardState EngineCluster::HardStateOf(ReplicaId replica) const {
  for (const auto& node : nodes_) {
    if (node->replica() == replica) return node->hard_state();
  }
  const auto wiped = wiped_.find(replica);
  return wiped == wiped_.end() ? raft::HardState() : wiped->second;
}

// --- What is so.

EngineNode* EngineCluster::Leader() {
  EngineNode* leader = nullptr;
  Term highest;
  for (const auto& node : nodes_) {
    const std::optional<raft::Status> status = node->GetStatus();
    if (!status.has_value() || status->soft_state.role != raft::Role::kLeader) continue;
    if (leader != nullptr && status->hard_state.term <= highest) continue;
    leader = node.get();
    highest = status->hard_state.term;
  }
  return leader;
}

EngineNode* EngineCluster::Find(Slot slot) {
  if (slot == kLeaderSlot) return Leader();
  return slot < nodes_.size() ? nodes_[slot].get() : nullptr;
}

bool EngineCluster::ConfigurationUnderWay() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [this](const auto& node) {
    return node->ChangesMembersAfter(checker_.configuration_index());
  });
}

bool EngineCluster::MayLose(const std::set<ReplicaId>& lost) const {
  if (ConfigurationUnderWay() || !MajorityAlive(checker_.configuration(), lost)) return false;
  // Who knows that it is no voter does not stand for election, whatever others think of it.
  std::set<ReplicaId> useless = lost;
  std::vector<raft::Configuration> configurations;
  for (const auto& node : nodes_) {
    const std::optional<raft::Status> status = node->GetStatus();
    if (node->up() && !status.has_value()) return false;  // what it knows is not known
    if (!status.has_value()) continue;
    configurations.push_back(status->configuration);
    if (!Contains(status->configuration.voters, node->replica())) useless.insert(node->replica());
  }
  return std::all_of(configurations.begin(), configurations.end(),
                     [&useless](const raft::Configuration& configuration) {
                       return configuration.voters.empty() || MajorityAlive(configuration, useless);
                     });
}

std::vector<const EngineNode*> EngineCluster::LivingMembers() const {
  std::vector<const EngineNode*> living;
  const std::set<ReplicaId> members = AllMembers(checker_.configuration());
  for (const auto& node : nodes_) {
    if (members.contains(node->replica()) && !gone_.contains(node->replica())) {
      living.push_back(node.get());
    }
  }
  return living;
}

std::optional<std::string> EngineCluster::Unsettled() const {
  if (clients_.unanswered() > 0) {
    return absl::StrCat(clients_.unanswered(), " enqueues are not answered");
  }
  if (IsJoint(checker_.configuration())) return "the configuration is joint";
  for (const ReplicaId member : AllMembers(checker_.configuration())) {
    if (wiped_.contains(member)) {
      return absl::StrCat("replica ", member.value(), ", whose disk is gone, is a member");
    }
  }
  for (const EngineNode* const node : LivingMembers()) {
    const std::string who = absl::StrCat("node ", node->slot());
    if (!node->up()) return who + " is down";
    if (node->applied() < checker_.committed()) {
      return absl::StrCat(who, " has applied ", node->applied().value(), " of ",
                          checker_.committed().value());
    }
  }
  return std::nullopt;
}

// --- Actions.

void EngineCluster::Start(EngineNode* node) {
  const bool initial =
      std::find(initial_.begin(), initial_.end(), node->replica()) != initial_.end();
  node->Start(initial ? initial_ : std::vector<ReplicaId>());
}

void EngineCluster::Do(const Action& action) {
  if (trace_->on() && action.kind > ActionKind::kJobs) {
    trace_->Line("*** " + Describe(action));
  }
  switch (action.kind) {
    case ActionKind::kJobs:
      clients_.Do(action.n, action.node);
      return;
    case ActionKind::kLoss:
    case ActionKind::kDelay:
    case ActionKind::kDuplicate:
    case ActionKind::kHalves:
    case ActionKind::kRing:
      network_.Disturb(action, 0);
      return;
    case ActionKind::kMembers:
      ChangeMembers(action.n);
      return;
    case ActionKind::kClocksBack:
      for (const auto& node : nodes_) node->StepClock(-static_cast<int64_t>(action.n) * 1000);
      return;
    default:
      if (EngineNode* const node = Find(action.node); node != nullptr) DoToNode(action, node);
  }
}

void EngineCluster::DoToNode(const Action& action, EngineNode* node) {
  const SimTime until = timeline_->now() + action.lasts;
  switch (action.kind) {
    case ActionKind::kCrash:
      return CrashFor(node, action.lasts);
    case ActionKind::kPause:
      return node->Pause(until);
    case ActionKind::kFailWrite:
      return FailWriteFor(action, node);
    case ActionKind::kSlowDisk:
      return node->SlowDisk(until, action.n);
    case ActionKind::kWipe:
      return Wipe(node, action.lasts);
    case ActionKind::kIsolate:
    case ActionKind::kDeafen:
    case ActionKind::kMute:
    case ActionKind::kCutLink:
      return network_.Disturb(action, node->slot());
    case ActionKind::kTransfer:
      return node->Transfer(nodes_[action.peer]->replica());
    case ActionKind::kFlush:
      return node->Flush();
    case ActionKind::kClockStep:
      return StepClock(action, node);
    default:
      return;
  }
}

void EngineCluster::CrashFor(EngineNode* node, SimTime span) {
  node->Crash();
  timeline_->After(span, [this, node] {
    if (!node->up() && !gone_.contains(node->replica())) Start(node);
  });
}

// A full disk, which has room again by itself, or one that is broken until the process starts anew.
void EngineCluster::FailWriteFor(const Action& action, EngineNode* node) {
  node->FailNextWrite(action.at.count() % 2 == 0 ? absl::ResourceExhaustedError("disk full")
                                                 : absl::UnavailableError("disk failed"));
  timeline_->After(action.lasts, [this, node] {
    if (node->fatal().ok() || gone_.contains(node->replica())) return;
    node->Crash();
    Start(node);
  });
}

void EngineCluster::Wipe(EngineNode* node, SimTime span) {
  std::set<ReplicaId> lost = gone_;
  lost.insert(node->replica());
  if (!MayLose(lost)) return;
  ++stats_->wiped_disks;
  node->Crash();
  wiped_[node->replica()] = node->hard_state();
  gone_.insert(node->replica());
  node->ReplaceDisk(DiskNumber(++disks_));
  CrashFor(node, span);
}

void EngineCluster::ChangeMembers(uint64_t choice) {
  EngineNode* const leader = Leader();
  if (leader == nullptr) return;
  Choice choose{schedule_.setup.pre_vote ? ReplicaId() : leader->replica(), {}, gone_, choice};
  for (const auto& node : nodes_) choose.candidates.push_back(node->replica());
  const auto change = ChooseChange(leader->GetStatus()->configuration, choose);
  if (change.has_value()) leader->ChangeMembers(*change);
}

// One node's clock may be wrong: log time is promised to follow the majority's.
void EngineCluster::StepClock(const Action& action, EngineNode* node) {
  if (schedule_.setup.nodes < 3) return;
  if (!wrong_clock_.has_value()) wrong_clock_ = node->slot();
  nodes_[*wrong_clock_]->StepClock((static_cast<int64_t>(action.n) - (int64_t{1} << 31)) * 1000);
}

// --- Healing.

void EngineCluster::Heal() {
  network_.Heal();
  for (const auto& node : nodes_) {
    node->Heal();
    if (!node->fatal().ok()) node->Crash();
    if (!node->up()) Start(node.get());
  }
  const Setup& setup = schedule_.setup;
  for (const auto& node : nodes_) {
    if ((setup.lost_minority >> node->slot() & 1) == 0) continue;
    std::set<ReplicaId> lost = gone_;
    lost.insert(node->replica());
    if (!MayLose(lost)) continue;
    gone_ = std::move(lost);
    if (trace_->on()) trace_->Line(absl::StrCat("*** node ", node->slot(), " stays away"));
    if (setup.lost_how == ActionKind::kCrash) {
      node->Crash();
    } else if (setup.lost_how == ActionKind::kIsolate) {
      network_.CutOff(node->slot());
    } else {
      node->FailNextWrite(absl::UnavailableError("disk failed"));
    }
  }
}

void EngineCluster::Operate() {
  for (const auto& node : nodes_) {
    if (gone_.contains(node->replica())) continue;
    if (!node->fatal().ok()) node->Crash();
    if (!node->up()) Start(node.get());
  }
  EngineNode* const leader = Leader();
  if (leader == nullptr) return;
  std::set<ReplicaId> wiped;
  for (const auto& [replica, state] : wiped_) wiped.insert(replica);
  const auto change = RepairChange(leader->GetStatus()->configuration, wiped);
  if (change.has_value()) leader->ChangeMembers(*change);
}

}  // namespace holdfast::sim
