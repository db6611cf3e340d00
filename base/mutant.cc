#include "base/mutant.h"

namespace holdfast {

#ifdef HOLDFAST_MUTANTS
namespace {
Mutant active = Mutant::kNone;
}  // namespace

void SetMutant(Mutant mutant) { active = mutant; }
bool MutantIs(Mutant mutant) { return active == mutant; }
#endif

}  // namespace holdfast
