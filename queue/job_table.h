// The jobs in memory, by id.
//
// A node is a job's record with what the machine notes about it. Nodes come from chunks of a pool,
// so that a job costs no allocation of its own.
//
// Bounds: about 190 bytes a job: the node and its entry in the index.
// Thread-safety: thread-compatible. Ownership: owns the nodes; a node stays where it is until
// it is removed.

#ifndef HOLDFAST_QUEUE_JOB_TABLE_H_
#define HOLDFAST_QUEUE_JOB_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "queue/job.h"

namespace holdfast {

struct JobNode {
  Job job;
  uint32_t change = 0;     // 1 + its place in the list of undrained changes; 0: unchanged
  bool unflushed = false;  // its latest change is not known to be durable
};

class JobTable {
 public:
  JobTable() = default;
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;

  size_t size() const { return index_.size(); }
  // nullptr if it is not in memory.
  JobNode* Find(JobId id) const {
    const auto it = index_.find(id);
    return it == index_.end() ? nullptr : it->second;
  }
  // Begins to bring into the cache what Find will read: for who looks up many.
  void Prefetch(JobId id) const { index_.prefetch(id); }
  // REQUIRES: no job of that id is in memory.
  JobNode* Insert(const Job& job);
  // REQUIRES: in the table. The node ends.
  void Remove(JobNode* node);

  // Visits every node, in no particular order.
  template <class Visitor>
  void ForEach(Visitor visit) const {
    for (const auto& [id, node] : index_) visit(*node);
  }

 private:
  static constexpr size_t kChunkNodes = 256;

  absl::flat_hash_map<JobId, JobNode*> index_;
  std::vector<std::unique_ptr<JobNode[]>> chunks_;
  std::vector<JobNode*> free_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_JOB_TABLE_H_
