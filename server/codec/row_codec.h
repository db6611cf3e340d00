// Stored rows: the machine's records as bytes and back. Each row begins with its own version
// byte. Layout: FORMAT.md, "Rows".
//
// Decoding is total and strict (unknown versions, flags and enum values and trailing bytes are
// refused). Errors are DataLoss and say what is wrong with the value; who knows table and key adds
// them with RowError. What a row's key says (ids, dedup key) is not repeated in the value and is
// given to the decoder.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CODEC_ROW_CODEC_H_
#define HOLDFAST_SERVER_CODEC_ROW_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "queue/job.h"
#include "queue/records.h"

namespace holdfast {

// The layout that this build writes and reads; stored once a shard.
inline constexpr uint32_t kLayoutVersion = 2;

// How far a shard's rows have come: all rows are as of this point of the log.
struct AppliedRow {
  LogIndex index;
  Term term;
  uint64_t state_hash = 0;  // Machine::StateHash() there
  // The participants as of there; opaque. Empty: none.
  std::string configuration = {};
  // The rows came from another replica, and the log may not have been reset to this point yet. The
  // next flush of the shard writes a row without it.
  bool installing = false;

  bool operator==(const AppliedRow&) const = default;
};

// --- Jobs.
inline constexpr size_t kJobRowBytesMax = 240;
// Writes the row to `out`, which has room for kJobRowBytesMax bytes; returns its size.
size_t WriteJobRow(const Job& job, char* out);
std::string EncodeJobRow(const Job& job);
absl::StatusOr<Job> DecodeJobRow(JobId id, std::string_view value);

// --- The rest.
std::string EncodeLayoutRow(uint32_t version);
// FailedPrecondition if the version is not one that this build reads.
absl::Status CheckLayoutRow(std::string_view value);
std::string EncodeAppliedRow(const AppliedRow& row);
absl::StatusOr<AppliedRow> DecodeAppliedRow(std::string_view value);
std::string EncodeQueueRow(const QueueRecord& record);
absl::StatusOr<QueueRecord> DecodeQueueRow(QueueId id, std::string_view value);
// The row of a dedup entry in kMeta, found by its key.
std::string EncodeDedupRow(const DedupRecord& record);
absl::StatusOr<DedupRecord> DecodeDedupRow(QueueId queue, std::string_view key,
                                           std::string_view value);
// The row of a dedup entry in kIndex, found by (expires, job), which `place` carries.
std::string EncodeDedupIndexRow(std::string_view key);
absl::StatusOr<DedupRecord> DecodeDedupIndexRow(QueueId queue, SetKey place,
                                                std::string_view value);
std::string EncodeSmallRow(const SmallRow& row);
// The kind of row that belongs to `key`.
absl::StatusOr<SmallRow> DecodeSmallRow(const SmallRowKey& key, std::string_view value);

// `status` with "table <table>, key <hex>: " before its message. `table`: as in row_keys.h.
absl::Status RowError(const absl::Status& status, std::string_view table, std::string_view key);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_ROW_CODEC_H_
