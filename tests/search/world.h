// A whole small cluster at one moment: its replicas, every message on its way, and what must stay
// true of its past. A step makes a new world out of it.
//
// Invariants checked by every step: one leader a term; logs that have one entry in common agree up
// to there; a new leader has every entry that was ever committed; what is committed at one place is
// the same at all, for ever; and raft::Core::CheckInvariants.
//
// Thread-safety: thread-compatible; a World is not changed once it is made, and shares its parts.

#ifndef HOLDFAST_TESTS_SEARCH_WORLD_H_
#define HOLDFAST_TESTS_SEARCH_WORLD_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/search/replica.h"

namespace holdfast::search {

// How far a search goes. Everything beyond is left out, so a search is exhaustive within these.
struct Bounds {
  uint32_t voters = 3;      // [1, 5]
  uint32_t candidates = 2;  // replicas that ever campaign: the first ones
  uint32_t term_max = 2;
  uint32_t proposals = 1;
  uint32_t crashes = 0;
  uint32_t repeats = 0;  // messages that are delivered once more
  // Writes take time and may be lost by a crash. Off: they are durable at once.
  bool slow_writes = false;
};

struct Step {
  enum class Kind : uint8_t { kCampaign, kPropose, kDeliver, kRepeat, kWrite, kCrash };
  Kind kind = Kind::kCampaign;
  uint32_t replica = 0;  // from 0
  size_t message = 0;    // kDeliver, kRepeat: its place in messages()
};

class World {
 public:
  explicit World(const Bounds& bounds);

  // Everything that can happen next. Messages may also never arrive: that is the case of the
  // worlds in which they are not delivered.
  std::vector<Step> Steps(const Bounds& bounds) const;
  // The world after `step`. `violation` is set if something that must be true is not.
  World After(const Bounds& bounds, const Step& step, std::string* violation) const;
  std::string Describe(const Step& step) const;

  Replica::Print Fingerprint() const;

 private:
  struct Flying {
    std::shared_ptr<const raft::Message> message;
    Replica::Print print;
  };
  static constexpr size_t kVotersMax = 5;

  void Settle(const Bounds& bounds, uint32_t changed, std::unique_ptr<Replica> replica,
              std::string* violation);
  void Send(std::vector<raft::Message> messages);
  void DropUseless();
  void CheckLeader(const Replica& replica, std::string* violation);
  void CheckCommitted(const Replica& replica, std::string* violation);
  void CheckLogsMatch(const Replica& replica, std::string* violation) const;

  uint32_t voters_;
  std::array<std::shared_ptr<const Replica>, kVotersMax> replicas_;
  std::array<Replica::Print, kVotersMax> prints_;
  std::vector<Flying> flying_;  // by rising print
  uint32_t proposals_ = 0;
  uint32_t crashes_ = 0;
  uint32_t repeats_ = 0;
  std::vector<ReplicaId> leaders_;  // by term
  struct Committed {
    raft::EntryId id;
    Term by;  // of the leader that committed it
  };
  std::vector<Committed> committed_;  // by index - 1: all that was ever committed
};

}  // namespace holdfast::search

#endif  // HOLDFAST_TESTS_SEARCH_WORLD_H_
