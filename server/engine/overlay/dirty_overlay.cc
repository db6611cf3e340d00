#include "server/engine/overlay/dirty_overlay.h"

#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace holdfast {

DirtyOverlay::DirtyOverlay(ShardId shard, uint32_t shards, Backing backing)
    : shard_(shard),
      shards_(shards),
      backing_(backing),
      active_(std::make_unique<Generation>(shard, shards, backing)) {}

DirtyOverlay::~DirtyOverlay() = default;

void DirtyOverlay::JobChanged(JobId id, const JobPlaces* before, const Job* after) {
  active_->JobChanged(id, before, after);
}

void DirtyOverlay::QueueChanged(QueueId id, const QueueRecord* after) {
  active_->QueueChanged(id, after);
}

void DirtyOverlay::DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                                const DedupRecord* after) {
  active_->DedupChanged(queue, key, before, after);
}

void DirtyOverlay::RowChanged(const SmallRowKey& key, const SmallRow* after) {
  active_->RowChanged(key, after);
}

void DirtyOverlay::AttachPayload(JobId id, const EntryBuffer& entry, std::string_view payload) {
  active_->AttachPayload(id, entry, payload);
}

std::optional<PayloadRef> DirtyOverlay::FindPayload(JobId id) const {
  std::optional<PayloadRef> found = active_->FindPayload(id);
  if (!found.has_value() && frozen_ != nullptr) found = frozen_->FindPayload(id);
  return found;
}

bool DirtyOverlay::IsDirty(JobId id) const {
  return active_->FindJob(id) != nullptr || (frozen_ != nullptr && frozen_->FindJob(id) != nullptr);
}

bool DirtyOverlay::IsDirty(QueueId queue, std::string_view key) const {
  return active_->FindDedup(queue, key) != nullptr ||
         (frozen_ != nullptr && frozen_->FindDedup(queue, key) != nullptr);
}

bool DirtyOverlay::IsGone(JobId id) const {
  const DirtyJob* job = active_->FindJob(id);
  if (job == nullptr && frozen_ != nullptr) job = frozen_->FindJob(id);
  return job != nullptr && job->row == nullptr;
}

bool DirtyOverlay::IsGone(QueueId queue, std::string_view key) const {
  const DirtyDedup* dedup = active_->FindDedup(queue, key);
  if (dedup == nullptr && frozen_ != nullptr) dedup = frozen_->FindDedup(queue, key);
  return dedup != nullptr && !dedup->present;
}

size_t DirtyOverlay::bytes() const {
  return active_->bytes() + (frozen_ != nullptr ? frozen_->bytes() : 0);
}

size_t DirtyOverlay::active_bytes() const { return active_->bytes(); }

bool DirtyOverlay::active_empty() const { return active_->empty(); }

std::shared_ptr<const Generation> DirtyOverlay::Freeze() {
  CHECK(frozen_ == nullptr);
  CHECK(backing_ == Backing::kStore);
  active_->Finish();
  frozen_ = std::move(active_);
  active_ = std::make_unique<Generation>(shard_, shards_, backing_);
  return frozen_;
}

DirtyOverlay::Released DirtyOverlay::Release() {
  CHECK(frozen_ != nullptr);
  Released released;
  frozen_->ForEachJob([&](JobId id, const DirtyJob& job) {
    if (job.row != nullptr && active_->FindJob(id) == nullptr) released.jobs.push_back(id);
  });
  for (const auto& [whole_key, dedup] : frozen_->dedups()) {
    if (!dedup.present) continue;
    ByteReader in(whole_key);
    uint64_t queue = 0;
    std::string_view key;
    CHECK(in.BigEndian64(&queue) && in.Skip(in.remaining(), &key));
    if (active_->FindDedup(QueueId(queue), key) != nullptr) continue;
    released.dedups.push_back({QueueId(queue), std::string(key)});
  }
  released.retired = std::exchange(frozen_, nullptr);
  ++releases_;
  return released;
}

void DirtyOverlay::Reset() {
  CHECK(frozen_ == nullptr);
  active_ = std::make_unique<Generation>(shard_, shards_, backing_);
  ++releases_;
}

}  // namespace holdfast
