#include "client/status.h"

#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

google::rpc::Status Overloaded() {
  google::rpc::Status status;
  status.set_code(8);
  status.set_message("too much in flight");
  google::rpc::ErrorInfo info;
  info.set_reason("OVERLOADED");
  status.add_details()->PackFrom(info);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(50'000'000);
  status.add_details()->PackFrom(retry);
  return status;
}

TEST(Status, KeepsCodeMessageAndDetailsOfACall) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too much in flight",
                            Overloaded().SerializeAsString()));
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "too much in flight");
  EXPECT_EQ(DetailsOf(status).reason, "OVERLOADED");
  EXPECT_EQ(DetailsOf(status).retry_after, absl::Milliseconds(50));
}

TEST(Status, KeepsTheSameOfOneJobsError) {
  const absl::Status status = FromRpcStatus(Overloaded());
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(DetailsOf(status).reason, "OVERLOADED");
}

TEST(Status, OfNoErrorIsOk) {
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_TRUE(FromRpcStatus({}).ok());
}

TEST(Status, WithoutOrWithDamagedDetailsHasNone) {
  const ErrorDetails none = DetailsOf(absl::UnavailableError("no answer"));
  EXPECT_EQ(none.reason, "");
  EXPECT_EQ(none.retry_after, absl::ZeroDuration());
  const absl::Status damaged =
      FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff not a message"));
  EXPECT_TRUE(absl::IsInternal(damaged));
  EXPECT_EQ(DetailsOf(damaged).reason, "");
}

TEST(Status, PassesWhereTheSameRequestMayWorkLater) {
  EXPECT_TRUE(IsPassing(FromRpcStatus(Overloaded())));
  EXPECT_TRUE(IsPassing(absl::UnavailableError("no leader")));
  EXPECT_TRUE(IsPassing(absl::UnknownError("the connection broke")));
  EXPECT_TRUE(IsPassing(absl::CancelledError("the node stops")));
  EXPECT_FALSE(IsPassing(absl::OkStatus()));
  EXPECT_FALSE(IsPassing(absl::ResourceExhaustedError("the queue is full")));
  EXPECT_FALSE(IsPassing(absl::InvalidArgumentError("no queue")));
  EXPECT_FALSE(IsPassing(absl::DeadlineExceededError("too late")));
}

}  // namespace
}  // namespace holdfast
