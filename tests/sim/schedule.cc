#include "tests/sim/schedule.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast::sim {
namespace {

std::string Milliseconds(SimTime time) {
  return absl::StrCat(time.count() / 1000, ".", (time.count() % 1000) / 100, " ms");
}

std::string Who(Slot slot) {
  return slot == kLeaderSlot ? std::string("the leader") : absl::StrCat("node ", slot);
}

std::string Members(uint64_t mask) {
  std::string text;
  for (Slot slot = 0; slot < 64; ++slot) {
    if ((mask >> slot & 1) == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : " ", slot);
  }
  return text.empty() ? "nobody" : text;
}

std::string What(const Action& action) {
  const std::string who = Who(action.node);
  switch (action.kind) {
    case ActionKind::kWrite:
      return absl::StrCat("write at ", who);
    case ActionKind::kRead:
      return absl::StrCat("read at ", who);
    case ActionKind::kJobs:
      return absl::StrCat("job operation ", action.n, " at ", who);
    case ActionKind::kCrash:
      return absl::StrCat("crash ", who);
    case ActionKind::kPause:
      return absl::StrCat("pause ", who);
    case ActionKind::kFailWrite:
      return absl::StrCat("fail the next write of ", who);
    case ActionKind::kSlowDisk:
      return absl::StrCat("slow the disk of ", who, " by up to ", action.n, " us");
    case ActionKind::kSlowApply:
      return absl::StrCat("slow applying at ", who, " by up to ", action.n, " us");
    case ActionKind::kWipe:
      return absl::StrCat("wipe the disk of ", who);
    case ActionKind::kIsolate:
      return absl::StrCat("isolate ", who);
    case ActionKind::kDeafen:
      return absl::StrCat("lose everything to ", who);
    case ActionKind::kMute:
      return absl::StrCat("lose everything from ", who);
    case ActionKind::kCutLink:
      return absl::StrCat("lose everything from ", who, " to ", Who(action.peer));
    case ActionKind::kHalves:
      return absl::StrCat("part {", Members(action.n), "} from the others");
    case ActionKind::kRing:
      return "only neighbours hear each other";
    case ActionKind::kLoss:
      return absl::StrCat("lose ", action.n, " of 1000 messages");
    case ActionKind::kDelay:
      return absl::StrCat("delay messages by up to ", action.n, " us");
    case ActionKind::kDuplicate:
      return absl::StrCat("repeat ", action.n, " of 1000 messages");
    case ActionKind::kCampaign:
      return absl::StrCat("campaign at ", who);
    case ActionKind::kTransfer:
      return absl::StrCat("transfer leadership to ", Who(action.peer));
    case ActionKind::kForgetLeader:
      return absl::StrCat("forget the leader at ", who);
    case ActionKind::kMembers:
      return absl::StrCat("change members, choice ", action.n);
    case ActionKind::kFlush:
      return absl::StrCat("flush the state of ", who);
    case ActionKind::kCutLog:
      return absl::StrCat("cut the log of ", who, ", keeping ", action.n, " entries");
    case ActionKind::kClockStep:
      return absl::StrCat("step the clock of ", who, " by ",
                          static_cast<int64_t>(action.n) - (int64_t{1} << 31), " ms");
    case ActionKind::kClocksBack:
      return absl::StrCat("set all clocks back by ", action.n, " ms");
    case ActionKind::kCount:
      break;
  }
  CHECK(false);
  return "";
}

}  // namespace

std::string Describe(const Action& action) {
  std::string text = absl::StrCat(Milliseconds(action.at), ": ", What(action));
  if (action.lasts.count() > 0) absl::StrAppend(&text, " for ", Milliseconds(action.lasts));
  return text;
}

std::string Describe(const Setup& setup) {
  std::string text = absl::StrCat(
      setup.nodes, " nodes and ", setup.spares, " spare; faults until ",
      Milliseconds(setup.faults_end), "\n  raft: election ", setup.election_ticks, " ticks of ",
      Milliseconds(setup.tick), ", heartbeat ", setup.heartbeat_ticks, "; writes ",
      setup.write_apart ? "apart" : "together", setup.pre_vote ? ", pre-vote" : "",
      setup.check_quorum ? ", check-quorum" : "", "; messages of ", setup.message_bytes_max,
      " bytes, ", setup.inflight_messages_max, " in flight; ", setup.committed_bytes_max,
      " bytes to apply\n");
  absl::StrAppend(&text, "  network: ", setup.delay_min.count(), " to ", setup.delay_max.count(),
                  " us", setup.reorder ? ", out of order" : ", in order", "; of 1000 messages ",
                  setup.loss_per_1000, " lost, ", setup.duplicate_per_1000, " twice, ",
                  setup.late_duplicate_per_1000, " again late, ", setup.shorter_per_1000,
                  " also shorter\n  disk: writes up to ", setup.write_max.count(),
                  " us, applying up to ", setup.apply_max.count(), " us; ", setup.cached_entries,
                  " entries cached\n");
  if (setup.lost_minority != 0) {
    Action lost;
    lost.kind = setup.lost_how;
    absl::StrAppend(&text, "  not healed: {", Members(setup.lost_minority), "}, ",
                    setup.lost_how == ActionKind::kCrash     ? "down"
                    : setup.lost_how == ActionKind::kIsolate ? "cut off"
                                                             : "with a failed disk",
                    "\n");
  }
  return text;
}

std::string Describe(const Schedule& schedule) {
  std::string text = absl::StrCat("seed ", schedule.seed, ", profile ", schedule.profile, "\n  ",
                                  Describe(schedule.setup));
  size_t skipped = 0;
  const auto is_client = [](const Action& action) { return action.kind <= ActionKind::kJobs; };
  for (size_t i = 0; i < schedule.actions.size(); ++i) {
    const Action& action = schedule.actions[i];
    const bool in_run = i > 0 && i + 1 < schedule.actions.size() && is_client(action) &&
                        is_client(schedule.actions[i - 1]) && is_client(schedule.actions[i + 1]);
    if (in_run) {
      ++skipped;
      continue;
    }
    if (skipped > 0) absl::StrAppend(&text, "  ... ", skipped, " more operations of clients\n");
    skipped = 0;
    absl::StrAppend(&text, "  ", Describe(action), "\n");
  }
  return text;
}

}  // namespace holdfast::sim
