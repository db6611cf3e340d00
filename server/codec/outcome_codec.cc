#include "server/codec/outcome_codec.h"

#include "base/check.h"
#include "base/coding.h"
#include "queue/command.h"
#include "server/codec/field_codec.h"
#include "server/codec/row_codec.h"

namespace holdfast {
namespace {

using field_codec::Put;
using field_codec::PutEnum;
using field_codec::Read;
using field_codec::ReadCount;
using field_codec::ReadEnum;
using field_codec::ReadFlags;

constexpr uint8_t kOutcomeVersion = 1;
constexpr OutcomeCode kLastCode = OutcomeCode::kRecordChanged;
enum OutcomeFlag : uint8_t { kMore = 1, kReplayed = 2 };
constexpr uint8_t kDeduplicated = 1;
// Code, state, flags, job, due.
constexpr size_t kItemBytesMin = 5;
// Queue, job, row.
constexpr size_t kGrantBytesMin = 3;

bool ReadItem(ByteReader* in, ItemOutcome* item) {
  uint8_t flags = 0;
  if (!ReadEnum(in, kLastCode, &item->code) || !ReadEnum(in, JobState::kBuried, &item->state) ||
      !ReadFlags(in, kDeduplicated, &flags)) {
    return false;
  }
  item->deduplicated = flags == kDeduplicated;
  return Read(in, &item->job) && Read(in, &item->due);
}

bool ReadGrant(ByteReader* in, Grant* grant) {
  std::string_view queue;
  std::string_view row;
  JobId id;
  if (!in->Bytes(&queue) || !Read(in, &id) || !in->Bytes(&row)) return false;
  absl::StatusOr<Job> job = DecodeJobRow(id, row);
  if (!job.ok()) return false;
  grant->job = *job;
  grant->queue = std::string(queue);
  return true;
}

bool ReadOutcome(ByteReader* in, Outcome* outcome) {
  uint8_t version = 0;
  uint8_t flags = 0;
  uint64_t items = 0;
  uint64_t grants = 0;
  if (!in->Fixed8(&version) || version != kOutcomeVersion ||
      !ReadEnum(in, kLastCode, &outcome->code) || !ReadFlags(in, kMore | kReplayed, &flags) ||
      !Read(in, &outcome->count) || !Read(in, &outcome->session) ||
      !ReadCount(in, kItemsPerCommandMax, kItemBytesMin, &items)) {
    return false;
  }
  outcome->more = (flags & kMore) != 0;
  outcome->replayed = (flags & kReplayed) != 0;
  outcome->items.resize(items);
  for (ItemOutcome& item : outcome->items) {
    if (!ReadItem(in, &item)) return false;
  }
  if (!ReadCount(in, kItemsPerCommandMax, kGrantBytesMin, &grants)) return false;
  outcome->grants.resize(grants);
  for (Grant& grant : outcome->grants) {
    if (!ReadGrant(in, &grant)) return false;
  }
  return in->Done();
}

}  // namespace

void AppendOutcome(std::string* out, const Outcome& outcome) {
  CHECK_LE(outcome.items.size(), kItemsPerCommandMax);
  CHECK_LE(outcome.grants.size(), kItemsPerCommandMax);
  PutFixed8(out, kOutcomeVersion);
  PutEnum(out, outcome.code);
  PutFixed8(out,
            static_cast<uint8_t>((outcome.more ? kMore : 0) | (outcome.replayed ? kReplayed : 0)));
  Put(out, outcome.count);
  Put(out, outcome.session);
  Put(out, outcome.items.size());
  for (const ItemOutcome& item : outcome.items) {
    PutEnum(out, item.code);
    PutEnum(out, item.state);
    PutFixed8(out, item.deduplicated ? kDeduplicated : 0);
    Put(out, item.job);
    Put(out, item.due);
  }
  Put(out, outcome.grants.size());
  for (const Grant& grant : outcome.grants) {
    PutBytes(out, grant.queue);
    Put(out, grant.job.id);
    char row[kJobRowBytesMax];
    PutBytes(out, std::string_view(row, WriteJobRow(grant.job, row)));
  }
}

absl::StatusOr<Outcome> DecodeOutcome(std::string_view bytes) {
  absl::StatusOr<Outcome> outcome(absl::in_place);
  ByteReader in(bytes);
  if (!ReadOutcome(&in, &*outcome)) {
    return absl::DataLossError("outcome of " + std::to_string(bytes.size()) +
                               " bytes: malformed at byte " +
                               std::to_string(bytes.size() - in.remaining()));
  }
  return outcome;
}

}  // namespace holdfast
