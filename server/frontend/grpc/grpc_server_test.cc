// Every method over a real channel, against an engine that says what the test wants.

#include "server/frontend/grpc/grpc_server.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"
#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "server/codec/payload_codec.h"
#include "server/frontend/fake_engine.h"

namespace holdfast {
namespace {

class GrpcServerTest : public testing::Test {
 protected:
  GrpcServerTest() {
    GrpcServerOptions options;
    options.listen = "127.0.0.1:0";
    options.body_bytes_max = 1000;
    auto server = GrpcServer::Start(options, &engine_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = v1::Holdfast::NewStub(channel_);
  }
  ~GrpcServerTest() override { server_->Stop(absl::Now() + absl::Seconds(5)); }

  FakeEngine engine_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Holdfast::Stub> stub_;
};

// As grpc.health.v1 tells it: 1 is SERVING, 2 is NOT_SERVING.
int HealthOf(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::ByteBuffer request(nullptr, 0);
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok) && status.ok()) << status.error_message();
  grpc::Slice bytes;
  EXPECT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
  EXPECT_EQ(bytes.size(), 2u) << "field 1 of HealthCheckResponse";
  return bytes.size() == 2 ? bytes.begin()[1] : 0;
}

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
  return details;
}

template <class T>
std::optional<T> Detail(const google::rpc::Status& status) {
  for (const auto& any : status.details()) {
    T message;
    if (any.UnpackTo(&message)) return message;
  }
  return std::nullopt;
}

std::string Reason(const google::rpc::Status& status) {
  const auto info = Detail<google::rpc::ErrorInfo>(status);
  if (!info.has_value()) return "(none)";
  EXPECT_EQ(info->domain(), "holdfast");
  return info->reason();
}
std::string Reason(const grpc::Status& status) { return Reason(Details(status)); }

void AddLease(google::protobuf::RepeatedPtrField<v1::Lease>* leases, uint64_t id, uint64_t token) {
  auto* lease = leases->Add();
  lease->set_job_id(id);
  lease->set_token(token);
}

TEST_F(GrpcServerTest, HealthIsServingFromReadyToDrain) {
  const auto is_ready = [this] {
    grpc::ClientContext context;
    v1::NodeInfo info;
    EXPECT_TRUE(v1::Admin::NewStub(channel_)->GetNodeInfo(&context, {}, &info).ok());
    return info.ready();
  };
  EXPECT_EQ(HealthOf(channel_), 2);
  EXPECT_FALSE(is_ready());
  server_->SetReady();
  EXPECT_EQ(HealthOf(channel_), 1);
  EXPECT_TRUE(is_ready());
  server_->Drain(absl::Now() + absl::Seconds(5));
  server_->SetReady();
  EXPECT_EQ(HealthOf(channel_), 2);
  EXPECT_FALSE(is_ready());
}

TEST_F(GrpcServerTest, EnqueueCarriesEveryFieldToTheCommand) {
  std::string seen_body;
  EnqueueCommand seen;
  engine_.on_command = [&](const DecodedCommand& decoded) {
    seen = std::get<EnqueueCommand>(decoded.command.body);
    EXPECT_EQ(seen.queue, "mail");
    EXPECT_TRUE(decoded.command.request.has_digest());
    const auto payload = DecodePayload(decoded.payloads[0]);
    EXPECT_TRUE(payload.ok());
    EXPECT_EQ(payload->body, "hello");
    EXPECT_EQ(payload->dedup_key, "once");
    EXPECT_EQ(payload->attributes.size(), 2u);
    EXPECT_EQ(payload->attributes[0], (Attribute{"a", "1"}));
    EXPECT_EQ(payload->attributes[1], (Attribute{"b", "2"}));
    EXPECT_EQ(seen.jobs[0].dedup_key, "once");
    EXPECT_EQ(seen.jobs[0].dedup_window, LogDuration::Seconds(7200));
    EXPECT_TRUE(seen.jobs[0].buried);
    EXPECT_FALSE(seen.jobs[1].buried);
    ExecuteResult result;
    result.outcome.items.resize(2);
    result.outcome.items[0].job = JobId(17);
    result.outcome.items[0].deduplicated = true;
    result.outcome.items[1].code = OutcomeCode::kQueueFullJobs;
    result.outcome.code = OutcomeCode::kPartial;
    result.outcome.replayed = true;
    return result;
  };
  v1::EnqueueRequest request;
  request.set_queue("mail");
  request.set_request_id("r1");
  auto* job = request.add_jobs();
  job->set_body("hello");
  job->set_priority(0);
  job->mutable_delay()->set_seconds(3);
  job->mutable_lease()->set_nanos(1'000'001);  // rounded up to a microsecond
  job->mutable_ttl()->set_seconds(60);
  (*job->mutable_attributes())["b"] = "2";
  (*job->mutable_attributes())["a"] = "1";
  job->set_dedup_key("once");
  job->mutable_dedup_window()->set_seconds(7200);
  job->set_buried(true);
  request.add_jobs();
  v1::EnqueueResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Enqueue(&context, request, &response).ok());
  EXPECT_EQ(seen.jobs[0].priority, 0u);
  EXPECT_EQ(seen.jobs[0].delay, LogDuration::Seconds(3));
  EXPECT_EQ(seen.jobs[0].lease, LogDuration::Micros(1001));
  EXPECT_EQ(seen.jobs[0].ttl, LogDuration::Seconds(60));
  EXPECT_EQ(seen.jobs[1].priority, 1024u);
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).job_id(), 17u);
  EXPECT_TRUE(response.results(0).deduplicated());
  EXPECT_FALSE(response.results(0).has_error());
  EXPECT_EQ(Reason(response.results(1).error()), "QUEUE_FULL_JOBS");
  EXPECT_TRUE(response.replayed());
}

