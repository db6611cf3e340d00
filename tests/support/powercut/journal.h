// The journal's files, mapped: made anew or taken over from a process that was killed.
//
// Thread-safety: the constructor aside, thread-compatible; the tracker guards it.
// Errors: whatever cannot be tracked ends the process by Die(), since a run that went on
// untracked would prove nothing.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_JOURNAL_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_JOURNAL_H_

#include <cstdint>
#include <string>

#include "tests/support/powercut/format.h"

namespace holdfast::powercut {

// Prints "powercut: ..." with errno's text (if `error` is not 0) to stderr and aborts.
[[noreturn]] void Die(const std::string& what, int error);

class Journal {
 public:
  // Opens the journal in `directory`, which must exist, and takes its lock.
  explicit Journal(std::string directory);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  Control* control() { return control_; }
  Slot* slot(uint32_t id) { return &slots_[id]; }
  DirectorySlot* directory(uint32_t id) { return &directories_[id]; }
  uint64_t name_count() const { return names_header_->count; }
  NameRecord* name(uint64_t index) { return &names_[index]; }

  // Appends a record whose state is kIntent; returns its index.
  uint64_t AppendName(const NameRecord& record);

  // The first id whose slot is free.
  uint32_t FreeSlot();
  uint32_t FreeDirectory();

  std::string SavedPath(uint32_t id) const;
  std::string AreaPath(uint32_t id, uint32_t area) const;
  // Maps one of the undo areas of inode `id`, creating it if need be.
  char* MapArea(uint32_t id, uint32_t area) const;

 private:
  void* MapFile(const std::string& path, uint64_t bytes) const;

  const std::string directory_;
  Control* control_;
  Slot* slots_;
  DirectorySlot* directories_;
  NamesHeader* names_header_;
  NameRecord* names_;
  uint32_t slot_hint_ = 1;
  uint32_t directory_hint_ = 1;
};

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_JOURNAL_H_
