// What one file looked like when it was last durable: the pre-images of every range that was
// changed since, in order.
//
// Invariants: (1) a record is complete in the journal before the change it describes is made;
// (2) a record leaves the journal only once it is durable and no older record is doomed.
// Bounds: kAreaBytes of records not yet durable. Thread-safety: the caller holds `mutex`
// around every call and around the change itself.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_UNDO_LOG_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_UNDO_LOG_H_

#include <cstdint>
#include <mutex>
#include <string>

#include "tests/support/powercut/format.h"
#include "tests/support/powercut/journal.h"

namespace holdfast::powercut {

class UndoLog {
 public:
  UndoLog(Journal* journal, uint32_t id) : journal_(journal), id_(id), slot_(journal->slot(id)) {}
  ~UndoLog() { Release(); }
  UndoLog(const UndoLog&) = delete;
  UndoLog& operator=(const UndoLog&) = delete;

  uint32_t id() const { return id_; }
  Slot* slot() { return slot_; }
  // Opens a descriptor of the same file for reading pre-images, unless there is one already.
  void OpenReader(int fd);

  // Records that [offset, offset + length) is about to be overwritten (or, for kShrink, cut
  // off) in a file of `old_size` bytes, which will have `new_size` afterwards.
  // REQUIRES: OpenReader() was called.
  void Append(UndoKind kind, uint64_t offset, uint64_t length, uint64_t old_size,
              uint64_t new_size);
  // The newest record is durable by itself (a write with O_DSYNC).
  // REQUIRES: directly after its Append().
  void MarkNewestSynced();

  uint64_t last_seq() const { return slot_->last_seq; }
  // Everything up to `seq` is durable.
  void MarkSynced(uint64_t seq);
  // A sync that covered everything up to `seq` failed: those records stay for good.
  void MarkDoomed(uint64_t seq);

  // Gives mappings and descriptor back; the journal keeps what is not durable.
  void Release();
  // Deletes the undo areas and frees the slot: the file is gone for good. Safe to repeat.
  void Forget();

  std::mutex mutex;
  // How many descriptors are open on the file; guarded by the tracker's lock.
  int open_count = 0;
  // No name is left, and none can come back; guarded by the tracker's lock.
  bool gone = false;

 private:
  char* Area(uint32_t area);
  void MoveLiveRecords();

  Journal* const journal_;
  const uint32_t id_;
  Slot* const slot_;
  int reader_ = -1;
  bool forgotten_ = false;
  uint64_t newest_at_ = 0;  // where in the active area the last Append() went
  char* areas_[2] = {nullptr, nullptr};
};

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_UNDO_LOG_H_
