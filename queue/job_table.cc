#include "queue/job_table.h"

#include "base/check.h"

namespace holdfast {

JobNode* JobTable::Insert(const Job& job) {
  if (free_.empty()) {
    chunks_.push_back(std::make_unique<JobNode[]>(kChunkNodes));
    free_.reserve(chunks_.size() * kChunkNodes);
    for (size_t i = kChunkNodes; i > 0; --i) free_.push_back(&chunks_.back()[i - 1]);
  }
  JobNode* node = free_.back();
  const bool inserted = index_.emplace(job.id, node).second;
  CHECK(inserted);
  free_.pop_back();
  node->job = job;
  node->change = 0;
  node->unflushed = false;
  return node;
}

void JobTable::Remove(JobNode* node) {
  const size_t erased = index_.erase(node->job.id);
  CHECK_EQ(erased, size_t{1});
  node->job.id = JobId();
  free_.push_back(node);
  // An emptied table gives a large pool's memory back.
  if (index_.empty() && chunks_.size() > 64) {
    free_ = decltype(free_)();
    chunks_ = decltype(chunks_)();
    index_ = decltype(index_)();
  }
}

}  // namespace holdfast
