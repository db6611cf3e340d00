// Shard's queries: what is in memory is answered on the loop, what is cold is read from the
// store's snapshot off the loop and put together with what is in memory when it comes back.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/shard.h"

namespace holdfast {
namespace {

QueryResult Failure(const absl::Status& status) {
  QueryResult result;
  result.status = status;
  return result;
}

QueryResult NotFound(OutcomeCode code, LogTime now) {
  QueryResult result;
  result.code = code;
  result.now = now;
  return result;
}

SetKey KeyOf(const Job& job) { return PlacesOf(job).state_key; }

// The next possible key after `key`.
SetKey After(SetKey key) {
  if (key.id != UINT64_MAX) return {key.key, key.id + 1};
  return key.key == UINT64_MAX ? SetKey::Max() : SetKey{key.key + 1, 0};
}

}  // namespace

// Log time goes on between entries. Where the shard does not lead, the wall clock that the leader
// follows is the best that is known of it.
QueryResult Shard::ResultNow() {
  QueryResult result;
  const LogClock::Reading clocks = Clocks();
  const LogTime now =
      leading_ ? clock_.Now(clocks)
               : LogTime::FromMicros(static_cast<uint64_t>(std::max<int64_t>(clocks.wall, 0)));
  result.now = std::max(machine_->now(), now);
  return result;
}

void Shard::AfterBarrier(absl::AnyInvocable<void(const absl::Status&) &&> ask) {
  if (stopped_) return std::move(ask)(not_leading_);
  log_->ReadBarrier([this, ask = std::move(ask)](absl::StatusOr<LogIndex> index) mutable {
    if (!index.ok()) return std::move(ask)(index.status());
    if (applier_->applied().index >= *index) return std::move(ask)(absl::OkStatus());
    if (stopped_) return std::move(ask)(not_leading_);
    barriers_.emplace(*index, std::move(ask));
  });
}

void Shard::AfterApplied(LogIndex index, absl::AnyInvocable<void() &&> done) {
  CHECK(parts_.executor->IsCurrent());
  if (applier_->applied().index >= index || stopped_) return std::move(done)();
  barriers_.emplace(index,
                    [done = std::move(done)](const absl::Status&) mutable { std::move(done)(); });
}

void Shard::RunBarriers() {
  while (!barriers_.empty() && barriers_.begin()->first <= applier_->applied().index) {
    auto ask = std::move(barriers_.begin()->second);
    barriers_.erase(barriers_.begin());
    std::move(ask)(absl::OkStatus());
  }
}

void Shard::Ask(Query query, QueryDone done) {
  CHECK(parts_.executor->IsCurrent());
  if (std::visit([](const auto& asked) { return asked.stale; }, query)) {
    if (applier_ == nullptr || installing_) {
      return std::move(done)(Failure(absl::UnavailableError("the shard is starting")));
    }
    return std::visit([&](const auto& asked) { AnswerQuery(asked, std::move(done)); }, query);
  }
  AfterBarrier(
      [this, query = std::move(query), done = std::move(done)](const absl::Status& status) mutable {
        if (!status.ok()) return std::move(done)(Failure(status));
        std::visit([&](const auto& asked) { AnswerQuery(asked, std::move(done)); }, query);
      });
}

void Shard::AskOffer(std::vector<std::string> queues, uint32_t max, OfferDone done) {
  CHECK(parts_.executor->IsCurrent());
  if (leading_) return std::move(done)(OfferNow(queues, max));
  // What this replica knows of may be long gone, and what is there unknown to it.
  AfterBarrier([this, queues = std::move(queues), max,
                done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return std::move(done)(status);
    std::move(done)(OfferNow(queues, max));
  });
}

Offer Shard::OfferNow(const std::vector<std::string>& queues, uint32_t max) const {
  Offer offer;
  for (const std::string& name : queues) {
    if (!MayFindJob(name)) continue;
    const SetRef set = machine_->StateSet(machine_->FindQueue(name)->id, JobState::kReady);
    for (const Job& job : machine_->HotRange(set, SetKey::Min(), max)) {
      offer.heads.push_back({job.priority, job.created, job.id});
    }
    // Heads that are not in memory still count as something to be had.
    bool cold = false;
    if (machine_->Front(set, &cold) == nullptr && cold) {
      offer.heads.push_back({0, LogTime(), JobId()});
    }
  }
  std::sort(offer.heads.begin(), offer.heads.end());
  if (offer.heads.size() > max) offer.heads.resize(max);
  return offer;
}

void Shard::AnswerQuery(const JobQuery& query, QueryDone done) {
  const auto found = [this](const Job& job, QueryDone answer) {
    if (!machine_->IsAlive(job)) {
      return std::move(answer)(NotFound(OutcomeCode::kJobNotFound, machine_->now()));
    }
    QueryResult result = ResultNow();
    const QueueRecord* queue = machine_->FindQueue(job.queue);
    result.jobs.push_back({job, queue == nullptr ? "" : queue->name, {}});
    AddPayloads(std::move(result), UINT64_MAX, std::move(answer));
  };
  if (const Job* job = machine_->FindHotJob(query.job); job != nullptr) {
    return found(*job, std::move(done));
  }
  if (machine_->IsJobKnown(query.job) || overlay_.IsDirty(query.job)) {
    return std::move(done)(NotFound(OutcomeCode::kJobNotFound, machine_->now()));
  }
  parts_.reader->Post([this, query, found, snapshot = applier_->snapshot(),
                       releases = overlay_.releases(), done = std::move(done)]() mutable {
    Needs needs;
    needs.jobs.push_back(query.job);
    absl::StatusOr<Loaded> loaded = FetchNeeds(*snapshot, options_.shard, needs);
    snapshot.reset();
    parts_.executor->Post([this, query, found, releases, loaded = std::move(loaded),
                           done = std::move(done)]() mutable {
      if (!loaded.ok()) return std::move(done)(Failure(loaded.status()));
      applier_->Drain();
      const std::optional<Loaded> current = FilterLoaded(*std::move(loaded), releases, overlay_);
      // It has changed meanwhile: look again, where the change is.
      if (!current.has_value() || overlay_.IsDirty(query.job)) {
        return AnswerQuery(query, std::move(done));
      }
      if (current->jobs.empty()) {
        return std::move(done)(NotFound(OutcomeCode::kJobNotFound, machine_->now()));
      }
      found(current->jobs.front(), std::move(done));
    });
  });
}

void Shard::AnswerQuery(const JobListQuery& query, QueryDone done) {
  const QueueRecord* queue = machine_->FindQueue(query.queue);
  if (queue == nullptr) {
    return std::move(done)(NotFound(OutcomeCode::kQueueNotFound, machine_->now()));
  }
  const SetRef set = machine_->StateSet(queue->id, query.state);
  if (!machine_->IsFullyHot(set)) return ListDurable(query, set, std::move(done));
  const SetKey from = query.after == SetKey() ? SetKey::Min() : After(query.after);
  std::vector<Job> jobs = machine_->HotRange(set, from, size_t{query.limit} + 1);
  const bool more = jobs.size() > query.limit;
  if (more) jobs.pop_back();
  FinishList(query, std::move(jobs), more, std::move(done));
}

// The set's cold members come from the store; those in memory replace or complete them.
void Shard::ListDurable(JobListQuery query, SetRef set, QueryDone done) {
  const SetKey from = query.after == SetKey() ? SetKey::Min() : After(query.after);
  parts_.reader->Post([this, query = std::move(query), set, from, snapshot = applier_->snapshot(),
                       releases = overlay_.releases(), done = std::move(done)]() mutable {
    Needs needs;
    needs.scans.push_back({.set = set, .from = from, .limit = size_t{query.limit} + 1});
    absl::StatusOr<Loaded> loaded = FetchNeeds(*snapshot, options_.shard, needs);
    snapshot.reset();
    parts_.executor->Post([this, query = std::move(query), set, from, releases,
                           loaded = std::move(loaded), done = std::move(done)]() mutable {
      if (!loaded.ok()) return std::move(done)(Failure(loaded.status()));
      applier_->Drain();
      std::optional<Loaded> current = FilterLoaded(*std::move(loaded), releases, overlay_);
      const QueueRecord* queue = machine_->FindQueue(query.queue);
      if (!current.has_value() || queue == nullptr ||
          machine_->StateSet(queue->id, query.state) != set) {
        return AnswerQuery(query, std::move(done));
      }
      const Loaded::Scan& scan = current->scans.front();
      // Beyond the last durable row that was visited, memory alone does not tell.
      const SetKey end = scan.exhausted ? SetKey::Max() : scan.last;
      std::vector<Job> jobs = machine_->HotRange(set, from, size_t{query.limit} + 1);
      jobs.insert(jobs.end(), scan.jobs.begin(), scan.jobs.end());
      std::erase_if(jobs, [&](const Job& job) { return KeyOf(job) > end; });
      const auto before = [](const Job& a, const Job& b) { return KeyOf(a) < KeyOf(b); };
      std::sort(jobs.begin(), jobs.end(), before);
      const auto same = [](const Job& a, const Job& b) { return a.id == b.id; };
      jobs.erase(std::unique(jobs.begin(), jobs.end(), same), jobs.end());
      bool more = !scan.exhausted;
      if (jobs.size() > query.limit) {
        jobs.resize(query.limit);
        more = true;
      }
      if (jobs.empty() && more) {  // all that was visited has gone: go on behind it
        query.after = scan.last;
        return ListDurable(std::move(query), set, std::move(done));
      }
      FinishList(query, std::move(jobs), more, std::move(done));
    });
  });
}

void Shard::FinishList(const JobListQuery& query, std::vector<Job> jobs, bool more,
                       QueryDone done) {
  QueryResult result = ResultNow();
  uint64_t bytes = 0;
  for (const Job& job : jobs) {
    bytes += job.payload_size_bytes;
    if (query.payload_bytes_max != 0 && !result.jobs.empty() && bytes > query.payload_bytes_max) {
      more = true;
      break;
    }
    result.jobs.push_back({job, query.queue, {}});
    result.last = KeyOf(job);
  }
  result.more = more;
  AddPayloads(std::move(result), query.payload_bytes_max, std::move(done));
}

void Shard::AddPayloads(QueryResult result, uint64_t payload_bytes_max, QueryDone done) {
  ColdPayloads cold;
  for (size_t i = 0; i < result.jobs.size() && payload_bytes_max > 0; ++i) {
    JobView& view = result.jobs[i];
    if (std::optional<PayloadRef> payload = overlay_.FindPayload(view.job.id);
        payload.has_value()) {
      view.payload = *std::move(payload);
    } else {
      cold.Add(view.job, &view.payload);
    }
  }
  if (cold.queries.empty()) return std::move(done)(std::move(result));
  ReadCold(std::move(cold), [result = std::move(result),
                             done = std::move(done)](const absl::Status& status) mutable {
    std::move(done)(status.ok() ? std::move(result) : Failure(status));
  });
}

void Shard::AnswerQuery(const QueueQuery& query, QueryDone done) {
  const QueueRecord* queue = machine_->FindQueue(query.queue);
  if (queue == nullptr) {
    return std::move(done)(NotFound(OutcomeCode::kQueueNotFound, machine_->now()));
  }
  QueryResult result = ResultNow();
  result.queues.push_back(*queue);
  std::move(done)(std::move(result));
}

void Shard::AnswerQuery(const QueueListQuery& query, QueryDone done) {
  QueryResult result = ResultNow();
  // Names before the prefix are skipped by starting just before it.
  const bool behind = query.after >= query.prefix;
  std::string after = behind ? query.after : query.prefix;
  if (!behind && !query.prefix.empty() && machine_->FindQueue(query.prefix) != nullptr) {
    result.queues.push_back(*machine_->FindQueue(query.prefix));
  }
  for (const std::string& name : machine_->ListQueues(after, size_t{query.limit} + 1)) {
    if (!name.starts_with(query.prefix)) break;
    result.queues.push_back(*machine_->FindQueue(name));
  }
  if (result.queues.size() > query.limit) {
    result.queues.resize(query.limit);
    result.more = true;
  }
  std::move(done)(std::move(result));
}

void Shard::AnswerQuery(const TotalsQuery&, QueryDone done) {
  QueryResult result = ResultNow();
  result.totals = machine_->totals();
  std::move(done)(std::move(result));
}

void Shard::AnswerQuery(const ClusterRecordQuery&, QueryDone done) {
  QueryResult result = ResultNow();
  result.cluster_record = machine_->cluster_record();
  std::move(done)(std::move(result));
}

void Shard::AnswerQuery(const ReplicasQuery&, QueryDone done) {
  QueryResult result = ResultNow();
  const AppliedRow& applied = applier_->applied();
  result.replicas.push_back({.shard = options_.shard,
                             .leading = leading_,
                             .applied = applied.index,
                             .state_hash = applied.state_hash});
  std::move(done)(std::move(result));
}

}  // namespace holdfast
