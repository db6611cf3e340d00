// A checker that cannot fail proves nothing: each is shown a history that breaks its rule.

#include "tests/support/checkers.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast::testing {
namespace {

// One operation that took from `begin` to `begin` + 10, in microseconds.
Operation At(int64_t begin, OperationKind kind) {
  return {.kind = kind, .begin_micros = begin, .end_micros = begin + 10};
}
Operation Enqueue(int64_t begin, uint64_t key, uint64_t id, Ended ended = Ended::kOk) {
  Operation operation = At(begin, OperationKind::kEnqueue);
  operation.enqueued = {{.key = key, .ended = ended, .id = id, .delay_micros = 0}};
  return operation;
}
// Granted at `begin` in log time too, for 1000 us.
Operation Reserve(int64_t begin, uint64_t key, uint64_t id, uint64_t token) {
  Operation operation = At(begin, OperationKind::kReserve);
  operation.grants = {{.id = id,
                       .key = key,
                       .body_intact = true,
                       .token = token,
                       .granted_micros = begin,
                       .expiry_micros = begin + 1000,
                       .created_micros = 0}};
  return operation;
}
Operation Settle(int64_t begin, OperationKind kind, uint64_t id, uint64_t token,
                 Ended ended = Ended::kOk, int64_t expiry = 0) {
  Operation operation = At(begin, kind);
  // In these histories job 16 * k has the key k.
  operation.settled = {
      {.id = id, .key = id / 16, .token = token, .ended = ended, .expiry_micros = expiry}};
  return operation;
}
Operation Delete(int64_t begin, uint64_t id, uint64_t token, Ended ended = Ended::kOk) {
  return Settle(begin, OperationKind::kDelete, id, token, ended);
}

// The same over a connection: a hold, for 1000 us.
Operation Hold(int64_t begin, uint64_t key, uint64_t id, uint64_t hold) {
  Operation operation = Reserve(begin, key, id, 0);
  operation.grants[0].hold = hold;
  operation.grants[0].granted_micros = 0;
  return operation;
}
Operation SettleHold(int64_t begin, OperationKind kind, uint64_t id, uint64_t hold,
                     Ended ended = Ended::kOk, int64_t expiry = 0) {
  Operation operation = Settle(begin, kind, id, 0, ended, expiry);
  operation.settled[0].hold = hold;
  return operation;
}

// Two jobs, one of which times out once and is touched, released and done at last.
std::vector<Operation> GoodHistory() {
  return {
      Enqueue(100, 1, 16),
      Enqueue(200, 2, 32),
      Enqueue(250, 3, 0, Ended::kRefused),
      Reserve(300, 1, 16, 1),
      Delete(400, 16, 1),
      Reserve(500, 2, 32, 1),
      Reserve(1600, 2, 32, 2),
      Delete(1700, 32, 1, Ended::kRefused),
      Settle(1800, OperationKind::kTouch, 32, 2, Ended::kOk, 2800),
      Settle(1900, OperationKind::kRelease, 32, 2),
      Reserve(2000, 2, 32, 3),
      Delete(2100, 32, 3, Ended::kUnknown),
  };
}

constexpr CheckerOptions kExactClock = {.clock_difference_micros = 0};

std::vector<Violation> Check(std::vector<Operation> operations) {
  History history;
  for (Operation& operation : operations) history.Add(std::move(operation));
  return CheckAll(history, kExactClock);
}

// The rules that are broken, each once.
std::string Rules(const std::vector<Violation>& violations) {
  std::string rules;
  for (const Violation& violation : violations) {
    if (rules.find(violation.rule) == std::string::npos) rules += violation.rule + "; ";
  }
  return rules;
}

std::vector<Operation> With(std::vector<Operation> operations) {
  std::vector<Operation> all = GoodHistory();
  for (Operation& operation : operations) all.push_back(std::move(operation));
  return all;
}

TEST(Checkers, AcceptAGoodHistory) { EXPECT_EQ(Rules(Check(GoodHistory())), ""); }

TEST(Checkers, AnUnknownEnqueueMayComeOrNot) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 0, Ended::kUnknown)}))), "");
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 0, Ended::kUnknown), Reserve(4000, 4, 64, 1),
                              Delete(4100, 64, 1)}))),
            "");
}

