// The durable rows of one machine, in memory: what a state store on disk would hold.
//
// Rows are those of the last completed flush; over them lie the changes drained since, in two
// layers, so that a flush can be in flight: `frozen` is being made durable, `active` came later.
// Every change that is reported is checked against what was reported before.
//
// Invariants: a layer holds a thing at most once; indexes hold exactly the places of the rows.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_TESTING_MEMORY_COLD_STORE_H_
#define HOLDFAST_QUEUE_TESTING_MEMORY_COLD_STORE_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/records.h"

namespace holdfast {

class MemoryColdStore final : public ChangeSink {
 public:
  void JobChanged(JobId id, const JobPlaces* before, const Job* after) override;
  void QueueChanged(QueueId id, const QueueRecord* after) override;
  void DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                    const DedupRecord* after) override;
  void RowChanged(const SmallRowKey& key, const SmallRow* after) override;

  // What `needs` names, without the rows that have a change that is not durable; one that is asked
  // for by name and is gone, durably or not, is answered as absent. At most `visits_max` members
  // are visited for each scan.
  Loaded Fetch(const Needs& needs, size_t visits_max) const;

  // Starts a flush of all changes so far. REQUIRES: none is in flight.
  void BeginFlush();
  bool FlushInFlight() const { return in_flight_; }
  struct FlushedIds {
    std::vector<JobId> jobs;
    std::vector<DedupRef> dedups;
  };
  // Makes the frozen changes durable. Returns what was not changed again meanwhile.
  FlushedIds CompleteFlush();
  // A crash: all that is not durable is gone.
  void DropUnflushed();
  void RestoreInto(Machine* machine) const;

  // The latest row, durable or not; nullptr if there is none.
  const Job* FindJob(JobId id) const;
  // All latest rows, by id.
  std::vector<Job> Jobs() const;
  size_t durable_jobs() const { return jobs_.size(); }
  // Jobs and queues changed but not durable, oldest layer and newer one together.
  size_t unflushed_jobs() const { return frozen_.jobs.size() + active_.jobs.size(); }

 private:
  using DedupKey = std::pair<QueueId, std::string>;
  // std::nullopt: gone.
  struct Layer {
    std::map<JobId, std::optional<Job>> jobs;
    std::map<QueueId, std::optional<QueueRecord>> queues;
    std::map<DedupKey, std::optional<DedupRecord>> dedups;
    std::map<std::string, std::pair<SmallRowKey, std::optional<SmallRow>>> rows;
  };

  const DedupRecord* FindDedup(const DedupKey& key) const;
  bool IsUnflushed(JobId id) const { return active_.jobs.count(id) + frozen_.jobs.count(id) != 0; }
  bool IsUnflushed(const DedupKey& key) const {
    return active_.dedups.count(key) + frozen_.dedups.count(key) != 0;
  }
  Loaded::Scan ScanJobs(const Needs::Scan& scan, size_t visits_max) const;
  Loaded::Scan ScanDedups(const Needs::Scan& scan, size_t visits_max) const;
  void StoreJob(JobId id, const std::optional<Job>& job);
  void StoreDedup(const DedupKey& key, const std::optional<DedupRecord>& dedup);

  std::map<JobId, Job> jobs_;
  std::map<SetRef, std::map<SetKey, JobId>> sets_;
  std::map<QueueId, QueueRecord> queues_;
  std::map<DedupKey, DedupRecord> dedups_;
  std::map<QueueId, std::map<SetKey, std::string>> dedup_sets_;
  std::map<std::string, std::pair<SmallRowKey, SmallRow>> rows_;
  Layer frozen_;
  Layer active_;
  bool in_flight_ = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_MEMORY_COLD_STORE_H_
