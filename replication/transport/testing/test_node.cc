#include "replication/transport/testing/test_node.h"

#include <grpc/grpc.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/transport/record.h"

namespace holdfast {
namespace {

// Keeps gRPC from ending and beginning anew between tests: it ends on a thread of its own, which
// may be at it still when the process exits.
void KeepLibrary() {
  static const bool kKept = (grpc_init(), true);
  CHECK(kKept);
}

// Far beyond anything that a test waits for.
constexpr absl::Duration kTooLong = absl::Seconds(30);

}  // namespace

TransportOptions TestOptions(uint64_t node) {
  TransportOptions options;
  options.self = {.cluster_id = "0123456789abcdef0123456789abcdef",
                  .node = NodeId(node),
                  .replica = ReplicaId(1000 + node),
                  .shards = kTestShards,
                  .incarnation = 1,
                  .address = ""};
  options.seed = node;
  return options;
}

class TestNode::Handler final : public PeerHandler {
 public:
  Handler(TestNode* node, size_t loop) : node_(node), loop_(loop) {}

  void OnMessages(NodeId from, std::vector<PeerEnvelope> messages) override {
    absl::MutexLock lock(&node_->mutex_);
    for (PeerEnvelope& message : messages) {
      CheckLoop(message.shard);
      node_->told_.messages.emplace_back(from, std::move(message));
    }
  }
  void OnUnreachable(ShardId shard, ReplicaId replica) override {
    absl::MutexLock lock(&node_->mutex_);
    CheckLoop(shard);
    node_->told_.unreachable.emplace_back(shard, replica);
  }
  void OnPeerChange(const PeerChange& change) override {
    absl::MutexLock lock(&node_->mutex_);
    if (loop_ == 0) node_->told_.changes.push_back(change);
  }
  void OnForward(NodeId, ShardId shard, std::shared_ptr<const std::string> request,
                 ForwardReply reply) override {
    {
      absl::MutexLock lock(&node_->mutex_);
      CheckLoop(shard);
      ++node_->told_.requests;
      if (*request == "keep") return node_->told_.unanswered.push_back(std::move(reply));
    }
    if (*request != "drop") reply.Answer(std::move(request));
  }
  void OnSnapshotPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit) override {
    const ShardId shard = part.shard;
    std::string answer = "got " + part.header;
    {
      absl::MutexLock lock(&node_->mutex_);
      CheckLoop(shard);
      node_->told_.parts.push_back(std::move(part));
      if (node_->keep_credits_) node_->told_.credits.push_back(std::move(credit));
    }
    node_->transport_->AnswerSnapshot(from, shard, std::move(answer));
  }
  void OnSnapshotAnswer(NodeId, ShardId shard, std::string answer) override {
    absl::MutexLock lock(&node_->mutex_);
    CheckLoop(shard);
    node_->told_.answers.push_back(std::move(answer));
  }
  void OnSnapshotStream(NodeId, SnapshotStream event) override {
    absl::MutexLock lock(&node_->mutex_);
    if (loop_ == 0) node_->told_.stream_events.push_back(event);
  }

 private:
  void CheckLoop(ShardId shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(node_->mutex_) {
    if (shard.value() % 2 != loop_ || !node_->loops_[loop_]->IsCurrent()) {
      ++node_->told_.wrong_loop;
    }
  }

  TestNode* const node_;
  const size_t loop_;
};

TestNode::TestNode(TransportOptions options, PeerHandler* instead) : options_(std::move(options)) {
  for (size_t i = 0; i < 2; ++i) {
    handlers_.push_back(std::make_unique<Handler>(this, i));
    loops_.push_back(std::make_unique<ThreadExecutor>());
    PeerHandler* handler = instead != nullptr ? instead : handlers_[i].get();
    options_.loops.push_back({loops_[i].get(), handler});
  }
  for (uint32_t shard = 0; shard < options_.self.shards; ++shard) {
    options_.loop_of_shard.push_back(shard % 2);
  }
  KeepLibrary();
  transport_ = std::make_unique<PeerTransport>(options_);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(transport_->service());
  builder.SetMaxReceiveMessageSize(static_cast<int>(kFrameBytesMax));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
  transport_->Start(address_);
}

TestNode::~TestNode() {
  Crash();
  std::vector<ForwardReply> unanswered;
  std::deque<std::shared_ptr<void>> credits;
  {
    absl::MutexLock lock(&mutex_);
    unanswered = std::move(told_.unanswered);
    credits = std::move(told_.credits);
  }
  loops_.clear();
}

void TestNode::Crash() {
  if (server_ == nullptr) return;
  transport_->Stop();
  server_->Shutdown();
  server_->Wait();
  server_.reset();
}

void TestNode::KeepCredits() {
  absl::MutexLock lock(&mutex_);
  keep_credits_ = true;
}

void TestNode::DropCredits() {
  std::deque<std::shared_ptr<void>> credits;
  absl::MutexLock lock(&mutex_);
  keep_credits_ = false;
  credits.swap(told_.credits);
}

bool TestNode::Await(const std::function<bool(const Told&)>& predicate) {
  absl::MutexLock lock(&mutex_);
  const auto holds = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return predicate(told_); };
  return mutex_.AwaitWithTimeout(absl::Condition(&holds), kTooLong);
}

bool TestNode::AwaitChange(NodeId peer, PeerChange::Kind kind, size_t times) {
  return Await([&](const Told& told) {
    size_t count = 0;
    for (const PeerChange& change : told.changes) {
      if (change.node == peer && change.kind == kind) ++count;
    }
    return count >= times;
  });
}

bool TestNode::AwaitMessages(size_t count) {
  return Await([&](const Told& told) { return told.messages.size() >= count; });
}

void Connect(const std::vector<TestNode*>& nodes) {
  PeerPlaces places;
  for (TestNode* node : nodes) places[node->id()] = node->place();
  for (TestNode* node : nodes) node->transport()->SetPeers(places);
}

PeerEnvelope Heartbeat(const TestNode& from, const TestNode& to, ShardId shard, uint64_t number) {
  PeerEnvelope envelope;
  envelope.shard = shard;
  envelope.wall_micros = 1'700'000'000'000'000 + static_cast<int64_t>(number);
  envelope.message.type = raft::MessageType::kHeartbeat;
  envelope.message.from = from.replica();
  envelope.message.to = to.replica();
  envelope.message.term = Term(3);
  envelope.message.commit = LogIndex(number);
  return envelope;
}

PeerEnvelope Append(const TestNode& from, const TestNode& to, ShardId shard, uint64_t number,
                    size_t bytes) {
  PeerEnvelope envelope = Heartbeat(from, to, shard, number);
  envelope.message.type = raft::MessageType::kAppend;
  raft::Entry entry;
  entry.term = Term(3);
  entry.index = LogIndex(number);
  entry.type = raft::EntryType::kCommands;
  entry.data = std::make_shared<const std::string>(bytes, static_cast<char>('a' + number % 26));
  envelope.message.entries.push_back(std::move(entry));
  return envelope;
}

}  // namespace holdfast
