// One of two nodes whose other one is gone for good, with real threads over stores in memory: what
// is there is told, and it goes on alone with all that its log has.

#include "server/cluster/recovery.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "replication/node/group.h"
#include "server/cluster/members_codec.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_codec.h"
#include "storage/faulty/faulty_state_store.h"
#include "storage/memory_log/memory_log_store.h"

namespace holdfast {
namespace {

constexpr NodeId kNode{1};
constexpr DiskId kDisk{7};
constexpr ReplicaId kReplica{7};
constexpr ReplicaId kLost{8};
constexpr uint32_t kShards = 3;
constexpr int kQueues = 12;

const ClusterMember kSelf = {.node = kNode, .disk = kDisk, .address = "10.0.0.1:7400"};

void ExpectNoFailure(const absl::Status& status) { ADD_FAILURE() << status; }

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() : state_(disk_.Open()) {}

  NodeEngine::Options Options() {
    NodeEngine::Options options;
    options.node = kNode;
    options.disk = kDisk;
    options.incarnation = ++incarnation_;
    options.shards = kShards;
    options.loops = 2;
    options.initial_voters = {kReplica};
    return options;
  }
  // A run of the node that may end at once, with a last flush or without.
  void Start() {
    engine_ = std::make_unique<NodeEngine>(Options(), &log_, state_.get(), ExpectNoFailure);
    ASSERT_TRUE(engine_->Start().ok());
  }
  void Stop(Flusher::LastFlush last) {
    engine_->Stop(last);
    engine_.reset();
  }

