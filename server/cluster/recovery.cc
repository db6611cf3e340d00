#include "server/cluster/recovery.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/status_macros.h"
#include "replication/node/group.h"
#include "replication/raft/config_changer.h"
#include "replication/raft/configuration.h"
#include "server/cluster/members_codec.h"
#include "server/codec/command_codec.h"
#include "server/codec/entry_codec.h"
#include "server/engine/overlay/cold_reader.h"

namespace holdfast {
namespace {

constexpr uint64_t kReadBytesMax = 1 << 20;
// Entries behind the flushed one that are looked at for a time.
constexpr uint64_t kLookBackMax = 100;

absl::StatusOr<raft::Configuration> ConfigurationOf(ShardId shard, const AppliedRow& applied) {
  auto configuration = raft::DecodeConfiguration(applied.configuration);
  if (configuration.has_value()) return *std::move(configuration);
  return absl::DataLossError(
      absl::StrCat("shard ", shard.value(), ": the stored configuration cannot be read"));
}

// What an entry says of the copy.
absl::Status Take(const StoredEntry& entry, CopyPosition* position) {
  if (entry.type == static_cast<uint8_t>(raft::EntryType::kCommands)) {
    ASSIGN_OR_RETURN(const EntryReader reader, EntryReader::Open(entry.payload));
    position->time = std::max(position->time, reader.log_time());
  } else if (entry.type == static_cast<uint8_t>(raft::EntryType::kConfiguration) &&
             entry.index > position->flushed) {
    const auto change = raft::DecodeConfigChange(entry.payload);
    if (!change.has_value()) {
      return absl::DataLossError(absl::StrCat("entry ", entry.index.value(), " of shard ",
                                              position->shard.value(),
                                              " is not a configuration change"));
    }
    position->configuration = raft::ApplyChange(position->configuration, *change).configuration;
  }
  return absl::OkStatus();
}

absl::Status ReadLog(const LogStore& log, CopyPosition* position) {
  const ShardLog held = log.Describe(position->shard);
  std::vector<StoredEntry> entries;
  for (LogIndex next = std::max(held.first, Next(position->flushed)); next <= held.last;
       next = Next(entries.back().index)) {
    entries.clear();
    RETURN_IF_ERROR(
        log.ReadEntries(position->shard, next, Next(held.last), kReadBytesMax, &entries));
    for (const StoredEntry& entry : entries) RETURN_IF_ERROR(Take(entry, position));
  }
  LogIndex back = std::min(position->flushed, held.last);
  for (uint64_t i = 0; i < kLookBackMax && position->time == LogTime() && back >= held.first; ++i) {
    entries.clear();
    RETURN_IF_ERROR(log.ReadEntries(position->shard, back, Next(back), 0, &entries));
    RETURN_IF_ERROR(Take(entries.front(), position));
    back = Previous(back);
  }
  return absl::OkStatus();
}

absl::StatusOr<CopyPosition> PositionOf(ShardId shard, const LogStore& log,
                                        const StateSnapshot& state) {
  const ShardLog held = log.Describe(shard);
  CopyPosition position{.shard = shard,
                        .term = held.last_term,
                        .last = held.last,
                        .committed = held.hard_state.commit,
                        .flushed = {},
                        .time = {},
                        .configuration = {}};
  ASSIGN_OR_RETURN(const std::optional<AppliedRow> applied, ReadApplied(state, shard));
  if (applied.has_value()) {
    ASSIGN_OR_RETURN(position.configuration, ConfigurationOf(shard, *applied));
    position.flushed = applied->index;
    position.committed = std::max(position.committed, applied->index);
    // A state that another node has sent, to which the log was not reset yet.
    if (applied->index > position.last) {
      position.last = applied->index;
      position.term = applied->term;
    }
  }
  RETURN_IF_ERROR(ReadLog(log, &position));
  return position;
}

raft::Configuration Alone(ReplicaId replica) {
  raft::Configuration configuration;
  configuration.voters = {replica};
  return configuration;
}

// The first error among those that several threads report.
class FirstError {
 public:
  void Update(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    status_.Update(status);
  }
  absl::Status Get() {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// That it has no other voters goes into each shard's log, and so into its state; and that what the
// others' connections held is nobody's.
absl::Status LogConfigurations(NodeEngine* engine) {
  const NodeEngine::Options& options = engine->options();
  raft::ConfigChange change;
  change.steps.push_back({.kind = raft::ConfigStep::Kind::kAddVoter,
                          .replica = ReplicaOf(options.node, options.disk)});
  // A command that changes nothing, and is applied after all the others.
  const std::string after =
      EncodeCommand({.request = {}, .body = NodeLostCommand{options.node, 0}});
  FirstError error;
  absl::BlockingCounter left(static_cast<int>(options.shards));
  for (uint32_t i = 0; i < options.shards; ++i) {
    const ShardId shard(i);
    engine->loop(engine->LoopIndexOf(shard))->Post([&, shard] {
      if (engine->group(shard)->ProposeConfigChange(change) != raft::ProposeResult::kOk) {
        error.Update(absl::InternalError(
            absl::StrCat("shard ", shard.value(), " did not take its configuration")));
        left.DecrementCount();
        return;
      }
      // They are gone, and so are their connections.
      engine->shard(shard)->LoseNodes([](NodeId) { return true; });
      Submission submission;
      submission.command = after;
      submission.done = [&](const ExecuteResult& result) {
        error.Update(result.status);
        left.DecrementCount();
      };
      engine->shard(shard)->Submit(std::move(submission));
    });
  }
  left.Wait();
  return error.Get();
}

absl::StatusOr<ClusterRecordRow> ReadRecord(Engine* engine) {
  QueryResult result;
  absl::Notification done;
  engine->Ask(ClusterRecordQuery(), [&](QueryResult answer) {
    result = std::move(answer);
    done.Notify();
  });
  done.WaitForNotification();
  RETURN_IF_ERROR(result.status);
  return result.cluster_record;
}

absl::StatusOr<MembersView> LogMembers(Engine* engine, const ClusterMember& self) {
  ASSIGN_OR_RETURN(const ClusterRecordRow record, ReadRecord(engine));
  MembersView members = ViewOf({self});
  members.version = record.version;
  if (record.version > 0) {
    ASSIGN_OR_RETURN(const MembersView before, DecodeMembers(record.record));
    if (before.members == members.members) return members;
  }
  ++members.version;
  const std::string text = EncodeMembers(members);
  absl::Status status;
  absl::Notification done;
  engine->Execute(
      {.request = {}, .body = PutClusterRecordCommand{.version = record.version, .record = text}},
      [&](const ExecuteResult& result) {
        status = result.status;
        if (status.ok() && result.outcome.code != OutcomeCode::kOk) {
          status = absl::InternalError("the members were changed meanwhile");
        }
        done.Notify();
      });
  done.WaitForNotification();
  RETURN_IF_ERROR(status);
  return members;
}

absl::Status CheckFlushedAndCut(const NodeEngine::Options& options, const StateStore& state,
                                LogStore* log) {
  const std::string alone = raft::EncodeConfiguration(Alone(ReplicaOf(options.node, options.disk)));
  const std::shared_ptr<const StateSnapshot> snapshot = state.Snapshot();
  LogBatch cut;
  for (uint32_t i = 0; i < options.shards; ++i) {
    const ShardId shard(i);
    ASSIGN_OR_RETURN(const std::optional<AppliedRow> applied, ReadApplied(*snapshot, shard));
    if (!applied.has_value() || applied->configuration != alone) {
      return absl::InternalError(
          absl::StrCat("shard ", i,
                       " did not come into the state store: see that the disk has room, and run "
                       "it again"));
    }
    cut.Compact(shard, applied->index, applied->term);
  }
  RETURN_IF_ERROR(log->Write(cut, SyncMode::kNow));
  return log->Seal();
}

}  // namespace

absl::StatusOr<std::vector<CopyPosition>> Positions(uint32_t shards, const LogStore& log,
                                                    const StateStore& state) {
  const std::shared_ptr<const StateSnapshot> snapshot = state.Snapshot();
  std::vector<CopyPosition> positions;
  for (uint32_t i = 0; i < shards; ++i) {
    ASSIGN_OR_RETURN(positions.emplace_back(), PositionOf(ShardId(i), log, *snapshot));
  }
  return positions;
}

absl::StatusOr<MembersView> GoOnAlone(NodeEngine::Options options, const ClusterMember& self,
                                      LogStore* log, StateStore* state,
                                      NodeEngine::OnFatal on_fatal) {
  options.forced_alone = true;
  options.initial_voters.clear();
  NodeEngine engine(options, log, state, std::move(on_fatal));
  RETURN_IF_ERROR(engine.Start());
  RETURN_IF_ERROR(LogConfigurations(&engine));
  ASSIGN_OR_RETURN(MembersView members, LogMembers(engine.router(), self));
  engine.Stop(Flusher::LastFlush::kDo);
  RETURN_IF_ERROR(CheckFlushedAndCut(options, *state, log));
  return members;
}

}  // namespace holdfast
