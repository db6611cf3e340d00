#include "storage/log/segment_log_store.h"

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "storage/batch_check.h"
#include "storage/log/entry_reader.h"
#include "storage/log/record_format.h"

namespace holdfast {
namespace {

constexpr uint64_t kSegmentBytesMin = 4 << 10;
constexpr uint64_t kSegmentBytesMax = 1 << 30;
constexpr uint64_t kBlockBytes = 4 << 10;

uint64_t NewSalt() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

StoredKind KindOf(const LogRecord& record) {
  switch (record.kind) {
    case LogRecord::Kind::kEntry:
      return StoredKind::kEntry;
    case LogRecord::Kind::kHardState:
      return StoredKind::kHardState;
    case LogRecord::Kind::kCompact:
      return StoredKind::kCompact;
    case LogRecord::Kind::kReset:
      return StoredKind::kReset;
  }
  CHECK(false);
  return StoredKind::kSeal;
}

uint64_t StoredBytes(const LogRecord& record) {
  return RecordBytes(record.kind == LogRecord::Kind::kHardState ? kHardStatePayloadBytes
                                                                : record.payload_bytes);
}

RecordHeader HeaderOf(const LogRecord& record) {
  RecordHeader header;
  header.shard = record.shard;
  header.kind = KindOf(record);
  header.entry_type = record.entry_type;
  header.term = record.term;
  header.index = record.index;
  return header;
}

// Writes [begin, end) of the file again with what is read from it, and syncs. The process before
// may have had a failed sync, after which the kernel holds pages that it believes are on disk and
// are not; and what it never synced must be durable before it is built upon.
absl::Status MakeDurableAgain(File* file, uint64_t begin, uint64_t end) {
  std::string buffer(1 << 20, '\0');
  for (uint64_t offset = begin; offset < end;) {
    const size_t size = std::min<uint64_t>(buffer.size(), end - offset);
    ASSIGN_OR_RETURN(const size_t got, file->Read(offset, std::span(buffer.data(), size)));
    if (got != size) return absl::DataLossError("the file became shorter while it was read");
    const std::string_view bytes(buffer.data(), size);
    RETURN_IF_ERROR(file->Write(offset, {&bytes, 1}));
    offset += size;
  }
  return file->Sync();
}

}  // namespace

SegmentLogStore::SegmentLogStore(FileSystem* files, std::string directory,
                                 const SegmentLogOptions& options, std::unique_ptr<FileLock> lock)
    : files_(files),
      directory_(std::move(directory)),
      options_(options),
      lock_(std::move(lock)),
      pool_(files, directory_, options.segment_bytes, options.spare_segments_max) {}

absl::StatusOr<std::unique_ptr<SegmentLogStore>> SegmentLogStore::Open(
    FileSystem* files, const std::string& directory, const SegmentLogOptions& options) {
  CHECK_GE(options.segment_bytes, kSegmentBytesMin);
  CHECK_LE(options.segment_bytes, kSegmentBytesMax);
  CHECK_GE(options.spare_segments_max, 1u);
  RETURN_IF_ERROR(files->CreateDirectory(directory));
  ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock, files->Lock(absl::StrCat(directory, "/LOCK")));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(directory));
  std::vector<uint64_t> sequences;
  uint64_t number = 0;
  for (const std::string& name : names) {
    if (ParseSegmentFileName(name, &number)) sequences.push_back(number);
  }
  ASSIGN_OR_RETURN(RecoveredLog log, RecoverLog(files, directory, std::move(sequences)));
  // Nothing was changed until here.
  std::unique_ptr<SegmentLogStore> store(
      new SegmentLogStore(files, directory, options, std::move(lock)));
  // A name that is gone now may come back if its directory was not synced.
  RETURN_IF_ERROR(files->SyncDirectory(directory));
  for (const std::string& name : names) {
    if (ParseSpareFileName(name, &number)) RETURN_IF_ERROR(store->pool_.Adopt(name, number));
  }
  RETURN_IF_ERROR(store->TakeOver(std::move(log)));
  return store;
}

