#include "replication/node/group.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "replication/node/testing/group_cluster.h"
#include "replication/raft/configuration.h"

namespace holdfast {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr ShardId kShard;

using Strings = std::vector<std::string>;

size_t PositionOf(const Strings& all, const std::string& one) {
  return static_cast<size_t>(std::find(all.begin(), all.end(), one) - all.begin());
}

std::string VotersRow(std::vector<ReplicaId> voters) {
  raft::Configuration configuration;
  configuration.voters = std::move(voters);
  return raft::EncodeConfiguration(configuration);
}

ShardLog LogOf(TestReplica& node) { return node.store().Describe(kShard); }

// --- One voter.

TEST(OnlyVoter, LeadsAtOnceAndThenNeedsNoTicks) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  cluster.RunFor(5'000);  // a few writes, less than a tick
  ASSERT_TRUE(cluster.node(0).machine().leading());
  cluster.RunFor(60 * kSecond);
  EXPECT_EQ(cluster.node(0).executor().pending(), 0u);
  EXPECT_TRUE(cluster.node(0).machine().leading());
}

TEST(OnlyVoter, BeginsItsLogWithItselfAsTheConfiguration) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  std::vector<StoredEntry> stored;
  ASSERT_TRUE(node.store().ReadEntries(kShard, LogIndex(1), LogIndex(2), 1 << 20, &stored).ok());
  EXPECT_EQ(stored[0].term, Term(1));
  EXPECT_EQ(stored[0].type, static_cast<uint8_t>(raft::EntryType::kConfiguration));
  EXPECT_EQ(node.machine().state().applied.configuration, VotersRow({node.id()}));
}

TEST(OnlyVoter, WhatIsProposedIsAppliedInOrderAfterItIsInTheLog) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  node.disk().stuck = true;
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(node.Propose(data).ok());
  cluster.RunFor(kSecond);
  EXPECT_TRUE(node.machine().state().commands.empty());
  node.disk().stuck = false;
  cluster.RunFor(kSecond);
  EXPECT_EQ(node.machine().state().commands, (Strings{"a", "b", "c"}));
}

TEST(OnlyVoter, IsToldOfAnEntryBeforeItIsCommitted) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  ASSERT_TRUE(node.Propose("a").ok());
  const std::string index = absl::StrCat(LogOf(node).last.value() + 1);
  EXPECT_EQ(node.machine().CountTold("append " + index), 1u);
  EXPECT_EQ(node.machine().CountTold("commit " + index), 0u);
}

TEST(OnlyVoter, LeadsWhenEverythingBeforeIsAppliedNotWhenItIsDelivered) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  ASSERT_TRUE(cluster.AwaitLeader().Propose("a").ok());
  cluster.RunFor(kSecond);
  cluster.node(0).Crash();
  cluster.node(0).Start(cluster.ids());
  cluster.node(0).machine().set_apply_micros(100'000);
  ASSERT_TRUE(cluster.Await([&] { return cluster.node(0).machine().leading(); }));
  EXPECT_EQ(cluster.node(0).machine().state().applied.position.index, LogOf(cluster.node(0)).last);
}

TEST(OnlyVoter, ARestartAppliesWhatFollowsTheFlushAndNothingTwice) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  for (const char* data : {"a", "b"}) ASSERT_TRUE(node.Propose(data).ok());
  cluster.RunFor(kSecond);
  node.OnLoop([&] { node.machine().Flush(); });
  for (const char* data : {"c", "d"}) ASSERT_TRUE(node.Propose(data).ok());
  cluster.RunFor(kSecond);
  node.Crash();
  node.Start(cluster.ids());
  EXPECT_EQ(cluster.AwaitLeader().machine().state().commands, (Strings{"a", "b", "c", "d"}));
  EXPECT_GT(node.reads(), 0u);
}

TEST(OnlyVoter, ALongLogIsReadBackInPieces) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(node.Propose(large).ok());
    cluster.RunFor(10'000);
  }
  node.Crash();
  node.Start(cluster.ids());
  EXPECT_EQ(cluster.AwaitLeader().machine().state().commands, Strings(20, large));
  EXPECT_GE(node.reads(), 5u);
}

