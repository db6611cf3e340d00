// The keys of rows that changed since they were last taken, each once and in order.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_CHANGED_KEYS_H_
#define HOLDFAST_QUEUE_CHANGED_KEYS_H_

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast {

template <class Key>
class ChangedKeys {
 public:
  void Mark(const Key& key) {
    if (keys_.empty() || keys_.back() != key) keys_.push_back(key);
  }
  // Empties it.
  std::vector<Key> Take() {
    std::vector<Key> keys = std::exchange(keys_, {});
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
  }

 private:
  std::vector<Key> keys_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_CHANGED_KEYS_H_
