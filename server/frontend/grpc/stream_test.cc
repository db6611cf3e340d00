// The two streams over a real channel, against an engine that says what the test wants.

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "server/frontend/fake_engine.h"
#include "server/frontend/grpc/enqueue_stream.h"
#include "server/frontend/grpc/grpc_server.h"
#include "server/frontend/grpc/work_stream.h"

namespace holdfast {
namespace {

using EnqueueStream = grpc::ClientReaderWriter<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>;
using WorkStream = grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>;

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    GrpcServerOptions options;
    options.listen = "127.0.0.1:0";
    options.body_bytes_max = 1000;
    auto server = GrpcServer::Start(options, &engine_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Holdfast::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }
  ~StreamTest() override { server_->Stop(absl::Now() + absl::Seconds(5)); }

  // Subscribes and reads the first answer.
  std::unique_ptr<WorkStream> Subscribe(uint32_t credits, v1::OnDisconnect on_disconnect) {
    auto stream = stub_->Work(&context_);
    v1::WorkRequest request;
    request.mutable_subscribe()->add_queues("q");
    request.mutable_subscribe()->set_credits(credits);
    request.mutable_subscribe()->set_on_disconnect(on_disconnect);
    EXPECT_TRUE(stream->Write(request));
    v1::WorkResponse response;
    EXPECT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.window().credits_max(), 10'000u);
    EXPECT_EQ(response.window().settlements_max(), WorkStreamCall::kSettlementsMax);
    return stream;
  }

  FakeEngine engine_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::Holdfast::Stub> stub_;
  grpc::ClientContext context_;
};

std::string Reason(const google::protobuf::RepeatedPtrField<google::protobuf::Any>& details) {
  google::rpc::ErrorInfo info;
  for (const auto& any : details) {
    if (any.UnpackTo(&info)) return info.reason();
  }
  return "(none)";
}

std::string Reason(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return Reason(details.details());
}

v1::EnqueueStreamRequest Jobs(uint64_t sequence, const std::string& queue, int jobs) {
  v1::EnqueueStreamRequest request;
  request.set_sequence(sequence);
  request.set_queue(queue);
  for (int i = 0; i < jobs; ++i) request.add_jobs()->set_body(absl::StrCat("job ", i));
  return request;
}

TEST_F(StreamTest, EveryMessageIsAcknowledgedWithItsJobsInOrder) {
  constexpr uint64_t kMessages = 300;
  auto stream = stub_->EnqueueStream(&context_);
  std::thread writer([&] {
    for (uint64_t i = 1; i <= kMessages; ++i) EXPECT_TRUE(stream->Write(Jobs(i, "q", 3)));
    stream->WritesDone();
  });
  v1::EnqueueStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.window().messages_max(), EnqueueStreamCall::kMessagesMax);
  EXPECT_EQ(response.window().bytes_max(), EnqueueStreamCall::kBytesMax);
  uint64_t sequence = 0, job = 0;
  do {
    for (const auto& acknowledgement : response.acknowledgements()) {
      EXPECT_EQ(acknowledgement.sequence(), ++sequence);
      EXPECT_FALSE(acknowledgement.has_error());
      ASSERT_EQ(acknowledgement.results_size(), 3);
      for (const auto& result : acknowledgement.results()) EXPECT_EQ(result.job_id(), ++job);
    }
  } while (stream->Read(&response));
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(sequence, kMessages);
}

TEST_F(StreamTest, ARefusedMessageDoesNotEndTheStream) {
  auto stream = stub_->EnqueueStream(&context_);
  EXPECT_TRUE(stream->Write(Jobs(8, "-bad", 1)));
  EXPECT_TRUE(stream->Write(Jobs(9, "good", 1)));
  stream->WritesDone();
  std::vector<v1::EnqueueAcknowledgement> acknowledgements;
  v1::EnqueueStreamResponse response;
  while (stream->Read(&response)) {
    acknowledgements.insert(acknowledgements.end(), response.acknowledgements().begin(),
                            response.acknowledgements().end());
  }
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(acknowledgements.size(), 2u);
  EXPECT_EQ(acknowledgements[0].sequence(), 8u);
  EXPECT_EQ(Reason(acknowledgements[0].error().details()), "INVALID_FIELD");
  EXPECT_EQ(acknowledgements[1].sequence(), 9u);
  EXPECT_EQ(acknowledgements[1].results_size(), 1);
}

