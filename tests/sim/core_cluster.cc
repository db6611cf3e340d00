#include "tests/sim/core_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/sim/members.h"

namespace holdfast::sim {
namespace {

// Every initial member begins as if a snapshot here had been installed, so that who comes later
// needs one.
constexpr raft::EntryId kBase{Term(1), LogIndex(1)};

raft::Configuration InitialConfiguration(const Setup& setup) {
  raft::Configuration configuration;
  for (uint32_t i = 1; i <= setup.nodes; ++i) configuration.voters.push_back(ReplicaId(i));
  return configuration;
}

std::shared_ptr<const MachineState> InitialState(const Setup& setup) {
  auto state = std::make_shared<MachineState>();
  state->ledger.StartAt(kBase);
  state->configuration = InitialConfiguration(setup);
  return state;
}

}  // namespace

CoreCluster::CoreCluster(const Schedule& schedule, Timeline* queue, RunStats* stats, Trace* trace)
    : schedule_(schedule),
      queue_(queue),
      stats_(stats),
      trace_(trace),
      network_(schedule, queue, stats),
      checker_(kBase, InitialConfiguration(schedule.setup), this, stats),
      clients_(schedule.seed, schedule.setup, queue,
               [this](Slot slot, WriteId write, size_t bytes) {
                 CoreNode* const node = Find(slot);
                 return node != nullptr && node->Write(write, bytes) == raft::ProposeResult::kOk
                            ? WriteClients::Try::kAccepted
                            : WriteClients::Try::kRefused;
               }) {
  const Setup& setup = schedule.setup;
  const Surroundings around{&setup, queue, &network_, &checker_, stats, trace, this, &hash_};
  for (Slot slot = 0; slot < setup.nodes + setup.spares; ++slot) {
    auto state = slot < setup.nodes ? InitialState(setup) : std::make_shared<const MachineState>();
    nodes_.push_back(std::make_unique<CoreNode>(slot, ReplicaId(++disks_), std::move(state),
                                                schedule.seed * 31 + slot, around));
  }
  for (const auto& node : nodes_) node->Start();
}

CoreCluster::~CoreCluster() = default;

// --- NodeHost.

CoreNode* CoreCluster::NodeOf(ReplicaId replica) {
  for (const auto& node : nodes_) {
    if (node->replica() == replica) return node.get();
  }
  return nullptr;
}

void CoreCluster::OnAcknowledged(WriteId write, LogIndex index) {
  if (!clients_.acknowledged(write)) ++stats_->acknowledged;
  clients_.OnAcknowledged(write, index);
}

void CoreCluster::OnReadAnswered(ReadId read) {
  const auto at = healed_reads_.find(read);
  if (at != healed_reads_.end()) has_read_.insert(at->second);
}

std::string CoreCluster::Pin(std::shared_ptr<const MachineState> state) {
  pinned_.push_back(std::move(state));
  return std::to_string(pinned_.size() - 1);
}

std::shared_ptr<const MachineState> CoreCluster::Pinned(const std::string& source) {
  size_t number = 0;
  CHECK(absl::SimpleAtoi(source, &number));
  CHECK_LT(number, pinned_.size());
  return pinned_[number];
}

// --- What is so.

CoreNode* CoreCluster::Leader() {
  CoreNode* leader = nullptr;
  for (const auto& node : nodes_) {
    if (!node->up() || node->core().role() != raft::Role::kLeader) continue;
    if (leader == nullptr || node->core().term() > leader->core().term()) leader = node.get();
  }
  return leader;
}

CoreNode* CoreCluster::Find(Slot slot) {
  if (slot == kLeaderSlot) return Leader();
  return slot < nodes_.size() ? nodes_[slot].get() : nullptr;
}

bool CoreCluster::HasEntry(ReplicaId replica, raft::EntryId entry) const {
  const LogImage* log = nullptr;
  for (const auto& node : nodes_) {
    if (node->replica() == replica) log = &node->disk().log();
  }
  const auto wiped = wiped_.find(replica);
  if (wiped != wiped_.end()) log = &wiped->second.log;
  if (log == nullptr) return false;
  return entry.index <= log->base().index || log->TermAt(entry.index) == entry.term;
}

raft::HardState CoreCluster::HardStateOf(ReplicaId replica) const {
  const auto wiped = wiped_.find(replica);
  if (wiped != wiped_.end()) return wiped->second.hard_state;
  for (const auto& node : nodes_) {
    if (node->replica() == replica) return node->disk().hard_state();
  }
  return {};
}

bool CoreCluster::ConfigurationUnderWay() const {
  const auto has = [this](const LogImage& log) {
    return std::any_of(log.entries().rbegin(), log.entries().rend(), [this](const auto& entry) {
      return entry.type == raft::EntryType::kConfiguration &&
             entry.index > checker_.configuration_index();
    });
  };
  return std::any_of(nodes_.begin(), nodes_.end(), [&has](const auto& node) {
    return has(node->disk().log()) || (node->up() && has(node->log()));
  });
}

bool CoreCluster::MayLose(const std::set<ReplicaId>& lost) const {
  if (ConfigurationUnderWay() || !MajorityAlive(checker_.configuration(), lost)) return false;
  // Who knows that it is no voter does not stand for election, whatever others think of it.
  std::set<ReplicaId> useless = lost;
  for (const auto& node : nodes_) {
    if (node->up() && !Contains(node->core().configuration().voters, node->replica())) {
      useless.insert(node->replica());
    }
  }
  return std::all_of(nodes_.begin(), nodes_.end(), [&useless](const auto& node) {
    return !node->up() || MajorityAlive(node->core().configuration(), useless);
  });
}

std::vector<const CoreNode*> CoreCluster::LivingMembers() const {
  std::vector<const CoreNode*> living;
  const std::set<ReplicaId> members = AllMembers(checker_.configuration());
  for (const auto& node : nodes_) {
    if (members.contains(node->replica()) && !gone_.contains(node->replica())) {
      living.push_back(node.get());
    }
  }
  return living;
}

std::optional<std::string> CoreCluster::Unsettled() const {
  if (clients_.unacknowledged() > 0) {
    return absl::StrCat(clients_.unacknowledged(), " writes are not acknowledged");
  }
  if (IsJoint(checker_.configuration())) return "the configuration is joint";
  for (const ReplicaId member : AllMembers(checker_.configuration())) {
    if (wiped_.contains(member)) {
      return absl::StrCat("replica ", member.value(), ", whose disk is gone, is a member");
    }
  }
  for (const CoreNode* const node : LivingMembers()) {
    const std::string who = absl::StrCat("node ", node->slot());
    if (!node->up()) return who + " is down";
    const Ledger& ledger = node->machine().ledger;
    if (ledger.applied().index < checker_.committed()) {
      return absl::StrCat(who, " has applied ", ledger.applied().index.value(), " of ",
                          checker_.committed().value());
    }
    if (!has_read_.contains(node->slot())) return who + " has answered no read";
  }
  return std::nullopt;
}

// --- Actions.

void CoreCluster::Do(const Action& action) {
  if (trace_->on() && action.kind > ActionKind::kJobs) {
    trace_->Line("*** " + Describe(action));
  }
  CoreNode* const node = Find(action.node);
  switch (action.kind) {
    case ActionKind::kWrite:
      clients_.Begin(action.node);
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
    default:
      if (node != nullptr) DoToNode(action, node);
  }
}

void CoreCluster::DoToNode(const Action& action, CoreNode* node) {
  const SimTime until = queue_->now() + action.lasts;
  switch (action.kind) {
    case ActionKind::kRead:
      return node->Read(++reads_);
    case ActionKind::kCrash:
      return CrashFor(node, action.lasts);
    case ActionKind::kPause:
      ++stats_->pauses;
      return node->Pause(until);
    case ActionKind::kFailWrite:
      return FailWriteFor(node, action.lasts);
    case ActionKind::kSlowDisk:
      return node->SlowDisk(until, action.n);
    case ActionKind::kSlowApply:
      return node->SlowApply(until, action.n);
    case ActionKind::kWipe:
      return Wipe(node, action.lasts);
    case ActionKind::kIsolate:
    case ActionKind::kDeafen:
    case ActionKind::kMute:
    case ActionKind::kCutLink:
      return network_.Disturb(action, node->slot());
    case ActionKind::kCampaign:
      return node->Campaign();
    case ActionKind::kTransfer:
      ++stats_->transfers;
      return node->Transfer(nodes_[action.peer]->replica());
    case ActionKind::kForgetLeader:
      return node->ForgetLeader();
    case ActionKind::kFlush:
      return node->Flush();
    case ActionKind::kCutLog:
      return node->CutLog(action.n);
    default:
      return;
  }
}

void CoreCluster::CrashFor(CoreNode* node, SimTime span) {
  node->Crash();
  queue_->After(span, [this, node] {
    if (!node->up() && !gone_.contains(node->replica())) node->Start();
  });
}

void CoreCluster::FailWriteFor(CoreNode* node, SimTime span) {
  node->FailNextWrite();
  queue_->After(span, [this, node] {
    if (!node->disk_failed() || gone_.contains(node->replica())) return;
    node->Crash();
    node->Start();
  });
}

void CoreCluster::Wipe(CoreNode* node, SimTime span) {
  std::set<ReplicaId> lost = gone_;
  lost.insert(node->replica());
  if (!MayLose(lost)) return;
  ++stats_->wiped_disks;
  node->Crash();
  wiped_[node->replica()] = {node->disk().log(), node->disk().hard_state()};
  gone_.insert(node->replica());
  node->ReplaceDisk(ReplicaId(++disks_), std::make_shared<const MachineState>());
  CrashFor(node, span);
}

void CoreCluster::ChangeMembers(uint64_t choice) {
  CoreNode* const leader = Leader();
  if (leader == nullptr) return;
  Choice choose{schedule_.setup.pre_vote ? ReplicaId() : leader->replica(), {}, gone_, choice};
  for (const auto& node : nodes_) choose.candidates.push_back(node->replica());
  const auto change = ChooseChange(leader->core().configuration(), choose);
  if (change.has_value()) leader->ChangeMembers(*change);
}

// --- Healing.

void CoreCluster::LoseMinority() {
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
      node->FailNextWrite();
    }
  }
}

