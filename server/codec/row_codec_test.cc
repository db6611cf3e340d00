#include "server/codec/row_codec.h"

#include <string>

#include "gtest/gtest.h"
#include "server/codec/outcome_codec.h"
#include "server/codec/random_values.h"

namespace holdfast {
namespace {

// What every decoder must do with an encoding that is cut, longer, or of another version.
template <class Decode>
void ExpectStrict(const std::string& bytes, Decode decode) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(decode(std::string(bytes, 0, size)).code(), absl::StatusCode::kDataLoss)
        << size << " of " << bytes.size();
  }
  EXPECT_FALSE(decode(bytes + '\x01').ok());
  std::string other = bytes;
  other[0] = 9;
  const absl::Status status = decode(other);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
}

TEST(JobRow, RoundTripsWithinItsBound) {
  RandomValues random(1);
  for (int i = 0; i < 5000; ++i) {
    const Job job = random.AnyJob(JobId(random.Number()));
    const std::string row = EncodeJobRow(job);
    EXPECT_LE(row.size(), kJobRowBytesMax);
    const auto decoded = DecodeJobRow(job.id, row);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(Same(*decoded, job)) << i;
  }
}

TEST(JobRow, LongestRowIsWithinTheBound) {
  Job job;
  job.queue = QueueId(UINT64_MAX);
  job.state = JobState::kReserved;
  job.buried_reason = BuriedReason::kExpired;
  job.priority = job.epoch = job.attempts = job.failures = job.reserves = UINT32_MAX;
  job.timeouts = job.releases = job.buries = job.kicks = job.payload_size_bytes = UINT32_MAX;
  job.due = job.created = LogTime::Never();
  job.expires = LogTime::FromMicros(UINT64_MAX - 1);
  job.lease = job.delay = job.current_lease = LogDuration::Micros(-1);
  job.token = LeaseToken(UINT64_MAX);
  job.payload_digest = UINT64_MAX;
  job.holder = {NodeId(UINT64_MAX), UINT64_MAX, UINT64_MAX};
  EXPECT_LE(EncodeJobRow(job).size(), kJobRowBytesMax);
  EXPECT_TRUE(Same(*DecodeJobRow(JobId(), EncodeJobRow(job)), job));
}

