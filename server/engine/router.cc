#include "server/engine/router.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/codec/command_codec.h"
#include "xxhash.h"

namespace holdfast {
namespace {

constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);
// A reserve that never ends waits this long: a year.
constexpr absl::Duration kWaitMax = absl::Hours(24 * 365);
// The leases of a closed holder that could not be ended are ended so much later, so often.
constexpr int64_t kReleaseAgainMicros = 1'000'000;
constexpr int kReleaseTries = 60;

ExecuteResult Failure(const absl::Status& status) {
  ExecuteResult result;
  result.status = status;
  if (absl::IsResourceExhausted(status)) result.retry_after = kRetryAfter;
  return result;
}

// Puts the answers of several shards together.
struct Gathering {
  absl::Mutex mutex;
  size_t left ABSL_GUARDED_BY(mutex) = 0;
  ExecuteResult result ABSL_GUARDED_BY(mutex);
  ExecuteDone done;

  // `places`: where the part's items stand in the whole; empty: it has none.
  void Add(const std::vector<size_t>& places, ExecuteResult part) {
    bool last = false;
    {
      absl::MutexLock lock(&mutex);
      if (result.status.ok()) {
        result.status = part.status;
        result.retry_after = part.retry_after;
      }
      Outcome& all = result.outcome;
      all.count += part.outcome.count;
      if (part.outcome.code != OutcomeCode::kOk) all.code = part.outcome.code;
      for (size_t i = 0; i < places.size() && i < part.outcome.items.size(); ++i) {
        all.items[places[i]] = part.outcome.items[i];
      }
      last = --left == 0;
    }
    if (!last) return;
    absl::MutexLock lock(&mutex);
    std::move(done)(std::move(result));
  }
};

template <class Refs>
Refs Pick(const Refs& refs, const std::vector<size_t>& places) {
  Refs picked;
  for (const size_t place : places) picked.push_back(refs[place]);
  return picked;
}

}  // namespace

Router::Router(std::vector<RelayOnLoop> shards, HolderRegistry* holders,
               const Admission::Limits& limits, const EngineInfo& info)
    : shards_(std::move(shards)), holders_(holders), admission_(limits), info_(info) {
  CHECK_EQ(shards_.size(), size_t{info.shards});
}

Router::~Router() = default;

uint32_t Router::ShardOfQueue(std::string_view queue) const {
  return static_cast<uint32_t>(XXH3_64bits(queue.data(), queue.size()) % shards_.size());
}

void Router::Send(uint32_t shard, Submission submission) {
  submission.permit = admission_.Admit(static_cast<int64_t>(submission.command.size()));
  if (!submission.permit) {
    return std::move(submission.done)(Failure(absl::ResourceExhaustedError(
        absl::StrCat("the node is busy: ", admission_.commands(), " commands with ",
                     admission_.bytes(), " bytes are in flight"))));
  }
  const RelayOnLoop& at = shards_[shard];
  if (at.loop->IsCurrent()) return at.relay->Submit(std::move(submission));
  at.loop->Post([to = at.relay, submission = std::move(submission)]() mutable {
    to->Submit(std::move(submission));
  });
}

void Router::Submit(uint32_t shard, std::string command, ExecuteDone done) {
  Submission submission;
  submission.command = std::move(command);
  submission.done = std::move(done);
  Send(shard, std::move(submission));
}

void Router::SetDiskFull(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  disk_full_ = status;
  disk_is_full_.store(!status.ok(), std::memory_order_relaxed);
}

void Router::Enqueue(std::string_view queue, EnqueueEncoder command, ExecuteDone done) {
  if (disk_is_full_.load(std::memory_order_relaxed)) {
    absl::Status full;
    {
      absl::MutexLock lock(&mutex_);
      full = disk_full_;
    }
    if (!full.ok()) return std::move(done)(Failure(full));
  }
  Submission submission;
  submission.jobs = static_cast<uint32_t>(command.jobs());
  submission.queue = std::string(queue);
  submission.command = std::move(command).Finish();
  submission.done = std::move(done);
  Send(ShardOfQueue(queue), std::move(submission));
}

// Sends part(places) to each shard that has items; `part` gives the command for some items.
template <class Part>
void Router::Split(const RequestIdentity& request, const std::vector<uint32_t>& shard_of_item,
                   const Part& part, ExecuteDone done) {
  std::map<uint32_t, std::vector<size_t>> places;
  for (size_t i = 0; i < shard_of_item.size(); ++i) places[shard_of_item[i]].push_back(i);
  if (places.empty()) return std::move(done)(ExecuteResult());
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  {
    absl::MutexLock lock(&gathering->mutex);
    gathering->left = places.size();
    gathering->result.outcome.items.resize(shard_of_item.size());
  }
  for (const auto& [shard, some] : places) {
    Submit(shard, EncodeCommand({.request = request, .body = part(some)}),
           [gathering, at = some](ExecuteResult result) { gathering->Add(at, std::move(result)); });
  }
}

