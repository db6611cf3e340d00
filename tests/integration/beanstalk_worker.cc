#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/beanstalk_calls.h"
#include "tests/integration/job_body.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

// Jobs kept for later, some of them past their ttr.
constexpr size_t kLateMax = 8;

struct HeldJob {
  uint64_t id = 0;
  uint64_t key = 0;
  uint64_t hold = 0;  // 0: it is not known to be held
};

// One connection: reserves and settles, until the round is over or the connection breaks.
class Session {
 public:
  Session(SharedState* shared, Prng* random, const Round& round)
      : shared_(*shared), random_(*random), round_(round), connection_(*round.beanstalkd) {}

  // `left` comes from an earlier connection; what this one leaves is in it afterwards.
  void Run(std::vector<HeldJob>* left) {
    bool goes_on = Begin();
    for (const HeldJob& job : *left) goes_on = goes_on && Settle(OperationKind::kDelete, job);
    left->clear();
    while (goes_on && !round_.Over()) {
      const bool settles = late_.size() > kLateMax || (!late_.empty() && random_.Chance(1, 4));
      goes_on = settles ? SettleLate() : ReserveAndWork();
    }
    End(left);
  }

 private:
  // Each returns false when the connection is over.
  bool Begin() {
    const std::string& always = shared_.queues[random_.Below(shared_.queues.size())];
    std::string bytes;
    int answers = 1;
    for (const std::string& tube : shared_.queues) {
      if (tube != always && random_.Chance(1, 2)) continue;
      absl::StrAppend(&bytes, "watch ", tube, "\r\n");
      ++answers;
    }
    bool goes_on = connection_.Send(bytes + "ignore default\r\n");
    while (goes_on && answers-- > 0) goes_on = Said(&connection_, {"WATCHING"}).ok();
    return goes_on;
  }

  bool ReserveAndWork() {
    const bool waits = random_.Chance(3, 4);
    Operation operation;
    operation.kind = OperationKind::kReserve;
    operation.begin_micros = NowMicros();
    connection_.Send(absl::StrCat("reserve-with-timeout ", waits ? 1 : 0, "\r\n"));
    if (random_.Chance(1, 100)) {
      connection_.Reset();
      return false;
    }
    const BeanstalkReply reply = Said(&connection_, {"RESERVED", "TIMED_OUT", "DEADLINE_SOON"});
    if (reply.word != "RESERVED") {
      if (reply.ended == Ended::kRefused) Count(reply, &shared_);
      if (reply.word == "DEADLINE_SOON" && !late_.empty()) return SettleLate();
      if (!connection_.broken() && (!waits || reply.word != "TIMED_OUT")) {
        round_.PauseAfterRefusal();
      }
      return Known();
    }
    const std::optional<std::string> body = connection_.ReadBody(reply.numbers.at(1));
    if (!body.has_value()) return Known();
    Count(reply, &shared_);
    return Work(Note(reply.numbers.at(0), *body, std::move(operation)));
  }

  HeldJob Note(uint64_t id, const std::string& body, Operation operation) {
    const HeldJob job = {.id = id, .key = KeyOf(body), .hold = shared_.next_hold.fetch_add(1)};
    operation.end_micros = NowMicros();
    operation.grants.push_back({.id = id,
                                .key = job.key,
                                .body_intact = job.key != 0 && body == MakeBody(job.key),
                                .hold = job.hold,
                                .expiry_micros = operation.begin_micros + LeaseMicrosOf(job.key)});
    shared_.history.Add(std::move(operation));
    held_[id] = job;
    return job;
  }

  bool Work(const HeldJob& job) {
    const uint64_t chance = random_.Below(100);
    if (chance < 60) return Settle(OperationKind::kDelete, job) && MaybeAgain(job);
    if (chance < 70) return Settle(OperationKind::kRelease, job) && MaybeAgain(job);
    if (chance < 80) return Settle(OperationKind::kBury, job) && Kick(job);
    if (chance < 88) {
      return Settle(OperationKind::kTouch, job) && Settle(OperationKind::kDelete, job);
    }
    if (chance < 97) late_.push_back(job);
    return true;  // else forgotten
  }

  // Uses once more what has been given up.
  bool MaybeAgain(const HeldJob& job) {
    if (!random_.Chance(1, 12)) return true;
    if (random_.Chance(1, 2)) return Settle(OperationKind::kTouch, job);
    return Settle(OperationKind::kDelete, {.id = job.id, .key = job.key, .hold = 0});
  }

