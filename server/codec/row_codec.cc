#include "server/codec/row_codec.h"

#include <variant>

#include "base/check.h"
#include "base/coding.h"
#include "base/mutant.h"
#include "server/codec/field_codec.h"
#include "server/codec/outcome_codec.h"

namespace holdfast {
namespace {

using field_codec::Put;
using field_codec::Read;
using field_codec::ReadFlags;
using field_codec::WriteFixed64;
using field_codec::WriteVarint;

// Every row begins with one of these.
constexpr uint8_t kRowVersion = 1;
// A holder that is closed, with its turn.
constexpr uint8_t kHolderRowVersion2 = 2;
constexpr uint8_t kAppliedRowVersion2 = 2;
constexpr uint8_t kInstalling = 1;  // a flag of it

absl::Status Malformed(const char* what, std::string_view value, const ByteReader& in,
                       uint8_t newest_version = kRowVersion) {
  if (!value.empty() && (value[0] == 0 || static_cast<uint8_t>(value[0]) > newest_version)) {
    return absl::DataLossError(std::string(what) + " row of version " +
                               std::to_string(static_cast<uint8_t>(value[0])) +
                               ", which is not known");
  }
  return absl::DataLossError(std::string(what) + " row of " + std::to_string(value.size()) +
                             " bytes: malformed at byte " +
                             std::to_string(value.size() - in.remaining()));
}

bool ReadVersion(ByteReader* in) {
  uint8_t version = 0;
  return in->Fixed8(&version) && version == kRowVersion;
}

// --- Job rows: which fields are there besides the ones that always are.
enum JobField : uint16_t {
  kPriority = 1 << 0,
  kDue = 1 << 1,
  kLease = 1 << 2,
  kExpires = 1 << 3,  // absent: Never()
  kDelay = 1 << 4,
  kEpoch = 1 << 5,
  kToken = 1 << 6,
  kAttempts = 1 << 7,
  kFailures = 1 << 8,
  kReserves = 1 << 9,
  kTimeouts = 1 << 10,
  kReleases = 1 << 11,
  kBuries = 1 << 12,
  kKicks = 1 << 13,
  kHolder = 1 << 14,
  kCurrentLease = 1 << 15,
};

bool ReadJob(ByteReader* in, Job* job) {
  uint8_t state = 0;
  uint8_t low = 0;
  uint8_t high = 0;
  if (!ReadVersion(in) || !in->Fixed8(&state) || (state & 0xf) >= kJobStates ||
      (state >> 4) > static_cast<uint8_t>(BuriedReason::kExpired)) {
    return false;
  }
  job->state = static_cast<JobState>(state & 0xf);
  job->buried_reason = static_cast<BuriedReason>(state >> 4);
  if (!in->Fixed8(&low) || !in->Fixed8(&high)) return false;
  const auto fields = static_cast<uint16_t>(low | high << 8);
  const auto field = [&](JobField bit, auto* v) { return (fields & bit) == 0 || Read(in, v); };
  job->expires = LogTime::Never();
  return Read(in, &job->queue) && Read(in, &job->created) && Read(in, &job->payload_size_bytes) &&
         in->Fixed64(&job->payload_digest) && field(kPriority, &job->priority) &&
         field(kDue, &job->due) && field(kLease, &job->lease) && field(kExpires, &job->expires) &&
         field(kDelay, &job->delay) && field(kEpoch, &job->epoch) && field(kToken, &job->token) &&
         field(kAttempts, &job->attempts) && field(kFailures, &job->failures) &&
         field(kReserves, &job->reserves) && field(kTimeouts, &job->timeouts) &&
         field(kReleases, &job->releases) && field(kBuries, &job->buries) &&
         field(kKicks, &job->kicks) && field(kHolder, &job->holder) &&
         field(kCurrentLease, &job->current_lease) && in->Done();
}

// --- Queue rows.
constexpr uint8_t kHasOptions = 1;

bool ReadQueue(ByteReader* in, QueueRecord* record) {
  uint8_t flags = 0;
  std::string_view name;
  if (!ReadVersion(in) || !ReadFlags(in, kHasOptions, &flags) || !in->Bytes(&name) ||
      !field_codec::ReadOptions(in, kAllQueueOptionFields, &record->options) ||
      !Read(in, &record->created) || !Read(in, &record->paused_until) ||
      !Read(in, &record->pause) || !Read(in, &record->idle_since) || !Read(in, &record->deadline)) {
    return false;
  }
  record->has_options = flags == kHasOptions;
  record->name = std::string(name);
  for (uint32_t& epoch : record->epochs) Read(in, &epoch);
  for (uint64_t& count : record->counts) Read(in, &count);
  Read(in, &record->urgent);
  Read(in, &record->ttl_count);
  Read(in, &record->dedup_count);
  Read(in, &record->bytes);
  for (uint64_t& hash : record->hash_by_state) in->Fixed64(&hash);
  Read(in, &record->total_enqueued);
  Read(in, &record->total_deleted);
  Read(in, &record->total_timeouts);
  Read(in, &record->total_pauses);
  return in->Done();
}

// --- Small rows.
void PutRow(std::string* out, const GlobalsRow& row) {
  Put(out, uint64_t{row.machine_version});
  Put(out, row.next_sequence);
  Put(out, row.next_queue);
  Put(out, row.next_session);
  Put(out, row.now);
  field_codec::PutSettings(out, row.settings);
}
bool ReadRow(ByteReader* in, GlobalsRow* row) {
  return Read(in, &row->machine_version) && Read(in, &row->next_sequence) &&
         Read(in, &row->next_queue) && Read(in, &row->next_session) && Read(in, &row->now) &&
         field_codec::ReadSettings(in, &row->settings);
}

std::string EncodeHolderRow(const HolderRow& row) {
  std::string out;
  if (row.closed > 1) {
    PutFixed8(&out, kHolderRowVersion2);
    Put(&out, row.closed);
  } else {
    PutFixed8(&out, kRowVersion);
    PutFixed8(&out, static_cast<uint8_t>(row.closed));
  }
  Put(&out, row.held);
  return out;
}
absl::StatusOr<SmallRow> DecodeHolderRow(std::string_view value) {
  ByteReader in(value);
  HolderRow row;
  uint8_t version = 0;
  uint8_t closed = 0;
  bool ok = in.Fixed8(&version);
  if (version == kHolderRowVersion2) {
    ok = ok && Read(&in, &row.closed) && row.closed > 1;
  } else {
    ok = ok && version == kRowVersion && ReadFlags(&in, 1, &closed);
    row.closed = closed;
  }
  if (!ok || !Read(&in, &row.held) || !in.Done())
    return Malformed("holder", value, in, kHolderRowVersion2);
  return SmallRow(row);
}

void PutRow(std::string* out, const NodeFloorRow& row) { Put(out, row.lost_incarnation); }
bool ReadRow(ByteReader* in, NodeFloorRow* row) { return Read(in, &row->lost_incarnation); }

bool ReadRestAsOutcome(ByteReader* in, Outcome* outcome) {
  std::string_view bytes;
  if (!in->Skip(in->remaining(), &bytes)) return false;
  absl::StatusOr<Outcome> decoded = DecodeOutcome(bytes);
  if (!decoded.ok()) return false;
  *outcome = *std::move(decoded);
  return true;
}

void PutRow(std::string* out, const RequestRow& row) { AppendOutcome(out, row.outcome); }
bool ReadRow(ByteReader* in, RequestRow* row) { return ReadRestAsOutcome(in, &row->outcome); }

void PutRow(std::string* out, const SessionRow& row) {
  Put(out, row.idle_limit);
  Put(out, row.expires);
  Put(out, row.floor);
}
bool ReadRow(ByteReader* in, SessionRow* row) {
  return Read(in, &row->idle_limit) && Read(in, &row->expires) && Read(in, &row->floor);
}

void PutRow(std::string* out, const SessionOutcomeRow& row) { AppendOutcome(out, row.outcome); }
bool ReadRow(ByteReader* in, SessionOutcomeRow* row) {
  return ReadRestAsOutcome(in, &row->outcome);
}

void PutRow(std::string* out, const GraveRow& row) { Put(out, row.members); }
bool ReadRow(ByteReader* in, GraveRow* row) { return Read(in, &row->members); }

void PutRow(std::string* out, const ClusterRecordRow& row) {
  Put(out, row.version);
  PutBytes(out, row.record);
}
bool ReadRow(ByteReader* in, ClusterRecordRow* row) {
  std::string_view record;
  if (!Read(in, &row->version) || !in->Bytes(&record)) return false;
  row->record = std::string(record);
  return true;
}

template <class Row>
absl::StatusOr<SmallRow> DecodeAs(const char* what, std::string_view value) {
  ByteReader in(value);
  Row row;
  if (!ReadVersion(&in) || !ReadRow(&in, &row) || !in.Done()) return Malformed(what, value, in);
  return SmallRow(std::move(row));
}

}  // namespace

size_t WriteJobRow(const Job& job, char* out) {
  uint16_t fields = 0;
  char* p = out + 4;
  p = WriteVarint(p, job.queue.value());
  p = WriteVarint(p, job.created.micros());
  p = WriteVarint(p, job.payload_size_bytes);
  p = WriteFixed64(p, job.payload_digest);
  const auto field = [&](JobField bit, uint64_t v) {
    if (v == 0) return;
    fields |= bit;
    p = WriteVarint(p, v);
  };
  const auto micros = [](LogDuration d) { return static_cast<uint64_t>(d.micros()); };
  field(kPriority, job.priority);
  field(kDue, job.due.micros());
  field(kLease, micros(job.lease));
  if (job.expires != LogTime::Never()) {
    fields |= kExpires;
    p = WriteVarint(p, job.expires.micros());
  }
  field(kDelay, micros(job.delay));
  field(kEpoch, job.epoch);
  field(kToken, job.token.value());
  field(kAttempts, job.attempts);
  field(kFailures, job.failures);
  field(kReserves, job.reserves);
  field(kTimeouts, job.timeouts);
  field(kReleases, job.releases);
  field(kBuries, job.buries);
  field(kKicks, job.kicks);
  if (job.holder != Holder()) {
    fields |= kHolder;
    p = WriteVarint(p, job.holder.node.value());
    p = WriteVarint(p, job.holder.incarnation);
    p = WriteVarint(p, job.holder.n);
  }
  field(kCurrentLease, micros(job.current_lease));
  out[0] = static_cast<char>(kRowVersion);
  out[1] = static_cast<char>(static_cast<uint8_t>(job.state) |
                             static_cast<uint8_t>(job.buried_reason) << 4);
  out[2] = static_cast<char>(fields & 0xff);
  out[3] = static_cast<char>(fields >> 8);
  return static_cast<size_t>(p - out);
}

std::string EncodeJobRow(const Job& job) {
  char row[kJobRowBytesMax];
  return std::string(row, WriteJobRow(job, row));
}

absl::StatusOr<Job> DecodeJobRow(JobId id, std::string_view value) {
  ByteReader in(value);
  Job job;
  job.id = id;
  if (!ReadJob(&in, &job)) return Malformed("job", value, in);
  if (MutantIs(Mutant::kDelayIgnoredAfterRestart) && job.state == JobState::kDelayed) {
    job.due = job.created;
  }
  return job;
}

std::string EncodeLayoutRow(uint32_t version) {
  std::string out;
  PutFixed8(&out, kRowVersion);
  Put(&out, uint64_t{version});
  return out;
}

absl::Status CheckLayoutRow(std::string_view value) {
  ByteReader in(value);
  uint32_t version = 0;
  if (!ReadVersion(&in) || !Read(&in, &version) || !in.Done()) {
    return Malformed("layout", value, in);
  }
  if (version == kLayoutVersion) return absl::OkStatus();
  return absl::FailedPreconditionError("rows have layout version " + std::to_string(version) +
                                       ", this build reads version " +
                                       std::to_string(kLayoutVersion));
}

std::string EncodeAppliedRow(const AppliedRow& row) {
  const bool is_plain = row.configuration.empty() && !row.installing;
  std::string out;
  PutFixed8(&out, is_plain ? kRowVersion : kAppliedRowVersion2);
  Put(&out, row.index);
  Put(&out, row.term);
  PutFixed64(&out, row.state_hash);
  if (is_plain) return out;
  PutFixed8(&out, row.installing ? kInstalling : 0);
  PutBytes(&out, row.configuration);
  return out;
}

absl::StatusOr<AppliedRow> DecodeAppliedRow(std::string_view value) {
  ByteReader in(value);
  AppliedRow row;
  uint8_t version = 0;
  uint8_t flags = 0;
  std::string_view configuration;
  bool ok = in.Fixed8(&version) && (version == kRowVersion || version == kAppliedRowVersion2) &&
            Read(&in, &row.index) && Read(&in, &row.term) && in.Fixed64(&row.state_hash);
  if (ok && version == kAppliedRowVersion2) {
    ok = ReadFlags(&in, kInstalling, &flags) && in.Bytes(&configuration);
  }
  if (!ok || !in.Done()) return Malformed("applied", value, in);
  row.installing = (flags & kInstalling) != 0;
  row.configuration = configuration;
  return row;
}

std::string EncodeQueueRow(const QueueRecord& record) {
  std::string out;
  out.reserve(192 + record.name.size());
  PutFixed8(&out, kRowVersion);
  PutFixed8(&out, record.has_options ? kHasOptions : 0);
  PutBytes(&out, record.name);
  field_codec::PutOptions(&out, record.options, kAllQueueOptionFields);
  Put(&out, record.created);
  Put(&out, record.paused_until);
  Put(&out, record.pause);
  Put(&out, record.idle_since);
  Put(&out, record.deadline);
  for (const uint32_t epoch : record.epochs) Put(&out, uint64_t{epoch});
  for (const uint64_t count : record.counts) Put(&out, count);
  Put(&out, record.urgent);
  Put(&out, record.ttl_count);
  Put(&out, record.dedup_count);
  Put(&out, record.bytes);
  for (const uint64_t hash : record.hash_by_state) PutFixed64(&out, hash);
  Put(&out, record.total_enqueued);
  Put(&out, record.total_deleted);
  Put(&out, record.total_timeouts);
  Put(&out, record.total_pauses);
  return out;
}

absl::StatusOr<QueueRecord> DecodeQueueRow(QueueId id, std::string_view value) {
  ByteReader in(value);
  QueueRecord record;
  record.id = id;
  if (!ReadQueue(&in, &record)) return Malformed("queue", value, in);
  return record;
}

std::string EncodeDedupRow(const DedupRecord& record) {
  std::string out;
  PutFixed8(&out, kRowVersion);
  Put(&out, record.job);
  Put(&out, record.expires);
  return out;
}

absl::StatusOr<DedupRecord> DecodeDedupRow(QueueId queue, std::string_view key,
                                           std::string_view value) {
  ByteReader in(value);
  DedupRecord record{queue, std::string(key), JobId(), LogTime()};
  if (!ReadVersion(&in) || !Read(&in, &record.job) || !Read(&in, &record.expires) || !in.Done()) {
    return Malformed("dedup", value, in);
  }
  return record;
}

std::string EncodeDedupIndexRow(std::string_view key) {
  std::string out;
  out.reserve(1 + key.size());
  PutFixed8(&out, kRowVersion);
  out.append(key);
  return out;
}

absl::StatusOr<DedupRecord> DecodeDedupIndexRow(QueueId queue, SetKey place,
                                                std::string_view value) {
  ByteReader in(value);
  std::string_view key;
  if (!ReadVersion(&in) || in.remaining() == 0 || !in.Skip(in.remaining(), &key)) {
    return Malformed("dedup index", value, in);
  }
  return DedupRecord{queue, std::string(key), JobId(place.id), LogTime::FromMicros(place.key)};
}

std::string EncodeSmallRow(const SmallRow& row) {
  if (const auto* holder = std::get_if<HolderRow>(&row)) return EncodeHolderRow(*holder);
  std::string out;
  PutFixed8(&out, kRowVersion);
  const auto put = [&out](const auto& alternative) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(alternative)>, HolderRow>) {
      PutRow(&out, alternative);
    }
  };
  std::visit(put, row);
  return out;
}

