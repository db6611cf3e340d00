#include "server/frontend/beanstalk/reply.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::beanstalk {
namespace {

TEST(Reply, EachFormEndsWithCrlf) {
  std::string out;
  AppendWord(&out, "DELETED");
  AppendNumber(&out, "INSERTED", UINT64_MAX);
  AppendName(&out, "USING", "mail");
  AppendJob(&out, "RESERVED", 7, "a\r\nb");
  AppendJob(&out, "FOUND", 8, "");
  EXPECT_EQ(out,
            "DELETED\r\nINSERTED 18446744073709551615\r\nUSING mail\r\n"
            "RESERVED 7 4\r\na\r\nb\r\nFOUND 8 0\r\n\r\n");
}

TEST(Reply, YamlHasOneThingALineAndCountsAllButTheLastCrlf) {
  Yaml yaml;
  yaml.Number("pri", 1024);
  yaml.Quoted("tube", "mail");
  yaml.Word("state", "ready");
  yaml.Seconds("rusage-utime", 3'000'042);
  std::string out;
  AppendData(&out, yaml.text());
  EXPECT_EQ(out,
            "OK 63\r\n---\npri: 1024\ntube: \"mail\"\nstate: ready\nrusage-utime: 3.000042\n\r\n");
  Yaml list;
  list.Item("default");
  EXPECT_EQ(list.text(), "---\n- default\n");
}

TEST(Reply, FlawsHaveTheProtocolsWords) {
  EXPECT_EQ(FlawWord(Flaw::kUnknownCommand), "UNKNOWN_COMMAND");
  EXPECT_EQ(FlawWord(Flaw::kBadFormat), "BAD_FORMAT");
  EXPECT_EQ(FlawWord(Flaw::kExpectedCrlf), "EXPECTED_CRLF");
  EXPECT_EQ(FlawWord(Flaw::kJobTooBig), "JOB_TOO_BIG");
}

}  // namespace
}  // namespace holdfast::beanstalk