TEST_F(GrpcServerTest, BodyOverTheLimitIsRefusedByFieldValueAndBound) {
  v1::EnqueueRequest request;
  request.set_queue("mail");
  request.add_jobs();
  request.add_jobs()->set_body(std::string(1001, 'x'));
  v1::EnqueueResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub_->Enqueue(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "jobs[1].body: has 1001 bytes, more than 1000.");
  EXPECT_EQ(Reason(status), "INVALID_FIELD");
  const auto bad = Detail<google::rpc::BadRequest>(Details(status));
  ASSERT_TRUE(bad.has_value());
  EXPECT_EQ(bad->field_violations(0).field(), "jobs[1].body");
}

TEST_F(GrpcServerTest, OverloadTellsWhenToRetry) {
  engine_.on_command = [](const DecodedCommand&) {
    ExecuteResult result;
    result.status = absl::ResourceExhaustedError("128 MiB are in flight");
    result.retry_after = absl::Milliseconds(20);
    return result;
  };
  v1::EnqueueRequest request;
  request.set_queue("mail");
  request.add_jobs();
  v1::EnqueueResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub_->Enqueue(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "128 MiB are in flight");
  EXPECT_EQ(Reason(status), "OVERLOADED");
  const auto retry = Detail<google::rpc::RetryInfo>(Details(status));
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(retry->retry_delay().nanos(), 20'000'000);
}

TEST_F(GrpcServerTest, EveryTroubleOfTheEngineHasItsStatus) {
  absl::Status trouble;
  engine_.on_command = [&](const DecodedCommand&) {
    ExecuteResult result;
    result.status = trouble;
    return result;
  };
  const std::vector<std::tuple<absl::Status, grpc::StatusCode, std::string>> cases = {
      {absl::UnavailableError("x"), grpc::StatusCode::UNAVAILABLE, "NODE_UNAVAILABLE"},
      {absl::UnknownError("x"), grpc::StatusCode::UNKNOWN, "OUTCOME_UNKNOWN"},
      {absl::DataLossError("x"), grpc::StatusCode::DATA_LOSS, "DATA_DAMAGED"},
      {absl::InternalError("x"), grpc::StatusCode::INTERNAL, "INTERNAL_ERROR"},
  };
  for (const auto& [status, code, reason] : cases) {
    trouble = status;
    v1::KickRequest request;
    request.set_queue("q");
    request.set_max_jobs(1);
    v1::KickResponse response;
    grpc::ClientContext context;
    const grpc::Status answer = stub_->Kick(&context, request, &response);
    EXPECT_EQ(answer.error_code(), code);
    EXPECT_EQ(Reason(answer), reason);
  }
}

