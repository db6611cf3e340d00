#include "server/engine/testing/test_node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/overlay/flush_batch.h"
#include "xxhash.h"

namespace holdfast {

TestNode::TestNode(const Options& options)
    : options_(options), events_(EventQueue::Options{.shuffle_seed = options.shuffle_seed}) {
  for (uint32_t i = 0; i < options.shards; ++i) {
    logs_.push_back(std::make_unique<ScriptedLog>(options.commits));
  }
}

TestNode::~TestNode() { Crash(); }

void TestNode::MakeShards() {
  std::vector<RelayOnLoop> on_loops;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    Shard::Options options{.shard = ShardId(i),
                           .node = NodeId(1),
                           .incarnation = incarnation_,
                           .machine = options_.machine,
                           .proposer = options_.proposer,
                           .waiters_max = options_.waiters_max,
                           .overlay_bytes_max = options_.overlay_bytes_max};
    options.machine.shard = ShardId(i);
    options.machine.shards = options_.shards;
    shards_.push_back(std::make_unique<Shard>(
        options,
        Shard::Parts{.executor = loop_.get(),
                     .reader = reader_.get(),
                     .store = store_.get(),
                     .holders = holders_.get(),
                     .overlay_bytes = &overlay_bytes_,
                     .pins = &pins_,
                     .between_flushes = [this](Task task) { reader_->Post(std::move(task)); },
                     .on_fatal = [this](const auto& why) { fatal_.push_back(why); },
                     .on_dirty = [] {},
                     .flush_soon = [this] { ++flushes_asked_for_; },
                     .on_cluster_record = nullptr}));
    logs_[i]->Attach(loop_.get(), shards_[i].get());
    shards_[i]->AttachLog(logs_[i].get());
    relays_.push_back(std::make_unique<Relay>(
        Relay::Options{.shard = ShardId(i), .self = options_.self},
        Relay::Parts{
            .executor = loop_.get(), .shard = shards_[i].get(), .forwarder = options_.forwarder}));
    shards_[i]->AttachClient(relays_[i].get());
    on_loops.push_back({loop_.get(), relays_[i].get()});
  }
  EngineInfo info;
  info.node = NodeId(1);
  info.shards = options_.shards;
  router_ = std::make_unique<Router>(std::move(on_loops), holders_.get(), options_.admission, info);
}

absl::Status TestNode::StartFollowing() {
  CHECK(shards_.empty());
  ++incarnation_;
  overlay_bytes_ = 0;
  store_ = disk_.Open();
  holders_ = std::make_unique<HolderRegistry>(NodeId(1), incarnation_);
  loop_ = std::make_unique<SimulatedExecutor>(&events_);
  reader_ = std::make_unique<SimulatedExecutor>(&events_);
  MakeShards();
  absl::Status status;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    OnLoop([this, i, &status] {
      const absl::StatusOr<AppliedState> applied = shards_[i]->Restore();
      status.Update(applied.status());
      if (!applied.ok()) return;
      status.Update(logs_[i]->Start(*applied));
    });
  }
  events_.RunUntilIdle();  // what is read back is applied
  return status;
}

void TestNode::Start() {
  const absl::Status status = StartFollowing();
  CHECK_EQ(status, absl::OkStatus());
  for (auto& log : logs_) OnLoop([&log] { log->Lead(); });
  events_.RunUntilIdle();
}

void TestNode::Crash() {
  if (shards_.empty()) return;
  disk_.Crash();
  loop_.reset();
  reader_.reset();
  frozen_.reset();
  relays_.clear();
  shards_.clear();
  router_.reset();
  holders_.reset();
  store_.reset();
}

JobId TestNode::Enqueued(const Answer<ExecuteResult>& enqueue) {
  const ExecuteResult& result = Await(enqueue);
  CHECK_EQ(result.status, absl::OkStatus());
  CHECK_EQ(result.outcome.items[0].code, OutcomeCode::kOk);
  return result.outcome.items[0].job;
}

Answer<ExecuteResult> TestNode::Enqueue(const std::string& queue, std::string_view body,
                                        const JobSpec& spec) {
  Answer<ExecuteResult> answer;
  EnqueueEncoder encoder({}, queue, body.size());
  encoder.Add(spec, {.attributes = {}, .dedup_key = spec.dedup_key, .body = body});
  router_->Enqueue(queue, std::move(encoder), answer.Done());
  return answer;
}

Answer<ExecuteResult> TestNode::Execute(CommandBody body, const RequestIdentity& request) {
  Answer<ExecuteResult> answer;
  router_->Execute({.request = request, .body = std::move(body)}, answer.Done());
  return answer;
}

Answer<ExecuteResult> TestNode::Reserve(const std::string& queue, absl::Duration wait,
                                        ReserveId* id) {
  ReserveRequest request;
  request.queues = {queue};
  request.wait = wait;
  return Reserve(std::move(request), id);
}

Answer<ExecuteResult> TestNode::Reserve(ReserveRequest request, ReserveId* id) {
  Answer<ExecuteResult> answer;
  const ReserveId given = router_->Reserve(std::move(request), answer.Done());
  if (id != nullptr) *id = given;
  return answer;
}

Answer<QueryResult> TestNode::Ask(Query query) {
  Answer<QueryResult> answer;
  router_->Ask(std::move(query), answer.Done());
  return answer;
}

void TestNode::Commit(size_t count, uint32_t shard) {
  OnLoop([this, count, shard] { logs_[shard]->Commit(count); });
}

TestNode::Freezing TestNode::BeginFlush(uint32_t shard) {
  CHECK(!frozen_.has_value());
  const auto freezing = std::make_shared<Freezing>(Freezing::kWaits);
  OnLoop([this, shard, freezing] {
    shards_[shard]->Freeze([this, shard, freezing](Shard::Frozen frozen) {
      *freezing = frozen.generation == nullptr ? Freezing::kNothing : Freezing::kFrozen;
      if (*freezing == Freezing::kFrozen) frozen_.emplace(FrozenShard{shard, std::move(frozen)});
    });
  });
  return *freezing;
}

absl::Status TestNode::EndFlush() {
  CHECK(frozen_.has_value());
  const FrozenShard frozen = *frozen_;
  StateBatch batch;
  AddToBatch(*frozen.frozen.generation, frozen.frozen.applied, &batch);
  if (absl::Status status = store_->Flush(batch); !status.ok()) return status;
  frozen_.reset();
  OnLoop([this, &frozen] { shards_[frozen.shard]->Flushed(); });
  return absl::OkStatus();
}

void TestNode::Flush() {
  for (uint32_t i = 0; i < options_.shards; ++i) {
    BeginFlush(i);
    events_.RunUntilIdle();
    if (frozen()) CHECK_EQ(EndFlush(), absl::OkStatus());
    events_.RunUntilIdle();
  }
}

std::string TestNode::QueueIn(uint32_t shard, int number) const {
  for (int i = 0;; ++i) {
    const std::string name = absl::StrCat("q", i);
    const bool there = XXH3_64bits(name.data(), name.size()) % options_.shards == shard;
    if (there && number-- == 0) return name;
  }
}

}  // namespace holdfast
