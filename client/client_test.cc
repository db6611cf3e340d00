#include "client/client.h"

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/duration.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

// Cannot serve the first two calls, and keeps what it was asked.
class Recorder final : public v1::Holdfast::Service {
 public:
  grpc::Status Enqueue(grpc::ServerContext*, const v1::EnqueueRequest* request,
                       v1::EnqueueResponse* response) override {
    absl::MutexLock lock(&mutex_);
    seen_.push_back(*request);
    if (seen_.size() <= 2) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting");
    response->add_results()->set_job_id(7);
    return grpc::Status::OK;
  }

  std::vector<v1::EnqueueRequest> seen() const {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<v1::EnqueueRequest> seen_ ABSL_GUARDED_BY(mutex_);
};

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&recorder_);
    server_ = builder.BuildAndStart();
    client_ =
        std::make_unique<Client>(Client::Options{.endpoint = absl::StrCat("127.0.0.1:", port)});
    request_.set_queue("q");
    request_.add_jobs()->set_body("x");
  }

  Recorder recorder_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Client> client_;
  v1::EnqueueRequest request_;
};

TEST_F(ClientTest, RepeatsACallUnderOneRequestIdThatOutlivesItsRetries) {
  const auto response = client_->Call(&v1::Holdfast::Stub::Enqueue, request_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->results(0).job_id(), 7u);
  const std::vector<v1::EnqueueRequest> seen = recorder_.seen();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].request_id().size(), 32u);
  for (const v1::EnqueueRequest& request : seen) {
    EXPECT_EQ(request.request_id(), seen[0].request_id());
    EXPECT_EQ(FromProto(request.request_id_lifetime()), absl::Minutes(1));
  }
}

TEST_F(ClientTest, LeavesTheCallersRequestIdAlone) {
  request_.set_request_id("mine");
  ASSERT_TRUE(client_->Call(&v1::Holdfast::Stub::Enqueue, request_).ok());
  const std::vector<v1::EnqueueRequest> seen = recorder_.seen();
  ASSERT_EQ(seen.size(), 3u);
  for (const v1::EnqueueRequest& request : seen) {
    EXPECT_EQ(request.request_id(), "mine");
    EXPECT_FALSE(request.has_request_id_lifetime());
  }
}

TEST(RequestIdLifetime, IsTwiceTheTimeoutAndHalfAMinute) {
  EXPECT_EQ(RequestIdLifetime(absl::ZeroDuration()), absl::Seconds(30));
  EXPECT_EQ(RequestIdLifetime(absl::Seconds(15)), absl::Seconds(60));
  EXPECT_EQ(RequestIdLifetime(absl::Hours(1)), absl::Minutes(5));
  EXPECT_EQ(RequestIdLifetime(absl::InfiniteDuration()), absl::Minutes(5));
}

}  // namespace
}  // namespace holdfast
