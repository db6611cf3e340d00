#include "queue/queue_table.h"

#include <utility>

#include "base/check.h"

namespace holdfast {

QueueState* QueueTable::Insert(const QueueRecord& record) {
  auto owned = std::make_unique<QueueState>();
  QueueState* queue = owned.get();
  queue->record = record;
  const bool new_id = by_id_.emplace(record.id, std::move(owned)).second;
  CHECK(new_id);
  const std::string_view name = queue->record.name;
  const bool new_name = by_name_.emplace(name, queue).second;
  CHECK(new_name);
  names_.insert(name);
  return queue;
}

void QueueTable::Remove(QueueState* queue) {
  const std::string_view name = queue->record.name;
  names_.erase(name);
  by_name_.erase(name);
  const QueueId id = queue->record.id;
  by_id_.erase(id);
}

std::vector<std::string> QueueTable::Names(std::string_view after, size_t limit) const {
  std::vector<std::string> names;
  for (auto it = names_.upper_bound(after); it != names_.end() && names.size() < limit; ++it) {
    names.emplace_back(*it);
  }
  return names;
}

}  // namespace holdfast