// Settles the first lease and refuses the second.
ExecuteResult SettleFirst(const DecodedCommand& decoded) {
  ExecuteResult result;
  result.outcome.items.resize(2);
  result.outcome.items[1].code = OutcomeCode::kLeaseInvalid;
  if (std::holds_alternative<ReleaseCommand>(decoded.command.body)) {
    const auto& release = std::get<ReleaseCommand>(decoded.command.body);
    EXPECT_EQ(release.mode, ReleaseMode::kFail);
    EXPECT_EQ(release.delay, LogDuration());
    EXPECT_EQ(release.priority, 7u);
    EXPECT_EQ(release.leases[1].job, JobId(2));
    EXPECT_EQ(release.leases[1].token, LeaseToken(20));
    result.outcome.items[0].state = JobState::kDelayed;
    result.outcome.items[0].due = LogTime::FromMicros(5'000'001);
  }
  if (std::holds_alternative<TouchCommand>(decoded.command.body)) {
    EXPECT_EQ(std::get<TouchCommand>(decoded.command.body).lease, LogDuration::Seconds(9));
    result.outcome.items[0].state = JobState::kReserved;
    result.outcome.items[0].due = LogTime::FromMicros(6'000'000);
  }
  if (std::holds_alternative<BuryCommand>(decoded.command.body)) {
    EXPECT_FALSE(std::get<BuryCommand>(decoded.command.body).priority.has_value());
    result.outcome.items[0].state = JobState::kBuried;
  }
  return result;
}

TEST_F(GrpcServerTest, SettlementsBecomeCommandsAndTellEachLeasesResult) {
  engine_.on_command = SettleFirst;
  const auto leases = [](auto* request) {
    AddLease(request->mutable_leases(), 1, 10);
    AddLease(request->mutable_leases(), 2, 20);
  };
  {
    v1::DeleteRequest request;
    leases(&request);
    v1::DeleteResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Delete(&context, request, &response).ok());
    EXPECT_FALSE(response.results(0).has_error());
    EXPECT_EQ(response.results(0).state(), v1::JOB_STATE_UNSPECIFIED);
    EXPECT_EQ(Reason(response.results(1).error()), "LEASE_INVALID");
  }
  {
    v1::ReleaseRequest request;
    leases(&request);
    request.set_mode(v1::RELEASE_MODE_FAIL);
    request.set_priority(7);
    request.mutable_delay();
    v1::ReleaseResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Release(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).state(), v1::JOB_STATE_DELAYED);
    EXPECT_EQ(response.results(0).ready_time().seconds(), 5);
    EXPECT_EQ(response.results(0).ready_time().nanos(), 1000);
  }
  {
    v1::TouchRequest request;
    leases(&request);
    request.mutable_lease()->set_seconds(9);
    v1::TouchResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Touch(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).lease_expire_time().seconds(), 6);
  }
  {
    v1::BuryRequest request;
    leases(&request);
    v1::BuryResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Bury(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).state(), v1::JOB_STATE_BURIED);
  }
}