  // Calls `done` with how it went, or never while there is no majority.
  void Enqueue(int queue, int jobs, ExecuteDone done) {
    const std::string name = absl::StrCat("queue-", queue % kQueues);
    EnqueueEncoder encoder({}, name, 10);
    for (int i = 0; i < jobs; ++i) {
      encoder.Add({}, {.attributes = {}, .dedup_key = {}, .body = "0123456789"});
    }
    engine_->router()->Enqueue(name, std::move(encoder), std::move(done));
  }
  void EnqueueSome(int count) {
    for (int i = 0; i < count; ++i) {
      absl::Notification done;
      Enqueue(i, 1, [&](const ExecuteResult& result) {
        EXPECT_TRUE(result.status.ok()) << result.status;
        done.Notify();
      });
      done.WaitForNotification();
    }
    jobs_ += static_cast<uint64_t>(count);
  }
  uint64_t Ready() {
    QueryResult result;
    absl::Notification done;
    engine_->router()->Ask(TotalsQuery(), [&](QueryResult answer) {
      result = std::move(answer);
      done.Notify();
    });
    done.WaitForNotification();
    EXPECT_TRUE(result.status.ok()) << result.status;
    return result.totals.jobs_by_state[static_cast<int>(JobState::kReady)];
  }
  // As a task of the shard's loop.
  template <class Result>
  Result OnLoop(uint32_t shard, const std::function<Result(Group*)>& ask) {
    Result result;
    absl::Notification done;
    engine_->loop(engine_->LoopIndexOf(ShardId(shard)))->Post([&] {
      result = ask(engine_->group(ShardId(shard)));
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // In each shard another voter is agreed on, which then never comes.
  void TakeInTheLostNode() {
    raft::ConfigChange change;
    change.steps.push_back({.kind = raft::ConfigStep::Kind::kAddVoter, .replica = kLost});
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    for (uint32_t i = 0; i < kShards; ++i) {
      EXPECT_EQ(OnLoop<raft::ProposeResult>(
                    i, [&](Group* group) { return group->ProposeConfigChange(change); }),
                raft::ProposeResult::kOk);
      while (OnLoop<size_t>(i, [](Group* group) {
               return group->GetStatus()->configuration.voters.size();
             }) < 2) {
        ASSERT_LT(absl::Now(), deadline);
      }
    }
  }
  uint64_t CommandsInLog() const {
    uint64_t commands = 0;
    for (uint32_t i = 0; i < kShards; ++i) {
      const ShardLog held = log_.Describe(ShardId(i));
      std::vector<StoredEntry> entries;
      EXPECT_TRUE(
          log_.ReadEntries(ShardId(i), held.first, Next(held.last), UINT64_MAX, &entries).ok());
      for (const StoredEntry& entry : entries) {
        if (entry.type != static_cast<uint8_t>(raft::EntryType::kCommands)) continue;
        commands += EntryReader::Open(entry.payload)->count();
      }
    }
    return commands;
  }
  std::vector<CopyPosition> Told() {
    auto positions = Positions(kShards, log_, *state_);
    EXPECT_TRUE(positions.ok()) << positions.status();
    return *std::move(positions);
  }
  absl::StatusOr<MembersView> Recover() {
    return GoOnAlone(Options(), kSelf, &log_, state_.get(), ExpectNoFailure);
  }

  MemoryLogStore log_;
  FaultyStateDisk disk_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<NodeEngine> engine_;
  uint64_t incarnation_ = 0;
  uint64_t jobs_ = 0;
};

raft::Configuration Voters(std::vector<ReplicaId> voters) {
  raft::Configuration configuration;
  configuration.voters = std::move(voters);
  return configuration;
}

TEST_F(RecoveryTest, WhatIsThereIsTold) {
  for (const CopyPosition& position : Told()) EXPECT_EQ(position.last, LogIndex()) << "no copy";
  Start();
  EnqueueSome(24);
  Stop(Flusher::LastFlush::kDo);
  Start();
  EnqueueSome(24);
  TakeInTheLostNode();
  Stop(Flusher::LastFlush::kSkip);
  for (const CopyPosition& position : Told()) {
    const ShardLog held = log_.Describe(position.shard);
    EXPECT_EQ(position.last, held.last);
    EXPECT_EQ(position.term, held.last_term);
    EXPECT_GT(position.flushed, LogIndex());
    EXPECT_LT(position.flushed, position.last);
    EXPECT_GE(position.committed, position.flushed);
    EXPECT_GT(position.time, LogTime());
    EXPECT_EQ(position.configuration, Voters({kReplica, kLost}));
  }
}

TEST_F(RecoveryTest, TheTimeOfTheLastCommandsIsTheLogsAlsoWhenAllIsFlushed) {
  Start();
  EnqueueSome(24);
  TakeInTheLostNode();
  Stop(Flusher::LastFlush::kDo);
  for (const CopyPosition& position : Told()) {
    EXPECT_GT(position.time, LogTime()) << "its log is kept for the other one";
  }
}

TEST_F(RecoveryTest, ItGoesOnAloneWithAllThatItsLogHas) {
  Start();
  EnqueueSome(24);
  TakeInTheLostNode();
  // As many commands as a shard proposes while nothing is agreed on, should all be of one.
  const uint64_t commands = CommandsInLog();
  for (int i = 0; i < 4; ++i) Enqueue(i, 3, [](const ExecuteResult&) {});
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (CommandsInLog() < commands + 4) ASSERT_LT(absl::Now(), deadline);
  Stop(Flusher::LastFlush::kSkip);
  jobs_ += 12;  // though nobody was told so

  const auto members = Recover();
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_EQ(members->members, ViewOf({kSelf}).members);
  for (const CopyPosition& position : Told()) {
    EXPECT_EQ(position.configuration, Voters({kReplica}));
    EXPECT_EQ(position.flushed, position.last);
    EXPECT_EQ(log_.FirstIndex(position.shard), Next(position.last)) << "cut";
  }
  Start();
  EXPECT_EQ(Ready(), jobs_);
  EnqueueSome(12);
  EXPECT_EQ(Ready(), jobs_);
  Stop(Flusher::LastFlush::kDo);
}

TEST_F(RecoveryTest, AFullDiskEndsItAndItCanBeRepeated) {
  Start();
  EnqueueSome(24);
  TakeInTheLostNode();
  Stop(Flusher::LastFlush::kSkip);
  disk_.SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush ? absl::ResourceExhaustedError("no space")
                                               : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsInternal(Recover().status()));
  disk_.SetRule(nullptr);
  const auto members = Recover();
  ASSERT_TRUE(members.ok()) << members.status();
  const auto again = Recover();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, *members) << "nothing changes any more";
  Start();
  EXPECT_EQ(Ready(), jobs_);
  Stop(Flusher::LastFlush::kSkip);
}

}  // namespace
}  // namespace holdfast
