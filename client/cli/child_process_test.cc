#include "client/cli/child_process.h"

#include <signal.h>

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

class Child : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }
};

bool Never() { return false; }

absl::StatusOr<ChildResult> Shell(const std::string& script, std::string_view input = "",
                                  const std::function<bool()>& should_end = Never) {
  return RunChild({"sh", "-c", script}, input, {{"HOLDFAST_JOB_ID", "22"}}, should_end);
}

TEST_F(Child, TellsItsExitCode) {
  EXPECT_EQ(Shell("exit 0")->exit_code, 0);
  EXPECT_EQ(Shell("exit 7")->exit_code, 7);
}

TEST_F(Child, TellsTheSignalThatEndedIt) {
  const auto result = Shell("kill -9 $$");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->signal, 9);
  EXPECT_FALSE(result->killed);
}

TEST_F(Child, GetsAllOfALargeInput) {
  const std::string input(3 << 20, 'x');
  EXPECT_EQ(Shell("test $(wc -c) -eq 3145728", input)->exit_code, 0);
}

TEST_F(Child, MayLeaveItsInputUnread) {
  EXPECT_EQ(Shell("exit 0", std::string(3 << 20, 'x'))->exit_code, 0);
  EXPECT_EQ(Shell("exec 0<&-; exit 5", std::string(3 << 20, 'x'))->exit_code, 5);
}

TEST_F(Child, SeesWhatIsAddedToItsEnvironment) {
  EXPECT_EQ(Shell("test \"$HOLDFAST_JOB_ID\" = 22")->exit_code, 0);
}

// A worker that was itself started for a job passed that job's id on.
TEST_F(Child, SeesTheAddedValueWhereTheNameWasSetBefore) {
  setenv("HOLDFAST_JOB_ID", "1", 1);
  const auto result = Shell("test \"$HOLDFAST_JOB_ID\" = 22");
  unsetenv("HOLDFAST_JOB_ID");
  EXPECT_EQ(result->exit_code, 0);
}

// This process ignores SIGPIPE; `yes | head` must still end.
TEST_F(Child, HasDefaultSignalHandling) {
  EXPECT_EQ(Shell("kill -PIPE $$; exit 0")->signal, SIGPIPE);
}

TEST_F(Child, IsEndedWithItsOwnChildren) {
  const auto result = Shell("sleep 600 & wait; exit 3", "", [] { return true; });
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->killed);
  EXPECT_EQ(result->signal, SIGTERM);
}

TEST_F(Child, ThatDoesNotExistIsNotFound) {
  const auto result = RunChild({"/nowhere/command"}, "", {}, Never);
  ASSERT_TRUE(absl::IsNotFound(result.status())) << result.status();
  EXPECT_NE(result.status().message().find("/nowhere/command"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
