// rocksdb_writer write|read DIRECTORY: for the test of the power-cut library under RocksDB.
//
// write: puts the numbers from the first one missing on, each with a synced write, and prints
// each once it is durable; flushes, compacts and ingests table files on the way. Runs until it
// is killed. read: prints how many there are from 0 without a gap, or what is wrong.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "base/coding.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_writer.h"

namespace {

void Demand(const rocksdb::Status& status, const char* what) {
  if (status.ok()) return;
  std::cout << what << ": " << status.ToString() << std::endl;
  std::exit(1);
}

std::string Key(uint64_t number) {
  std::string key;
  holdfast::PutBigEndian64(&key, number);
  return key;
}

std::string Value(uint64_t number) { return std::string(100 + number % 2000, 'a' + number % 26); }

// Puts [begin, end) by a table file, as a bulk load does.
void Ingest(rocksdb::DB* db, const std::string& path, uint64_t begin, uint64_t end) {
  // One left by a kill may share its bytes with a table of the database: never truncate it.
  std::remove(path.c_str());
  const rocksdb::Options options;
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
  Demand(writer.Open(path), "open table file");
  for (uint64_t i = begin; i < end; ++i) Demand(writer.Put(Key(i), Value(i)), "put");
  Demand(writer.Finish(), "finish table file");
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  Demand(db->IngestExternalFile({path}, ingest), "ingest");
}

uint64_t CountWithoutGap(rocksdb::DB* db) {
  const std::unique_ptr<rocksdb::Iterator> row(db->NewIterator(rocksdb::ReadOptions()));
  uint64_t count = 0;
  for (row->SeekToFirst(); row->Valid(); row->Next()) {
    if (row->key() != Key(count) || row->value() != Value(count)) break;
    ++count;
  }
  Demand(row->status(), "read");
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 256 << 10;
  options.recycle_log_file_num = 2;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  rocksdb::DB* opened = nullptr;
  Demand(rocksdb::DB::Open(options, argv[2], &opened), "open");
  const std::unique_ptr<rocksdb::DB> db(opened);
  uint64_t next = CountWithoutGap(db.get());
  if (std::string(argv[1]) == "read") {
    std::cout << next << std::endl;
    return 0;
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  while (true) {
    if (next % 100 == 99) {
      Ingest(db.get(), std::string(argv[2]) + "/ingest.sst", next, next + 50);
      next += 50;
    } else {
      Demand(db->Put(synced, Key(next), Value(next)), "put");
      ++next;
    }
    std::cout << next << std::endl;
  }
}
