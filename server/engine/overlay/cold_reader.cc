#include "server/engine/overlay/cold_reader.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "server/codec/payload_codec.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

constexpr uint64_t kScanBytesMax = UINT64_MAX;
constexpr uint64_t kRowsPerScan = 4096;

// A few lookups are cheaper than an iterator.
constexpr size_t kScanJobsMin = 32;
// Rows stepped over for each that is wanted: stepping costs about a tenth of a lookup.
constexpr uint64_t kScanSpanMax = 2;

// True if the jobs, sorted, lie so close together that reading all rows from the first to the last
// is cheaper than looking each one up. The ids of a shard's jobs differ by multiples of the number
// of shards, which is the smallest distance if any two are neighbours.
bool AreDense(absl::Span<const JobId> jobs, absl::Span<const uint32_t> order) {
  if (jobs.size() < kScanJobsMin) return false;
  uint64_t step = UINT64_MAX;
  for (size_t i = 1; i < order.size(); ++i) {
    step = std::min(step, jobs[order[i]].value() - jobs[order[i - 1]].value());
  }
  const uint64_t span = jobs[order.back()].value() - jobs[order.front()].value();
  return step > 0 && span / step < kScanSpanMax * jobs.size();
}

// Finds the first keys by one scan, as many as it reaches within its bound; how many those are.
// REQUIRES: `keys` ascending.
absl::StatusOr<size_t> ScanRows(
    const StateSnapshot& snapshot, Table table, absl::Span<const std::string> keys,
    absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) {
  const std::string past = keys.back() + '\0';
  const ScanRange range = {.begin = keys.front(),
                           .end = past,
                           .rows_max = kScanSpanMax * keys.size(),
                           .bytes_max = kScanBytesMax};
  size_t next = 0;
  ASSIGN_OR_RETURN(const ScanEnd end,
                   snapshot.Scan(table, range, [&](std::string_view key, std::string_view value) {
                     while (next < keys.size() && keys[next] < key) found(next++, std::nullopt);
                     if (next < keys.size() && keys[next] == key) found(next++, value);
                     return true;
                   }));
  while (end.reached_end && next < keys.size()) found(next++, std::nullopt);
  return next;
}

// Reads the rows of many jobs: found(i, value) for each, nullopt if there is none. The store is
// asked in order of ids, which is cheapest, whatever the order of `jobs`.
absl::Status ReadRows(const StateSnapshot& snapshot, Table table, ShardId shard,
                      absl::Span<const JobId> jobs, Reach reach,
                      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) {
  std::vector<uint32_t> order(jobs.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return jobs[a] < jobs[b]; });
  std::vector<std::string> keys;
  keys.reserve(jobs.size());
  for (const uint32_t i : order) keys.push_back(JobRowKey(shard, jobs[i]));
  size_t scanned = 0;
  if (reach == Reach::kDevice && AreDense(jobs, order)) {
    ASSIGN_OR_RETURN(scanned, ScanRows(snapshot, table, keys,
                                       [&](size_t i, std::optional<std::string_view> value) {
                                         found(order[i], value);
                                       }));
  }
  const std::vector<std::string_view> rest(keys.begin() + static_cast<ptrdiff_t>(scanned),
                                           keys.end());
  return snapshot.MultiGet(
      table, rest, reach,
      [&](size_t i, std::optional<std::string_view> value) { found(order[scanned + i], value); });
}

// Decodes job rows; nullopt for those that are absent.
absl::StatusOr<std::vector<std::optional<Job>>> ReadJobs(const StateSnapshot& snapshot,
                                                         ShardId shard,
                                                         absl::Span<const JobId> ids) {
  std::vector<std::optional<Job>> jobs(ids.size());
  absl::Status error;
  RETURN_IF_ERROR(ReadRows(snapshot, Table::kJob, shard, ids, Reach::kDevice,
                           [&](size_t i, std::optional<std::string_view> value) {
                             if (!value.has_value()) return;
                             absl::StatusOr<Job> job = DecodeJobRow(ids[i], *value);
                             if (job.ok()) {
                               jobs[i] = *job;
                             } else {
                               error = RowError(job.status(), "kJob", JobRowKey(shard, ids[i]));
                             }
                           }));
  RETURN_IF_ERROR(error);
  return jobs;
}