absl::Status SegmentLogStore::TakeOver(RecoveredLog log) {
  recovery_ = std::move(log.summary);
  salt_ = log.salt.has_value() ? *log.salt : options_.salt != 0 ? options_.salt : NewSalt();
  uint64_t previous_end = 0;
  {
    absl::MutexLock lock(&mutex_);
    index_ = std::move(log.index);
    for (const RecoveredSegment& segment : log.segments) {
      segments_.push_back({segment.sequence, segment.path, segment.file, segment.file_bytes});
    }
  }
  if (!log.segments.empty()) {
    const RecoveredSegment& last = log.segments.back();
    RETURN_IF_ERROR(MakeDurableAgain(last.file.get(), last.known_synced, last.end));
    previous_end = last.end;
  }
  for (RecoveredSegment& leftover : log.leftovers) {
    RETURN_IF_ERROR(pool_.Retire(leftover.path, std::move(leftover.file)));
  }
  // What follows goes into a new segment, which says where this one ends. So nothing that lies
  // behind the end can come back, and the file does not need to be cleaned.
  uint64_t capacity = 0;
  {
    absl::MutexLock lock(&mutex_);
    const uint64_t checkpoint_bytes = index_.shard_count() * kCheckpointShardBytes;
    capacity = std::max(options_.segment_bytes,
                        PaddedBytes(SegmentWriter::OverheadBytes(checkpoint_bytes)));
  }
  RETURN_IF_ERROR(pool_.Reserve({&capacity, 1}, 0));
  RETURN_IF_ERROR(BeginSegment(capacity, previous_end));
  if (!log.segments.empty()) {
    const RecoveredSegment& last = log.segments.back();
    const uint64_t used = (last.end + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    if (last.file_bytes > used + (last.file_bytes / 8)) {
      RETURN_IF_ERROR(last.file->Truncate(used));
      absl::MutexLock lock(&mutex_);
      segments_[segments_.size() - 2].file_bytes = used;
    }
  }
  log.segments.clear();  // its references to files would keep them from being reused
  RETURN_IF_ERROR(Reclaim());
  // The reserve. Without space for it the log can be opened, so that it can be compacted.
  const absl::Status reserved = pool_.Reserve({}, 1);
  if (!reserved.ok() && !absl::IsResourceExhausted(reserved)) return reserved;
  absl::MutexLock lock(&mutex_);
  spare_bytes_ = pool_.file_bytes();
  return absl::OkStatus();
}

absl::Status SegmentLogStore::Stop(const absl::Status& why) {
  if (stopped_.ok()) {
    stopped_ = absl::Status(
        why.code() == absl::StatusCode::kResourceExhausted ? absl::StatusCode::kUnknown
                                                           : why.code(),
        absl::StrCat("the log in ", directory_, " is stopped: ", std::string(why.message())));
  }
  return stopped_;
}

absl::StatusOr<std::vector<SegmentLogStore::PlannedSwitch>> SegmentLogStore::PlanAndReserve(
    const LogBatch& batch) {
  std::vector<PlannedSwitch> switches;
  uint64_t needed = 0;
  for (const LogRecord& record : batch.records()) needed += StoredBytes(record);
  if (needed <= writer_->RemainingBytes()) return switches;

  // A checkpoint in the middle of the batch has at most all shards that are known then.
  uint64_t shards = 0;
  bool entries = false;
  {
    std::set<ShardId> new_shards;
    absl::MutexLock lock(&mutex_);
    for (const LogRecord& record : batch.records()) {
      if (!index_.Knows(record.shard)) new_shards.insert(record.shard);
      entries = entries || record.kind == LogRecord::Kind::kEntry;
    }
    shards = index_.shard_count() + new_shards.size();
  }
  const uint64_t overhead = SegmentWriter::OverheadBytes(shards * kCheckpointShardBytes);
  uint64_t remaining = writer_->RemainingBytes();
  std::vector<uint64_t> capacities;
  for (size_t i = 0; i < batch.records().size(); ++i) {
    const uint64_t size = StoredBytes(batch.records()[i]);
    if (size > remaining) {
      const uint64_t least = (overhead + size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
      capacities.push_back(std::max(options_.segment_bytes, least));
      switches.push_back({i, capacities.back()});
      remaining = capacities.back() - overhead;
    }
    remaining -= size;
  }
  RETURN_IF_ERROR(pool_.Reserve(capacities, entries ? 1 : 0));
  return switches;
}

absl::Status SegmentLogStore::Write(const LogBatch& batch, SyncMode sync) {
  RETURN_IF_ERROR(stopped_);
  RETURN_IF_ERROR(CheckBatch(batch, *this));
  absl::StatusOr<std::vector<PlannedSwitch>> switches = PlanAndReserve(batch);
  if (!switches.ok()) {
    if (absl::IsResourceExhausted(switches.status())) return switches.status();
    return Stop(switches.status());
  }
  absl::Status status = WriteRecords(batch, *switches, sync);
  if (status.ok() && sync == SyncMode::kNow) status = Reclaim();
  return status.ok() ? status : Stop(status);
}

absl::Status SegmentLogStore::WriteRecords(const LogBatch& batch,
                                           const std::vector<PlannedSwitch>& switches,
                                           SyncMode sync) {
  const std::vector<LogRecord>& records = batch.records();
  positions_.clear();
  size_t published = 0;
  size_t next_switch = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    if (next_switch < switches.size() && switches[next_switch].record == i) {
      // A segment is whole and durable before its successor begins.
      RETURN_IF_ERROR(writer_->Sync());
      Publish(batch, published);
      published = i;
      RETURN_IF_ERROR(BeginSegment(switches[next_switch].capacity_bytes, writer_->end()));
      ++next_switch;
    }
    ASSIGN_OR_RETURN(const EntryPosition position, AddRecord(batch, records[i]));
    positions_.push_back(position);
  }
  RETURN_IF_ERROR(sync == SyncMode::kNow ? writer_->Sync() : writer_->Flush());
  Publish(batch, published);
  return absl::OkStatus();
}

absl::StatusOr<EntryPosition> SegmentLogStore::AddRecord(const LogBatch& batch,
                                                         const LogRecord& record) {
  EntryPosition position;
  position.segment = static_cast<uint32_t>(writer_->sequence());
  position.payload_bytes = static_cast<uint32_t>(record.payload_bytes);
  if (record.kind != LogRecord::Kind::kHardState) {
    ASSIGN_OR_RETURN(position.offset, writer_->Add(HeaderOf(record), batch.PayloadOf(record)));
    return position;
  }
  // Small enough to be copied by the writer.
  const uint64_t vote = record.vote.value();
  const std::string_view payload(reinterpret_cast<const char*>(&vote), kHardStatePayloadBytes);
  ASSIGN_OR_RETURN(position.offset, writer_->Add(HeaderOf(record), {&payload, 1}));
  return position;
}

void SegmentLogStore::Publish(const LogBatch& batch, size_t begin) {
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < positions_.size(); ++i) {
    const LogRecord& record = batch.records()[begin + i];
    const absl::Status status = index_.Apply(HeaderOf(record), positions_[i], record.vote);
    CHECK(status.ok());  // CheckBatch saw to it
  }
  positions_.clear();
}

