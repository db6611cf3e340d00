#include "server/frontend/grpc/validation.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/frontend/grpc/message_queue.h"
#include "server/frontend/grpc/message_settle.h"
#include "server/frontend/grpc/request_identity.h"

namespace holdfast {
namespace {

std::string Text(const Violation& violation) {
  return violation == nullptr ? "fine"
                              : absl::StrCat(violation->field, ": ", violation->description);
}

struct SpanCase {
  int64_t seconds;
  int32_t nanos;
  SpanRange range;
  std::string expected;  // "fine", or the message
  int64_t micros = 0;
};

TEST(Span, RangesAreInclusiveAndFinerPartsRoundUp) {
  const std::vector<SpanCase> cases = {
      {0, 0, kLeaseRange, "fine", 0},
      {0, 1, kLeaseRange, "f: 0 s and 1 ns is outside of 1ms..720h (or 0)"},
      {0, 999'999, kLeaseRange, "fine", 1000},
      {0, 1'000'001, kLeaseRange, "fine", 1001},
      {86'400LL * 30, 0, kLeaseRange, "fine", 86'400'000'000LL * 30},
      {86'400LL * 30, 1, kLeaseRange, "f: 2592000 s and 1 ns is outside of 1ms..720h (or 0)"},
      {-1, 0, kDelayRange, "f: -1 s and 0 ns is outside of 0..87600h"},
      {0, -1, kDelayRange, "f: 0 s and -1 ns is outside of 0..87600h"},
      {0, 1'000'000'000, kDelayRange, "f: 0 s and 1000000000 ns is outside of 0..87600h"},
      {INT64_MAX, 0, kDelayRange, "f: 9223372036854775807 s and 0 ns is outside of 0..87600h"},
      {0, 0, kPauseRange, "f: 0 s and 0 ns is outside of 1us..87600h"},
      {0, 1, kPauseRange, "fine", 1},
  };
  for (const SpanCase& c : cases) {
    google::protobuf::Duration span;
    span.set_seconds(c.seconds);
    span.set_nanos(c.nanos);
    LogDuration out;
    EXPECT_EQ(Text(CheckSpan("f", span, c.range, &out)), c.expected);
    if (c.expected == "fine") {
      EXPECT_EQ(out.micros(), c.micros);
    }
  }
}

TEST(QueueNames, AreCheckedEachAndDuplicatesLeftOut) {
  v1::ReserveRequest request;
  std::vector<std::string> out;
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)),
            "queues: is empty, and is required");
  request.add_queues("a");
  request.add_queues("b");
  request.add_queues("a");
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)), "fine");
  EXPECT_EQ(out, (std::vector<std::string>{"a", "b"}));
  request.add_queues("white space");
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)),
            "queues[3]: \"white space\" has a byte other than A-Z a-z 0-9 - + / ; . $ _ ( ), or "
            "starts with \"-\"");
  request.set_queues(3, std::string(201, 'x'));
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)),
            "queues[3]: has 201 bytes, more than 200");
  request.set_queues(3, "");
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)),
            "queues[3]: is empty, and is required");
  request.clear_queues();
  for (int i = 0; i <= 1000; ++i) request.add_queues("q");
  EXPECT_EQ(Text(CheckQueueNames("queues", request.queues(), &out)),
            "queues: has 1001 names, more than 1000");
}

TEST(Leases, IdAndTokenMustBePossible) {
  v1::DeleteRequest request;
  Command command;
  EXPECT_EQ(Text(ToCommand(request, &command)), "leases: is empty, and is required");
  auto* lease = request.add_leases();
  EXPECT_EQ(Text(ToCommand(request, &command)), "leases[0].job_id: 0 is outside of 1..2^53-1");
  lease->set_job_id(uint64_t{1} << 53);
  EXPECT_EQ(Text(ToCommand(request, &command)),
            "leases[0].job_id: 9007199254740992 is outside of 1..2^53-1");
  lease->set_job_id((uint64_t{1} << 53) - 1);
  EXPECT_EQ(Text(ToCommand(request, &command)), "leases[0].token: is 0, and is required");
  lease->set_token(1);
  EXPECT_EQ(Text(ToCommand(request, &command)), "fine");
  for (int i = 0; i < 1000; ++i) *request.add_leases() = request.leases(0);
  EXPECT_EQ(Text(ToCommand(request, &command)), "leases: has 1001 items, more than 1000");
}

TEST(RequestId, IsBoundedAndBelongsToItsMethodAndQueue) {
  RequestIdentity read;
  const auto check = [&read](const std::string& id) {
    return Text(CheckRequestIdentity("Enqueue", "q", id, nullptr, &read));
  };
  EXPECT_EQ(check(std::string(128, 'x')), "fine");
  EXPECT_EQ(check(std::string(129, 'x')), "request_id: has 129 bytes, more than 128");
  EXPECT_FALSE(MakeRequestIdentity("Enqueue", "q", "").has_digest());
  const auto digest = [](std::string_view method, std::string_view queue, std::string_view id) {
    const RequestIdentity identity = MakeRequestIdentity(method, queue, id);
    return std::make_pair(identity.digest_high, identity.digest_low);
  };
  EXPECT_EQ(digest("Enqueue", "q", "1"), digest("Enqueue", "q", "1"));
  EXPECT_NE(digest("Enqueue", "q", "1"), digest("Enqueue", "q", "2"));
  EXPECT_NE(digest("Enqueue", "q", "1"), digest("Enqueue", "r", "1"));
  EXPECT_NE(digest("Enqueue", "q", "1"), digest("Kick", "q", "1"));
  EXPECT_NE(digest("Enqueue", "q1", ""), digest("Enqueue", "q", "1"));
}

