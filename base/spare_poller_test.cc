#include "base/spare_poller.h"

#include <grpc/support/cpu.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

// The threads on which something was seen.
class Threads {
 public:
  void See() {
    const absl::MutexLock lock(&mutex_);
    seen_.insert(std::this_thread::get_id());
  }
  size_t count() const {
    const absl::MutexLock lock(&mutex_);
    return seen_.size();
  }

 private:
  mutable absl::Mutex mutex_;
  std::set<std::thread::id> seen_ ABSL_GUARDED_BY(mutex_);
};

// Answers every message with itself.
class Echo final : public grpc::CallbackGenericService {
 public:
  explicit Echo(Threads* threads) : threads_(threads) {}

 private:
  class Call final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Call(Threads* threads) : threads_(threads) { StartRead(&message_); }
    void OnReadDone(bool ok) override {
      threads_->See();
      if (!ok) return Finish(grpc::Status(grpc::StatusCode::UNKNOWN, "nothing came"));
      StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    Threads* const threads_;
    grpc::ByteBuffer message_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    threads_->See();
    return new Call(threads_);
  }

  Threads* const threads_;
};

// Calls on several connections at once, so that there is always something to do. Returns how many
// threads did it.
size_t ThreadsOfCalls() {
  constexpr int kConnections = 8;
  constexpr int kRounds = 300;
  Threads threads;
  Echo echo(&threads);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<std::thread> callers;
  for (int i = 0; i < kConnections; ++i) {
    callers.emplace_back([&] {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
      grpc::GenericStub stub(grpc::CreateCustomChannel(
          absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
      const grpc::Slice text("hello");
      const grpc::ByteBuffer request(&text, 1);
      for (int round = 0; round < kRounds; ++round) {
        grpc::ClientContext context;
        context.set_wait_for_ready(true);
        grpc::ByteBuffer response;
        absl::Notification done;
        stub.UnaryCall(&context, "/echo", grpc::StubOptions(), &request, &response,
                       [&](const grpc::Status& status) {
                         threads.See();
                         EXPECT_TRUE(status.ok()) << status.error_message();
                         done.Notify();
                       });
        done.WaitForNotification();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  server->Shutdown();
  server->Wait();
  return threads.count();
}

TEST(SparePoller, LeavesAsManyThreadsAsGrpcsOwnRuleHas) {
  for (int i = 0; i < 2; ++i) {
    const SparePoller spare;
    EXPECT_LE(ThreadsOfCalls(), std::max(gpr_cpu_num_cores() / 2, 1u));
  }
}

TEST(SparePoller, ItsThreadComesBack) {
  { const SparePoller spare; }
  EXPECT_GE(ThreadsOfCalls(), 2u);
}

}  // namespace
}  // namespace holdfast
