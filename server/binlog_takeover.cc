#include "server/binlog_takeover.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "server/codec/payload_codec.h"
#include "storage/posix_file_system.h"

namespace holdfast {
namespace {

constexpr char kToMove[] = "/binlogs-to-move";
// Of one command, and of all that are on their way.
constexpr size_t kCommandJobs = 200;
constexpr size_t kCommandBytes = 256 << 10;
constexpr size_t kOnTheirWayCommands = 1000;
constexpr size_t kOnTheirWayBytes = 16 << 20;

absl::Status Status(const std::error_code& error, const std::string& what) {
  return error ? ErrnoStatus(error.value(), what) : absl::OkStatus();
}

absl::StatusOr<bool> Exists(const std::string& path) {
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  RETURN_IF_ERROR(Status(error, absl::StrCat("look for ", path)));
  return exists;
}

// One name a line.
absl::Status WriteNames(const std::string& path, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) absl::StrAppend(&text, name, "\n");
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file,
                   PosixFileSystem().Open(path, OpenMode::kCreate));
  const std::string_view piece = text;
  RETURN_IF_ERROR(file->Write(0, {&piece, 1}));
  return file->Sync();
}

std::vector<std::string> ReadNames(const std::string& path) {
  std::vector<std::string> names;
  std::ifstream in(path);
  for (std::string name; std::getline(in, name);) names.push_back(name);
  return names;
}

// Step 3 and 4.
absl::Status MoveBinlogs(const std::string& directory, const Binlog& binlog) {
  const std::string list = absl::StrCat(directory, "/holdfast", kToMove);
  const std::vector<std::string> ours = ReadNames(list);
  for (const std::string& name : binlog.files()) {
    if (std::find(ours.begin(), ours.end(), name) != ours.end()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        directory, " holds ", name, " of a beanstalkd, but ", directory,
        "/holdfast has jobs already: add those of the binlogs with `holdfast import-binlog`, or "
        "move one of the two away"));
  }
  const std::string folder = directory + "/imported-binlogs";
  RETURN_IF_ERROR(PosixFileSystem().CreateDirectory(folder));
  for (const std::string& name : binlog.files()) {
    std::error_code error;
    std::filesystem::rename(directory + "/" + name, folder + "/" + name, error);
    RETURN_IF_ERROR(Status(error, absl::StrCat("move ", directory, "/", name, " to ", folder)));
  }
  RETURN_IF_ERROR(PosixFileSystem().SyncDirectory(folder));
  RETURN_IF_ERROR(PosixFileSystem().SyncDirectory(directory));
  RETURN_IF_ERROR(PosixFileSystem().Remove(list));
  return PosixFileSystem().SyncDirectory(directory + "/holdfast");
}

// Step 1 and 2.
absl::Status Import(const std::string& directory, Binlog* binlog, const FillDataDirectory& fill) {
  const std::string folder = directory + "/imported-binlogs";
  ASSIGN_OR_RETURN(const bool others, Exists(folder));
  if (others) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " holds the binlogs of an earlier import; move it away"));
  }
  RETURN_IF_ERROR(binlog->Read([](uint64_t) {}));
  for (const BinlogDamage& damage : binlog->damages()) {
    spdlog::warn("damaged, what follows in the file is not read: {}", damage.Text());
  }
  const std::string staging = directory + "/holdfast.importing";
  std::error_code error;
  std::filesystem::remove_all(staging, error);
  RETURN_IF_ERROR(Status(error, absl::StrCat("remove ", staging)));
  RETURN_IF_ERROR(fill(staging, binlog));
  RETURN_IF_ERROR(WriteNames(staging + kToMove, binlog->files()));
  RETURN_IF_ERROR(PosixFileSystem().SyncDirectory(staging));
  std::filesystem::rename(staging, directory + "/holdfast", error);
  RETURN_IF_ERROR(Status(error, absl::StrCat("rename ", staging)));
  RETURN_IF_ERROR(PosixFileSystem().SyncDirectory(directory));
  spdlog::warn("{} jobs of {} binlogs are taken over; the files are in {}", binlog->jobs().size(),
               binlog->files().size(), folder);
  return absl::OkStatus();
}

// Sends enqueue commands and waits for their outcomes, a bounded number at a time.
class Importer {
 public:
  explicit Importer(Engine* engine) : engine_(engine) {}

  // Jobs that follow one another and are of one tube go into one command.
  absl::Status Add(std::string_view tube, const JobSpec& spec, std::string_view body) {
    const bool full = encoder_ != nullptr &&
                      (encoder_->jobs() >= kCommandJobs || encoder_->bytes() >= kCommandBytes);
    if (tube != tube_ || full) RETURN_IF_ERROR(Send());
    tube_ = std::string(tube);
    if (encoder_ == nullptr) {
      encoder_ = std::make_unique<EnqueueEncoder>(RequestIdentity(), tube_, body.size());
    }
    PayloadView payload;
    payload.body = body;
    encoder_->Add(spec, payload);
    return absl::OkStatus();
  }

