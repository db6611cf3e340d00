// A node that asks another over real gRPC on loopback: what it takes from the answers, and that it
// concludes nothing from silence.

#include "server/cluster/cluster_monitor.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "server/cluster/members_codec.h"
#include "server/net/event_loop.h"

namespace holdfast {
namespace {

constexpr char kCluster[] = "0123456789abcdef0123456789abcdef";
constexpr NodeId kSelf(1);
constexpr NodeId kOther(2);
constexpr DiskId kOtherDisk(102);

// Answers as a test says; by default it is node 2 with nothing new.
class Other final : public peer::v1::Report::CallbackService {
 public:
  Other() {
    report_.set_cluster_id(kCluster);
    report_.set_node_id(kOther.value());
    report_.set_disk_id(kOtherDisk.value());
  }
  void Set(const peer::v1::NodeReport& report) {
    absl::MutexLock lock(&mutex_);
    report_ = report;
  }
  peer::v1::NodeReport report() {
    absl::MutexLock lock(&mutex_);
    return report_;
  }
  void SetAhead(absl::Duration ahead) {
    absl::MutexLock lock(&mutex_);
    ahead_ = ahead;
  }
  // Calls wait until they are cancelled.
  void BeSilent() {
    absl::MutexLock lock(&mutex_);
    silent_ = true;
    asked_ = false;
  }
  void AwaitAsked() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&asked_));
  }

  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const peer::v1::GetReportRequest*,
                                      peer::v1::NodeReport* response) override {
    absl::MutexLock lock(&mutex_);
    asked_ = true;
    if (silent_) return new Silence();
    *response = report_;
    if (report_.wall_micros() == 0) {
      response->set_wall_micros(absl::ToUnixMicros(absl::Now() + ahead_));
    }
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  class Silence final : public grpc::ServerUnaryReactor {
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };
  absl::Mutex mutex_;
  peer::v1::NodeReport report_ ABSL_GUARDED_BY(mutex_);
  absl::Duration ahead_ ABSL_GUARDED_BY(mutex_);
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
};

class ClusterMonitorTest : public ::testing::Test {
 protected:
  ClusterMonitorTest() {
    static const bool kKept = (grpc_init(), true);
    EXPECT_TRUE(kKept);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&other_);
    server_ = builder.BuildAndStart();
    membership_ = std::make_unique<Membership>(Members(5, absl::StrCat("127.0.0.1:", port)));
    ClusterMonitor::Options options;
    options.cluster_id = kCluster;
    options.self = kSelf;
    options.every_micros = int64_t{1} << 50;  // only when it is asked
    options.patience = absl::Seconds(30);
    options.on_clock = [this](NodeId, const ClockOffset&, ClockWatch::Change change) {
      changes_.push_back(change);
    };
    monitor_ = std::make_unique<ClusterMonitor>(options, &loop_, membership_.get());
    monitor_->Start();
    Ask();  // what Start asks
    changes_.clear();
  }
  ~ClusterMonitorTest() override {
    if (server_ != nullptr) server_->Shutdown();
    monitor_->Stop();
    loop_.Stop();
  }

  static MembersView Members(uint64_t version, const std::string& other_address) {
    MembersView view;
    view.version = version;
    view.members[kSelf] = {.node = kSelf, .disk = DiskId(101), .address = "127.0.0.1:1"};
    view.members[kOther] = {.node = kOther, .disk = kOtherDisk, .address = other_address};
    return view;
  }
  MembersView WithoutSelf(uint64_t version) {
    MembersView view = *membership_->Get();
    view.version = version;
    view.members.erase(kSelf);
    return view;
  }
  void Tell(const MembersView& members) {
    peer::v1::NodeReport report = other_.report();
    report.set_members(EncodeMembers(members));
    other_.Set(report);
  }
  // One round's answers.
  ClusterMonitor::Reports Ask() {
    ClusterMonitor::Reports reports;
    absl::Notification asked;
    monitor_->Ask([&](const ClusterMonitor::Reports& heard) {
      reports = heard;
      asked.Notify();
    });
    asked.WaitForNotification();
    return reports;
  }
  uint64_t version() { return membership_->Get()->version; }

  EventLoop loop_{"monitor"};
  Other other_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Membership> membership_;
  std::vector<ClockWatch::Change> changes_;  // of the loop
  std::unique_ptr<ClusterMonitor> monitor_;
};

