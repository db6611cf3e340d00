// The RocksDB options of the state store: one place for every figure and its reason.

#ifndef HOLDFAST_STORAGE_ROCKSDB_TABLE_OPTIONS_H_
#define HOLDFAST_STORAGE_ROCKSDB_TABLE_OPTIONS_H_

#include <memory>

#include "rocksdb/cache.h"
#include "rocksdb/options.h"
#include "storage/state_batch.h"

namespace holdfast {

// Options of the whole database. Never stalls a write, keeps nothing in a log of RocksDB's.
rocksdb::DBOptions DatabaseOptions(int open_files_max);

// Options of every read. Each verifies checksums.
rocksdb::ReadOptions ReadOptions();

// Options of one table. `cache` holds its data, index and filter blocks.
rocksdb::ColumnFamilyOptions TableOptions(Table table, std::shared_ptr<rocksdb::Cache> cache);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_TABLE_OPTIONS_H_