TEST_F(GrpcServerTest, ReserveWaitsUntilAJobIsGranted) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.add_queues("b");
  request.add_queues("a");
  request.set_max_jobs(5);
  request.mutable_wait()->set_seconds(60);
  request.mutable_lease()->set_seconds(30);
  v1::ReserveResponse response;
  std::thread granter([this] { engine_.Grant("b", {{11, "body"}, {12, ""}}); });
  grpc::ClientContext context;
  const grpc::Status status = stub_->Reserve(&context, request, &response);
  granter.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.jobs_size(), 2);
  const v1::Job& job = response.jobs(0);
  EXPECT_EQ(job.id(), 11u);
  EXPECT_EQ(job.queue(), "b");
  EXPECT_EQ(job.body(), "body");
  EXPECT_EQ(job.state(), v1::JOB_STATE_RESERVED);
  EXPECT_EQ(job.lease().job_id(), 11u);
  EXPECT_EQ(job.lease().token(), 1u);
  EXPECT_EQ(job.lease_expire_time().seconds(), 1'700'000'060);
  EXPECT_EQ(job.lease_expire_time().nanos(), 1000);
  EXPECT_EQ(job.lease_duration().seconds(), 60);
  EXPECT_EQ(job.attempts(), 1u);
  EXPECT_FALSE(job.has_expire_time());
  const ReserveRequest asked = engine_.reserves().at(0);
  EXPECT_EQ(asked.queues, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(asked.max, 5u);
  EXPECT_EQ(asked.wait, absl::Seconds(60));
  EXPECT_EQ(asked.lease, LogDuration::Seconds(30));
  EXPECT_TRUE(asked.holder.none());
  EXPECT_TRUE(engine_.undelivered().empty());
}

TEST_F(GrpcServerTest, ReserveWithoutWaitAnswersOkWithoutJobs) {
  v1::ReserveRequest request;
  request.add_queues("a");
  v1::ReserveResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(stub_->Reserve(&context, request, &response).ok());
  EXPECT_EQ(response.jobs_size(), 0);
  EXPECT_EQ(engine_.reserves().at(0).max, 1u);
}

TEST_F(GrpcServerTest, CancelledReserveIsTakenOutOfTheEngine) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.mutable_wait()->set_seconds(60);
  v1::ReserveResponse response;
  grpc::ClientContext context;
  std::thread canceller([&] {
    engine_.WaitForReserves(1);
    context.TryCancel();
  });
  EXPECT_EQ(stub_->Reserve(&context, request, &response).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  engine_.WaitForReserves(0);
}

TEST_F(GrpcServerTest, DeadlineEndsAReserveInTheEngineToo) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.mutable_wait()->set_seconds(60);
  v1::ReserveResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  EXPECT_EQ(stub_->Reserve(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  engine_.WaitForReserves(0);
}

TEST_F(GrpcServerTest, JobsGrantedToACancelledReserveAreReturned) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.mutable_wait()->set_seconds(60);
  v1::ReserveResponse response;
  grpc::ClientContext context;
  std::thread canceller([&] {
    engine_.WaitForReserves(1);
    engine_.Hold();
    engine_.Grant("a", {{5, "x"}});  // on its way when the cancellation comes
    context.TryCancel();
  });
  EXPECT_EQ(stub_->Reserve(&context, request, &response).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  // The server learns of it before anything that the client sends afterwards on the connection.
  v1::NodeInfo info;
  grpc::ClientContext second;
  ASSERT_TRUE(v1::Admin::NewStub(channel_)->GetNodeInfo(&second, {}, &info).ok());
  engine_.Release();
  const auto commands = engine_.WaitForCommands(1);
  EXPECT_TRUE(std::holds_alternative<ReturnUndeliveredCommand>(commands[0]));
  EXPECT_EQ(engine_.undelivered().at(0).job, JobId(5));
}

TEST_F(GrpcServerTest, JobsThatDoNotFitOneAnswerAreReturned) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.set_max_jobs(4);
  request.mutable_wait()->set_seconds(60);
  const std::string mib(1 << 20, 'x');
  std::thread granter([&] { engine_.Grant("a", {{1, mib}, {2, mib}, {3, mib}, {4, mib}}); });
  v1::ReserveResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Reserve(&context, request, &response).ok());
  granter.join();
  EXPECT_EQ(response.jobs_size(), 2);
  engine_.WaitForCommands(1);
  ASSERT_EQ(engine_.undelivered().size(), 2u);
  EXPECT_EQ(engine_.undelivered()[0].job, JobId(3));
}

TEST_F(GrpcServerTest, PeekTellsTheJobOrThatThereIsNone) {
  engine_.on_query = [](const Query& query) {
    QueryResult result;
    if (const auto* by_id = std::get_if<JobQuery>(&query)) {
      if (by_id->job == JobId(404)) {
        result.code = OutcomeCode::kJobNotFound;
        return result;
      }
      JobView view;
      view.job.id = by_id->job;
      view.job.state = JobState::kBuried;
      view.job.buried_reason = BuriedReason::kAttemptsExhausted;
      view.job.due = LogTime::FromMicros(1'000'000);
      view.job.expires = LogTime::FromMicros(2'000'000);
      view.job.lease = LogDuration::Millis(1500);
      view.job.buries = 3;
      view.queue = "q";
      view.payload = FakeEngine::MakePayload("body");
      result.jobs.push_back(view);
    }
    return result;  // a list: empty
  };
  v1::PeekRequest request;
  request.set_job_id(9);
  v1::PeekResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Peek(&context, request, &response).ok());
  }
  EXPECT_EQ(response.job().id(), 9u);
  EXPECT_EQ(response.job().body(), "body");
  EXPECT_EQ(response.job().buried_reason(), v1::BURIED_REASON_ATTEMPTS_EXHAUSTED);
  EXPECT_EQ(response.job().bury_time().seconds(), 1);
  EXPECT_EQ(response.job().expire_time().seconds(), 2);
  EXPECT_EQ(response.job().lease_duration().nanos(), 500'000'000);
  EXPECT_EQ(response.job().counters().buries(), 3u);
  EXPECT_FALSE(response.job().has_lease());
  request.set_job_id(404);
  {
    grpc::ClientContext context;
    EXPECT_EQ(Reason(stub_->Peek(&context, request, &response)), "JOB_NOT_FOUND");
  }
  request.mutable_next()->set_queue("q");
  request.mutable_next()->set_state(v1::JOB_STATE_READY);
  {
    grpc::ClientContext context;
    EXPECT_EQ(Reason(stub_->Peek(&context, request, &response)), "JOB_NOT_FOUND");
  }
  request.clear_target();
  {
    grpc::ClientContext context;
    EXPECT_EQ(Reason(stub_->Peek(&context, request, &response)), "INVALID_FIELD");
  }
}

