// reference_server serve --data-dir DIR --listen HOST:PORT [--defect NAME]
//
// The simplest server that keeps the promises the crash loop judges: one lock, maps in memory,
// one log file that is synced before every answer. It exists to judge the judge: started with a
// defect it breaks one promise, and the crash loop must find that (crash_loop_defects_test.cc).
//
// Log: [length u32][CRC-32C u32][changes]..., each group one command; a torn tail is cut.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "google/protobuf/util/time_util.h"
#include "grpcpp/grpcpp.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"

namespace holdfast::testing {
namespace {

using google::protobuf::util::TimeUtil;

int64_t NowMicros() { return absl::ToUnixMicros(absl::Now()); }

google::rpc::Status ItemError(const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_domain("holdfast");
  info.set_reason(reason);
  google::rpc::Status error;
  error.set_code(reason == "JOB_NOT_FOUND" ? grpc::NOT_FOUND : grpc::FAILED_PRECONDITION);
  error.add_details()->PackFrom(info);
  return error;
}

// The durable state: jobs, remembered answers, and the log they are rebuilt from.
class Store {
 public:
  Store(const std::string& directory, std::string defect) : defect_(std::move(defect)) {
    const bool fresh = std::filesystem::create_directories(directory);
    const std::string path = directory + "/log";
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    CHECK_GE(fd_, 0);
    if (fresh && defect_ != "no-directory-sync") {
      SyncDirectory(directory);
      SyncDirectory(std::filesystem::path(directory).parent_path().string());
    }
    Recover(path);
  }

  void Put(const v1::Job& job) {
    jobs[job.id()] = job;
    PutBytes(&group_, "J");
    PutBytes(&group_, job.SerializeAsString());
  }
  void Erase(uint64_t id) {
    jobs.erase(id);
    if (defect_ == "forget-deletes" && id % 50 == 0) return;
    PutBytes(&group_, "D");
    PutBytes(&group_, std::to_string(id));
  }
  void Remember(const std::string& request_id, const std::string& answer) {
    if (request_id.empty()) return;
    answers[request_id] = answer;
    if (defect_ == "forget-requests") return;
    PutBytes(&group_, "R");
    PutBytes(&group_, request_id);
    PutBytes(&group_, answer);
  }
  // Makes everything since the last commit durable.
  void Commit() {
    if (group_.empty()) return;
    std::string bytes;
    PutFixed32(&bytes, static_cast<uint32_t>(group_.size()));
    PutFixed32(&bytes, Crc32c(group_));
    bytes += group_;
    group_.clear();
    CHECK_EQ(pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_)),
             static_cast<ssize_t>(bytes.size()));
    size_ += bytes.size();
    if (defect_ != "no-sync" || ++commits_ % 8 == 0) CHECK_EQ(fdatasync(fd_), 0);
  }

  std::map<uint64_t, v1::Job> jobs;
  std::map<std::string, std::string> answers;
  uint64_t last_id = 0;
  uint64_t deleted = 0;

 private:
  static void SyncDirectory(const std::string& directory) {
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(fsync(fd), 0);
    close(fd);
  }

  void Recover(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream stream;
    stream << file.rdbuf();
    const std::string bytes = stream.str();
    ByteReader reader(bytes);
    uint32_t size = 0;
    uint32_t sum = 0;
    std::string_view group;
    while (reader.Fixed32(&size) && reader.Fixed32(&sum) && reader.Skip(size, &group)) {
      if (size == 0 || Crc32c(group) != sum) break;
      Redo(group);
      size_ += 8 + size;
    }
    // What was recovered may not have been synced: it must be before it is built upon.
    CHECK_EQ(ftruncate(fd_, static_cast<off_t>(size_)), 0);
    CHECK_EQ(fdatasync(fd_), 0);
  }

