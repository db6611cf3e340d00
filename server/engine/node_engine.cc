#include "server/engine/node_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "server/codec/command_codec.h"

namespace holdfast {
namespace {

constexpr int64_t kAnnounceAgainMicros = 1'000'000;

}  // namespace

NodeEngine::NodeEngine(const Options& options, LogStore* log, StateStore* state, OnFatal on_fatal)
    : options_(options),
      log_(log),
      state_(state),
      on_fatal_(std::move(on_fatal)),
      leaders_(options.shards),
      holders_(options.node, options.incarnation),
      pins_({.seed = options.disk.value() ^ options.incarnation}) {
  CHECK_GE(options.loops, 1u);
  CHECK_GE(options.readers, 1u);
  MakeThreads();
  for (uint32_t i = 0; i < options.shards; ++i) MakeShard(i);
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
  options.backing = options_.backing;
  options.overlay_bytes_max =
      options_.backing == Backing::kStore ? options_.unflushed_bytes_max : UINT64_MAX;
  return options;
}

Group::Options NodeEngine::GroupOptions(uint32_t shard) const {
  return {.shard = ShardId(shard),
          .self = ReplicaOf(options_.node, options_.disk),
          .initial_voters = options_.initial_voters,
          .forced_alone = options_.forced_alone,
          .seed = options_.disk.value() + shard,
          .incarnation = options_.incarnation,
          .tick_micros = options_.tick_micros,
          .tick_phase_micros = static_cast<int64_t>(options_.disk.value() %
                                                    static_cast<uint64_t>(options_.tick_micros)),
          .election_ticks = options_.election_ticks,
          .keep_bytes = options_.log_kept_bytes};
}

Shard::Parts NodeEngine::ShardParts(uint32_t shard) {
  Shard::Parts parts;
  parts.executor = LoopOf(shard);
  parts.reader = ReaderOf(ShardId(shard));
  parts.store = state_;
  parts.holders = &holders_;
  parts.overlay_bytes = &overlay_bytes_;
  parts.pins = &pins_;
  const auto tell_flusher = [this](auto what) {
    Flusher* const flusher = running_flusher_.load(std::memory_order_acquire);
    if (flusher != nullptr) what(flusher);
  };
  parts.between_flushes = [tell_flusher](Task task) {
    tell_flusher([&task](Flusher* flusher) { flusher->RunBetween(std::move(task)); });
  };
  parts.on_fatal = [this](const absl::Status& status) { Fatal(status); };
  if (shard == 0) {
    parts.on_cluster_record = [this](const ClusterRecordRow& record) {
      if (peers_ != nullptr) peers_->OnClusterRecord(record);
    };
  }
  // Another shard may be of the same opinion later, or not: for all of them it is the same run.
  parts.on_lost = [this] {
    for (uint32_t i = 0; i < options_.shards; ++i) LoopOf(i)->Post([this, i] { AnnounceLoss(i); });
  };
  parts.on_dirty = [tell_flusher] { tell_flusher([](Flusher* flusher) { flusher->Note(); }); };
  parts.flush_soon = [tell_flusher] {
    tell_flusher([](Flusher* flusher) { flusher->FlushSoon(); });
  };
  return parts;
}

void NodeEngine::MakeShard(uint32_t shard) {
  shards_.push_back(std::make_unique<Shard>(ShardOptions(shard), ShardParts(shard)));
  groups_.push_back(std::make_unique<GroupHost>(
      GroupOptions(shard),
      GroupHost::Parts{
          .executor = LoopOf(shard),
          .reader = ReaderOf(ShardId(shard)),
          .store = log_,
          .writer = log_writer_.get(),
          .machine = shards_.back().get(),
          .on_fatal = [this](const absl::Status& status) { Fatal(status); },
          .on_view = [this, shard](const GroupView& view) { OnView(shard, view); },
          .send =
              [this, shard](PeerMessage message, std::shared_ptr<const PinnedState> state) {
                if (peers_ == nullptr) return;
                peers_->Send(ShardId(shard), std::move(message), std::move(state));
              }}));
  shards_.back()->AttachLog(groups_.back()->group());
  relays_.push_back(std::make_unique<Relay>(
      Relay::Options{.shard = ShardId(shard), .self = ReplicaOf(options_.node, options_.disk)},
      Relay::Parts{.executor = LoopOf(shard), .shard = shards_.back().get(), .forwarder = this}));
  shards_.back()->AttachClient(relays_.back().get());
  forward_servers_.push_back(std::make_unique<ForwardServer>(ForwardServer::Options(),
                                                             LoopOf(shard), shards_.back().get()));
}

void NodeEngine::Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
                         Forwarder::Done done) {
  if (peers_ != nullptr) return peers_->Forward(to, shard, std::move(request), std::move(done));
  LoopOf(shard.value())->Post([done = std::move(done)]() mutable {
    std::move(done)(Forwarder::Result::kNotSent, nullptr);
  });
}