  // Sends what there is. An error: of an earlier command.
  absl::Status Send() {
    const std::unique_ptr<EnqueueEncoder> encoder = std::exchange(encoder_, nullptr);
    if (encoder == nullptr) return absl::OkStatus();
    const size_t bytes = encoder->bytes();
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Importer::HasRoom));
      RETURN_IF_ERROR(failure_);
      ++commands_;
      bytes_ += bytes;
    }
    engine_->Enqueue(tube_, std::move(*encoder),
                     [this, bytes](ExecuteResult result) { Done(result, bytes); });
    return absl::OkStatus();
  }

  absl::Status SendAndAwait() {
    const absl::Status sent = Send();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Importer::IsIdle));
    return failure_.ok() ? sent : failure_;
  }

 private:
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return commands_ < kOnTheirWayCommands && bytes_ < kOnTheirWayBytes;
  }
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return commands_ == 0; }

  void Done(const ExecuteResult& result, size_t bytes) {
    absl::MutexLock lock(&mutex_);
    --commands_;
    bytes_ -= bytes;
    if (!failure_.ok()) return;
    failure_ = result.status;
    if (result.status.ok() && result.outcome.code != OutcomeCode::kOk) {
      failure_ = absl::InternalError(absl::StrCat("an imported job was refused with code ",
                                                  static_cast<int>(result.outcome.code),
                                                  " of queue/outcome.h"));
    }
  }

  Engine* const engine_;
  std::string tube_;
  std::unique_ptr<EnqueueEncoder> encoder_;  // of tube_; nullptr: nothing to send

  absl::Mutex mutex_;
  size_t commands_ ABSL_GUARDED_BY(mutex_) = 0;  // on their way
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

LogDuration ToLog(absl::Duration duration) {
  return LogDuration::Micros(absl::ToInt64Microseconds(duration));
}

JobSpec SpecOf(const BinlogJob& job, absl::Time now) {
  JobSpec spec;
  spec.priority = job.priority;
  spec.lease = std::max(ToLog(job.ttr), LogDuration::Seconds(1));
  spec.delay = ToLog(job.DelayLeft(now));
  spec.buried = job.state == BinlogState::kBuried;
  const BinlogCounters& counters = job.counters;
  spec.past = {JobId(job.id),
               LogTime::FromMicros(static_cast<uint64_t>(absl::ToUnixMicros(job.created))),
               ToLog(job.delay),
               counters.reserves,
               counters.timeouts,
               counters.releases,
               counters.buries,
               counters.kicks};
  return spec;
}

absl::Status CheckJobs(const Binlog& binlog) {
  if (binlog.max_id() >= kJobIdEnd) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", binlog.max_id(), " in ", binlog.directory(),
                     " has an id above 2^53-1, which cannot be kept"));
  }
  for (const auto& [id, job] : binlog.jobs()) {
    if (job.body_size_bytes <= kBodyBytesMax) continue;
    return absl::FailedPreconditionError(absl::StrCat("job ", id, " in ", binlog.directory(),
                                                      " has ", job.body_size_bytes,
                                                      " bytes, more than ", kBodyBytesMax));
  }
  return absl::OkStatus();
}

// A job that is gone already, with the largest id that beanstalkd has drawn.
absl::Status UseUp(JobId id, Importer* importer, Engine* engine) {
  JobSpec spec;
  spec.past.emplace().id = id;
  RETURN_IF_ERROR(importer->Add("default", spec, ""));
  RETURN_IF_ERROR(importer->SendAndAwait());
  absl::Status deleted;
  absl::Notification done;
  engine->Execute({{}, DeleteJobCommand{.jobs = {id}}}, [&](ExecuteResult result) {
    deleted = result.status;
    done.Notify();
  });
  done.WaitForNotification();
  return deleted;
}

}  // namespace

absl::Status TakeOverBinlogs(const std::string& directory, const FillDataDirectory& fill) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Binlog> binlog, Binlog::Open(directory));
  ASSIGN_OR_RETURN(const bool is_to_move, Exists(absl::StrCat(directory, "/holdfast", kToMove)));
  if (binlog->files().empty() && !is_to_move) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool has_data, Exists(directory + "/holdfast"));
  if (!has_data) RETURN_IF_ERROR(Import(directory, binlog.get(), fill));
  return MoveBinlogs(directory, *binlog);
}

absl::Status ImportJobs(Binlog* binlog, Engine* engine) {
  RETURN_IF_ERROR(CheckJobs(*binlog));
  Importer importer(engine);
  const absl::Time now = absl::Now();
  std::string body;
  absl::Status status;
  for (const auto& [id, job] : binlog->jobs()) {
    status = binlog->ReadBody(job, &body);
    if (status.ok()) status = importer.Add(job.tube, SpecOf(job, now), body);
    if (!status.ok()) break;
  }
  const absl::Status sent = importer.SendAndAwait();
  if (!status.ok()) return status;
  RETURN_IF_ERROR(sent);
  const uint64_t last = binlog->jobs().empty() ? 0 : binlog->jobs().rbegin()->first;
  if (binlog->max_id() == last) return absl::OkStatus();
  return UseUp(JobId(binlog->max_id()), &importer, engine);
}

}  // namespace holdfast