TEST(JobRow, FreshJobIsSmall) {
  Job job;
  job.queue = QueueId(1);
  job.created = LogTime::FromMicros(1'764'000'000'000'000);
  job.expires = LogTime::Never();
  job.lease = LogDuration::Seconds(60);
  job.priority = 100;
  job.payload_size_bytes = 103;
  EXPECT_LE(EncodeJobRow(job).size(), 28u);
}

TEST(JobRow, IsStrict) {
  RandomValues random(2);
  for (int i = 0; i < 50; ++i) {
    ExpectStrict(EncodeJobRow(random.AnyJob(JobId(1))),
                 [](const std::string& row) { return DecodeJobRow(JobId(1), row).status(); });
  }
  std::string row = EncodeJobRow(Job());
  for (const char state : {'\x04', '\x0f', '\x40', '\xf0'}) {
    row[1] = state;
    EXPECT_FALSE(DecodeJobRow(JobId(1), row).ok());
  }
  row[0] = 9;
  EXPECT_NE(DecodeJobRow(JobId(1), row).status().ToString().find("version 9"), std::string::npos);
}

TEST(QueueRow, RoundTripsAndIsStrict) {
  RandomValues random(3);
  for (int i = 0; i < 1000; ++i) {
    const QueueRecord record = random.Queue();
    const std::string row = EncodeQueueRow(record);
    const auto decoded = DecodeQueueRow(record.id, row);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(Same(*decoded, record)) << i;
    if (i % 50 == 0) {
      ExpectStrict(
          row, [](const std::string& bytes) { return DecodeQueueRow(QueueId(1), bytes).status(); });
    }
  }
}

TEST(SmallRow, EveryKindRoundTripsAndIsStrict) {
  RandomValues random(4);
  for (int kind = 0; kind < RandomValues::kSmallRowKinds; ++kind) {
    for (int i = 0; i < 300; ++i) {
      const SmallRowKey key = random.Key(kind);
      const SmallRow row = random.Row(kind);
      const std::string bytes = EncodeSmallRow(row);
      const auto decoded = DecodeSmallRow(key, bytes);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_TRUE(Same(*decoded, row)) << "kind " << kind << " round " << i;
      if (i % 30 == 0) {
        ExpectStrict(bytes,
                     [&key](const std::string& cut) { return DecodeSmallRow(key, cut).status(); });
      }
    }
  }
}

TEST(DedupRows, RoundTripAndAreStrict) {
  RandomValues random(5);
  for (int i = 0; i < 300; ++i) {
    const DedupRecord record = {QueueId(random.Number()), "k" + std::string(random.Bytes(254)),
                                JobId(random.Number()), random.Time()};
    const auto by_key = DecodeDedupRow(record.queue, record.key, EncodeDedupRow(record));
    ASSERT_TRUE(by_key.ok()) << by_key.status();
    EXPECT_TRUE(Same(*by_key, record));
    const auto by_time =
        DecodeDedupIndexRow(record.queue, {record.expires.micros(), record.job.value()},
                            EncodeDedupIndexRow(record.key));
    ASSERT_TRUE(by_time.ok()) << by_time.status();
    EXPECT_TRUE(Same(*by_time, record));
    ExpectStrict(EncodeDedupRow(record), [](const std::string& bytes) {
      return DecodeDedupRow(QueueId(1), "k", bytes).status();
    });
  }
  EXPECT_FALSE(DecodeDedupIndexRow(QueueId(1), {}, "").ok());
  EXPECT_FALSE(DecodeDedupIndexRow(QueueId(1), {}, "\x01").ok()) << "a dedup key is not empty";
  EXPECT_FALSE(DecodeDedupIndexRow(QueueId(1), {}, "\x02k").ok());
}

TEST(AppliedRow, RoundTripsAndIsStrict) {
  AppliedRow row = {LogIndex(1'000'000), Term(7), 0x123456789abcdef0};
  for (const char* configuration : {"", "1 2 3"}) {
    for (const bool installing : {false, true}) {
      row.configuration = configuration;
      row.installing = installing;
      const std::string bytes = EncodeAppliedRow(row);
      EXPECT_EQ(*DecodeAppliedRow(bytes), row);
      ExpectStrict(bytes, [](const std::string& cut) { return DecodeAppliedRow(cut).status(); });
    }
  }
}

TEST(LayoutRow, OtherVersionIsRefusedAndNamed) {
  EXPECT_TRUE(CheckLayoutRow(EncodeLayoutRow(kLayoutVersion)).ok());
  const absl::Status status = CheckLayoutRow(EncodeLayoutRow(kLayoutVersion + 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.ToString().find("layout version 3"), std::string::npos);
  EXPECT_EQ(CheckLayoutRow("").code(), absl::StatusCode::kDataLoss);
}

TEST(OutcomeCodec, RoundTripsAndIsStrict) {
  RandomValues random(6);
  for (int i = 0; i < 500; ++i) {
    const Outcome outcome = random.AnyOutcome();
    std::string bytes;
    AppendOutcome(&bytes, outcome);
    const auto decoded = DecodeOutcome(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(Same(*decoded, outcome));
    if (i % 25 == 0) {
      ExpectStrict(bytes, [](const std::string& cut) { return DecodeOutcome(cut).status(); });
    }
  }
}

TEST(RowError, NamesTableAndKeyInHex) {
  const absl::Status status =
      RowError(absl::DataLossError("bad"), "kJob", std::string("\x00\x00\x00\x02\xff", 5));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "table kJob, key 00000002ff: bad");
}

}  // namespace
}  // namespace holdfast
