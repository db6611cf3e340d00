#include "replication/node/log_write.h"

#include <string_view>

namespace holdfast {

void LogWrite::AddTo(ShardId shard, LogBatch* batch) const {
  if (reset.has_value()) batch->Reset(shard, reset->index, reset->term);
  for (const raft::Entry& entry : entries) {
    const std::string_view data =
        entry.data == nullptr ? std::string_view() : std::string_view(*entry.data);
    batch->Append(shard, entry.term, entry.index, static_cast<uint8_t>(entry.type), data);
  }
  if (hard_state.has_value()) {
    batch->SetHardState(shard, {hard_state->term, hard_state->vote, hard_state->commit});
  }
  if (compact.has_value()) batch->Compact(shard, compact->index, compact->term);
}

}  // namespace holdfast
