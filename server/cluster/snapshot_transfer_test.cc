// A state on its way from SnapshotSender to SnapshotReceiver over a stream that a test commands, in
// simulated time.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/testing/simulated_executor.h"
#include "gtest/gtest.h"
#include "server/cluster/snapshot_receiver.h"
#include "server/cluster/snapshot_sender.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(3);
constexpr NodeId kFrom(1);
constexpr NodeId kTo(2);
constexpr ReplicaId kReceiver(22);
constexpr int64_t kSecond = 1'000'000;
constexpr int kChunks = 20;
constexpr int64_t kStreamMicros = 300;

using raft::Core;

// Chunk n is the text n; its cursor too.
class NumberedState final : public PinnedState {
 public:
  const AppliedState& applied() const override { return applied_; }
  absl::StatusOr<StateChunk> Read(std::string_view cursor, uint64_t) const override {
    int number = 0;
    if (!cursor.empty() && !absl::SimpleAtoi(std::string(cursor), &number)) {
      return absl::InvalidArgumentError("not a cursor");
    }
    ++reads;
    if (number == fails_at) return absl::FailedPreconditionError("the pin has ended");
    return StateChunk{.data = absl::StrCat(number),
                      .next = absl::StrCat(number + 1),
                      .last = number + 1 == kChunks};
  }

  mutable int reads = 0;
  int fails_at = -1;

 private:
  const AppliedState applied_;
};

class NumberedStaging final : public StagedState {
 public:
  absl::Status Add(const StateChunk& chunk) override {
    if (added == fails_at) return absl::ResourceExhaustedError("the disk is full");
    EXPECT_EQ(chunk.data, absl::StrCat(added)) << "in order, each once";
    ++added;
    return absl::OkStatus();
  }
  std::string next() const override { return added == 0 ? "" : absl::StrCat(added); }
  bool complete() const override { return added == kChunks; }

  int added = 0;
  int fails_at = -1;
};

class SnapshotTransferTest : public ::testing::Test {
 protected:
  SnapshotTransferTest() : state_(std::make_shared<NumberedState>()) { MakeReceiver(); }

  // Of a new process: what an earlier one had to do is gone.
  void MakeSender(const SnapshotSender::Options& options = {}) {
    leader_.emplace(&events_);
    leader_reader_.emplace(&events_);
    sender_.emplace(options,
                    SnapshotSender::Parts{
                        .executor = &*leader_,
                        .send = [this](NodeId, SnapshotPart part) { return Send(std::move(part)); },
                        .report =
                            [this](ShardId shard, ReplicaId replica, Core::SnapshotResult result) {
                              EXPECT_EQ(shard, kShard);
                              EXPECT_EQ(replica, kReceiver);
                              reports_.push_back(result);
                            }});
  }
  void MakeReceiver() {
    receiver_.emplace(
        SnapshotReceiver::Options(),
        SnapshotReceiver::Parts{
            .executor = &follower_,
            .reader = [this](ShardId) { return &follower_reader_; },
            .stage = [this](ShardId, const raft::SnapshotDescriptor&)
                -> absl::StatusOr<std::shared_ptr<StagedState>> {
              ++stagings_;
              auto staging = std::make_shared<NumberedStaging>();
              staging->fails_at = adds_fail_at_;
              staged_ = staging;
              return staging;
            },
            .received =
                [this](ShardId, PeerMessage message, std::shared_ptr<StagedState> staged) {
                  EXPECT_TRUE(staged->complete());
                  received_.push_back(message.message.snapshot->index);
                },
            .answer = [this](NodeId to, ShardId,
                             std::string answer) { Answer(to, std::move(answer)); }});
  }
  // `source`: of the snapshot, and so which state it is.
  void Begin(const std::string& source = "a") {
    PeerMessage message;
    message.message.type = raft::MessageType::kSnapshot;
    message.message.from = ReplicaId(11);
    message.message.to = kReceiver;
    message.message.snapshot =
        std::make_shared<const raft::SnapshotDescriptor>(raft::SnapshotDescriptor{
            .index = LogIndex(7), .term = Term(2), .configuration = {}, .source = source});
    leader_->Run(
        [&] { sender_->Start(kTo, kShard, std::move(message), state_, &*leader_reader_); });
  }
  // Both ends notice, and what was under way is lost.
  void BreakStream() {
    ++stream_;
    full_ = false;
    leader_->Run([&] { sender_->OnStream(kTo, SnapshotStream::kBroken); });
  }
  void MakeRoom() {
    full_ = false;
    leader_->Run([&] { sender_->OnStream(kTo, SnapshotStream::kRoom); });
  }

