#include "tests/integration/tracked_disk.h"

#include <filesystem>

namespace holdfast::testing {

TrackedDisk::TrackedDisk(const std::string& directory, const std::string& preload, Syncs syncs)
    : root_(directory + "/root"),
      journal_(directory + "/journal"),
      preload_(preload),
      syncs_(syncs) {
  std::filesystem::create_directories(root_);
  std::filesystem::create_directories(journal_);
}

std::map<std::string, std::string> TrackedDisk::Environment() const {
  return {{"LD_PRELOAD", preload_},
          {"HOLDFAST_POWERCUT_ROOT", root_},
          {"HOLDFAST_POWERCUT_JOURNAL", journal_},
          {"HOLDFAST_POWERCUT_IGNORE_SYNC", syncs_ == Syncs::kIgnored ? "1" : "0"}};
}

absl::StatusOr<powercut::RestoreReport> TrackedDisk::Cut(Prng* random) {
  powercut::RestoreOptions options;
  options.seed = random->Next();
  const bool random_part = syncs_ == Syncs::kKept && random->Chance(2, 3);
  if (random_part) options.keep = powercut::Keep::kRandomPart;
  return powercut::Restore(root_, journal_, options);
}

}  // namespace holdfast::testing