  // Some jobs stay buried. (Whoever kicks a tube may find it without them, and shorten the delays
  // of others.)
  bool Kick(const HeldJob& job) {
    if (random_.Chance(1, 5)) return true;
    connection_.Send(absl::StrCat("kick-job ", job.id, "\r\n"));
    Count(Said(&connection_, {"KICKED"}), &shared_);
    return Known();
  }

  bool SettleLate() {
    const HeldJob job = late_.front();
    late_.pop_front();
    return Settle(random_.Chance(1, 3) ? OperationKind::kTouch : OperationKind::kDelete, job);
  }

  bool Settle(OperationKind kind, const HeldJob& job) {
    Operation operation;
    operation.kind = kind;
    operation.begin_micros = NowMicros();
    // The protocol names no hold: it is about the last one of this connection.
    const auto held = held_.find(job.id);
    const uint64_t hold = held == held_.end() ? job.hold : held->second.hold;
    operation.settled.push_back({.id = job.id, .key = job.key, .hold = hold});
    Settled& settled = operation.settled[0];
    const char* word = Send(kind, job.id);
    const BeanstalkReply reply = Said(&connection_, {word});
    settled.ended = reply.ended;
    settled.not_found = reply.word == "NOT_FOUND";
    if (reply.ok() && kind == OperationKind::kTouch) {
      settled.expiry_micros = operation.begin_micros + LeaseMicrosOf(job.key);
    }
    if (reply.ok() && kind == OperationKind::kDelete) {
      shared_.outstanding.fetch_sub(1);
      shared_.deleted.fetch_add(1);
    }
    if (reply.ok() && kind != OperationKind::kTouch) held_.erase(job.id);
    Count(reply, &shared_);
    Record(std::move(operation));
    return Known();
  }

  // The command; returns what it says when it is done.
  const char* Send(OperationKind kind, uint64_t id) {
    const std::string priority = absl::StrCat(" ", random_.Below(4));
    switch (kind) {
      case OperationKind::kDelete:
        connection_.Send(absl::StrCat("delete ", id, "\r\n"));
        return "DELETED";
      case OperationKind::kRelease:
        connection_.Send(absl::StrCat("release ", id, priority, " ", random_.Below(2), "\r\n"));
        return "RELEASED";
      case OperationKind::kBury:
        connection_.Send(absl::StrCat("bury ", id, priority, "\r\n"));
        return "BURIED";
      default:
        connection_.Send(absl::StrCat("touch ", id, "\r\n"));
        return "TOUCHED";
    }
  }

  // Whether the last answer came.
  bool Known() {
    if (connection_.broken()) shared_.unknown.fetch_add(1);
    return !connection_.broken();
  }

  // What is held goes back to the tube, some time after this.
  void End(std::vector<HeldJob>* left) {
    Operation operation;
    operation.kind = OperationKind::kRelease;
    operation.begin_micros = connection_.broken() ? connection_.answered_micros() : NowMicros();
    for (const auto& [id, job] : held_) {
      operation.settled.push_back({.id = id, .key = job.key, .hold = job.hold});
      if (random_.Chance(1, 4)) left->push_back({.id = id, .key = job.key, .hold = 0});
    }
    if (random_.Chance(1, 3)) connection_.Reset();
    if (!operation.settled.empty()) Record(std::move(operation));
  }

  void Record(Operation operation) {
    operation.end_micros = NowMicros();
    shared_.history.Add(std::move(operation));
  }

  SharedState& shared_;
  Prng& random_;
  const Round& round_;
  BeanstalkConnection& connection_;
  std::map<uint64_t, HeldJob> held_;  // by id
  std::deque<HeldJob> late_;
};

class BeanstalkWorker final : public Client {
 public:
  BeanstalkWorker(SharedState* shared, uint64_t seed) : shared_(shared), random_(seed) {}

  void Run(const Round& round) override { Session(shared_, &random_, round).Run(&left_); }
  // What it held is not its own any more.
  void Settle(const Round&) override {}

 private:
  SharedState* const shared_;
  Prng random_;
  std::vector<HeldJob> left_;  // of the last connection
};

}  // namespace

std::unique_ptr<Client> MakeBeanstalkWorker(SharedState* shared, uint64_t seed) {
  return std::make_unique<BeanstalkWorker>(shared, seed);
}

}  // namespace holdfast::testing
