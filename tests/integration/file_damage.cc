#include "tests/integration/file_damage.h"

#include <fstream>
#include <regex>
#include <sstream>
#include <system_error>

#include "absl/strings/match.h"

namespace holdfast::testing {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string KindOf(const std::string& path) {
  return std::regex_replace(path, std::regex("[0-9]+"), "N");
}

// RocksDB's text log, locks, the ports.
bool HoldsNoData(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  return absl::StartsWith(name, "LOG") || name == "LOCK" || name == "ports.json" ||
         absl::EndsWith(name, ".lock");
}

}  // namespace

DamageTargets DamageTargetsIn(const fs::path& directory) {
  DamageTargets targets;
  std::error_code gone;  // a file that a running server removes meanwhile
  for (const auto& entry : fs::recursive_directory_iterator(directory, gone)) {
    const std::string path = fs::relative(entry.path(), directory, gone).string();
    if (!entry.is_regular_file(gone) || HoldsNoData(path)) continue;
    const uint64_t bytes = ReadFile(entry.path()).find_last_not_of('\0') + 1;
    if (bytes > 0) targets[KindOf(path)].push_back({.path = path, .bytes = bytes});
  }
  return targets;
}

}  // namespace holdfast::testing