absl::Status FetchJobs(const StateSnapshot& snapshot, ShardId shard, const Needs& needs,
                       Loaded* loaded) {
  if (needs.jobs.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::optional<Job>> jobs,
                   ReadJobs(snapshot, shard, needs.jobs));
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].has_value()) {
      loaded->jobs.push_back(*jobs[i]);
    } else {
      loaded->absent_jobs.push_back(needs.jobs[i]);
    }
  }
  return absl::OkStatus();
}

absl::Status FetchDedup(const StateSnapshot& snapshot, ShardId shard, const Needs::Dedup& need,
                        Loaded* loaded) {
  const std::string key = DedupRowKey(shard, need.queue, need.key);
  ASSIGN_OR_RETURN(const std::optional<std::string> value, snapshot.Get(Table::kMeta, key));
  Loaded::Dedup dedup = {need.queue, need.key, value.has_value(), DedupRecord()};
  if (value.has_value()) {
    absl::StatusOr<DedupRecord> record = DecodeDedupRow(need.queue, need.key, *value);
    if (!record.ok()) return RowError(record.status(), "kMeta", key);
    dedup.record = *std::move(record);
  }
  loaded->dedups.push_back(std::move(dedup));
  return absl::OkStatus();
}

// The places of at most `limit` members of the set, and for kDedup the members themselves.
absl::StatusOr<std::vector<SetKey>> ScanPlaces(const StateSnapshot& snapshot, ShardId shard,
                                               const Needs::Scan& need, Loaded::Scan* out) {
  const KeyRange range = SetRange(shard, need.set, need.from);
  std::vector<SetKey> places;
  absl::Status error;
  std::string begin = range.begin;
  out->exhausted = false;
  while (!out->exhausted && places.size() < need.limit) {
    const ScanRange rows = {
        .begin = begin,
        .end = range.end,
        .rows_max = std::min<uint64_t>(need.limit - places.size(), kRowsPerScan),
        .bytes_max = kScanBytesMax};
    const auto visit = [&](std::string_view key, std::string_view value) {
      absl::StatusOr<SetKey> place = ParseIndexKey(shard, need.set, key);
      if (place.ok() && need.set.kind == SetKind::kDedup) {
        absl::StatusOr<DedupRecord> record = DecodeDedupIndexRow(need.set.queue, *place, value);
        if (record.ok()) {
          out->dedups.push_back(*std::move(record));
        } else {
          error = RowError(record.status(), "kIndex", key);
        }
      } else if (place.ok() && !value.empty()) {
        error = RowError(absl::DataLossError("value is not empty"), "kIndex", key);
      }
      if (!place.ok()) error = place.status();
      if (!error.ok()) return false;
      places.push_back(*place);
      return true;
    };
    ASSIGN_OR_RETURN(ScanEnd end, snapshot.Scan(Table::kIndex, rows, visit));
    RETURN_IF_ERROR(error);
    out->exhausted = end.reached_end;
    begin = std::move(end.next);
  }
  return places;
}

