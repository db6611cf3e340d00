#include "server/engine/node_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {

NodeEngine::NodeEngine(const Options& options, LogStore* log, StateStore* state, MakeLog make_log,
                       OnFatal on_fatal)
    : options_(options),
      log_(log),
      state_(state),
      make_log_(std::move(make_log)),
      on_fatal_(std::move(on_fatal)),
      holders_(options.node, options.incarnation) {
  CHECK_GE(options.loops, 1u);
  CHECK_GE(options.readers, 1u);
}

NodeEngine::~NodeEngine() { Stop(Flusher::LastFlush::kSkip); }

void NodeEngine::Fatal(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return;
    failure_ = status;
  }
  on_fatal_(status);
}

Shard::Options NodeEngine::ShardOptions(uint32_t shard) const {
  Shard::Options options{.shard = ShardId(shard),
                         .node = options_.node,
                         .incarnation = options_.incarnation,
                         .machine = {},
                         .proposer = {}};
  options.machine.shard = ShardId(shard);
  options.machine.shards = options_.shards;
  options.machine.hot_jobs_max = std::max<uint64_t>(options_.hot_jobs_max / options_.shards, 1024);
  options.overlay_bytes_max = options_.unflushed_bytes_max;
  return options;
}

Shard::Parts NodeEngine::ShardParts(uint32_t shard, Executor* loop) {
  Shard::Parts parts;
  parts.executor = loop;
  parts.reader = readers_[shard % options_.readers].get();
  parts.store = state_;
  parts.holders = &holders_;
  parts.overlay_bytes = &overlay_bytes_;
  parts.on_fatal = [this](const absl::Status& status) { Fatal(status); };
  parts.on_dirty = [this] {
    Flusher* flusher = notes_.load(std::memory_order_acquire);
    if (flusher != nullptr) flusher->Note();
  };
  parts.on_leading = [this] {
    absl::MutexLock lock(&mutex_);
    if (starting_ > 0) --starting_;
  };
  return parts;
}

absl::Status NodeEngine::Start() {
  const auto fatal = [this](const absl::Status& status) { Fatal(status); };
  log_writer_ = std::make_unique<LogWriter>(log_, options_.log, fatal);
  for (uint32_t i = 0; i < options_.readers; ++i) {
    readers_.push_back(std::make_unique<LoopThread>(absl::StrCat("reader/", i)));
  }
  const uint32_t loops = std::min(options_.loops, options_.shards);
  for (uint32_t i = 0; i < loops; ++i) {
    loops_.push_back(std::make_unique<LoopThread>(absl::StrCat("loop/", i)));
  }
  std::vector<ShardOnLoop> on_loops;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    Executor* const loop = loops_[i % loops].get();
    shards_.push_back(std::make_unique<Shard>(ShardOptions(i), ShardParts(i, loop)));
    logs_.push_back(make_log_(ShardId(i), loop, log_writer_.get(), shards_.back().get()));
    shards_.back()->AttachLog(logs_.back().get());
    on_loops.push_back({loop, shards_.back().get()});
  }
  router_ =
      std::make_unique<Router>(on_loops, &holders_, options_.admission,
                               EngineInfo{.node = options_.node,
                                          .disk = options_.disk,
                                          .cluster_id = options_.cluster_id,
                                          .shards = options_.shards,
                                          .payload_size_bytes_max = options_.payload_size_bytes_max,
                                          .serving = false});
  {
    absl::MutexLock lock(&mutex_);
    starting_ = options_.shards;
  }
  for (uint32_t i = 0; i < options_.shards; ++i) {
    on_loops[i].loop->Post([this, i] { RecoverShard(i); });
  }
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return starting_ == 0 || !failure_.ok();
  };
  {
    absl::MutexLock lock(&mutex_);
    const bool in_time = mutex_.AwaitWithTimeout(absl::Condition(&ended), options_.start_timeout);
    if (!failure_.ok()) return failure_;
    if (!in_time) {
      return absl::DeadlineExceededError(
          absl::StrCat(starting_, " of ", options_.shards, " shards did not start within ",
                       absl::FormatDuration(options_.start_timeout)));
    }
  }
  const auto disk_full = [this](const absl::Status& status) {
    router_->SetDiskFull(status);
    if (options_.on_disk_full) options_.on_disk_full(status);
  };
  flusher_ = std::make_unique<Flusher>(options_.flush, state_, log_, on_loops, &overlay_bytes_,
                                       disk_full, fatal);
  notes_.store(flusher_.get(), std::memory_order_release);
  router_->SetServing(true);
  return absl::OkStatus();
}

void NodeEngine::RecoverShard(uint32_t shard) {
  const absl::StatusOr<LogPosition> applied = shards_[shard]->Restore();
  if (!applied.ok()) return Fatal(applied.status());
  if (absl::Status status = logs_[shard]->Start(*applied); !status.ok()) return Fatal(status);
  shards_[shard]->FinishRecovery();
}

void NodeEngine::Drain() {
  router_->SetServing(false);
  router_->Drain();
}

void NodeEngine::Stop(Flusher::LastFlush last) {
  if (log_writer_ == nullptr) return;
  bool healthy = false;
  {
    absl::MutexLock lock(&mutex_);
    healthy = failure_.ok();
  }
  notes_.store(nullptr, std::memory_order_release);
  if (flusher_ != nullptr) flusher_->Stop(healthy ? last : Flusher::LastFlush::kSkip);
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    loops_[i % loops_.size()]->Post([shard = shards_[i].get()] {
      shard->OnLeaderStop(absl::UnavailableError("the node is stopping"));
    });
  }
  // Readers post to loops and loops to readers; both drop what is posted once they have stopped.
  for (auto& loop : loops_) loop->Stop();
  for (auto& reader : readers_) reader->Stop();
  log_writer_->Stop();
  flusher_.reset();
  logs_.clear();
  loops_.clear();
  readers_.clear();
  shards_.clear();
  router_.reset();  // last: what was dropped above gives its permits back
  log_writer_.reset();
}

}  // namespace holdfast