  void Redo(std::string_view group) {
    ByteReader reader(group);
    std::string_view kind, first, second;
    while (!reader.Done() && reader.Bytes(&kind) && reader.Bytes(&first)) {
      if (kind == "J") {
        v1::Job job;
        CHECK(job.ParseFromString(std::string(first)));
        last_id = std::max(last_id, job.id());
        jobs[job.id()] = job;
      } else if (kind == "D") {
        jobs.erase(std::stoull(std::string(first)));
      } else {
        CHECK(reader.Bytes(&second));
        answers[std::string(first)] = std::string(second);
      }
    }
  }

  const std::string defect_;
  int fd_;
  uint64_t size_ = 0;
  uint64_t commits_ = 0;
  std::string group_;
};

class ReferenceServer final : public v1::Holdfast::Service {
 public:
  ReferenceServer(Store* store, std::string defect) : store_(store), defect_(std::move(defect)) {
    for (auto& [id, job] : store_->jobs) {
      if (defect_ == "forget-leases") job.clear_lease_expire_time();
    }
  }

  grpc::Status Enqueue(grpc::ServerContext*, const v1::EnqueueRequest* request,
                       v1::EnqueueResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    if (Replay(request->request_id(), response)) return grpc::Status::OK;
    for (const v1::JobSpec& spec : request->jobs()) {
      v1::Job job;
      job.set_id(++store_->last_id);
      job.set_queue(request->queue());
      job.set_priority(spec.priority());
      job.set_body(spec.body());
      *job.mutable_create_time() = TimeUtil::MicrosecondsToTimestamp(NowMicros());
      *job.mutable_ready_time() = TimeUtil::MicrosecondsToTimestamp(
          NowMicros() + TimeUtil::DurationToMicroseconds(spec.delay()));
      if (defect_ == "ignore-delays") job.clear_ready_time();
      response->add_results()->set_job_id(job.id());
      store_->Put(job);
    }
    store_->Remember(request->request_id(), response->SerializeAsString());
    store_->Commit();
    return grpc::Status::OK;
  }

  grpc::Status Reserve(grpc::ServerContext* context, const v1::ReserveRequest* request,
                       v1::ReserveResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    const absl::Time deadline =
        absl::Now() + absl::Microseconds(TimeUtil::DurationToMicroseconds(request->wait()));
    while (true) {
      for (auto& [id, job] : store_->jobs) {
        const auto& names = request->queues();
        if (response->jobs_size() == static_cast<int>(request->max_jobs())) break;
        if (std::find(names.begin(), names.end(), job.queue()) == names.end()) continue;
        if (IsReady(job)) Grant(&job, request->lease(), response->add_jobs());
      }
      if (response->jobs_size() > 0 || absl::Now() >= deadline || context->IsCancelled()) break;
      // Due times are looked at again every few milliseconds.
      mutex_.AwaitWithTimeout(absl::Condition(
                                  +[](bool* never) { return *never; }, &never_),
                              absl::Milliseconds(5));
    }
    store_->Commit();
    return grpc::Status::OK;
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest* request,
                      v1::DeleteResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    if (Replay(request->request_id(), response)) return grpc::Status::OK;
    for (const v1::Lease& lease : request->leases()) {
      if (FindLeased(lease, response->add_results()) == nullptr) continue;
      store_->Erase(lease.job_id());
      ++store_->deleted;
    }
    store_->Remember(request->request_id(), response->SerializeAsString());
    store_->Commit();
    return grpc::Status::OK;
  }

  grpc::Status Release(grpc::ServerContext*, const v1::ReleaseRequest* request,
                       v1::ReleaseResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    for (const v1::Lease& lease : request->leases()) {
      v1::Job* const job = FindLeased(lease, response->add_results());
      if (job == nullptr) continue;
      job->clear_lease_expire_time();
      *job->mutable_ready_time() = TimeUtil::MicrosecondsToTimestamp(
          NowMicros() + TimeUtil::DurationToMicroseconds(request->delay()));
      store_->Put(*job);
    }
    store_->Commit();
    return grpc::Status::OK;
  }

