#include "queue/state_hash.h"

#include <cstring>

namespace holdfast {
namespace {

constexpr uint64_t Pair(uint32_t high, uint32_t low) {
  return (static_cast<uint64_t>(high) << 32) | low;
}

uint64_t Bits(LogDuration d) { return static_cast<uint64_t>(d.micros()); }
uint64_t Bits(LogTime t) { return t.micros(); }

void AddOptions(const QueueOptions& options, RecordHash* hash) {
  const RetryPolicy& retry = options.retry;
  hash->Add(Bits(options.default_lease), Pair(retry.max_attempts, retry.multiplier_percent))
      .Add(Bits(retry.backoff_min), Bits(retry.backoff_max))
      .Add(Bits(options.ttl), static_cast<uint64_t>(options.on_expiry))
      .Add(options.max_jobs, options.max_bytes)
      .Add(options.max_reserved, Bits(options.dedup_window));
}

}  // namespace

RecordHash& RecordHash::Add(std::string_view bytes) {
  Add(bytes.size(), 0);
  while (!bytes.empty()) {
    uint64_t words[2] = {};
    const size_t size = bytes.size() < sizeof(words) ? bytes.size() : sizeof(words);
    std::memcpy(words, bytes.data(), size);
    Add(words[0], words[1]);
    bytes.remove_prefix(size);
  }
  return *this;
}

uint64_t HashOf(const Job& job) {
  const uint32_t words =
      (static_cast<uint32_t>(job.state) << 8) | static_cast<uint32_t>(job.buried_reason);
  return RecordHash(1)
      .Add(job.id.value(), job.queue.value())
      .Add(Pair(words, job.priority), Bits(job.due))
      .Add(Bits(job.created), Bits(job.expires))
      .Add(Bits(job.lease), Bits(job.delay))
      .Add(job.token.value(), Pair(job.attempts, job.failures))
      .Add(Pair(job.reserves, job.timeouts), Pair(job.releases, job.buries))
      .Add(Pair(job.kicks, job.payload_size_bytes), job.payload_digest)
      .Add(job.holder.node.value(), job.holder.incarnation)
      .Add(job.holder.n, Bits(job.current_lease))
      .Finish();
}

uint64_t HashOf(const QueueRecord& record) {
  RecordHash hash(2);
  hash.Add(record.name);
  AddOptions(record.options, &hash);
  hash.Add(record.id.value(), record.has_options)
      .Add(Bits(record.created), Bits(record.paused_until))
      .Add(Bits(record.pause), Bits(record.idle_since))
      .Add(Bits(record.deadline), record.urgent)
      .Add(record.counts[0], record.counts[1])
      .Add(record.counts[2], record.counts[3])
      .Add(record.ttl_count, record.dedup_count)
      .Add(record.hash_by_state[0], record.hash_by_state[1])
      .Add(record.hash_by_state[2], record.hash_by_state[3])
      .Add(record.bytes, record.total_enqueued)
      .Add(record.total_deleted, record.total_timeouts)
      .Add(record.total_pauses, 0);
  return hash.Finish();
}

uint64_t HashOf(const DedupRecord& record) {
  return RecordHash(3)
      .Add(record.key)
      .Add(record.queue.value(), record.job.value())
      .Add(Bits(record.expires), 0)
      .Finish();
}

uint64_t HashOf(const Outcome& outcome) {
  RecordHash hash(4);
  hash.Add(static_cast<uint64_t>(outcome.code), outcome.more)
      .Add(outcome.count, outcome.session.value())
      .Add(outcome.items.size(), outcome.grants.size());
  for (const ItemOutcome& item : outcome.items) {
    const uint64_t flags = (static_cast<uint64_t>(item.code) << 16) |
                           (static_cast<uint64_t>(item.state) << 8) |
                           static_cast<uint64_t>(item.deduplicated);
    hash.Add(flags, item.job.value()).Add(Bits(item.due), 0);
  }
  for (const Grant& grant : outcome.grants) hash.Add(grant.queue).Add(HashOf(grant.job), 0);
  return hash.Finish();
}

uint64_t HashOf(const GlobalsRow& row) {
  const Settings& settings = row.settings;
  return RecordHash(5)
      .Add(row.machine_version, row.next_sequence)
      .Add(row.next_queue, row.next_session)
      .Add(Bits(row.now), Bits(settings.idle_queue_linger))
      .Add(settings.requests_max, settings.sessions_max)
      .Add(settings.session_outcomes_max, settings.queues_max)
      .Finish();
}

uint64_t HashOf(const Holder& holder, const HolderRow& row) {
  RecordHash hash(6);
  hash.Add(holder.node.value(), holder.incarnation)
      .Add(holder.n, (row.held << 1) | static_cast<uint64_t>(row.closed != 0));
  // Rows of version 1 had no turns: their hash stays what it was.
  if (row.closed > 1) hash.Add(row.closed, 0);
  return hash.Finish();
}

uint64_t HashOf(NodeId node, const NodeFloorRow& row) {
  return RecordHash(7).Add(node.value(), row.lost_incarnation).Finish();
}

uint64_t HashOf(const RequestKey& key, const RequestRow& row) {
  return RecordHash(8)
      .Add(key.digest_high, key.digest_low)
      .Add(Bits(key.expires), HashOf(row.outcome))
      .Finish();
}

uint64_t HashOf(SessionId session, const SessionRow& row) {
  return RecordHash(9)
      .Add(session.value(), Bits(row.idle_limit))
      .Add(Bits(row.expires), row.floor)
      .Finish();
}

uint64_t HashOf(const SessionOutcomeKey& key, const SessionOutcomeRow& row) {
  return RecordHash(10).Add(key.session.value(), key.sequence).Add(HashOf(row.outcome), 0).Finish();
}

uint64_t HashOf(const ClusterRecordRow& row) {
  return RecordHash(12).Add(row.record).Add(row.version, 0).Finish();
}

}  // namespace holdfast
