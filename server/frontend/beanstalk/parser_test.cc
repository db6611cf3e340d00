#include "server/frontend/beanstalk/parser.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast::beanstalk {
namespace {

using Requests = std::vector<Request>;

// All requests of these bytes, given whole. Their views are good as long as `bytes`.
Requests Parse(std::string_view bytes) {
  Parser parser(65535);
  Requests requests;
  while (const std::optional<Request> request = parser.Next(&bytes)) requests.push_back(*request);
  EXPECT_TRUE(bytes.empty());
  return requests;
}

Request One(std::string_view line) { return ParseLine(line, 65535); }

struct LineCase {
  std::string_view line;
  Flaw flaw;
};

TEST(ParseLine, PrefixesDecideBetweenUnknownAndBadFormat) {
  constexpr LineCase kCases[] = {
      {"use", Flaw::kUnknownCommand},
      {"peek", Flaw::kUnknownCommand},
      {"kick", Flaw::kUnknownCommand},
      {"put", Flaw::kUnknownCommand},
      {"", Flaw::kUnknownCommand},
      {" stats", Flaw::kUnknownCommand},
      {"STATS", Flaw::kUnknownCommand},
      {"foo\nbar", Flaw::kUnknownCommand},
      {"reserve-with-timeout", Flaw::kBadFormat},
      {"reserve-job", Flaw::kBadFormat},
      {"stats-tube", Flaw::kBadFormat},
      {"reservefoo", Flaw::kBadFormat},
      {"statsfoo", Flaw::kBadFormat},
      {"reserve-batch 3", Flaw::kBadFormat},
      {"stats ", Flaw::kBadFormat},
      {"peek-readyx", Flaw::kBadFormat},
      {"list-tubes-used", Flaw::kBadFormat},
      {std::string_view("stats\0", 6), Flaw::kBadFormat},
      {std::string_view("\0", 1), Flaw::kBadFormat},
      {"quit", Flaw::kNone},
      {"quit now", Flaw::kNone},
      {"quitfoo", Flaw::kNone},
  };
  for (const LineCase& c : kCases) EXPECT_EQ(One(c.line).flaw, c.flaw) << c.line;
}

TEST(ParseLine, NumbersHaveSpacesBeforeAndNothingElseAround) {
  constexpr LineCase kCases[] = {
      {"delete 1", Flaw::kNone},
      {"delete    0001", Flaw::kNone},
      {"delete 18446744073709551615", Flaw::kNone},
      {"delete 18446744073709551616", Flaw::kBadFormat},
      {"delete 99999999999999999999999", Flaw::kBadFormat},
      {"delete -1", Flaw::kBadFormat},
      {"delete +1", Flaw::kBadFormat},
      {"delete \t1", Flaw::kBadFormat},
      {"delete 1 ", Flaw::kBadFormat},
      {"delete 1x", Flaw::kBadFormat},
      {"delete ", Flaw::kBadFormat},
      {"release 1 4294967295 4294967295", Flaw::kNone},
      {"release 1 4294967296 0", Flaw::kBadFormat},
      {"release 1 0 4294967296", Flaw::kBadFormat},
      {"release 1 0", Flaw::kBadFormat},
      {"bury 1", Flaw::kBadFormat},
      {"bury 1 2 3", Flaw::kBadFormat},
      {"reserve-with-timeout 2147483647", Flaw::kNone},
      {"reserve-with-timeout 2147483648", Flaw::kBadFormat},
      {"reserve-with-timeout -1", Flaw::kBadFormat},
      {"reserve-with-timeout abc", Flaw::kBadFormat},
      {"reserve-with-timeout ", Flaw::kBadFormat},
      {"put 0 0 60 5 ", Flaw::kBadFormat},
      {"put 0 0 60", Flaw::kBadFormat},
      {"put 0 0 60 4294967296", Flaw::kBadFormat},
      {"put 4294967296 0 60 5", Flaw::kBadFormat},
      {"put -1 0 60 5", Flaw::kBadFormat},
      {"put 0 0 60 65535", Flaw::kNone},
      {"put 0 0 60 65536", Flaw::kJobTooBig},
      {"put 0 0 60 65536 junk", Flaw::kJobTooBig},
      {"put 0 0 60 4294967295", Flaw::kJobTooBig},
  };
  for (const LineCase& c : kCases) EXPECT_EQ(One(c.line).flaw, c.flaw) << c.line;
  EXPECT_EQ(One("delete    0001").id, 1u);
  EXPECT_EQ(One("reserve-with-timeout 0junk").number, 0u);
  const Request release = One("release 7 8 9");
  EXPECT_EQ(release.verb, Verb::kRelease);
  EXPECT_EQ(release.id, 7u);
  EXPECT_EQ(release.priority, 8u);
  EXPECT_EQ(release.delay_s, 9u);
  EXPECT_EQ(One("put 0 0 0 5").ttr_s, 1u);
  EXPECT_EQ(One("put 0 0 4294967295 5").ttr_s, 4294967295u);
}

TEST(ParseLine, TheBoundOfKickIsReadLoosely) {
  EXPECT_EQ(One("kick 10").number, 10u);
  EXPECT_EQ(One("kick 10abc").number, 10u);
  EXPECT_EQ(One("kick \t10").number, 10u);
  EXPECT_EQ(One("kick -1").number, 4294967295u);
  EXPECT_EQ(One("kick 4294967296").number, 0u);
  EXPECT_EQ(One("kick 18446744073709551616").flaw, Flaw::kBadFormat);
  EXPECT_EQ(One("kick x").flaw, Flaw::kBadFormat);
  EXPECT_EQ(One("kick ").flaw, Flaw::kBadFormat);
}

TEST(ParseLine, TubeNames) {
  const std::string longest(200, 'x');
  EXPECT_EQ(One("use " + longest).flaw, Flaw::kNone);
  EXPECT_EQ(One("use " + longest + "x").flaw, Flaw::kBadFormat);
  constexpr LineCase kCases[] = {
      {"use a-Z0+/;.$_()", Flaw::kNone},   {"use -a", Flaw::kBadFormat},
      {"use ", Flaw::kBadFormat},          {"use  a", Flaw::kBadFormat},
      {"use a ", Flaw::kBadFormat},        {"use a:b", Flaw::kBadFormat},
      {"watch a,b", Flaw::kBadFormat},     {"ignore \xc3\xa4", Flaw::kBadFormat},
      {"stats-tube a@b", Flaw::kBadFormat}};
  for (const LineCase& c : kCases) EXPECT_EQ(One(c.line).flaw, c.flaw) << c.line;
}

TEST(ParseLine, OnlyPauseTubeSkipsSpacesBeforeTheName) {
  for (const std::string_view line : {"pause-tube a 5", "pause-tubea 5", "pause-tube  a  5"}) {
    const Request request = One(line);
    EXPECT_EQ(request.flaw, Flaw::kNone) << line;
    EXPECT_EQ(request.tube, "a") << line;
    EXPECT_EQ(request.number, 5u) << line;
  }
  for (const std::string_view line :
       {"pause-tube", "pause-tube a", "pause-tube a ", "pause-tube a 5 ", "pause-tube -a 5",
        "pause-tube a,5", "pause-tube a 4294967296"}) {
    EXPECT_EQ(One(line).flaw, Flaw::kBadFormat) << line;
  }
}

TEST(Parser, RequestsAreCutInOrder) {
  const Requests requests =
      Parse("use a\r\nput 1 2 3 5\r\nhe\r\no\r\nreserve\r\nput 0 0 1 0\r\n\r\n");
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[0].tube, "a");
  EXPECT_EQ(requests[1].priority, 1u);
  EXPECT_EQ(requests[1].delay_s, 2u);
  EXPECT_EQ(requests[1].ttr_s, 3u);
  EXPECT_EQ(requests[1].body, "he\r\no");
  EXPECT_EQ(requests[2].verb, Verb::kReserve);
  EXPECT_EQ(requests[3].verb, Verb::kPut);
  EXPECT_EQ(requests[3].body, "");
}