TEST(Checkers, AnAcknowledgedJobThatNobodyDeletedIsLost) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64)}))), "nothing acknowledged is lost; ");
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Delete(4100, 64, 1, Ended::kRefused)}))),
            "nothing acknowledged is lost; ");
}

TEST(Checkers, AJobWhoseIdWasGivenAwayIsLostAllTheSame) {
  std::vector<Operation> operations = {Enqueue(3000, 4, 64), Enqueue(4000, 5, 64),
                                       Reserve(5000, 5, 64, 1), Delete(5100, 64, 1)};
  operations[3].settled[0].key = 5;
  EXPECT_EQ(Rules(Check(With(operations))),
            "nothing acknowledged is lost; an id is never reused; ");
}

TEST(Checkers, AJobThatNobodyEnqueuedIsInvented) {
  EXPECT_EQ(Rules(Check(With({Reserve(4000, 9, 144, 1)}))), "nothing is invented; ");
  EXPECT_EQ(Rules(Check(With({Reserve(4000, 3, 64, 1)}))), "nothing is invented; ")
      << "a refused enqueue";
}

TEST(Checkers, AChangedBodyIsInvented) {
  Operation reserve = Reserve(4000, 4, 64, 1);
  reserve.grants[0].body_intact = false;
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), reserve, Delete(4100, 64, 1)}))),
            "nothing is invented; ");
}

TEST(Checkers, OneKeyThatBecameTwoJobsWasDoneTwice) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 0, Ended::kUnknown), Reserve(4000, 4, 64, 1),
                              Reserve(4000, 4, 80, 1), Delete(4100, 64, 1), Delete(4100, 80, 1)}))),
            "an enqueue is done once; ");
}

TEST(Checkers, OneIdForTwoKeysIsReused) {
  EXPECT_NE(Rules(Check(With({Enqueue(3000, 4, 16)}))).find("an id is never reused"),
            std::string::npos);
}

TEST(Checkers, AGrantWithinAValidLeaseOverlaps) {
  const std::vector<Operation> overlapping = {Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                                              Reserve(4999, 4, 64, 2), Delete(5100, 64, 2)};
  EXPECT_EQ(Rules(Check(With(overlapping))), "leases do not overlap; ");
  std::vector<Operation> after = overlapping;
  after[2] = Reserve(5000, 4, 64, 2);
  EXPECT_EQ(Rules(Check(With(after))), "") << "from the expiry on it is free";
}

TEST(Checkers, ATouchedLeaseIsValidForLonger) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Settle(4500, OperationKind::kTouch, 64, 1, Ended::kOk, 5500),
                              Reserve(5400, 4, 64, 2), Delete(5500, 64, 2)}))),
            "leases do not overlap; ");
}

TEST(Checkers, AReleaseThatMayHaveBeenDoneEndsTheLease) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Settle(4500, OperationKind::kRelease, 64, 1, Ended::kUnknown),
                              Reserve(4600, 4, 64, 2), Delete(4700, 64, 2)}))),
            "");
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Settle(4500, OperationKind::kRelease, 64, 1, Ended::kRefused),
                              Reserve(4600, 4, 64, 2), Delete(4700, 64, 2)}))),
            "leases do not overlap; ");
}

TEST(Checkers, OneTokenGivenTwiceOverlaps) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Reserve(6000, 4, 64, 1), Delete(6100, 64, 1)}))),
            "leases do not overlap; ");
}

TEST(Checkers, ATokenThatWasReplacedMustNotSucceed) {
  EXPECT_EQ(
      Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1), Reserve(5000, 4, 64, 2),
                        Settle(5100, OperationKind::kRelease, 64, 1), Delete(5200, 64, 2)}))),
      "a stale token never succeeds; ");
}