  grpc::Status Touch(grpc::ServerContext*, const v1::TouchRequest* request,
                     v1::TouchResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    for (const v1::Lease& lease : request->leases()) {
      v1::LeaseResult* const result = response->add_results();
      v1::Job* const job = FindLeased(lease, result);
      if (job == nullptr) continue;
      *job->mutable_lease_expire_time() = TimeUtil::MicrosecondsToTimestamp(
          NowMicros() + TimeUtil::DurationToMicroseconds(job->lease_duration()));
      *result->mutable_lease_expire_time() = job->lease_expire_time();
      if (defect_ != "forget-touches") store_->Put(*job);
    }
    store_->Commit();
    return grpc::Status::OK;
  }

  grpc::Status UpdateQueue(grpc::ServerContext*, const v1::UpdateQueueRequest* request,
                           v1::Queue* response) override {
    *response = request->queue();
    return grpc::Status::OK;
  }

  grpc::Status GetQueue(grpc::ServerContext*, const v1::GetQueueRequest* request,
                        v1::Queue* response) override {
    const absl::MutexLock lock(&mutex_);
    uint64_t ready = 0;
    for (const auto& [id, job] : store_->jobs) ready += job.queue() == request->name();
    response->mutable_counts()->set_ready(ready);
    response->mutable_counts()->set_total_enqueued(ready + store_->deleted);
    response->mutable_counts()->set_total_deleted(store_->deleted);
    return grpc::Status::OK;
  }

 private:
  template <class Response>
  bool Replay(const std::string& request_id, Response* response) {
    const auto found = store_->answers.find(request_id);
    if (request_id.empty() || found == store_->answers.end()) return false;
    CHECK(response->ParseFromString(found->second));
    response->set_replayed(true);
    return true;
  }

  static bool IsReady(const v1::Job& job) {
    const int64_t now = NowMicros();
    return TimeUtil::TimestampToMicroseconds(job.ready_time()) <= now &&
           TimeUtil::TimestampToMicroseconds(job.lease_expire_time()) <= now;
  }

  void Grant(v1::Job* job, const google::protobuf::Duration& lease, v1::Job* granted) {
    job->mutable_lease()->set_job_id(job->id());
    if (defect_ != "reuse-tokens" || job->lease().token() == 0) {
      job->mutable_lease()->set_token(job->lease().token() + 1);
    }
    *job->mutable_lease_duration() = lease;
    *job->mutable_lease_expire_time() =
        TimeUtil::MicrosecondsToTimestamp(NowMicros() + TimeUtil::DurationToMicroseconds(lease));
    store_->Put(*job);
    *granted = *job;
    if (defect_ == "damage-bodies" && job->id() % 100 == 0) granted->mutable_body()->push_back(0);
  }

  v1::Job* FindLeased(const v1::Lease& lease, v1::LeaseResult* result) {
    const auto found = store_->jobs.find(lease.job_id());
    if (found == store_->jobs.end()) {
      *result->mutable_error() = ItemError("JOB_NOT_FOUND");
      return nullptr;
    }
    v1::Job* const job = &found->second;
    const bool expired = TimeUtil::TimestampToMicroseconds(job->lease_expire_time()) <= NowMicros();
    const bool stale = lease.token() != job->lease().token() && defect_ != "accept-stale";
    if (stale || (expired && defect_ != "accept-expired" && defect_ != "accept-stale")) {
      *result->mutable_error() = ItemError("LEASE_INVALID");
      return nullptr;
    }
    return job;
  }

  absl::Mutex mutex_;
  Store* const store_;
  const std::string defect_;
  bool never_ = false;
};

int Serve(const std::string& directory, const std::string& listen, const std::string& defect) {
  Store store(directory, defect);
  ReferenceServer service(&store, defect);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::ofstream(directory + "/ports.json")
      << "{\"grpc\": \"127.0.0.1:" << port << "\"}" << std::flush;
  server->Wait();
  return 0;
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) {
  std::string directory, listen, defect;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--data-dir") directory = argv[i + 1];
    if (name == "--listen") listen = argv[i + 1];
    if (name == "--defect") defect = argv[i + 1];
  }
  if (directory.empty() || listen.empty()) return 2;
  return holdfast::testing::Serve(directory, listen, defect);
}
