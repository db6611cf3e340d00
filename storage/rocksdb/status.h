// The one place where RocksDB's errors become absl::Status.

#ifndef HOLDFAST_STORAGE_ROCKSDB_STATUS_H_
#define HOLDFAST_STORAGE_ROCKSDB_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "rocksdb/status.h"

namespace holdfast {

// `what` says what was tried ("read the state store", "flush to the state store"). The message
// keeps RocksDB's text, which names the damaged file. OK stays OK.
//
//   Corruption, a missing file          kDataLoss
//   no space, quota                     kResourceExhausted
//   read-only file system               kUnavailable
//   another process has the store open  kFailedPrecondition
//   every other I/O error               kInternal
absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& what);

// The same for a failed system call on a file of ours.
absl::Status FromErrno(int error, const std::string& what, const std::string& path);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_STATUS_H_