TEST(OnlyVoter, ItsLogIsCutByTheFlushAndNoFurther) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(node.Propose(data).ok());
  cluster.RunFor(kSecond);
  node.OnLoop([&] { node.machine().Flush(); });
  const LogIndex flushed = node.durable().applied.position.index;
  ASSERT_TRUE(node.Propose("d").ok());
  cluster.RunFor(kSecond);
  EXPECT_EQ(LogOf(node).first, Next(flushed));
  EXPECT_EQ(LogOf(node).last, Next(flushed));
}

TEST(OnlyVoter, AReadIsAnsweredAtOnce) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  absl::StatusOr<LogIndex> read = absl::UnknownError("not answered");
  node.OnLoop([&] { node.group().ReadBarrier([&](auto index) { read = index; }); });
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, LogOf(node).last);
}

// --- Starts that are refused, or finish what was begun.

TEST(Start, AStateAheadOfItsLogIsDataLoss) {
  GroupCluster cluster({.nodes = 1});
  TestReplica& node = cluster.node(0);
  node.durable().applied = {.position = {Term(2), LogIndex(10)},
                            .configuration = VotersRow({node.id()})};
  cluster.Start();
  EXPECT_TRUE(absl::IsDataLoss(node.fatal())) << node.fatal();
}

TEST(Start, AnInstalledStateAheadOfItsLogResetsTheLog) {
  GroupCluster cluster({.nodes = 1});
  TestReplica& node = cluster.node(0);
  node.durable().applied = {.position = {Term(2), LogIndex(10)},
                            .configuration = VotersRow({node.id()}),
                            .installing = true};
  cluster.Start();
  cluster.AwaitLeader();
  EXPECT_EQ(node.fatal(), absl::OkStatus());
  EXPECT_EQ(LogOf(node).first, LogIndex(11));
  EXPECT_GT(LogOf(node).last_term, Term(2));
}

TEST(Start, ALogThatBeginsAfterItsStateIsDataLoss) {
  GroupCluster cluster({.nodes = 1});
  LogBatch batch;
  batch.Reset(kShard, LogIndex(10), Term(2));
  ASSERT_TRUE(cluster.node(0).store().Write(batch, SyncMode::kNow).ok());
  cluster.Start();
  EXPECT_TRUE(absl::IsDataLoss(cluster.node(0).fatal())) << cluster.node(0).fatal();
}

TEST(Start, AnotherTermAtTheAppliedEntryIsDataLoss) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  node.OnLoop([&] { node.machine().Flush(); });
  node.Crash();
  node.durable().applied.position.term = Term(77);
  node.Start(cluster.ids());
  EXPECT_TRUE(absl::IsDataLoss(node.fatal())) << node.fatal();
}

TEST(Start, ALogWithoutReplicasIsRefused) {
  GroupCluster cluster({.nodes = 1});
  LogBatch batch;
  batch.Append(kShard, Term(1), LogIndex(1), static_cast<uint8_t>(raft::EntryType::kNoOp), "");
  batch.SetHardState(kShard, {Term(1), ReplicaId(1), LogIndex()});
  ASSERT_TRUE(cluster.node(0).store().Write(batch, SyncMode::kNow).ok());
  cluster.Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster.node(0).fatal())) << cluster.node(0).fatal();
}

TEST(Start, AStateWithoutReplicasIsRefused) {
  GroupCluster cluster({.nodes = 1});
  cluster.node(0).durable().applied.position = {Term(1), LogIndex(5)};
  cluster.Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster.node(0).fatal())) << cluster.node(0).fatal();
}

TEST(Start, AFirstWriteThatWasTornIsDoneAgain) {
  GroupCluster cluster({.nodes = 1});
  raft::ConfigChange change;
  change.steps.push_back({.kind = raft::ConfigStep::Kind::kAddVoter, .replica = ReplicaId(9)});
  LogBatch batch;
  const std::string data = raft::EncodeConfigChange(change);
  batch.Append(kShard, Term(1), LogIndex(1), static_cast<uint8_t>(raft::EntryType::kConfiguration),
               data);
  ASSERT_TRUE(cluster.node(0).store().Write(batch, SyncMode::kNow).ok());
  cluster.Start();
  EXPECT_EQ(cluster.AwaitLeader().machine().state().applied.configuration,
            VotersRow({cluster.node(0).id()}));
}

