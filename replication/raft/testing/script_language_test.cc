#include "gtest/gtest.h"
#include "replication/raft/testing/comparison.h"
#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/script.h"
#include "replication/raft/testing/script_output.h"

namespace holdfast::raft {
namespace {

using Lines = std::vector<std::string>;

TEST(Script, WordsAndListsInBothForms) {
  const std::optional<Command> command =
      ParseCommand("add-nodes 3 voters=(1, 2 3) prevote=true  x=()");
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->name, "add-nodes");
  ASSERT_EQ(command->args.size(), 4u);
  EXPECT_EQ(command->args[0].key, "3");
  EXPECT_TRUE(command->args[0].values.empty());
  EXPECT_EQ(command->Find("voters")->values, (Lines{"1", "2", "3"}));
  EXPECT_EQ(command->Find("prevote")->values, (Lines{"true"}));
  EXPECT_EQ(command->Find("3"), nullptr) << "a bare word has no values";
  EXPECT_FALSE(ParseCommand("add-nodes voters=(1,2").has_value());
  EXPECT_FALSE(ParseCommand("  ").has_value());
}

TEST(Script, NumbersAreWholeWords) {
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  EXPECT_FALSE(ParseNumber("1x").has_value());
  EXPECT_FALSE(ParseNumber("-1").has_value());
  EXPECT_FALSE(ParseNumber("").has_value());
}

constexpr std::string_view kScript =
    "# A comment.\n"
    "\n"
    "first 1 \\\n"
    "  2\n"
    "----\n"
    "one\n"
    "\n"
    "# Another.\n"
    "second\n"
    "input\n"
    "----\n"
    "----\n"
    "two\n"
    "\n"
    "lines\n"
    "----\n"
    "----\n";

TEST(Script, BlocksKeepWhatIsBetweenThem) {
  const std::vector<ScriptBlock> blocks = ParseScript(kScript);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].before, "# A comment.\n\n");
  EXPECT_EQ(blocks[0].line, 3u);
  EXPECT_EQ(blocks[0].command, "first 1   2");
  EXPECT_EQ(blocks[0].expected, "one\n");
  EXPECT_EQ(blocks[1].input, "input\n");
  EXPECT_EQ(blocks[1].expected, "two\n\nlines\n") << "enclosed in a second pair of dashes";
}

TEST(Script, WhatIsRenderedParsesTheSame) {
  const std::vector<ScriptBlock> blocks = ParseScript(kScript);
  const std::string text = RenderScript(blocks, {blocks[0].expected, blocks[1].expected});
  const std::vector<ScriptBlock> again = ParseScript(text);
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[1].before, "# Another.\n");
  EXPECT_EQ(again[1].expected, blocks[1].expected);
  EXPECT_EQ(RenderScript(again, {again[0].expected, again[1].expected}), text);
}

TEST(ScriptOutput, NoneSilencesAllButErrors) {
  ScriptOutput output;
  output.SetLevel(ScriptOutput::Level::kNone);
  output.Print("printed");
  output.Log(ScriptOutput::Level::kFatal, "logged");
  output.PrintAlways("error");
  EXPECT_EQ(output.Take(), "error");
}

TEST(ScriptOutput, IndentsWhatIsPrintedInside) {
  ScriptOutput output;
  output.Print("> 1\n");
  output.Indented([&] {
    output.Print("a\nb");
    output.EndLine();
    output.Log(ScriptOutput::Level::kInfo, "c");
  });
  EXPECT_EQ(output.Take(), "> 1\n  a\n  b\n  INFO c\n");
  EXPECT_EQ(ScriptOutput::LevelNamed("warn"), ScriptOutput::Level::kWarn);
  EXPECT_EQ(ScriptOutput::LevelNamed("loud"), std::nullopt);
}

TEST(Compare, OkIsNothing) {
  EXPECT_EQ(Compare("ok\n", "ok", {}), Lines());
  EXPECT_EQ(Compare("INFO x\n", "ok", {.ignore_log = true}), Lines());
  EXPECT_EQ(Compare("INFO x\n", "ok", {}), (Lines{"-INFO x", "+ok"}));
}

TEST(Compare, OnlyWhatDiffersIsListed) {
  EXPECT_EQ(Compare("a\nb\nc\nd\n", "a\nx\nc\n", {}), (Lines{"-b", "+x", "-d"}));
}

TEST(Compare, VersionsPrintTheSameDifferently) {
  const ComparisonOptions options{.ignore_version = true};
  EXPECT_EQ(Compare("1->2 MsgApp Log:1/1 Commit:1 Entries:[1/2 EntryNormal \"a\", 1/3 EntryNormal "
                    "\"b\"] Responses:[2->1 MsgAppResp Term:1 Log:0/3]\n",
                    "1->2 MsgApp Log:1/1 Commit:1 Entries:[\n  1/2 EntryNormal \"a\"\n  1/3 "
                    "EntryNormal \"b\"\n] Responses:[\n  2->1 MsgAppResp Term:1 Log:0/3\n]\n",
                    options),
            Lines());
  EXPECT_EQ(Compare("2->1 MsgAppResp Term:1 Log:0/3 Commit:2\n", "2->1 MsgAppResp Term:1 Log:0/3\n",
                    options),
            Lines());
  EXPECT_EQ(
      Compare("1->2 MsgSnap\n  Snapshot: Index:4\n", "1->2 MsgSnap Snapshot: Index:4\n", options),
      Lines());
  EXPECT_EQ(Compare("1->2 MsgApp Commit:2\n", "1->2 MsgApp Commit:3\n", options).size(), 2u)
      << "the commit index of an append counts";
}

TEST(Describe, QuotesAsGoDoes) {
  EXPECT_EQ(Quoted("a b"), "\"a b\"");
  EXPECT_EQ(Quoted("\"\\\n\t"), "\"\\\"\\\\\\n\\t\"");
  EXPECT_EQ(Quoted(std::string_view("\0\x7f\xff", 3)), "\"\\x00\\x7f\\xff\"");
  EXPECT_EQ(Quoted("\xc3\xa9"), "\"\xc3\xa9\"") << "UTF-8 stays";
  EXPECT_EQ(Quoted("\xc3"), "\"\\xc3\"") << "half a character does not";
}

TEST(Describe, ConfigurationAsLists) {
  Configuration configuration;
  configuration.voters = {ReplicaId(1), ReplicaId(2)};
  configuration.voters_outgoing = {ReplicaId(1)};
  configuration.auto_leave = true;
  EXPECT_EQ(DescribeConfiguration(configuration),
            "Voters:[1 2] VotersOutgoing:[1] Learners:[] LearnersNext:[] AutoLeave:true");
}

}  // namespace
}  // namespace holdfast::raft
