// The links between nodes: what is lost, late, repeated or out of order, from the schedule's seed.
//
// Each link draws from a generator of its own, so that a message more or less on one leaves the
// others as they were.
//
// Thread-safety: thread-compatible. Ownership: the queue outlives it.

#ifndef HOLDFAST_TESTS_SIM_NETWORK_H_
#define HOLDFAST_TESTS_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/prng.h"
#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"
#include "tests/sim/timeline.h"

namespace holdfast::sim {

class Network {
 public:
  Network(const Schedule& schedule, Timeline* queue, RunStats* stats);

  // `deliver` runs when the message arrives: never, once, or more often. `extra` is added to the
  // time under way (a large message). Returns false if it is lost for certain.
  bool Send(Slot from, Slot to, SimTime extra, std::function<void()> deliver);

  // Does a kind of action that concerns links, until `action.lasts` has passed. `node` is
  // action.node or who it stands for.
  void Disturb(const Action& action, Slot node);
  // Ends all disturbances; from now on nothing is lost, repeated or late.
  void Heal();
  // From now on nothing passes to or from `node`, also after Heal.
  void CutOff(Slot node);

 private:
  struct Link {
    Prng random;
    SimTime last{0};  // in order: nothing arrives before this
  };
  struct Disturbance {
    Action action;
    Slot node;
    SimTime end;
  };

  bool Blocked(Slot from, Slot to) const;
  static bool Blocks(const Disturbance& disturbance, Slot from, Slot to, uint32_t slots);
  // The largest `n` of the disturbances of that kind.
  uint64_t Strongest(ActionKind kind) const;
  void Arrive(Slot from, Slot to, SimTime delay, std::function<void()> deliver);
  void DropEnded();

  const Setup setup_;
  const uint32_t slots_;
  Timeline* const queue_;
  RunStats* const stats_;
  std::vector<Link> links_;  // from * slots_ + to
  std::vector<Disturbance> disturbances_;
  uint64_t cut_off_ = 0;  // bit mask
  bool healed_ = false;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_NETWORK_H_
