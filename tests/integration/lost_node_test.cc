// A node is killed, or stopped for long, while workers' streams to it hold jobs: what they want to
// be released is handed out by the others, what they want to keep is kept, and a node that comes
// back goes on.

#include <signal.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "tests/integration/growing_cluster.h"

namespace holdfast {
namespace {

// One Work stream with one credit, for jobs with a lease of an hour.
class Stream {
 public:
  Stream(v1::Holdfast::StubInterface* stub, const std::string& queue, v1::OnDisconnect at_end) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(120)));
    stream_ = stub->Work(&context_);
    v1::WorkRequest request;
    v1::Subscribe& subscribe = *request.mutable_subscribe();
    subscribe.add_queues(queue);
    subscribe.set_credits(1);
    subscribe.set_on_disconnect(at_end);
    subscribe.mutable_lease()->set_seconds(3600);
    EXPECT_TRUE(stream_->Write(request));
  }
  ~Stream() { context_.TryCancel(); }

  // The next one of the kind; fails when the stream ends before it has come.
  v1::Job NextJob() { return Next(&jobs_); }
  v1::CancelledLease NextCancelled() { return Next(&cancelled_); }
  void AddCredit() {
    v1::WorkRequest request;
    request.set_add_credits(1);
    EXPECT_TRUE(stream_->Write(request));
  }

 private:
  template <class Item>
  Item Next(std::deque<Item>* items) {
    v1::WorkResponse response;
    while (items->empty()) {
      if (!stream_->Read(&response)) {
        ADD_FAILURE() << "the stream ended: " << stream_->Finish().error_message();
        return Item();
      }
      jobs_.insert(jobs_.end(), response.jobs().begin(), response.jobs().end());
      cancelled_.insert(cancelled_.end(), response.cancelled().begin(), response.cancelled().end());
    }
    Item item = std::move(items->front());
    items->pop_front();
    return item;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriterInterface<v1::WorkRequest, v1::WorkResponse>> stream_;
  std::deque<v1::Job> jobs_;
  std::deque<v1::CancelledLease> cancelled_;
};

class LostNodeTest : public testing::GrowingCluster {
 protected:
  LostNodeTest() { GrowToThree(); }

  void Put(const std::string& queue) {
    v1::EnqueueRequest request;
    v1::EnqueueResponse response;
    request.set_queue(queue);
    request.add_jobs()->set_body("job");
    grpc::ClientContext context;
    SetDeadline(&context);
    const grpc::Status status = connections_[0]->stub()->Enqueue(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  v1::QueueCounts Counts(const std::string& queue) {
    v1::GetQueueRequest request;
    v1::Queue response;
    request.set_name(queue);
    grpc::ClientContext context;
    SetDeadline(&context);
    const grpc::Status status = connections_[0]->stub()->GetQueue(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.counts();
  }
  void AwaitReady(const std::string& queue) {
    Await("the job in " + queue + " is ready again", [&] { return Counts(queue).ready() == 1; });
  }
  v1::Job Take(const std::string& queue) {
    v1::ReserveRequest request;
    v1::ReserveResponse response;
    request.add_queues(queue);
    grpc::ClientContext context;
    SetDeadline(&context);
    const grpc::Status status = connections_[0]->stub()->Reserve(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.jobs().empty() ? v1::Job() : response.jobs(0);
  }
  bool Delete(const v1::Lease& lease) {
    v1::DeleteRequest request;
    v1::DeleteResponse response;
    *request.add_leases() = lease;
    grpc::ClientContext context;
    SetDeadline(&context);
    const grpc::Status status = connections_[0]->stub()->Delete(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results_size() == 1 && !response.results(0).has_error();
  }
  static void SetDeadline(grpc::ClientContext* context) {
    context->set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
  }
};

TEST_F(LostNodeTest, OneThatIsKilledHoldsOnlyWhatIsToBeKept) {
  Put("released");
  Put("kept");
  Stream released(connections_[2]->stub(), "released", v1::ON_DISCONNECT_RELEASE);
  Stream kept(connections_[2]->stub(), "kept", v1::ON_DISCONNECT_EXPIRE);
  const v1::Job first = released.NextJob();
  const v1::Job second = kept.NextJob();
  nodes_[2]->Kill();
  AwaitReady("released");
  EXPECT_FALSE(Delete(first.lease())) << "it is nobody's any more";
  EXPECT_GT(Take("released").lease().token(), first.lease().token());
  EXPECT_EQ(Counts("kept").reserved(), 1u);
  EXPECT_TRUE(Delete(second.lease())) << "its worker lives, and is done";
}

TEST_F(LostNodeTest, OneThatIsStoppedForLongComesBackAsAnotherRun) {
  Put("released");
  Stream stream(connections_[2]->stub(), "released", v1::ON_DISCONNECT_RELEASE);
  const v1::Job before = stream.NextJob();
  stream.AddCredit();
  nodes_[2]->Signal(SIGSTOP);
  AwaitReady("released");
  const v1::Job taken = Take("released");
  EXPECT_EQ(taken.lease().job_id(), before.lease().job_id());
  Put("released");  // for which the stopped node has a reserve waiting
  nodes_[2]->Signal(SIGCONT);
  EXPECT_EQ(stream.NextCancelled().lease().token(), before.lease().token());
  const v1::Job after = stream.NextJob();
  EXPECT_NE(after.lease().job_id(), before.lease().job_id());
  EXPECT_FALSE(Delete(before.lease()));
  EXPECT_TRUE(Delete(taken.lease()));
  EXPECT_TRUE(Delete(after.lease()));
}

}  // namespace
}  // namespace holdfast
