// What changed in a shard since its rows were last made durable: the difference between the
// machine and the state store.
//
// Changes gather in the *active* generation. Freeze() makes it immutable and begins a new one; a
// flusher thread turns the frozen one into a batch (flush_batch.h) and writes it; Release() then
// forgets it. A thing changed many times within a generation is written once, and a job that
// came and went within one is never written at all.
//
//            changes                Freeze()                Release()
//   machine ---------> active -------------------> frozen -----------> durable rows only
//
// Invariants: (1) a job, dedup entry or row that differs from its durable row is in the active or
// the frozen generation; (2) a frozen generation never changes; (3) the payload of a job that is
// not durable yet is found here.
// Bounds: none of its own: the shard freezes and admits by bytes(). A log entry's buffer is kept
// only while the payloads that need it are a fair part of it (payload_table.h).
// Thread-safety: loop-bound to its shard, except for frozen generations, which any thread may read.
// Ownership: the flusher and the overlay share a frozen generation; entry buffers are shared.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_DIRTY_OVERLAY_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_DIRTY_OVERLAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/records.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_ref.h"
#include "server/engine/overlay/generation.h"

namespace holdfast {

class DirtyOverlay final : public ChangeSink {
 public:
  // `shards`: the machine's S (ids are sequence * S + shard).
  DirtyOverlay(ShardId shard, uint32_t shards, Backing backing = Backing::kStore);
  ~DirtyOverlay() override;
  DirtyOverlay(const DirtyOverlay&) = delete;
  DirtyOverlay& operator=(const DirtyOverlay&) = delete;

  // --- Changes, from Machine::DrainChanges.
  void JobChanged(JobId id, const JobPlaces* before, const Job* after) override;
  void QueueChanged(QueueId id, const QueueRecord* after) override;
  void DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                    const DedupRecord* after) override;
  void RowChanged(const SmallRowKey& key, const SmallRow* after) override;

  // The payload of a job that the drain before has reported as new: `payload` points into
  // `*entry`. Once for each job enqueued, after that drain; a job that is gone again is ignored.
  // Attach the payloads of one entry in the order of their jobs.
  void AttachPayload(JobId id, const EntryBuffer& entry, std::string_view payload);

  // --- Reads.
  // The job's payload if it is not durable yet; nullopt: it is in the store (or the job is gone).
  std::optional<PayloadRef> FindPayload(JobId id) const;
  // True if the durable row of the job (or dedup entry) is not the truth: it is newer here, or
  // deleted here.
  bool IsDirty(JobId id) const;
  bool IsDirty(QueueId queue, std::string_view key) const;
  // True if it is dirty because it is deleted: there may still be a durable row.
  bool IsGone(JobId id) const;
  bool IsGone(QueueId queue, std::string_view key) const;

  // Estimated memory of both generations, in bytes, payloads included.
  size_t bytes() const;
  size_t active_bytes() const;
  // Nothing has changed since the last Freeze().
  bool active_empty() const;

  // --- Flushing.
  bool has_frozen() const { return frozen_ != nullptr; }
  // Everything drained so far, to be written with the applied index of this moment.
  // REQUIRES: !has_frozen(), Backing::kStore.
  std::shared_ptr<const Generation> Freeze();

  struct Released {
    // For Machine::Flushed: durable now, and not changed since.
    std::vector<JobId> jobs;
    std::vector<DedupRef> dedups;
    // Freeing it takes a while: drop it on another thread.
    std::shared_ptr<const Generation> retired;
  };
  // The frozen generation is durable: every snapshot made from now on shows it.
  // REQUIRES: has_frozen().
  Released Release();
  // The durable rows were replaced by others: nothing of this differs from them any more. What was
  // fetched before is out of date, as after Release(). REQUIRES: !has_frozen().
  void Reset();
  // How often Release() or Reset() was called: tells whether rows fetched earlier may be out of
  // date (cold_reader.h).
  uint64_t releases() const { return releases_; }

 private:
  const ShardId shard_;
  const uint32_t shards_;
  const Backing backing_;
  std::unique_ptr<Generation> active_;
  std::shared_ptr<const Generation> frozen_;
  uint64_t releases_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_DIRTY_OVERLAY_H_
