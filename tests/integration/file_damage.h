// Damages the files of a server that is stopped.
//
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_FILE_DAMAGE_H_
#define HOLDFAST_TESTS_INTEGRATION_FILE_DAMAGE_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace holdfast::testing {

// A file and how much of it was written when this was looked at.
struct DamageTarget {
  std::string path;  // below the data directory
  uint64_t bytes = 0;
};
// By kind: "state/000012.sst" is of kind "state/N.sst".
using DamageTargets = std::map<std::string, std::vector<DamageTarget>>;

// The files of a data directory that hold something which could be served wrong, each up to its
// last byte that is not zero. The server may run.
DamageTargets DamageTargetsIn(const std::filesystem::path& directory);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_FILE_DAMAGE_H_
