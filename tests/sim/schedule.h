// What is done to a cluster in one run: data, drawn from the seed before the run begins.
//
// A run is a function of its Schedule: the faults, the operations of clients and the ways of the
// network all come from it. So a failure is shortened by leaving actions out and running again.
//
// Plain values. An action says whom it strikes and for how long; what it undoes it undoes by
// itself, so that each can be left out without the others.

#ifndef HOLDFAST_TESTS_SIM_SCHEDULE_H_
#define HOLDFAST_TESTS_SIM_SCHEDULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/timeline.h"

namespace holdfast::sim {

// A node's place in the cluster, from 0; who is there (which disk) changes when a disk is wiped.
using Slot = uint32_t;
// Whoever leads, in the highest term, when the action comes; nobody: the action does nothing.
constexpr Slot kLeaderSlot = 1000;

enum class ActionKind : uint8_t {
  // Clients.
  kWrite,  // one write, begun at `node`, repeated elsewhere until it is answered
  kRead,   // one linearizable read at `node`
  kJobs,   // one operation on jobs, chosen by `n`
  // Nodes.
  kCrash,      // loses what is not synced; comes back after `lasts`
  kPause,      // does nothing, hears nothing for `lasts`; then all at once
  kFailWrite,  // its next write fails, wholly or in part; comes back as after a crash
  kSlowDisk,   // each write takes up to `n` microseconds more, for `lasts`
  kSlowApply,  // applying too
  kWipe,       // loses its disk; comes back after `lasts` as somebody else
  // Links. Partitions begin and end; messages across one are lost.
  kIsolate,    // nothing from or to `node`
  kDeafen,     // nothing to `node`
  kMute,       // nothing from `node`
  kCutLink,    // nothing from `node` to `peer`
  kHalves,     // nothing between the nodes whose bit is set in `n` and the others
  kRing,       // each hears its two neighbours only
  kLoss,       // `n` of 1,000 messages are lost
  kDelay,      // each message takes up to `n` microseconds more
  kDuplicate,  // `n` of 1,000 messages come twice
  // Raft.
  kCampaign,
  kTransfer,  // the leader hands over to `peer`
  kForgetLeader,
  kMembers,  // a change of members, chosen by `n` among those that keep a majority alive
  // State.
  kFlush,   // the state machine becomes durable
  kCutLog,  // the log is cut, up to what is durable; `n` entries more stay
  // Clocks.
  kClockStep,   // the wall clock of one node jumps by `n` - 2^31 milliseconds
  kClocksBack,  // all wall clocks go back by `n` milliseconds
  kCount,
};

struct Action {
  SimTime at{0};
  ActionKind kind = ActionKind::kWrite;
  Slot node = 0;
  Slot peer = 0;
  SimTime lasts{0};
  uint64_t n = 0;
};

// What does not change during a run.
struct Setup {
  uint32_t nodes = 3;   // members at the beginning
  uint32_t spares = 0;  // further nodes, which changes of members may bring in
  SimTime faults_end{3'000'000};

  // Raft (raft::Core::Options).
  SimTime tick{10'000};
  uint32_t election_ticks = 10;
  uint32_t heartbeat_ticks = 1;
  bool write_apart = true;
  bool pre_vote = true;
  bool check_quorum = true;
  uint64_t message_bytes_max = 1 << 20;
  uint64_t committed_bytes_max = 4 << 20;
  uint64_t uncommitted_bytes_max = UINT64_MAX;
  uint32_t inflight_messages_max = 256;
  uint64_t inflight_bytes_max = UINT64_MAX;

  // The network, outside of what actions do to it.
  SimTime delay_min{100};
  SimTime delay_max{2'000};
  bool reorder = false;  // off: each link keeps the order
  uint32_t loss_per_1000 = 0;
  uint32_t duplicate_per_1000 = 0;
  uint32_t late_duplicate_per_1000 = 0;  // come again up to 2 s later
  uint32_t shorter_per_1000 = 0;         // appends come once more, with fewer entries

  // Disks.
  SimTime write_max{500};
  SimTime apply_max{200};
  uint32_t cached_entries = 1000;  // older ones must be fetched to be read
  uint32_t write_bytes_max = 100;  // a client's write

  // The engine.
  uint64_t keep_bytes = 1 << 20;    // of the log, beyond what is flushed
  uint64_t hot_jobs_max = 1 << 20;  // in memory

  // How ticks run: node i's clock is fast by this many of 1,000 (negative: slow).
  std::vector<int32_t> drift_per_1000;

  // Nodes (a bit mask) that are still away when the rest has healed, and how.
  uint64_t lost_minority = 0;
  ActionKind lost_how = ActionKind::kCrash;  // kCrash, kIsolate, kFailWrite
  // While healing, clients write this often.
  SimTime heal_write_every{5'000};
};

struct Schedule {
  uint64_t seed = 0;
  std::string profile;
  Setup setup;
  std::vector<Action> actions;  // by time
};

// "1204 ms: crash the leader for 310 ms".
std::string Describe(const Action& action);
std::string Describe(const Setup& setup);
// The setup and every action, a line each; runs of client operations are told in one line.
std::string Describe(const Schedule& schedule);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_SCHEDULE_H_
