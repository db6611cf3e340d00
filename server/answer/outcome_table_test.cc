#include "server/answer/outcome_table.h"

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "proto/holdfast/v1/error_reason.pb.h"
#include "server/answer/outcome_docs.h"

namespace holdfast {
namespace {

std::vector<Answer> AllAnswers() {
  std::vector<Answer> all(OutcomeAnswers().begin(), OutcomeAnswers().end());
  all.insert(all.end(), TroubleAnswers().begin(), TroubleAnswers().end());
  return all;
}

TEST(OutcomeTable, EveryReasonIsInThePublicEnumAndEveryEnumValueIsUsed) {
  std::set<std::string> used;
  for (const Answer& answer : AllAnswers()) {
    EXPECT_EQ(answer.ok(), answer.reason.empty()) << answer.sentence;
    if (answer.ok()) continue;
    v1::ErrorReason reason;
    EXPECT_TRUE(v1::ErrorReason_Parse(std::string(answer.reason), &reason)) << answer.reason;
    used.insert(std::string(answer.reason));
  }
  const auto* type = v1::ErrorReason_descriptor();
  for (int i = 1; i < type->value_count(); ++i) {
    EXPECT_TRUE(used.count(type->value(i)->name())) << type->value(i)->name();
  }
}

TEST(OutcomeTable, TheSameReasonHasTheSameAnswerEverywhere) {
  std::map<std::string_view, Answer> first;
  for (const Answer& answer : AllAnswers()) {
    if (answer.ok()) continue;
    const auto& other = first.emplace(answer.reason, answer).first->second;
    EXPECT_EQ(answer.status, other.status) << answer.reason;
    EXPECT_EQ(answer.beanstalkd, other.beanstalkd) << answer.reason;
    EXPECT_EQ(answer.http, other.http) << answer.reason;
  }
}

TEST(OutcomeTable, TheEnumSaysTheStatusCodeOfEachReason) {
  // The comments of error_reason.proto start with the code; they must not drift apart.
  std::ifstream in("proto/holdfast/v1/error_reason.proto");
  ASSERT_TRUE(in);
  std::map<std::string, std::string> code_of;
  std::string code, line;
  while (std::getline(in, line)) {
    const size_t comment = line.find("// ");
    const size_t stop = line.find('.');
    if (comment != std::string::npos && code.empty() && stop != std::string::npos) {
      code = line.substr(comment + 3, stop - comment - 3);
    }
    if (line.find(" = ") != std::string::npos && comment == std::string::npos) {
      const size_t start = line.find_first_not_of(' ');
      code_of[line.substr(start, line.find(' ', start) - start)] = code;
    }
    if (line.empty()) code.clear();
  }
  for (const Answer& answer : AllAnswers()) {
    if (answer.ok()) continue;
    EXPECT_EQ(code_of[std::string(answer.reason)], absl::StatusCodeToString(answer.status))
        << answer.reason;
  }
}

TEST(OutcomeTable, CertainlyNotExecutedAndUnknownAreToldApart) {
  EXPECT_EQ(AnswerFor(Trouble::kUnavailable).status, absl::StatusCode::kUnavailable);
  EXPECT_EQ(AnswerFor(Trouble::kOutcomeUnknown).status, absl::StatusCode::kUnknown);
  EXPECT_EQ(AnswerFor(Trouble::kOutcomeUnknown).beanstalkd, "(closes)");
  // Clients repeat a 503 by themselves, so it says that nothing was done.
  for (const Answer& answer : AllAnswers()) {
    if (answer.http != 503) continue;
    EXPECT_NE(answer.sentence.find("nothing was done"), std::string_view::npos) << answer.sentence;
  }
}

TEST(OutcomeTable, EngineStatusesHaveTheirTroubles) {
  EXPECT_EQ(TroubleOf(absl::UnavailableError("x")), Trouble::kUnavailable);
  EXPECT_EQ(TroubleOf(absl::ResourceExhaustedError("x")), Trouble::kOverloaded);
  EXPECT_EQ(TroubleOf(absl::ResourceExhaustedError("write log/1: No space left on device")),
            Trouble::kDiskFull);
  EXPECT_EQ(TroubleOf(absl::UnknownError("x")), Trouble::kOutcomeUnknown);
  EXPECT_EQ(TroubleOf(absl::DataLossError("x")), Trouble::kDataDamaged);
  EXPECT_EQ(TroubleOf(absl::InternalError("x")), Trouble::kInternal);
  EXPECT_EQ(TroubleOf(absl::AlreadyExistsError("x")), Trouble::kInternal);
  EXPECT_EQ(TroubleOf(absl::FailedPreconditionError("x")), Trouble::kRefused);
  EXPECT_EQ(TroubleOf(absl::AbortedError("x")), Trouble::kChanged);
}

TEST(OutcomeTable, DocsHaveTheCurrentTable) {
  std::ifstream in("docs/api.md");
  std::stringstream text;
  text << in.rdbuf();
  const auto updated = WithCurrentOutcomeTable(text.str());
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(*updated, text.str())
      << "bring it up to date: bazel run //server/answer:outcome_table_print -- "
         "$PWD/docs/api.md";
}

TEST(OutcomeTable, MissingMarkersAreNamed) {
  EXPECT_EQ(WithCurrentOutcomeTable("text").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(WithCurrentOutcomeTable(kOutcomeTableBegin).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace holdfast
