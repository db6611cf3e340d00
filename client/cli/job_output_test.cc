#include "client/cli/job_output.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

v1::Job ReservedJob() {
  v1::Job job;
  job.set_id(22);
  job.set_queue("mail");
  job.set_state(v1::JOB_STATE_RESERVED);
  job.set_priority(5);
  job.set_body("hello");
  job.mutable_lease()->set_job_id(22);
  job.mutable_lease()->set_token(3);
  (*job.mutable_attributes())["to"] = "anna";
  return job;
}

TEST(JobJson, HasTheLeaseAsTheCommandsTakeIt) {
  const nlohmann::json json = JobJson(ReservedJob());
  EXPECT_EQ(json["lease"], "22:3");
  EXPECT_EQ(json["token"], 3);
  EXPECT_EQ(json["state"], "reserved");
  EXPECT_EQ(json["body"], "hello");
  EXPECT_EQ(json["attributes"]["to"], "anna");
}

TEST(JobJson, GivesABodyThatIsNotTextAsBase64) {
  v1::Job job = ReservedJob();
  for (const std::string& body :
       {std::string("\xff\x00", 2), std::string("\xc3"), std::string("\xed\xa0\x80")}) {
    job.set_body(body);
    const nlohmann::json json = JobJson(job);
    EXPECT_FALSE(json.contains("body"));
    EXPECT_TRUE(json.contains("body_base64"));
  }
  job.set_body(std::string("\xff\x00", 2));
  EXPECT_EQ(JobJson(job)["body_base64"], "/wA=");
}

TEST(JobJson, KeepsTextOfAnyLanguageAndNulBytes) {
  v1::Job job = ReservedJob();
  for (const std::string& body : {std::string("gr\xc3\xbc\xc3\x9f"), std::string("a\0b", 3),
                                  std::string(), std::string("\"\\\n")}) {
    job.set_body(body);
    EXPECT_EQ(JobJson(job)["body"].get<std::string>(), body);
  }
}

TEST(JobText, LeavesOutWhatIsNotThere) {
  const std::string text = JobText(ReservedJob());
  EXPECT_NE(text.find("lease: 22:3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("attribute to: anna\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("buried"), std::string::npos) << text;
  EXPECT_EQ(text.find("dedup"), std::string::npos) << text;
}

TEST(QueueOutput, SaysTheSameCountsInBothForms) {
  v1::Queue queue;
  queue.set_name("mail");
  queue.mutable_counts()->set_ready(17);
  queue.set_max_jobs(99);
  EXPECT_EQ(QueueJson(queue)["counts"]["ready"], 17);
  EXPECT_EQ(QueueJson(queue)["max_jobs"], 99);
  EXPECT_NE(QueueText(queue).find("ready: 17\n"), std::string::npos);
  EXPECT_NE(QueueText(queue).find("max jobs: 99\n"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
