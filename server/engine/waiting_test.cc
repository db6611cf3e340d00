// Rules of what waits in a shard: WaiterTable, Proposer, LogClock, Admission, HolderRegistry.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/entry_codec.h"
#include "server/engine/admission.h"
#include "server/engine/holder_registry.h"
#include "server/engine/log_clock.h"
#include "server/engine/proposer.h"
#include "server/engine/waiter_table.h"

namespace holdfast {
namespace {

WaiterPtr MakeWaiter(uint64_t id, std::vector<std::string> queues, int64_t deadline = 1000) {
  auto waiter = std::make_unique<Waiter>();
  waiter->id = ReserveId(id);
  waiter->request.queues = std::move(queues);
  waiter->deadline_micros = deadline;
  return waiter;
}

uint64_t IdOf(const WaiterPtr& waiter) { return waiter == nullptr ? 0 : waiter->id.value(); }

TEST(Waiters, AreServedFirstComeFirstServedInEachQueue) {
  WaiterTable table;
  table.Park(MakeWaiter(1, {"a", "b"}));
  table.Park(MakeWaiter(2, {"b"}));
  EXPECT_EQ(IdOf(table.TakeFor("b")), 1u);
  EXPECT_EQ(table.TakeFor("a"), nullptr);
  EXPECT_EQ(IdOf(table.TakeFor("b")), 2u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(Waiters, KeepTheirTurnWhenTheyFoundNothing) {
  WaiterTable table;
  table.Park(MakeWaiter(1, {"a"}));
  table.Park(MakeWaiter(2, {"a"}));
  WaiterPtr first = table.TakeFor("a");
  table.Park(std::move(first));
  EXPECT_EQ(IdOf(table.TakeFor("a")), 1u);
}

TEST(Waiters, EndInTheOrderOfTheirDeadlines) {
  WaiterTable table;
  table.Park(MakeWaiter(1, {"a"}, 30));
  table.Park(MakeWaiter(2, {"a"}, 10));
  EXPECT_EQ(table.NextDeadlineMicros(), 10);
  EXPECT_EQ(table.TakeLate(9), nullptr);
  EXPECT_EQ(IdOf(table.TakeLate(10)), 2u);
  EXPECT_EQ(IdOf(table.Remove(ReserveId(1))), 1u);
  EXPECT_EQ(table.NextDeadlineMicros(), INT64_MAX);
}

Submission MakeEnqueue(const std::string& queue) {
  EnqueueEncoder encoder({}, queue, 16);
  encoder.Add({}, {.attributes = {}, .dedup_key = {}, .body = "body"});
  Submission submission;
  submission.queue = queue;
  submission.jobs = 1;
  submission.command = std::move(encoder).Finish();
  return submission;
}

TEST(Proposals, WaitingReserveJoinsTheEntryThatEnqueues) {
  WaiterTable table;
  Proposer proposer({}, &table);
  table.Park(MakeWaiter(1, {"a"}));
  table.Park(MakeWaiter(2, {"a"}));
  proposer.Submit(MakeEnqueue("a"));
  const Proposer::Entry entry = proposer.BuildEntry(LogTime::FromMicros(5));
  ASSERT_EQ(entry.slots.size(), 2u);
  EXPECT_EQ(IdOf(entry.slots[1].waiter), 1u);
  EXPECT_EQ(table.size(), 1u) << "one job serves one waiter";
  EXPECT_FALSE(proposer.HasWork());
}

// A reserve over several shards waits for offers; it was once put into the entry as if it wanted
// a grant here, and the job stayed leased to nobody.
TEST(Proposals, WaiterForAnOfferIsNeverGivenAGrant) {
  WaiterTable table;
  Proposer proposer({}, &table);
  WaiterPtr offer = MakeWaiter(1, {"a"});
  offer->offer_only = true;
  table.Park(std::move(offer));
  table.Park(MakeWaiter(2, {"a"}));
  proposer.Submit(MakeEnqueue("a"));
  const Proposer::Entry entry = proposer.BuildEntry(LogTime::FromMicros(5));
  ASSERT_EQ(entry.slots.size(), 2u);
  EXPECT_EQ(IdOf(entry.slots[1].waiter), 2u);
  EXPECT_EQ(IdOf(table.TakeFor("a")), 1u);
}

TEST(Proposals, EntryIsBoundedAlsoInWaitingReserves) {
  WaiterTable table;
  Proposer proposer({.entry_bytes_max = 1 << 20, .entry_commands_max = 3}, &table);
  for (uint64_t id = 1; id <= 10; ++id) table.Park(MakeWaiter(id, {"a"}));
  for (int i = 0; i < 10; ++i) proposer.Submit(MakeEnqueue("a"));
  size_t commands = 0;
  while (proposer.HasWork()) {
    const Proposer::Entry entry = proposer.BuildEntry(LogTime::FromMicros(5));
    EXPECT_LE(entry.slots.size(), 3u);
    commands += entry.slots.size();
  }
  EXPECT_GE(commands, 10u);
}

// Proposes one enqueue at each position.
void Propose(Proposer* proposer, std::initializer_list<LogPosition> positions) {
  for (const LogPosition& position : positions) {
    proposer->Submit(MakeEnqueue("a"));
    proposer->Proposed(position, proposer->BuildEntry(LogTime::FromMicros(5)));
  }
}

std::vector<LogIndex> IndicesOf(const std::vector<Proposer::InFlight>& entries) {
  std::vector<LogIndex> indices;
  for (const Proposer::InFlight& entry : entries) indices.push_back(entry.position.index);
  return indices;
}

TEST(Proposals, AReplacedEntryAndWhatFollowsItOfItsTermAreLost) {
  WaiterTable table;
  Proposer proposer({}, &table);
  Propose(&proposer, {{Term(1), LogIndex(7)}, {Term(1), LogIndex(8)}, {Term(1), LogIndex(9)}});
  std::vector<Proposer::InFlight> lost;
  EXPECT_EQ(proposer.TakeSlots({Term(1), LogIndex(7)}, &lost).size(), 1u);
  EXPECT_TRUE(lost.empty());
  // Another leader's first entry: nothing of term 1 can follow it.
  EXPECT_TRUE(proposer.TakeSlots({Term(2), LogIndex(8)}, &lost).empty());
  EXPECT_EQ(IndicesOf(lost), (std::vector<LogIndex>{LogIndex(8), LogIndex(9)}));
  EXPECT_FALSE(proposer.HasInFlight());
}

TEST(Proposals, WhatWasProposedInALaterTermIsNotLost) {
  WaiterTable table;
  Proposer proposer({}, &table);
  Propose(&proposer, {{Term(1), LogIndex(7)}, {Term(3), LogIndex(9)}});
  std::vector<Proposer::InFlight> lost;
  EXPECT_EQ(proposer.TakeSlots({Term(1), LogIndex(7)}, &lost).size(), 1u);
  EXPECT_TRUE(proposer.TakeSlots({Term(3), LogIndex(8)}, &lost).empty());
  EXPECT_EQ(proposer.TakeSlots({Term(3), LogIndex(9)}, &lost).size(), 1u);
  EXPECT_TRUE(lost.empty());
}

TEST(Proposals, WhatIsCommittedStaysInFlight) {
  WaiterTable table;
  Proposer proposer({}, &table);
  Propose(&proposer, {{Term(1), LogIndex(7)}, {Term(1), LogIndex(8)}});
  EXPECT_EQ(IndicesOf(proposer.TakeInFlight(LogIndex(7))), (std::vector<LogIndex>{LogIndex(8)}));
  std::vector<Proposer::InFlight> lost;
  EXPECT_EQ(proposer.TakeSlots({Term(1), LogIndex(7)}, &lost).size(), 1u);
}

TEST(LogTimeClock, NeverGoesBackAndNeverStandsStill) {
  LogClock clock;
  clock.Start(LogTime::FromMicros(5'000'000), {.monotonic = 0, .wall = 1'000'000});
  LogTime last = LogTime::FromMicros(5'000'000);
  for (int64_t t = 1000; t <= 100'000; t += 1000) {
    const LogTime now = clock.Now({.monotonic = t, .wall = 1'000'000 + t});
    EXPECT_EQ((now - last).micros(), 500) << "half speed while it is ahead";
    last = now;
  }
}

TEST(LogTimeClock, WallClockThatJumpsAheadIsFollowedAtDoubleSpeed) {
  LogClock clock;
  clock.Start(LogTime(), {.monotonic = 0, .wall = 1'000'000});
  const LogTime now = clock.Now({.monotonic = 1000, .wall = 900'000'000});
  EXPECT_EQ(now, LogTime::FromMicros(1'002'000));
  EXPECT_EQ(clock.EarliestMonotonic(LogTime::FromMicros(1'004'000)), 2000);
}

// It used to be rounded down: a timer for a moment 1 us ahead was due at once, for ever.
TEST(LogTimeClock, TimersAreNeverEarly) {
  LogClock clock;
  clock.Start(LogTime(), {.monotonic = 0, .wall = 1'000'000});
  const LogTime now = clock.Now({.monotonic = 1000, .wall = 900'000'000});
  const LogTime due = now + LogDuration::Micros(1);
  const int64_t timer = clock.EarliestMonotonic(due);
  EXPECT_EQ(timer, 1001);
  EXPECT_GE(clock.Now({.monotonic = timer, .wall = 900'000'000}), due);
}

TEST(LogTimeClock, TermStartStepsForwardOnceToTheWallClock) {
  LogClock clock;
  clock.Start(LogTime::FromMicros(10), {.monotonic = 50, .wall = 777});
  EXPECT_EQ(clock.Now({.monotonic = 50, .wall = 777}), LogTime::FromMicros(777));
}

TEST(Admission, RefusesBeyondItsBoundsAndRecovers) {
  Admission admission({.commands_max = 2, .bytes_max = 100});
  Admission::Permit a = admission.Admit(60);
  EXPECT_TRUE(a);
  EXPECT_FALSE(admission.Admit(50)) << "bytes";
  {
    const Admission::Permit b = admission.Admit(10);
    EXPECT_TRUE(b);
    EXPECT_FALSE(admission.Admit(1)) << "commands";
  }
  EXPECT_TRUE(admission.Admit(1));
  EXPECT_EQ(admission.commands(), 1);
  EXPECT_EQ(admission.bytes(), 60);
}

TEST(Admission, OneCommandIsTakenWhateverItsSize) {
  Admission admission({.commands_max = 2, .bytes_max = 100});
  EXPECT_TRUE(admission.Admit(1000));
}

TEST(Holders, AreToldOfTheirOwnLeasesUntilTheyClose) {
  HolderRegistry registry(NodeId(1), 7);
  int told = 0;
  const Holder holder =
      registry.Open(LeasesAtClose::kRelease, [&](const Machine::EndedLease&) { ++told; });
  Machine::EndedLease lease{};
  lease.holder = holder;
  registry.Notify(lease);
  EXPECT_EQ(told, 1);
  Holder foreign = holder;
  foreign.incarnation = uint64_t{6} << 20;
  registry.Close(foreign);
  registry.Notify(lease);
  EXPECT_EQ(told, 2) << "an earlier incarnation's holder of the same number is another";
  registry.Close(holder);
  registry.Notify(lease);
  EXPECT_EQ(told, 2);
}

TEST(Holders, GoOnUnderAnotherIncarnationWhenTheirNodeWasJudgedLost) {
  HolderRegistry registry(NodeId(1), 7);
  int told = 0;
  const Holder before =
      registry.Open(LeasesAtClose::kRelease, [&](const Machine::EndedLease&) { ++told; });
  EXPECT_FALSE(registry.Lose(registry.lost())) << "what was before this start";
  EXPECT_EQ(registry.Now(before), before);
  EXPECT_TRUE(registry.Lose(before.incarnation));
  EXPECT_FALSE(registry.Lose(before.incarnation)) << "it is known";
  EXPECT_EQ(registry.lost(), before.incarnation);
  const Holder now = registry.Now(before);
  EXPECT_EQ(now, (Holder{NodeId(1), before.incarnation + 1, before.n}));
  EXPECT_EQ(registry.Open(LeasesAtClose::kRelease, nullptr).incarnation, now.incarnation);
  for (const Holder& holder : {before, now}) {
    Machine::EndedLease lease{};
    lease.holder = holder;
    registry.Notify(lease);
  }
  EXPECT_EQ(told, 2) << "of leases of both";
  const Holder outlives = registry.Open(LeasesAtClose::kExpire, nullptr);
  EXPECT_GE(outlives.incarnation, kNeverLost);
  EXPECT_EQ(registry.Now(outlives), outlives);
  EXPECT_NE(outlives.incarnation,
            HolderRegistry(NodeId(1), 8).Open(LeasesAtClose::kExpire, nullptr).incarnation);
  const Holder foreign = {NodeId(2), 1, 1};
  EXPECT_EQ(registry.Now(foreign), foreign);
  EXPECT_EQ(registry.Now(Holder()), Holder());
  EXPECT_LT(now, HolderRegistry(NodeId(1), 8).Open(LeasesAtClose::kRelease, nullptr))
      << "the next start is later";
}

}  // namespace
}  // namespace holdfast
