// Makes a failing schedule short: delta debugging (Zeller, Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", 2002) over its actions, and calm in place of bad weather.

#ifndef HOLDFAST_TESTS_SIM_SHRINK_H_
#define HOLDFAST_TESTS_SIM_SHRINK_H_

#include <cstdint>
#include <functional>

#include "tests/sim/schedule.h"

namespace holdfast::sim {

// `fails` says whether a schedule still fails in the same way; it is not asked any more once
// `give_up` says so. Returns one that fails, with no more actions than `schedule`, which fails.
Schedule Shrink(Schedule schedule, const std::function<bool()>& give_up,
                const std::function<bool(const Schedule&)>& fails);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_SHRINK_H_
