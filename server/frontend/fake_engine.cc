#include "server/frontend/fake_engine.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "base/check.h"
#include "server/codec/payload_codec.h"

namespace holdfast {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

// How many items the outcome of a command has.
size_t ItemsOf(const CommandBody& body) {
  return std::visit(
      [](const auto& command) -> size_t {
        if constexpr (requires { command.leases.size(); }) return command.leases.size();
        if constexpr (requires { command.jobs.size(); }) return command.jobs.size();
        return 0;
      },
      body);
}

}  // namespace

FakeEngine::FakeEngine() : thread_([this] { Run(); }) {}

FakeEngine::~FakeEngine() {
  {
    absl::MutexLock lock(&mutex_);
    CHECK(parked_.empty());
    held_ = false;
    stopping_ = true;
  }
  thread_.join();
}

void FakeEngine::Run() {
  for (;;) {
    std::vector<Task> tasks;
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return (!tasks_.empty() && !held_) || stopping_;
      };
      mutex_.Await(absl::Condition(&due));
      tasks.swap(tasks_);
      if (tasks.empty() && stopping_) return;
    }
    for (Task& task : tasks) std::move(task)();
  }
}

void FakeEngine::Post(Task task) { tasks_.push_back(std::move(task)); }

void FakeEngine::Hold() {
  absl::MutexLock lock(&mutex_);
  held_ = true;
}

void FakeEngine::Release() {
  absl::MutexLock lock(&mutex_);
  held_ = false;
}

PayloadRef FakeEngine::MakePayload(std::string_view body) {
  auto bytes = std::make_shared<std::string>();
  PayloadView view;
  view.body = body;
  AppendPayload(bytes.get(), view);
  return {.owner = bytes, .bytes = *bytes};
}

void FakeEngine::AddGrant(std::string_view queue, uint64_t id, std::string_view body,
                          ExecuteResult* out) {
  holdfast::Grant grant;
  grant.job.id = JobId(id);
  grant.job.token = LeaseToken(1);
  grant.job.state = JobState::kReserved;
  grant.job.priority = 1024;
  grant.job.attempts = 1;
  grant.job.created = LogTime::FromMicros(1'700'000'000'000'001);
  grant.job.due = LogTime::FromMicros(1'700'000'060'000'001);
  grant.job.expires = LogTime::Never();
  grant.job.lease = LogDuration::Seconds(60);
  grant.job.current_lease = LogDuration::Seconds(60);
  grant.queue = queue;
  out->outcome.grants.push_back(std::move(grant));
  out->payloads.push_back(MakePayload(body));
}

void FakeEngine::Grant(std::string_view queue, std::vector<std::pair<uint64_t, std::string>> jobs) {
  ExecuteResult result;
  for (const auto& [id, body] : jobs) AddGrant(queue, id, body, &result);
  AnswerReserve(queue, std::move(result));
}

void FakeEngine::AnswerReserve(std::string_view queue, ExecuteResult result) {
  absl::MutexLock lock(&mutex_);
  auto found = parked_.end();
  const auto waits = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (found = parked_.begin(); found != parked_.end(); ++found) {
      for (const std::string& name : found->second.request.queues) {
        if (name == queue) return true;
      }
    }
    return false;
  };
  CHECK(mutex_.AwaitWithTimeout(absl::Condition(&waits), kPatience));
  Post([done = std::move(found->second.done), result = std::move(result)]() mutable {
    std::move(done)(std::move(result));
  });
  parked_.erase(found);
}

void FakeEngine::EndLease(JobId job, LeaseToken token, Machine::EndedLease::Why why) {
  absl::MutexLock lock(&mutex_);
  CHECK(!holders_.empty());
  const auto& [holder, ended] = *holders_.rbegin();
  Post([ended = ended, lease = Machine::EndedLease{job, token, holder, why}] { ended(lease); });
}

std::vector<CommandBody> FakeEngine::WaitForCommands(size_t n) {
  absl::MutexLock lock(&mutex_);
  const auto here = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return received_.size() >= n; };
  CHECK(mutex_.AwaitWithTimeout(absl::Condition(&here), kPatience));
  std::vector<CommandBody> bodies;
  for (const auto& received : received_) bodies.push_back(received->decoded.command.body);
  return bodies;
}

