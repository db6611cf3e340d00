#include "storage/log/segment_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "storage/log/record_format.h"

namespace holdfast {

SegmentPool::SegmentPool(FileSystem* files, std::string directory, uint64_t segment_bytes,
                         size_t spares_max)
    : files_(files),
      directory_(std::move(directory)),
      segment_bytes_(segment_bytes),
      spares_max_(spares_max) {}

absl::Status SegmentPool::Adopt(const std::string& name, uint64_t number) {
  next_number_ = std::max(next_number_, number + 1);
  const std::string path = absl::StrCat(directory_, "/", name);
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_->Open(path, OpenMode::kReadWrite));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  // One that a crash left half made has another size.
  if (size != segment_bytes_ || spares_.size() >= spares_max_) return files_->Remove(path);
  // Whether it was ever written is not known: 0.
  spares_.push_back({path, std::move(file), size, 0});
  return absl::OkStatus();
}

size_t SegmentPool::Find(uint64_t capacity_bytes, const std::vector<bool>& used) const {
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < spares_.size(); ++i) {
    if (used[i] || spares_[i].capacity_bytes < capacity_bytes) continue;
    const bool better = best == SIZE_MAX ||
                        spares_[i].capacity_bytes < spares_[best].capacity_bytes ||
                        (spares_[i].capacity_bytes == spares_[best].capacity_bytes &&
                         spares_[i].overwritten_bytes > spares_[best].overwritten_bytes);
    if (better) best = i;
  }
  return best;
}

absl::Status SegmentPool::Create(uint64_t capacity_bytes) {
  const std::string path = absl::StrCat(directory_, "/", SpareFileName(next_number_++));
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_->Open(path, OpenMode::kCreate));
  const absl::Status allocated = file->Preallocate(capacity_bytes);
  if (!allocated.ok()) {
    file.reset();
    // The first error is the one to tell.
    files_->Remove(path).IgnoreError();
    return absl::Status(allocated.code(), absl::StrCat("preallocating ", capacity_bytes,
                                                       " bytes for the next log segment: ",
                                                       std::string(allocated.message())));
  }
  spares_.push_back({path, std::move(file), capacity_bytes, 0});
  return absl::OkStatus();
}

absl::Status SegmentPool::Reserve(std::span<const uint64_t> capacities, size_t keep) {
  std::vector<bool> used(spares_.size(), false);
  for (size_t i = 0; i < capacities.size() + keep; ++i) {
    const uint64_t capacity = i < capacities.size() ? capacities[i] : segment_bytes_;
    size_t found = Find(capacity, used);
    if (found == SIZE_MAX) {
      RETURN_IF_ERROR(Create(capacity));
      used.push_back(false);
      found = spares_.size() - 1;
    }
    used[found] = true;
  }
  return absl::OkStatus();
}

SpareSegment SegmentPool::Take(uint64_t capacity_bytes) {
  const size_t found = Find(capacity_bytes, std::vector<bool>(spares_.size(), false));
  CHECK_NE(found, SIZE_MAX);
  SpareSegment spare = std::move(spares_[found]);
  spares_.erase(spares_.begin() + static_cast<std::ptrdiff_t>(found));
  return spare;
}

absl::Status SegmentPool::Retire(const std::string& path, std::shared_ptr<File> file) {
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size != segment_bytes_ || spares_.size() >= spares_max_ || file.use_count() != 1) {
    return files_->Remove(path);
  }
  const std::string spare_path = absl::StrCat(directory_, "/", SpareFileName(next_number_++));
  RETURN_IF_ERROR(files_->Rename(path, spare_path));
  RETURN_IF_ERROR(files_->SyncDirectory(directory_));
  spares_.push_back({spare_path, std::move(file), size, size});
  return absl::OkStatus();
}

uint64_t SegmentPool::file_bytes() const {
  uint64_t bytes = 0;
  for (const SpareSegment& spare : spares_) bytes += spare.capacity_bytes;
  return bytes;
}

}  // namespace holdfast
