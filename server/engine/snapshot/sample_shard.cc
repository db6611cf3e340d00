#include "server/engine/snapshot/sample_shard.h"

#include <optional>
#include <utility>

#include "base/check.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_codec.h"
#include "server/codec/row_keys.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/flush_batch.h"
#include "server/engine/overlay/restore_machine.h"

namespace holdfast {
namespace {

constexpr uint64_t kStartMicros = 1'764'000'000'000'000;

Machine::Options MachineOptions(ShardId shard, uint32_t shards) {
  return {.shard = shard,
          .shards = shards,
          .window_jobs_max = 16,
          .window_jobs_low = 4,
          .hot_jobs_max = 64};
}

}  // namespace

SampleShard::SampleShard(StateStore* store, ShardId shard, uint32_t shards)
    : store_(store),
      shard_(shard),
      machine_(MachineOptions(shard, shards)),
      overlay_(shard, shards) {
  const auto applied = RestoreMachine(*store->Snapshot(), shard, &machine_);
  CHECK(applied.ok());
  applied_ = applied->value_or(AppliedRow());
  applied_.installing = false;
  now_micros_ = std::max(kStartMicros, machine_.now().micros());
}

void SampleShard::LoadNeeds(const Command& command) {
  for (;;) {
    const Needs needs = machine_.NeedsOf(command, LogTime::FromMicros(now_micros_));
    if (needs.empty()) return;
    auto fetched = FetchNeeds(*store_->Snapshot(), shard_, needs);
    CHECK(fetched.ok());
    machine_.DrainChanges(&overlay_);
    auto loaded = FilterLoaded(*std::move(fetched), overlay_.releases(), overlay_);
    machine_.Load(*std::move(loaded));
  }
}

Outcome SampleShard::ApplyCommand(const Command& command,
                                  const std::vector<std::string_view>& payloads,
                                  const EntryBuffer& entry) {
  now_micros_ += 1000;
  LoadNeeds(command);
  Outcome outcome = machine_.Apply(command, LogTime::FromMicros(now_micros_));
  machine_.DrainChanges(&overlay_);
  for (size_t i = 0; i < payloads.size() && i < outcome.items.size(); ++i) {
    const ItemOutcome& item = outcome.items[i];
    if (item.code != OutcomeCode::kOk || item.deduplicated) continue;
    overlay_.AttachPayload(item.job, entry, payloads[i]);
  }
  applied_.index = Next(applied_.index);
  applied_.term = Term(3);
  applied_.state_hash = machine_.StateHash();
  return outcome;
}

Outcome SampleShard::Apply(const CommandBody& body) {
  return ApplyCommand({.request = {}, .body = body}, {}, nullptr);
}

Outcome SampleShard::Enqueue(std::string_view queue, const std::vector<std::string>& bodies,
                             const JobSpec& spec) {
  size_t bytes = 0;
  for (const std::string& body : bodies) bytes += body.size() + 64;
  EnqueueEncoder encoder(RequestIdentity(), queue, bytes);
  for (const std::string& body : bodies) {
    PayloadView payload;
    payload.dedup_key = spec.dedup_key;
    payload.body = body;
    encoder.Add(spec, payload);
  }
  const std::string command = std::move(encoder).Finish();
  const EntryBuffer entry =
      BuildEntry(LogTime::FromMicros(now_micros_), {std::string_view(command)});
  DecodedCommand decoded;
  CHECK(EntryReader::Open(*entry)->Next(&decoded).ok());
  return ApplyCommand(decoded.command, {decoded.payloads.begin(), decoded.payloads.end()}, entry);
}

void SampleShard::DoAllKindsOfThings(int rounds) {
  const Holder holder = {NodeId(1), 7, applied_.index.value()};
  for (int round = 0; round < rounds; ++round) {
    const std::string tag = std::to_string(applied_.index.value());
    std::vector<std::string> bodies;
    for (int i = 0; i < 12; ++i) bodies.push_back("body " + tag + std::string(i * 7, 'x'));
    Enqueue("mail", bodies);
    JobSpec later;
    later.delay = LogDuration::Seconds(3600);
    Enqueue("mail", {"later " + tag}, later);
    JobSpec once;
    once.ttl = LogDuration::Seconds(9000);
    once.dedup_key = tag;
    Enqueue("report", {"once " + tag}, once);
    Enqueue("junk" + tag, {"a", "b", ""});
    const Outcome reserved = Apply(ReserveCommand{
        .queues = {"mail", "report"}, .max = 5, .holder = holder, .lease = LogDuration()});
    CHECK_GE(reserved.grants.size(), 3u);
    const auto lease = [&](size_t i) {
      return LeaseRef{reserved.grants[i].job.id, reserved.grants[i].job.token};
    };
    Apply(BuryCommand{.leases = {lease(0)}, .priority = 7});
    Apply(DeleteCommand{.leases = {lease(1)}});
    ReleaseCommand release;
    release.leases = {lease(2)};
    release.mode = ReleaseMode::kFail;
    Apply(release);
    Apply(OpenSessionCommand{});
    Command pause = {.request = {},
                     .body = PauseQueueCommand{.queue = "report",
                                               .duration = LogDuration::Seconds(1),
                                               .existence = Existence::kCreate}};
    pause.request.digest_low = applied_.index.value();
    ApplyCommand(pause, {}, nullptr);
    Apply(PurgeQueueCommand{.queue = "junk" + tag});
  }
  Apply(NodeLostCommand{.node = NodeId(9), .incarnation = applied_.index.value()});
}

absl::Status SampleShard::Flush() {
  const std::shared_ptr<const Generation> frozen = overlay_.Freeze();
  StateBatch batch;
  AddToBatch(*frozen, applied_, &batch);
  absl::Status status = store_->Flush(batch);
  CHECK(status.ok());
  const DirtyOverlay::Released released = overlay_.Release();
  machine_.Flushed(released.jobs, released.dedups);
  return status;
}

std::vector<std::string> SampleShard::StoredBodies(std::string_view queue, JobState state) const {
  std::vector<std::string> bodies;
  const QueueRecord* record = machine_.FindQueue(queue);
  if (record == nullptr) return bodies;
  const SetRef set = machine_.StateSet(record->id, state);
  const KeyRange range = SetRange(shard_, set, SetKey());
  const auto snapshot = store_->Snapshot();
  std::vector<JobId> ids;
  const auto end = snapshot->Scan(
      Table::kIndex,
      {.begin = range.begin, .end = range.end, .rows_max = UINT64_MAX, .bytes_max = UINT64_MAX},
      [&](std::string_view key, std::string_view) {
        ids.push_back(JobId(ParseIndexKey(shard_, set, key)->id));
        return true;
      });
  CHECK(end.ok());
  for (const JobId id : ids) {
    const auto row = snapshot->Get(Table::kJob, JobRowKey(shard_, id));
    CHECK(row.ok() && row->has_value());
    const auto job = DecodeJobRow(id, **row);
    CHECK(job.ok());
    const PayloadQuery query = {id, job->payload_size_bytes, job->payload_digest};
    const auto payloads = ReadPayloads(*snapshot, shard_, {query}, Reach::kDevice);
    CHECK(payloads.ok());
    bodies.emplace_back(DecodePayload(payloads->front().bytes)->body);
  }
  return bodies;
}

}  // namespace holdfast
