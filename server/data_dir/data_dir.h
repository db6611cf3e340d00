// The data directory: one process at a time, and whose data it is.
//
//   DATA_DIR/LOCK           locked while a process uses the directory
//   DATA_DIR/identity.json  checksummed: cluster, node and disk id, number of shards, incarnation
//   DATA_DIR/log/           storage/log_store
//   DATA_DIR/state/         storage/state_store
//   DATA_DIR/ports.json     the addresses of the running process; not durable, not read back
//
// Thread-safety: thread-compatible. Ownership: holds the lock until destroyed.

#ifndef HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_
#define HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"

namespace holdfast {

// What a directory's first start fixed, and how often it was started.
struct Identity {
  std::string cluster_id;  // 32 hexadecimal digits, drawn at first start
  NodeId node;
  DiskId disk;               // drawn at first start
  uint32_t shards = 0;       // [1, 4096]
  uint64_t incarnation = 0;  // starts so far, this one included
};

class DataDir {
 public:
  // What the caller wants a new directory to be; a used one must agree.
  struct Wanted {
    NodeId node = NodeId(1);
    uint32_t shards = 0;  // 0: 16 for a new directory, whatever it is for a used one
  };

  // Makes the directory if need be, locks it, and raises its incarnation durably.
  // Errors: FAILED_PRECONDITION (another process uses it; its identity is another than wanted; it
  // holds files but no identity), DATA_LOSS (identity.json is damaged), UNIMPLEMENTED (a later
  // format), those of base/errno_status.h.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(const std::string& path,
                                                       const Wanted& wanted);
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  const Identity& identity() const { return identity_; }
  const std::string& path() const { return path_; }
  std::string log_path() const { return path_ + "/log"; }
  std::string state_path() const { return path_ + "/state"; }

  // Tells other programs where this process listens, e.g. {"grpc": "127.0.0.1:7400"}.
  absl::Status WritePorts(const std::string& json) const;

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  absl::Status LoadOrCreate(const Wanted& wanted);

  const std::string path_;
  const int lock_fd_;
  Identity identity_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_DATA_DIR_DATA_DIR_H_
