#include "tests/sim/profile.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace holdfast::sim {
namespace {

// How often a kind comes per second of faults at most, for how long, and what its `n` is drawn
// from.
struct KindShape {
  ActionKind kind;
  uint32_t per_second_max;
  uint32_t lasts_ms_min;
  uint32_t lasts_ms_max;
  uint64_t n_max;
};

constexpr KindShape kShapes[] = {
    {ActionKind::kCrash, 4, 10, 700, 0},
    {ActionKind::kPause, 3, 10, 600, 0},
    {ActionKind::kFailWrite, 2, 20, 500, 0},
    {ActionKind::kSlowDisk, 2, 50, 800, 150'000},
    {ActionKind::kSlowApply, 2, 50, 800, 100'000},
    {ActionKind::kWipe, 1, 10, 300, 0},
    {ActionKind::kIsolate, 3, 30, 900, 0},
    {ActionKind::kDeafen, 2, 30, 700, 0},
    {ActionKind::kMute, 2, 30, 700, 0},
    {ActionKind::kCutLink, 4, 30, 900, 0},
    {ActionKind::kHalves, 2, 30, 900, UINT64_MAX},
    {ActionKind::kRing, 1, 100, 900, 0},
    {ActionKind::kLoss, 2, 50, 900, 600},
    {ActionKind::kDelay, 2, 50, 900, 200'000},
    {ActionKind::kDuplicate, 2, 50, 900, 600},
    {ActionKind::kCampaign, 4, 0, 0, 0},
    {ActionKind::kTransfer, 4, 0, 0, 0},
    {ActionKind::kForgetLeader, 2, 0, 0, 0},
    {ActionKind::kMembers, 6, 0, 0, UINT64_MAX},
    {ActionKind::kFlush, 20, 0, 0, 0},
    {ActionKind::kCutLog, 12, 0, 0, 12},
    {ActionKind::kClockStep, 3, 0, 0, UINT64_MAX},
    {ActionKind::kClocksBack, 0, 0, 0, 60'000},
};

const KindShape& ShapeOf(ActionKind kind) {
  for (const KindShape& shape : kShapes) {
    if (shape.kind == kind) return shape;
  }
  CHECK(false);
  return kShapes[0];
}

template <class T, size_t kCount>
T Pick(Prng& random, const T (&choices)[kCount]) {
  return choices[random.Below(kCount)];
}

void DrawRaft(Prng& random, Setup* setup) {
  setup->nodes = Pick<uint32_t>(random, {3, 3, 3, 3, 5, 5, 5, 4, 2, 1});
  setup->faults_end = SimTime(random.Between(1'500'000, 4'000'000));
  setup->election_ticks = Pick<uint32_t>(random, {6, 10, 10, 16});
  setup->heartbeat_ticks = Pick<uint32_t>(random, {1, 1, 2});
  setup->write_apart = random.Chance(4, 5);
  setup->pre_vote = random.Chance(4, 5);
  setup->check_quorum = random.Chance(4, 5);
  setup->message_bytes_max = Pick<uint64_t>(random, {1, 200, 2'000, 1 << 20});
  setup->committed_bytes_max = Pick<uint64_t>(random, {200, 4'000, 4 << 20});
  setup->uncommitted_bytes_max = Pick<uint64_t>(random, {2'000, UINT64_MAX});
  setup->inflight_messages_max = Pick<uint32_t>(random, {1, 2, 8, 256});
  setup->inflight_bytes_max =
      random.Chance(1, 3) ? std::max<uint64_t>(setup->message_bytes_max, 400) : UINT64_MAX;
}

void DrawSurroundings(Prng& random, Setup* setup) {
  setup->delay_max = SimTime(Pick<uint32_t>(random, {500, 2'000, 10'000, 40'000}));
  setup->reorder = random.Chance(1, 2);
  setup->loss_per_1000 = Pick<uint32_t>(random, {0, 0, 10, 60});
  setup->duplicate_per_1000 = Pick<uint32_t>(random, {0, 0, 20, 100});
  setup->late_duplicate_per_1000 = Pick<uint32_t>(random, {0, 0, 20});
  setup->shorter_per_1000 = Pick<uint32_t>(random, {0, 0, 50});
  setup->write_max = SimTime(Pick<uint32_t>(random, {300, 2'000, 15'000, 60'000}));
  setup->apply_max = SimTime(Pick<uint32_t>(random, {100, 1'000, 15'000}));
  setup->cached_entries = Pick<uint32_t>(random, {0, 5, 1'000, 1'000});
  setup->write_bytes_max = Pick<uint32_t>(random, {20, 200, 1'000});
}

// At most a minority of the initial members stays away after healing, in half of the seeds.
void DrawLostMinority(Prng& random, Setup* setup) {
  const uint32_t minority = (setup->nodes - 1) / 2;
  if (minority == 0 || random.Chance(1, 2)) return;
  for (uint64_t i = random.Between(1, minority); i > 0; --i) {
    setup->lost_minority |= uint64_t{1} << random.Below(setup->nodes);
  }
  setup->lost_how =
      Pick(random, {ActionKind::kCrash, ActionKind::kIsolate, ActionKind::kFailWrite});
}

Slot DrawSlot(Prng& random, const Setup& setup) {
  if (random.Chance(2, 5)) return kLeaderSlot;
  return static_cast<Slot>(random.Below(setup.nodes + setup.spares));
}

void DrawFaults(Prng& random, ActionKind kind, Schedule* schedule) {
  const Setup& setup = schedule->setup;
  const KindShape& shape = ShapeOf(kind);
  const uint64_t micros = static_cast<uint64_t>(setup.faults_end.count());
  const uint64_t count_max = std::max<uint64_t>(1, shape.per_second_max * micros / 1'000'000);
  for (uint64_t i = random.Between(1, count_max); i > 0; --i) {
    Action action;
    action.at = SimTime(random.Below(micros));
    action.kind = kind;
    action.node = DrawSlot(random, setup);
    action.peer = static_cast<Slot>(random.Below(setup.nodes + setup.spares));
    action.lasts = SimTime(1000 * random.Between(shape.lasts_ms_min, shape.lasts_ms_max));
    if (kind == ActionKind::kClockStep) {
      // Far ahead, or a little behind: a leader whose own clock is far behind may take log time
      // from it, as the earlier of two.
      const uint64_t ahead = Pick<uint64_t>(random, {50, 2'000, 3'600'000});
      const uint64_t behind = std::min<uint64_t>(ahead, 1'000);
      action.n = (uint64_t{1} << 31) - behind + random.Below(ahead + behind);
    } else if (kind == ActionKind::kHalves) {
      action.n = random.Below(uint64_t{1} << (setup.nodes + setup.spares));
    } else if (shape.n_max > 0) {
      action.n = shape.n_max == UINT64_MAX ? random.Next() : random.Between(1, shape.n_max);
    }
    schedule->actions.push_back(action);
  }
}

void DrawClients(Prng& random, Layer layer, Schedule* schedule) {
  const Setup& setup = schedule->setup;
  const uint64_t every = Pick<uint64_t>(random, {4'000, 8'000, 8'000, 30'000});
  const uint64_t reads_per_10 = Pick<uint64_t>(random, {0, 2, 6});
  for (uint64_t at = random.Below(every); at < static_cast<uint64_t>(setup.faults_end.count());
       at += 1 + random.Below(2 * every)) {
    Action action;
    action.at = SimTime(at);
    action.kind = random.Chance(reads_per_10, 10) ? ActionKind::kRead
                  : layer == Layer::kCore         ? ActionKind::kWrite
                                                  : ActionKind::kJobs;
    action.node = random.Chance(2, 3) ? kLeaderSlot
                                      : static_cast<Slot>(random.Below(setup.nodes + setup.spares));
    action.n = random.Next();
    schedule->actions.push_back(action);
  }
}

// Everything that can happen to links, between `before` and `after`.
std::vector<ActionKind> WithLinks(std::vector<ActionKind> before,
                                  const std::vector<ActionKind>& after = {}) {
  using enum ActionKind;
  before.insert(before.end(),
                {kIsolate, kDeafen, kMute, kCutLink, kHalves, kRing, kLoss, kDelay, kDuplicate});
  before.insert(before.end(), after.begin(), after.end());
  return before;
}

std::vector<Profile> CoreProfiles() {
  using enum ActionKind;
  return {
      {"core",
       "the bare Raft core, every fault",
       Layer::kCore,
       WithLinks(
           {kCrash, kPause, kSlowDisk, kSlowApply},
           {kFailWrite, kCampaign, kTransfer, kForgetLeader, kMembers, kFlush, kCutLog, kWipe}),
       {}},
      {"core-members",
       "the bare core, members change all the time",
       Layer::kCore,
       WithLinks({kCrash, kPause, kSlowDisk, kTransfer, kFlush, kCutLog}),
       {kMembers}},
      {"core-snapshots",
       "the bare core, logs are cut all the time",
       Layer::kCore,
       WithLinks({kCrash, kSlowDisk, kSlowApply, kMembers, kFailWrite}),
       {kFlush, kCutLog}},
      {"core-disks",
       "the bare core, crashes, failing, slow and wiped disks",
       Layer::kCore,
       {kIsolate, kPause, kCampaign, kTransfer, kFlush, kCutLog, kSlowDisk, kWipe, kFailWrite},
       {kCrash}},
      {"core-writes",
       "the bare core, slow disks while leadership changes",
       Layer::kCore,
       WithLinks({kPause, kTransfer, kFailWrite}),
       {kSlowDisk, kSlowDisk, kSlowDisk, kCampaign, kIsolate}},
      {"core-elections",
       "the bare core, leadership changes all the time",
       Layer::kCore,
       WithLinks({kCrash, kSlowDisk, kPause, kForgetLeader}),
       {kCampaign, kTransfer}},
  };
}

std::vector<Profile> EngineProfiles() {
  using enum ActionKind;
  return {
      {"engine",
       "groups, shards and queues, crashes and partitions",
       Layer::kEngine,
       WithLinks({kCrash, kPause, kSlowDisk, kTransfer, kFlush}),
       {}},
      {"membership",
       "the engine, members change all the time",
       Layer::kEngine,
       WithLinks({kCrash, kPause, kTransfer, kFlush}),
       {kMembers}},
      {"snapshots",
       "the engine, the log keeps next to nothing",
       Layer::kEngine,
       WithLinks({kCrash, kPause, kMembers}),
       {kFlush, kCutLog}},
      {"disk",
       "the engine, failing, full and slow disks",
       Layer::kEngine,
       {kPause, kIsolate, kTransfer, kFlush, kSlowDisk, kFailWrite},
       {kCrash}},
      {"clocks",
       "the engine, one clock that jumps, all that drift",
       Layer::kEngine,
       WithLinks({kCrash, kPause, kTransfer, kClocksBack}),
       {kClockStep}},
      {"wiped",
       "the engine, disks are wiped and come back as somebody else",
       Layer::kEngine,
       WithLinks({kCrash, kMembers, kFlush, kTransfer}),
       {kWipe}},
      {"everything",
       "the engine, every fault",
       Layer::kEngine,
       WithLinks({kCrash, kPause, kSlowDisk, kFailWrite, kTransfer},
                 {kMembers, kFlush, kCutLog, kWipe, kClockStep}),
       {}},
  };
}

std::vector<Profile> MakeProfiles() {
  std::vector<Profile> profiles = CoreProfiles();
  for (Profile& profile : EngineProfiles()) profiles.push_back(std::move(profile));
  return profiles;
}

}  // namespace

const std::vector<Profile>& Profiles() {
  static const std::vector<Profile>& profiles = *new std::vector<Profile>(MakeProfiles());
  return profiles;
}

const Profile* FindProfile(std::string_view name) {
  for (const Profile& profile : Profiles()) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

Schedule DrawSchedule(const Profile& profile, uint64_t seed) {
  Prng random(seed * 0x9e3779b97f4a7c15 + 1);
  Schedule schedule;
  schedule.seed = seed;
  schedule.profile = std::string(profile.name);
  Setup& setup = schedule.setup;
  DrawRaft(random, &setup);
  DrawSurroundings(random, &setup);
  DrawLostMinority(random, &setup);
  std::vector<ActionKind> kinds = profile.always;
  for (const ActionKind kind : profile.sometimes) {
    if (random.Chance(2, 5)) kinds.push_back(kind);
  }
  const auto has_any = [&kinds](std::initializer_list<ActionKind> any) {
    return std::find_first_of(kinds.begin(), kinds.end(), any.begin(), any.end()) != kinds.end();
  };
  // Log time follows a majority's clocks, and a changing group may be one wrong clock.
  if (has_any({ActionKind::kMembers, ActionKind::kWipe})) std::erase(kinds, ActionKind::kClockStep);
  const auto has = [&kinds](ActionKind kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (has(ActionKind::kCutLog)) setup.keep_bytes = Pick<uint64_t>(random, {0, 500, 5'000});
  setup.hot_jobs_max = Pick<uint64_t>(random, {8, 64, 1 << 20});
  if (has(ActionKind::kMembers)) setup.spares = static_cast<uint32_t>(random.Between(1, 2));
  const int32_t drift = has(ActionKind::kClockStep) ? 300 : 20;
  for (uint32_t i = 0; i < setup.nodes + setup.spares; ++i) {
    setup.drift_per_1000.push_back(static_cast<int32_t>(random.Below(2 * drift + 1)) - drift);
  }
  for (const ActionKind kind : kinds) DrawFaults(random, kind, &schedule);
  DrawClients(random, profile.layer, &schedule);
  std::stable_sort(schedule.actions.begin(), schedule.actions.end(),
                   [](const Action& a, const Action& b) { return a.at < b.at; });
  return schedule;
}

}  // namespace holdfast::sim
