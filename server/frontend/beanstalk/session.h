// One connection: takes requests off the stream, asks the engine, answers in order.
//
//   stream ─▶ Parser ─▶ Take ─┬─ local (use, watch, errors) ──────────────┐
//                             ├─ command ─▶ engine ─▶ outcome ────────────┤
//                             └─ alone ──▶ engine ─▶ outcome, steps ──────┤
//                                                                         ▼
//   stream ◀──────────────────── replies, in the order of the requests ───┘
//
// Commands to one shard are given to the engine without waiting for each other. What reads, what
// reserves, and a command to another shard wait until all before them are answered; what reads or
// reserves is also answered before anything behind it is looked at. But equal reserves that have
// come one behind the other are asked for as one, for as many jobs: so they share a log entry.
//
// A reservation is a lease of the connection's holder, which is closed with the connection. A job
// that the engine says is not leased any more is forgotten here.
//
// If it cannot be known what came of a command the connection is closed without a reply.
//
// Bounds: kPipelineMax replies that are awaited, with kPipelineBytesMax bytes of bodies; beyond
// kUnsentMax unsent bytes no request is taken; kTubesMax watched tubes. One reserve is answered by
// at most kReserveBytesMax of bodies, or one.
// Thread-safety: loop-bound; callbacks of the engine post to the loop. Ownership: shared by its
// own callbacks; `node` and the loop outlive it.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_SESSION_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/engine/engine.h"
#include "server/frontend/beanstalk/node_view.h"
#include "server/frontend/beanstalk/parser.h"
#include "server/net/stream.h"

namespace holdfast::beanstalk {

class TubeList;

class Session final : public std::enable_shared_from_this<Session>, private Stream::Handler {
 public:
  static constexpr size_t kPipelineMax = 256;
  static constexpr size_t kPipelineBytesMax = 1 << 20;
  static constexpr size_t kUnsentMax = 256 << 10;
  static constexpr size_t kTubesMax = kQueuesPerReserveMax;
  static constexpr size_t kReserveBytesMax = 4 << 20;
  static constexpr size_t kReservesMax = 64;  // that are asked for as one

  // Takes over `fd`. `ended` is called once, when the connection has been closed.
  Session(NodeView* node, EventLoop* loop, int fd, std::function<void(Session*)> ended);
  ~Session();

  void Start();
  // Closes the connection.
  void End();

 private:
  // The place of a request's reply among all of the connection.
  using Place = uint64_t;
  struct Reply {
    std::string text;
    size_t body_bytes = 0;  // of the request
    bool done = false;
  };
  struct Lease {
    LeaseToken token;
    int64_t length_micros = 0;
    int64_t due_micros = 0;  // monotonic, about
  };
  // A request that waits until all before it are answered, with its bytes.
  struct Held {
    Request request;
    std::string tube;
    std::string body;
  };
  // Equal reserves, one behind the other.
  struct Waiting {
    Place place = 0;     // of the first
    uint32_t count = 1;  // how many there are
    Verb verb = Verb::kReserve;
    uint32_t timeout_s = 0;  // kReserveWithTimeout
    ReserveId id;
    int64_t deadline_micros = 0;
    int64_t asked_until_micros = 0;
    bool counted = false;
  };

  // --- Stream::Handler.
  size_t OnInput(std::string_view bytes) override;
  void OnPeerDone() override;
  void OnInputEnd() override;
  void OnClosed() override;

  // --- session.cc: requests in, replies out.
  size_t awaited() const { return replies_.size() - sent_; }
  bool MayTake() const;
  void Take(const Request& request);
  // It must not begin before all before it are answered; for each request in order.
  bool MustWait(const Request& request);
  void Hold(const Request& request);
  void Carry(const Request& request);
  void CarryCommand(const Request& request, Place place);
  void CarryQuery(const Request& request, Place place);
  // Something was answered: goes on with what waited for that.
  void Continue();
  void FinishIfDone();
  // Ends the connection after what has been answered.
  void Break();
  Place OpenReply(size_t body_bytes);
  // The place to append the reply to, which Answered() must follow.
  std::string* ReplyAt(Place place);
  void Answered(Place place);
  void AnswerWord(Place place, std::string_view word);
  // Says why it was not done, or closes if nobody knows.
  void AnswerFailure(Place place, const absl::Status& status);
  void CountPuts();
  // A callback for the engine that comes back to the loop as then(this, result); it is not called
  // once closed.
  template <class Result, class Then>
  absl::AnyInvocable<void(Result) &&> BackWith(Then then) {
    return [self = shared_from_this(), then = std::move(then)](Result result) mutable {
      EventLoop* const loop = self->loop_;
      if (loop->IsCurrent()) {
        if (!self->closed_) then(self.get(), std::move(result));
        return;
      }
      loop->Post(
          [self = std::move(self), then = std::move(then), result = std::move(result)]() mutable {
            if (!self->closed_) then(self.get(), std::move(result));
          });
    };
  }
  template <class Then>
  ExecuteDone Back(Then then) {
    return BackWith<ExecuteResult>(std::move(then));
  }
  template <class Then>
  QueryDone BackQuery(Then then) {
    return BackWith<QueryResult>(std::move(then));
  }
  template <class Then>
  void Execute(CommandBody body, Then then) {
    node_->engine->Execute({.request = {}, .body = std::move(body)}, Back(std::move(then)));
  }

