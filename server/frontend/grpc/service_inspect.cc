#include <optional>
#include <string>
#include <utility>

#include "server/frontend/grpc/message_job.h"
#include "server/frontend/grpc/message_queue.h"
#include "server/frontend/grpc/service.h"
#include "server/frontend/grpc/unary.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

// As with reserves: what fits into a client's default message limit.
constexpr uint64_t kPagePayloadBytesMax = 3 << 20;

JobParts PartsOf(v1::JobView view) {
  return view == v1::JOB_VIEW_BASIC ? JobParts::kRecord : JobParts::kRecordAndPayload;
}

Violation CheckView(v1::JobView view) {
  if (v1::JobView_IsValid(view)) return nullptr;
  return MakeViolation("view",
                       std::to_string(static_cast<int>(view)) + " is no JobView (BASIC, FULL)");
}

std::optional<Failure> QueryFailure(const QueryResult& result) {
  if (!result.status.ok()) return FailureOf(result.status);
  if (!AnswerFor(result.code).ok()) return FailureOf(result.code);
  return std::nullopt;
}

Violation ToQuery(const v1::PeekRequest& request, Query* out) {
  if (Violation violation = CheckView(request.view())) return violation;
  if (request.target_case() == v1::PeekRequest::kJobId) {
    out->emplace<JobQuery>() = {.job = JobId(request.job_id()), .stale = request.stale()};
    return CheckJobId("job_id", request.job_id());
  }
  if (request.target_case() == v1::PeekRequest::kNext) {
    auto& query = out->emplace<JobListQuery>();
    query.queue = request.next().queue();
    query.stale = request.stale();
    query.payload_bytes_max = request.view() == v1::JOB_VIEW_BASIC ? 0 : 1;
    if (auto violation = CheckQueueName("next.queue", query.queue)) return violation;
    return CheckState("next.state", request.next().state(), &query.state);
  }
  return MakeViolation("target", "is not set, and is required");
}

Violation ToQuery(const v1::ListJobsRequest& request, JobListQuery* out) {
  if (Violation violation = CheckQueueName("queue", request.queue())) return violation;
  if (Violation violation = CheckState("state", request.state(), &out->state)) return violation;
  if (Violation violation = CheckPageSize(request.page_size(), &out->limit)) return violation;
  if (Violation violation = CheckView(request.view())) return violation;
  out->queue = request.queue();
  out->stale = request.stale();
  out->payload_bytes_max = request.view() == v1::JOB_VIEW_FULL ? kPagePayloadBytesMax : 0;
  return ParseJobPageToken(request.page_token(), request.queue(), out->state, &out->after);
}

}  // namespace

grpc::ServerUnaryReactor* HoldfastService::Peek(Context* context, const v1::PeekRequest* request,
                                                v1::PeekResponse* response) {
  auto* reactor = context->DefaultReactor();
  Query query;
  if (const Violation violation = ToQuery(*request, &query)) return Refuse(reactor, *violation);
  environment_.engine->Ask(
      std::move(query), [reactor, response, parts = PartsOf(request->view())](QueryResult result) {
        if (const auto failure = QueryFailure(result)) {
          reactor->Finish(failure->ToGrpc());
        } else if (result.jobs.empty()) {
          reactor->Finish(FailureOf(OutcomeCode::kJobNotFound).ToGrpc());
        } else {
          const JobView& job = result.jobs.front();
          const auto status =
              FillJob(job.job, job.queue, job.payload, parts, response->mutable_job());
          reactor->Finish(status.ok() ? grpc::Status::OK : FailureOf(status).ToGrpc());
        }
      });
  return reactor;
}

grpc::ServerUnaryReactor* HoldfastService::ListJobs(Context* context,
                                                    const v1::ListJobsRequest* request,
                                                    v1::ListJobsResponse* response) {
  auto* reactor = context->DefaultReactor();
  JobListQuery query;
  if (const Violation violation = ToQuery(*request, &query)) return Refuse(reactor, *violation);
  const JobState state = query.state;
  environment_.engine->Ask(
      std::move(query), [reactor, request, response, state](QueryResult result) {
        if (const auto failure = QueryFailure(result)) {
          reactor->Finish(failure->ToGrpc());
          return;
        }
        const JobParts parts =
            request->view() == v1::JOB_VIEW_FULL ? JobParts::kRecordAndPayload : JobParts::kRecord;
        for (const JobView& job : result.jobs) {
          const auto status = FillJob(job.job, job.queue, job.payload, parts, response->add_jobs());
          if (!status.ok()) {
            reactor->Finish(FailureOf(status).ToGrpc());
            return;
          }
        }
        if (result.more) {
          response->set_next_page_token(JobPageToken(request->queue(), state, result.last));
        }
        reactor->Finish(grpc::Status::OK);
      });
  return reactor;
}

grpc::ServerUnaryReactor* HoldfastService::GetQueue(Context* context,
                                                    const v1::GetQueueRequest* request,
                                                    v1::Queue* response) {
  auto* reactor = context->DefaultReactor();
  if (const Violation violation = CheckQueueName("name", request->name())) {
    return Refuse(reactor, *violation);
  }
  const QueueQuery query = {.queue = request->name(), .stale = request->stale()};
  environment_.engine->Ask(query, [reactor, response](QueryResult result) {
    if (const auto failure = QueryFailure(result)) {
      reactor->Finish(failure->ToGrpc());
    } else if (result.queues.empty()) {
      reactor->Finish(FailureOf(OutcomeCode::kQueueNotFound).ToGrpc());
    } else {
      FillQueue(result.queues.front(), result.now, response);
      reactor->Finish(grpc::Status::OK);
    }
  });
  return reactor;
}

grpc::ServerUnaryReactor* HoldfastService::ListQueues(Context* context,
                                                      const v1::ListQueuesRequest* request,
                                                      v1::ListQueuesResponse* response) {
  auto* reactor = context->DefaultReactor();
  QueueListQuery query;
  query.prefix = request->prefix();
  query.stale = request->stale();
  Violation violation = CheckAtMost("prefix", request->prefix().size(), kQueueNameBytesMax);
  if (violation == nullptr) violation = CheckPageSize(request->page_size(), &query.limit);
  if (violation == nullptr) {
    violation = ParseQueuePageToken(request->page_token(), query.prefix, &query.after);
  }
  if (violation != nullptr) return Refuse(reactor, *violation);
  environment_.engine->Ask(std::move(query), [reactor, request, response](QueryResult result) {
    if (const auto failure = QueryFailure(result)) {
      reactor->Finish(failure->ToGrpc());
      return;
    }
    for (const QueueRecord& record : result.queues) {
      FillQueue(record, result.now, response->add_queues());
    }
    if (result.more && !result.queues.empty()) {
      response->set_next_page_token(QueuePageToken(request->prefix(), result.queues.back().name));
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace holdfast
