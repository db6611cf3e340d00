// `holdfast cluster recover`, with real processes: two of three disks are lost, the third goes on
// with all that it has, others join it, and the old cluster's members cannot mix with it.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/integration/growing_cluster.h"
#include "tests/support/process.h"

namespace holdfast {
namespace {

using testing::BuiltFile;
using testing::Process;

class RecoverTest : public testing::GrowingCluster {
 protected:
  std::unique_ptr<Process> Begin(const std::vector<std::string>& flags) {
    std::vector<std::string> command = {BuiltFile("server/holdfast"), "cluster", "recover",
                                        "--data-dir", absl::StrCat(directory_.path(), "/0")};
    command.insert(command.end(), flags.begin(), flags.end());
    auto process = Process::Start(
        {.command = command, .log_path = absl::StrCat(directory_.path(), "/recover")});
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  // Of node 0; what it said is in `said_`.
  int Recover(const std::vector<std::string>& flags) {
    const std::unique_ptr<Process> process = Begin(flags);
    const auto ended = process->Wait(kChangeWithin);
    said_ = process->Log();
    return ended.ok() && !ended->signalled ? ended->code : -1;
  }
  // Everything that was acknowledged is on node 0, and then there is none that runs.
  void LoseAll() {
    GrowToThree();
    EnqueueSome(1, 40);
    AwaitEqualCopies({0, 1, 2});
    for (const auto& node : nodes_) node->Kill();
  }
  void StartAlone() {
    Launch(0, "0", {});
    Connect(0);
    Await("it serves", [&] { return View(0).members_size() == 1 && Leads() == kShards; });
  }
  int Leads() {
    const v1::ClusterView view = View(0);
    return static_cast<int>(std::count(view.leaders().begin(), view.leaders().end(), 1));
  }

  std::string said_;
};

TEST_F(RecoverTest, TheOnlyDiskThatIsLeftGoesOnAndOthersJoinIt) {
  LoseAll();
  EXPECT_EQ(Recover({"--dry-run"}), 0) << said_;
  EXPECT_NE(said_.find("its members: 1, 2, 3"), std::string::npos) << said_;
  EXPECT_EQ(Recover({"--unsafe"}), 0) << said_;
  EXPECT_NE(said_.find("the only member of the new cluster"), std::string::npos) << said_;
  EXPECT_EQ(Recover({"--unsafe"}), 0) << "it may be repeated: " << said_;
  StartAlone();
  EXPECT_EQ(Count(0), jobs_);
  EnqueueSome(0, 20);
  for (const int node : {1, 2}) {
    ASSERT_TRUE(Add(0, node).ok());
    Join(node, absl::StrCat(node, "-again"));
  }
  AwaitLeadersOn({0, 1, 2});
  EnqueueSome(2, 20);
  AwaitEqualCopies({0, 1, 2});
  nodes_[0]->Kill();
  EnqueueSome(1, 20);
  EXPECT_EQ(Count(2), jobs_);
}

TEST_F(RecoverTest, TheOldMajorityComesBackAndIsRefused) {
  LoseAll();
  EXPECT_EQ(Recover({"--unsafe"}), 0) << said_;
  const int jobs = jobs_;
  StartAlone();
  for (const int node : {1, 2}) {
    Launch(node, absl::StrCat(node), {});
    Connect(node);
  }
  EnqueueSome(1, 20);  // they are a majority of what was, and know no better
  Await("the old members are refused",
        [&] { return nodes_[1]->Log().find("is of cluster") != std::string::npos; });
  EXPECT_EQ(Count(0), jobs) << "nothing of theirs";
  EXPECT_EQ(Leads(), kShards);
  EXPECT_EQ(Count(2), jobs_);
}

TEST_F(RecoverTest, KilledAtAnyMomentItIsRunAgain) {
  LoseAll();
  bool ended = false;
  for (int i = 0; i < 60 && !ended; ++i) {
    const std::unique_ptr<Process> process = Begin({"--unsafe"});
    ended = process->Wait(absl::Milliseconds(2 * i)).ok();
    process->Kill();
  }
  EXPECT_EQ(Recover({"--unsafe"}), 0) << said_;
  StartAlone();
  EXPECT_EQ(Count(0), jobs_);
}

TEST_F(RecoverTest, NothingIsDoneWhileItRunsOrIsNotSaidToBeUnsafe) {
  EXPECT_EQ(Recover({"--unsafe"}), 1);
  EXPECT_NE(said_.find("in use by another process"), std::string::npos) << said_;
  nodes_[0]->Kill();
  EXPECT_EQ(Recover({}), 2) << said_;
  EXPECT_EQ(Recover({"--unsafe"}), 0) << said_;
  EXPECT_NE(said_.find("Nothing to do"), std::string::npos) << said_;
}

}  // namespace
}  // namespace holdfast