TEST_F(ClusterMonitorTest, HearsWhatTheOtherSaysAndHowItsClockIs) {
  peer::v1::NodeReport report = other_.report();
  report.mutable_status()->set_version("0.1.0");
  other_.Set(report);
  other_.SetAhead(absl::Seconds(90));
  const ClusterMonitor::Reports reports = Ask();
  ASSERT_EQ(reports.size(), 1u) << "it does not ask itself";
  const ClusterMonitor::Heard& heard = reports.at(kOther);
  ASSERT_TRUE(heard.status.ok()) << heard.status;
  EXPECT_EQ(heard.report.status().version(), "0.1.0");
  EXPECT_LE(std::abs(heard.clock.micros - 90'000'000), heard.clock.uncertainty_micros + 1);
}

TEST_F(ClusterMonitorTest, TellsOnceThatAClockIsWrongAndOnceThatItIsRight) {
  using Change = ClockWatch::Change;
  other_.SetAhead(absl::Seconds(90));
  Ask();
  Ask();
  other_.SetAhead(absl::ZeroDuration());
  // A round trip that takes long says nothing.
  while (changes_.size() < 2) Ask();
  EXPECT_EQ(changes_, (std::vector<Change>{Change::kApart, Change::kRight}));
}

TEST_F(ClusterMonitorTest, TakesANewerTableOfMembersAlsoOneWithoutItself) {
  Tell(WithoutSelf(6));
  Ask();
  EXPECT_EQ(version(), 6u);
  EXPECT_EQ(membership_->Get()->Find(kSelf), nullptr);
}

TEST_F(ClusterMonitorTest, TakesNoTableThatIsNotNewer) {
  for (const uint64_t told : {4u, 5u}) {
    Tell(WithoutSelf(told));
    Ask();
    EXPECT_NE(membership_->Get()->Find(kSelf), nullptr) << told;
  }
  EXPECT_EQ(version(), 5u);
}

TEST_F(ClusterMonitorTest, TakesNoTableOfANodeThatIsNoMemberByIt) {
  MembersView view = WithoutSelf(6);
  view.members[kOther].disk = DiskId(999);
  Tell(view);
  Ask();
  EXPECT_EQ(version(), 5u);
  view.members.erase(kOther);
  view.members[NodeId(3)] = {.node = NodeId(3), .disk = DiskId(103), .address = "127.0.0.1:3"};
  Tell(view);
  Ask();
  EXPECT_EQ(version(), 5u);
}

TEST_F(ClusterMonitorTest, TakesNothingOfAnotherClusterOrNode) {
  Tell(WithoutSelf(6));
  peer::v1::NodeReport report = other_.report();
  report.set_cluster_id("fedcba9876543210fedcba9876543210");
  other_.Set(report);
  EXPECT_EQ(Ask().at(kOther).status.code(), absl::StatusCode::kFailedPrecondition);
  report.set_cluster_id(kCluster);
  report.set_node_id(3);
  other_.Set(report);
  EXPECT_EQ(Ask().at(kOther).status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(version(), 5u);
}

TEST_F(ClusterMonitorTest, ATimeThatCannotBeIsRefused) {
  peer::v1::NodeReport report = other_.report();
  for (const int64_t wall : {INT64_MAX, INT64_MIN, kWallMicrosMax + 1, -kWallMicrosMax - 1}) {
    report.set_wall_micros(wall);
    other_.Set(report);
    EXPECT_EQ(Ask().at(kOther).status.code(), absl::StatusCode::kInternal) << wall;
  }
}

TEST_F(ClusterMonitorTest, ConcludesNothingFromSilence) {
  server_->Shutdown();
  server_ = nullptr;
  EXPECT_EQ(Ask().at(kOther).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(membership_->Get()->Find(kSelf), nullptr);
}

TEST_F(ClusterMonitorTest, WhoeverAsksDuringARoundIsAnsweredWithItsEndAndStopEndsIt) {
  other_.BeSilent();
  std::optional<ClusterMonitor::Reports> first;
  std::optional<ClusterMonitor::Reports> second;
  monitor_->Ask([&](const ClusterMonitor::Reports& reports) { first = reports; });
  monitor_->Ask([&](const ClusterMonitor::Reports& reports) { second = reports; });
  other_.AwaitAsked();
  monitor_->Stop();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->at(kOther).status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Ask().size(), 0u) << "after Stop";
}

}  // namespace
}  // namespace holdfast