void Router::ToAllShards(const Command& command, ExecuteDone done) {
  const std::string bytes = EncodeCommand(command);
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  {
    absl::MutexLock lock(&gathering->mutex);
    gathering->left = shards_.size();
  }
  for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
    Submit(shard, bytes,
           [gathering](ExecuteResult result) { gathering->Add({}, std::move(result)); });
  }
}

template <class Body, class Refs>
void Router::ToShardsOf(const Command& command, const Body& body, Refs Body::*refs,
                        ExecuteDone done) {
  std::vector<uint32_t> shards;
  for (const auto& ref : body.*refs) shards.push_back(ShardOf(ref));
  const bool in_one = !shards.empty() && std::all_of(shards.begin(), shards.end(), [&](uint32_t s) {
    return s == shards.front();
  });
  if (in_one) return Submit(shards.front(), EncodeCommand(command), std::move(done));
  Split(
      command.request, shards,
      [&](const std::vector<size_t>& places) {
        Body some = body;
        some.*refs = Pick(body.*refs, places);
        return some;
      },
      std::move(done));
}

void Router::Execute(const Command& command, ExecuteDone done) {
  const RequestIdentity& request = command.request;
  std::visit(
      [&](const auto& body) {
        using Body = std::decay_t<decltype(body)>;
        if constexpr (requires { body.leases; }) {
          ToShardsOf(command, body, &Body::leases, std::move(done));
        } else if constexpr (requires { body.jobs.front().value(); }) {
          ToShardsOf(command, body, &Body::jobs, std::move(done));
        } else if constexpr (std::is_same_v<Body, ReserveJobCommand>) {
          Body now = body;
          now.holder = holders_->Now(body.holder);
          Submit(ShardOf(body.job), EncodeCommand({.request = request, .body = std::move(now)}),
                 std::move(done));
        } else if constexpr (requires { body.queue; } && !std::is_same_v<Body, EnqueueCommand>) {
          Submit(ShardOfQueue(body.queue), EncodeCommand(command), std::move(done));
        } else if constexpr (std::is_same_v<Body, PutClusterRecordCommand>) {
          Submit(0, EncodeCommand(command), std::move(done));
        } else if constexpr (std::is_same_v<Body, CloseHolderCommand> ||
                             std::is_same_v<Body, PutSettingsCommand>) {
          ToAllShards(command, std::move(done));
        } else {
          std::move(done)(Failure(absl::InvalidArgumentError(
              "this command does not come from a frontend through Execute")));
        }
      },
      command.body);
}

ReserveId Router::Reserve(ReserveRequest request, ExecuteDone done) {
  if (draining_.load(std::memory_order_relaxed)) request.wait = absl::ZeroDuration();
  request.wait = std::min(request.wait, kWaitMax);
  request.holder = holders_->Now(request.holder);
  std::sort(request.queues.begin(), request.queues.end());
  request.queues.erase(std::unique(request.queues.begin(), request.queues.end()),
                       request.queues.end());
  CHECK(!request.queues.empty());
  const uint64_t n = ++reserves_;
  const uint32_t first = ShardOfQueue(request.queues.front());
  const bool in_one =
      std::all_of(request.queues.begin() + 1, request.queues.end(),
                  [&](const std::string& queue) { return ShardOfQueue(queue) == first; });
  // The shard is in the low bits, S for a reserve over several.
  const ReserveId id(n * (shards_.size() + 1) + (in_one ? first : shards_.size()));
  if (!in_one) {
    ReserveInSeveral(id, std::move(request), std::move(done));
    return id;
  }
  auto waiter = std::make_unique<Waiter>();
  waiter->id = id;
  waiter->deadline_micros =
      shards_[first].loop->MonotonicMicros() + absl::ToInt64Microseconds(request.wait);
  waiter->request = std::move(request);
  waiter->done = std::move(done);
  // Also from the shard's own loop: it may be in the middle of waking those who wait longer.
  shards_[first].loop->Post([to = shards_[first].relay, waiter = std::move(waiter)]() mutable {
    to->Reserve(std::move(waiter));
  });
  return id;
}

void Router::ReserveInSeveral(ReserveId id, ReserveRequest request, ExecuteDone done) {
  std::map<uint32_t, MultiReserve::Part> parts;
  for (const std::string& queue : request.queues) {
    const uint32_t shard = ShardOfQueue(queue);
    MultiReserve::Part& part = parts[shard];
    part.at = shards_[shard];
    part.queues.push_back(queue);
  }
  std::vector<MultiReserve::Part> list;
  for (auto& [shard, part] : parts) list.push_back(std::move(part));
  request.request = RequestIdentity();
  auto multi = std::make_shared<MultiReserve>(
      id, std::move(request), std::move(list),
      [this](const Outcome& outcome) {
        ReturnUndeliveredCommand command;
        for (const Grant& grant : outcome.grants) {
          command.leases.push_back({grant.job.id, grant.job.token});
        }
        Execute({.request = {}, .body = std::move(command)}, [](ExecuteResult) {});
      },
      [this, id, done = std::move(done)](ExecuteResult result) mutable {
        {
          absl::MutexLock lock(&mutex_);
          multi_reserves_.erase(id);
        }
        std::move(done)(std::move(result));
      });
  {
    absl::MutexLock lock(&mutex_);
    multi_reserves_.emplace(id, multi);
  }
  multi->Start();
}

