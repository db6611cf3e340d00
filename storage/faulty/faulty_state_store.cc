#include "storage/faulty/faulty_state_store.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "storage/memory_state/memory_state_store.h"

namespace holdfast {
namespace {

absl::Status Crashed() { return absl::AbortedError("the state store has crashed"); }

}  // namespace

// The rows and the faults. A store belongs to an epoch; a crash ends all epochs so far.
class FaultyStateDisk::State {
 public:
  // OK if an operation of a store of `epoch` may happen.
  absl::Status Begin(StateOperation operation, uint64_t epoch) {
    absl::MutexLock lock(&mutex_);
    if (epoch != epoch_) return Crashed();
    const uint64_t number = ++counts_[static_cast<size_t>(operation)];
    return rule_ == nullptr ? absl::OkStatus() : rule_(operation, number);
  }

  // A flush that `apply` does.
  absl::Status Flush(uint64_t epoch, absl::FunctionRef<absl::Status()> apply) {
    RETURN_IF_ERROR(Begin(StateOperation::kFlush, epoch));
    std::optional<CutFlush> cut;
    {
      absl::MutexLock lock(&mutex_);
      if (counts_[static_cast<size_t>(StateOperation::kFlush)] == crash_at_flush_) {
        cut = crash_leaves_;
        ++epoch_;
        is_open_ = false;
      }
    }
    if (cut != CutFlush::kNothing) RETURN_IF_ERROR(apply());
    return cut.has_value() ? Crashed() : absl::OkStatus();
  }

  uint64_t Open() {
    absl::MutexLock lock(&mutex_);
    CHECK(!is_open_);
    is_open_ = true;
    return epoch_;
  }
  void Close(uint64_t epoch) {
    absl::MutexLock lock(&mutex_);
    if (epoch == epoch_) is_open_ = false;
  }
  void Crash() {
    absl::MutexLock lock(&mutex_);
    ++epoch_;
    is_open_ = false;
  }
  void CrashAtFlush(uint64_t number, CutFlush leaves) {
    absl::MutexLock lock(&mutex_);
    crash_at_flush_ = number;
    crash_leaves_ = leaves;
  }
  void SetRule(Rule rule) {
    absl::MutexLock lock(&mutex_);
    rule_ = std::move(rule);
  }
  uint64_t flushes() const {
    absl::MutexLock lock(&mutex_);
    return counts_[static_cast<size_t>(StateOperation::kFlush)];
  }
  MemoryStateStore& rows() { return rows_; }

