// A StateStore for tests that crashes and fails on demand.
//
// FaultyStateDisk is what survives a crash: open a store on it, use it, crash it, open it again.
// The reopened store is exactly at the last completed flush; for a crash in the middle of a flush
// the test says whether that flush is there or not (a real store may do either). Stagings are lost.
// Rows with odd keys are not in memory (Reach).
//
// Thread-safety: thread-safe, as StateStore. Ownership: stores and snapshots share the disk's
// rows, so they may outlive the disk object.

#ifndef HOLDFAST_STORAGE_FAULTY_FAULTY_STATE_STORE_H_
#define HOLDFAST_STORAGE_FAULTY_FAULTY_STATE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "storage/state_store.h"

namespace holdfast {

enum class StateOperation : uint8_t {
  kFlush,  // StateStaging::Install is one too
  kGet,
  kMultiGet,
  kScan,
  kApproximateSize,
  kStage,
  kStageAdd,
  kStageFinish,
};
inline constexpr size_t kStateOperationCount = 8;

// What a crash in the middle of a flush leaves of it.
enum class CutFlush : uint8_t { kNothing, kAll };

class FaultyStateDisk {
 public:
  // Called before every operation with its number among those of its kind on this disk, from 1.
  // OK lets it happen; another status is its result instead (a flush so failed leaves nothing, and
  // fails all later flushes of that store unless the disk was full: RESOURCE_EXHAUSTED). REQUIRES:
  // does not call the disk or its stores.
  using Rule = std::function<absl::Status(StateOperation operation, uint64_t number)>;

  FaultyStateDisk();
  ~FaultyStateDisk();

  // A store as a process that starts would find it. REQUIRES: none is open that has not crashed.
  std::unique_ptr<StateStore> Open();

  // Every store opened so far fails all operations with kAborted from now on.
  void Crash();

  // Crashes in the middle of flush `number` (among all flushes of the disk, from 1).
  void CrashAtFlush(uint64_t number, CutFlush leaves);

  void SetRule(Rule rule);

  // Flushes begun so far.
  uint64_t flushes() const;

  class State;

 private:
  const std::shared_ptr<State> state_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_FAULTY_FAULTY_STATE_STORE_H_