TEST(Parser, ABodyWithoutItsCrlfIsDroppedWithTheTwoBytes) {
  const Requests requests = Parse("put 0 0 1 3\r\nabcde\r\nstats\r\n");
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].flaw, Flaw::kExpectedCrlf);
  EXPECT_EQ(requests[1].flaw, Flaw::kUnknownCommand);
  EXPECT_EQ(requests[2].verb, Verb::kStats);
}

TEST(Parser, ATooLargeBodyIsSkippedBeforeItIsToldOf) {
  Parser parser(4);
  std::string_view input = "put 0 0 1 5\r\nabcde\r";
  EXPECT_FALSE(parser.Next(&input).has_value());
  EXPECT_TRUE(parser.mid_request());
  EXPECT_EQ(parser.puts_begun(), 0u);
  input = "\nquit\r\n";
  EXPECT_EQ(parser.Next(&input)->flaw, Flaw::kJobTooBig);
  EXPECT_EQ(parser.Next(&input)->verb, Verb::kQuit);
}

TEST(Parser, APutCountsFromItsLineOn) {
  Parser parser(65535);
  std::string_view input = "put 0 0 1 5\r\nab";
  EXPECT_FALSE(parser.Next(&input).has_value());
  EXPECT_EQ(parser.puts_begun(), 1u);
  EXPECT_TRUE(parser.mid_request());
  input = "cde\r\n";
  EXPECT_EQ(parser.Next(&input)->body, "abcde");
  EXPECT_FALSE(parser.mid_request());
}

TEST(Parser, TheLongestLineIs224Bytes) {
  const std::string fits(222, 'x');
  const Requests requests =
      Parse(fits + "\r\n" + fits + "x\r\nstats\r\n" + fits + "xxxx\r\nquit\r\n");
  ASSERT_EQ(requests.size(), 5u);
  EXPECT_EQ(requests[0].flaw, Flaw::kUnknownCommand);
  EXPECT_EQ(requests[1].flaw, Flaw::kBadFormat);
  EXPECT_EQ(requests[2].verb, Verb::kStats);
  EXPECT_EQ(requests[3].flaw, Flaw::kBadFormat);
  EXPECT_EQ(requests[4].verb, Verb::kQuit);
}

TEST(Parser, OnlyCrlfEndsALine) {
  const Requests requests = Parse("foo\nbar\r\nfoo\rbar\r\n\r\r\n");
  ASSERT_EQ(requests.size(), 3u);
  for (const Request& request : requests) EXPECT_EQ(request.flaw, Flaw::kUnknownCommand);
}

}  // namespace
}  // namespace holdfast::beanstalk