 private:
  MemoryStateStore rows_;
  mutable absl::Mutex mutex_;
  Rule rule_ ABSL_GUARDED_BY(mutex_);
  std::array<uint64_t, kStateOperationCount> counts_ ABSL_GUARDED_BY(mutex_) = {};
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t crash_at_flush_ ABSL_GUARDED_BY(mutex_) = 0;
  CutFlush crash_leaves_ ABSL_GUARDED_BY(mutex_) = CutFlush::kNothing;
  bool is_open_ ABSL_GUARDED_BY(mutex_) = false;
};

namespace {

class FaultySnapshot final : public StateSnapshot {
 public:
  FaultySnapshot(std::shared_ptr<FaultyStateDisk::State> state, uint64_t epoch)
      : state_(std::move(state)), epoch_(epoch), rows_(state_->rows().Snapshot()) {}

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    RETURN_IF_ERROR(state_->Begin(StateOperation::kGet, epoch_));
    return rows_->Get(table, key);
  }
  absl::Status MultiGet(
      Table table, absl::Span<const std::string_view> keys, Reach reach,
      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const override {
    RETURN_IF_ERROR(state_->Begin(StateOperation::kMultiGet, epoch_));
    if (reach == Reach::kMemory && !keys.empty() && keys[0].back() % 2 != 0) {
      return absl::AbortedError("not in memory");
    }
    return rows_->MultiGet(table, keys, reach, found);
  }
  absl::StatusOr<ScanEnd> Scan(
      Table table, const ScanRange& range,
      absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const override {
    RETURN_IF_ERROR(state_->Begin(StateOperation::kScan, epoch_));
    return rows_->Scan(table, range, visit);
  }
  absl::StatusOr<uint64_t> ApproximateSize(Table table, std::string_view begin,
                                           std::string_view end) const override {
    RETURN_IF_ERROR(state_->Begin(StateOperation::kApproximateSize, epoch_));
    return rows_->ApproximateSize(table, begin, end);
  }

 private:
  const std::shared_ptr<FaultyStateDisk::State> state_;
  const uint64_t epoch_;
  const std::shared_ptr<const StateSnapshot> rows_;
};

class FaultyStateStore;

class FaultyStaging final : public StateStaging {
 public:
  FaultyStaging(FaultyStateStore* store, std::shared_ptr<FaultyStateDisk::State> state,
                uint64_t epoch, std::unique_ptr<StateStaging> rows)
      : store_(store), state_(std::move(state)), epoch_(epoch), rows_(std::move(rows)) {}

  absl::Status Add(Table table, std::string_view key, std::string_view value) override {
    RETURN_IF_ERROR(Begin(StateOperation::kStageAdd));
    return rows_->Add(table, key, value);
  }
  absl::Status Finish() override {
    RETURN_IF_ERROR(Begin(StateOperation::kStageFinish));
    return rows_->Finish();
  }
  absl::Status Install(const StateBatch& batch) override;

 private:
  absl::Status Begin(StateOperation operation) {
    if (failed_.ok()) failed_ = state_->Begin(operation, epoch_);
    return failed_;
  }

  FaultyStateStore* const store_;
  const std::shared_ptr<FaultyStateDisk::State> state_;
  const uint64_t epoch_;
  const std::unique_ptr<StateStaging> rows_;
  absl::Status failed_;
};

class FaultyStateStore final : public StateStore {
 public:
  explicit FaultyStateStore(std::shared_ptr<FaultyStateDisk::State> state)
      : state_(std::move(state)), epoch_(state_->Open()) {}
  ~FaultyStateStore() override { state_->Close(epoch_); }

  absl::Status Flush(const StateBatch& batch) override {
    if (batch.empty()) return Health();
    return FlushBy([&] { return state_->rows().Flush(batch); });
  }
  absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                      std::string_view end) override {
    RETURN_IF_ERROR(Health());
    RETURN_IF_ERROR(state_->Begin(StateOperation::kStage, epoch_));
    ASSIGN_OR_RETURN(std::unique_ptr<StateStaging> rows, state_->rows().Stage(begin, end));
    return std::make_unique<FaultyStaging>(this, state_, epoch_, std::move(rows));
  }
  absl::Status FlushBy(absl::FunctionRef<absl::Status()> apply) {
    RETURN_IF_ERROR(Health());
    const absl::Status status = state_->Flush(epoch_, apply);
    absl::MutexLock lock(&mutex_);
    if (!absl::IsResourceExhausted(status)) failed_ = status;
    return status;
  }
  std::shared_ptr<const StateSnapshot> Snapshot() const override {
    return std::make_shared<FaultySnapshot>(state_, epoch_);
  }
  void Reclaim() override {}
  StateStats Stats() const override {
    StateStats stats = state_->rows().Stats();
    stats.health = Health();
    return stats;
  }

 private:
  absl::Status Health() const {
    absl::MutexLock lock(&mutex_);
    return failed_;
  }

  const std::shared_ptr<FaultyStateDisk::State> state_;
  const uint64_t epoch_;
  mutable absl::Mutex mutex_;
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);
};

absl::Status FaultyStaging::Install(const StateBatch& batch) {
  return store_->FlushBy([&] { return rows_->Install(batch); });
}

}  // namespace

FaultyStateDisk::FaultyStateDisk() : state_(std::make_shared<State>()) {}
FaultyStateDisk::~FaultyStateDisk() = default;

std::unique_ptr<StateStore> FaultyStateDisk::Open() {
  return std::make_unique<FaultyStateStore>(state_);
}
void FaultyStateDisk::Crash() { state_->Crash(); }
void FaultyStateDisk::CrashAtFlush(uint64_t number, CutFlush leaves) {
  state_->CrashAtFlush(number, leaves);
}
void FaultyStateDisk::SetRule(Rule rule) { state_->SetRule(std::move(rule)); }
uint64_t FaultyStateDisk::flushes() const { return state_->flushes(); }

}  // namespace holdfast
