// The stored bytes of fixed values, against testdata/golden_v1.txt: lines of a name and hex. Those
// bytes are in people's logs and stores. A line never changes; a new version of something adds
// lines (FORMAT.md, "Changing the format").
//
// With HOLDFAST_WRITE_GOLDEN=FILE the test writes what it made to FILE.

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/entry_codec.h"
#include "server/codec/outcome_codec.h"
#include "server/codec/row_codec.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

constexpr char kFile[] = "server/codec/testdata/golden_v1.txt";
constexpr ShardId kShard(3);

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 0xf];
  }
  return hex;
}

const LogTime kNow = LogTime::FromMicros(1'764'000'000'000'000);

Job GoldenJob() {
  Job job;
  job.id = JobId(35);
  job.queue = QueueId(2);
  job.state = JobState::kReserved;
  job.buried_reason = BuriedReason::kByWorker;
  job.priority = 1000;
  job.epoch = 1;
  job.due = kNow + LogDuration::Seconds(60);
  job.created = kNow;
  job.expires = kNow + LogDuration::Seconds(3600);
  job.lease = LogDuration::Seconds(60);
  job.delay = LogDuration::Seconds(5);
  job.token = LeaseToken(9);
  job.attempts = 1;
  job.failures = 2;
  job.reserves = 3;
  job.timeouts = 4;
  job.releases = 5;
  job.buries = 6;
  job.kicks = 7;
  job.payload_size_bytes = 300;
  job.payload_digest = 0x0123456789abcdef;
  job.holder = {NodeId(1), 17, 400};
  job.current_lease = LogDuration::Seconds(30);
  return job;
}

Outcome GoldenOutcome() {
  Outcome outcome;
  outcome.code = OutcomeCode::kPartial;
  outcome.more = true;
  outcome.count = 2;
  outcome.session = SessionId(5);
  outcome.items = {{OutcomeCode::kOk, JobState::kDelayed, true, JobId(35), kNow},
                   {OutcomeCode::kLeaseInvalid, JobState::kReady, false, JobId(51), LogTime()}};
  outcome.grants = {{GoldenJob(), "mail"}};
  return outcome;
}

Lines Payloads() {
  PayloadView payload;
  payload.attributes = {{"content-type", "text/plain"}, {"trace", "1"}};
  payload.dedup_key = "order-7";
  payload.body = "hello";
  std::string bytes;
  AppendPayload(&bytes, payload);
  return {{"payload", bytes}};
}

EnqueueCommand GoldenEnqueue(std::string_view payload) {
  EnqueueCommand enqueue;
  enqueue.queue = "mail";
  enqueue.jobs = {{1000, LogDuration::Seconds(5), LogDuration::Seconds(60), LogDuration::Max(),
                   "order-7", static_cast<uint32_t>(payload.size()), PayloadDigest(payload)},
                  {0, LogDuration(), LogDuration(), LogDuration(), "",
                   static_cast<uint32_t>(payload.size()), PayloadDigest(payload)}};
  return enqueue;
}

Lines Commands() {
  const Holder holder = {NodeId(1), 17, 400};
  const LeaseRefs leases = {{JobId(35), LeaseToken(9)}, {JobId(51), LeaseToken(1)}};
  const RequestIdentity session = {SessionId(5), 300, 299, 0, 0};
  const RequestIdentity digest = {SessionId(), 0, 0, 0x1111111111111111, 0x2222222222222222};
  RequestIdentity minute = digest;
  minute.lifetime = LogDuration::Seconds(60);
  const std::string payload = Payloads()[0].second;
  QueueOptions options;
  options.default_lease = LogDuration::Seconds(30);
  options.retry = {5, LogDuration::Seconds(1), LogDuration::Seconds(100), 150};
  options.ttl = LogDuration::Seconds(86400);
  options.on_expiry = ExpiryAction::kDelete;
  options.max_jobs = 1000;
  options.max_bytes = 1'000'000;
  options.max_reserved = 10;
  options.dedup_window = LogDuration::Seconds(60);
  const LogDuration lease = LogDuration::Seconds(30);
  const std::vector<std::pair<const char*, Command>> commands = {
      {"reserve", {session, ReserveCommand{{"mail", "sms"}, 10, holder, lease}}},
      {"reserve_job", {digest, ReserveJobCommand{JobId(35), holder, lease}}},
      {"delete", {{}, DeleteCommand{leases}}},
      {"delete_for_a_minute", {minute, DeleteCommand{leases}}},
      {"delete_job", {{}, DeleteJobCommand{{JobId(35)}, ReservedJobs::kCancel}}},
      {"release", {{}, ReleaseCommand{leases, ReleaseMode::kFail, 7, lease}}},
      {"touch", {{}, TouchCommand{leases, lease}}},
      {"bury", {{}, BuryCommand{leases, 7}}},
      {"return_undelivered", {{}, ReturnUndeliveredCommand{leases}}},
      {"kick", {{}, KickCommand{"mail", 100, KickFrom::kDelayed}}},
      {"kick_jobs", {{}, KickJobsCommand{{JobId(35), JobId(51)}}}},
      {"pause_queue", {{}, PauseQueueCommand{"mail", LogDuration::Max(), Existence::kCreate}}},
      {"purge_queue", {{}, PurgeQueueCommand{"mail", 0x9}}},
      {"put_queue_options", {{}, PutQueueOptionsCommand{"mail", options, kAllQueueOptionFields}}},
      {"delete_queue", {{}, DeleteQueueCommand{"mail"}}},
      {"close_holder", {{}, CloseHolderCommand{holder}}},
      {"node_lost", {{}, NodeLostCommand{NodeId(1), 17}}},
      {"expire", {{}, ExpireCommand{1000}}},
      {"open_session", {{}, OpenSessionCommand{LogDuration::Seconds(60)}}},
      {"close_session", {{}, CloseSessionCommand{SessionId(5)}}},
      {"put_settings", {{}, PutSettingsCommand{{1, 2, 3, 4, LogDuration::Seconds(60)}}}},
      {"put_cluster_record", {{}, PutClusterRecordCommand{300, "members"}}},
  };
  Lines lines = {
      {"command.enqueue", EncodeCommand({digest, GoldenEnqueue(payload)}, {payload, payload})}};
  for (const auto& [name, command] : commands) {
    lines.emplace_back(std::string("command.") + name, EncodeCommand(command));
  }
  EnqueueCommand kept = GoldenEnqueue(payload);
  kept.jobs[0].dedup_window = LogDuration::Seconds(90);
  kept.jobs[0].buried = true;
  kept.jobs[1].past = {JobId(35), kNow, LogDuration::Seconds(9), 3, 4, 5, 6, 7};
  lines.emplace_back("command.enqueue_more", EncodeCommand({{}, kept}, {payload, payload}));
  lines.emplace_back("entry", *BuildEntry(kNow, {std::string_view(lines[0].second),
                                                 std::string_view(lines[1].second)}));
  return lines;
}

Lines Rows() {
  QueueRecord queue;
  queue.id = QueueId(2);
  queue.name = "mail";
  queue.has_options = true;
  queue.created = kNow;
  queue.paused_until = LogTime::Never();
  queue.pause = LogDuration::Max();
  queue.idle_since = kNow;
  for (uint32_t i = 0; i < 5; ++i) queue.epochs[i] = i;
  for (uint64_t i = 0; i < 4; ++i) queue.counts[i] = 100 * i;
  for (uint64_t i = 0; i < 4; ++i) queue.hash_by_state[i] = 0x0101010101010101 * i;
  queue.urgent = 1;
  queue.ttl_count = 2;
  queue.dedup_count = 3;
  queue.bytes = 400;
  queue.total_enqueued = 5;
  queue.total_deleted = 6;
  queue.total_timeouts = 7;
  queue.total_pauses = 8;
  Job fresh;
  fresh.queue = QueueId(2);
  fresh.created = kNow;
  fresh.expires = LogTime::Never();
  fresh.payload_size_bytes = 8;
  const DedupRecord dedup = {QueueId(2), "order-7", JobId(35), kNow};
  std::string outcome;
  AppendOutcome(&outcome, GoldenOutcome());
  return {
      {"row.job", EncodeJobRow(GoldenJob())},
      {"row.job_fresh", EncodeJobRow(fresh)},
      {"row.layout", EncodeLayoutRow(1)},
      {"row.applied", EncodeAppliedRow({LogIndex(1000), Term(7), 0x0123456789abcdef})},
      {"row.applied_2",
       EncodeAppliedRow({LogIndex(1000), Term(7), 0x0123456789abcdef, "members", true})},
      {"row.queue", EncodeQueueRow(queue)},
      {"row.dedup", EncodeDedupRow(dedup)},
      {"row.dedup_index", EncodeDedupIndexRow(dedup.key)},
      {"row.globals", EncodeSmallRow(GlobalsRow{1, 100, 3, 6, kNow, Settings()})},
      {"row.holder", EncodeSmallRow(HolderRow{1, 12})},
      {"row.holder_2", EncodeSmallRow(HolderRow{300, 12})},
      {"row.node_floor", EncodeSmallRow(NodeFloorRow{17})},
      {"row.request", EncodeSmallRow(RequestRow{GoldenOutcome()})},
      {"row.session", EncodeSmallRow(SessionRow{LogDuration::Seconds(60), kNow, 299})},
      {"row.session_outcome", EncodeSmallRow(SessionOutcomeRow{GoldenOutcome()})},
      {"row.grave", EncodeSmallRow(GraveRow{1000})},
      {"row.cluster_record", EncodeSmallRow(ClusterRecordRow{300, "members"})},
      {"outcome", outcome},
  };
}

Lines Keys() {
  const Holder holder = {NodeId(1), 17, 400};
  const auto index = [&](SetKind kind) {
    return IndexKey(kShard, {kind, QueueId(2), 1, holder}, {1000, 35});
  };
  const SetRef grave = {SetKind::kReserved, QueueId(2), 1, Holder()};
  return {
      {"key.job", JobRowKey(kShard, JobId(35))},
      {"key.layout", LayoutKey(kShard)},
      {"key.applied", AppliedKey(kShard)},
      {"key.queue", QueueRowKey(kShard, QueueId(2))},
      {"key.dedup", DedupRowKey(kShard, QueueId(2), "order-7")},
      {"key.globals", SmallRowKeyBytes(kShard, GlobalsKey{})},
      {"key.holder", SmallRowKeyBytes(kShard, HolderKey{holder})},
      {"key.node_floor", SmallRowKeyBytes(kShard, NodeFloorKey{NodeId(1)})},
      {"key.request", SmallRowKeyBytes(kShard, RequestKey{kNow, 1, 2})},
      {"key.session", SmallRowKeyBytes(kShard, SessionKey{SessionId(5)})},
      {"key.session_outcome", SmallRowKeyBytes(kShard, SessionOutcomeKey{SessionId(5), 300})},
      {"key.grave", SmallRowKeyBytes(kShard, GraveKey{grave})},
      {"key.cluster_record", SmallRowKeyBytes(kShard, ClusterRecordKey{})},
      {"key.index.ready", index(SetKind::kReady)},
      {"key.index.delayed", index(SetKind::kDelayed)},
      {"key.index.reserved", index(SetKind::kReserved)},
      {"key.index.buried", index(SetKind::kBuried)},
      {"key.index.ttl", index(SetKind::kTtl)},
      {"key.index.held", index(SetKind::kHeld)},
      {"key.index.dedup", index(SetKind::kDedup)},
  };
}

TEST(Golden, StoredBytesHaveNotChanged) {
  Lines made;
  for (Lines (*part)() : {&Payloads, &Commands, &Rows, &Keys}) {
    for (auto& line : part()) made.push_back(std::move(line));
  }
  if (const char* path = std::getenv("HOLDFAST_WRITE_GOLDEN"); path != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << Hex(bytes) << '\n';
    ASSERT_TRUE(out.good()) << path;
  }
  std::map<std::string, std::string> golden;
  std::ifstream in(kFile);
  ASSERT_TRUE(in.good()) << kFile;
  std::string name;
  std::string hex;
  while (in >> name >> hex) golden[name] = hex;
  EXPECT_EQ(golden.size(), made.size());
  for (const auto& [line, bytes] : made) EXPECT_EQ(golden[line], Hex(bytes)) << line;
}

}  // namespace
}  // namespace holdfast
