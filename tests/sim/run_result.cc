#include "tests/sim/run_result.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {
namespace {

struct Column {
  const char* name;
  uint64_t RunStats::*value;
};

// Those that add up, in the order of the summary.
constexpr Column kColumns[] = {
    {"runs", &RunStats::runs},
    {"steps", &RunStats::steps},
    {"commits", &RunStats::commits},
    {"acknowledged", &RunStats::acknowledged},
    {"reads", &RunStats::reads},
    {"leader changes", &RunStats::leader_changes},
    {"crashes", &RunStats::crashes},
    {"lost writes", &RunStats::lost_writes},
    {"torn writes", &RunStats::torn_writes},
    {"failed writes", &RunStats::failed_writes},
    {"wiped disks", &RunStats::wiped_disks},
    {"pauses", &RunStats::pauses},
    {"partitions", &RunStats::partitions},
    {"messages", &RunStats::messages},
    {"lost", &RunStats::lost},
    {"duplicated", &RunStats::duplicated},
    {"truncations", &RunStats::truncations},
    {"snapshots", &RunStats::snapshots},
    {"log cuts", &RunStats::log_cuts},
    {"member changes", &RunStats::member_changes},
    {"transfers", &RunStats::transfers},
    {"clock steps", &RunStats::clock_steps},
};

std::string WithCommas(uint64_t n) {
  std::string digits = std::to_string(n);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

}  // namespace

void RunStats::Add(const RunStats& other) {
  for (const Column& column : kColumns) this->*column.value += other.*column.value;
  simulated_micros += other.simulated_micros;
  heal_micros += other.heal_micros;
  heal_micros_max = std::max(heal_micros_max, other.heal_micros_max);
}

std::string Describe(const RunStats& stats) {
  std::string text;
  for (const Column& column : kColumns) {
    if (stats.*column.value == 0) continue;
    if (!text.empty()) text += ", ";
    text += WithCommas(stats.*column.value) + " " + column.name;
  }
  const uint64_t runs = std::max<uint64_t>(stats.runs, 1);
  text += "; " + WithCommas(stats.simulated_micros / 1'000'000) + " s simulated";
  text += "; healed in " + WithCommas(stats.heal_micros / runs / 1000) + " ms on average, " +
          WithCommas(stats.heal_micros_max / 1000) + " ms at most";
  return text;
}

}  // namespace holdfast::sim
