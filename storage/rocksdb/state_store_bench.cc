// Fills a state store with jobs, reads them, drains them from the front, and prints what each
// phase cost. Not a Google Benchmark: each phase changes what the next one meets.
//
//   state_store_bench DIRECTORY [JOBS=1000000] [JOBS_PER_FLUSH=250000] [PASSES=2] [DESIGN=ingest]
//                     [SHARDS=1]
//
// DESIGN: "ingest" is the store; "memtable" is what it was measured against (write batch without
// RocksDB's log, then a flush of all memtables), see docs/adr/0004-state-store-flush.md.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/coding.h"
#include "base/prng.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/rocksdb_snapshot.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

constexpr size_t kJobSize = 68;
constexpr size_t kPayloadSize = 100;

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}
void Must(const rocksdb::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

// The design that was not chosen.
class MemtableStore {
 public:
  explicit MemtableStore(const std::string& directory) {
    rocksdb::DBOptions options = DatabaseOptions(512);
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    options.atomic_flush = true;
    rocksdb::LRUCacheOptions cache_options;
    cache_options.capacity = 64 << 20;
    cache_ = rocksdb::NewLRUCache(cache_options);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, TableOptions(Table::kMeta, cache_));
    for (const Table table : kAllTables) {
      families.emplace_back(TableName(table), TableOptions(table, cache_));
      families.back().options.write_buffer_size = 256 << 20;
      families.back().options.arena_block_size = 1 << 20;
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    Must(rocksdb::DB::Open(options, directory, families, &handles, &db));
    db_.reset(db);
    std::copy(handles.begin(), handles.end(), handles_.begin());
  }
  ~MemtableStore() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  }

  void Flush(const StateBatch& batch) {
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    for (const Table table : kAllTables) {
      rocksdb::ColumnFamilyHandle* family = handles_[static_cast<size_t>(table) + 1];
      rocksdb::WriteBatch rows;
      for (const uint32_t position : batch.Sorted(table)) {
        const StateBatch::Row row = batch.At(table, position);
        if (row.is_delete) {
          Must(rows.Delete(family, SliceOf(row.key)));
        } else {
          Must(rows.Put(family, SliceOf(row.key), SliceOf(row.value)));
        }
        if (rows.GetDataSize() > (1 << 20)) {
          Must(db_->Write(write, &rows));
          rows.Clear();
        }
      }
      Must(db_->Write(write, &rows));
    }
    Must(db_->Flush(rocksdb::FlushOptions(), {handles_.begin() + 1, handles_.end()}));
  }
  uint64_t Scan(const std::string& begin, const std::string& end, uint64_t rows_max) {
    rocksdb::ReadOptions read;
    const rocksdb::Slice upper(end);
    read.iterate_upper_bound = &upper;
    std::unique_ptr<rocksdb::Iterator> it(
        db_->NewIterator(read, handles_[static_cast<size_t>(Table::kIndex) + 1]));
    uint64_t rows = 0;
    for (it->Seek(begin); it->Valid() && rows < rows_max; it->Next()) ++rows;
    Must(it->status());
    return rows;
  }

 private:
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kTableCount + 1> handles_{};
};

uint64_t ProcField(const char* path, const std::string& name) {
  std::ifstream in(path);
  std::string word;
  while (in >> word) {
    if (word == name) {
      uint64_t value = 0;
      in >> value;
      return value;
    }
  }
  return 0;
}

struct Settings {
  std::string directory;
  uint64_t jobs = 1'000'000;
  uint64_t jobs_per_flush = 250'000;
  int passes = 2;
  bool memtable = false;
  uint32_t shards = 1;
};

class Bench {
 public:
  explicit Bench(const Settings& settings) : settings_(settings) {
    if (settings_.memtable) {
      memtable_ = std::make_unique<MemtableStore>(settings_.directory);
    } else {
      Open();
    }
  }