absl::Status SegmentLogStore::BeginSegment(uint64_t capacity_bytes, uint64_t previous_end) {
  SpareSegment spare = pool_.Take(capacity_bytes);
  std::string checkpoint;
  SegmentHeader header;
  header.salt = salt_;
  header.previous_end = previous_end;
  {
    absl::MutexLock lock(&mutex_);
    header.sequence = segments_.empty() ? 1 : segments_.back().sequence + 1;
    checkpoint = EncodeCheckpoint(index_.Marks());
  }
  // The content is durable before the name says that it is a segment, so the start of a segment
  // can never be torn.
  ASSIGN_OR_RETURN(std::unique_ptr<SegmentWriter> writer,
                   SegmentWriter::Start(spare.file, header, checkpoint, spare.capacity_bytes,
                                        spare.overwritten_bytes));
  const std::string path = absl::StrCat(directory_, "/", SegmentFileName(header.sequence));
  RETURN_IF_ERROR(files_->Rename(spare.path, path));
  RETURN_IF_ERROR(files_->SyncDirectory(directory_));
  writer_ = std::move(writer);
  absl::MutexLock lock(&mutex_);
  index_.AddSegment(header.sequence);
  segments_.push_back({header.sequence, path, std::move(spare.file), spare.capacity_bytes});
  spare_bytes_ = pool_.file_bytes();
  return absl::OkStatus();
}

