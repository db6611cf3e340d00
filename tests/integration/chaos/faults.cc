#include "tests/integration/chaos/faults.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/testing/flip_bit.h"
#include "tests/integration/file_damage.h"

namespace holdfast::testing {
namespace {

using Nodes = std::vector<int>;

// A change of the members, until it is done.
constexpr absl::Duration kChangeWithin = absl::Seconds(60);

// How long a fault lasts.
absl::Duration SomeTime(const Cluster& cluster, Prng* random) {
  const int64_t longest = absl::ToInt64Milliseconds(cluster.options().fault_length_max);
  return absl::Milliseconds(static_cast<int64_t>(random->Between(300, longest)));
}

int Majority(const Cluster& cluster) { return cluster.size() - cluster.minority(); }

// The first `count`, and those after them.
std::pair<Nodes, Nodes> SplitAt(const Nodes& nodes, int count) {
  return {Nodes(nodes.begin(), nodes.begin() + count), Nodes(nodes.begin() + count, nodes.end())};
}

absl::Status Kill(Cluster* cluster, Prng* random, int count) {
  cluster->Kill(cluster->Some(count, random));
  return cluster->Rest(SomeTime(*cluster, random));
}
absl::Status KillOne(Cluster* cluster, Prng* random) { return Kill(cluster, random, 1); }
absl::Status KillMajority(Cluster* cluster, Prng* random) {
  return Kill(cluster, random, Majority(*cluster));
}
absl::Status KillAll(Cluster* cluster, Prng* random) {
  return Kill(cluster, random, cluster->size());
}

absl::Status CutPower(Cluster* cluster, Prng* random, int count) {
  RETURN_IF_ERROR(cluster->CutPower(cluster->Some(count, random), random));
  return cluster->Rest(SomeTime(*cluster, random));
}
absl::Status CutPowerOfOne(Cluster* cluster, Prng* random) { return CutPower(cluster, random, 1); }
absl::Status CutPowerOfMajority(Cluster* cluster, Prng* random) {
  return CutPower(cluster, random, Majority(*cluster));
}
absl::Status CutPowerOfAll(Cluster* cluster, Prng* random) {
  return CutPower(cluster, random, cluster->size());
}

absl::Status Pause(Cluster* cluster, Prng* random, int count) {
  cluster->Pause(cluster->Some(count, random));
  return cluster->Rest(SomeTime(*cluster, random));
}
absl::Status PauseOne(Cluster* cluster, Prng* random) { return Pause(cluster, random, 1); }
absl::Status PauseMajority(Cluster* cluster, Prng* random) {
  return Pause(cluster, random, Majority(*cluster));
}

absl::Status CutOff(Cluster* cluster, Prng* random, int count) {
  const auto [one, other] = SplitAt(cluster->Some(cluster->size(), random), count);
  RETURN_IF_ERROR(cluster->Part(one, other));
  return cluster->Rest(SomeTime(*cluster, random));
}
absl::Status CutOffOne(Cluster* cluster, Prng* random) { return CutOff(cluster, random, 1); }
absl::Status CutInHalves(Cluster* cluster, Prng* random) {
  return CutOff(cluster, random, cluster->size() / 2);
}

enum class Sense { kDeaf, kMute };
absl::Status CutOneWay(Cluster* cluster, Prng* random, Sense lost) {
  const auto [one, other] = SplitAt(cluster->Some(cluster->size(), random), 1);
  std::vector<Cut> cuts;
  for (const int node : other) {
    cuts.push_back(lost == Sense::kDeaf ? Cut{.from = node, .to = one[0]}
                                        : Cut{.from = one[0], .to = node});
  }
  RETURN_IF_ERROR(cluster->CutLinks(cuts));
  return cluster->Rest(SomeTime(*cluster, random));
}
absl::Status Deafen(Cluster* cluster, Prng* random) {
  return CutOneWay(cluster, random, Sense::kDeaf);
}
absl::Status Mute(Cluster* cluster, Prng* random) {
  return CutOneWay(cluster, random, Sense::kMute);
}

// Each node reaches its two neighbours only; of three nodes, two do not reach each other.
absl::Status Ring(Cluster* cluster, Prng* random) {
  const Nodes ring = cluster->Some(cluster->size(), random);
  const size_t count = ring.size();
  if (count == 3) {
    RETURN_IF_ERROR(cluster->Part({ring[0]}, {ring[1]}));
    return cluster->Rest(SomeTime(*cluster, random));
  }
  std::vector<Cut> cuts;
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = i + 2; k < count; ++k) {
      if (i == 0 && k == count - 1) continue;
      cuts.push_back({.from = ring[i], .to = ring[k]});
      cuts.push_back({.from = ring[k], .to = ring[i]});
    }
  }
  RETURN_IF_ERROR(cluster->CutLinks(cuts));
  return cluster->Rest(SomeTime(*cluster, random));
}

