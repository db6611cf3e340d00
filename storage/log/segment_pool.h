// SegmentPool: preallocated files that wait to become segments.

#ifndef HOLDFAST_STORAGE_LOG_SEGMENT_POOL_H_
#define HOLDFAST_STORAGE_LOG_SEGMENT_POOL_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/file_system.h"

namespace holdfast {

struct SpareSegment {
  std::string path;
  std::shared_ptr<File> file;
  uint64_t capacity_bytes = 0;
  uint64_t overwritten_bytes = 0;  // see SegmentWriter::Start
};

// Space is taken when a spare is made, so that a full disk shows before anything is written.
//
// Bounds: keeps at most `spares_max` retired files (more only while they are reserved).
// Thread-safety: thread-compatible.
class SegmentPool {
 public:
  SegmentPool(FileSystem* files, std::string directory, uint64_t segment_bytes, size_t spares_max);

  // Takes over a spare found in the directory; removes it if it is of no use.
  absl::Status Adopt(const std::string& name, uint64_t number);

  // After ok: Take() can be called once for each of `capacities`, in that order, and `keep` spares
  // of the usual size remain then. RESOURCE_EXHAUSTED: no space; what is there stays.
  absl::Status Reserve(std::span<const uint64_t> capacities, size_t keep);
  // REQUIRES: reserved.
  SpareSegment Take(uint64_t capacity_bytes);

  // A segment file that nobody needs any more. It is renamed and kept, or removed if there are
  // enough, if it is of another size, or if someone may still read it. Its name is off the
  // directory, durably, before a later Take can hand it out.
  absl::Status Retire(const std::string& path, std::shared_ptr<File> file);

  uint64_t file_bytes() const;

 private:
  absl::Status Create(uint64_t capacity_bytes);
  // Index of the smallest spare that suffices and is not in `used`; SIZE_MAX if none.
  size_t Find(uint64_t capacity_bytes, const std::vector<bool>& used) const;

  FileSystem* const files_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  const size_t spares_max_;
  uint64_t next_number_ = 1;
  std::vector<SpareSegment> spares_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_SEGMENT_POOL_H_
