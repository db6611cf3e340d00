// Fetches what the machine does not have in memory: from a snapshot of the state store, off the
// shard's loop.
//
// A fetch and a flush may cross. The snapshot may already show what the frozen generation holds
// (those rows are left out as dirty, rightly), but a generation must not be released between the
// fetch and the load: its rows in the snapshot may be old and no longer be known as dirty. So the
// loop notes DirtyOverlay::releases() before it asks for the fetch, and FilterLoaded refuses the
// answer if that has moved; the loop then fetches again.
//
//   loop:    releases = overlay.releases(), needs = machine.NeedsOf(...)
//   reader:  fetched = FetchNeeds(*store->Snapshot(), shard, needs)
//   loop:    if (auto loaded = FilterLoaded(*fetched, releases, overlay)) machine.Load(*loaded);
//            else fetch again
//
// Payloads are another matter: they never change, and a few that are in memory already are read
// on the loop (ReadPayloads with Reach::kMemory), cheaper than two changes of threads.
//
// Errors: everything the snapshot reports; DataLoss naming table and key (hex), or the job, when a
// row cannot be decoded, an index row has no job row or points to a job that is elsewhere, or a
// payload does not have its digest.
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_COLD_READER_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_COLD_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/types.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "server/codec/payload_ref.h"
#include "server/codec/row_codec.h"
#include "server/engine/overlay/dirty_overlay.h"
#include "storage/state_store.h"

namespace holdfast {

// All of `needs`, as the snapshot has it. A scan visits at most its `limit` durable members.
absl::StatusOr<Loaded> FetchNeeds(const StateSnapshot& snapshot, ShardId shard, const Needs& needs);

// `loaded` without the jobs and dedup entries that are dirty in `overlay`; those that are asked
// for by name and deleted in `overlay` become absent ones. nullopt if a generation was released
// since `releases` was read, so that it must be fetched again.
// REQUIRES: the machine's changes are drained into `overlay`.
// Runs on the overlay's loop.
std::optional<Loaded> FilterLoaded(Loaded loaded, uint64_t releases, const DirtyOverlay& overlay);

// Names a stored payload and what it must be.
struct PayloadQuery {
  JobId job;
  uint32_t size_bytes = 0;
  uint64_t digest = 0;
  bool may_be_gone = false;  // with its job: then it is returned without an owner
};
// The payloads, in order, each with an owner of its own. DataLoss, naming the job, if one is
// absent and must not be, or is not what its job's record says. Aborted if one is beyond `reach`.
absl::StatusOr<std::vector<PayloadRef>> ReadPayloads(const StateSnapshot& snapshot, ShardId shard,
                                                     absl::Span<const PayloadQuery> queries,
                                                     Reach reach);

// How far the shard's rows have come; nullopt if the shard has none. FailedPrecondition if their
// layout is not one that this build reads.
absl::StatusOr<std::optional<AppliedRow>> ReadApplied(const StateSnapshot& snapshot, ShardId shard);
// All rows but jobs and dedup entries, for Machine::Restore: queues first, in order of ids, then
// the small rows.
absl::Status ReadRecords(const StateSnapshot& snapshot, ShardId shard,
                         absl::FunctionRef<void(const QueueRecord&)> queue,
                         absl::FunctionRef<void(const SmallRowKey&, const SmallRow&)> row);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_COLD_READER_H_
