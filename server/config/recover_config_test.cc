#include "server/config/recover_config.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

ParsedRecover Parse(const std::vector<const char*>& flags) {
  std::vector<const char*> words = {"recover"};
  words.insert(words.end(), flags.begin(), flags.end());
  return ParseRecover(static_cast<int>(words.size()), words.data());
}

TEST(RecoverFlags, NothingIsDoneUnlessOneSaysWhat) {
  EXPECT_EQ(Parse({}).exit_code, 2);
  EXPECT_EQ(Parse({"--data-dir", "d"}).exit_code, 2);
  EXPECT_FALSE(Parse({"--data-dir", "d"}).config.has_value());
  EXPECT_EQ(Parse({"--unsafe", "--dry-run"}).exit_code, 2);
  EXPECT_EQ(Parse({"--unsafe", "surplus"}).exit_code, 2);
}

TEST(RecoverFlags, SayWhatIsDoneWhere) {
  const ParsedRecover shown = Parse({"--data-dir", "d", "--dry-run", "--format", "json"});
  ASSERT_TRUE(shown.config.has_value());
  EXPECT_EQ(shown.config->action, RecoverConfig::Action::kShow);
  EXPECT_EQ(shown.config->format, RecoverConfig::Format::kJson);
  EXPECT_EQ(shown.config->data_dir, "d");
  const ParsedRecover done = Parse({"--unsafe"});
  ASSERT_TRUE(done.config.has_value());
  EXPECT_EQ(done.config->action, RecoverConfig::Action::kRecover);
  EXPECT_EQ(done.config->format, RecoverConfig::Format::kText);
}

TEST(RecoverFlags, HelpIsNoError) {
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
  EXPECT_FALSE(Parse({"--help"}).config.has_value());
}

}  // namespace
}  // namespace holdfast