TEST(Checkers, ALeaseThatWasGivenUpMustNotSucceed) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                              Settle(4100, OperationKind::kRelease, 64, 1),
                              Settle(4200, OperationKind::kTouch, 64, 1, Ended::kOk, 5200),
                              Delete(4300, 64, 1, Ended::kUnknown)}))),
            "a stale token never succeeds; ");
  EXPECT_EQ(
      Rules(Check(With({Enqueue(3000, 4, 64), Hold(4000, 4, 64, 1),
                        SettleHold(4100, OperationKind::kBury, 64, 1),
                        SettleHold(4200, OperationKind::kRelease, 64, 1), Delete(4300, 64, 0)}))),
      "a stale token never succeeds; ");
}

TEST(Checkers, AnExpiredLeaseMustNotSucceed) {
  for (const OperationKind kind :
       {OperationKind::kRelease, OperationKind::kTouch, OperationKind::kBury}) {
    EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Reserve(4000, 4, 64, 1),
                                Settle(5001, kind, 64, 1, Ended::kOk, 6000),
                                Reserve(7000, 4, 64, 2), Delete(7100, 64, 2)}))),
              "a stale token never succeeds; ");
  }
}

TEST(Checkers, AJobInAHoldIsNobodyElses) {
  const Operation enqueue = Enqueue(3000, 4, 64);
  const Operation hold = Hold(4000, 4, 64, 1);
  const Operation end = Delete(9000, 64, 0, Ended::kUnknown);
  EXPECT_EQ(Rules(Check(With({enqueue, hold, Hold(4500, 4, 64, 2), end}))),
            "leases do not overlap; ");
  EXPECT_EQ(Rules(Check(With({enqueue, hold, Reserve(4500, 4, 64, 1), end}))),
            "leases do not overlap; ");
  EXPECT_EQ(Rules(Check(With({enqueue, Reserve(4000, 4, 64, 1), Hold(4500, 4, 64, 1), end}))),
            "leases do not overlap; ");
  EXPECT_EQ(Rules(Check(With({enqueue, hold, Hold(4005, 4, 64, 2), end}))), "")
      << "nobody knows which came first";
  EXPECT_EQ(Rules(Check(With({enqueue, hold, Hold(5000, 4, 64, 2), end}))), "") << "it expired";
}

TEST(Checkers, AHoldEndsWithItsConnection) {
  const auto with_end_at = [](int64_t micros) {
    return With({Enqueue(3000, 4, 64), Hold(4000, 4, 64, 1),
                 SettleHold(micros, OperationKind::kRelease, 64, 1, Ended::kUnknown),
                 Reserve(4500, 4, 64, 1), Delete(4600, 64, 1)});
  };
  EXPECT_EQ(Rules(Check(with_end_at(4510))), "");
  EXPECT_EQ(Rules(Check(with_end_at(4511))), "leases do not overlap; ");
}

TEST(Checkers, ATouchedHoldIsValidForLonger) {
  EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Hold(4000, 4, 64, 1),
                              SettleHold(4500, OperationKind::kTouch, 64, 1, Ended::kOk, 5500),
                              Reserve(5400, 4, 64, 1), Delete(5600, 64, 1)}))),
            "leases do not overlap; ");
}

TEST(Checkers, AHoldThatWasReplacedMustNotSucceed) {
  for (const Operation& other : {Reserve(4200, 4, 64, 1), Hold(4200, 4, 64, 2)}) {
    EXPECT_EQ(Rules(Check(With({Enqueue(3000, 4, 64), Hold(4000, 4, 64, 1),
                                SettleHold(4100, OperationKind::kRelease, 64, 1, Ended::kUnknown),
                                other, SettleHold(4211, OperationKind::kBury, 64, 1),
                                Delete(9000, 64, 0, Ended::kUnknown)}))),
              "a stale token never succeeds; ");
  }
}

TEST(Checkers, AnExpiredHoldMustNotSucceed) {
  const auto with_touch_at = [](int64_t micros) {
    return With({Enqueue(3000, 4, 64), Hold(4000, 4, 64, 1),
                 SettleHold(micros, OperationKind::kTouch, 64, 1, Ended::kOk, micros + 1000),
                 SettleHold(micros + 100, OperationKind::kDelete, 64, 1)});
  };
  EXPECT_EQ(Rules(Check(with_touch_at(5010))), "") << "it may have begun with the answer";
  EXPECT_EQ(Rules(Check(with_touch_at(5011))), "a stale token never succeeds; ");
}