TEST(RequestId, LifetimeIsFiveMinutesOrAsked) {
  v1::DeleteRequest request;
  auto* const lease = request.add_leases();
  lease->set_job_id(1);
  lease->set_token(1);
  Command command;
  const auto check = [&](int64_t seconds, int32_t nanos) {
    request.mutable_request_id_lifetime()->set_seconds(seconds);
    request.mutable_request_id_lifetime()->set_nanos(nanos);
    return Text(ToCommand(request, &command));
  };
  request.set_request_id("1");
  EXPECT_EQ(Text(ToCommand(request, &command)), "fine");
  EXPECT_EQ(command.request.lifetime, LogDuration::Seconds(300));
  EXPECT_EQ(check(1, 0), "fine");
  EXPECT_EQ(command.request.lifetime, LogDuration::Seconds(1));
  EXPECT_EQ(check(300, 0), "fine");
  EXPECT_EQ(check(0, 0), "request_id_lifetime: 0 s and 0 ns is outside of 1s..5m");
  EXPECT_EQ(check(300, 1), "request_id_lifetime: 300 s and 1 ns is outside of 1s..5m");
  EXPECT_EQ(check(-1, 0), "request_id_lifetime: -1 s and 0 ns is outside of 1s..5m");
  request.clear_request_id();
  EXPECT_EQ(check(60, 0), "request_id_lifetime: is set, and there is no request_id");
}

TEST(RequestId, DigestIsForGood) {
  const RequestIdentity identity = MakeRequestIdentity("Enqueue", "mail", "request-1");
  EXPECT_EQ(absl::StrCat(absl::Hex(identity.digest_high, absl::kZeroPad16),
                         absl::Hex(identity.digest_low, absl::kZeroPad16)),
            "2799c03f7fa459da0a069536ec755c62");
}

TEST(PageTokens, ComeBackAsTheyWentAndOthersAreRefused) {
  SetKey after;
  const std::string token = JobPageToken("q", JobState::kBuried, {.key = 1ull << 63, .id = 99});
  EXPECT_EQ(Text(ParseJobPageToken(token, "q", JobState::kBuried, &after)), "fine");
  EXPECT_EQ(after, (SetKey{.key = 1ull << 63, .id = 99}));
  EXPECT_EQ(Text(ParseJobPageToken(token, "q", JobState::kReady, &after)),
            "page_token: was made for another queue or state");
  for (const std::string& bad :
       {std::string("!"), std::string("AA"), token.substr(1), token + "A"}) {
    EXPECT_NE(ParseJobPageToken(bad, "q", JobState::kBuried, &after), nullptr) << bad;
  }
  std::string last;
  EXPECT_EQ(Text(ParseQueuePageToken(QueuePageToken("m", "mail"), "m", &last)), "fine");
  EXPECT_EQ(last, "mail");
  EXPECT_EQ(Text(ParseQueuePageToken(QueuePageToken("m", "mail"), "", &last)),
            "page_token: was made for another prefix");
}

TEST(QueueOptions, AreCheckedByFieldValueAndBound) {
  const auto text = [](auto change) {
    v1::UpdateQueueRequest request;
    request.mutable_queue()->set_name("q");
    change(request.mutable_queue());
    Command command;
    return Text(ToCommand(request, &command));
  };
  EXPECT_EQ(text([](v1::Queue*) {}), "fine");
  EXPECT_EQ(text([](v1::Queue* q) { q->set_name(""); }), "queue.name: is empty, and is required");
  EXPECT_EQ(text([](v1::Queue* q) { q->set_max_jobs(uint64_t{1} << 63); }),
            "queue.max_jobs: 9223372036854775808 is more than 9223372036854775807");
  EXPECT_EQ(text([](v1::Queue* q) { q->mutable_retry_policy()->set_multiplier_percent(99); }),
            "queue.retry_policy.multiplier_percent: 99 is outside of 100..1000");
  EXPECT_EQ(text([](v1::Queue* q) {
              q->mutable_retry_policy()->mutable_backoff_min()->set_seconds(2);
              q->mutable_retry_policy()->mutable_backoff_max()->set_seconds(1);
            }),
            "queue.retry_policy.backoff_max: is below backoff_min");
  EXPECT_EQ(text([](v1::Queue* q) { q->mutable_dedup_window()->set_seconds(86'400 * 31); }),
            "queue.dedup_window: 2678400 s and 0 ns is outside of 1us..720h (or 0)");
  EXPECT_EQ(text([](v1::Queue* q) { q->set_expiry_action(static_cast<v1::ExpiryAction>(9)); }),
            "queue.expiry_action: 9 is no ExpiryAction (BURY, DELETE)");
}

TEST(Kick, WithARequestIdIsOneStep) {
  v1::KickRequest request;
  Command command;
  request.set_queue("q");
  request.set_max_jobs(1'000'000);
  EXPECT_EQ(Text(ToCommand(request, &command)), "fine");
  EXPECT_EQ(std::get<KickCommand>(command.body).bound, kKickMax);
  request.set_request_id("once");
  EXPECT_EQ(Text(ToCommand(request, &command)), "max_jobs: 1000000 is outside of 1..1000");
  request.set_max_jobs(0);
  EXPECT_EQ(Text(ToCommand(request, &command)), "max_jobs: 0 is outside of 1..1000");
}

}  // namespace
}  // namespace holdfast