// Everybody is heard by the next one only.
absl::Status OneWayRing(Cluster* cluster, Prng* random) {
  const Nodes ring = cluster->Some(cluster->size(), random);
  std::vector<Cut> cuts;
  for (size_t i = 0; i < ring.size(); ++i) {
    for (size_t k = 0; k < ring.size(); ++k) {
      if (k != i && k != (i + 1) % ring.size()) cuts.push_back({.from = ring[i], .to = ring[k]});
    }
  }
  RETURN_IF_ERROR(cluster->CutLinks(cuts));
  return cluster->Rest(SomeTime(*cluster, random));
}

absl::Status RollingRestart(Cluster* cluster, Prng* random) {
  return cluster->RestartInTurn(cluster->Some(cluster->size(), random), absl::Seconds(60));
}

// A minority is behind when another node loses power; then these are the majority, alone.
absl::Status CutPowerWithOthersBehind(Cluster* cluster, Prng* random, bool paused) {
  const auto [behind, others] =
      SplitAt(cluster->Some(cluster->size(), random), cluster->minority());
  const auto [cut, gone] = SplitAt(others, 1);
  if (paused) {
    cluster->Pause(behind);
  } else {
    RETURN_IF_ERROR(cluster->Part(behind, others));
  }
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  RETURN_IF_ERROR(cluster->CutPower(cut, random));
  cluster->Kill(gone);
  if (paused) {
    cluster->Resume();
  } else {
    RETURN_IF_ERROR(cluster->HealLinks());
  }
  RETURN_IF_ERROR(cluster->Start(cut[0]));
  return cluster->Rest(absl::Seconds(2) + SomeTime(*cluster, random));
}
absl::Status CutPowerWithOthersPaused(Cluster* cluster, Prng* random) {
  return CutPowerWithOthersBehind(cluster, random, true);
}
absl::Status CutPowerWithOthersCutOff(Cluster* cluster, Prng* random) {
  return CutPowerWithOthersBehind(cluster, random, false);
}

// One node's wall clock is wrong by up to two minutes; it is set right again in the end.
absl::Status StepClock(Cluster* cluster, Prng* random) {
  const int seconds = static_cast<int>(random->Between(1, 120));
  RETURN_IF_ERROR(
      cluster->SetClock(cluster->Some(1, random)[0], random->Chance(1, 2) ? seconds : -seconds));
  return cluster->Rest(absl::Seconds(1) + SomeTime(*cluster, random));
}
// And then its leader may be another one, with another idea of the time.
absl::Status StepClockAndKill(Cluster* cluster, Prng* random) {
  RETURN_IF_ERROR(StepClock(cluster, random));
  return KillOne(cluster, random);
}

absl::Status DiskFull(Cluster* cluster, Prng* random) {
  RETURN_IF_ERROR(cluster->FillDisk());
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random) * 2));
  return cluster->EmptyDisk();
}
absl::Status DiskFullAtStart(Cluster* cluster, Prng* random) {
  RETURN_IF_ERROR(cluster->FillDisk());
  const int node = *cluster->small_node();
  cluster->Kill({node});
  RETURN_IF_ERROR(cluster->Start(node));
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  return cluster->EmptyDisk();
}

// Some time later it loses its power, as often as not, and starts again.
absl::Status MaybeLosePower(Cluster* cluster, Prng* random, int node) {
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  if (random->Chance(1, 2)) return absl::OkStatus();
  RETURN_IF_ERROR(cluster->CutPower({node}, random));
  return cluster->Start(node);
}

// A node's disk is lost; it comes back with an empty one, and may be interrupted while it gets what
// the others have.
absl::Status ReplaceDisk(Cluster* cluster, Prng* random) {
  const int node = cluster->Some(1, random)[0];
  cluster->Kill({node});
  cluster->LoseDisk(node);
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  RETURN_IF_ERROR(cluster->ChangeMember("replace", node, {}, kChangeWithin));
  RETURN_IF_ERROR(cluster->Start(node));
  RETURN_IF_ERROR(MaybeLosePower(cluster, random, node));
  RETURN_IF_ERROR(cluster->AwaitVotes(node, kChangeWithin));
  return cluster->AwaitServes(node, kChangeWithin);
}

// A node is taken out, goes on running for a while, and is added again with an empty disk.
absl::Status RemoveAndAdd(Cluster* cluster, Prng* random) {
  const int node = cluster->Some(1, random)[0];
  cluster->Retire(node);
  RETURN_IF_ERROR(cluster->ChangeMember("remove", node, {}, kChangeWithin));
  RETURN_IF_ERROR(cluster->AwaitForgotten(node, kChangeWithin));
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  cluster->Kill({node});
  cluster->LoseDisk(node);
  RETURN_IF_ERROR(cluster->ChangeMember("add", node, {cluster->AddressOf(node)}, kChangeWithin));
  RETURN_IF_ERROR(cluster->Start(node));
  RETURN_IF_ERROR(MaybeLosePower(cluster, random, node));
  RETURN_IF_ERROR(cluster->AwaitVotes(node, kChangeWithin));
  return cluster->AwaitServes(node, kChangeWithin);
}

