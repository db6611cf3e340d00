// One reserve over queues of several shards.
//
//   ask offers ──something──▶ reserve the best ──got some──▶ done
//     ▲   │ nothing                 │ lost the race
//     │   ▼                         │
//     │  wait for an offer at every shard ──deadline, drain──▶ done (nothing ready)
//     └───────────┴─────────────────┘
//
// Waiting is for offers, not leases, so no attempt is burnt on a grant that nobody takes. Order
// over shards is by (priority, enqueue time, id) as the offers told, so approximate.
//
// Thread-safety: Start and Cancel from any thread; the rest runs on the home loop, the one of
// its first shard. Ownership: shared by its own callbacks; the shards outlive it.

#ifndef HOLDFAST_SERVER_ENGINE_MULTI_RESERVE_H_
#define HOLDFAST_SERVER_ENGINE_MULTI_RESERVE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "server/engine/relay.h"

namespace holdfast {

class MultiReserve : public std::enable_shared_from_this<MultiReserve> {
 public:
  // The part of the reserve that one shard is asked for.
  struct Part {
    RelayOnLoop at;
    std::vector<std::string> queues;
  };
  // Gives leases back that nobody takes.
  using Return = std::function<void(const Outcome&)>;

  MultiReserve(ReserveId id, ReserveRequest request, std::vector<Part> parts, Return give_back,
               ExecuteDone done);

  void Start();
  void Cancel();

 private:
  template <class Step>
  void OnHome(Step step);
  void AskOffers();
  void GotOffers();
  void WaitForOffers();
  void OfferCame(uint64_t round, const ExecuteResult& result);
  void EndWaiting();
  void ReserveBest();
  void Reserved();
  void Finish(ExecuteResult result);

  const ReserveId id_;
  const ReserveRequest request_;
  const std::vector<Part> parts_;
  const Return give_back_;
  Executor* const home_;

  // The home loop's own.
  ExecuteDone done_;
  bool cancelled_ = false;
  int64_t deadline_micros_ = 0;
  uint64_t round_ = 0;  // of waiting
  bool waiting_ = false;
  size_t left_ = 0;            // answers that are still to come in this step
  absl::Status status_;        // the first failure of this step
  std::vector<Offer> offers_;  // by part
  ExecuteResult gathered_;     // what has come of this step
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_MULTI_RESERVE_H_