absl::Status FetchScan(const StateSnapshot& snapshot, ShardId shard, const Needs::Scan& need,
                       Loaded* loaded) {
  Loaded::Scan scan = {
      .set = need.set, .from = need.from, .jobs = {}, .dedups = {}, .exhausted = false, .last = {}};
  ASSIGN_OR_RETURN(const std::vector<SetKey> places, ScanPlaces(snapshot, shard, need, &scan));
  if (!places.empty()) scan.last = places.back();
  if (need.set.kind != SetKind::kDedup) {
    std::vector<JobId> ids;
    ids.reserve(places.size());
    for (const SetKey& place : places) ids.push_back(JobId(place.id));
    ASSIGN_OR_RETURN(const std::vector<std::optional<Job>> jobs, ReadJobs(snapshot, shard, ids));
    scan.jobs.reserve(jobs.size());
    for (size_t i = 0; i < jobs.size(); ++i) {
      const std::string key = IndexKey(shard, need.set, places[i]);
      if (!jobs[i].has_value()) {
        return RowError(absl::DataLossError("there is no row for this job"), "kIndex", key);
      }
      bool is_there = false;
      for (const IndexPlace& place : IndexPlacesOf(jobs[i]->id, PlacesOf(*jobs[i]))) {
        is_there |= IndexKey(shard, place.set, place.key) == key;
      }
      if (!is_there) {
        return RowError(absl::DataLossError("this job's row puts it elsewhere"), "kIndex", key);
      }
      scan.jobs.push_back(*jobs[i]);
    }
  }
  loaded->scans.push_back(std::move(scan));
  return absl::OkStatus();
}

// Visits all rows of a range; stops at the first error of `visit`.
absl::Status ForEachRow(
    const StateSnapshot& snapshot, Table table, const KeyRange& range,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit) {
  std::string begin = range.begin;
  absl::Status error;
  for (bool more = true; more;) {
    const ScanRange rows = {
        .begin = begin, .end = range.end, .rows_max = kRowsPerScan, .bytes_max = kScanBytesMax};
    ASSIGN_OR_RETURN(ScanEnd end,
                     snapshot.Scan(table, rows, [&](std::string_view key, std::string_view value) {
                       error = visit(key, value);
                       return error.ok();
                     }));
    RETURN_IF_ERROR(error);
    more = !end.reached_end;
    begin = std::move(end.next);
  }
  return absl::OkStatus();
}

absl::Status PayloadError(JobId job, const std::string& what) {
  return absl::DataLossError("stored payload of job " + std::to_string(job.value()) + ": " + what);
}

}  // namespace

absl::StatusOr<Loaded> FetchNeeds(const StateSnapshot& snapshot, ShardId shard,
                                  const Needs& needs) {
  Loaded loaded;
  RETURN_IF_ERROR(FetchJobs(snapshot, shard, needs, &loaded));
  for (const Needs::Dedup& need : needs.dedups) {
    RETURN_IF_ERROR(FetchDedup(snapshot, shard, need, &loaded));
  }
  for (const Needs::Scan& need : needs.scans) {
    RETURN_IF_ERROR(FetchScan(snapshot, shard, need, &loaded));
  }
  return loaded;
}

std::optional<Loaded> FilterLoaded(Loaded loaded, uint64_t releases, const DirtyOverlay& overlay) {
  if (releases != overlay.releases()) return std::nullopt;
  const auto is_dirty_job = [&](const Job& job) { return overlay.IsDirty(job.id); };
  // Rows of deleted jobs and dedup entries are answered as absent: the machine may ask for them
  // by name without remembering that they are gone.
  std::erase_if(loaded.absent_jobs,
                [&](JobId id) { return overlay.IsDirty(id) && !overlay.IsGone(id); });
  for (const Job& job : loaded.jobs) {
    if (overlay.IsGone(job.id)) loaded.absent_jobs.push_back(job.id);
  }
  std::erase_if(loaded.jobs, is_dirty_job);
  for (Loaded::Dedup& dedup : loaded.dedups) {
    if (!overlay.IsGone(dedup.queue, dedup.key)) continue;
    dedup.found = false;
    dedup.record = DedupRecord();
  }
  std::erase_if(loaded.dedups, [&](const Loaded::Dedup& d) {
    return overlay.IsDirty(d.queue, d.key) && !overlay.IsGone(d.queue, d.key);
  });
  for (Loaded::Scan& scan : loaded.scans) {
    std::erase_if(scan.jobs, is_dirty_job);
    std::erase_if(scan.dedups,
                  [&](const DedupRecord& d) { return overlay.IsDirty(d.queue, d.key); });
  }
  return loaded;
}

