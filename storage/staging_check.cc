#include "storage/staging_check.h"

#include "base/check.h"
#include "base/coding.h"

namespace holdfast {

StagingCheck::StagingCheck(std::string_view begin, std::string_view end)
    : begin_(begin), end_(end) {
  uint32_t after = 0;
  ByteReader first(begin);
  ByteReader second(end);
  CHECK(first.BigEndian32(&shard_) && first.Done());
  CHECK(second.BigEndian32(&after) && second.Done());
  CHECK_LT(shard_, uint32_t{1} << 31);
  CHECK_EQ(after, shard_ + 1);
}

void StagingCheck::OnAdd(Table table, std::string_view key) {
  CHECK(state_ == State::kAdding);
  CHECK(table >= table_);
  if (table != table_) last_.clear();
  table_ = table;
  CHECK(!key.empty() && last_ < key);
  CHECK(begin_ <= key && key < end_);
  last_.assign(key);
}

void StagingCheck::OnFinish() {
  CHECK(state_ == State::kAdding);
  state_ = State::kFinished;
}

void StagingCheck::OnInstall() const { CHECK(state_ == State::kFinished); }

void StagingCheck::OnInstalled() { state_ = State::kInstalled; }

}  // namespace holdfast
