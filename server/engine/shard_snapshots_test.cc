// Rules of a state that moves from one replica's shard to another's, and of the rows that are
// fetched before an entry is committed.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

using PinResult = absl::StatusOr<std::shared_ptr<const PinnedState>>;

PinResult Pin(TestNode& node) {
  Answer<PinResult> answer;
  node.OnLoop([&] { node.shard().Pin(answer.Done()); });
  return node.Await(answer);
}

raft::SnapshotDescriptor DescriptorOf(const PinnedState& state) {
  raft::SnapshotDescriptor snapshot;
  snapshot.index = state.applied().position.index;
  snapshot.term = state.applied().position.term;
  return snapshot;
}

// Copies `state` to the node, whose shard does not lead.
std::shared_ptr<StagedState> CopyTo(TestNode& node, const PinnedState& state) {
  auto staged = node.shard().Stage(DescriptorOf(state));
  CHECK(staged.ok());
  StateChunk chunk;
  do {
    auto next = state.Read(chunk.next, 4096);
    CHECK(next.ok());
    chunk = *std::move(next);
    CHECK_EQ((*staged)->Add(chunk), absl::OkStatus());
  } while (!chunk.last);
  return *std::move(staged);
}

absl::Status Install(TestNode& node, const PinnedState& state,
                     std::shared_ptr<StagedState> staged) {
  Answer<absl::Status> answer;
  node.OnLoop([&] {
    node.shard().Install(DescriptorOf(state), std::move(staged),
                         [done = answer.Done()](const absl::Status& status) { done(status); });
  });
  return node.Await(answer);
}

void StopLeading(TestNode& node) {
  node.OnLoop([&] { node.log().StopLeading(absl::UnavailableError("another leads")); });
}

void EnqueueMany(TestNode& node, const std::string& queue, int count) {
  for (int i = 0; i < count; ++i) node.Enqueued(node.Enqueue(queue, absl::StrCat("body ", i)));
}

TEST(StateTransfer, NothingCanBePinnedBeforeTheFirstFlush) {
  TestNode node({});
  node.Start();
  EnqueueMany(node, "mail", 1);
  EXPECT_TRUE(absl::IsUnavailable(Pin(node).status()));
}

TEST(StateTransfer, ThePinnedStateIsTheFlushedOneWhateverComesLater) {
  TestNode node({});
  node.Start();
  EnqueueMany(node, "mail", 3);
  node.Flush();
  const LogIndex flushed = node.shard().applied().index;
  EnqueueMany(node, "mail", 3);
  node.Flush();
  const PinResult later = Pin(node);
  EnqueueMany(node, "mail", 3);
  const PinResult last = Pin(node);
  ASSERT_TRUE(later.ok() && last.ok());
  EXPECT_GT((*later)->applied().position.index, flushed);
  EXPECT_EQ((*later)->applied().position, (*last)->applied().position);
}

TEST(StateTransfer, AStateThatDoesNotKnowTheNewestMembersIsNotPinned) {
  TestNode node({});
  node.Start();
  EnqueueMany(node, "mail", 3);
  node.Flush();
  StopLeading(node);
  node.OnLoop([&] { node.log().Replace(raft::EntryType::kConfiguration, "members"); });
  node.Commit();
  EXPECT_TRUE(absl::IsUnavailable(Pin(node).status()));
  EXPECT_EQ(node.flushes_asked_for(), 1);
  node.Flush();
  const PinResult state = Pin(node);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ((*state)->applied().configuration, "members");
  EXPECT_EQ(node.flushes_asked_for(), 1);
}

TEST(StateTransfer, APinThatNobodyReadsEndsWithAFlush) {
  TestNode node({});
  node.Start();
  EnqueueMany(node, "mail", 3);
  node.Flush();
  const PinResult state = Pin(node);
  ASSERT_TRUE(state.ok());
  EXPECT_TRUE((*state)->Read("", 4096).ok());
  for (int i = 0; i < 2; ++i) {
    node.events().RunFor(SnapshotPins::Options().unused_micros_max + 1);
    EnqueueMany(node, "mail", 1);
    node.Flush();
  }
  EXPECT_TRUE(absl::IsFailedPrecondition((*state)->Read("", 4096).status()));
}

