#include "tests/sim/job_clients.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/codec/payload_codec.h"

namespace holdfast::sim {
namespace {

using testing::Ended;
using testing::OperationKind;

constexpr const char* kQueues[] = {"a", "b"};
// SimulatedExecutor's clocks begin here.
constexpr int64_t kEpochMicros = 1'700'000'000'000'000;
constexpr SimTime kGiveUpAfter{1'500'000};
constexpr uint64_t kAgainMicros = 60'000;

SimTime Micros(uint64_t micros) { return SimTime(static_cast<int64_t>(micros)); }

// How an item of an answer ended; nullptr: there was no answer.
Ended EndedOf(const ExecuteResult* result, size_t item) {
  if (result == nullptr || result->status.code() == absl::StatusCode::kUnknown) {
    return Ended::kUnknown;
  }
  if (!result->status.ok() || item >= result->outcome.items.size()) return Ended::kRefused;
  return result->outcome.items[item].code == OutcomeCode::kOk ? Ended::kOk : Ended::kRefused;
}

}  // namespace

int64_t JobClients::Now() const { return kEpochMicros + around_.timeline->now().count(); }

std::string JobClients::BodyOf(uint64_t key) const {
  Prng random(key);
  std::string body = absl::StrCat("key=", key, ";");
  body.append(random.Below(around_.setup->write_bytes_max), static_cast<char>('a' + key % 26));
  return body;
}

JobClients::CallPtr JobClients::BeginCall(OperationKind kind) {
  auto call = std::make_shared<Call>();
  call->operation.kind = kind;
  call->operation.begin_micros = Now();
  return call;
}

bool JobClients::EndCall(const CallPtr& call) {
  if (std::exchange(call->over, true)) return false;
  call->operation.end_micros = Now();
  return true;
}

void JobClients::GiveUpLater(const CallPtr& call, std::function<void()> unknown) {
  calls_.push_back({call, unknown});
  around_.timeline->After(kGiveUpAfter, [call, unknown = std::move(unknown)] {
    if (!call->over) unknown();
  });
}

void JobClients::GiveUpAll() {
  for (const auto& [call, unknown] : std::exchange(calls_, {})) {
    if (!call->over) unknown();
  }
}

void JobClients::Do(uint64_t choice, Slot slot) {
  Prng random(choice);
  const std::string queue = kQueues[random.Below(2)];
  const uint64_t what = random.Below(100);
  if (what < 45) {
    BeginEnqueue(slot);
  } else if (what < 85) {
    const auto max = static_cast<uint32_t>(random.Between(1, 4));
    Reserve(queue, max, slot, [this, random](std::vector<Lease> leases) mutable {
      for (const Lease& lease : leases) SettleSometime(lease, Prng(random.Next()));
    });
  } else if (what < 92 && !old_leases_.empty()) {
    // Whatever has become of it since.
    const Lease lease = old_leases_[random.Below(old_leases_.size())];
    SettleSometime(lease, Prng(random.Next()));
  } else if (what < 94) {
    Kick(queue, slot);
  } else if (what < 97) {
    ReserveAfterClose(queue, slot);
  } else {
    Count(queue, slot, [](uint64_t) {});
  }
}

// --- Enqueue.

void JobClients::BeginEnqueue(Slot slot) {
  const uint64_t number = ++requests_;
  auto request = std::make_shared<EnqueueRequest>(
      EnqueueRequest{Prng(seed_ * 6151 + number), number, "", {}, {}, 0});
  Prng& random = request->random;
  request->queue = kQueues[random.Below(2)];
  for (uint64_t i = random.Chance(3, 4) ? 1 : random.Between(2, 4); i > 0; --i) {
    JobSpec spec;
    spec.priority = static_cast<uint32_t>(random.Below(4));
    if (random.Chance(1, 5)) {
      spec.delay = LogDuration::Micros(static_cast<int64_t>(random.Between(1, 400'000)));
    }
    spec.lease = LogDuration::Micros(static_cast<int64_t>(random.Between(50'000, 900'000)));
    request->keys.push_back(++keys_);
    request->specs.push_back(spec);
  }
  ++unanswered_;
  TryEnqueue(request, slot);
}

void JobClients::TryEnqueue(const std::shared_ptr<EnqueueRequest>& request, Slot slot) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return OnEnqueued(request, nullptr, nullptr);
  RequestIdentity identity;
  identity.digest_high = seed_;
  identity.digest_low = request->number;
  EnqueueEncoder encoder(identity, request->queue, 0);
  for (size_t i = 0; i < request->keys.size(); ++i) {
    const std::string body = BodyOf(request->keys[i]);
    encoder.Add(request->specs[i], {.attributes = {}, .dedup_key = {}, .body = body});
  }
  const CallPtr call = BeginCall(OperationKind::kEnqueue);
  engine->Enqueue(request->queue, std::move(encoder), [this, request, call](ExecuteResult result) {
    OnEnqueued(request, call, &result);
  });
  GiveUpLater(call, [this, request, call] { OnEnqueued(request, call, nullptr); });
}

// `call`: nullptr: nobody was asked.
void JobClients::OnEnqueued(const std::shared_ptr<EnqueueRequest>& request, const CallPtr& call,
                            const ExecuteResult* result) {
  bool answered = false;
  if (call != nullptr) {
    if (!EndCall(call)) return;
    answered = result != nullptr && result->status.ok();
    for (size_t i = 0; i < request->keys.size(); ++i) {
      testing::EnqueuedJob job;
      job.key = request->keys[i];
      job.ended = EndedOf(result, i);
      job.delay_micros = request->specs[i].delay.micros();
      if (job.ended == Ended::kOk) job.id = result->outcome.items[i].job.value();
      call->operation.enqueued.push_back(job);
    }
    history_.Add(call->operation);
  }
  if (answered) {
    --unanswered_;
    ++answered_;
    ++around_.stats->acknowledged;
    return;
  }
  const uint64_t again = request->random.Below(kAgainMicros << std::min(++request->tries, 4u));
  const bool leader = request->random.Chance(2, 3);
  const auto other =
      static_cast<Slot>(request->random.Below(around_.setup->nodes + around_.setup->spares));
  around_.timeline->After(Micros(again), [this, request, slot = leader ? kLeaderSlot : other] {
    TryEnqueue(request, slot);
  });
}

// --- Reserve.

void JobClients::Reserve(const std::string& queue, uint32_t max, Slot slot,
                         std::function<void(std::vector<Lease>)> then) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return then({});
  ReserveRequest request;
  request.queues = {queue};
  request.max = max;
  request.wait = max % 2 == 0 ? absl::Milliseconds(100) : absl::ZeroDuration();
  const CallPtr call = BeginCall(OperationKind::kReserve);
  engine->Reserve(std::move(request), [this, queue, call, then](ExecuteResult result) {
    if (!call->over) then(OnReserved(call, queue, &result));
  });
  GiveUpLater(call, [this, queue, call, then] { then(OnReserved(call, queue, nullptr)); });
}

std::vector<JobClients::Lease> JobClients::OnReserved(const CallPtr& call, const std::string& queue,
                                                      const ExecuteResult* result) {
  std::vector<Lease> leases;
  EndCall(call);
  if (result != nullptr && result->status.ok()) {
    SetKey last;
    for (size_t i = 0; i < result->outcome.grants.size(); ++i) {
      const Job& job = result->outcome.grants[i].job;
      testing::Grant grant;
      grant.id = job.id.value();
      grant.token = job.token.value();
      grant.expiry_micros = static_cast<int64_t>(job.due.micros());
      grant.granted_micros = grant.expiry_micros - job.current_lease.micros();
      grant.created_micros = static_cast<int64_t>(job.created.micros());
      const auto payload = DecodePayload(result->payloads[i].bytes);
      const std::string body = payload.ok() ? std::string(payload->body) : "";
      if (!absl::SimpleAtoi(body.substr(0, body.find(';')).substr(std::min<size_t>(4, body.size())),
                            &grant.key)) {
        grant.key = 0;
      }
      grant.body_intact = body == BodyOf(grant.key);
      call->operation.grants.push_back(grant);
      leases.push_back({grant, queue});
      old_leases_.push_back({grant, queue});
      const SetKey key{job.priority, job.id.value()};
      if (key <= last) {
        around_.checker->Fail("priority order", absl::StrCat("job ", grant.id, " of queue ", queue,
                                                             " is granted after a later one"));
      }
      last = key;
    }
  }
  history_.Add(call->operation);
  return leases;
}

// A worker is known to be gone, and then a reserve of its comes: it must get nothing.
void JobClients::ReserveAfterClose(const std::string& queue, Slot slot) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return;
  ReserveRequest late;
  late.queues = {queue};
  late.holder = engine->OpenHolder(LeasesAtClose::kRelease, [](const Machine::EndedLease&) {});
  Command close;
  close.body = CloseHolderCommand{late.holder};
  engine->Execute(close, [this, late](const ExecuteResult& closed) {
    if (!closed.status.ok() || closed.outcome.code != OutcomeCode::kOk) return;
    around_.timeline->After(SimTime(20'000), [this, late] {
      Engine* const leader = around_.engine_at(kLeaderSlot);
      if (leader == nullptr) return;
      leader->Reserve(late, [this](const ExecuteResult& result) {
        if (!result.status.ok() || result.outcome.grants.empty()) return;
        around_.checker->Fail("closed holders get nothing",
                              absl::StrCat("job ", result.outcome.grants[0].job.id.value(),
                                           " is granted to a holder that was closed"));
      });
    });
  });
}

// --- Settle.

void JobClients::SettleSometime(const Lease& lease, Prng random) {
  const uint64_t after = random.Below(random.Chance(4, 5) ? 60'000 : 1'200'000);
  const uint64_t what = random.Below(100);
  const OperationKind kind = what < 55   ? OperationKind::kDelete
                             : what < 75 ? OperationKind::kRelease
                             : what < 88 ? OperationKind::kTouch
                                         : OperationKind::kBury;
  if (what >= 96) return;  // the worker is gone
  const Slot slot =
      random.Chance(4, 5) ? kLeaderSlot : static_cast<Slot>(random.Below(around_.setup->nodes));
  around_.timeline->After(Micros(after), [this, lease, kind, slot, random]() mutable {
    Settle(lease, kind, slot, random);
    if (kind == OperationKind::kTouch) SettleSometime(lease, Prng(random.Next()));
  });
}

void JobClients::Settle(const Lease& lease, OperationKind kind, Slot slot, Prng random) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return;
  const LeaseRefs refs = {{JobId(lease.grant.id), LeaseToken(lease.grant.token)}};
  Command command;
  if (kind == OperationKind::kDelete) {
    command.body = DeleteCommand{refs};
  } else if (kind == OperationKind::kRelease) {
    ReleaseCommand release;
    release.leases = refs;
    if (random.Chance(1, 3)) release.priority = static_cast<uint32_t>(random.Below(4));
    if (random.Chance(1, 3)) release.delay = LogDuration::Millis(100);
    command.body = std::move(release);
  } else if (kind == OperationKind::kTouch) {
    command.body = TouchCommand{refs, LogDuration()};
  } else {
    command.body = BuryCommand{refs, std::nullopt};
  }
  const CallPtr call = BeginCall(kind);
  testing::Settled settled;
  settled.id = lease.grant.id;
  settled.key = lease.grant.key;
  settled.token = lease.grant.token;
  call->operation.settled.push_back(settled);
  engine->Execute(command, [this, call](ExecuteResult result) { OnSettled(call, &result); });
  GiveUpLater(call, [this, call] { OnSettled(call, nullptr); });
}

void JobClients::OnSettled(const CallPtr& call, const ExecuteResult* result) {
  if (!EndCall(call)) return;
  testing::Settled& settled = call->operation.settled[0];
  settled.ended = EndedOf(result, 0);
  if (result != nullptr && result->status.ok() && !result->outcome.items.empty()) {
    const ItemOutcome& item = result->outcome.items[0];
    settled.not_found = item.code == OutcomeCode::kJobNotFound;
    if (settled.ended == Ended::kOk && call->operation.kind == OperationKind::kTouch) {
      settled.expiry_micros = static_cast<int64_t>(item.due.micros());
    }
  }
  history_.Add(call->operation);
}

// --- The rest.

// Only what is buried: who kicks a delayed job hands it out before its delay.
void JobClients::Kick(const std::string& queue, Slot slot) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return;
  Command command;
  command.body = KickCommand{queue, kKickMax, KickFrom::kBuried};
  engine->Execute(command, [](const ExecuteResult&) {});
}

