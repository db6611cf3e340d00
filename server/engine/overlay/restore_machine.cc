#include "server/engine/overlay/restore_machine.h"

#include "absl/strings/str_cat.h"
#include "base/mutant.h"
#include "base/status_macros.h"
#include "server/engine/overlay/cold_reader.h"

namespace holdfast {

absl::StatusOr<std::optional<AppliedRow>> RestoreMachine(const StateSnapshot& snapshot,
                                                         ShardId shard, Machine* machine) {
  ASSIGN_OR_RETURN(std::optional<AppliedRow> applied, ReadApplied(snapshot, shard));
  if (!applied.has_value()) return applied;
  RETURN_IF_ERROR(ReadRecords(
      snapshot, shard, [&](const QueueRecord& record) { machine->Restore(record); },
      [&](const SmallRowKey& key, const SmallRow& row) {
        const bool dedup = std::holds_alternative<RequestKey>(key);
        if (!dedup || !MutantIs(Mutant::kDedupForgottenAtSnapshot)) machine->Restore(key, row);
      }));
  if (machine->StateHash() != applied->state_hash && !MutantIs(Mutant::kDedupForgottenAtSnapshot)) {
    return absl::DataLossError(absl::StrCat("shard ", shard.value(),
                                            ": the stored records are not those of entry ",
                                            applied->index.value(), ": their hash differs"));
  }
  return applied;
}

}  // namespace holdfast
