#include "server/frontend/beanstalk/session.h"

#include <functional>

#include "base/check.h"
#include "server/answer/outcome_table.h"
#include "server/frontend/beanstalk/reply.h"

namespace holdfast::beanstalk {
namespace {

// What one that is idle may keep of its list of replies.
constexpr size_t kIdleReplies = 4;

enum class Manner : uint8_t {
  kLocal,    // answered from what the session knows
  kCommand,  // may be under way together with others of its shard
  kAlone,    // one at a time
};

Manner MannerOf(const Request& request) {
  if (request.flaw != Flaw::kNone) return Manner::kLocal;
  switch (request.verb) {
    case Verb::kUse:
    case Verb::kWatch:
    case Verb::kIgnore:
    case Verb::kListTubeUsed:
    case Verb::kListTubesWatched:
    case Verb::kQuit:
      return Manner::kLocal;
    case Verb::kPut:
    case Verb::kDelete:
    case Verb::kRelease:
    case Verb::kBury:
    case Verb::kTouch:
    case Verb::kKickJob:
    case Verb::kPauseTube:
      return Manner::kCommand;
    case Verb::kKick:
      return request.number <= kKickMax ? Manner::kCommand : Manner::kAlone;
    default:
      return Manner::kAlone;
  }
}

}  // namespace

Session::Session(NodeView* node, EventLoop* loop, int fd, std::function<void(Session*)> ended)
    : node_(node),
      loop_(loop),
      ended_(std::move(ended)),
      stream_(std::make_unique<Stream>(loop, fd, static_cast<Stream::Handler*>(this))),
      parser_(node->job_bytes_max) {
  Use(kDefaultTube);
  Watch(kDefaultTube);
  ++node_->counters.connections;
  ++node_->counters.connections_ever;
}

Session::~Session() { CHECK(closed_); }

void Session::Start() { stream_->Start(); }

void Session::End() { stream_->Close(); }

// --- Requests in.

bool Session::MayTake() const {
  return held_ == nullptr && (!alone_ || gathering_) && !quitting_ && awaited() < kPipelineMax &&
         pipeline_bytes_ < kPipelineBytesMax && stream_->unsent() < kUnsentMax;
}

size_t Session::OnInput(std::string_view bytes) {
  std::string_view rest = bytes;
  taking_ = true;
  for (bool more = true; more;) {
    while (MayTake()) {
      const std::optional<Request> request = parser_.Next(&rest);
      CountPuts();
      if (!request.has_value()) break;
      Take(*request);
    }
    more = gathering_;
    AskGathered();  // may be answered at once
  }
  taking_ = false;
  if (closed_) return bytes.size();
  if (rest.empty() && parser_.mid_request()) stream_->AcknowledgeNow();
  FinishIfDone();
  return bytes.size() - rest.size();
}

void Session::CountPuts() {
  const uint64_t begun = parser_.puts_begun() - puts_counted_;
  if (begun == 0) return;
  puts_counted_ += begun;
  node_->counters.commands[static_cast<size_t>(Verb::kPut)] += begun;
  if (!std::exchange(producer_, true)) ++node_->counters.producers;
}

void Session::Take(const Request& request) {
  if (gathering_) {
    if (!Joins(request)) Hold(request);
    return;
  }
  const bool must_wait = MustWait(request);
  if (must_wait && awaited() > 0) return Hold(request);
  Carry(request);
}

bool Session::MustWait(const Request& request) {
  const Manner manner = MannerOf(request);
  if (manner == Manner::kAlone) return true;
  if (manner == Manner::kLocal || node_->shards == 1) return false;
  const bool by_tube =
      request.verb == Verb::kPut || request.verb == Verb::kKick || request.verb == Verb::kPauseTube;
  const std::string_view tube = request.verb == Verb::kPauseTube ? request.tube : used_->name;
  const uint64_t lane = by_tube ? node_->shards + std::hash<std::string_view>()(tube) / 2
                                : request.id % node_->shards;
  return std::exchange(lane_, lane) != lane;
}

void Session::Hold(const Request& request) {
  held_ = std::make_unique<Held>();
  held_->tube = request.tube;
  held_->body = request.body;
  held_->request = request;
  held_->request.tube = held_->tube;
  held_->request.body = held_->body;
}

void Session::Carry(const Request& request) {
  const bool well_formed = request.flaw == Flaw::kNone || request.flaw == Flaw::kJobTooBig;
  // A put that was to be taken in has been counted when its line came.
  if (well_formed && (request.verb != Verb::kPut || request.flaw == Flaw::kJobTooBig)) {
    ++node_->counters.commands[static_cast<size_t>(request.verb)];
  }
  if (request.flaw == Flaw::kNone && request.verb == Verb::kQuit) {
    quitting_ = true;
    return;
  }
  const Place place = OpenReply(request.body.size());
  if (request.flaw != Flaw::kNone) return AnswerWord(place, FlawWord(request.flaw));
  const Manner manner = MannerOf(request);
  alone_ = manner == Manner::kAlone;
  return manner == Manner::kCommand ? CarryCommand(request, place) : CarryQuery(request, place);
}

void Session::CarryCommand(const Request& request, Place place) {
  switch (request.verb) {
    case Verb::kPut:
      return Put(request, place);
    case Verb::kDelete:
      return Delete(request, place);
    case Verb::kRelease:
      return Release(request, place);
    case Verb::kBury:
      return Bury(request, place);
    case Verb::kTouch:
      return Touch(request, place);
    case Verb::kKick:
      return Kick(request, place);
    case Verb::kKickJob:
      return KickJob(request, place);
    default:
      return PauseTube(request, place);
  }
}

void Session::CarryQuery(const Request& request, Place place) {
  switch (request.verb) {
    case Verb::kReserve:
    case Verb::kReserveWithTimeout:
      return Reserve(request, place);
    case Verb::kReserveJob:
      return ReserveJob(request, place);
    case Verb::kKick:
      return Kick(request, place);
    case Verb::kUse:
      Use(request.tube);
      [[fallthrough]];
    case Verb::kListTubeUsed:
      AppendName(ReplyAt(place), "USING", used_->name);
      return Answered(place);
    case Verb::kWatch:
      return WatchTube(request, place);
    case Verb::kIgnore:
      return IgnoreTube(request, place);
    case Verb::kListTubesWatched:
      return ListWatched(place);
    case Verb::kListTubes:
      return ListTubes(place);
    case Verb::kStats:
      return StatsOfNode(place);
    case Verb::kStatsTube:
      return StatsOfTube(request, place);
    case Verb::kStatsJob:
      return StatsOfJob(request, place);
    default:
      return Peek(request, place);
  }
}

void Session::Continue() {
  if (taking_ || closed_) return;
  if (held_ != nullptr && awaited() == 0) {
    const std::unique_ptr<Held> held = std::move(held_);
    taking_ = true;
    Carry(held->request);
    if (!stream_->has_input()) AskGathered();
    taking_ = false;
    if (closed_) return;
  }
  FinishIfDone();
  if (MayTake()) stream_->Resume();
}

// --- The end.

void Session::OnPeerDone() {
  peer_done_ = true;
  if (waiting_.has_value() && !gathering_) node_->engine->CancelReserve(waiting_->id);
}

void Session::OnInputEnd() {
  input_ended_ = true;
  FinishIfDone();
}

void Session::FinishIfDone() {
  if ((quitting_ || input_ended_) && awaited() == 0 && held_ == nullptr) stream_->Finish();
}

void Session::Break() {
  quitting_ = true;
  stream_->Finish();
}

void Session::OnClosed() {
  closed_ = true;
  if (waiting_.has_value() && !gathering_) node_->engine->CancelReserve(waiting_->id);
  CountWaiting(false);
  if (!holder_.none()) {
    // Without leases, and none on its way, there is nothing to release and nothing to log.
    const bool may_hold = !leases_.empty() || awaited() > 0;
    node_->engine->CloseHolder(holder_,
                               may_hold ? LeasesAtClose::kRelease : LeasesAtClose::kExpire);
  }
  LeaveTubes();
  --node_->counters.connections;
  if (producer_) --node_->counters.producers;
  if (worker_) --node_->counters.workers;
  ended_(this);
}

// --- Replies out.

Session::Place Session::OpenReply(size_t body_bytes) {
  replies_.emplace_back().body_bytes = body_bytes;
  pipeline_bytes_ += body_bytes;
  return first_reply_ + replies_.size() - 1;
}

std::string* Session::ReplyAt(Place place) {
  const size_t index = place - first_reply_;
  CHECK_LT(index, replies_.size());
  return index == sent_ ? stream_->Output() : &replies_[index].text;
}

void Session::Answered(Place place) {
  Reply& reply = replies_[place - first_reply_];
  CHECK(!reply.done);
  reply.done = true;
  pipeline_bytes_ -= reply.body_bytes;
  if (place - first_reply_ == sent_) {
    ++sent_;
    while (sent_ < replies_.size() && replies_[sent_].done) {
      stream_->Output()->append(replies_[sent_++].text);
    }
  }
  if (awaited() == 0) {
    alone_ = false;
    first_reply_ += sent_;
    sent_ = 0;
    replies_.clear();
    if (replies_.capacity() > kIdleReplies) replies_.shrink_to_fit();
  } else if (sent_ >= kPipelineMax) {
    replies_.erase(replies_.begin(), replies_.begin() + static_cast<ptrdiff_t>(sent_));
    first_reply_ += sent_;
    sent_ = 0;
  }
  Continue();
}

void Session::AnswerWord(Place place, std::string_view word) {
  AppendWord(ReplyAt(place), word);
  Answered(place);
}

void Session::AnswerFailure(Place place, const absl::Status& status) {
  const std::string_view word = AnswerFor(TroubleOf(status)).beanstalkd;
  if (word.starts_with('(')) return Break();
  AnswerWord(place, word == "-" ? "INTERNAL_ERROR" : word);
}

}  // namespace holdfast::beanstalk