void Router::CancelReserve(ReserveId id) {
  const uint64_t where = id.value() % (shards_.size() + 1);
  if (where < shards_.size()) {
    shards_[where].loop->Post([to = shards_[where].relay, id] { to->CancelReserve(id); });
    return;
  }
  std::shared_ptr<MultiReserve> multi;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = multi_reserves_.find(id);
    if (it == multi_reserves_.end()) return;
    multi = it->second;
  }
  multi->Cancel();
}

void Router::Ask(Query query, QueryDone done) {
  uint32_t shard = 0;
  if (const auto* job = std::get_if<JobQuery>(&query)) {
    shard = ShardOf(job->job);
  } else if (const auto* list = std::get_if<JobListQuery>(&query)) {
    shard = ShardOfQueue(list->queue);
  } else if (const auto* queue = std::get_if<QueueQuery>(&query)) {
    shard = ShardOfQueue(queue->queue);
  } else if (std::holds_alternative<ClusterRecordQuery>(query)) {
    shard = 0;
  } else if (const auto* queues = std::get_if<QueueListQuery>(&query)) {
    return AskAllShards(query, queues->limit, std::move(done));
  } else {
    return AskAllShards(query, 0, std::move(done));
  }
  shards_[shard].loop->Post(
      [to = shards_[shard].relay->shard(), query = std::move(query),
       done = std::move(done)]() mutable { to->Ask(std::move(query), std::move(done)); });
}

void Router::AskAllShards(const Query& query, uint32_t limit, QueryDone done) {
  struct Lists {
    absl::Mutex mutex;
    size_t left ABSL_GUARDED_BY(mutex) = 0;
    QueryResult result ABSL_GUARDED_BY(mutex);
    QueryDone done;
  };
  auto lists = std::make_shared<Lists>();
  lists->done = std::move(done);
  {
    absl::MutexLock lock(&lists->mutex);
    lists->left = shards_.size();
  }
  for (const RelayOnLoop& at : shards_) {
    at.loop->Post([to = at.relay->shard(), query, limit, lists] {
      to->Ask(query, [lists, limit](QueryResult part) {
        absl::MutexLock lock(&lists->mutex);
        QueryResult& all = lists->result;
        all.status.Update(part.status);
        all.more |= part.more;
        all.now = std::max(all.now, part.now);
        all.totals += part.totals;
        std::move(part.queues.begin(), part.queues.end(), std::back_inserter(all.queues));
        std::move(part.replicas.begin(), part.replicas.end(), std::back_inserter(all.replicas));
        if (--lists->left > 0) return;
        std::sort(all.replicas.begin(), all.replicas.end(),
                  [](const ReplicaView& a, const ReplicaView& b) { return a.shard < b.shard; });
        std::sort(all.queues.begin(), all.queues.end(),
                  [](const QueueRecord& a, const QueueRecord& b) { return a.name < b.name; });
        if (all.queues.size() > limit) {
          all.queues.resize(limit);
          all.more = true;
        }
        std::move(lists->done)(std::move(all));
      });
    });
  }
}

Holder Router::OpenHolder(LeasesAtClose leases, LeaseEndedFn ended) {
  return holders_->Open(leases, std::move(ended));
}

void Router::CloseHolder(Holder holder, LeasesAtClose leases) {
  holders_->Close(holder);
  if (leases == LeasesAtClose::kRelease) ReleaseLeases(holder, kReleaseTries);
}

void Router::ReleaseLeases(Holder holder, int tries) {
  // What it held as an earlier run is nobody's already.
  Execute({.request = {}, .body = CloseHolderCommand{.holder = holders_->Now(holder)}},
          [this, holder, tries](const ExecuteResult& result) {
            if (result.status.ok() || tries == 1) return;
            Executor* const loop = shards_[0].loop;
            loop->Post([this, loop, holder, tries] {
              loop->RunAt(loop->MonotonicMicros() + kReleaseAgainMicros,
                          [this, holder, tries] { ReleaseLeases(holder, tries - 1); });
            });
          });
}

EngineInfo Router::Info() const {
  EngineInfo info = info_;
  info.serving = serving_.load(std::memory_order_relaxed);
  return info;
}

void Router::Drain() {
  draining_.store(true, std::memory_order_relaxed);
  for (const RelayOnLoop& at : shards_) {
    at.loop->Post([to = at.relay] {
      to->Drain();
      to->shard()->Drain();
    });
  }
}

}  // namespace holdfast