TEST(StateTransfer, TheReceiverHasTheSendersStateInThePlaceOfItsOwnAndGoesOnFromIt) {
  TestNode from({});
  from.Start();
  EnqueueMany(from, "mail", 50);
  from.Flush();
  const PinResult state = Pin(from);
  ASSERT_TRUE(state.ok());

  TestNode to({});
  to.Start();
  EnqueueMany(to, "own", 3);
  to.Flush();
  StopLeading(to);
  ASSERT_EQ(Install(to, **state, CopyTo(to, **state)), absl::OkStatus());
  EXPECT_EQ(to.shard().machine().StateHash(), from.shard().machine().StateHash());
  EXPECT_EQ(to.shard().machine().FindQueue("own"), nullptr);
  EXPECT_TRUE(to.shard().applied().installing);

  to.log().ResetTo((*state)->applied().position);
  to.OnLoop([&] { to.log().Lead(); });
  EnqueueMany(to, "mail", 1);
  EXPECT_EQ(to.shard().machine().FindQueue("mail")->counts[0], 51u);
  to.Flush();
  EXPECT_FALSE(to.shard().applied().installing);
  to.Crash();
  to.Start();
  EXPECT_EQ(to.shard().machine().FindQueue("mail")->counts[0], 51u);
  EXPECT_TRUE(to.fatal().empty());
}

TEST(StateTransfer, ACrashAfterTheInstallationFindsTheMark) {
  TestNode from({});
  from.Start();
  EnqueueMany(from, "mail", 5);
  from.Flush();
  const PinResult state = Pin(from);
  ASSERT_TRUE(state.ok());
  TestNode to({});
  to.Start();
  StopLeading(to);
  ASSERT_EQ(Install(to, **state, CopyTo(to, **state)), absl::OkStatus());
  to.Crash();
  to.log().ResetTo((*state)->applied().position);
  ASSERT_EQ(to.StartFollowing(), absl::OkStatus());
  EXPECT_TRUE(to.shard().applied().installing);
  EXPECT_EQ(to.shard().machine().FindQueue("mail")->counts[0], 5u);
}

TEST(StateTransfer, AStateThatIsNotTheSnapshotsIsNotInstalled) {
  TestNode from({});
  from.Start();
  EnqueueMany(from, "mail", 5);
  from.Flush();
  const PinResult state = Pin(from);
  ASSERT_TRUE(state.ok());
  TestNode to({});
  to.Start();
  StopLeading(to);
  auto incomplete = to.shard().Stage(DescriptorOf(**state));
  ASSERT_TRUE(incomplete.ok());
  EXPECT_TRUE(absl::IsDataLoss(Install(to, **state, *std::move(incomplete))));
}

TEST(Prefetching, WhatAnEntryNeedsIsLoadedBeforeItIsCommitted) {
  TestNode::Options options;
  options.machine.window_jobs_max = 8;
  options.machine.window_jobs_low = 4;
  options.machine.hot_jobs_max = 16;
  TestNode node(options);
  node.Start();
  EnqueueMany(node, "mail", 100);
  const JobId job = node.Enqueued(node.Enqueue("mail", "x"));
  node.Flush();
  node.Crash();
  node.Start();
  ASSERT_FALSE(node.shard().machine().IsJobKnown(job));
  node.log().SetCommits(ScriptedLog::Commits::kByHand);
  const auto answer =
      node.Execute(DeleteJobCommand{.jobs = {job}, .reserved = ReservedJobs::kRefuse});
  node.events().RunUntilIdle();
  EXPECT_FALSE(answer.has_value());
  EXPECT_TRUE(node.shard().machine().IsJobKnown(job));
  node.reader().Pause();  // nothing more is read
  node.Commit();
  EXPECT_EQ(node.Await(answer).outcome.code, OutcomeCode::kOk);
}

}  // namespace
}  // namespace holdfast
