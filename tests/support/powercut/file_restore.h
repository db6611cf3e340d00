// The contents part of the restore: undoes the unsynced changes of one file.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_FILE_RESTORE_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_FILE_RESTORE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "base/prng.h"
#include "tests/support/powercut/format.h"
#include "tests/support/powercut/restore.h"

namespace holdfast::powercut {

class FileRestore {
 public:
  // `area` holds the records of `slot`; both must outlive this object. `random` may be null:
  // then nothing unsynced is kept.
  FileRestore(const Slot& slot, std::string_view area, Prng* random, RestoreReport* report);

  // Changes the file at `path`.
  absl::Status Run(const std::string& path);

 private:
  struct Change {
    UndoRecord record;
    std::string_view preimage;
  };

  absl::Status ReadRecords();
  absl::Status CheckLength(const std::string& path, uint64_t size) const;
  bool Synced(const UndoRecord& record) const;
  bool HasUnsynced() const;
  void ChooseRange(uint64_t size);
  absl::Status UndoAll(int fd);
  absl::Status Undo(int fd, size_t index);
  absl::Status UndoSector(int fd, const Change& change, uint64_t begin, uint64_t end);
  bool KeepsSector(uint64_t sector);

  const Slot& slot_;
  const std::string_view area_;
  Prng* const random_;
  RestoreReport* const report_;
  std::vector<Change> changes_;           // oldest first
  std::unordered_set<uint64_t> settled_;  // sectors that have reached the state they keep
  size_t first_open_ = 0;                 // changes before this one are kept whole
  size_t end_open_ = 0;                   // changes from this one on are undone whole
  uint64_t final_size_ = 0;
  uint32_t keep_percent_ = 0;
};

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_FILE_RESTORE_H_