void JobClients::Count(const std::string& queue, Slot slot,
                       std::function<void(uint64_t live)> then) {
  Engine* const engine = around_.engine_at(slot);
  if (engine == nullptr) return;
  engine->Ask(QueueQuery{queue}, [this, queue, then = std::move(then)](const QueryResult& result) {
    if (!result.status.ok()) return;
    if (result.queues.empty()) return then(0);
    const QueueRecord& record = result.queues[0];
    testing::CountsSample sample;
    sample.queue = queue;
    sample.ready = record.counts[static_cast<int>(JobState::kReady)];
    sample.delayed = record.counts[static_cast<int>(JobState::kDelayed)];
    sample.reserved = record.counts[static_cast<int>(JobState::kReserved)];
    sample.buried = record.counts[static_cast<int>(JobState::kBuried)];
    sample.total_enqueued = record.total_enqueued;
    sample.total_deleted = record.total_deleted;
    const uint64_t live = sample.ready + sample.delayed + sample.reserved + sample.buried;
    history_.AddCounts(std::move(sample));
    then(live);
  });
}

void JobClients::Drain() {
  drained_ = empty_[0] && empty_[1];
  ++drains_;
  for (size_t i = 0; i < empty_.size(); ++i) {
    const std::string queue = kQueues[i];
    Kick(queue, kLeaderSlot);
    Reserve(queue, 99, kLeaderSlot, [this](std::vector<Lease> leases) {
      for (const Lease& lease : leases) {
        Settle(lease, OperationKind::kDelete, kLeaderSlot, Prng(lease.grant.key));
      }
    });
    Count(queue, kLeaderSlot, [this, i](uint64_t live) { empty_[i] = live == 0; });
  }
}

}  // namespace holdfast::sim
