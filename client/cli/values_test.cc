#include "client/cli/values.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(Durations, TakeUnitsOrPlainSeconds) {
  EXPECT_EQ(*ParseDuration("5s"), absl::Seconds(5));
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("1.5"), absl::Milliseconds(1500));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
}

TEST(Durations, RefuseWhatIsNoneAndNameIt) {
  for (const std::string text : {"", "x", "5 parsecs", "-1", "-5s", "inf", "1e300", "nan"}) {
    const auto parsed = ParseDuration(text);
    ASSERT_TRUE(absl::IsInvalidArgument(parsed.status())) << text;
    EXPECT_NE(parsed.status().message().find("'" + text + "'"), std::string::npos) << text;
  }
}

TEST(Durations, SurviveTheWay) {
  const absl::Duration duration = absl::Seconds(3) + absl::Nanoseconds(7);
  EXPECT_EQ(ToProto(duration).seconds(), 3);
  EXPECT_EQ(ToProto(duration).nanos(), 7);
  EXPECT_EQ(FromProto(ToProto(duration)), duration);
}

TEST(Leases, AreJobAndToken) {
  const auto lease = ParseLease("22:7");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->job_id(), 22u);
  EXPECT_EQ(lease->token(), 7u);
  EXPECT_EQ(LeaseText(*lease), "22:7");
}

TEST(Leases, RefuseWhatIsNone) {
  for (const std::string text :
       {"", "22", ":", "22:", ":7", "-1:7", "22:-7", "22:7:1", "a:b", "18446744073709551616:1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseLease(text).status())) << text;
  }
}

TEST(Attributes, EndTheirNameAtTheFirstEqualsSign) {
  EXPECT_EQ(*ParseAttribute("a=b=c"), std::make_pair(std::string("a"), std::string("b=c")));
  EXPECT_EQ(ParseAttribute("a=")->second, "");
  EXPECT_FALSE(ParseAttribute("=b").ok());
  EXPECT_FALSE(ParseAttribute("ab").ok());
}

TEST(States, AreReadAsTheyAreWritten) {
  for (const std::string text : {"ready", "delayed", "reserved", "buried"}) {
    ASSERT_TRUE(ParseState(text).ok()) << text;
    EXPECT_EQ(StateText(*ParseState(text)), text);
  }
  EXPECT_FALSE(ParseState("unspecified").ok());
  EXPECT_FALSE(ParseState("gone").ok());
}

TEST(Times, AreUtcWithMilliseconds) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(TimeText(time), "");
  time.set_seconds(1'000'000'000);
  time.set_nanos(5'000'000);
  EXPECT_EQ(TimeText(time), "2001-09-09T01:46:40.005Z");
}

}  // namespace
}  // namespace holdfast