absl::Status SegmentLogStore::Reclaim() {
  CHECK(!writer_->HasUnsynced());
  while (true) {
    Segment freed;
    {
      absl::MutexLock lock(&mutex_);
      if (segments_.size() <= 1 || index_.LiveInOldest() != 0) return absl::OkStatus();
      index_.RemoveOldest();
      freed = std::move(segments_.front());
      segments_.pop_front();
    }
    RETURN_IF_ERROR(pool_.Retire(freed.path, std::move(freed.file)));
    absl::MutexLock lock(&mutex_);
    spare_bytes_ = pool_.file_bytes();
  }
}

absl::Status SegmentLogStore::Sync() {
  RETURN_IF_ERROR(stopped_);
  absl::Status status = writer_->Sync();
  if (status.ok()) status = Reclaim();
  return status.ok() ? status : Stop(status);
}

absl::Status SegmentLogStore::Seal() {
  RETURN_IF_ERROR(Sync());
  const absl::Status status = writer_->Seal();
  return status.ok() ? status : Stop(status);
}

absl::Status SegmentLogStore::ReadEntries(ShardId shard, LogIndex begin, LogIndex end,
                                          uint64_t bytes_max,
                                          std::vector<StoredEntry>* entries) const {
  std::vector<LocatedEntry> located;
  std::vector<EntryToRead> wanted;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(index_.Locate(shard, begin, end, bytes_max, &located));
    wanted.reserve(located.size());
    for (const LocatedEntry& entry : located) {
      const size_t i = entry.position.segment - segments_.front().sequence;
      wanted.push_back({entry, segments_[i].file});
    }
  }
  return ReadLocatedEntries(directory_, salt_, shard, wanted, entries);
}

absl::StatusOr<Term> SegmentLogStore::TermAt(ShardId shard, LogIndex index) const {
  absl::MutexLock lock(&mutex_);
  return index_.TermAt(shard, index);
}

ShardLog SegmentLogStore::Describe(ShardId shard) const {
  absl::MutexLock lock(&mutex_);
  return index_.Describe(shard);
}

LogUsage SegmentLogStore::Usage() const {
  absl::MutexLock lock(&mutex_);
  LogUsage usage = index_.Usage();
  usage.file_bytes = spare_bytes_;
  for (const Segment& segment : segments_) usage.file_bytes += segment.file_bytes;
  return usage;
}

LogIndex SegmentLogStore::LastBehind(ShardId shard, uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  const size_t written = segments_.size() - 1;
  size_t i = written;
  for (uint64_t behind = 0; behind < bytes; --i) {
    if (i == 0) return LogIndex();
    if (i != written) behind += segments_[i].file_bytes;
  }
  return index_.LastThrough(shard, segments_[i].sequence);
}

}  // namespace holdfast
