// Session's commands that change jobs.

#include <algorithm>
#include <utility>

#include "server/answer/outcome_table.h"
#include "server/codec/command_codec.h"
#include "server/codec/payload_codec.h"
#include "server/frontend/beanstalk/reply.h"
#include "server/frontend/beanstalk/session.h"

namespace holdfast::beanstalk {
namespace {

// Of a command on one job.
OutcomeCode CodeOf(const Outcome& outcome) {
  return outcome.items.empty() ? outcome.code : outcome.items.front().code;
}

bool IsCertain(const absl::Status& status) { return TroubleOf(status) != Trouble::kOutcomeUnknown; }

}  // namespace

void Session::Put(const Request& request, Place place) {
  if (node_->draining) return AnswerWord(place, "DRAINING");
  JobSpec spec;
  spec.priority = request.priority;
  spec.delay = LogDuration::Seconds(request.delay_s);
  spec.lease = LogDuration::Seconds(request.ttr_s);
  EnqueueEncoder encoder(RequestIdentity(), used_->name, request.body.size());
  encoder.Add(spec, {.attributes = {}, .dedup_key = {}, .body = request.body});
  node_->engine->Enqueue(used_->name, std::move(encoder),
                         Back([place](Session* self, ExecuteResult result) {
                           if (!result.status.ok())
                             return self->AnswerFailure(place, result.status);
                           const OutcomeCode code = CodeOf(result.outcome);
                           if (code != OutcomeCode::kOk) {
                             return self->AnswerWord(place, AnswerFor(code).beanstalkd);
                           }
                           const JobId job = result.outcome.items.front().job;
                           AppendNumber(self->ReplyAt(place), "INSERTED", job.value());
                           self->Answered(place);
                         }));
}

void Session::Settled(Place place, std::string_view word, JobId job,
                      const std::optional<Lease>& lease, const ExecuteResult& result) {
  if (!result.status.ok()) {
    if (lease.has_value() && IsCertain(result.status)) AddLease(job, *lease);
    return AnswerFailure(place, result.status);
  }
  const OutcomeCode code = CodeOf(result.outcome);
  AnswerWord(place, code == OutcomeCode::kOk ? word : AnswerFor(code).beanstalkd);
}

void Session::Delete(const Request& request, Place place) {
  const JobId job(request.id);
  const std::optional<Lease> lease = TakeLease(job);
  if (!lease.has_value()) return DeleteById(job, place);
  Execute(DeleteCommand{.leases = {{job, lease->token}}}, [place, job, lease](
                                                              Session* self, ExecuteResult result) {
    // The lease has ended: the job is anybody's, also to delete.
    const bool ended = result.status.ok() && CodeOf(result.outcome) == OutcomeCode::kLeaseInvalid;
    if (ended) return self->DeleteById(job, place);
    self->Settled(place, "DELETED", job, lease, result);
  });
}

void Session::DeleteById(JobId job, Place place) {
  Execute(DeleteJobCommand{.jobs = {job}, .reserved = ReservedJobs::kRefuse},
          [place, job](Session* self, ExecuteResult result) {
            self->Settled(place, "DELETED", job, std::nullopt, result);
          });
}

void Session::Release(const Request& request, Place place) {
  const JobId job(request.id);
  const std::optional<Lease> lease = TakeLease(job);
  if (!lease.has_value()) return AnswerWord(place, "NOT_FOUND");
  Execute(ReleaseCommand{.leases = {{job, lease->token}},
                         .mode = ReleaseMode::kReturn,
                         .priority = request.priority,
                         .delay = LogDuration::Seconds(request.delay_s)},
          [place, job, lease](Session* self, ExecuteResult result) {
            self->Settled(place, "RELEASED", job, lease, result);
          });
}

void Session::Bury(const Request& request, Place place) {
  const JobId job(request.id);
  const std::optional<Lease> lease = TakeLease(job);
  if (!lease.has_value()) return AnswerWord(place, "NOT_FOUND");
  Execute(BuryCommand{.leases = {{job, lease->token}}, .priority = request.priority},
          [place, job, lease](Session* self, ExecuteResult result) {
            self->Settled(place, "BURIED", job, lease, result);
          });
}

void Session::Touch(const Request& request, Place place) {
  const JobId job(request.id);
  const auto held = leases_.find(job);
  if (held == leases_.end()) return AnswerWord(place, "NOT_FOUND");
  Execute(TouchCommand{.leases = {{job, held->second.token}}, .lease = {}},
          [place, job](Session* self, ExecuteResult result) {
            const bool answered = result.status.ok();
            std::optional<Lease> lease = answered ? self->TakeLease(job) : std::nullopt;
            if (lease.has_value() && CodeOf(result.outcome) == OutcomeCode::kOk) {
              lease->due_micros = self->loop_->MonotonicMicros() + lease->length_micros;
              self->AddLease(job, *lease);
            }
            self->Settled(place, "TOUCHED", job, std::nullopt, result);
          });
}

void Session::Kick(const Request& request, Place place) {
  if (request.number <= kKickMax) {
    return KickOn(place, KickFrom::kBuriedElseDelayed, 0, request.number);
  }
  // More than one command may do: which of the two it is about is decided once.
  node_->engine->Ask(
      QueueQuery{used_->name},
      BackQuery([place, left = request.number](Session* self, QueryResult result) {
        if (!result.status.ok()) return self->AnswerFailure(place, result.status);
        const bool buried = !result.queues.empty() &&
                            result.queues.front().counts[static_cast<int>(JobState::kBuried)] > 0;
        self->KickOn(place, buried ? KickFrom::kBuried : KickFrom::kDelayed, 0, left);
      }));
}

void Session::KickOn(Place place, KickFrom from, uint64_t kicked, uint64_t left) {
  const auto bound = static_cast<uint32_t>(std::min<uint64_t>(left, kKickMax));
  Execute(KickCommand{.queue = used_->name, .bound = bound, .from = from},
          [=](Session* self, ExecuteResult result) {
            if (!result.status.ok()) return self->AnswerFailure(place, result.status);
            const uint64_t count = result.outcome.count;
            if (count == bound && left > bound) {
              return self->KickOn(place, from, kicked + count, left - count);
            }
            AppendNumber(self->ReplyAt(place), "KICKED", kicked + count);
            self->Answered(place);
          });
}

void Session::KickJob(const Request& request, Place place) {
  const JobId job(request.id);
  Execute(KickJobsCommand{.jobs = {job}}, [place, job](Session* self, ExecuteResult result) {
    self->Settled(place, "KICKED", job, std::nullopt, result);
  });
}

void Session::PauseTube(const Request& request, Place place) {
  const bool here = node_->tubes.Find(request.tube).has_value();
  Execute(PauseQueueCommand{.queue = request.tube,
                            .duration = LogDuration::Seconds(request.number),
                            .existence = here ? Existence::kCreate : Existence::kRequire},
          [place](Session* self, ExecuteResult result) {
            self->Settled(place, "PAUSED", JobId(), std::nullopt, result);
          });
}

}  // namespace holdfast::beanstalk
