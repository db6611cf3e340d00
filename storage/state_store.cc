#include "storage/state_store.h"

namespace holdfast {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
// Files that each read may have to consult: reads stay quick up to some dozens.
constexpr uint64_t kUnmergedFilesSlow = 24;
constexpr uint64_t kUnmergedFilesStop = 96;
// Two background threads rewrite roughly 0.1 to 0.2 GiB a second.
constexpr uint64_t kDebtBytesSlow = 8 * kGiB;
constexpr uint64_t kDebtBytesStop = 64 * kGiB;

}  // namespace

StatePressure PressureOf(const StateStats& stats) {
  if (!stats.health.ok() || stats.unmerged_files >= kUnmergedFilesStop ||
      stats.compaction_debt_bytes >= kDebtBytesStop) {
    return StatePressure::kStop;
  }
  if (stats.unmerged_files >= kUnmergedFilesSlow || stats.compaction_debt_bytes >= kDebtBytesSlow) {
    return StatePressure::kSlow;
  }
  return StatePressure::kNone;
}

}  // namespace holdfast
