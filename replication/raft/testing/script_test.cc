// Runs every script of replication/raft/testdata; each must print what it expects.
//
// `bazel run //replication/raft:script_runner -- --rewrite $PWD/replication/raft/testdata/*.txt`
// writes what is printed into the scripts; the diff is then to be reviewed.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/testing/script_run.h"

namespace holdfast::raft {
namespace {

std::vector<std::string> ScriptNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("replication/raft/testdata")) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Script : public testing::TestWithParam<std::string> {};

TEST_P(Script, PrintsWhatIsExpected) {
  const std::string file = "replication/raft/testdata/" + GetParam() + ".txt";
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  ASSERT_FALSE(text.str().empty()) << file;
  const ScriptRun run = RunScript(text.str());
  EXPECT_EQ(run.Differences(file, {}), "");
  EXPECT_EQ(run.Render(), text.str()) << "the runner would write it otherwise";
}

INSTANTIATE_TEST_SUITE_P(Testdata, Script, testing::ValuesIn(ScriptNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace holdfast::raft
