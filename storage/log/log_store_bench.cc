// Appends with a sync per batch, beside a plain loop of pwrite and fdatasync over a file that was
// written before, which is what the disk can do.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "benchmark/benchmark.h"
#include "storage/log/segment_log_store.h"
#include "storage/posix_file_system.h"

namespace holdfast {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = "log_store_bench.XXXXXX";
    const char* made = ::mkdtemp(pattern.data());
    CHECK(made != nullptr);
    path_ = made;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void Count(benchmark::State& state) {
  const int64_t entries = state.iterations() * state.range(0);
  state.SetItemsProcessed(entries);
  state.SetBytesProcessed(entries * state.range(1));
}

// Arguments: entries a batch, payload bytes.
void BM_LogAppend(benchmark::State& state) {
  const Directory directory;
  auto log = SegmentLogStore::Open(&PosixFileSystem(), directory.path() + "/log", {});
  CHECK(log.ok());
  const std::string payload(static_cast<size_t>(state.range(1)), 'x');
  LogBatch batch;
  uint64_t last = 0;
  uint64_t compacted = 0;
  for (auto _ : state) {
    batch.Clear();
    if (last >= compacted + 100'000) {  // so that segments are reused, as in a running server
      compacted = last;
      batch.Compact(ShardId(1), LogIndex(last), Term(1));
    }
    for (int64_t i = 0; i < state.range(0); ++i) {
      batch.Append(ShardId(1), Term(1), LogIndex(++last), 0, payload);
    }
    CHECK((*log)->Write(batch, SyncMode::kNow).ok());
  }
  Count(state);
}

void BM_PlainOverwrite(benchmark::State& state) {
  const Directory directory;
  const int fd = ::open((directory.path() + "/plain").c_str(), O_RDWR | O_CREAT, 0600);
  CHECK_GE(fd, 0);
  constexpr int64_t kFileBytes = 64 << 20;
  const std::string zeros(1 << 20, '\0');
  for (int64_t at = 0; at < kFileBytes; at += 1 << 20) {
    CHECK_EQ(::pwrite(fd, zeros.data(), zeros.size(), at), static_cast<ssize_t>(zeros.size()));
  }
  CHECK_EQ(::fdatasync(fd), 0);
  const std::string bytes(static_cast<size_t>(state.range(0) * (state.range(1) + 40)), 'x');
  int64_t offset = 0;
  for (auto _ : state) {
    if (offset + static_cast<int64_t>(bytes.size()) > kFileBytes) offset = 0;
    CHECK_EQ(::pwrite(fd, bytes.data(), bytes.size(), offset), static_cast<ssize_t>(bytes.size()));
    CHECK_EQ(::fdatasync(fd), 0);
    offset += static_cast<int64_t>(bytes.size());
  }
  ::close(fd);
  Count(state);
}

BENCHMARK(BM_PlainOverwrite)->ArgsProduct({{1, 64, 1024}, {256}})->UseRealTime();
BENCHMARK(BM_LogAppend)->ArgsProduct({{1, 64, 1024}, {256}})->UseRealTime();

}  // namespace
}  // namespace holdfast
