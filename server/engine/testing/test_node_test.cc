// That the harness does what its users rely on; the engine's rules are tested beside it.

#include "server/engine/testing/test_node.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(Node, AnswersWithinItsLogAndStore) {
  TestNode node({.shards = 2});
  node.Start();
  const Answer<ExecuteResult> enqueue = node.Enqueue("mail", "hello");
  EXPECT_FALSE(enqueue.has_value());
  node.events().RunUntilIdle();
  ASSERT_TRUE(enqueue->status.ok());
  EXPECT_EQ(enqueue->outcome.items[0].code, OutcomeCode::kOk);
  EXPECT_TRUE(node.fatal().empty());
}

TEST(Node, EntriesCommittedByHandAreAnsweredOneByOne) {
  TestNode node({.proposer = {.entry_commands_max = 1}, .commits = ScriptedLog::Commits::kByHand});
  node.Start();
  const Answer<ExecuteResult> first = node.Enqueue("mail", "1");
  const Answer<ExecuteResult> second = node.Enqueue("mail", "2");
  node.events().RunUntilIdle();
  EXPECT_FALSE(first.has_value());
  node.Commit(1);
  EXPECT_TRUE(first.has_value());
  EXPECT_FALSE(second.has_value());
  node.Commit();
  EXPECT_TRUE(second.has_value());
}

TEST(Node, CrashKeepsWhatTheLogHasAndRestoresTheSameState) {
  TestNode node({});
  node.Start();
  node.Enqueue("mail", "flushed");
  node.events().RunUntilIdle();
  node.Flush();
  node.Enqueue("mail", "replayed");
  node.events().RunUntilIdle();
  const uint64_t hash = node.shard().machine().StateHash();
  node.Crash();
  ASSERT_TRUE(node.StartFollowing().ok());
  EXPECT_EQ(node.shard().machine().StateHash(), hash);
  EXPECT_EQ(node.shard().machine().FindQueue("mail")->counts[0], 2u);
}

TEST(Node, QueueNamesAreFoundForEveryShard) {
  TestNode node({.shards = 3});
  node.Start();
  for (uint32_t shard = 0; shard < 3; ++shard) {
    EXPECT_NE(node.QueueIn(shard, 0), node.QueueIn(shard, 1));
    node.Enqueue(node.QueueIn(shard, 1), "x");
    node.events().RunUntilIdle();
    EXPECT_NE(node.shard(shard).machine().FindQueue(node.QueueIn(shard, 1)), nullptr);
  }
}

}  // namespace
}  // namespace holdfast
