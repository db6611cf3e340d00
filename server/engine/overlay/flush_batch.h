// A frozen generation as the rows to write: what brings the durable rows from where they were
// when the generation began to where they were when it was frozen.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_FLUSH_BATCH_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_FLUSH_BATCH_H_

#include "server/codec/row_codec.h"
#include "server/engine/overlay/generation.h"
#include "storage/state_batch.h"

namespace holdfast {

// `applied`: the log position as of Freeze(); becomes the shard's applied row in the same batch,
// with its layout row. Job rows and payloads are referenced, not copied: `generation` must outlive
// the batch. Rows are added in key order per table, but for kMeta; several generations go into
// one batch best in order of their shards.
// Thread-safety: reads `generation` only; call it on the flusher's thread.
void AddToBatch(const Generation& generation, const AppliedRow& applied, StateBatch* batch);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_FLUSH_BATCH_H_