  SnapshotSend Send(SnapshotPart part) {
    if (full_) return SnapshotSend::kWait;
    ++parts_;
    if (deaf_) return SnapshotSend::kQueued;
    unanswered_most_ = std::max(unanswered_most_, ++unanswered_);
    leader_->RunAt(leader_->MonotonicMicros() + kStreamMicros,
                   [this, stream = stream_, part = std::move(part)]() mutable {
                     follower_.Post([this, stream, part = std::move(part)]() mutable {
                       if (stream != stream_) return;
                       receiver_->OnPart(kFrom, std::move(part), std::make_shared<int>(0));
                     });
                   });
    return SnapshotSend::kQueued;
  }
  void Answer(NodeId to, std::string answer) {
    EXPECT_EQ(to, kFrom);
    leader_->Post([this, stream = stream_, answer = std::move(answer)] {
      if (stream != stream_) return;
      --unanswered_;
      sender_->OnAnswer(kTo, kShard, answer);
    });
  }

  EventQueue events_;
  std::optional<SimulatedExecutor> leader_;
  std::optional<SimulatedExecutor> leader_reader_;
  SimulatedExecutor follower_{&events_};
  SimulatedExecutor follower_reader_{&events_};
  std::shared_ptr<NumberedState> state_;
  std::optional<SnapshotSender> sender_;
  std::optional<SnapshotReceiver> receiver_;
  std::weak_ptr<NumberedStaging> staged_;  // the newest
  int adds_fail_at_ = -1;

  int stream_ = 0;
  bool full_ = false;
  bool deaf_ = false;
  int parts_ = 0;
  int unanswered_ = 0;
  int unanswered_most_ = 0;
  int stagings_ = 0;
  std::vector<LogIndex> received_;
  std::vector<Core::SnapshotResult> reports_;
};

const std::vector<Core::SnapshotResult> kInstalled = {Core::SnapshotResult::kInstalled};
const std::vector<Core::SnapshotResult> kFailed = {Core::SnapshotResult::kFailed};

TEST_F(SnapshotTransferTest, ArrivesWholeAndIsReportedOnce) {
  MakeSender({.chunk_bytes = 1000, .chunks_in_flight = 3});
  Begin();
  events_.RunFor(kSecond);
  EXPECT_EQ(received_, std::vector<LogIndex>{LogIndex(7)});
  EXPECT_EQ(reports_, kInstalled);
  EXPECT_EQ(state_->reads, kChunks);
  EXPECT_EQ(unanswered_most_, 3);
  EXPECT_TRUE(staged_.expired());
  EXPECT_EQ(state_.use_count(), 1) << "the pin is released";
}