TEST(Checkers, WhatSomebodyHoldsIsNotDeletedByOthers) {
  const Operation enqueue = Enqueue(3000, 4, 64);
  for (const Operation& lease : {Reserve(4000, 4, 64, 1), Hold(4000, 4, 64, 1)}) {
    EXPECT_EQ(Rules(Check(With({enqueue, lease, Delete(4500, 64, 0)}))),
              "a stale token never succeeds; ");
    EXPECT_EQ(Rules(Check(With({enqueue, lease, SettleHold(4500, OperationKind::kDelete, 64, 2)}))),
              "a stale token never succeeds; ");
    EXPECT_EQ(Rules(Check(With({enqueue, lease, Delete(5000, 64, 0)}))), "") << "it expired";
  }
  EXPECT_EQ(Rules(Check(With(
                {enqueue, Hold(4000, 4, 64, 1), SettleHold(4500, OperationKind::kDelete, 64, 1)}))),
            "")
      << "its own";
}

TEST(Checkers, AnAcknowledgedDeleteIsFinal) {
  EXPECT_NE(Rules(Check(With({Reserve(9000, 1, 16, 2)}))).find("a delete is final"),
            std::string::npos);
  EXPECT_NE(Rules(Check(With({Reserve(9000, 1, 16, 1)}))).find("a delete is final"),
            std::string::npos)
      << "the token may have been lost with the rest";
  EXPECT_NE(Rules(Check(With({Delete(9000, 16, 1)}))).find("a delete is final"), std::string::npos);
  EXPECT_EQ(Rules(Check(With({Reserve(9000, 2, 32, 4), Delete(9100, 32, 4)}))), "")
      << "the delete of job 32 was not acknowledged";
  EXPECT_NE(Rules(Check(With({Hold(9000, 1, 16, 1)}))).find("a delete is final"),
            std::string::npos);
  EXPECT_NE(Rules(Check(With({Delete(9000, 16, 0)}))).find("a delete is final"), std::string::npos);
}

TEST(Checkers, ADelayedJobMustNotComeEarly) {
  Operation enqueue = Enqueue(3000, 4, 64);
  enqueue.enqueued[0].delay_micros = 2000;
  Operation reserve = Reserve(4999, 4, 64, 1);
  reserve.grants[0].created_micros = 3000;
  EXPECT_EQ(Rules(Check(With({enqueue, reserve, Delete(5000, 64, 1)}))),
            "nothing is handed out before its delay; ");
  reserve.grants[0].granted_micros = 5000;
  EXPECT_EQ(Rules(Check(With({enqueue, reserve, Delete(5000, 64, 1)}))), "");
  const Operation end = Delete(6000, 64, 0);
  EXPECT_EQ(Rules(Check(With({enqueue, Hold(4989, 4, 64, 1), end}))),
            "nothing is handed out before its delay; ");
  EXPECT_EQ(Rules(Check(With({enqueue, Hold(4990, 4, 64, 1), end}))), "");
}

TEST(Checkers, CountsThatDoNotAddUpAreTold) {
  History history;
  CountsSample sample = {.queue = "q",
                         .ready = 1,
                         .delayed = 2,
                         .reserved = 3,
                         .buried = 4,
                         .total_enqueued = 15,
                         .total_deleted = 5};
  history.AddCounts(sample);
  EXPECT_EQ(Rules(CheckAll(history, kExactClock)), "");
  sample.total_deleted = 4;
  history.AddCounts(sample);
  EXPECT_EQ(Rules(CheckAll(history, kExactClock)), "counts conserve; ");
}

TEST(Checkers, DescribeCountsByRule) {
  const std::vector<Violation> violations = {{"r", "a"}, {"r", "b"}, {"s", "c"}};
  EXPECT_EQ(Describe(violations, 1), "3 violations\n  2 x r\n  1 x s\n  r: a");
}

}  // namespace
}  // namespace holdfast::testing
