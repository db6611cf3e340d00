#include "base/mutant.h"

#ifdef HOLDFAST_MUTANTS
#include <array>
#include <cstddef>
#endif

namespace holdfast {

#ifdef HOLDFAST_MUTANTS
namespace {

Mutant active = Mutant::kNone;

// In the order of Mutant.
constexpr std::array kNames = std::to_array<std::string_view>({
    "None",
    "CommitOldTermByCounting",
    "AckUncheckedTail",
    "SecondVoteForTransferee",
    "CommitOnlyAtOwnLast",
    "VoteBeforeDurable",
    "ElectionByUnstoredEntries",
    "CampaignDuringWrite",
    "ConfigurationAtWrongIndex",
    "UncommittedConfigInSnapshot",
    "ConfigChangeBeforeOwnCommit",
    "CommitGoesBack",
    "CommitBeyondChecked",
    "SnapshotAckBeforeDurable",
    "SnapshotIgnoredAtHigherTerm",
    "SnapshotOverNewerEntries",
    "LeadAfterFailedWrite",
    "MemoryAheadOfFailedAppend",
    "StoredByIndexOnly",
    "ElectionTwoConfigsBehind",
    "ReadWithoutOwnCommit",
    "ReadWithoutQuorum",
    "StickinessForever",
    "ProbeOneByOne",
    "AppendUnbounded",
    "WipedDiskVotes",
    "LogCutBeyondFlushed",
    "ReplayFlushed",
    "FlushAheadOfLog",
    "LogTimeFromOwnClock",
    "LogTimeFrozen",
    "LeaseSurvivesToken",
    "ExpiryBeforeTime",
    "OrderByWrongKey",
    "DedupForgottenAtSnapshot",
    "DeleteRepliesBeforeCommit",
    "CountersNotConserved",
    "WaiterGrantedTwice",
    "FlushMarksTooHigh",
    "DelayIgnoredAfterRestart",
    "HolderForgotten",
});
static_assert(kNames.size() == static_cast<size_t>(Mutant::kCount));

}  // namespace

void SetMutant(Mutant mutant) { active = mutant; }
bool MutantIs(Mutant mutant) { return active == mutant; }

std::string_view MutantName(Mutant mutant) { return kNames[static_cast<size_t>(mutant)]; }

std::optional<Mutant> MutantNamed(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Mutant>(i);
  }
  return std::nullopt;
}
#endif

}  // namespace holdfast
