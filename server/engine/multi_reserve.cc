#include "server/engine/multi_reserve.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace holdfast {
namespace {

// A waiter of one part, waiting for grants or for an offer.
WaiterPtr MakeWaiter(ReserveId id, ReserveRequest request, int64_t deadline_micros,
                     ExecuteDone done) {
  auto waiter = std::make_unique<Waiter>();
  waiter->id = id;
  waiter->request = std::move(request);
  waiter->deadline_micros = deadline_micros;
  waiter->done = std::move(done);
  return waiter;
}

}  // namespace

MultiReserve::MultiReserve(ReserveId id, ReserveRequest request, std::vector<Part> parts,
                           Return give_back, ExecuteDone done)
    : id_(id),
      request_(std::move(request)),
      parts_(std::move(parts)),
      give_back_(std::move(give_back)),
      home_(parts_.front().at.loop),
      done_(std::move(done)) {}

template <class Step>
void MultiReserve::OnHome(Step step) {
  home_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(self.get()); });
}

void MultiReserve::Start() {
  OnHome([](MultiReserve* self) {
    const absl::Duration wait = std::min(self->request_.wait, absl::Hours(24 * 365));
    self->deadline_micros_ = self->home_->MonotonicMicros() + absl::ToInt64Microseconds(wait);
    self->AskOffers();
  });
}

void MultiReserve::Cancel() {
  OnHome([](MultiReserve* self) {
    self->cancelled_ = true;
    if (self->waiting_) self->EndWaiting();
  });
}

void MultiReserve::AskOffers() {
  left_ = parts_.size();
  status_ = absl::OkStatus();
  offers_.assign(parts_.size(), Offer());
  for (size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].at.loop->Post([self = shared_from_this(), i] {
      const Part& part = self->parts_[i];
      part.at.relay->shard()->AskOffer(
          part.queues, self->request_.max, [self, i](absl::StatusOr<Offer> offer) {
            self->OnHome([i, offer = std::move(offer)](MultiReserve* on_home) mutable {
              if (offer.ok()) {
                on_home->offers_[i] = *std::move(offer);
              } else {
                on_home->status_.Update(offer.status());
              }
              if (--on_home->left_ == 0) on_home->GotOffers();
            });
          });
    });
  }
}

void MultiReserve::GotOffers() {
  ExecuteResult nothing;
  nothing.status = status_;
  nothing.outcome.code = OutcomeCode::kNothingReady;
  if (cancelled_ || !status_.ok()) return Finish(std::move(nothing));
  const auto has_heads = [](const Offer& offer) { return !offer.heads.empty(); };
  if (std::any_of(offers_.begin(), offers_.end(), has_heads)) return ReserveBest();
  if (home_->MonotonicMicros() >= deadline_micros_) return Finish(std::move(nothing));
  WaitForOffers();
}

void MultiReserve::WaitForOffers() {
  const uint64_t round = ++round_;
  waiting_ = true;
  gathered_ = ExecuteResult();
  left_ = parts_.size();
  for (const Part& part : parts_) {
    ReserveRequest request = request_;
    request.queues = part.queues;
    part.at.loop->Post([self = shared_from_this(), shard = part.at.relay->shard(), round,
                        request = std::move(request)]() mutable {
      WaiterPtr waiter =
          MakeWaiter(self->id_, std::move(request), self->deadline_micros_,
                     [self, round](ExecuteResult result) {
                       self->OnHome([round, result = std::move(result)](MultiReserve* on_home) {
                         on_home->OfferCame(round, result);
                       });
                     });
      waiter->offer_only = true;
      shard->WaitForOffer(std::move(waiter));
    });
  }
}

// Every part answers each round exactly once; the first one ends the waiting of the others.
void MultiReserve::OfferCame(uint64_t round, const ExecuteResult& result) {
  if (round != round_) return;
  if (gathered_.status.ok() && !result.status.ok()) gathered_ = result;
  if (waiting_) {
    // It ended by itself: the deadline has come, or no more may wait there.
    if (result.outcome.code == OutcomeCode::kNothingReady) {
      deadline_micros_ = std::min(deadline_micros_, home_->MonotonicMicros());
    }
    EndWaiting();
  }
  if (--left_ > 0) return;
  if (!gathered_.status.ok()) return Finish(std::move(gathered_));
  AskOffers();  // which finds something, or that the deadline has passed
}

void MultiReserve::EndWaiting() {
  waiting_ = false;
  for (const Part& part : parts_) {
    part.at.loop->Post([self = shared_from_this(), shard = part.at.relay->shard()] {
      shard->CancelReserve(self->id_);
    });
  }
}

void MultiReserve::ReserveBest() {
  struct Head {
    Offer::Head head;
    size_t part;
    auto operator<=>(const Head&) const = default;
  };
  std::vector<Head> heads;
  for (size_t i = 0; i < offers_.size(); ++i) {
    for (const Offer::Head& head : offers_[i].heads) heads.push_back({head, i});
  }
  std::sort(heads.begin(), heads.end());
  if (heads.size() > request_.max) heads.resize(request_.max);
  std::vector<uint32_t> wanted(parts_.size());
  for (const Head& head : heads) ++wanted[head.part];
  gathered_ = ExecuteResult();
  status_ = absl::OkStatus();
  left_ = static_cast<size_t>(
      std::count_if(wanted.begin(), wanted.end(), [](uint32_t n) { return n > 0; }));
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (wanted[i] == 0) continue;
    ReserveRequest request = request_;
    request.queues = parts_[i].queues;
    request.max = wanted[i];
    request.wait = absl::ZeroDuration();
    parts_[i].at.loop->Post([self = shared_from_this(), relay = parts_[i].at.relay,
                             request = std::move(request)]() mutable {
      relay->Reserve(MakeWaiter(self->id_, std::move(request), 0, [self](ExecuteResult result) {
        self->OnHome([result = std::move(result)](MultiReserve* on_home) mutable {
          on_home->status_.Update(result.status);
          Outcome& all = on_home->gathered_.outcome;
          std::move(result.outcome.grants.begin(), result.outcome.grants.end(),
                    std::back_inserter(all.grants));
          std::move(result.payloads.begin(), result.payloads.end(),
                    std::back_inserter(on_home->gathered_.payloads));
          if (result.outcome.code != OutcomeCode::kNothingReady) all.code = result.outcome.code;
          if (--on_home->left_ == 0) on_home->Reserved();
        });
      }));
    });
  }
}

void MultiReserve::Reserved() {
  if (!gathered_.outcome.grants.empty()) {
    gathered_.outcome.code = OutcomeCode::kOk;
    if (!cancelled_) return Finish(std::move(gathered_));
    give_back_(gathered_.outcome);
    gathered_ = ExecuteResult();
    gathered_.outcome.code = OutcomeCode::kNothingReady;
    return Finish(std::move(gathered_));
  }
  gathered_.status = status_;
  const bool refused = gathered_.outcome.code != OutcomeCode::kOk;
  if (!status_.ok() || refused) return Finish(std::move(gathered_));
  AskOffers();  // others were faster
}

void MultiReserve::Finish(ExecuteResult result) { std::move(done_)(std::move(result)); }

}  // namespace holdfast
