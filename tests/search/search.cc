#include "tests/search/search.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace holdfast::search {
namespace {

struct Level {
  World world;
  std::vector<Step> steps;
  size_t next = 0;
};

std::vector<std::string> Path(const std::vector<Level>& levels) {
  std::vector<std::string> path;
  for (const Level& level : levels)
    path.push_back(level.world.Describe(level.steps[level.next - 1]));
  return path;
}

}  // namespace

Found Search(const Bounds& bounds, uint64_t worlds_max) {
  Found found;
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> seen;
  std::vector<Level> levels;
  const auto enter = [&](World world) {
    const Replica::Print print = world.Fingerprint();
    if (!seen.insert({print.first, print.second}).second) return;
    std::vector<Step> steps = world.Steps(bounds);
    levels.push_back({.world = std::move(world), .steps = std::move(steps)});
    found.depth_max = std::max(found.depth_max, levels.size());
  };
  enter(World(bounds));
  while (!levels.empty() && seen.size() < worlds_max) {
    Level& level = levels.back();
    if (level.next == level.steps.size()) {
      levels.pop_back();
      continue;
    }
    ++found.steps;
    World after = level.world.After(bounds, level.steps[level.next++], &found.violation);
    if (!found.violation.empty()) {
      found.steps_to_violation = Path(levels);
      break;
    }
    enter(std::move(after));
  }
  found.worlds = seen.size();
  found.complete = levels.empty();
  return found;
}

}  // namespace holdfast::search
