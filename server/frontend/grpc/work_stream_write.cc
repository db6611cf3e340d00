// WorkStreamCall: from the outbox to messages.

#include <cstddef>
#include <utility>
#include <vector>

#include "server/frontend/grpc/message_job.h"
#include "server/frontend/grpc/reserve_call.h"
#include "server/frontend/grpc/validation.h"
#include "server/frontend/grpc/work_stream.h"

namespace holdfast {
namespace {

// Moves items from the front of `from` to `to` for as long as `more(item)` says so.
template <class T, class More>
void MoveWhile(std::vector<T>* from, std::vector<T>* to, More more) {
  auto end = from->begin();
  while (end != from->end() && more(*end)) ++end;
  if (end == from->end() && to->empty()) {
    to->swap(*from);
    return;
  }
  to->insert(to->end(), std::make_move_iterator(from->begin()), std::make_move_iterator(end));
  from->erase(from->begin(), end);
}

}  // namespace

using google::protobuf::Arena;

void WorkStreamCall::TakeFromOutbox() {
  writing_outbox_.window = std::exchange(outbox_.window, false);
  writing_outbox_.drain = std::exchange(outbox_.drain, std::nullopt);
  writing_outbox_.jobs.clear();
  writing_outbox_.settled.clear();
  writing_outbox_.cancelled.clear();
  size_t bytes = 0;
  size_t jobs = 0;
  MoveWhile(&outbox_.jobs, &writing_outbox_.jobs, [&](const GrantedJob& job) {
    bytes += job.payload.bytes.size();
    return jobs++ == 0 || (bytes <= kPayloadBytesMax && jobs <= kJobsPerMessageMax);
  });
  size_t results = 0;
  MoveWhile(&outbox_.settled, &writing_outbox_.settled, [&](const Settled& settled) {
    const bool room = results < kResultsPerMessageMax;
    results += settled.leases;
    return room;
  });
  size_t notices = 0;
  MoveWhile(&outbox_.cancelled, &writing_outbox_.cancelled,
            [&](const CancelledLease&) { return notices++ < kResultsPerMessageMax; });
  held_ += static_cast<int64_t>(writing_outbox_.jobs.size());
}

void WorkStreamCall::Write() {
  {
    absl::MutexLock lock(&mutex_);
    TakeFromOutbox();
  }
  write_arena_.Reset();
  auto* response = Arena::CreateMessage<v1::WorkResponse>(&write_arena_);
  if (writing_outbox_.window) {
    response->mutable_window()->set_settlements_max(kSettlementsMax);
    response->mutable_window()->set_credits_max(kCreditsMax);
  }
  LeaseRefs left_out;
  const absl::Status status = FillJobs(response, &left_out);
  for (const Settled& settled : writing_outbox_.settled) {
    v1::SettlementResult* result = response->add_results();
    result->set_sequence(settled.sequence);
    if (settled.refused.has_value()) {
      settled.refused->Fill(result->mutable_error());
    } else if (const auto failure = WholeFailure(settled.result, settled.leases)) {
      failure->Fill(result->mutable_error());
    } else {
      FillLeaseResults(settled.kind, settled.result.outcome, result->mutable_results());
      result->set_replayed(settled.result.outcome.replayed);
    }
  }
  for (const CancelledLease& lease : writing_outbox_.cancelled) {
    v1::CancelledLease* cancelled = response->add_cancelled();
    cancelled->mutable_lease()->set_job_id(lease.job.value());
    cancelled->mutable_lease()->set_token(lease.token.value());
    cancelled->set_reason(lease.reason);
  }
  if (writing_outbox_.drain.has_value()) {
    FillSpan(LogDuration::Micros(absl::ToInt64Microseconds(*writing_outbox_.drain)),
             response->mutable_drain()->mutable_remaining());
  }
  if (!status.ok()) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      ++acting_;
      End(FailureOf(status), &next);
      next.give_back.insert(next.give_back.end(), left_out.begin(), left_out.end());
    }
    Act(std::move(next));
  }
  StartWrite(response);
}

absl::Status WorkStreamCall::FillJobs(v1::WorkResponse* out, LeaseRefs* left_out) {
  absl::Status status;
  out->mutable_jobs()->Reserve(static_cast<int>(writing_outbox_.jobs.size()));
  for (const GrantedJob& job : writing_outbox_.jobs) {
    if (status.ok()) {
      status =
          FillJob(job.grant.job, job.grant.queue, job.payload, JobParts::kHandOut, out->add_jobs());
      if (status.ok()) continue;
      out->mutable_jobs()->RemoveLast();
    }
    left_out->push_back({job.grant.job.id, job.grant.job.token});
  }
  return status;
}

void WorkStreamCall::OnWriteDone(bool ok) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    writing_ = false;
    if (ok) {
      writing_outbox_ = Outbox();  // lets go of the payloads
      Decide(&next);
    } else {
      // The stream is broken: these jobs never left.
      for (const GrantedJob& job : writing_outbox_.jobs) {
        next.give_back.push_back({job.grant.job.id, job.grant.job.token});
      }
      Break(&next);
    }
  }
  Act(std::move(next));
}

}  // namespace holdfast
