// Every world that a small cluster can come to, each looked at once.

#ifndef HOLDFAST_TESTS_SEARCH_SEARCH_H_
#define HOLDFAST_TESTS_SEARCH_SEARCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/search/world.h"

namespace holdfast::search {

struct Found {
  uint64_t worlds = 0;  // different ones
  uint64_t steps = 0;
  size_t depth_max = 0;
  bool complete = false;  // every world within the bounds was looked at
  std::string violation;  // empty: none
  std::vector<std::string> steps_to_violation;
};

// Looks at every world within `bounds`, depth first, until something is wrong or `worlds_max`
// different ones were seen. Memory: 16 bytes a world and a few KiB a step of depth.
Found Search(const Bounds& bounds, uint64_t worlds_max);

}  // namespace holdfast::search

#endif  // HOLDFAST_TESTS_SEARCH_SEARCH_H_
