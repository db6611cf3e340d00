// The queues of one shard, by name and by id.
//
// Bounds: about 130 bytes a queue beyond its QueueState.
// Thread-safety: thread-compatible. Ownership: owns the states; one stays where it is until it is
// removed.

#ifndef HOLDFAST_QUEUE_QUEUE_TABLE_H_
#define HOLDFAST_QUEUE_QUEUE_TABLE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "base/string_hash.h"
#include "queue/queue_state.h"

namespace holdfast {

class QueueTable {
 public:
  size_t size() const { return by_id_.size(); }
  QueueState* Find(std::string_view name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  }
  QueueState* Find(QueueId id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second.get();
  }
  // REQUIRES: neither its id nor its name is in the table.
  QueueState* Insert(const QueueRecord& record);
  // REQUIRES: in the table. The state ends.
  void Remove(QueueState* queue);
  // Names in byte order, from the first one > `after`, at most `limit`.
  std::vector<std::string> Names(std::string_view after, size_t limit) const;

  // Visits every queue, in no particular order.
  template <class Visitor>
  void ForEach(Visitor visit) const {
    for (const auto& [id, queue] : by_id_) visit(*queue);
  }

 private:
  absl::flat_hash_map<QueueId, std::unique_ptr<QueueState>> by_id_;
  // The keys point into the records.
  absl::flat_hash_map<std::string_view, QueueState*, StringHash, StringEqual> by_name_;
  absl::btree_set<std::string_view> names_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_QUEUE_TABLE_H_