void FakeEngine::WaitForReserves(size_t n) {
  absl::MutexLock lock(&mutex_);
  const auto here = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return parked_.size() == n; };
  CHECK(mutex_.AwaitWithTimeout(absl::Condition(&here), kPatience));
}

size_t FakeEngine::reserves_waiting() const {
  absl::MutexLock lock(&mutex_);
  return parked_.size();
}

std::vector<ReserveRequest> FakeEngine::reserves() const {
  absl::MutexLock lock(&mutex_);
  return reserves_;
}

std::vector<LeaseRef> FakeEngine::undelivered() const {
  absl::MutexLock lock(&mutex_);
  return undelivered_;
}

std::vector<std::pair<Holder, LeasesAtClose>> FakeEngine::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

ExecuteResult FakeEngine::Default(const DecodedCommand& command) {
  ExecuteResult result;
  const size_t items = ItemsOf(command.command.body);
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < items; ++i) {
    ItemOutcome item;
    if (std::holds_alternative<EnqueueCommand>(command.command.body)) {
      item.job = JobId(next_job_++);
    }
    result.outcome.items.push_back(item);
  }
  return result;
}

void FakeEngine::Receive(std::string bytes, ExecuteDone done) {
  auto received = std::make_unique<Received>();
  received->bytes = std::move(bytes);
  CHECK(DecodeCommand(received->bytes, &received->decoded).ok());
  const DecodedCommand* decoded = &received->decoded;
  absl::MutexLock lock(&mutex_);
  if (const auto* back = std::get_if<ReturnUndeliveredCommand>(&decoded->command.body)) {
    undelivered_.insert(undelivered_.end(), back->leases.begin(), back->leases.end());
  }
  received_.push_back(std::move(received));
  Post([this, decoded, done = std::move(done)]() mutable {
    std::move(done)(on_command ? on_command(*decoded) : Default(*decoded));
  });
}

void FakeEngine::Enqueue(std::string_view, EnqueueEncoder command, ExecuteDone done) {
  Receive(std::move(command).Finish(), std::move(done));
}

void FakeEngine::Execute(const Command& command, ExecuteDone done) {
  Receive(EncodeCommand(command), std::move(done));
}

ReserveId FakeEngine::Reserve(ReserveRequest request, ExecuteDone done) {
  absl::MutexLock lock(&mutex_);
  reserves_.push_back(request);
  const ReserveId id(next_reserve_++);
  if (request.wait == absl::ZeroDuration()) {
    ExecuteResult nothing;
    nothing.outcome.code = OutcomeCode::kNothingReady;
    Post([done = std::move(done), nothing = std::move(nothing)]() mutable {
      std::move(done)(std::move(nothing));
    });
    return id;
  }
  parked_.emplace(id.value(), Parked{std::move(request), std::move(done)});
  return id;
}

void FakeEngine::CancelReserve(ReserveId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = parked_.find(id.value());
  if (found == parked_.end()) return;
  ExecuteResult nothing;
  nothing.outcome.code = OutcomeCode::kNothingReady;
  Post([done = std::move(found->second.done), nothing = std::move(nothing)]() mutable {
    std::move(done)(std::move(nothing));
  });
  parked_.erase(found);
}

void FakeEngine::Ask(Query query, QueryDone done) {
  absl::MutexLock lock(&mutex_);
  Post([this, query = std::move(query), done = std::move(done)]() mutable {
    std::move(done)(on_query(query));
  });
}

Holder FakeEngine::OpenHolder(LeasesAtClose, LeaseEndedFn ended) {
  absl::MutexLock lock(&mutex_);
  const Holder holder = {.node = NodeId(1), .incarnation = 1, .n = next_holder_++};
  holders_.emplace(holder, std::move(ended));
  return holder;
}

void FakeEngine::CloseHolder(Holder holder, LeasesAtClose leases) {
  absl::MutexLock lock(&mutex_);
  CHECK_EQ(holders_.erase(holder), 1u);
  closed_.emplace_back(holder, leases);
}

EngineInfo FakeEngine::Info() const {
  EngineInfo info;
  info.node = NodeId(7);
  info.shards = 16;
  info.serving = true;
  return info;
}

}  // namespace holdfast
