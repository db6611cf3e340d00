// Finds the shards of a command and puts their answers together: what frontends talk to.
//
//   queue name ── XXH3-64 mod S ──▶ shard          job id ── mod S ──▶ shard
//
// A reserve over queues of several shards asks each for its best jobs, reserves the best of them,
// and starts again when it lost the race (multi_reserve.h).
//
// Thread-safety: thread-safe. Ownership: the shards, their loops and the holder table outlive it.

#ifndef HOLDFAST_SERVER_ENGINE_ROUTER_H_
#define HOLDFAST_SERVER_ENGINE_ROUTER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/admission.h"
#include "server/engine/engine.h"
#include "server/engine/holder_registry.h"
#include "server/engine/multi_reserve.h"
#include "server/engine/relay.h"
#include "server/engine/shard.h"

namespace holdfast {

class Router final : public Engine {
 public:
  Router(std::vector<RelayOnLoop> shards, HolderRegistry* holders, const Admission::Limits& limits,
         const EngineInfo& info);
  ~Router() override;

  void Enqueue(std::string_view queue, EnqueueEncoder command, ExecuteDone done) override;
  void Execute(const Command& command, ExecuteDone done) override;
  ReserveId Reserve(ReserveRequest request, ExecuteDone done) override;
  void CancelReserve(ReserveId id) override;
  void Ask(Query query, QueryDone done) override;
  Holder OpenHolder(LeasesAtClose leases, LeaseEndedFn ended) override;
  void CloseHolder(Holder holder, LeasesAtClose leases) override;
  EngineInfo Info() const override;

  void SetServing(bool serving) { serving_.store(serving, std::memory_order_relaxed); }
  // While `status` is not OK, enqueues are refused with it: the disk has no room for what they add.
  void SetDiskFull(const absl::Status& status);
  // Commands that were taken and are not answered.
  int64_t in_flight() const { return admission_.commands(); }
  // Waiting reserves end, new ones do not wait; commands in flight go on.
  void Drain();

 private:
  uint32_t ShardOfQueue(std::string_view queue) const;
  uint32_t ShardOf(JobId job) const { return static_cast<uint32_t>(job.value() % shards_.size()); }
  uint32_t ShardOf(const LeaseRef& lease) const { return ShardOf(lease.job); }
  // Admits the submission and gives it to its shard, or refuses it.
  void Send(uint32_t shard, Submission submission);
  void Submit(uint32_t shard, std::string command, ExecuteDone done);
  template <class Part>
  void Split(const RequestIdentity& request, const std::vector<uint32_t>& shard_of_item,
             const Part& part, ExecuteDone done);
  // `body` is the command's, and `refs` are the jobs or leases that it is about.
  template <class Body, class Refs>
  void ToShardsOf(const Command& command, const Body& body, Refs Body::*refs, ExecuteDone done);
  void ToAllShards(const Command& command, ExecuteDone done);
  // Until it is done everywhere, at most so often: nobody else would try again, and the jobs would
  // be back only when their leases expire. Doing it again changes nothing.
  void ReleaseLeases(Holder holder, int tries);
  void ReserveInSeveral(ReserveId id, ReserveRequest request, ExecuteDone done);
  // Queues, totals and replicas of all shards; of the queues the first `limit`.
  void AskAllShards(const Query& query, uint32_t limit, QueryDone done);

  const std::vector<RelayOnLoop> shards_;
  HolderRegistry* const holders_;
  Admission admission_;
  const EngineInfo info_;
  std::atomic<bool> serving_{false};
  std::atomic<bool> draining_{false};
  std::atomic<bool> disk_is_full_{false};  // whether disk_full_ is an error
  std::atomic<uint64_t> reserves_{0};

  absl::Mutex mutex_;
  absl::Status disk_full_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ReserveId, std::shared_ptr<MultiReserve>> multi_reserves_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_ROUTER_H_
