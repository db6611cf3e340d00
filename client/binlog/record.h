// The records of beanstalkd's binlog, version 7: bytes to values, without files.
//
// A file binlog.N is an int32 version, then records, then zeros up to the size that was set aside.
// A record, every number little-endian as on the CPUs that beanstalkd and Holdfast run on:
//
//   offset           0  int32   length of the tube's name; 0: an update of a job that is known
//   4                   bytes   the name
//   then, 80 bytes:
//     +0  u64 id        +32 int32 body size with CRLF   +64 u32 releases
//     +8  u32 priority  +40 i64 created, ns since 1970  +68 u32 buries
//     +16 i64 delay ns  +48 i64 deadline, ns since 1970 +72 u32 kicks
//     +24 i64 ttr ns    +56 u32 reserves                +76 u8 state
//                       +60 u32 timeouts                (what is not named is padding)
//   then, with a name:  bytes   the body and CRLF
//
// States: 0 deleted, 1 ready, 2 reserved, 3 buried, 4 delayed. An id of 0 begins the zeros.
// There is no checksum: only what cannot be a record is seen to be damaged.
// Source: beanstalkd 1.12 and 1.13, file.c and dat.h, and files that they wrote.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_CLIENT_BINLOG_RECORD_H_
#define HOLDFAST_CLIENT_BINLOG_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"

namespace holdfast {

inline constexpr size_t kBinlogHeaderBytes = 4;
inline constexpr int32_t kBinlogVersion = 7;
// beanstalkd's own bound on -z, and so on a body.
inline constexpr size_t kBinlogBodyBytesMax = size_t{1} << 30;

// Of a file that begins with `bytes`; 0: of none, there being too few bytes, or zeros.
int32_t BinlogVersionOf(std::string_view bytes);

enum class BinlogState : uint8_t {
  kDeleted = 0,
  kReady = 1,
  kReserved = 2,
  kBuried = 3,
  kDelayed = 4
};

// What beanstalkd has counted for a job.
struct BinlogCounters {
  uint32_t reserves = 0;
  uint32_t timeouts = 0;
  uint32_t releases = 0;
  uint32_t buries = 0;
  uint32_t kicks = 0;
  bool operator==(const BinlogCounters&) const = default;
};

struct BinlogRecord {
  uint64_t id = 0;
  uint32_t priority = 0;
  absl::Duration delay;  // as last asked for
  absl::Duration ttr;
  absl::Time created;
  absl::Time deadline;  // of a delayed job: when it is ready
  BinlogCounters counters;
  BinlogState state = BinlogState::kDeleted;
  // Empty: an update of a job that an earlier record has told whole.
  std::string_view tube;
  std::string_view body;         // with a tube; without its CRLF
  size_t body_size_bytes = 0;    // the body's, also of an update
  size_t body_offset_bytes = 0;  // from the record's begin
};

struct ParsedBinlogRecord {
  enum class What : uint8_t {
    kRecord,   // the first `size` bytes are `record`
    kMore,     // at least `size` bytes are needed to tell
    kZeros,    // the records end here, and zeros follow
    kDamaged,  // this is no record: `problem`
  };
  What what = What::kMore;
  size_t size = 0;
  // Its views are of the bytes that were given.
  BinlogRecord record;
  const char* problem = "";
};

// Reads the first record of `bytes`. `size` of kMore is above bytes.size() and at most
// kBinlogBodyBytesMax + 286.
ParsedBinlogRecord ParseBinlogRecord(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BINLOG_RECORD_H_