absl::StatusOr<SmallRow> DecodeSmallRow(const SmallRowKey& key, std::string_view value) {
  if (std::holds_alternative<GlobalsKey>(key)) return DecodeAs<GlobalsRow>("globals", value);
  if (std::holds_alternative<HolderKey>(key)) return DecodeHolderRow(value);
  if (std::holds_alternative<NodeFloorKey>(key)) return DecodeAs<NodeFloorRow>("node", value);
  if (std::holds_alternative<RequestKey>(key)) return DecodeAs<RequestRow>("request", value);
  if (std::holds_alternative<SessionKey>(key)) return DecodeAs<SessionRow>("session", value);
  if (std::holds_alternative<SessionOutcomeKey>(key)) {
    return DecodeAs<SessionOutcomeRow>("session outcome", value);
  }
  if (std::holds_alternative<ClusterRecordKey>(key)) {
    return DecodeAs<ClusterRecordRow>("cluster record", value);
  }
  return DecodeAs<GraveRow>("grave", value);
}

absl::Status RowError(const absl::Status& status, std::string_view table, std::string_view key) {
  constexpr size_t kKeyBytesShown = 64;
  std::string message = "table " + std::string(table) + ", key ";
  for (const char c : key.substr(0, kKeyBytesShown)) {
    constexpr char kHex[] = "0123456789abcdef";
    message += kHex[static_cast<uint8_t>(c) >> 4];
    message += kHex[static_cast<uint8_t>(c) & 0xf];
  }
  if (key.size() > kKeyBytesShown) message += "...";
  message += ": " + std::string(status.message());
  return absl::Status(status.code(), message);
}

}  // namespace holdfast
