// Makes a machine from a shard's durable rows.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_RESTORE_MACHINE_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_RESTORE_MACHINE_H_

#include <optional>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "queue/machine.h"
#include "server/codec/row_codec.h"
#include "storage/state_store.h"

namespace holdfast {

// Restores `machine`, which is new, from the shard's rows and returns how far they have come;
// nullopt, and the machine stays as it is, if the shard has none. Jobs stay cold.
// Errors: DATA_LOSS naming what is malformed, or if the machine's hash is not the one that was
// stored with the rows; FAILED_PRECONDITION: another layout; others of the store.
absl::StatusOr<std::optional<AppliedRow>> RestoreMachine(const StateSnapshot& snapshot,
                                                         ShardId shard, Machine* machine);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_RESTORE_MACHINE_H_
