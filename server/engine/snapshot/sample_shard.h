// A shard without log, loop and clients, for tests: a machine, what it has not flushed, and a
// store.
//
// Thread-safety: thread-compatible. Ownership: the store outlives it.

#ifndef HOLDFAST_SERVER_ENGINE_SNAPSHOT_SAMPLE_SHARD_H_
#define HOLDFAST_SERVER_ENGINE_SNAPSHOT_SAMPLE_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "queue/machine.h"
#include "server/codec/row_codec.h"
#include "server/engine/overlay/dirty_overlay.h"
#include "storage/state_store.h"

namespace holdfast {

class SampleShard {
 public:
  // As the store's last flush left it; of `shards` shards. Few jobs stay in memory.
  SampleShard(StateStore* store, ShardId shard, uint32_t shards);

  // Each is one entry of the log, at a log time of its own.
  Outcome Apply(const CommandBody& body);
  Outcome Enqueue(std::string_view queue, const std::vector<std::string>& bodies,
                  const JobSpec& spec = {});
  // Jobs in all states, with and without dedup keys, ttls and holders; sessions, remembered
  // requests, a lost node, a purge that is not collected yet. Every call adds more. `rounds`: about
  // 20 jobs each.
  void DoAllKindsOfThings(int rounds);
  // Makes it all durable. OK, or the store's error.
  absl::Status Flush();

  Machine& machine() { return machine_; }
  const AppliedRow& applied() const { return applied_; }
  void set_configuration(std::string configuration) {
    applied_.configuration = std::move(configuration);
  }
  // The bodies of all jobs of a queue's state that are in the store, in order. Damage is a failure.
  std::vector<std::string> StoredBodies(std::string_view queue, JobState state) const;

 private:
  Outcome ApplyCommand(const Command& command, const std::vector<std::string_view>& payloads,
                       const EntryBuffer& entry);
  void LoadNeeds(const Command& command);

  StateStore* const store_;
  const ShardId shard_;
  Machine machine_;
  DirtyOverlay overlay_;
  AppliedRow applied_;
  uint64_t now_micros_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_SNAPSHOT_SAMPLE_SHARD_H_