// --- Disks that fail.

TEST(FullDisk, NothingOfTheFailedWriteIsAppliedAndItLeadsAgainWhenThereIsRoom) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  ASSERT_TRUE(node.Propose("a").ok());
  cluster.RunFor(kSecond);
  node.disk().failure = absl::ResourceExhaustedError("no space");
  ASSERT_TRUE(node.Propose("lost").ok());
  ASSERT_TRUE(node.Propose("lost too").ok());
  cluster.RunFor(kSecond);
  EXPECT_FALSE(node.machine().leading());
  EXPECT_TRUE(absl::IsResourceExhausted(node.machine().stopped()));
  EXPECT_TRUE(absl::IsResourceExhausted(node.Propose("refused")));
  node.disk().failure = absl::OkStatus();
  EXPECT_TRUE(cluster.Await([&] { return node.machine().leading(); }));
  ASSERT_TRUE(node.Propose("b").ok());
  cluster.RunFor(kSecond);
  EXPECT_EQ(node.machine().state().commands, (Strings{"a", "b"}));
  EXPECT_EQ(node.fatal(), absl::OkStatus());
}

TEST(FullDisk, ALeaderOfSeveralDoesNotSayThatWhatItProposedIsNowhere) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  leader.disk().failure = absl::ResourceExhaustedError("no space");
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(10'000);
  EXPECT_FALSE(leader.machine().leading());
  EXPECT_TRUE(absl::IsUnavailable(leader.machine().stopped()));
  cluster.RunFor(5 * kSecond);
  // The followers had it, and agree on it without the one that could not write it.
  TestReplica& next = cluster.AwaitLeader();
  EXPECT_NE(next.id(), leader.id());
  EXPECT_EQ(next.machine().state().commands, Strings{"a"});
  leader.disk().failure = absl::OkStatus();
  cluster.RunFor(5 * kSecond);
  EXPECT_EQ(leader.machine().state().commands, Strings{"a"});
}

TEST(BrokenDisk, IsTheEndAndNothingOfTheWriteIsApplied) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  node.disk().failure = absl::InternalError("a sync failed");
  ASSERT_TRUE(node.Propose("a").ok());
  cluster.RunFor(10 * kSecond);
  EXPECT_EQ(node.fatal(), absl::InternalError("a sync failed"));
  EXPECT_FALSE(node.machine().leading());
  EXPECT_TRUE(node.machine().state().commands.empty());
  EXPECT_TRUE(absl::IsUnavailable(node.Propose("b")));
}

// --- Three voters.

TEST(ThreeVoters, OneLeadsAndAllApplyTheSame) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  Strings proposed;
  for (int i = 0; i < 50; ++i) {
    proposed.push_back(absl::StrCat("command ", i));
    ASSERT_TRUE(leader.Propose(proposed.back()).ok());
    cluster.RunFor(1000);
  }
  cluster.RunFor(kSecond);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(cluster.node(i).machine().state().commands, proposed);
    EXPECT_EQ(cluster.node(i).machine().leading(), &cluster.node(i) == &leader);
    cluster.node(i).OnLoop([&] { cluster.node(i).group().CheckInvariants(); });
  }
}

TEST(ThreeVoters, AnotherLeadsWhenTheLeaderIsCutOffAndWhatWasAgreedOnStays) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& first = cluster.AwaitLeader();
  ASSERT_TRUE(first.Propose("a").ok());
  cluster.RunFor(kSecond);
  cluster.Isolate(first);
  ASSERT_TRUE(first.Propose("never agreed on").ok());
  TestReplica& second = cluster.AwaitLeader();
  EXPECT_NE(second.id(), first.id());
  ASSERT_TRUE(second.Propose("b").ok());
  cluster.RunFor(3 * kSecond);
  EXPECT_FALSE(first.machine().leading());
  EXPECT_TRUE(absl::IsUnavailable(first.machine().stopped()));
  cluster.Heal();
  cluster.RunFor(3 * kSecond);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(cluster.node(i).machine().state().commands, (Strings{"a", "b"}));
  }
}