TEST_F(StreamTest, NoMoreThanTheWindowIsTakenUnacknowledged) {
  engine_.Hold();
  auto stream = stub_->EnqueueStream(&context_);
  std::thread writer([&] {
    for (uint64_t i = 1; i <= 2 * EnqueueStreamCall::kMessagesMax; ++i) {
      stream->Write(Jobs(i, "q", 1));
    }
    stream->WritesDone();
  });
  // A call of its own shows that the server has had time; the stream stays at its window.
  EXPECT_EQ(engine_.WaitForCommands(EnqueueStreamCall::kMessagesMax).size(),
            EnqueueStreamCall::kMessagesMax);
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    v1::ReserveResponse reserved;
    EXPECT_EQ(stub_->Reserve(&context, {}, &reserved).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(engine_.WaitForCommands(0).size(), EnqueueStreamCall::kMessagesMax);
  engine_.Release();
  uint64_t acknowledged = 0;
  v1::EnqueueStreamResponse response;
  while (stream->Read(&response)) {
    acknowledged += static_cast<uint64_t>(response.acknowledgements_size());
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(acknowledged, 2u * EnqueueStreamCall::kMessagesMax);
}

TEST_F(StreamTest, ABrokenEnqueueStreamWaitsForTheEngineBeforeItGoes) {
  engine_.Hold();
  auto stream = stub_->EnqueueStream(&context_);
  EXPECT_TRUE(stream->Write(Jobs(1, "q", 1)));
  engine_.WaitForCommands(1);
  context_.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  engine_.Release();  // the fixture's Stop ends only when the call has gone
}

TEST_F(StreamTest, DrainingAcknowledgesWhatWasReadAndEndsUnavailable) {
  engine_.Hold();
  auto stream = stub_->EnqueueStream(&context_);
  EXPECT_TRUE(stream->Write(Jobs(1, "q", 1)));
  engine_.WaitForCommands(1);
  server_->Drain(absl::Now() + absl::Seconds(30));
  engine_.Release();
  uint64_t acknowledged = 0;
  v1::EnqueueStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& one : response.acknowledgements()) acknowledged += one.sequence();
  }
  EXPECT_EQ(acknowledged, 1u);
  EXPECT_EQ(Reason(stream->Finish()), "NODE_UNAVAILABLE");
}

TEST_F(StreamTest, WorkPushesJobsForCreditsAndAnswersSettlements) {
  engine_.on_command = [](const DecodedCommand& decoded) {
    ExecuteResult result;
    result.outcome.items.resize(std::holds_alternative<DeleteCommand>(decoded.command.body) ? 2
                                                                                            : 1);
    if (std::holds_alternative<BuryCommand>(decoded.command.body)) {
      result.outcome.items[0].code = OutcomeCode::kLeaseInvalid;
    }
    return result;
  };
  auto stream = Subscribe(2, v1::ON_DISCONNECT_EXPIRE);
  engine_.WaitForReserves(1);
  EXPECT_EQ(engine_.reserves().at(0).max, 2u);
  EXPECT_FALSE(engine_.reserves().at(0).holder.none());
  engine_.Grant("q", {{1, "a"}, {2, "b"}});
  v1::WorkResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.jobs_size(), 2);
  EXPECT_EQ(response.jobs(1).body(), "b");
  EXPECT_EQ(engine_.reserves().size(), 1u);  // no credits, no reserve

  v1::WorkRequest request;
  request.set_add_credits(3);
  auto* settlement = request.add_settlements();
  settlement->set_sequence(70);
  for (const auto& job : response.jobs()) {
    *settlement->mutable_delete_jobs()->add_leases() = job.lease();
  }
  settlement = request.add_settlements();
  settlement->set_sequence(71);
  *settlement->mutable_bury_jobs()->add_leases() = response.jobs(0).lease();
  request.add_settlements()->set_sequence(72);  // says nothing
  ASSERT_TRUE(stream->Write(request));
  std::vector<v1::SettlementResult> results;
  while (results.size() < 3 && stream->Read(&response)) {
    results.insert(results.end(), response.results().begin(), response.results().end());
  }
  ASSERT_EQ(results.size(), 3u);
  for (const auto& result : results) {
    if (result.sequence() == 70) {
      EXPECT_EQ(result.results_size(), 2);
      EXPECT_FALSE(result.results(0).has_error());
    } else if (result.sequence() == 71) {
      EXPECT_EQ(Reason(result.results(0).error().details()), "LEASE_INVALID");
    } else {
      EXPECT_EQ(result.sequence(), 72u);
      EXPECT_EQ(Reason(result.error().details()), "INVALID_FIELD");
    }
  }
  engine_.WaitForReserves(1);
  EXPECT_EQ(engine_.reserves().back().max, 3u);

  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  engine_.WaitForReserves(0);
  ASSERT_EQ(engine_.closed().size(), 1u);
  EXPECT_EQ(engine_.closed()[0].second, LeasesAtClose::kExpire);
}

