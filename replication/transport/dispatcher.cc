#include "replication/transport/dispatcher.h"

#include <utility>

namespace holdfast {

Dispatcher::Dispatcher(const TransportOptions& options)
    : loops_(options.loops),
      loop_of_shard_(options.loop_of_shard),
      control_pending_max_(options.control_pending_max) {
  for (size_t i = 0; i < loops_.size(); ++i) {
    control_pending_.push_back(std::make_shared<std::atomic<size_t>>(0));
  }
}

void Dispatcher::Messages(NodeId from, std::vector<PeerEnvelope> messages, const Credit& credit) {
  std::vector<std::vector<PeerEnvelope>> by_loop(loops_.size());
  for (PeerEnvelope& message : messages) {
    by_loop[LoopOf(message.shard)].push_back(std::move(message));
  }
  for (size_t i = 0; i < loops_.size(); ++i) {
    const size_t count = by_loop[i].size();
    if (count == 0) continue;
    PeerHandler* handler = loops_[i].handler;
    if (credit != nullptr) {
      loops_[i].executor->Post([handler, from, credit, batch = std::move(by_loop[i])]() mutable {
        handler->OnMessages(from, std::move(batch));
      });
      continue;
    }
    const auto pending = control_pending_[i];
    if (pending->load(std::memory_order_relaxed) >= control_pending_max_) continue;
    pending->fetch_add(count, std::memory_order_relaxed);
    loops_[i].executor->Post(
        [handler, from, pending, count, batch = std::move(by_loop[i])]() mutable {
          pending->fetch_sub(count, std::memory_order_relaxed);
          handler->OnMessages(from, std::move(batch));
        });
  }
}

void Dispatcher::Unreachable(ShardId shard, ReplicaId replica) {
  Run(shard, [handler = loops_[LoopOf(shard)].handler, shard, replica] {
    handler->OnUnreachable(shard, replica);
  });
}

void Dispatcher::Change(const PeerChange& change) {
  for (const TransportLoop& loop : loops_) {
    loop.executor->Post([handler = loop.handler, change] { handler->OnPeerChange(change); });
  }
}

void Dispatcher::Forward(NodeId from, ShardId shard, SharedBytes request, ForwardReply reply,
                         Credit credit) {
  Run(shard, [handler = loops_[LoopOf(shard)].handler, from, shard, request = std::move(request),
              reply = std::move(reply), credit = std::move(credit)]() mutable {
    handler->OnForward(from, shard, std::move(request), std::move(reply));
  });
}

void Dispatcher::SnapshotPartCame(NodeId from, SnapshotPart part, Credit credit) {
  const ShardId shard = part.shard;
  Run(shard, [handler = loops_[LoopOf(shard)].handler, from, part = std::move(part),
              credit = std::move(credit)]() mutable {
    handler->OnSnapshotPart(from, std::move(part), std::move(credit));
  });
}

void Dispatcher::SnapshotAnswerCame(NodeId from, ShardId shard, std::string answer, Credit credit) {
  Run(shard, [handler = loops_[LoopOf(shard)].handler, from, shard, answer = std::move(answer),
              credit = std::move(credit)]() mutable {
    handler->OnSnapshotAnswer(from, shard, std::move(answer));
  });
}

void Dispatcher::SnapshotStreamChanged(NodeId to, SnapshotStream event) {
  for (const TransportLoop& loop : loops_) {
    loop.executor->Post(
        [handler = loop.handler, to, event] { handler->OnSnapshotStream(to, event); });
  }
}

void Dispatcher::Run(ShardId shard, Task task) {
  loops_[LoopOf(shard)].executor->Post(std::move(task));
}

void Dispatcher::After(int64_t micros, Task task) {
  Executor* executor = loops_[0].executor;
  const int64_t at = executor->MonotonicMicros() + micros;
  executor->Post(
      [executor, at, task = std::move(task)]() mutable { executor->RunAt(at, std::move(task)); });
}

}  // namespace holdfast
