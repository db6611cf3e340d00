// A directory of one test, removed at its end.

#ifndef HOLDFAST_STORAGE_ROCKSDB_SCRATCH_DIRECTORY_H_
#define HOLDFAST_STORAGE_ROCKSDB_SCRATCH_DIRECTORY_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace holdfast {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    const char* base = std::getenv("TEST_TMPDIR");
    std::string name =
        (base != nullptr ? std::string(base) : std::filesystem::temp_directory_path().string()) +
        "/state.XXXXXX";
    CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_SCRATCH_DIRECTORY_H_
