#include "base/testing/choose_mutant.h"

#include <iostream>
#include <optional>

#include "base/mutant.h"

namespace holdfast {

bool ChooseMutant(std::string_view name) {
  if (name.empty()) return true;
#ifdef HOLDFAST_MUTANTS
  const std::optional<Mutant> mutant = MutantNamed(name);
  if (mutant.has_value()) {
    SetMutant(*mutant);
    return true;
  }
  std::cerr << name << ": no such mutant\n";
#else
  std::cerr << name << ": built without mutants: bazel build --define=mutants=on\n";
#endif
  return false;
}

}  // namespace holdfast