absl::StatusOr<std::vector<PayloadRef>> ReadPayloads(const StateSnapshot& snapshot, ShardId shard,
                                                     absl::Span<const PayloadQuery> queries,
                                                     Reach reach) {
  std::vector<JobId> ids;
  ids.reserve(queries.size());
  for (const PayloadQuery& query : queries) ids.push_back(query.job);
  std::vector<PayloadRef> payloads(queries.size());
  absl::Status error;
  RETURN_IF_ERROR(ReadRows(
      snapshot, Table::kPayload, shard, ids, reach,
      [&](size_t i, std::optional<std::string_view> value) {
        if (!error.ok()) return;
        const PayloadQuery& query = queries[i];
        if (!value.has_value() && query.may_be_gone) {
          return;
        } else if (!value.has_value()) {
          error = PayloadError(query.job, "there is none");
        } else if (value->size() != query.size_bytes) {
          error = PayloadError(query.job, "has " + std::to_string(value->size()) + " bytes, not " +
                                              std::to_string(query.size_bytes));
        } else if (PayloadDigest(*value) != query.digest) {
          error = PayloadError(query.job, "does not have the digest it was enqueued with");
        } else {
          auto owner = std::make_shared<const std::string>(*value);
          const std::string_view bytes = *owner;
          payloads[i] = {std::move(owner), bytes};
        }
      }));
  RETURN_IF_ERROR(error);
  return payloads;
}

absl::StatusOr<std::optional<AppliedRow>> ReadApplied(const StateSnapshot& snapshot,
                                                      ShardId shard) {
  const std::string layout_key = LayoutKey(shard);
  const std::string applied_key = AppliedKey(shard);
  ASSIGN_OR_RETURN(const std::optional<std::string> layout, snapshot.Get(Table::kMeta, layout_key));
  ASSIGN_OR_RETURN(const std::optional<std::string> value, snapshot.Get(Table::kMeta, applied_key));
  if (layout.has_value() != value.has_value()) {
    return RowError(absl::DataLossError("one of layout and applied rows is missing"), "kMeta",
                    layout.has_value() ? applied_key : layout_key);
  }
  if (!layout.has_value()) return std::optional<AppliedRow>();
  if (absl::Status status = CheckLayoutRow(*layout); !status.ok()) {
    return RowError(status, "kMeta", layout_key);
  }
  absl::StatusOr<AppliedRow> applied = DecodeAppliedRow(*value);
  if (!applied.ok()) return RowError(applied.status(), "kMeta", applied_key);
  return std::optional<AppliedRow>(*applied);
}

absl::Status ReadRecords(const StateSnapshot& snapshot, ShardId shard,
                         absl::FunctionRef<void(const QueueRecord&)> queue,
                         absl::FunctionRef<void(const SmallRowKey&, const SmallRow&)> row) {
  const auto on_queue = [&](std::string_view key, std::string_view value) -> absl::Status {
    ASSIGN_OR_RETURN(const QueueId id, ParseQueueRowKey(shard, key));
    const absl::StatusOr<QueueRecord> record = DecodeQueueRow(id, value);
    if (!record.ok()) return RowError(record.status(), "kMeta", key);
    queue(*record);
    return absl::OkStatus();
  };
  const auto on_row = [&](std::string_view key, std::string_view value) -> absl::Status {
    ASSIGN_OR_RETURN(const SmallRowKey small, ParseSmallRowKey(shard, key));
    const absl::StatusOr<SmallRow> decoded = DecodeSmallRow(small, value);
    if (!decoded.ok()) return RowError(decoded.status(), "kMeta", key);
    row(small, *decoded);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ForEachRow(snapshot, Table::kMeta, MetaRange(shard, MetaKind::kQueue), on_queue));
  for (const MetaKind kind : {MetaKind::kGlobals, MetaKind::kHolder, MetaKind::kNodeFloor,
                              MetaKind::kRequest, MetaKind::kSession, MetaKind::kSessionOutcome,
                              MetaKind::kGrave, MetaKind::kClusterRecord}) {
    RETURN_IF_ERROR(ForEachRow(snapshot, Table::kMeta, MetaRange(shard, kind), on_row));
  }
  return absl::OkStatus();
}

}  // namespace holdfast