void NodeEngine::OnView(uint32_t shard, const GroupView& view) {
  relays_[shard]->OnLeader(view.leader);
  NodeId node;
  if (view.leader == ReplicaOf(options_.node, options_.disk)) {
    node = options_.node;
  } else if (view.leader != ReplicaId() && peers_ != nullptr) {
    node = peers_->NodeOf(view.leader);
  }
  leaders_.Set(ShardId(shard), {view.term, node});
  if (view.leading || view.has_others) Started(shard);
}

void NodeEngine::Started(uint32_t shard) {
  absl::MutexLock lock(&mutex_);
  if (started_.empty() || started_[shard]) return;
  started_[shard] = true;
  --starting_;
}

void NodeEngine::MakeThreads() {
  const auto fatal = [this](const absl::Status& status) { Fatal(status); };
  log_writer_ = std::make_unique<LogWriter>(log_, options_.log, fatal);
  for (uint32_t i = 0; i < options_.readers; ++i) {
    readers_.push_back(std::make_unique<EventLoop>(absl::StrCat("reader/", i)));
  }
  for (uint32_t i = 0; i < std::min(options_.loops, options_.shards); ++i) {
    loops_.push_back(std::make_unique<EventLoop>(absl::StrCat("loop/", i)));
  }
}

absl::Status NodeEngine::Start(NodePeers* peers) {
  peers_ = peers;
  const auto fatal = [this](const absl::Status& status) { Fatal(status); };
  std::vector<ShardOnLoop> on_loops;
  std::vector<RelayOnLoop> relays;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    on_loops.push_back({LoopOf(i), shards_[i].get()});
    relays.push_back({LoopOf(i), relays_[i].get()});
  }
  router_ =
      std::make_unique<Router>(relays, &holders_, options_.admission,
                               EngineInfo{.node = options_.node,
                                          .disk = options_.disk,
                                          .cluster_id = options_.cluster_id,
                                          .shards = options_.shards,
                                          .payload_size_bytes_max = options_.payload_size_bytes_max,
                                          .serving = false});
  const auto disk_full = [this](const absl::Status& status) {
    router_->SetDiskFull(status);
    if (options_.on_disk_full) options_.on_disk_full(status);
  };
  if (options_.backing == Backing::kStore) {
    flusher_ =
        std::make_unique<Flusher>(options_.flush, options_.disk.value(), state_, log_,
                                  log_writer_.get(), on_loops, &overlay_bytes_, disk_full, fatal);
    running_flusher_.store(flusher_.get(), std::memory_order_release);
  }
  RETURN_IF_ERROR(RecoverShards());
  router_->SetServing(true);
  return absl::OkStatus();
}

absl::Status NodeEngine::RecoverShards() {
  {
    absl::MutexLock lock(&mutex_);
    started_.assign(options_.shards, false);
    starting_ = options_.shards;
  }
  for (uint32_t i = 0; i < options_.shards; ++i) {
    LoopOf(i)->Post([this, i] { RecoverShard(i); });
  }
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return starting_ == 0 || !failure_.ok();
  };
  absl::MutexLock lock(&mutex_);
  const bool in_time = mutex_.AwaitWithTimeout(absl::Condition(&ended), options_.start_timeout);
  if (!failure_.ok()) return failure_;
  if (!in_time) {
    return absl::DeadlineExceededError(absl::StrCat(starting_, " of ", options_.shards,
                                                    " shards did not start within ",
                                                    absl::FormatDuration(options_.start_timeout)));
  }
  return absl::OkStatus();
}