TEST_F(SnapshotTransferTest, IsNoFasterThanToldAndKeepsThePace) {
  MakeSender({.chunk_bytes = 1000, .bytes_per_second = 10'000});  // ten chunks a second
  Begin();
  events_.RunFor((kChunks - 1) * kSecond / 10 - 1000);
  EXPECT_TRUE(received_.empty());
  events_.RunFor(kSecond / 10);
  EXPECT_EQ(reports_, kInstalled);
}

TEST_F(SnapshotTransferTest, GoesOnWhereItStoppedWhenTheStreamBreaks) {
  MakeSender({.chunk_bytes = 1000, .chunks_in_flight = 2, .bytes_per_second = 10'000});
  Begin();
  events_.RunFor(kSecond);
  const int had = staged_.lock()->added;
  EXPECT_GT(had, 5);
  EXPECT_LT(had, kChunks - 5);
  BreakStream();
  events_.RunFor(3 * kSecond);
  EXPECT_EQ(reports_, kInstalled);
  EXPECT_EQ(stagings_, 1);
  EXPECT_LE(state_->reads, kChunks + 2) << "no more than what was under way is read again";
}

TEST_F(SnapshotTransferTest, StreamThatBreaksAgainAndAgainIsNoEnd) {
  MakeSender({.chunk_bytes = 1000, .bytes_per_second = 10'000});
  Begin();
  for (int i = 0; i < 20 && reports_.empty(); ++i) {
    events_.RunFor(kSecond / 2);
    if (reports_.empty()) BreakStream();
  }
  EXPECT_EQ(reports_, kInstalled);
  EXPECT_EQ(stagings_, 1);
}

TEST_F(SnapshotTransferTest, LostLastAnswerDoesNotSendItAllAgain) {
  MakeSender();
  Begin();
  while (received_.empty()) ASSERT_TRUE(events_.RunOne());
  ASSERT_TRUE(reports_.empty());
  BreakStream();
  events_.RunFor(kSecond);
  EXPECT_EQ(received_, std::vector<LogIndex>{LogIndex(7)});
  EXPECT_EQ(reports_, kInstalled);
  EXPECT_EQ(state_->reads, kChunks);
}

// It may have been of no use to the replica: then the leader finds that out, and sends it again.
TEST_F(SnapshotTransferTest, SameStateIsSentAgainIfItIsWantedAgain) {
  MakeSender();
  for (int i = 0; i < 3; ++i) {
    Begin();
    events_.RunFor(kSecond);
  }
  EXPECT_EQ(reports_.size(), 3u);
  EXPECT_EQ(received_.size(), 2u) << "at the second try the first may just not have been noticed";
}

TEST_F(SnapshotTransferTest, WaitsForRoomInTheQueue) {
  MakeSender();
  full_ = true;
  Begin();
  events_.RunFor(kSecond);
  EXPECT_EQ(parts_, 0);
  MakeRoom();
  events_.RunFor(kSecond);
  EXPECT_EQ(reports_, kInstalled);
}

TEST_F(SnapshotTransferTest, WithoutProgressItIsGivenUp) {
  MakeSender();
  deaf_ = true;
  Begin();
  events_.RunFor(29 * kSecond);
  EXPECT_TRUE(reports_.empty());
  BreakStream();  // another try is no progress
  events_.RunFor(2 * kSecond);
  EXPECT_EQ(reports_, kFailed);
  EXPECT_EQ(state_.use_count(), 1);
  events_.RunFor(100 * kSecond);
  EXPECT_EQ(reports_, kFailed) << "once";
}

TEST_F(SnapshotTransferTest, PinThatEndsEndsIt) {
  state_->fails_at = 4;
  MakeSender();
  Begin();
  events_.RunFor(kSecond);
  EXPECT_EQ(reports_, kFailed);
  EXPECT_TRUE(received_.empty());
  events_.RunFor(70 * kSecond);
  EXPECT_TRUE(staged_.expired()) << "dropped when nothing comes any more";
}

TEST_F(SnapshotTransferTest, ReceiverThatCannotTakeItSaysSo) {
  adds_fail_at_ = 4;
  MakeSender();
  Begin();
  events_.RunFor(kSecond);
  EXPECT_EQ(reports_, kFailed);
  EXPECT_TRUE(staged_.expired());
  adds_fail_at_ = -1;
  Begin();
  events_.RunFor(kSecond);
  EXPECT_EQ(received_, std::vector<LogIndex>{LogIndex(7)});
  EXPECT_EQ(stagings_, 2);
}

TEST_F(SnapshotTransferTest, AnotherStateBeginsAnewAndTheFirstIsNotReported) {
  MakeSender({.chunk_bytes = 1000, .bytes_per_second = 10'000});
  Begin("a");
  events_.RunFor(kSecond);
  const std::weak_ptr<NumberedStaging> first = staged_;
  Begin("b");
  events_.RunFor(3 * kSecond);
  EXPECT_TRUE(first.expired());
  EXPECT_EQ(stagings_, 2);
  EXPECT_EQ(reports_, kInstalled);
}

// A sender that was started again counts its states from 1 again.
TEST_F(SnapshotTransferTest, SameNameOfAnEarlierStartIsAnotherState) {
  MakeSender({.incarnation = 1, .chunk_bytes = 1000, .bytes_per_second = 10'000});
  Begin();
  events_.RunFor(kSecond);
  ++stream_;
  MakeSender({.incarnation = 2});
  Begin();
  events_.RunFor(3 * kSecond);
  EXPECT_EQ(stagings_, 2);
  EXPECT_EQ(reports_, kInstalled);
}

}  // namespace
}  // namespace holdfast