void CoreCluster::Heal() {
  network_.Heal();
  for (const auto& node : nodes_) {
    node->Heal();
    if (node->disk_failed()) node->Crash();
    if (!node->up()) node->Start();
  }
  LoseMinority();
}

void CoreCluster::Operate() {
  const std::set<ReplicaId> members = AllMembers(checker_.configuration());
  // Who has been removed may still be needed by members that do not know it yet.
  const auto living = LivingMembers();
  const bool at_rest =
      !ConfigurationUnderWay() &&
      std::all_of(living.begin(), living.end(), [this](const CoreNode* node) {
        return node->up() && node->core().configuration() == checker_.configuration();
      });
  for (const auto& node : nodes_) {
    if (gone_.contains(node->replica())) continue;
    const bool member = members.contains(node->replica());
    if (member && !node->up()) node->Start();
    if (!member && at_rest) node->Crash();
  }
  CoreNode* const leader = Leader();
  if (leader == nullptr) return;
  std::set<ReplicaId> wiped;
  for (const auto& [replica, disk] : wiped_) wiped.insert(replica);
  const auto change = RepairChange(leader->core().configuration(), wiped);
  if (change.has_value()) leader->ChangeMembers(*change);
}

void CoreCluster::ReadEverywhere() {
  for (const auto& node : nodes_) {
    if (has_read_.contains(node->slot()) || gone_.contains(node->replica())) continue;
    const ReadId read = ++reads_;
    healed_reads_[read] = node->slot();
    node->Read(read);
  }
}

}  // namespace holdfast::sim