void NodeEngine::RecoverShard(uint32_t shard) {
  const absl::StatusOr<AppliedState> applied = shards_[shard]->Restore();
  if (!applied.ok()) return Fatal(applied.status());
  const absl::Status status = groups_[shard]->group()->Start(*applied);
  if (!status.ok()) return Fatal(status);
  // A node that was added hears of the others when it is listened to.
  if (options_.initial_voters.empty() && !options_.forced_alone) Started(shard);
  if (options_.incarnation > 1 && peers_ != nullptr) AnnounceLoss(shard);
}

// Whoever leads each shard has to know that what this node held before it started, or was judged
// lost, is nobody's. (At its start, where it leads itself, the shard sees to it.)
void NodeEngine::AnnounceLoss(uint32_t shard) {
  Submission submission;
  submission.command = EncodeCommand(
      {.request = {},
       .body = NodeLostCommand{.node = options_.node, .incarnation = holders_.lost()}});
  submission.done = [this, shard](const ExecuteResult& result) {
    if (result.status.ok()) return;
    LoopOf(shard)->RunAt(LoopOf(shard)->MonotonicMicros() + kAnnounceAgainMicros,
                         [this, shard] { AnnounceLoss(shard); });
  };
  relays_[shard]->Submit(std::move(submission));
}

void NodeEngine::CatchUp(std::function<void(const absl::Status&)> done) {
  struct Round {
    absl::Mutex mutex;
    uint32_t left ABSL_GUARDED_BY(mutex);
    absl::Status status ABSL_GUARDED_BY(mutex);
  };
  const auto round = std::make_shared<Round>();
  {
    absl::MutexLock lock(&round->mutex);
    round->left = options_.shards;
  }
  const auto caught_up = [round, done = std::move(done)](const absl::Status& status) {
    absl::Status all;
    {
      absl::MutexLock lock(&round->mutex);
      round->status.Update(status);
      if (--round->left > 0) return;
      all = round->status;
    }
    done(all);
  };
  for (uint32_t i = 0; i < options_.shards; ++i) {
    LoopOf(i)->Post([this, i, caught_up] { shards_[i]->AfterBarrier(caught_up); });
  }
}

void NodeEngine::Drain() {
  router_->SetServing(false);
  router_->Drain();
}

void NodeEngine::AwaitAnswers(absl::Time deadline) {
  // Answers come from many threads, which had better not be held up for this.
  constexpr absl::Duration kLookEvery = absl::Milliseconds(5);
  // Seen twice: a call may be on its way from the frontend to the router.
  for (int idle = 0; idle < 2 && absl::Now() < deadline;) {
    idle = router_->in_flight() > 0 ? 0 : idle + 1;
    absl::Notification().WaitForNotificationWithTimeout(kLookEvery);
  }
}

void NodeEngine::Abandon() {
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    LoopOf(i)->Post([relay = relays_[i].get(), group = groups_[i]->group()] {
      relay->Stop();
      relay->shard()->Stop();
      group->RefuseReads(absl::UnavailableError("the node is stopping"));
    });
  }
}

void NodeEngine::Stop(Flusher::LastFlush last) {
  if (log_writer_ == nullptr) return;
  bool healthy = false;
  {
    absl::MutexLock lock(&mutex_);
    healthy = failure_.ok();
  }
  running_flusher_.store(nullptr, std::memory_order_release);
  if (flusher_ != nullptr) flusher_->Stop(healthy ? last : Flusher::LastFlush::kSkip);
  Abandon();
  // Readers post to loops and loops to readers; both drop what is posted once they have stopped.
  for (auto& loop : loops_) loop->Stop();
  for (auto& reader : readers_) reader->Stop();
  log_writer_->Stop();
  flusher_.reset();
  groups_.clear();
  loops_.clear();
  readers_.clear();
  forward_servers_.clear();
  relays_.clear();
  shards_.clear();
  router_.reset();  // last: what was dropped above gives its permits back
  log_writer_.reset();
}

}  // namespace holdfast
