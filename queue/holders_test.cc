// Rules of closed holders that a script would be too long for.

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "queue/testing/machine_driver.h"
#include "queue/testing/oracle.h"

namespace holdfast {
namespace {

constexpr LogTime kNow = LogTime::FromMicros(1'000'000);

Holder NumberedHolder(uint64_t n) { return {NodeId(1), 7, n}; }

// The machine, with restarts and flushes in between, and the oracle; both must answer the same.
class ClosedHolders : public ::testing::Test {
 protected:
  ClosedHolders() : driver_(DriverOptions()), oracle_(ShardId(0), 1) {}

  Outcome Apply(CommandBody body) {
    const Command command{{}, std::move(body)};
    Outcome outcome = driver_.Apply(command, kNow);
    EXPECT_EQ(oracle_.Apply(command, kNow).code, outcome.code);
    return outcome;
  }
  void Enqueue() { Apply(EnqueueCommand{.queue = "q", .jobs = {JobSpec()}}); }
  OutcomeCode Reserve(const Holder& holder) {
    return Apply(ReserveCommand{.queues = {"q"}, .max = 1, .holder = holder, .lease = {}}).code;
  }
  void Close(uint64_t first, uint64_t count) {
    for (uint64_t n = first; n < first + count; ++n) Apply(CloseHolderCommand{NumberedHolder(n)});
  }
  uint64_t Rows() const { return driver_.machine().totals().holders; }

  static MachineDriver::Options DriverOptions() {
    MachineDriver::Options options;
    options.schedule.begin_flush = 50;
    options.schedule.complete_flush = 50;
    options.schedule.restart = 500;
    options.schedule.check_invariants = 500;
    return options;
  }

  MachineDriver driver_;
  Oracle oracle_;
};

// Their rows once stayed until the node started anew.
TEST_F(ClosedHolders, AreRememberedOnlyAsFarAsTheBound) {
  Enqueue();
  Close(1, kClosedHoldersMax);
  EXPECT_EQ(Reserve(NumberedHolder(1)), OutcomeCode::kHolderGone);
  EXPECT_EQ(Rows(), kClosedHoldersMax);
  Close(kClosedHoldersMax + 1, 10);
  EXPECT_EQ(Rows(), kClosedHoldersMax);
  EXPECT_EQ(Reserve(NumberedHolder(11)), OutcomeCode::kHolderGone);
  EXPECT_EQ(Reserve(NumberedHolder(10)), OutcomeCode::kOk) << "long after it was closed";
}

TEST_F(ClosedHolders, AreNotForgottenWhileTheirJobsAreNotCollected) {
  Enqueue();
  ASSERT_EQ(Reserve(NumberedHolder(1)), OutcomeCode::kOk);
  Close(1, kClosedHoldersMax + 10);
  EXPECT_EQ(Rows(), kClosedHoldersMax + 1);
  const Outcome settled = Apply(DeleteCommand{.leases = {{JobId(1), LeaseToken(1)}}});
  EXPECT_EQ(settled.items[0].code, OutcomeCode::kLeaseInvalid);
  Apply(ExpireCommand{});
  Close(kClosedHoldersMax + 11, 1);
  EXPECT_EQ(Rows(), kClosedHoldersMax);
  EXPECT_EQ(Reserve(NumberedHolder(1)), OutcomeCode::kOk);
}

TEST_F(ClosedHolders, TellTheNewestRunOfEachNodeUntilItIsLost) {
  for (int i = 0; i < 3; ++i) Enqueue();
  EXPECT_TRUE(driver_.machine().OpenRuns().empty());
  EXPECT_EQ(Reserve({NodeId(1), 7, 1}), OutcomeCode::kOk);
  EXPECT_EQ(Reserve({NodeId(1), 9, 1}), OutcomeCode::kOk);
  EXPECT_EQ(Reserve({NodeId(4), 2, 1}), OutcomeCode::kOk);
  EXPECT_EQ(driver_.machine().OpenRuns(), (std::vector<NodeRun>{{NodeId(1), 9}, {NodeId(4), 2}}));
  Apply(NodeLostCommand{.node = NodeId(1), .incarnation = 9});
  EXPECT_EQ(driver_.machine().LostIncarnation(NodeId(1)), 9u);
  EXPECT_EQ(driver_.machine().LostIncarnation(NodeId(4)), 0u);
  EXPECT_EQ(driver_.machine().OpenRuns(), (std::vector<NodeRun>{{NodeId(4), 2}}));
}

TEST_F(ClosedHolders, AreNotThoseWhoseLeasesOutliveTheirNode) {
  for (int i = 0; i < 2; ++i) Enqueue();
  const Holder outlives = {NodeId(1), kNeverLost + 7, 1};
  EXPECT_EQ(Reserve(outlives), OutcomeCode::kOk);
  EXPECT_TRUE(driver_.machine().OpenRuns().empty());
  EXPECT_EQ(Reserve({NodeId(1), 7, 1}), OutcomeCode::kOk);
  EXPECT_EQ(driver_.machine().OpenRuns(), (std::vector<NodeRun>{{NodeId(1), 7}}));
  EXPECT_EQ(Apply(NodeLostCommand{.node = NodeId(1), .incarnation = kNeverLost}).code,
            OutcomeCode::kInvalidArgument);
  Apply(NodeLostCommand{.node = NodeId(1), .incarnation = kNeverLost - 1});
  const Outcome settled =
      Apply(DeleteCommand{.leases = {{JobId(1), LeaseToken(1)}, {JobId(2), LeaseToken(1)}}});
  EXPECT_EQ(settled.items[0].code, OutcomeCode::kOk);
  EXPECT_EQ(settled.items[1].code, OutcomeCode::kLeaseInvalid);
}

TEST_F(ClosedHolders, OfALostRunLeaveNothingBehind) {
  Close(1, 100);
  Apply(NodeLostCommand{.node = NodeId(1), .incarnation = 7});
  Apply(ExpireCommand{});
  EXPECT_EQ(Rows(), 0u);
  Enqueue();
  EXPECT_EQ(Reserve(NumberedHolder(1000)), OutcomeCode::kHolderGone);
}

}  // namespace
}  // namespace holdfast
