#include "server/cluster/cluster_monitor.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "server/cluster/members_codec.h"
#include "server/cluster/node_channel.h"

namespace holdfast {

ClusterMonitor::ClusterMonitor(Options options, Executor* executor, Membership* membership)
    : options_(std::move(options)), executor_(executor), membership_(membership) {
  CHECK_GT(options_.every_micros, 0);
}

ClusterMonitor::~ClusterMonitor() { CHECK(stopped_); }

void ClusterMonitor::Start() {
  executor_->Post([this] {
    stopped_ = false;
    Tick();
  });
}

void ClusterMonitor::Stop() {
  Add();
  executor_->Post([this] {
    stopped_ = true;
    for (const auto& call : calls_) call->context.TryCancel();
    Remove();
  });
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](size_t* under_way) { return *under_way == 0; }, &under_way_));
}

void ClusterMonitor::Add() {
  absl::MutexLock lock(&mutex_);
  ++under_way_;
}

void ClusterMonitor::Remove() {
  absl::MutexLock lock(&mutex_);
  --under_way_;
}

void ClusterMonitor::Ask(Done done) {
  executor_->Post([this, done = std::move(done)]() mutable {
    if (stopped_) return std::move(done)({});
    waiting_.push_back(std::move(done));
    if (waiting_.size() == 1) BeginRound();
  });
}

void ClusterMonitor::Tick() {
  if (stopped_) return;
  executor_->RunAt(executor_->MonotonicMicros() + options_.every_micros, [this] { Tick(); });
  if (!waiting_.empty()) return;
  waiting_.push_back([](const Reports&) {});
  BeginRound();
}

void ClusterMonitor::BeginRound() {
  const Membership::View view = membership_->Get();
  PeerPlaces places = view->Places();
  places.erase(options_.self);
  std::erase_if(lines_, [&](const auto& line) { return !places.contains(line.first); });
  unanswered_ = places.size();
  if (places.empty()) return EndRound();
  for (const auto& [node, place] : places) Send(node, place, view->version);
}

void ClusterMonitor::Send(NodeId node, const PeerPlace& place, uint64_t members_version) {
  Line& line = lines_[node];
  if (line.stub == nullptr || line.address != place.address) {
    line = {.address = place.address,
            .stub = peer::v1::Report::NewStub(MakeNodeChannel(place.address))};
  }
  Call* const call = calls_.emplace_back(std::make_unique<Call>()).get();
  call->node = node;
  call->request.set_members_version(members_version);
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + options_.patience));
  Add();
  call->sent_wall_micros = executor_->WallMicros();
  call->sent_micros = executor_->MonotonicMicros();
  line.stub->async()->GetReport(&call->context, &call->request, &call->report,
                                [this, call](grpc::Status status) {
                                  call->came_micros = executor_->MonotonicMicros();
                                  call->status = std::move(status);
                                  executor_->Post([this] {
                                    OnAnswer();
                                    Remove();
                                  });
                                });
}

void ClusterMonitor::OnAnswer() {
  if (--unanswered_ == 0) EndRound();
}

void ClusterMonitor::EndRound() {
  Reports reports;
  for (const auto& call : calls_) reports[call->node] = Judge(call.get());
  calls_.clear();
  for (const auto& [node, heard] : reports) {
    if (!heard.status.ok()) continue;
    TakeMembers(heard);
    const ClockWatch::Change change = clocks_.Observe(node, heard.clock);
    if (change != ClockWatch::Change::kNone && options_.on_clock) {
      options_.on_clock(node, heard.clock, change);
    }
  }
  // They may ask again.
  for (Done& done : std::exchange(waiting_, {})) std::move(done)(reports);
}

ClusterMonitor::Heard ClusterMonitor::Judge(Call* call) {
  Heard heard;
  if (!call->status.ok()) {
    heard.status = absl::Status(static_cast<absl::StatusCode>(call->status.error_code()),
                                call->status.error_message());
    return heard;
  }
  const peer::v1::NodeReport& report = call->report;
  if (report.cluster_id() != options_.cluster_id || report.node_id() != call->node.value()) {
    heard.status = absl::FailedPreconditionError(
        absl::StrCat("its address leads to node ", report.node_id(), " of cluster ",
                     report.cluster_id(), ": correct it (holdfast cluster move)"));
    return heard;
  }
  if (report.wall_micros() > kWallMicrosMax || report.wall_micros() < -kWallMicrosMax) {
    heard.status = absl::InternalError(
        absl::StrCat("it tells the time ", report.wall_micros(), ", which cannot be"));
    return heard;
  }
  heard.clock = EstimateOffset(call->sent_wall_micros, call->came_micros - call->sent_micros,
                               report.wall_micros());
  heard.report = std::move(call->report);
  return heard;
}

// The table of a node that is a member by it. Each version of it is agreed on, so the newest one
// that is seen is right.
void ClusterMonitor::TakeMembers(const Heard& heard) {
  if (heard.report.members().empty()) return;
  absl::StatusOr<MembersView> members = DecodeMembers(heard.report.members());
  if (!members.ok()) return;
  const ClusterMember* const member = members->Find(NodeId(heard.report.node_id()));
  if (member == nullptr || member->disk != DiskId(heard.report.disk_id())) return;
  membership_->Update(*std::move(members));
}

}  // namespace holdfast