// One bit of a file of any kind. Tells which.
std::string FlipOne(const std::string& directory, const DamageTargets& targets, Prng* random) {
  if (targets.empty()) return "without files";
  const auto kind = std::next(targets.begin(), static_cast<int64_t>(random->Below(targets.size())));
  const DamageTarget& file = kind->second[random->Below(kind->second.size())];
  const std::string path = directory + "/" + file.path;
  if (!std::filesystem::exists(path)) return file.path + " was gone";
  const uint64_t offset = random->Below(file.bytes);
  FlipBit(path, offset, static_cast<unsigned>(random->Below(8)));
  return absl::StrCat(file.path, " byte ", offset);
}

}  // namespace

const std::vector<Fault>& AllFaults() {
  using Needs = Fault::Needs;
  static const std::vector<Fault>* const kFaults = new std::vector<Fault>{
      {"kill", "kill one", Needs::kNothing, KillOne},
      {"kill", "kill a majority", Needs::kNothing, KillMajority},
      {"kill", "kill all", Needs::kNothing, KillAll},
      {"power", "power cut of one", Needs::kPreload, CutPowerOfOne},
      {"power", "power cut of a majority", Needs::kPreload, CutPowerOfMajority},
      {"power", "power cut of all", Needs::kPreload, CutPowerOfAll},
      {"power", "power cut, others paused", Needs::kPreload, CutPowerWithOthersPaused},
      {"power", "power cut, others cut off", Needs::kNamespaces, CutPowerWithOthersCutOff},
      {"pause", "pause one", Needs::kNothing, PauseOne},
      {"pause", "pause a majority", Needs::kNothing, PauseMajority},
      {"partition", "cut off one", Needs::kNamespaces, CutOffOne},
      {"partition", "cut in halves", Needs::kNamespaces, CutInHalves},
      {"partition", "one deaf", Needs::kNamespaces, Deafen},
      {"partition", "one mute", Needs::kNamespaces, Mute},
      {"partition", "ring", Needs::kNamespaces, Ring},
      {"partition", "one-way ring", Needs::kNamespaces, OneWayRing},
      {"restart", "rolling restart", Needs::kNothing, RollingRestart},
      {"clock", "clock step", Needs::kClocks, StepClock},
      {"clock", "clock step, then kill one", Needs::kClocks, StepClockAndKill},
      {"members", "wipe and replace", Needs::kNothing, ReplaceDisk},
      {"members", "remove and add", Needs::kNothing, RemoveAndAdd},
      {"disk", "disk full", Needs::kSmallDisk, DiskFull},
      {"disk", "disk full at start", Needs::kSmallDisk, DiskFullAtStart},
  };
  return *kFaults;
}

std::vector<Fault> FaultsFor(const std::vector<std::string>& kinds, const ClusterOptions& options) {
  const bool loopback = options.network == NetworkKind::kLoopback;
  std::vector<Fault> faults;
  for (const Fault& fault : AllFaults()) {
    if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), fault.kind) == kinds.end()) {
      continue;
    }
    if (fault.kind == "power" && options.preload.empty()) continue;
    if (fault.needs == Fault::Needs::kNamespaces && loopback) continue;
    if (fault.needs == Fault::Needs::kClocks && options.clock_library.empty()) continue;
    if (fault.needs == Fault::Needs::kSmallDisk && options.small_disk_bytes == 0) continue;
    faults.push_back(fault);
  }
  return faults;
}

std::vector<std::string> FaultsLost(const ClusterOptions& options) {
  std::vector<std::string> names;
  if (options.network == NetworkKind::kNamespaces) return names;
  for (const Fault& fault : AllFaults()) {
    if (fault.needs != Fault::Needs::kNothing && fault.needs != Fault::Needs::kPreload)
      names.push_back(fault.name);
  }
  return names;
}

absl::StatusOr<std::vector<std::string>> FlipBits(Cluster* cluster, Prng* random) {
  const Nodes nodes = cluster->Some(cluster->minority(), random);
  std::vector<DamageTargets> targets;
  // Only what is known to be synced can be told from a torn tail: what was written some time ago.
  for (const int node : nodes) targets.push_back(DamageTargetsIn(cluster->DataDirectory(node)));
  RETURN_IF_ERROR(cluster->Rest(SomeTime(*cluster, random)));
  cluster->Kill(nodes);
  std::vector<std::string> stories;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const std::string damaged = FlipOne(cluster->DataDirectory(nodes[i]), targets[i], random);
    cluster->Retire(nodes[i]);
    RETURN_IF_ERROR(cluster->Start(nodes[i]));
    stories.push_back(absl::StrCat("node ", nodes[i] + 1, ", ", damaged));
  }
  RETURN_IF_ERROR(cluster->Rest(absl::Seconds(3)));
  for (size_t i = 0; i < nodes.size(); ++i) {
    absl::StrAppend(&stories[i], cluster->Running(nodes[i]) ? ": serves" : ": found it and ended");
  }
  return stories;
}

}  // namespace holdfast::testing