TEST(ThreeVoters, EntriesAreAppliedOnlyWhenTheyAreInTheReplicasOwnLog) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  TestReplica& slow = cluster.FollowerOf(leader);
  slow.disk().stuck = true;
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(kSecond);
  ASSERT_EQ(leader.machine().state().commands, Strings{"a"});
  EXPECT_TRUE(slow.machine().state().commands.empty());
  EXPECT_LE(slow.machine().state().applied.position.index, LogOf(slow).last);
  slow.disk().stuck = false;
  cluster.RunFor(kSecond);
  EXPECT_EQ(slow.machine().state().commands, Strings{"a"});
}

TEST(ThreeVoters, ACrashedFollowerCatchesUpFromTheLog) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  follower.Crash();
  const std::string large(500'000, 'x');
  Strings proposed;
  for (int i = 0; i < 30; ++i) {
    proposed.push_back(absl::StrCat(i, large));
    ASSERT_TRUE(leader.Propose(proposed.back()).ok());
    cluster.RunFor(20'000);
  }
  follower.Start(cluster.ids());
  cluster.RunFor(5 * kSecond);
  EXPECT_EQ(follower.machine().state().commands, proposed);
  EXPECT_EQ(follower.machine().CountTold("install 1"), 0u);
  EXPECT_GT(leader.reads(), 0u);  // more than its tail in memory holds
}

TEST(ThreeVoters, AFollowerBehindTheLogIsGivenTheState) {
  GroupCluster::Options options{.nodes = 3};
  options.group.keep_bytes = 0;
  GroupCluster cluster(options);
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  cluster.Isolate(follower);
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(leader.Propose(data).ok());
  cluster.RunFor(kSecond);
  leader.OnLoop([&] { leader.machine().Flush(); });
  ASSERT_TRUE(leader.Propose("d").ok());
  cluster.RunFor(kSecond);
  const LogIndex flushed = leader.durable().applied.position.index;
  ASSERT_EQ(LogOf(leader).first, Next(flushed));
  cluster.Heal();
  cluster.RunFor(10 * kSecond);
  EXPECT_EQ(follower.machine().CountTold(absl::StrCat("install ", flushed.value())), 1u);
  EXPECT_EQ(follower.machine().state().commands, (Strings{"a", "b", "c", "d"}));
  EXPECT_EQ(LogOf(follower).first, Next(flushed));
  EXPECT_EQ(follower.machine().state().applied.configuration,
            leader.machine().state().applied.configuration);
}

TEST(ThreeVoters, ACrashBetweenStateAndLogOfAnInstallationIsFinishedAtTheStart) {
  GroupCluster::Options options{.nodes = 3};
  options.group.keep_bytes = 0;
  GroupCluster cluster(options);
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  cluster.Isolate(follower);
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(leader.Propose(data).ok());
  cluster.RunFor(kSecond);
  leader.OnLoop([&] { leader.machine().Flush(); });
  cluster.RunFor(kSecond);
  cluster.Heal();
  ASSERT_TRUE(cluster.Await([&] {
    follower.disk().stuck = !follower.machine().state().applied.configuration.empty() &&
                            follower.machine().state().applied.installing;
    return follower.durable().applied.installing;
  }));
  ASSERT_LT(LogOf(follower).last, follower.durable().applied.position.index);
  follower.Crash();
  follower.disk().stuck = false;
  follower.Start(cluster.ids());
  cluster.RunFor(5 * kSecond);
  EXPECT_EQ(follower.fatal(), absl::OkStatus());
  EXPECT_EQ(follower.machine().state().commands, (Strings{"a", "b", "c"}));
  EXPECT_EQ(LogOf(follower).last, LogOf(leader).last);
}

TEST(ThreeVoters, ATailOfTheLogIsKeptForSlowFollowers) {
  GroupCluster::Options options{.nodes = 3};
  options.group.keep_bytes = 10'000;
  GroupCluster cluster(options);
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(leader.Propose(std::string(1000, 'x')).ok());
    cluster.RunFor(10'000);
    leader.OnLoop([&] { leader.machine().Flush(); });
    ASSERT_LE(LogOf(leader).first, Next(leader.durable().applied.position.index));
  }
  cluster.RunFor(kSecond);
  const ShardLog log = LogOf(leader);
  const uint64_t kept = log.last.value() + 1 - log.first.value();
  EXPECT_EQ(kept, 10u);  // of 1040 bytes
}

// Their entries lie between those of the busy ones, and would keep the space of all of them.
TEST(ThreeVoters, NothingOfAnIdleShardIsKeptBehindTheTailOfTheNode) {
  GroupCluster::Options options{.nodes = 3};
  options.group.keep_bytes = 10'000;
  GroupCluster cluster(options);
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(kSecond);
  const auto flushed = [&] {
    leader.OnLoop([&] { leader.machine().Flush(); });
    cluster.RunFor(1000);
    return LogOf(leader);
  };
  const LogIndex last = flushed().last;
  ASSERT_EQ(flushed().first, LogIndex(1));
  const ShardId busy(7);
  for (uint64_t i = 1; i <= 11; ++i) {
    LogBatch batch;
    const std::string data(1000, 'x');
    batch.Append(busy, Term(1), LogIndex(i), 0, data);
    ASSERT_TRUE(leader.store().Write(batch, SyncMode::kNow).ok());
  }
  EXPECT_EQ(flushed().first, Next(last));
  ASSERT_TRUE(leader.Propose("b").ok());
  cluster.RunFor(kSecond);
  EXPECT_EQ(leader.machine().state().commands, (Strings{"a", "b"}));
}

// A read at a replica, and what came of it: UNKNOWN until it is answered.
std::shared_ptr<absl::StatusOr<LogIndex>> Read(TestReplica* at) {
  auto read = std::make_shared<absl::StatusOr<LogIndex>>(absl::UnknownError("not answered"));
  at->OnLoop([&] { at->group().ReadBarrier([read](auto index) { *read = index; }); });
  return read;
}

TEST(ThreeVoters, AReadNeedsAMajorityAndIsGivenUpWithoutOne) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  const auto read = Read(&leader);
  EXPECT_TRUE(absl::IsUnknown(read->status()));
  cluster.RunFor(kSecond);
  EXPECT_TRUE(read->ok());
  cluster.Isolate(leader);
  const auto cut_off = Read(&leader);
  cluster.RunFor(4 * kSecond);
  EXPECT_TRUE(absl::IsUnknown(cut_off->status()));
  cluster.RunFor(2 * kSecond);
  EXPECT_TRUE(absl::IsUnavailable(cut_off->status())) << cut_off->status();
}

