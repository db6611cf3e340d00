// The data directory: one process at a time, and whose data it is.
//
//   DATA_DIR/LOCK           locked while a process uses the directory
//   DATA_DIR/identity.json  checksummed: cluster as it was made, node and disk id, incarnation
//   DATA_DIR/log/           storage/log_store
//   DATA_DIR/state/         storage/state_store
//   DATA_DIR/ports.json     the addresses of the running process; not durable, not read back
//
// Thread-safety: thread-compatible. Ownership: holds the lock until destroyed.

#ifndef HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_
#define HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"

namespace holdfast {

// A node of a cluster as it was made.
struct InitialMember {
  NodeId node;
  DiskId disk;
  std::string address;  // HOST:PORT; "": the cluster was made of this node alone
  bool operator==(const InitialMember&) const = default;
};

// A cluster as it was made. Never changes.
struct InitialCluster {
  std::string cluster_id;  // 32 hexadecimal digits
  uint32_t shards = 0;     // [1, 4096]
  // Ascending by node. Of a node that was added later: none.
  std::vector<InitialMember> members;
  bool operator==(const InitialCluster&) const = default;

  // nullptr: it was not among them.
  const InitialMember* Find(NodeId node) const;
};
// A new one, with an id drawn at random. REQUIRES: members ascending.
absl::StatusOr<InitialCluster> MakeCluster(uint32_t shards, std::vector<InitialMember> members);

// What a directory's first start fixed, and how often it was started.
struct Identity {
  NodeId node;
  DiskId disk;             // drawn at first start
  InitialCluster cluster;  // without an id and members until SetCluster
  // Another one at each start: counted from 1, or, of a disk that came to a running cluster, from
  // the time then (Unix seconds), so that no disk that the node had before was at it.
  uint64_t incarnation = 0;
  // A recovery of the cluster was begun and has not ended: the cluster that it makes.
  std::optional<InitialCluster> recovery;

  bool has_cluster() const { return !cluster.cluster_id.empty(); }
};

class DataDir {
 public:
  // What the caller wants a new directory to be; a used one must agree.
  struct Wanted {
    NodeId node = NodeId(1);
    uint32_t shards = 0;  // 0: 16 for a new directory, whatever it is for a used one
    // A new directory is of a cluster of this node alone, or waits for SetCluster.
    enum class Cluster : uint8_t { kAlone, kSetLater } cluster = Cluster::kAlone;
  };

  // Makes the directory if need be, locks it, and raises its incarnation durably.
  // Errors: FAILED_PRECONDITION (another process uses it; its identity is another than wanted; it
  // waits for a cluster and kAlone is wanted; it holds files but no identity; a recovery of it was
  // begun and has not ended), DATA_LOSS
  // (identity.json is damaged), UNIMPLEMENTED (a later format), those of base/errno_status.h.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(const std::string& path,
                                                       const Wanted& wanted);
  // Locks a directory that is of a cluster, to repair it, and changes nothing. Errors:
  // FAILED_PRECONDITION (another process uses it; it is of no cluster), and else as Open.
  static absl::StatusOr<std::unique_ptr<DataDir>> OpenForRepair(const std::string& path);
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  // Durably. Once. In a cluster that was not made with this disk the incarnation rises.
  // REQUIRES: !identity().has_cluster(). Errors: those of base/errno_status.h.
  absl::Status SetCluster(InitialCluster cluster);

  // From here on the directory cannot be opened but for repair, until the recovery has ended.
  // Durably. REQUIRES: none was begun. Errors: those of base/errno_status.h.
  absl::Status BeginRecovery(InitialCluster cluster);
  // The directory is of the cluster that the recovery has made. Durably. REQUIRES: one was begun.
  absl::Status EndRecovery();

  const Identity& identity() const { return identity_; }
  const std::string& path() const { return path_; }
  std::string log_path() const { return path_ + "/log"; }
  std::string state_path() const { return path_ + "/state"; }

  // The members of the cluster as they were known last; opaque. Durably. Errors: those of
  // base/errno_status.h. Thread-safety: from any thread, one at a time.
  absl::Status WriteMembers(const std::string& text) const;
  // "": none were written. Errors: as above.
  absl::StatusOr<std::string> ReadMembers() const;

  // Tells other programs where this process listens, e.g. {"grpc": "127.0.0.1:7400"}.
  absl::Status WritePorts(const std::string& json) const;

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  static absl::StatusOr<std::unique_ptr<DataDir>> Lock(const std::string& path);
  // False: there is no identity.json.
  absl::StatusOr<bool> Load();
  absl::Status LoadOrCreate(const Wanted& wanted);
  absl::Status Replace(Identity identity);

  const std::string path_;
  const int lock_fd_;
  Identity identity_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_
