// A node's engine under chance: commands, cancels, flushes in steps, late reads, changes of
// leadership and crashes in any order, from a seed. What is promised of jobs must hold:
//
//   - an acknowledged job is there until its delete, and handed out with its own payload
//   - tokens rise, and no lease begins before the one before it has ended
//   - a job whose delete was acknowledged is never handed out again
//   - every call is answered once, unless the node crashes
//
// HOLDFAST_SEEDS=1..500 (with --test_env) runs other seeds, HOLDFAST_SEEDS=7 that one.

#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "queue/testing/random_commands.h"
#include "server/codec/payload_codec.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

constexpr uint32_t kShards = 3;
constexpr int kQueues = 4;
constexpr int kSteps = 400;

TestNode::Options OptionsOf(uint64_t seed) {
  TestNode::Options options;
  options.shards = kShards;
  options.machine.window_jobs_max = 8;
  options.machine.window_jobs_low = 4;
  options.machine.hot_jobs_max = 16;
  options.proposer.entry_commands_max = 4;
  options.shuffle_seed = seed;
  return options;
}

class EngineRun {
 public:
  explicit EngineRun(uint64_t seed) : prng_(seed), node_(OptionsOf(seed)) { node_.Start(); }

  void Chance() {
    for (int i = 0; i < kSteps; ++i) {
      Step();
      for (uint64_t tasks = prng_.Below(20); tasks > 0; --tasks) {
        if (!node_.events().RunOneDue()) break;
      }
      node_.events().RunFor(prng_.Chance(1, 4) ? 20'000 : 0);
      Collect();
    }
  }

  // All goes well from here on: what was promised must be had.
  void Settle() {
    node_.reader().Resume();
    if (node_.frozen()) {
      EXPECT_TRUE(node_.EndFlush().ok());
    }
    for (uint32_t i = 0; i < kShards; ++i) LeadAgain(i);
    node_.events().RunFor(60'000'000);  // all leases and waits end
    Collect();
    EXPECT_TRUE(reserves_.empty() && enqueues_.empty() && settles_.empty()) << "unanswered calls";
    for (int i = 0; i < kQueues; ++i) DrainQueue(Queue(i));
    std::set<JobId> left;
    for (const auto& [job, body] : promised_) left.insert(job);
    EXPECT_TRUE(left.empty()) << left.size() << " jobs are lost, the first is "
                              << left.begin()->value();
    EXPECT_TRUE(node_.fatal().empty());
    for (uint32_t i = 0; i < kShards; ++i) CheckRestart(i);
  }

 private:
  struct Lease {
    LogTime begin;
    LogTime end;
    bool given_up = false;  // we have asked for its end
  };
  struct Granted {
    Job job;
    std::string body;
  };
  struct Settling {
    JobId job;
    bool deletes = false;
    Answer<ExecuteResult> answer;
  };

  static std::string Queue(int i) { return absl::StrCat("queue-", i); }

  void Step() {
    switch (prng_.Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Enqueue();
      case 4:
      case 5:
      case 6:
        return Reserve();
      case 7:
      case 8:
      case 9:
        return SettleOne();
      case 10:
        return Cancel();
      case 11:
        return Flush();
      case 12:
        return prng_.Chance(1, 2) ? node_.reader().Pause() : node_.reader().Resume();
      case 13:
        return ChangeLeader(static_cast<uint32_t>(prng_.Below(kShards)));
      case 14:
        return prng_.Chance(1, 4) ? CrashAndStart() : node_.reader().Resume();
      default:
        node_.Execute(KickCommand{.queue = Queue(0), .bound = 3});
        return;
    }
  }

  void Enqueue() {
    JobSpec spec;
    spec.priority = static_cast<uint32_t>(prng_.Below(3));
    if (prng_.Chance(1, 4))
      spec.delay = LogDuration::Millis(static_cast<int64_t>(prng_.Below(300)));
    spec.lease = LogDuration::Millis(static_cast<int64_t>(100 + prng_.Below(2000)));
    const std::string body = absl::StrCat("body ", ++bodies_);
    const std::string queue = Queue(static_cast<int>(prng_.Below(kQueues)));
    enqueues_.emplace_back(body, node_.Enqueue(queue, body, spec));
  }

  void Reserve() {
    ReserveRequest request;
    for (int i = 0; i < kQueues; ++i) {
      if (prng_.Chance(1, 2)) request.queues.push_back(Queue(i));
    }
    if (request.queues.empty()) request.queues.push_back(Queue(0));
    request.max = static_cast<uint32_t>(1 + prng_.Below(3));
    request.wait = absl::Milliseconds(prng_.Below(3) * 200);
    ReserveId id;
    auto answer = node_.Reserve(std::move(request), &id);
    reserves_.emplace_back(id, std::move(answer));
  }

  void Cancel() {
    if (reserves_.empty()) return;
    node_.router().CancelReserve(reserves_[prng_.Below(reserves_.size())].first);
  }

  void SettleOne() {
    if (leases_.empty()) return;
    auto it = leases_.begin();
    std::advance(it, prng_.Below(leases_.size()));
    const LeaseRef lease{it->first, it->second.rbegin()->first};
    it->second.rbegin()->second.given_up = true;
    const uint64_t how = prng_.Below(4);
    Settling settling{.job = lease.job, .deletes = how < 2, .answer = {}};
    if (how < 2) {
      settling.answer = node_.Execute(DeleteCommand{.leases = {lease}});
    } else if (how == 2) {
      settling.answer =
          node_.Execute(ReleaseCommand{.leases = {lease}, .mode = {}, .priority = {}, .delay = {}});
    } else {
      settling.answer = node_.Execute(BuryCommand{.leases = {lease}, .priority = {}});
    }
    settles_.push_back(std::move(settling));
  }

  void Flush() {
    if (freezing_ && !node_.frozen()) return;  // waits for the end of an entry
    if (node_.frozen()) {
      EXPECT_TRUE(node_.EndFlush().ok());
      freezing_ = false;
      return;
    }
    const auto shard = static_cast<uint32_t>(prng_.Below(kShards));
    freezing_ = node_.BeginFlush(shard) != TestNode::Freezing::kNothing;
  }

  void ChangeLeader(uint32_t shard) {
    if (!node_.log(shard).leading()) return LeadAgain(shard);
    node_.OnLoop([&] { node_.log(shard).StopLeading(absl::UnavailableError("cut off")); });
    if (prng_.Chance(1, 3)) node_.log(shard).Replace(EntryType::kNoOp, "");
  }
  void LeadAgain(uint32_t shard) {
    if (node_.log(shard).leading()) return;
    node_.OnLoop([&] { node_.log(shard).Lead(); });
  }

  void CrashAndStart() {
    node_.Crash();
    freezing_ = false;
    enqueues_.clear();
    reserves_.clear();
    for (const Settling& settling : settles_) promised_.erase(settling.job);  // not known
    settles_.clear();
    node_.Start();
  }

  // Looks at what has been answered since.
  void Collect() {
    std::erase_if(enqueues_, [this](auto& enqueue) {
      if (!enqueue.second.has_value()) return false;
      const ExecuteResult& result = *enqueue.second;
      if (result.status.ok()) promised_[result.outcome.items[0].job] = enqueue.first;
      return true;
    });
    std::erase_if(settles_, [this](Settling& settling) {
      if (!settling.answer.has_value()) return false;
      const ExecuteResult& result = *settling.answer;
      if (!settling.deletes) return true;
      if (absl::IsUnknown(result.status)) promised_.erase(settling.job);
      if (!result.status.ok() || result.outcome.items[0].code != OutcomeCode::kOk) return true;
      promised_.erase(settling.job);
      leases_.erase(settling.job);
      deleted_.insert(settling.job);
      return true;
    });
    std::vector<Granted> granted;
    std::erase_if(reserves_, [&granted](auto& reserve) {
      if (!reserve.second.has_value()) return false;
      AddGrants(*reserve.second, &granted);
      return true;
    });
    TakeGrants(granted);
  }

  static void AddGrants(const ExecuteResult& result, std::vector<Granted>* granted) {
    ASSERT_EQ(result.payloads.size(), result.outcome.grants.size());
    for (size_t i = 0; i < result.outcome.grants.size(); ++i) {
      granted->push_back({result.outcome.grants[i].job,
                          std::string(DecodePayload(result.payloads[i].bytes)->body)});
    }
  }

  // What was answered since the last look, in any order.
  void TakeGrants(std::vector<Granted> granted) {
    std::sort(granted.begin(), granted.end(),
              [](const Granted& a, const Granted& b) { return a.job.token < b.job.token; });
    for (const auto& [job, body] : granted) {
      EXPECT_FALSE(deleted_.contains(job.id)) << job.id.value() << " was deleted";
      const auto promised = promised_.find(job.id);
      if (promised != promised_.end()) {
        EXPECT_EQ(body, promised->second);
      }
      EXPECT_EQ(bodies_of_.emplace(job.id, body).first->second, body);
      AddLease(job);
    }
  }

  // Answers may overtake one another: a payload may have to be read.
  void AddLease(const Job& job) {
    const LogTime begin = job.due + LogDuration::Micros(-job.current_lease.micros());
    std::map<LeaseToken, Lease>& leases = leases_[job.id];
    const auto [it, is_new] = leases.emplace(job.token, Lease{begin, job.due});
    EXPECT_TRUE(is_new) << "a token twice";
    if (it != leases.begin() && !std::prev(it)->second.given_up) {
      EXPECT_GE(begin.micros(), std::prev(it)->second.end.micros()) << "leases overlap";
    }
    if (std::next(it) != leases.end()) {
      EXPECT_LE(job.due.micros(), std::next(it)->second.begin.micros()) << "leases overlap";
    }
  }

  void DrainQueue(const std::string& queue) {
    for (;;) {
      node_.Await(node_.Execute(KickCommand{.queue = queue, .bound = kKickMax}));
      ReserveRequest request;
      request.queues = {queue};
      request.max = 10;
      const auto reserve = node_.Reserve(std::move(request));
      node_.Await(reserve);
      ASSERT_TRUE(reserve->status.ok());
      if (reserve->outcome.grants.empty()) return;
      std::vector<Granted> granted;
      AddGrants(*reserve, &granted);
      TakeGrants(granted);
      DeleteCommand remove;
      for (const Grant& grant : reserve->outcome.grants) {
        remove.leases.push_back({grant.job.id, grant.job.token});
        promised_.erase(grant.job.id);
        deleted_.insert(grant.job.id);
      }
      ASSERT_TRUE(node_.Await(node_.Execute(std::move(remove))).status.ok());
    }
  }

  void CheckRestart(uint32_t shard) {
    node_.shard(shard).machine().CheckInvariants();
    const uint64_t hash = node_.shard(shard).machine().StateHash();
    node_.Crash();
    ASSERT_TRUE(node_.StartFollowing().ok());
    EXPECT_EQ(node_.shard(shard).machine().StateHash(), hash);
  }

  Prng prng_;
  TestNode node_;
  int bodies_ = 0;
  bool freezing_ = false;
  std::vector<std::pair<std::string, Answer<ExecuteResult>>> enqueues_;
  std::vector<std::pair<ReserveId, Answer<ExecuteResult>>> reserves_;
  std::vector<Settling> settles_;
  std::map<JobId, std::string> promised_;  // acknowledged, and certainly not deleted
  std::map<JobId, std::string> bodies_of_;
  std::map<JobId, std::map<LeaseToken, Lease>> leases_;  // of jobs not deleted
  std::set<JobId> deleted_;
};

TEST(Engine, KeepsItsPromisesWhateverHappensInWhateverOrder) {
  const auto [first, last] = SeedRange(60);
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    EngineRun run(seed);
    run.Chance();
    run.Settle();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace holdfast
