#include "tests/search/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"

namespace holdfast::search {
namespace {

std::string NameOf(ReplicaId id) { return absl::StrCat("replica ", id.value()); }

raft::EntryId IdOf(const raft::Entry& entry) { return {.term = entry.term, .index = entry.index}; }

void Complain(std::string* violation, std::string what) {
  if (violation->empty()) *violation = std::move(what);
}

const char* NameOf(raft::MessageType type) {
  switch (type) {
    case raft::MessageType::kAppend:
      return "append";
    case raft::MessageType::kAppendResponse:
      return "append response";
    case raft::MessageType::kVote:
      return "vote request";
    case raft::MessageType::kVoteResponse:
      return "vote response";
    default:
      return "message";
  }
}

}  // namespace

World::World(const Bounds& bounds) : voters_(bounds.voters) {
  CHECK_LE(voters_, kVotersMax);
  leaders_.resize(bounds.term_max + 2);
  for (uint32_t i = 0; i < voters_; ++i) {
    replicas_[i] = std::make_shared<const Replica>(ReplicaId(i + 1), voters_);
    prints_[i] = replicas_[i]->Fingerprint();
  }
}

std::vector<Step> World::Steps(const Bounds& bounds) const {
  std::vector<Step> steps;
  for (uint32_t i = 0; i < voters_; ++i) {
    const Replica& replica = *replicas_[i];
    const bool leading = replica.core().role() == raft::Role::kLeader;
    if (replica.has_pending_write()) steps.push_back({Step::Kind::kWrite, i, 0});
    if (leading && proposals_ < bounds.proposals) steps.push_back({Step::Kind::kPropose, i, 0});
    if (!leading && i < bounds.candidates && replica.core().term().value() < bounds.term_max) {
      steps.push_back({Step::Kind::kCampaign, i, 0});
    }
    if (crashes_ < bounds.crashes) steps.push_back({Step::Kind::kCrash, i, 0});
  }
  for (size_t i = 0; i < flying_.size(); ++i) {
    const auto to = static_cast<uint32_t>(flying_[i].message->to.value() - 1);
    steps.push_back({Step::Kind::kDeliver, to, i});
    if (repeats_ < bounds.repeats) steps.push_back({Step::Kind::kRepeat, to, i});
  }
  return steps;
}

World World::After(const Bounds& bounds, const Step& step, std::string* violation) const {
  World next(*this);
  std::unique_ptr<Replica> replica = replicas_[step.replica]->Clone();
  std::vector<raft::Message> sent;
  switch (step.kind) {
    case Step::Kind::kCampaign:
      replica->core().Campaign();
      break;
    case Step::Kind::kPropose: {
      const std::string data(1, static_cast<char>('a' + next.proposals_++));
      CHECK(replica->core().Propose(raft::EntryType::kCommands,
                                    std::make_shared<const std::string>(data)) ==
            raft::ProposeResult::kOk);
      break;
    }
    case Step::Kind::kDeliver:
      replica->core().Step(*flying_[step.message].message);
      next.flying_.erase(next.flying_.begin() + static_cast<int64_t>(step.message));
      break;
    case Step::Kind::kRepeat:
      replica->core().Step(*flying_[step.message].message);
      ++next.repeats_;
      break;
    case Step::Kind::kWrite:
      replica->CompleteWrite(&sent);
      break;
    case Step::Kind::kCrash:
      replica->Crash();
      ++next.crashes_;
      break;
  }
  next.Send(std::move(sent));
  next.Settle(bounds, step.replica, std::move(replica), violation);
  return next;
}

// Takes what the changed replica has to say, and checks it.
void World::Settle(const Bounds& bounds, uint32_t changed, std::unique_ptr<Replica> replica,
                   std::string* violation) {
  std::vector<raft::Message> sent;
  std::vector<raft::Entry> applied;
  replica->TakeReadys(&sent, &applied);
  while (!bounds.slow_writes && replica->has_pending_write()) {
    replica->CompleteWrite(&sent);
    replica->TakeReadys(&sent, &applied);
  }
  Send(std::move(sent));
  replica->core().CheckInvariants();
  CheckLeader(*replica, violation);
  CheckCommitted(*replica, violation);
  CheckLogsMatch(*replica, violation);
  prints_[changed] = replica->Fingerprint();
  replicas_[changed] = std::move(replica);
  DropUseless();
}

void World::Send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    std::string bytes;
    AppendMessage(&bytes, message);
    const Replica::Print print = PrintOf(bytes);
    const auto place = std::lower_bound(
        flying_.begin(), flying_.end(), print,
        [](const Flying& flying, const Replica::Print& p) { return flying.print < p; });
    // One and two of the same differ only in that it can come twice: Bounds::repeats.
    if (place != flying_.end() && place->print == print) continue;
    flying_.insert(place, {std::make_shared<const raft::Message>(std::move(message)), print});
  }
}

