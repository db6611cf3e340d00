// Makes a test program one that has a known defect (base/mutant.h).

#ifndef HOLDFAST_BASE_TESTING_CHOOSE_MUTANT_H_
#define HOLDFAST_BASE_TESTING_CHOOSE_MUTANT_H_

#include <string_view>

namespace holdfast {

// Activates the mutant `name` ("CommitOldTermByCounting"), before any thread starts. An empty name
// is none. False, after saying why on standard error: there is no such mutant, or this program was
// built without them.
bool ChooseMutant(std::string_view name);

}  // namespace holdfast

#endif  // HOLDFAST_BASE_TESTING_CHOOSE_MUTANT_H_
