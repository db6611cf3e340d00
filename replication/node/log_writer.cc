#include "replication/node/log_writer.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast {

LogWriter::LogWriter(LogStore* store, const Options& options, FatalHandler on_fatal)
    : store_(store), options_(options), on_fatal_(std::move(on_fatal)), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "log_writer");
}

LogWriter::~LogWriter() { Stop(); }

void LogWriter::Push(Item item) {
  absl::MutexLock lock(&mutex_);
  CHECK(!stopping_);
  items_.push_back(std::move(item));
  if (waiting_) wake_.Signal();
}

void LogWriter::Append(Entry entry, Done done) {
  Item item;
  item.entry = std::move(entry);
  item.done = std::move(done);
  Push(std::move(item));
}

void LogWriter::SetHardState(ShardId shard, const HardState& state, Done done) {
  Item item;
  item.kind = Item::Kind::kHardState;
  item.entry.shard = shard;
  item.hard_state = state;
  item.done = std::move(done);
  Push(std::move(item));
}

void LogWriter::Compact(ShardId shard, LogPosition through) {
  Item item;
  item.kind = Item::Kind::kCompact;
  item.entry.shard = shard;
  item.entry.position = through;
  Push(std::move(item));
}

void LogWriter::Resume(ShardId shard, Done done) {
  Item item;
  item.kind = Item::Kind::kResume;
  item.entry.shard = shard;
  item.done = std::move(done);
  Push(std::move(item));
}

void LogWriter::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
}

bool LogWriter::Take(std::vector<Item>* items) {
  absl::MutexLock lock(&mutex_);
  waiting_ = true;
  while (items_.empty() && !stopping_) {
    if (unsynced_since_ != absl::InfiniteFuture()) {
      if (wake_.WaitWithDeadline(&mutex_, unsynced_since_ + options_.sync_interval)) break;
    } else if (!sealed_) {
      if (wake_.WaitWithTimeout(&mutex_, options_.seal_after)) break;
    } else {
      wake_.Wait(&mutex_);
    }
  }
  waiting_ = false;
  items->swap(items_);
  return !items->empty() || !stopping_;
}

void LogWriter::Run() {
  std::vector<Item> items;
  while (Take(&items)) {
    if (items.empty()) {
      SyncOrSeal();
    } else {
      WriteAll(&items);
      items.clear();
    }
  }
  if (fatal_.ok()) {
    if (absl::Status status = store_->Seal(); !status.ok()) Fail(status);
  }
}

void LogWriter::SyncOrSeal() {
  if (!fatal_.ok()) return;
  absl::Status status;
  if (unsynced_since_ != absl::InfiniteFuture()) {
    status = store_->Sync();
    unsynced_since_ = absl::InfiniteFuture();
  } else {
    status = store_->Seal();
    sealed_ = true;
  }
  if (!status.ok()) Fail(status);
}

void LogWriter::Fail(const absl::Status& status) {
  if (!fatal_.ok()) return;
  fatal_ = status;
  on_fatal_(status);
}

void LogWriter::WriteAll(std::vector<Item>* items) {
  for (size_t begin = 0; begin < items->size();) {
    uint64_t bytes = 0;
    size_t end = begin;
    for (; end < items->size(); ++end) {
      const Entry& entry = (*items)[end].entry;
      const uint64_t size = entry.data == nullptr ? 0 : entry.data->size();
      if (end > begin && bytes + size > options_.batch_bytes_max) break;
      bytes += size;
    }
    WriteSome(items, begin, end);
    begin = end;
  }
  if (options_.sync_interval != absl::ZeroDuration() &&
      absl::Now() >= unsynced_since_ + options_.sync_interval) {
    SyncOrSeal();
  }
}

void LogWriter::WriteSome(std::vector<Item>* items, size_t begin, size_t end) {
  batch_.Clear();
  std::vector<absl::Status> refused(end - begin);
  for (size_t i = begin; i < end; ++i) {
    const Item& item = (*items)[i];
    const ShardId shard = item.entry.shard;
    if (item.kind == Item::Kind::kResume) failed_shards_.erase(shard);
    const auto failed = failed_shards_.find(shard);
    if (failed != failed_shards_.end() && item.kind != Item::Kind::kCompact) {
      refused[i - begin] = failed->second;
      continue;
    }
    const LogPosition& at = item.entry.position;
    if (item.kind == Item::Kind::kEntry) {
      batch_.Append(shard, at.term, at.index, static_cast<uint8_t>(item.entry.type),
                    std::string_view(*item.entry.data));
    } else if (item.kind == Item::Kind::kHardState) {
      batch_.SetHardState(shard, item.hard_state);
    } else if (item.kind == Item::Kind::kCompact) {
      batch_.Compact(shard, at.index, at.term);
    }
  }
  absl::Status status = fatal_;
  const bool sync_now = options_.sync_interval == absl::ZeroDuration();
  if (status.ok() && !batch_.empty()) {
    status = store_->Write(batch_, sync_now ? SyncMode::kNow : SyncMode::kLater);
    sealed_ = false;
    if (!sync_now) unsynced_since_ = std::min(unsynced_since_, absl::Now());
  }
  const bool full = absl::IsResourceExhausted(status);
  if (!status.ok() && !full) Fail(status);
  for (size_t i = begin; i < end; ++i) {
    Item& item = (*items)[i];
    if (item.kind == Item::Kind::kResume) {
      std::move(item.done)(fatal_);
      continue;
    }
    if (full && refused[i - begin].ok() && item.kind != Item::Kind::kCompact) {
      failed_shards_.try_emplace(item.entry.shard, status);
    }
    if (item.done == nullptr) continue;
    std::move(item.done)(refused[i - begin].ok() ? status : refused[i - begin]);
  }
}

}  // namespace holdfast
