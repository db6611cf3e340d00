// Session's tubes, and what only reads.

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/string_hash.h"
#include "server/codec/payload_codec.h"
#include "server/frontend/beanstalk/reply.h"
#include "server/frontend/beanstalk/session.h"
#include "server/frontend/beanstalk/stats.h"

namespace holdfast::beanstalk {
namespace {

constexpr uint32_t kPageQueues = 1000;
// Above it list-tubes is refused.
constexpr size_t kListBytesMax = 64 << 20;

}  // namespace

// What list-tubes has gathered: first the tubes that somebody here refers to, in the order in which
// they came to be, then those that only have jobs, in the order of their names.
class TubeList {
 public:
  explicit TubeList(const std::vector<std::string>& here) : here_(here.begin(), here.end()) {
    for (const std::string& name : here) yaml_.Item(name);
  }
  void Add(const std::vector<QueueRecord>& queues, LogTime now) {
    for (const QueueRecord& queue : queues) {
      if (!IsTube(queue, now) || here_.contains(queue.name)) continue;
      yaml_.Item(queue.name);
      ++elsewhere_;
    }
  }
  const std::string& text() const { return yaml_.text(); }
  size_t size() const { return here_.size() + elsewhere_; }

 private:
  const absl::flat_hash_set<std::string, StringHash, StringEqual> here_;
  size_t elsewhere_ = 0;
  Yaml yaml_;
};

// --- Tubes.

void Session::Use(std::string_view tube) {
  TubeTable::Ref next = node_->tubes.Get(tube);
  ++next->users;
  if (used_ != nullptr) --used_->users;
  used_ = std::move(next);
}

bool Session::Watch(std::string_view tube) {
  const auto same = [tube](const TubeTable::Ref& watched) { return watched->name == tube; };
  if (std::any_of(watched_.begin(), watched_.end(), same)) return true;
  if (watched_.size() >= kTubesMax) return false;
  watched_.push_back(node_->tubes.Get(tube));
  ++watched_.back()->watchers;
  return true;
}

void Session::WatchTube(const Request& request, Place place) {
  if (!Watch(request.tube)) return AnswerWord(place, "OUT_OF_MEMORY");
  AppendNumber(ReplyAt(place), "WATCHING", watched_.size());
  Answered(place);
}

void Session::IgnoreTube(const Request& request, Place place) {
  const auto same = [&](const TubeTable::Ref& watched) { return watched->name == request.tube; };
  const auto found = std::find_if(watched_.begin(), watched_.end(), same);
  if (found != watched_.end()) {
    if (watched_.size() == 1) return AnswerWord(place, "NOT_IGNORED");
    --(*found)->watchers;
    // The last one takes its place, as in beanstalkd.
    std::swap(*found, watched_.back());
    watched_.pop_back();
  }
  AppendNumber(ReplyAt(place), "WATCHING", watched_.size());
  Answered(place);
}

void Session::LeaveTubes() {
  --used_->users;
  used_.reset();
  for (const TubeTable::Ref& tube : watched_) --tube->watchers;
  watched_.clear();
}

void Session::ListWatched(Place place) {
  Yaml yaml;
  for (const TubeTable::Ref& tube : watched_) yaml.Item(tube->name);
  AppendData(ReplyAt(place), yaml.text());
  Answered(place);
}

void Session::ListTubes(Place place) {
  ListTubesFrom(place, "", std::make_unique<TubeList>(node_->tubes.Names()));
}

void Session::ListTubesFrom(Place place, std::string after, std::unique_ptr<TubeList> list) {
  node_->engine->Ask(
      QueueListQuery{.after = std::move(after), .prefix = "", .limit = kPageQueues},
      BackQuery([place, list = std::move(list)](Session* self, QueryResult result) mutable {
        if (!result.status.ok()) return self->AnswerFailure(place, result.status);
        list->Add(result.queues, result.now);
        if (list->text().size() > kListBytesMax) return self->AnswerWord(place, "OUT_OF_MEMORY");
        if (result.more && !result.queues.empty()) {
          return self->ListTubesFrom(place, result.queues.back().name, std::move(list));
        }
        AppendData(self->ReplyAt(place), list->text());
        self->Answered(place);
      }));
}

// --- Jobs.

void Session::Peek(const Request& request, Place place) {
  Query query = JobQuery{.job = JobId(request.id)};
  if (request.verb != Verb::kPeek) {
    const JobState state = request.verb == Verb::kPeekReady     ? JobState::kReady
                           : request.verb == Verb::kPeekDelayed ? JobState::kDelayed
                                                                : JobState::kBuried;
    query = JobListQuery{.queue = used_->name,
                         .state = state,
                         .after = {},
                         .limit = 1,
                         .payload_bytes_max = UINT64_MAX};
  }
  node_->engine->Ask(std::move(query), BackQuery([place](Session* self, QueryResult result) {
                       if (!result.status.ok()) return self->AnswerFailure(place, result.status);
                       if (result.jobs.empty()) return self->AnswerWord(place, "NOT_FOUND");
                       const JobView& view = result.jobs.front();
                       const absl::StatusOr<PayloadView> payload =
                           DecodePayload(view.payload.bytes);
                       if (!payload.ok()) return self->AnswerFailure(place, payload.status());
                       AppendJob(self->ReplyAt(place), "FOUND", view.job.id.value(), payload->body);
                       self->Answered(place);
                     }));
}

// --- Statistics.

void Session::StatsOfJob(const Request& request, Place place) {
  node_->engine->Ask(JobQuery{.job = JobId(request.id)},
                     BackQuery([place](Session* self, QueryResult result) {
                       if (!result.status.ok()) return self->AnswerFailure(place, result.status);
                       if (result.jobs.empty()) return self->AnswerWord(place, "NOT_FOUND");
                       AppendData(self->ReplyAt(place), StatsJob(result.jobs.front(), result.now));
                       self->Answered(place);
                     }));
}

void Session::StatsOfTube(const Request& request, Place place) {
  std::string name(request.tube);
  node_->engine->Ask(
      QueueQuery{name}, BackQuery([place, name](Session* self, QueryResult result) {
        if (!result.status.ok()) return self->AnswerFailure(place, result.status);
        const std::optional<TubeTable::Counts> here = self->node_->tubes.Find(name);
        const QueueRecord queue = result.queues.empty() ? QueueRecord() : result.queues.front();
        if (!here.has_value() && !IsTube(queue, result.now)) {
          return self->AnswerWord(place, "NOT_FOUND");
        }
        AppendData(self->ReplyAt(place),
                   StatsTube(name, queue, here.value_or(TubeTable::Counts()), result.now));
        self->Answered(place);
      }));
}

void Session::StatsOfNode(Place place) {
  node_->engine->Ask(TotalsQuery(), BackQuery([place](Session* self, QueryResult totals) {
                       if (!totals.status.ok()) return self->AnswerFailure(place, totals.status);
                       self->StatsOfNode(place, totals.totals);
                     }));
}

void Session::StatsOfNode(Place place, const Machine::Totals& totals) {
  node_->engine->Ask(QueueListQuery{.after = "", .prefix = "", .limit = kPageQueues},
                     BackQuery([place, totals](Session* self, QueryResult first) {
                       if (!first.status.ok()) return self->AnswerFailure(place, first.status);
                       TubeList list(self->node_->tubes.Names());
                       list.Add(first.queues, first.now);
                       // Which of very many are empty is not looked at.
                       const uint64_t tubes = first.more ? totals.queues : list.size();
                       AppendData(self->ReplyAt(place), StatsNode(*self->node_, totals, tubes));
                       self->Answered(place);
                     }));
}

}  // namespace holdfast::beanstalk
