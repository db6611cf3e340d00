// Recovery: reads the segment files of a log and says what the log is, or why it must not be used.

#ifndef HOLDFAST_STORAGE_LOG_RECOVERY_H_
#define HOLDFAST_STORAGE_LOG_RECOVERY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/file_system.h"
#include "storage/log/entry_index.h"

namespace holdfast {

// A tail that was not taken: it had been written but never known to be synced.
struct LogCut {
  std::string path;
  uint64_t offset = 0;
  std::string problem;  // what was found there instead of a record
};

// What an open found. For the start-up message.
struct LogRecovery {
  uint64_t segments = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;         // verified
  std::optional<LogCut> cut;  // unset: the log ended where its last record ends
};

struct RecoveredSegment {
  uint64_t sequence = 0;
  std::string path;
  std::shared_ptr<File> file;
  uint64_t file_bytes = 0;
  uint64_t end = 0;           // bytes that count
  uint64_t known_synced = 0;  // of `end`, as the records say
};

struct RecoveredLog {
  EntryIndex index;
  std::optional<uint64_t> salt;            // unset: there is no log yet
  std::vector<RecoveredSegment> segments;  // ascending, without gaps
  // Files before a gap that nothing needs: freed, and their removal was not durable.
  std::vector<RecoveredSegment> leftovers;
  LogRecovery summary;
};

// Reads the segments with these sequences from `directory` and changes nothing.
// Errors: DATA_LOSS naming file, offset and what is wrong; FAILED_PRECONDITION for a segment of
// another format version; others from the disk.
absl::StatusOr<RecoveredLog> RecoverLog(FileSystem* files, const std::string& directory,
                                        std::vector<uint64_t> sequences);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_RECOVERY_H_