// A message that changes nothing whenever it comes is left out, so that worlds with and without it
// are one: it is of a term that its receiver has left for good, or a vote for who is no candidate
// of that term any more.
void World::DropUseless() {
  std::erase_if(flying_, [this](const Flying& flying) {
    const raft::Message& message = *flying.message;
    const Replica& receiver = *replicas_[message.to.value() - 1];
    if (message.term != receiver.stored_term()) return message.term < receiver.stored_term();
    return message.type == raft::MessageType::kVoteResponse &&
           receiver.core().role() != raft::Role::kCandidate;
  });
}

void World::CheckLeader(const Replica& replica, std::string* violation) {
  const raft::Core& core = replica.core();
  if (core.role() != raft::Role::kLeader) return;
  ReplicaId& leader = leaders_[core.term().value()];
  if (leader == core.id()) return;
  if (leader != ReplicaId()) {
    Complain(violation, absl::StrCat("two leaders of term ", core.term().value(), ": ",
                                     NameOf(leader), " and ", NameOf(core.id())));
  }
  leader = core.id();
  for (const auto& [id, by] : committed_) {
    if (by >= core.term()) continue;
    const size_t place = id.index.value() - 1;
    if (place < replica.log().size() && replica.log()[place].term == id.term) continue;
    Complain(violation, absl::StrCat(NameOf(core.id()), " leads term ", core.term().value(),
                                     " without the committed entry ", id.index.value(), " of term ",
                                     id.term.value()));
  }
}

void World::CheckCommitted(const Replica& replica, std::string* violation) {
  const raft::Core& core = replica.core();
  for (size_t i = 0; i < core.commit().value(); ++i) {
    if (i >= replica.log().size()) {
      return Complain(violation, absl::StrCat(NameOf(core.id()), " has committed index ", i + 1,
                                              " beyond its log"));
    }
    const raft::EntryId id = IdOf(replica.log()[i]);
    if (i == committed_.size()) {
      committed_.push_back({.id = id, .by = core.term()});
    } else if (committed_[i].id != id) {
      Complain(violation,
               absl::StrCat(NameOf(core.id()), " has committed entry ", i + 1, " of term ",
                            id.term.value(), "; it was committed as of term ",
                            committed_[i].id.term.value()));
    }
  }
}

void World::CheckLogsMatch(const Replica& replica, std::string* violation) const {
  for (uint32_t i = 0; i < voters_; ++i) {
    const Replica& other = *replicas_[i];
    if (other.core().id() == replica.core().id()) continue;
    bool agree = true;
    for (size_t j = 0; j < std::min(other.log().size(), replica.log().size()); ++j) {
      const raft::Entry& a = replica.log()[j];
      const raft::Entry& b = other.log()[j];
      const bool same_term = a.term == b.term;
      const bool same_data =
          (a.data == nullptr) == (b.data == nullptr) && (a.data == nullptr || *a.data == *b.data);
      if (same_term && (!agree || !same_data)) {
        Complain(violation,
                 absl::StrCat("the logs of ", NameOf(replica.core().id()), " and ",
                              NameOf(other.core().id()), " have entry ", j + 1, " of term ",
                              a.term.value(), " in common and differ up to there"));
      }
      agree = agree && same_term;
    }
  }
}

std::string World::Describe(const Step& step) const {
  const std::string who = NameOf(ReplicaId(step.replica + 1));
  switch (step.kind) {
    case Step::Kind::kCampaign:
      return who + " campaigns";
    case Step::Kind::kPropose:
      return who + " is given an entry";
    case Step::Kind::kWrite:
      return who + "'s oldest write is durable";
    case Step::Kind::kCrash:
      return who + " crashes and starts again";
    case Step::Kind::kDeliver:
    case Step::Kind::kRepeat:
      break;
  }
  const raft::Message& m = *flying_[step.message].message;
  return absl::StrCat(who, " gets the ", NameOf(m.type), " of ", NameOf(m.from), ", term ",
                      m.term.value(), ", index ", m.index.value(), " of term ", m.log_term.value(),
                      ", ", m.entries.size(), " entries, commit ", m.commit.value(),
                      m.reject ? ", refused" : "",
                      step.kind == Step::Kind::kRepeat ? ", which will come again" : "");
}

Replica::Print World::Fingerprint() const {
  std::string bytes;
  const auto put = [&bytes](const Replica::Print& print) {
    PutFixed64(&bytes, print.first);
    PutFixed64(&bytes, print.second);
  };
  for (uint32_t i = 0; i < voters_; ++i) put(prints_[i]);
  for (const Flying& flying : flying_) put(flying.print);
  PutVarint(&bytes, proposals_);
  PutVarint(&bytes, crashes_);
  PutVarint(&bytes, repeats_);
  for (const ReplicaId leader : leaders_) PutVarint(&bytes, leader.value());
  for (const auto& [id, by] : committed_) {
    PutVarint(&bytes, id.term.value());
    PutVarint(&bytes, by.value());
  }
  return PrintOf(bytes);
}

}  // namespace holdfast::search
