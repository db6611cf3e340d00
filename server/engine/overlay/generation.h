// One generation of a shard's unflushed changes: everything that changed between two freezes,
// each thing once, with its latest state and with what its durable row was at the start.
//
// Per job: about 60 bytes of bookkeeping, its encoded row (30 to 60 bytes), 64 bytes more if it
// already had a durable row, and its payload if that is not durable yet.
//
// Invariants: (1) a job without a durable row at the start is not here once it is deleted;
// (2) its payload is here until then; (3) with Backing::kNothing only jobs are here, for their
// payloads. Thread-safety: thread-compatible; a const Generation may be read by any number of
// threads.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_GENERATION_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_GENERATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/string_hash.h"
#include "base/types.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/records.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_ref.h"
#include "server/engine/overlay/paged_map.h"
#include "server/engine/overlay/payload_table.h"
#include "server/engine/overlay/row_arena.h"

namespace holdfast {

// What stands behind the changes of a shard.
enum class Backing : uint8_t {
  kStore = 0,    // durable rows, to which changes are flushed
  kNothing = 1,  // there are no rows and never will be: nothing is flushed
};

struct DirtyJob {
  // Encoded (row_codec.h), in the arena; nullptr: the job is gone. Empty with Backing::kNothing.
  char* row;
  const JobPlaces* start;  // its places in the durable rows, in the arena; nullptr: no durable row
  PayloadSlice payload;    // none if durable
  uint8_t row_size;

  std::string_view row_bytes() const { return {row, row_size}; }
};

struct DirtyDedup {
  bool at_start = false;  // there is a durable row, at `start`
  bool present = false;   // there is one now, at `place`
  SetKey start;           // (expires, job id)
  SetKey place;
};

class Generation {
 public:
  Generation(ShardId shard, uint32_t shards, Backing backing);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  ShardId shard() const { return shard_; }

  // --- Changes; see DirtyOverlay.
  void JobChanged(JobId id, const JobPlaces* before, const Job* after);
  void AttachPayload(JobId id, const EntryBuffer& entry, std::string_view payload);
  void QueueChanged(QueueId id, const QueueRecord* after);
  void DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                    const DedupRecord* after);
  void RowChanged(const SmallRowKey& key, const SmallRow* after);
  // No more changes.
  void Finish();

  // --- Reads.
  const DirtyJob* FindJob(JobId id) const { return jobs_.Find(SequenceOf(id)); }
  std::optional<PayloadRef> FindPayload(JobId id) const;
  const DirtyDedup* FindDedup(QueueId queue, std::string_view key) const;
  bool empty() const;
  size_t bytes() const;

  // --- Everything, for the flush. visit(JobId, const DirtyJob&), in order of ids.
  template <class Visit>
  void ForEachJob(Visit visit) const {
    jobs_.ForEachSorted(
        [&](uint64_t sequence, const DirtyJob& job) { visit(IdOf(sequence), job); });
  }
  size_t jobs() const { return jobs_.size(); }
  std::string_view PayloadOf(const DirtyJob& job) const { return payloads_.Bytes(job.payload); }
  // By queue id (8 bytes, big-endian) and dedup key.
  using Dedups = absl::flat_hash_map<std::string, DirtyDedup, StringHash, StringEqual>;
  const Dedups& dedups() const { return dedups_; }
  // nullptr: gone.
  using Queues = absl::flat_hash_map<QueueId, std::unique_ptr<QueueRecord>>;
  const Queues& queues() const { return queues_; }
  // By kMeta key; nullopt: gone.
  using Rows =
      absl::flat_hash_map<std::string, std::optional<std::string>, StringHash, StringEqual>;
  const Rows& rows() const { return rows_; }

 private:
  uint64_t SequenceOf(JobId id) const { return id.value() / shards_; }
  JobId IdOf(uint64_t sequence) const { return JobId(sequence * shards_ + shard_.value()); }
  void StoreRow(const Job& job, DirtyJob* dirty);
  void DropPayload(DirtyJob* dirty);
  void CopyOutIfWasteful(uint32_t buffer);

  const ShardId shard_;
  const uint32_t shards_;
  const Backing backing_;
  RowArena arena_;
  PagedMap<DirtyJob> jobs_;
  PayloadTable payloads_;
  Dedups dedups_;
  Queues queues_;
  Rows rows_;
  size_t small_bytes_ = 0;  // of dedups_, queues_ and rows_
  std::string scratch_;     // a key being looked up
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_GENERATION_H_
