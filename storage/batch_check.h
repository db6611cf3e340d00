// CheckBatch: the part of LogStore::Write's contract that every implementation checks first.

#ifndef HOLDFAST_STORAGE_BATCH_CHECK_H_
#define HOLDFAST_STORAGE_BATCH_CHECK_H_

#include "absl/status/status.h"
#include "storage/log_store.h"

namespace holdfast {

// INVALID_ARGUMENT for a payload that is too large. Records that cannot follow what `store` holds
// are a bug of the caller and end the process before anything of the batch is written.
absl::Status CheckBatch(const LogBatch& batch, const LogStore& store);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_BATCH_CHECK_H_