TEST(ThreeVoters, AFollowersReadSeesWhatTheLeaderHadCommitted) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  const auto entry = leader.Propose("a");
  ASSERT_TRUE(entry.ok());
  cluster.RunFor(kSecond);
  const auto read = Read(&follower);
  const auto second = Read(&follower);  // waits for the next question
  cluster.RunFor(kSecond);
  ASSERT_TRUE(read->ok()) << read->status();
  ASSERT_TRUE(second->ok()) << second->status();
  EXPECT_GE(**read, cluster.AwaitLeader().durable().applied.position.index);
}

TEST(ThreeVoters, AReadOutlivesTheLeaderThatWasAsked) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  cluster.Isolate(leader);
  const auto read = Read(&follower);
  cluster.RunFor(4 * kSecond);
  EXPECT_TRUE(read->ok()) << read->status();
}

// The two questions had the same number, and what had been committed between them was not seen.
TEST(ThreeVoters, AnAnswerToAQuestionOfBeforeACrashIsNotTakenForALaterOnes) {
  GroupCluster cluster({.nodes = 3, .message_micros = 200'000});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& follower = cluster.FollowerOf(leader);
  cluster.RunFor(kSecond);
  const auto early = Read(&follower);
  cluster.RunFor(250'000);  // the leader has noted how far it is
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(40'000);
  follower.Crash();
  follower.Start(cluster.ids());
  ASSERT_TRUE(cluster.Await([&] { return leader.machine().state().commands == Strings(1, "a"); }));
  const LogIndex committed = leader.machine().state().applied.position.index;
  const auto late = Read(&follower);
  cluster.RunFor(2 * kSecond);
  ASSERT_TRUE(late->ok()) << late->status();
  EXPECT_GE(**late, committed);
}

TEST(ThreeVoters, AMessageToAnotherDiskOfTheNodeIsIgnored) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& other = cluster.FollowerOf(leader);
  PeerMessage vote;
  vote.message.type = raft::MessageType::kVote;
  vote.message.to = ReplicaId(other.id().value() + 1);
  vote.message.from = leader.id();
  vote.message.term = Term(100);
  vote.message.log_term = Term(99);
  vote.message.index = LogIndex(1000);
  const uint64_t sends = other.sends();
  other.OnLoop([&] { other.group().Step(vote); });
  EXPECT_EQ(other.sends(), sends);
  EXPECT_LT(other.group().GetStatus()->hard_state.term, Term(100));
}

// --- Members.

TEST(Members, ALearnerIsAddedFollowsAndBecomesAVoter) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  ASSERT_TRUE(leader.Propose("a").ok());
  TestReplica& added = cluster.AddNode();
  added.Start({});
  const auto change = [&](raft::ConfigStep::Kind kind) {
    raft::ConfigChange change;
    change.steps.push_back({.kind = kind, .replica = added.id()});
    leader.OnLoop(
        [&] { EXPECT_EQ(leader.group().ProposeConfigChange(change), raft::ProposeResult::kOk); });
    cluster.RunFor(3 * kSecond);
  };
  change(raft::ConfigStep::Kind::kAddLearner);
  EXPECT_EQ(added.machine().state().commands, Strings{"a"});
  change(raft::ConfigStep::Kind::kAddVoter);
  for (TestReplica* node : {&leader, &added}) {
    EXPECT_EQ(node->machine().state().applied.configuration, VotersRow({leader.id(), added.id()}));
  }
  // Now it takes both.
  cluster.Isolate(added);
  ASSERT_TRUE(leader.Propose("b").ok());
  cluster.RunFor(kSecond);
  EXPECT_EQ(leader.machine().state().commands, Strings{"a"});
}

TEST(Members, AStartUsesTheConfigurationOfTheFlushNotTheInitialOne) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  leader.OnLoop([&] { leader.machine().Flush(); });
  leader.Crash();
  leader.Start({leader.id()});
  cluster.RunFor(10'000);
  EXPECT_EQ(leader.group().GetStatus()->configuration.voters, cluster.ids());
  EXPECT_FALSE(leader.machine().leading());
}

// --- Log time.

TEST(WallClock, OneClockThatIsWrongByAnHourDoesNotMoveTheOthers) {
  for (const int64_t wrong : {-kHour, kHour}) {
    for (size_t which = 0; which < 3; ++which) {
      GroupCluster::Options options{.nodes = 3};
      options.wall_offsets = std::vector<int64_t>(3, 0);
      options.wall_offsets[which] = wrong;
      GroupCluster cluster(options);
      cluster.Start();
      TestReplica& leader = cluster.AwaitLeader();
      cluster.RunFor(kSecond);
      const size_t good = (which + 1) % 3;
      const int64_t right = cluster.node(good).executor().WallMicros();
      EXPECT_NEAR(static_cast<double>(leader.group().WallMicros()), static_cast<double>(right),
                  10'000)
          << "node " << which << " is off by " << wrong;
    }
  }
}

TEST(WallClock, OfAnOnlyVoterIsItsOwn) {
  GroupCluster cluster({.nodes = 1, .wall_offsets = {kHour}});
  cluster.Start();
  TestReplica& node = cluster.AwaitLeader();
  EXPECT_EQ(node.group().WallMicros(), node.executor().WallMicros());
}

TEST(Order, HardStateAndEntriesAreDurableBeforeAFollowerSaysSo) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  const auto followers_stuck = [&](bool stuck) {
    for (size_t i = 0; i < 3; ++i) {
      if (&cluster.node(i) != &leader) cluster.node(i).disk().stuck = stuck;
    }
  };
  followers_stuck(true);
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(kSecond);
  EXPECT_TRUE(leader.machine().state().commands.empty());
  followers_stuck(false);
  cluster.RunFor(kSecond);
  EXPECT_EQ(leader.machine().state().commands, Strings{"a"});
  const Strings& told = leader.machine().told();
  const std::string last = absl::StrCat(LogOf(leader).last.value());
  EXPECT_LT(PositionOf(told, "append " + last), PositionOf(told, "commit " + last));
}

}  // namespace
}  // namespace holdfast