TEST_F(GrpcServerTest, ListJobsPagesWithTheKeyOfTheLastJob) {
  std::vector<JobListQuery> asked;
  engine_.on_query = [&](const Query& query) {
    asked.push_back(std::get<JobListQuery>(query));
    QueryResult result;
    result.jobs.resize(1);
    result.jobs[0].job.id = JobId(asked.size());
    result.more = asked.size() == 1;
    result.last = {.key = 7, .id = 1};
    return result;
  };
  v1::ListJobsRequest request;
  request.set_queue("q");
  request.set_state(v1::JOB_STATE_DELAYED);
  v1::ListJobsResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListJobs(&context, request, &response).ok());
  }
  EXPECT_EQ(asked[0].limit, 100u);
  EXPECT_EQ(asked[0].payload_bytes_max, 0u);
  EXPECT_EQ(asked[0].after, SetKey());
  ASSERT_FALSE(response.next_page_token().empty());
  request.set_page_token(response.next_page_token());
  request.set_page_size(1);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListJobs(&context, request, &response).ok());
  }
  EXPECT_EQ(asked[1].after, (SetKey{.key = 7, .id = 1}));
  EXPECT_EQ(asked[1].limit, 1u);
  EXPECT_TRUE(response.next_page_token().empty());
  request.set_queue("other");
  {
    grpc::ClientContext context;
    const grpc::Status status = stub_->ListJobs(&context, request, &response);
    EXPECT_EQ(status.error_message(), "page_token: was made for another queue or state.");
  }
}

TEST_F(GrpcServerTest, UpdateQueueSetsExactlyTheNamedOptions) {
  PutQueueOptionsCommand put;
  engine_.on_command = [&](const DecodedCommand& decoded) {
    put = std::get<PutQueueOptionsCommand>(decoded.command.body);
    put.queue = {};  // its bytes do not outlive this
    return ExecuteResult();
  };
  engine_.on_query = [](const Query& query) {
    QueryResult result;
    QueueRecord record;
    record.name = std::get<QueueQuery>(query).queue;
    record.options.max_jobs = 10;
    record.counts[static_cast<int>(JobState::kReserved)] = 4;
    record.paused_until = LogTime::FromMicros(10);
    result.now = LogTime::FromMicros(10);
    result.queues.push_back(record);
    return result;
  };
  v1::UpdateQueueRequest request;
  request.mutable_queue()->set_name("q");
  request.mutable_queue()->set_max_jobs(10);
  request.mutable_queue()->mutable_retry_policy()->set_max_attempts(3);
  request.mutable_update_mask()->add_paths("max_jobs");
  request.mutable_update_mask()->add_paths("ttl");
  v1::Queue queue;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->UpdateQueue(&context, request, &queue).ok());
  }
  EXPECT_EQ(put.fields, kFieldMaxJobs | kFieldTtl);
  EXPECT_EQ(put.options.max_jobs, 10u);
  EXPECT_EQ(put.options.ttl, LogDuration());
  EXPECT_EQ(queue.max_jobs(), 10u);
  EXPECT_EQ(queue.counts().reserved(), 4u);
  EXPECT_FALSE(queue.paused());  // its pause is just over
  request.clear_update_mask();
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->UpdateQueue(&context, request, &queue).ok());
  }
  EXPECT_EQ(put.fields, kFieldMaxJobs | kFieldRetry);
  EXPECT_EQ(put.options.retry.max_attempts, 3u);
  EXPECT_EQ(put.options.retry.multiplier_percent, 200u);
  request.mutable_update_mask()->add_paths("counts");
  {
    grpc::ClientContext context;
    const grpc::Status status = stub_->UpdateQueue(&context, request, &queue);
    EXPECT_EQ(status.error_message(), "update_mask.paths[0]: \"counts\" is no option of a queue.");
  }
}

