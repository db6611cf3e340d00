// Who holds leases: holders, closed or not, and which runs of nodes are lost.
//
// A holder has a row while it holds jobs, and once it was closed until its node's run is lost or
// kClosedHoldersMax others that hold nothing were closed after it. All holders of a node's lost
// runs count as closed, by the node's floor alone.
//
// Invariants: row(h).held == the members of its set; a row that is neither closed nor lost holds
// at least one job. Bounds: as many rows as holders with jobs, kClosedHoldersMax, and those of lost
// runs that are not collected yet.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_HOLDER_TABLE_H_
#define HOLDFAST_QUEUE_HOLDER_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "queue/changed_keys.h"
#include "queue/paged_set.h"
#include "queue/records.h"

namespace holdfast {

class HolderTable {
 public:
  // True if a reserve for the holder is refused and its leases have ended. False for none().
  bool IsClosed(const Holder& holder) const;
  // The set of its jobs; nullptr if it has no row.
  PagedSet* FindSet(const Holder& holder);
  const PagedSet* FindSet(const Holder& holder) const;

  void Add(const Holder& holder, JobId job);
  void Remove(const Holder& holder, JobId job);
  void Close(const Holder& holder);
  void LoseNode(NodeId node, uint64_t incarnation);

  // A closed holder that still holds jobs, or a lost one's row; false if there is none.
  bool FirstToCollect(Holder* holder) const;
  // The closed and then the lost holders with something to collect, each once, at most `limit`.
  std::vector<Holder> ToCollect(size_t limit) const;
  // Drops the row of a lost holder. REQUIRES: lost and it holds nothing.
  void Drop(const Holder& holder);
  // True if its node's run is lost, so that no row is needed to know it as closed.
  bool IsLost(const Holder& holder) const;
  // Of each node with rows of runs that may be lost and are not: the newest of these. Ascending.
  std::vector<NodeRun> OpenRuns() const;

  void Restore(const Holder& holder, const HolderRow& row);
  void Restore(NodeId node, const NodeFloorRow& row);

  size_t size() const { return rows_.size(); }
  // The sum of the rows' hashes.
  uint64_t hash() const { return hash_; }
  std::vector<Holder> TakeChangedHolders() { return changed_holders_.Take(); }
  std::vector<NodeId> TakeChangedFloors() { return changed_floors_.Take(); }
  // False if gone.
  bool FindRow(const Holder& holder, HolderRow* row) const;
  NodeFloorRow FindFloor(NodeId node) const;
  void CheckInvariants() const;

 private:
  struct State {
    PagedSet held;
    uint64_t closed = 0;  // as HolderRow

    HolderRow row() const { return HolderRow{closed, held.total()}; }
  };
  using Rows = absl::btree_map<Holder, State>;

  using Turn = std::pair<uint64_t, Holder>;

  // Around every change of a row: takes its hash out, and puts it in again (or drops the row).
  void Before(const Holder& holder, const State& state);
  void After(Rows::iterator it);
  void Index(const Holder& holder, const State& state);
  // REQUIRES: it holds nothing.
  void Erase(Rows::iterator it);
  // Drops the longest closed rows that are beyond the bound.
  void Forget();

  Rows rows_;
  absl::btree_set<Turn> closed_;            // closed by name
  absl::btree_set<Turn> tombstones_;        // of these, the ones that hold nothing
  absl::btree_set<Holder> closed_holding_;  // and the others
  absl::btree_map<NodeId, NodeFloorRow> floors_;
  ChangedKeys<Holder> changed_holders_;
  ChangedKeys<NodeId> changed_floors_;
  uint64_t hash_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_HOLDER_TABLE_H_
