// Each known defect of the core is seen by the script that is named here: the yardstick that shows
// that the scripts can see. Built with --define=mutants=on only.

#include "base/mutant.h"

#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "replication/raft/testing/script_run.h"

namespace holdfast::raft {
namespace {

struct Case {
  Mutant mutant;
  const char* script;
};

class ScriptMutant : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { SetMutant(Mutant::kNone); }

  // What the script prints other than what it expects.
  static std::string Differences() {
    const std::string file = std::string("replication/raft/testdata/") + GetParam().script + ".txt";
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return RunScript(text.str()).Differences(file, {});
  }
};

TEST_P(ScriptMutant, IsSeen) {
  EXPECT_EQ(Differences(), "") << "without the mutant";
  SetMutant(GetParam().mutant);
  EXPECT_NE(Differences(), "");
}

constexpr Case kCases[] = {
    {Mutant::kCommitOldTermByCounting, "figure_8"},
    {Mutant::kAckUncheckedTail, "append_acks_only_checked"},
    {Mutant::kSecondVoteForTransferee, "transfer_second_vote_denied"},
    {Mutant::kCommitOnlyAtOwnLast, "commit_while_writing"},
    {Mutant::kVoteBeforeDurable, "async_vote_waits"},
    {Mutant::kElectionByUnstoredEntries, "async_own_vote_waits"},
    {Mutant::kCampaignDuringWrite, "async_stale_token"},
    {Mutant::kConfigurationAtWrongIndex, "config_truncated"},
    {Mutant::kUncommittedConfigInSnapshot, "snapshot_has_applied_configuration"},
    {Mutant::kConfigChangeBeforeOwnCommit, "config_before_own_commit"},
    {Mutant::kCommitGoesBack, "append_stale_keeps_commit"},
    {Mutant::kCommitBeyondChecked, "append_commit_bounded"},
    {Mutant::kSnapshotAckBeforeDurable, "snapshot_acknowledged_when_durable"},
    {Mutant::kSnapshotIgnoredAtHigherTerm, "snapshot_written_in_next_term"},
    {Mutant::kSnapshotOverNewerEntries, "snapshot_over_newer_entries"},
    {Mutant::kLeadAfterFailedWrite, "failed_write_stops_leading"},
    {Mutant::kStoredByIndexOnly, "async_aba"},
    {Mutant::kElectionTwoConfigsBehind, "config_proves_earlier"},
    {Mutant::kReadWithoutOwnCommit, "read_before_own_commit"},
    {Mutant::kReadWithoutQuorum, "read_lost_leadership"},
    {Mutant::kStickinessForever, "stickiness_ends"},
    {Mutant::kProbeOneByOne, "probe_hint_of_follower"},
    {Mutant::kAppendUnbounded, "flow_window_by_count"},
};

INSTANTIATE_TEST_SUITE_P(Core, ScriptMutant, testing::ValuesIn(kCases), [](const auto& info) {
  return std::string(MutantName(info.param.mutant));
});

}  // namespace
}  // namespace holdfast::raft
