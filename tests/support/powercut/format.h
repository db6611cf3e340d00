// The layout of a power-cut journal: what the preload library writes and the restore reads.
//
// JOURNAL/control      one Control: switches that a test may flip while the process runs
// JOURNAL/lock         flock'ed by the one process that is being tracked
// JOURNAL/inodes       Slot[]: one per file that was opened, by inode id (slot 0 unused)
// JOURNAL/directories  DirectorySlot[]: by directory id (slot 0 unused)
// JOURNAL/names        Header, then NameRecord[]: creations, removals and renames, in order
// JOURNAL/undo.ID.A    area A (0 or 1) of inode ID: UndoRecord, pre-image, UndoRecord, ...
// JOURNAL/saved/ID     hard link to inode ID, while a removal of it is not yet durable
//
// All of them are sparse files mapped shared, so that they outlive a SIGKILL; nothing in them is
// ever synced. A record counts once the counter after it (tail, count) has been moved.
// Everything is in the machine's byte order: a journal never leaves the machine.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_FORMAT_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_FORMAT_H_

#include <cstdint>

namespace holdfast::powercut {

// What a disk does in one go; the unit in which unsynced writes survive or not.
inline constexpr uint64_t kSectorBytes = 512;

// Bounds of one journal; the library aborts the process with a message when one is reached.
inline constexpr uint64_t kInodesMax = 1 << 20;
inline constexpr uint64_t kDirectoriesMax = 1 << 16;
inline constexpr uint64_t kNameRecordsMax = 1 << 20;
inline constexpr uint64_t kAreaBytes = uint64_t{1} << 30;
inline constexpr uint64_t kNameBytes = 256;

enum class FailMode : uint32_t {
  kNone = 0,
  kNoSpace = 1,    // creations and writes beyond a file's end fail with ENOSPC
  kSyncError = 2,  // fsync and fdatasync fail with EIO; what they covered is never durable
  kReadOnly = 3,   // everything that would change the root fails with EROFS
};

struct Control {
  uint32_t fail_mode;         // FailMode
  uint32_t ignore_sync;       // 1: syncs answer success and make nothing durable
  uint64_t fail_after_calls;  // changing calls that still succeed before fail_mode acts
  uint64_t failures;          // how many calls were made to fail
  uint64_t syncs;             // syncs that made something durable
  uint64_t writes;            // tracked writes
  uint64_t inode_ids;         // ids below this may be in use
};

struct Slot {
  uint32_t in_use;
  uint32_t opaque;  // written through stdio: sizes are not followed call by call
  uint64_t device;
  uint64_t inode;
  uint64_t length;      // the file's length as far as the library saw
  uint64_t last_seq;    // of the newest undo record
  uint64_t synced_seq;  // records up to here are durable, doomed ones excepted
  uint32_t doomed;      // 1: a failed sync left records that no later sync makes durable
  uint32_t active;      // which area is valid
  uint64_t tail[2];     // bytes used in each area
  char path[184];       // where it was first seen, for messages
};
static_assert(sizeof(Slot) == 256);

struct DirectorySlot {
  uint32_t in_use;
  uint32_t gone;  // removed
  uint64_t device;
  uint64_t inode;
  char path[232];  // where it was first seen, for messages
};
static_assert(sizeof(DirectorySlot) == 256);

enum class UndoKind : uint32_t { kWrite = 1, kShrink = 2 };
enum UndoFlag : uint32_t { kFlagSynced = 1, kFlagDoomed = 2 };

// The range [offset, offset + length) is about to change; `preimage` bytes of what is there
// (from `offset`, up to the old end of the file) follow, padded to eight bytes.
struct UndoRecord {
  uint32_t magic;
  uint32_t kind;
  uint64_t seq;
  uint64_t offset;
  uint64_t length;
  uint64_t preimage;
  uint64_t old_size;
  uint64_t new_size;
  uint32_t flags;
  uint32_t reserved;
};
inline constexpr uint32_t kUndoMagic = 0x50554e44;
static_assert(sizeof(UndoRecord) == 64);

inline constexpr uint64_t PaddedRecordBytes(uint64_t preimage) {
  return sizeof(UndoRecord) + ((preimage + 7) & ~uint64_t{7});
}

enum class NameKind : uint32_t {
  kCreate = 1,         // (directory, name) now is `inode`
  kUnlink = 2,         // (directory, name) was `inode`
  kRename = 3,         // (directory, name) became (directory2, name2), which was `replaced` (or 0)
  kMakeDirectory = 4,  // `inode` is a directory id, here and below
  kRemoveDirectory = 5,
  kRenameDirectory = 6,
};
enum class NameState : uint32_t { kIntent = 1, kDone = 2, kFailed = 3, kSynced = 4 };

struct NameRecord {
  uint32_t state;
  uint32_t kind;
  uint32_t directory;
  uint32_t directory2;
  uint32_t inode;
  uint32_t replaced;
  uint64_t device;  // of the thing named, so that an intent can be checked
  uint64_t inode_number;
  char name[kNameBytes];
  char name2[kNameBytes];
};

struct NamesHeader {
  uint64_t count;
  uint64_t reserved[7];
};

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_FORMAT_H_
