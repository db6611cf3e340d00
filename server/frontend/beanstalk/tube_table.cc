#include "server/frontend/beanstalk/tube_table.h"

#include <algorithm>
#include <utility>

namespace holdfast::beanstalk {

TubeTable::TubeTable() : default_(Get(kDefaultTube)) {}

TubeTable::Ref TubeTable::Get(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = tubes_.find(name);
  if (found != tubes_.end()) {
    if (Ref tube = found->second.lock()) return tube;
  }
  const auto drop = [this](Tube* tube) {
    Drop(*tube);
    delete tube;
  };
  Ref tube(new Tube{.name = std::string(name), .order = made_++}, drop);
  tubes_[tube->name] = tube;
  return tube;
}

void TubeTable::Drop(const Tube& tube) {
  absl::MutexLock lock(&mutex_);
  const auto found = tubes_.find(tube.name);
  // Another may have been made since the last reference went.
  if (found != tubes_.end() && found->second.expired()) tubes_.erase(found);
}

std::optional<TubeTable::Counts> TubeTable::Find(std::string_view name) const {
  Ref tube;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = tubes_.find(name);
    if (found != tubes_.end()) tube = found->second.lock();
  }
  if (tube == nullptr) return std::nullopt;
  return Counts{.users = tube->users, .watchers = tube->watchers, .waiters = tube->waiters};
}

std::vector<std::string> TubeTable::Names() const {
  std::vector<Ref> tubes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, tube] : tubes_) {
      if (Ref held = tube.lock()) tubes.push_back(std::move(held));
    }
  }
  std::sort(tubes.begin(), tubes.end(),
            [](const Ref& a, const Ref& b) { return a->order < b->order; });
  std::vector<std::string> names;
  names.reserve(tubes.size());
  for (const Ref& tube : tubes) names.push_back(tube->name);
  return names;
}

}  // namespace holdfast::beanstalk
