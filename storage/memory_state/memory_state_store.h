// The StateStore in memory: for the drop-in without -b, and for tests.
//
// Keeps the contract of storage/state_store.h but durability: nothing outlives the object.
//
// Bounds: none of its own; the rows, plus the older versions that live snapshots can still see.
// Thread-safety: as StateStore. Ownership: snapshots share the rows and may outlive the store.

#ifndef HOLDFAST_STORAGE_MEMORY_STATE_MEMORY_STATE_STORE_H_
#define HOLDFAST_STORAGE_MEMORY_STATE_MEMORY_STATE_STORE_H_

#include <memory>
#include <string_view>

#include "storage/state_store.h"

namespace holdfast {

class MemoryStateStore final : public StateStore {
 public:
  class Rows;

  MemoryStateStore();
  ~MemoryStateStore() override;

  // Never fails.
  absl::Status Flush(const StateBatch& batch) override;
  // Holds the rows in memory; never fails.
  absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                      std::string_view end) override;
  std::shared_ptr<const StateSnapshot> Snapshot() const override;
  void Reclaim() override {}  // A row lives only as long as something shows it.
  StateStats Stats() const override;

 private:
  const std::shared_ptr<Rows> rows_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_MEMORY_STATE_MEMORY_STATE_STORE_H_
