#include "storage/rocksdb/table_options.h"

#include <limits>

#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/table_properties_collectors.h"

namespace holdfast {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;

rocksdb::BlockBasedTableOptions BlockOptions(Table table) {
  rocksdb::BlockBasedTableOptions block;
  block.format_version = 5;
  block.checksum = rocksdb::kXXH3;
  // Everything that grows with the number of rows lives in the bounded cache: index and filter
  // are cut into pieces, so that a lookup loads kilobytes of them and not a whole file's.
  block.cache_index_and_filter_blocks = true;
  block.cache_index_and_filter_blocks_with_high_priority = true;
  block.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  block.metadata_block_size = 8 * kKiB;
  block.cache_usage_options.options_overrides[rocksdb::CacheEntryRole::kBlockBasedTableReader] = {
      .charged = rocksdb::CacheEntryRoleOptions::Decision::kEnabled};
  switch (table) {
    case Table::kMeta:
      block.block_size = 4 * kKiB;
      break;
    case Table::kJob:
    case Table::kPayload:
      // Point lookups, often of ids that are not there any more.
      block.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
      block.partition_filters = true;
      block.block_size = (table == Table::kJob ? 8 : 16) * kKiB;
      break;
    case Table::kIndex:
      block.block_size = 16 * kKiB;  // Only ever scanned.
      break;
  }
  return block;
}

}  // namespace

rocksdb::DBOptions DatabaseOptions(int open_files_max) {
  rocksdb::DBOptions o;
  o.paranoid_checks = true;
  o.max_open_files = open_files_max;
  o.max_file_opening_threads = 2;
  // Opening reads the manifest and no table.
  o.skip_stats_update_on_db_open = true;
  // At normal CPU priority: at low priority, on a machine busy with other work, they reclaimed
  // nothing of 10 million drained jobs in 80 s. There is little to do: docs/adr/0004.
  o.max_background_jobs = 2;
  o.max_subcompactions = 1;
  o.compaction_readahead_size = 512 * kKiB;
  o.writable_file_max_buffer_size = 256 * kKiB;
  o.bytes_per_sync = kMiB;
  o.max_manifest_file_size = 4 * kMiB;
  // Its log: only what an operator may want after an error.
  o.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  o.max_log_file_size = 4 * kMiB;
  o.keep_log_file_num = 2;
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  // Nothing is ever in a memtable or in RocksDB's log.
  o.avoid_flush_during_shutdown = true;
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  o.max_bgerror_resume_count = 0;  // An error stays (storage/rocksdb/README.md).
  return o;
}

rocksdb::ReadOptions ReadOptions() {
  rocksdb::ReadOptions o;
  o.verify_checksums = true;
  // There are none. And a scan that looks for them stops at the end of each file of a level to do
  // so; where it cannot read the first block of the next one, it goes on without that file and all
  // behind it, and says nothing (RocksDB before 8.5.2, its pull request 11782).
  o.ignore_range_deletions = true;
  return o;
}

rocksdb::ColumnFamilyOptions TableOptions(Table table, std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::ColumnFamilyOptions o;
  rocksdb::BlockBasedTableOptions block = BlockOptions(table);
  block.block_cache = std::move(cache);
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(block));
  o.compression = rocksdb::kLZ4Compression;
  o.write_buffer_size = kMiB;
  o.arena_block_size = 4 * kKiB;
  o.target_file_size_base = 32 * kMiB;
  // Few levels of fixed size: runs of new rows land in the last, runs of deletions in the one
  // above it, where each is merged down alone; the first two are for everything mixed. (With
  // dynamic levels deletions land in level 0, which is merged as a whole by one thread: 328 files
  // behind after a drain of 10 million jobs in 16 shards.)
  o.num_levels = 4;
  o.max_bytes_for_level_base = 128 * kMiB;
  o.level_compaction_dynamic_level_bytes = false;
  o.level0_file_num_compaction_trigger = 4;
  // RocksDB's own brakes are off: the caller reads StateStats and slows its producers down.
  o.level0_slowdown_writes_trigger = std::numeric_limits<int>::max();
  o.level0_stop_writes_trigger = std::numeric_limits<int>::max();
  o.soft_pending_compaction_bytes_limit = 0;
  o.hard_pending_compaction_bytes_limit = 0;
  // A compaction's output that is a third deletions is compacted again at once.
  o.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(16384, 8192, 0.3));
  return o;
}

}  // namespace holdfast