  // --- session_commands.cc: what changes jobs.
  void Put(const Request& request, Place place);
  void Delete(const Request& request, Place place);
  void DeleteById(JobId job, Place place);
  void Release(const Request& request, Place place);
  void Bury(const Request& request, Place place);
  void Touch(const Request& request, Place place);
  void Kick(const Request& request, Place place);
  void KickOn(Place place, KickFrom from, uint64_t kicked, uint64_t left);
  void KickJob(const Request& request, Place place);
  void PauseTube(const Request& request, Place place);
  // A command on one job has come back: answers `word` if it was done. `lease`: what was given up
  // for it, to be had again if it certainly was not done.
  void Settled(Place place, std::string_view word, JobId job, const std::optional<Lease>& lease,
               const ExecuteResult& result);

  // --- session_reserve.cc: reservations.
  void Reserve(const Request& request, Place place);
  // True if the request is like those that are gathered, and has become one of them.
  bool Joins(const Request& request);
  void AskGathered();
  void AskReserve();
  void Reserved(ExecuteResult result);
  void RetryReserve();
  void EndReserve(std::string_view word);
  // Lets `answer`, which is given the place of the first, answer the first `count` of those that
  // wait, and asks for the others.
  void AnswerWaiting(uint32_t count, absl::FunctionRef<void(Place)> answer);
  // Asks for those that wait and are not answered yet.
  void AskRest();
  void TakeGrants(const ExecuteResult& result);
  void ReserveJob(const Request& request, Place place);
  void TakeGrant(const Job& job, const PayloadRef& ref, Place place);
  void BecomeWorker();
  void CountWaiting(bool waits);
  Holder MyHolder();
  void LeaseEnded(JobId job, LeaseToken token);
  void AddLease(JobId job, Lease lease);
  std::optional<Lease> TakeLease(JobId job);
  // The moment from which on DEADLINE_SOON is answered; INT64_MAX: there is none.
  int64_t DeadlineSoonMicros();

  // --- session_tubes.cc: tubes, and what only reads.
  void Use(std::string_view tube);
  // False if there are too many.
  bool Watch(std::string_view tube);
  void LeaveTubes();
  void WatchTube(const Request& request, Place place);
  void IgnoreTube(const Request& request, Place place);
  void Peek(const Request& request, Place place);
  void StatsOfJob(const Request& request, Place place);
  void StatsOfTube(const Request& request, Place place);
  void StatsOfNode(Place place);
  void StatsOfNode(Place place, const Machine::Totals& totals);
  void ListTubes(Place place);
  void ListTubesFrom(Place place, std::string after, std::unique_ptr<TubeList> list);
  void ListWatched(Place place);

  NodeView* const node_;
  EventLoop* const loop_;
  const std::function<void(Session*)> ended_;
  std::unique_ptr<Stream> stream_;
  Parser parser_;

  std::vector<Reply> replies_;  // from `first_reply_` on, the first `sent_` of them are sent
  Place first_reply_ = 0;
  size_t sent_ = 0;
  size_t pipeline_bytes_ = 0;
  uint64_t lane_ = 0;  // of the last command
  std::unique_ptr<Held> held_;
  bool alone_ = false;        // one request is carried out step by step
  bool gathering_ = false;    // a reserve that has come is not asked for yet: more may follow
  bool taking_ = false;       // requests are being taken: Continue() is for later
  bool peer_done_ = false;    // no more will come
  bool input_ended_ = false;  // all that came has been taken
  bool quitting_ = false;
  bool closed_ = false;
  bool producer_ = false;
  bool worker_ = false;
  uint64_t puts_counted_ = 0;

  TubeTable::Ref used_;
  absl::InlinedVector<TubeTable::Ref, 1> watched_;

  Holder holder_;  // none() until the first reserve
  absl::flat_hash_map<JobId, Lease> leases_;
  absl::btree_set<std::pair<int64_t, JobId>> deadlines_;  // of leases_
  std::optional<Waiting> waiting_;
};

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_SESSION_H_
