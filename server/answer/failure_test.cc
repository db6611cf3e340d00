#include "server/answer/failure.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"

namespace holdfast {
namespace {

// The details of the kind, or nullopt.
template <class Detail>
std::optional<Detail> Find(const grpc::Status& status) {
  google::rpc::Status all;
  EXPECT_TRUE(all.ParseFromString(status.error_details()));
  EXPECT_EQ(all.code(), static_cast<int>(status.error_code()));
  EXPECT_EQ(all.message(), status.error_message());
  Detail detail;
  for (const auto& any : all.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

std::string ReasonOf(const grpc::Status& status) {
  const auto info = Find<google::rpc::ErrorInfo>(status);
  EXPECT_TRUE(info.has_value() && info->domain() == "holdfast");
  return info.has_value() ? info->reason() : "";
}

TEST(Failure, AStatusKeepsItsCodeAndMessageAndTellsItsReason) {
  const grpc::Status refused = FailureOf(absl::FailedPreconditionError("it is up")).ToGrpc();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(refused.error_message(), "it is up");
  EXPECT_EQ(ReasonOf(refused), "CLUSTER_CHANGE_REFUSED");
  EXPECT_FALSE(Find<google::rpc::RetryInfo>(refused).has_value());
  const grpc::Status changed = FailureOf(absl::AbortedError("again and again")).ToGrpc();
  EXPECT_EQ(changed.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(changed), "CLUSTER_CHANGED");
}

TEST(Failure, WhereWaitingHelpsItTellsForHowLong) {
  const grpc::Status status = FailureOf(absl::UnavailableError("starting")).ToGrpc();
  EXPECT_EQ(ReasonOf(status), "NODE_UNAVAILABLE");
  EXPECT_GT(Find<google::rpc::RetryInfo>(status)->retry_delay().nanos(), 0);
  const grpc::Status told =
      FailureOf(absl::ResourceExhaustedError("full"), absl::Milliseconds(1500)).ToGrpc();
  EXPECT_EQ(Find<google::rpc::RetryInfo>(told)->retry_delay().seconds(), 1);
  EXPECT_EQ(Find<google::rpc::RetryInfo>(told)->retry_delay().nanos(), 500'000'000);
}

TEST(Failure, AFieldIsNamed) {
  const grpc::Status status =
      FailureOf(FieldError{.field = "shards", .description = "9 is out of [0, 4)"}).ToGrpc();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "shards: 9 is out of [0, 4).");
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELD");
  const auto bad = Find<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad.has_value());
  EXPECT_EQ(bad->field_violations(0).field(), "shards");
}

TEST(Failure, WithoutAMessageItIsTheSentenceOfTheTable) {
  const grpc::Status status = FailureOf(OutcomeCode::kQueueNotFound).ToGrpc();
  EXPECT_EQ(status.error_message(), AnswerFor(OutcomeCode::kQueueNotFound).sentence);
}

}  // namespace
}  // namespace holdfast
