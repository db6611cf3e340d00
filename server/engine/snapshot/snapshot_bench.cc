// What it costs to send one shard's state from one store to another, within one process.
//   bazel run --config=opt //server/engine/snapshot:snapshot_bench -- DIRECTORY [jobs] [chunk
//   bytes]
//
// Fills a store with ready jobs of 100 bytes (in a process of its own, so that the peak memory that
// is shown is the transfer's), sends it to an empty store, and once more over what is there then.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "server/engine/overlay/restore_machine.h"
#include "server/engine/snapshot/sample_shard.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/engine/snapshot/snapshot_stager.h"
#include "storage/rocksdb/rocksdb_state_store.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(0);
constexpr uint64_t kJobsPerEntry = 1000;
constexpr uint64_t kJobsPerFlush = 100'000;
constexpr double kMB = 1e6;

std::unique_ptr<StateStore> Open(const std::string& directory) {
  auto store =
      OpenRocksDbStateStore({.directory = directory, .block_cache_bytes = uint64_t{64} << 20});
  CHECK(store.ok());
  return *std::move(store);
}

void Fill(const std::string& directory, uint64_t jobs) {
  const std::unique_ptr<StateStore> store = Open(directory);
  SampleShard shard(store.get(), kShard, 1);
  Prng prng(1);
  for (uint64_t done = 0; done < jobs; done += kJobsPerEntry) {
    std::vector<std::string> bodies(kJobsPerEntry, std::string(100, '\0'));
    for (std::string& body : bodies) {
      for (char& c : body) c = static_cast<char>(prng.Next());
    }
    shard.Enqueue("mail", bodies);
    if ((done + kJobsPerEntry) % kJobsPerFlush == 0) CHECK(shard.Flush().ok());
  }
  CHECK(shard.Flush().ok());
}

double PeakMemoryMB() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / kMB;
}

class Clock {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void Send(const StateStore& source, StateStore* target, uint64_t chunk_bytes, const char* name) {
  SnapshotPins pins({.seed = 1});
  const auto pin = *pins.Pin(source, kShard, 0);
  const Clock all;
  auto stager = *SnapshotStager::Stage(target, kShard);
  uint64_t bytes = 0;
  double reading = 0;
  for (std::string cursor; !stager->complete();) {
    const Clock read;
    const auto chunk = pin->Read(cursor, chunk_bytes);
    CHECK(chunk.ok());
    reading += read.Seconds();
    bytes += chunk->data.size();
    CHECK(stager->Add(chunk->data).ok());
    cursor = chunk->next;
  }
  const double staged = all.Seconds();
  const Clock installing;
  CHECK(stager->Install().ok());
  const double installed = installing.Seconds();
  const Clock restoring;
  Machine machine({.shard = kShard});
  CHECK(RestoreMachine(*target->Snapshot(), kShard, &machine).ok());
  const double megabytes = static_cast<double>(bytes) / kMB;
  std::printf(
      "%s: %.1f MB in %.2f s, %.0f MB/s (read %.0f MB/s, stage %.0f MB/s), install %.3f s, "
      "restore %.3f s, peak memory %.0f MB, unmerged files %llu\n",
      name, megabytes, staged, megabytes / staged, megabytes / reading,
      megabytes / (staged - reading), installed, restoring.Seconds(), PeakMemoryMB(),
      static_cast<unsigned long long>(target->Stats().unmerged_files));
}

void Run(const std::string& directory, uint64_t jobs, uint64_t chunk_bytes) {
  std::filesystem::create_directory(directory);
  const pid_t child = fork();
  CHECK_GE(child, 0);
  if (child == 0) {
    Fill(directory + "/source", jobs);
    _exit(0);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  const std::unique_ptr<StateStore> source = Open(directory + "/source");
  const std::unique_ptr<StateStore> target = Open(directory + "/target");
  std::printf("%llu jobs, chunks of %llu bytes\n", static_cast<unsigned long long>(jobs),
              static_cast<unsigned long long>(chunk_bytes));
  Send(*source, target.get(), chunk_bytes, "into an empty store");
  Send(*source, target.get(), chunk_bytes, "over the same state");
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY [jobs] [chunk bytes]\n", argv[0]);
    return 2;
  }
  holdfast::Run(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000,
                argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1 << 20);
  return 0;
}
