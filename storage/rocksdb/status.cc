#include "storage/rocksdb/status.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace holdfast {
namespace {

bool Says(const rocksdb::Status& status, int error) {
  return absl::StrContains(status.ToString(), std::strerror(error));
}

absl::StatusCode CodeOf(const rocksdb::Status& status) {
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit ||
      Says(status, ENOSPC) || Says(status, EDQUOT)) {
    return absl::StatusCode::kResourceExhausted;
  }
  if (status.IsCorruption() || status.IsPathNotFound() || status.IsNotFound() ||
      Says(status, ENOENT)) {
    return absl::StatusCode::kDataLoss;
  }
  if (Says(status, EROFS)) return absl::StatusCode::kUnavailable;
  if (status.IsIOError() && absl::StrContains(status.ToString(), "lock")) {
    return absl::StatusCode::kFailedPrecondition;
  }
  if (status.IsInvalidArgument()) return absl::StatusCode::kDataLoss;
  return absl::StatusCode::kInternal;
}

}  // namespace

absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(CodeOf(status), absl::StrCat("could not ", what, ": ", status.ToString()));
}

absl::Status FromErrno(int error, const std::string& what, const std::string& path) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (error == ENOSPC || error == EDQUOT) code = absl::StatusCode::kResourceExhausted;
  if (error == EROFS) code = absl::StatusCode::kUnavailable;
  return absl::Status(code,
                      absl::StrCat("could not ", what, ": ", path, ": ", std::strerror(error)));
}

}  // namespace holdfast
