#include "server/config/dropin_config.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

ParsedDropIn Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "beanstalkd");
  return ParseDropIn(static_cast<int>(arguments.size()), arguments.data());
}

TEST(DropInOptions, DefaultsAreBeanstalkds) {
  const DropInConfig config = *Parse({}).config;
  EXPECT_EQ(config.Address(), "0.0.0.0:11300");
  EXPECT_EQ(config.directory, "");
  EXPECT_EQ(config.sync_interval, absl::Milliseconds(50));
  EXPECT_EQ(config.job_bytes_max, 65535u);
  EXPECT_EQ(config.binlog_bytes_max, 10'485'760u);
}

TEST(DropInOptions, AValueFollowsItsFlagOrIsAttached) {
  const DropInConfig config = *Parse({"-l", "127.0.0.1", "-p11301", "-VVf0", "-b", "/var/b",
                                      "-z1024", "-s", "4096", "-uroot"})
                                   .config;
  EXPECT_EQ(config.Address(), "127.0.0.1:11301");
  EXPECT_EQ(config.sync_interval, absl::ZeroDuration());
  EXPECT_EQ(config.verbosity, 2);
  EXPECT_EQ(config.directory, "/var/b");
  EXPECT_EQ(config.job_bytes_max, 1024u);
  EXPECT_EQ(config.binlog_bytes_max, 4096u);
  EXPECT_EQ(config.user, "root");
}

TEST(DropInOptions, NeverSyncingIsAnInfiniteInterval) {
  EXPECT_EQ(Parse({"-F"}).config->sync_interval, absl::InfiniteDuration());
  EXPECT_EQ(Parse({"-f", "1000"}).config->sync_interval, absl::Seconds(1));
}

TEST(DropInOptions, Addresses) {
  EXPECT_EQ(Parse({"-l", "unix:/run/b.sock"}).config->Address(), "unix:/run/b.sock");
  EXPECT_EQ(Parse({"-l", "::1"}).config->Address(), "[::1]:11300");
}

TEST(DropInOptions, TheLargestJobIsLimited) {
  EXPECT_EQ(Parse({"-z", "1073741824"}).config->job_bytes_max, 64u << 20);
}

TEST(DropInOptions, MistakesEndWithBeanstalkdsExitCode) {
  for (const std::vector<const char*>& wrong : std::vector<std::vector<const char*>>{{"-x"},
                                                                                     {"-p"},
                                                                                     {"-z", "abc"},
                                                                                     {"-z", "-1"},
                                                                                     {"-f", "5ms"},
                                                                                     {"-s", ""},
                                                                                     {"word"},
                                                                                     {"-"}}) {
    const ParsedDropIn parsed = Parse(wrong);
    EXPECT_FALSE(parsed.config.has_value()) << wrong[0];
    EXPECT_EQ(parsed.exit_code, 5) << wrong[0];
  }
}

TEST(DropInOptions, VersionAndHelpEndWell) {
  EXPECT_EQ(Parse({"-v"}).exit_code, 0);
  EXPECT_FALSE(Parse({"-v"}).config.has_value());
  EXPECT_EQ(Parse({"-h"}).exit_code, 0);
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace holdfast
