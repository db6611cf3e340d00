#include "server/config/serve_config.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

ParsedServe Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "serve");
  return ParseServe(static_cast<int>(arguments.size()), arguments.data());
}

TEST(ServeOptions, DefaultsAreTheDocumentedOnes) {
  const ParsedServe parsed = Parse({});
  ASSERT_TRUE(parsed.config.has_value());
  EXPECT_EQ(parsed.config->listen, "127.0.0.1:7400");
  EXPECT_EQ(parsed.config->listen_beanstalk, "127.0.0.1:11300");
  EXPECT_EQ(parsed.config->data_dir, "./holdfast-data");
  EXPECT_EQ(parsed.config->sync_interval, absl::ZeroDuration());
}

TEST(ServeOptions, TheBeanstalkdProtocolIsServedOnAPortOrASocket) {
  EXPECT_EQ(Parse({"--listen-beanstalk", "none"}).config->listen_beanstalk, "");
  for (const char* good : {"127.0.0.1:11300", "[::1]:0", "unix:/run/b.sock"}) {
    const ParsedServe parsed = Parse({"--listen-beanstalk", good});
    ASSERT_TRUE(parsed.config.has_value()) << good;
    EXPECT_EQ(parsed.config->listen_beanstalk, good);
  }
  for (const char* bad : {"11300", "unix:", "127.0.0.1:65536"}) {
    EXPECT_EQ(Parse({"--listen-beanstalk", bad}).exit_code, 2) << bad;
  }
}

TEST(ServeOptions, FlagWinsOverEnvironmentAndEnvironmentOverFile) {
  const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/serve.conf";
  std::ofstream(file) << "listen = \"127.0.0.1:1\"\nshards = 3\nnode-id = 9\n";
  setenv("HOLDFAST_SHARDS", "4", 1);
  setenv("HOLDFAST_LISTEN", "127.0.0.1:2", 1);
  setenv("HOLDFAST_LOG_LEVEL", "error", 1);
  const ParsedServe parsed = Parse({"--config", file.c_str(), "--listen", "127.0.0.1:3"});
  unsetenv("HOLDFAST_SHARDS");
  unsetenv("HOLDFAST_LISTEN");
  unsetenv("HOLDFAST_LOG_LEVEL");
  ASSERT_TRUE(parsed.config.has_value());
  EXPECT_EQ(parsed.config->listen, "127.0.0.1:3");
  EXPECT_EQ(parsed.config->shards, 4u);
  EXPECT_EQ(parsed.config->node_id, 9u) << "what only the file says";
  EXPECT_EQ(parsed.config->log_level, "error");
}

TEST(ServeOptions, FileMayBeNamedByTheEnvironment) {
  const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/named.conf";
  std::ofstream(file) << "shards = 5\n";
  setenv("HOLDFAST_CONFIG", file.c_str(), 1);
  const ParsedServe parsed = Parse({});
  unsetenv("HOLDFAST_CONFIG");
  ASSERT_TRUE(parsed.config.has_value());
  EXPECT_EQ(parsed.config->shards, 5u);
}

TEST(ServeOptions, WrongAndEmptyVariables) {
  setenv("HOLDFAST_SHARDS", "many", 1);
  EXPECT_EQ(Parse({}).exit_code, 2) << "a wrong value is an error";
  EXPECT_EQ(Parse({"--shards", "2"}).exit_code, 2) << "also where a flag would win";
  setenv("HOLDFAST_SHARDS", "", 1);
  EXPECT_EQ(Parse({}).config->shards, 0u) << "an empty one says nothing";
  unsetenv("HOLDFAST_SHARDS");
}

TEST(ServeOptions, WrongValuesEndWithTheUsageCode) {
  for (const std::vector<const char*>& wrong : std::vector<std::vector<const char*>>{
           {"--shards", "4097"},
           {"--node-id", "0"},
           {"--listen", "nowhere"},
           {"--sync", "sometimes"},
           {"--max-body-bytes", "12"},
           {"--advertise", "host:0"},
           {"--initial-cluster", "2=a:1,3=b:2"},
           {"--initial-cluster", "1=a:1,1=b:2"},
           {"--initial-cluster", "1=a:1,2=a:1"},
           {"--initial-cluster", "1=a:0"},
           {"--initial-cluster", "a:1"},
           {"--initial-cluster", "1=a:1,"},
           {"--initial-cluster", "1=a:1", "--advertise", "b:1"},
           {"--initial-cluster", "1=a:1,2=b:1", "--sync", "interval:5"},
           {"--no-such-flag"}}) {
    const ParsedServe parsed = Parse(wrong);
    EXPECT_FALSE(parsed.config.has_value()) << wrong.front();
    EXPECT_EQ(parsed.exit_code, 2) << wrong.front();
  }
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
}

TEST(ServeOptions, InitialClusterIsTakenInAnyOrder) {
  const ParsedServe parsed =
      Parse({"--initial-cluster", "30=c:3,1=127.0.0.1:1,2=[::1]:2", "--node-id", "2"});
  ASSERT_TRUE(parsed.config.has_value());
  const std::vector<InitialNode> expected = {{1, "127.0.0.1:1"}, {2, "[::1]:2"}, {30, "c:3"}};
  EXPECT_EQ(parsed.config->initial_cluster, expected);
  EXPECT_EQ(InitialClusterText(expected), "1=127.0.0.1:1,2=[::1]:2,30=c:3");
  EXPECT_FALSE(parsed.config->listen_was_told);
  EXPECT_TRUE(Parse({"--listen", "127.0.0.1:7400"}).config->listen_was_told);
}

TEST(ServeOptions, SyncIsAlwaysOrAnInterval) {
  EXPECT_EQ(*ParseSync("always"), absl::ZeroDuration());
  EXPECT_EQ(*ParseSync("interval:250"), absl::Milliseconds(250));
  for (const char* wrong : {"", "interval", "interval:", "interval:0", "interval:60001", "never"}) {
    EXPECT_FALSE(ParseSync(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace holdfast