TEST_F(StreamTest, ABrokenWorkStreamClosesItsHolderAsTheWorkerAsked) {
  auto stream = Subscribe(5, v1::ON_DISCONNECT_RELEASE);
  engine_.WaitForReserves(1);
  context_.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  engine_.WaitForReserves(0);
  server_->Stop(absl::Now() + absl::Seconds(30));
  ASSERT_EQ(engine_.closed().size(), 1u);
  EXPECT_EQ(engine_.closed()[0].second, LeasesAtClose::kRelease);
}

TEST_F(StreamTest, JobsGrantedToABrokenWorkStreamAreReturned) {
  auto stream = Subscribe(5, v1::ON_DISCONNECT_EXPIRE);
  engine_.WaitForReserves(1);
  engine_.Hold();
  engine_.Grant("q", {{8, "x"}});
  context_.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  {
    // What comes later on the same connection is seen later by the server.
    grpc::ClientContext context;
    v1::ReserveResponse reserved;
    EXPECT_FALSE(stub_->Reserve(&context, {}, &reserved).ok());
  }
  engine_.Release();
  server_->Stop(absl::Now() + absl::Seconds(30));
  ASSERT_EQ(engine_.undelivered().size(), 1u);
  EXPECT_EQ(engine_.undelivered()[0].job, JobId(8));
}

TEST_F(StreamTest, EndedLeasesAreTold) {
  auto stream = Subscribe(1, v1::ON_DISCONNECT_EXPIRE);
  engine_.Grant("q", {{8, "x"}});
  v1::WorkResponse response;
  ASSERT_TRUE(stream->Read(&response));
  engine_.EndLease(JobId(8), LeaseToken(1), Machine::EndedLease::Why::kPurged);
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.cancelled_size(), 1);
  EXPECT_EQ(response.cancelled(0).lease().job_id(), 8u);
  EXPECT_EQ(response.cancelled(0).reason(), v1::CANCEL_REASON_PURGED);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, TheFirstMessageMustSubscribeAndNoLaterOneMay) {
  {
    grpc::ClientContext context;
    auto stream = stub_->Work(&context);
    v1::WorkRequest request;
    request.set_add_credits(1);
    stream->Write(request);
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(),
              "subscribe: is not set in the first message, and is required.");
  }
  auto stream = Subscribe(0, v1::ON_DISCONNECT_EXPIRE);
  v1::WorkRequest request;
  request.mutable_subscribe()->add_queues("q");
  stream->Write(request);
  EXPECT_EQ(stream->Finish().error_message(), "subscribe: is set again.");
}

TEST_F(StreamTest, AnOverloadedEngineIsAskedAgainAfterItsDelay) {
  auto stream = Subscribe(1, v1::ON_DISCONNECT_EXPIRE);
  ExecuteResult overload;
  overload.status = absl::ResourceExhaustedError("too many waiting reserves");
  overload.retry_after = absl::Milliseconds(20);
  engine_.AnswerReserve("q", std::move(overload));
  engine_.Grant("q", {{3, "x"}});  // waits for the second reserve
  v1::WorkResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.jobs(0).id(), 3u);
  EXPECT_EQ(engine_.reserves().size(), 2u);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, TroubleOfAReserveEndsTheStreamWithIt) {
  auto stream = Subscribe(1, v1::ON_DISCONNECT_EXPIRE);
  ExecuteResult trouble;
  trouble.status = absl::UnavailableError("not the leader");
  engine_.AnswerReserve("q", std::move(trouble));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "not the leader");
}

TEST_F(StreamTest, ADrainingServerTellsTheWorkerAndWaitsForWhatItHolds) {
  auto stream = Subscribe(2, v1::ON_DISCONNECT_EXPIRE);
  engine_.Grant("q", {{3, "x"}});
  v1::WorkResponse response;
  ASSERT_TRUE(stream->Read(&response));
  const v1::Lease lease = response.jobs(0).lease();
  std::thread stopper([this] { server_->Stop(absl::Now() + absl::Seconds(60)); });
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.has_drain());
  EXPECT_GT(response.drain().remaining().seconds(), 30);
  engine_.WaitForReserves(0);
  v1::WorkRequest request;
  *request.add_settlements()->mutable_delete_jobs()->add_leases() = lease;
  EXPECT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.results(0).results(0).has_error());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(Reason(stream->Finish()), "NODE_UNAVAILABLE");
  stopper.join();  // at once, not at the deadline
}

}  // namespace
}  // namespace holdfast