  void Run() {
    for (int pass = 0; pass < settings_.passes; ++pass) {
      Phase("fill", settings_.jobs, [&] { Fill(); });
      if (store_ != nullptr) {
        Phase("reopen", 1, [&] { Open(); });
        Phase("first scan", 1024, [&] { CHECK_EQ(Scan(drained_ + 1), 1024u); });
        Phase("random MultiGet of 1000", 100'000, [&] { RandomReads(); });
      }
      Phase("drain", settings_.jobs, [&] { Drain(); });
    }
  }

 private:
  void Open() {
    store_.reset();
    auto store = OpenRocksDbStateStore({.directory = settings_.directory});
    Must(store.status());
    store_ = *std::move(store);
  }

  uint32_t ShardOf(uint64_t id) const { return static_cast<uint32_t>(id % settings_.shards); }
  std::string IdKey(uint64_t id) const {
    std::string key;
    PutBigEndian32(&key, ShardOf(id));
    PutBigEndian64(&key, id);
    return key;
  }
  std::string IndexKey(uint32_t shard, uint64_t id) const {
    std::string key;
    PutBigEndian32(&key, shard);
    PutFixed8(&key, 1);
    PutBigEndian64(&key, 7);
    PutBigEndian32(&key, 1000);
    PutBigEndian64(&key, id);
    return key;
  }

  void Flush(StateBatch* batch) {
    for (uint32_t shard = 0; shard < settings_.shards; ++shard) {
      std::string key;
      PutBigEndian32(&key, shard);
      batch->Put(Table::kMeta, key, IdKey(next_id_));
    }
    if (memtable_ != nullptr) {
      memtable_->Flush(*batch);
    } else {
      Must(store_->Flush(*batch));
      store_->Reclaim();
    }
    batch->Clear();
  }

  void Fill() {
    StateBatch batch;
    std::string bytes(kJobSize + kPayloadSize, 'x');
    const uint64_t end = next_id_ + settings_.jobs;
    for (; next_id_ < end; ++next_id_) {
      for (size_t i = 0; i + 8 <= bytes.size(); i += 16) {
        const uint64_t random = prng_.Next();
        std::copy_n(reinterpret_cast<const char*>(&random), 8, bytes.begin() + i);
      }
      const std::string_view view(bytes);
      batch.Put(Table::kJob, IdKey(next_id_), view.substr(0, kJobSize));
      batch.Put(Table::kPayload, IdKey(next_id_), view.substr(kJobSize));
      batch.Put(Table::kIndex, IndexKey(ShardOf(next_id_), next_id_), "");
      if (batch.rows(Table::kJob) == settings_.jobs_per_flush) Flush(&batch);
    }
    Flush(&batch);
  }

  uint64_t Scan(uint64_t from) {
    uint64_t rows = 0;
    const std::string begin = IndexKey(ShardOf(from), from);
    const std::string end = IndexKey(ShardOf(from), ~uint64_t{0});
    if (memtable_ != nullptr) return memtable_->Scan(begin, end, 1024);
    auto scanned = store_->Snapshot()->Scan(Table::kIndex, {.begin = begin, .end = end},
                                            [&](std::string_view, std::string_view) {
                                              ++rows;
                                              return true;
                                            });
    Must(scanned.status());
    return rows;
  }

  void Read(const std::vector<uint64_t>& ids) {
    std::vector<std::string> keys;
    for (const uint64_t id : ids) keys.push_back(IdKey(id));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    const auto snapshot = store_->Snapshot();
    for (const Table table : {Table::kJob, Table::kPayload}) {
      Must(snapshot->MultiGet(
          table, views, Reach::kDevice,
          [&](size_t, std::optional<std::string_view> value) { CHECK(value.has_value()); }));
    }
  }
  void RandomReads() {
    for (int batch = 0; batch < 100; ++batch) {
      std::vector<uint64_t> ids;
      for (int i = 0; i < 1000; ++i) ids.push_back(prng_.Between(drained_ + 1, next_id_ - 1));
      std::sort(ids.begin(), ids.end());
      Read(ids);
    }
  }

  void Drain() {
    StateBatch batch;
    while (drained_ + 1 < next_id_) {
      const uint64_t first = drained_ + 1;
      const uint64_t end = std::min(next_id_, first + 1024);
      CHECK_GT(Scan(first), 0u);
      std::vector<uint64_t> ids;
      for (uint64_t id = first; id < end; ++id) ids.push_back(id);
      if (store_ != nullptr) Read(ids);
      for (const uint64_t id : ids) {
        batch.Delete(Table::kJob, IdKey(id));
        batch.Delete(Table::kPayload, IdKey(id));
        batch.Delete(Table::kIndex, IndexKey(ShardOf(id), id));
      }
      drained_ = end - 1;
      if (batch.rows(Table::kJob) >= settings_.jobs_per_flush) Flush(&batch);
    }
    Flush(&batch);
  }

  void Phase(const char* name, uint64_t count, const std::function<void()>& work) {
    std::ofstream("/proc/self/clear_refs") << "5";  // Forget the peak so far.
    const uint64_t written = ProcField("/proc/self/io", "write_bytes:");
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%-24s %8.3f s %10.0f /s  rss %4lu peak %4lu MB  wrote %6lu MB", name, took.count(),
                static_cast<double>(count) / took.count(),
                ProcField("/proc/self/status", "VmRSS:") >> 10,
                ProcField("/proc/self/status", "VmHWM:") >> 10,
                (ProcField("/proc/self/io", "write_bytes:") - written) >> 20);
    if (store_ != nullptr) {
      const StateStats stats = store_->Stats();
      std::printf("  disk %5lu MB files %3lu L0 %2lu debt %lu MB cache %lu readers %lu MB",
                  stats.disk_bytes >> 20, stats.file_count, stats.unmerged_files,
                  stats.compaction_debt_bytes >> 20, stats.block_cache_bytes >> 20,
                  stats.table_reader_bytes >> 20);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  const Settings settings_;
  Prng prng_{1};
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<MemtableStore> memtable_;
  uint64_t next_id_ = 1;
  uint64_t drained_ = 0;  // All ids up to this one are gone.
};

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr,
                 "usage: state_store_bench DIRECTORY [JOBS] [JOBS_PER_FLUSH] [PASSES] "
                 "[ingest|memtable] [SHARDS]\n");
    return 2;
  }
  Settings settings{.directory = argv[1]};
  if (argc > 2) settings.jobs = std::strtoull(argv[2], nullptr, 10);
  if (argc > 3) settings.jobs_per_flush = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) settings.passes = std::atoi(argv[4]);
  if (argc > 5) settings.memtable = std::string_view(argv[5]) == "memtable";
  if (argc > 6) settings.shards = static_cast<uint32_t>(std::atoi(argv[6]));
  Bench(settings).Run();
  return 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) { return holdfast::Main(argc, argv); }