TEST_F(GrpcServerTest, QueueCommandsReachTheEngine) {
  engine_.on_command = [](const DecodedCommand& decoded) {
    ExecuteResult result;
    if (const auto* purge = std::get_if<PurgeQueueCommand>(&decoded.command.body)) {
      EXPECT_EQ(purge->states, 1u << static_cast<int>(JobState::kBuried));
      result.outcome.count = 5;
    }
    if (std::holds_alternative<DeleteQueueCommand>(decoded.command.body)) {
      result.outcome.code = OutcomeCode::kQueueNotFound;
    }
    if (const auto* pause = std::get_if<PauseQueueCommand>(&decoded.command.body)) {
      result.outcome.code =
          pause->duration == LogDuration::Max() ? OutcomeCode::kOk : OutcomeCode::kQueueNotFound;
    }
    return result;
  };
  {
    v1::PurgeQueueRequest request;
    request.set_queue("q");
    request.add_states(v1::JOB_STATE_BURIED);
    v1::PurgeQueueResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->PurgeQueue(&context, request, &response).ok());
    EXPECT_EQ(response.deleted_jobs(), 5u);
  }
  {
    v1::DeleteQueueRequest request;
    request.set_name("q");
    v1::DeleteQueueResponse response;
    grpc::ClientContext context;
    EXPECT_EQ(Reason(stub_->DeleteQueue(&context, request, &response)), "QUEUE_NOT_FOUND");
  }
  {
    v1::PauseQueueRequest request;
    request.set_queue("q");
    v1::PauseQueueResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->PauseQueue(&context, request, &response).ok());
  }
  {
    v1::ResumeQueueRequest request;
    request.set_queue("q");
    v1::ResumeQueueResponse response;
    grpc::ClientContext context;
    EXPECT_EQ(Reason(stub_->ResumeQueue(&context, request, &response)), "QUEUE_NOT_FOUND");
  }
}

TEST_F(GrpcServerTest, QueuesAreListedPageByPage) {
  engine_.on_query = [](const Query& query) {
    QueryResult result;
    const auto& list = std::get<QueueListQuery>(query);
    EXPECT_EQ(list.prefix, "m");
    result.queues.resize(1);
    result.queues[0].name = list.after.empty() ? "mail" : "move";
    result.more = list.after.empty();
    return result;
  };
  v1::ListQueuesRequest request;
  request.set_prefix("m");
  v1::ListQueuesResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListQueues(&context, request, &response).ok());
  }
  EXPECT_EQ(response.queues(0).name(), "mail");
  request.set_page_token(response.next_page_token());
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListQueues(&context, request, &response).ok());
  }
  EXPECT_EQ(response.queues(0).name(), "move");
  EXPECT_TRUE(response.next_page_token().empty());
}

TEST_F(GrpcServerTest, KickGoesOnInStepsUntilNothingIsLeft) {
  engine_.on_command = [](const DecodedCommand& decoded) {
    ExecuteResult result;
    const auto& kick = std::get<KickCommand>(decoded.command.body);
    result.outcome.count = kick.bound == kKickMax ? kKickMax : kick.bound - 1;
    return result;
  };
  v1::KickRequest request;
  request.set_queue("q");
  request.set_max_jobs(2500);
  v1::KickResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Kick(&context, request, &response).ok());
  EXPECT_EQ(response.kicked_jobs(), 2499u);
  EXPECT_EQ(engine_.WaitForCommands(3).size(), 3u);
}

