// StagingCheck: the part of StateStaging's contract that every implementation checks first.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_STORAGE_STAGING_CHECK_H_
#define HOLDFAST_STORAGE_STAGING_CHECK_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/state_batch.h"

namespace holdfast {

class StagingCheck {
 public:
  // The range [begin, end), which must be one shard's.
  StagingCheck(std::string_view begin, std::string_view end);

  uint32_t shard() const { return shard_; }
  const std::string& begin() const { return begin_; }
  const std::string& end() const { return end_; }

  // Each ends the process if the call may not come now.
  void OnAdd(Table table, std::string_view key);
  void OnFinish();
  void OnInstall() const;
  void OnInstalled();

 private:
  enum class State { kAdding, kFinished, kInstalled };

  std::string begin_;
  std::string end_;
  uint32_t shard_ = 0;
  State state_ = State::kAdding;
  Table table_ = Table::kMeta;
  std::string last_;  // The last key of `table_`; empty: none yet.
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_STAGING_CHECK_H_
