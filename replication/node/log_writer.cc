#include "replication/node/log_writer.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {

LogWriter::LogWriter(LogStore* store, const Options& options, FatalHandler on_fatal)
    : store_(store), options_(options), on_fatal_(std::move(on_fatal)) {
  if (options.thread == Thread::kCallers) {
    CHECK(options_.sync_interval == absl::ZeroDuration());
    return;
  }
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "log_writer");
}

LogWriter::~LogWriter() { Stop(); }

void LogWriter::Push(Item item) {
  if (options_.thread == Thread::kCallers) return WriteSome(absl::MakeSpan(&item, 1));
  if (!BeginHere(&item)) return;
  WriteSome(absl::MakeSpan(&item, 1));
  EndHere();
}

bool LogWriter::BeginHere(Item* item) {
  const uint64_t bytes_max =
      item->sync == SyncMode::kNow ? options_.callers_synced_bytes_max : options_.callers_bytes_max;
  absl::MutexLock lock(&mutex_);
  CHECK(!stopping_);
  const bool here = !writing_ && items_.empty() && item->kind == Item::Kind::kWrite &&
                    item->write.size_bytes() <= bytes_max;
  if (here) {
    writing_ = true;
    return true;
  }
  items_.push_back(std::move(*item));
  if (waiting_ && !writing_) wake_.Signal();
  return false;
}

void LogWriter::EndHere() {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (resting_ || (waiting_ && (!items_.empty() || stopping_))) wake_.Signal();
}

void LogWriter::Write(ShardId shard, LogWrite write, Done done) {
  Item item = {Item::Kind::kWrite, shard, std::move(write), std::move(done)};
  item.lags = options_.sync_interval > absl::ZeroDuration() &&
              (options_.may_lag == nullptr || options_.may_lag(item.write));
  if (!item.lags && !item.write.only_frees_space()) item.sync = item.write.sync;
  Push(std::move(item));
}

void LogWriter::Resume(ShardId shard, Done done) {
  Push({Item::Kind::kResume, shard, {}, std::move(done)});
}

absl::Status LogWriter::SyncReported() {
  if (options_.sync_interval == absl::ZeroDuration()) return absl::OkStatus();
  absl::Status result;
  absl::Notification synced;
  Item item;
  item.kind = Item::Kind::kSync;
  item.sync = SyncMode::kNow;
  item.done = [&](const absl::Status& status) {
    result = status;
    synced.Notify();
  };
  Push(std::move(item));
  synced.WaitForNotification();
  return result;
}

void LogWriter::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (!writing_) wake_.Signal();
  }
  thread_.join();
}

bool LogWriter::Take(std::vector<Item>* items) {
  absl::MutexLock lock(&mutex_);
  waiting_ = true;
  writing_ = false;
  for (;;) {
    if (writing_) {
      wake_.Wait(&mutex_);
      continue;
    }
    if (!items_.empty() || stopping_) break;
    const absl::Time duty = DutyAt();
    resting_ = sealed_;
    const absl::Time now = absl::Now();
    if (now >= duty) break;
    // A caller's write, which does not wake it, may bring the duty forward to this moment.
    const bool may_come = options_.sync_interval > absl::ZeroDuration() && !resting_;
    wake_.WaitWithDeadline(&mutex_, may_come ? std::min(duty, now + options_.sync_interval) : duty);
    resting_ = false;
  }
  waiting_ = false;
  writing_ = true;
  items->swap(items_);
  return !items->empty() || !stopping_;
}

absl::Time LogWriter::DutyAt() const {
  if (unsynced_since_ != absl::InfiniteFuture()) return unsynced_since_ + options_.sync_interval;
  return sealed_ ? absl::InfiniteFuture() : written_ + options_.seal_after;
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
      const uint64_t size = (*items)[end].write.size_bytes();
      if (end > begin && bytes + size > options_.batch_bytes_max) break;
      bytes += size;
    }
    WriteSome(absl::MakeSpan(*items).subspan(begin, end - begin));
    begin = end;
  }
  if (unsynced_since_ != absl::InfiniteFuture() &&
      absl::Now() >= unsynced_since_ + options_.sync_interval) {
    SyncOrSeal();
  }
}

absl::Status LogWriter::AddToBatch(const Item& item) {
  if (item.kind == Item::Kind::kResume) failed_shards_.erase(item.shard);
  if (item.kind != Item::Kind::kWrite) return absl::OkStatus();
  if (!item.write.only_frees_space()) {
    const auto failed = failed_shards_.find(item.shard);
    if (failed != failed_shards_.end()) return failed->second;
  }
  item.write.AddTo(item.shard, &batch_);
  return absl::OkStatus();
}

absl::Status LogWriter::WriteBatch(SyncMode sync, bool lags) {
  RETURN_IF_ERROR(fatal_);
  if (batch_.empty()) return sync == SyncMode::kNow ? store_->Sync() : absl::OkStatus();
  RETURN_IF_ERROR(store_->Write(batch_, sync));
  sealed_ = false;
  written_ = absl::Now();
  if (sync == SyncMode::kNow) {
    unsynced_since_ = absl::InfiniteFuture();
  } else if (lags) {
    unsynced_since_ = std::min(unsynced_since_, written_);
  }
  return absl::OkStatus();
}

void LogWriter::WriteSome(absl::Span<Item> items) {
  batch_.Clear();
  SyncMode sync = SyncMode::kLater;
  bool lags = false;
  std::vector<absl::Status> refused(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    refused[i] = AddToBatch(items[i]);
    if (!refused[i].ok()) continue;
    if (items[i].sync == SyncMode::kNow) sync = SyncMode::kNow;
    lags |= items[i].lags;
  }
  const absl::Status status = WriteBatch(sync, lags);
  const bool full = absl::IsResourceExhausted(status);
  if (!status.ok() && !full) Fail(status);
  for (size_t i = 0; i < items.size(); ++i) {
    Item& item = items[i];
    if (item.kind == Item::Kind::kResume) {
      std::move(item.done)(fatal_);
      continue;
    }
    if (full && refused[i].ok() && item.kind == Item::Kind::kWrite &&
        !item.write.only_frees_space()) {
      failed_shards_.try_emplace(item.shard, status);
    }
    std::move(item.done)(refused[i].ok() ? status : refused[i]);
  }
}

}  // namespace holdfast