TEST_F(GrpcServerTest, JobsAreKickedAndDeletedById) {
  engine_.on_command = [](const DecodedCommand& decoded) {
    ExecuteResult result;
    result.outcome.items.resize(2);
    result.outcome.items[1].code = std::holds_alternative<KickJobsCommand>(decoded.command.body)
                                       ? OutcomeCode::kNotKickable
                                       : OutcomeCode::kReserved;
    return result;
  };
  v1::KickJobsRequest kick;
  kick.add_job_ids(1);
  kick.add_job_ids(2);
  v1::KickJobsResponse kicked;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->KickJobs(&context, kick, &kicked).ok());
  }
  EXPECT_EQ(Reason(kicked.results(1).error()), "JOB_NOT_KICKABLE");
  v1::DeleteJobsRequest remove;
  remove.add_job_ids(1);
  remove.add_job_ids(2);
  v1::DeleteJobsResponse removed;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->DeleteJobs(&context, remove, &removed).ok());
  }
  EXPECT_FALSE(removed.results(0).has_error());
  EXPECT_EQ(Reason(removed.results(1).error()), "JOB_RESERVED");
}

TEST_F(GrpcServerTest, NodeInfoTellsTheLimits) {
  v1::NodeInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(v1::Admin::NewStub(channel_)->GetNodeInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.node_id(), 7u);
  EXPECT_EQ(info.shards(), 16u);
  EXPECT_EQ(info.body_bytes_max(), 1000u);
  EXPECT_EQ(info.message_bytes_max(), 16u << 20);
  EXPECT_EQ(info.address(), server_->address());
  EXPECT_FALSE(info.draining());
}

TEST_F(GrpcServerTest, ListReplicasTellsWhatEachHasApplied) {
  engine_.on_query = [](const Query& query) {
    EXPECT_TRUE(std::holds_alternative<ReplicasQuery>(query));
    QueryResult result;
    result.replicas = {
        {.shard = ShardId(0), .leading = true, .applied = LogIndex(12), .state_hash = UINT64_MAX},
        {.shard = ShardId(1), .leading = false, .applied = LogIndex(7), .state_hash = 1}};
    return result;
  };
  v1::ListReplicasResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(v1::Admin::NewStub(channel_)->ListReplicas(&context, {}, &response).ok());
  ASSERT_EQ(response.replicas_size(), 2);
  EXPECT_EQ(response.replicas(0).shard(), 0u);
  EXPECT_TRUE(response.replicas(0).leading());
  EXPECT_EQ(response.replicas(0).applied_index(), 12u);
  EXPECT_EQ(response.replicas(0).state_hash(), UINT64_MAX);
  EXPECT_EQ(response.replicas(1).shard(), 1u);
  EXPECT_FALSE(response.replicas(1).leading());
}

TEST_F(GrpcServerTest, StopEndsAWaitingReserveAsUnavailable) {
  v1::ReserveRequest request;
  request.add_queues("a");
  request.mutable_wait()->set_seconds(600);
  std::thread stopper([this] {
    engine_.WaitForReserves(1);
    server_->Stop(absl::Now() + absl::Seconds(30));
  });
  v1::ReserveResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub_->Reserve(&context, request, &response);
  stopper.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Reason(status), "NODE_UNAVAILABLE");
}

TEST_F(GrpcServerTest, CloseTakesNoNewCallAndLetsThoseUnderWayEnd) {
  engine_.Hold();
  v1::EnqueueRequest request;
  request.set_queue("a");
  request.add_jobs()->set_body("b");
  v1::EnqueueResponse response;
  grpc::ClientContext context;
  grpc::Status status;
  absl::Notification ended;
  stub_->async()->Enqueue(&context, &request, &response, [&](grpc::Status told) {
    status = std::move(told);
    ended.Notify();
  });
  engine_.WaitForCommands(1);
  server_->Close(absl::Now() + absl::Seconds(30));
  v1::NodeInfo info;
  grpc::Status refused;
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  do {  // it closes on a thread of its own; a call that comes in that moment may be cancelled
    grpc::ClientContext other;
    refused = v1::Admin::NewStub(channel_)->GetNodeInfo(&other, {}, &info);
  } while (refused.error_code() != grpc::StatusCode::UNAVAILABLE && absl::Now() < deadline);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(ended.HasBeenNotified());
  engine_.Release();
  ended.WaitForNotification();
  EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
}

TEST(GrpcServer, AnAddressInUseIsRefusedByName) {
  FakeEngine engine;
  GrpcServerOptions options;
  options.listen = "127.0.0.1:0";
  auto first = GrpcServer::Start(options, &engine);
  ASSERT_TRUE(first.ok());
  options.listen = (*first)->address();
  const auto second = GrpcServer::Start(options, &engine);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(second.status().message()).find(options.listen), std::string::npos);
}

}  // namespace
}  // namespace holdfast
