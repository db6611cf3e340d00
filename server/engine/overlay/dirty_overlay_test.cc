#include "server/engine/overlay/dirty_overlay.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(2);
constexpr uint32_t kShards = 4;

JobId Id(uint64_t sequence) { return JobId(sequence * kShards + kShard.value()); }

Job ReadyJob(JobId id) {
  Job job;
  job.id = id;
  job.queue = QueueId(1);
  job.expires = LogTime::Never();
  return job;
}

// An entry of one enqueue of `jobs` payloads with bodies of `body_bytes`.
struct Entry {
  EntryBuffer buffer;
  DecodedCommand command;
};
Entry MakeEntry(size_t jobs, size_t body_bytes) {
  EnqueueEncoder encoder(RequestIdentity(), "q", 0);
  for (size_t i = 0; i < jobs; ++i) {
    const std::string body(body_bytes, static_cast<char>('a' + i % 26));
    PayloadView payload;
    payload.body = body;
    encoder.Add(JobSpec(), payload);
  }
  const std::string command = std::move(encoder).Finish();
  Entry entry;
  entry.buffer = BuildEntry(LogTime::FromMicros(1), {std::string_view(command)});
  EXPECT_TRUE(EntryReader::Open(*entry.buffer)->Next(&entry.command).ok());
  return entry;
}

// Reports new jobs first, first + 1, ... with the entry's payloads.
void Enqueue(DirtyOverlay* overlay, uint64_t first, const Entry& entry) {
  const auto& payloads = entry.command.payloads;
  for (uint64_t i = 0; i < payloads.size(); ++i) {
    Job job = ReadyJob(Id(first + i));
    job.payload_size_bytes = static_cast<uint32_t>(payloads[i].size());
    overlay->JobChanged(job.id, nullptr, &job);
  }
  for (uint64_t i = 0; i < payloads.size(); ++i) {
    overlay->AttachPayload(Id(first + i), entry.buffer, payloads[i]);
  }
}

void Delete(DirtyOverlay* overlay, JobId id) {
  const Job job = ReadyJob(id);
  JobPlaces places;
  places.queue = job.queue;
  places.state_key = {0, id.value()};
  places.expires = LogTime::Never();
  overlay->JobChanged(id, &places, nullptr);
}

TEST(DirtyOverlay, JobThatComesAndGoesLeavesNothing) {
  DirtyOverlay overlay(kShard, kShards);
  const size_t empty_bytes = overlay.bytes();
  Entry entry = MakeEntry(1, 5000);
  Enqueue(&overlay, 1, entry);
  EXPECT_TRUE(overlay.IsDirty(Id(1)));
  EXPECT_GT(overlay.bytes(), empty_bytes + 5000);
  Delete(&overlay, Id(1));
  EXPECT_FALSE(overlay.IsDirty(Id(1)));
  EXPECT_FALSE(overlay.IsGone(Id(1)));
  EXPECT_FALSE(overlay.FindPayload(Id(1)).has_value());
  EXPECT_TRUE(overlay.active_empty());
  EXPECT_LT(overlay.bytes(), empty_bytes + 5000);
  const std::weak_ptr<const std::string> alive = entry.buffer;
  entry.buffer = nullptr;
  EXPECT_TRUE(alive.expired()) << "nothing refers to the entry any more";
}

TEST(DirtyOverlay, JobOfTheFrozenGenerationIsDeletedByTheActiveOne) {
  DirtyOverlay overlay(kShard, kShards);
  Enqueue(&overlay, 1, MakeEntry(1, 10));
  const auto frozen = overlay.Freeze();
  EXPECT_TRUE(overlay.active_empty());
  EXPECT_TRUE(overlay.FindPayload(Id(1)).has_value()) << "not durable yet";
  Delete(&overlay, Id(1));
  EXPECT_TRUE(overlay.IsGone(Id(1)));
  EXPECT_FALSE(overlay.active_empty());
  EXPECT_NE(frozen->FindJob(Id(1))->row, nullptr) << "a frozen generation does not change";
  const auto released = overlay.Release();
  EXPECT_TRUE(released.jobs.empty()) << "changed again since";
  EXPECT_TRUE(overlay.IsDirty(Id(1)));
  EXPECT_EQ(overlay.Freeze()->FindJob(Id(1))->row, nullptr);
}

TEST(DirtyOverlay, ReleaseNamesWhatIsDurableAndNotChangedSince) {
  DirtyOverlay overlay(kShard, kShards);
  Enqueue(&overlay, 1, MakeEntry(3, 10));
  const DedupRecord dedup = {QueueId(1), "key", Id(1), LogTime::FromMicros(9)};
  const DedupRecord other = {QueueId(1), "other", Id(2), LogTime::FromMicros(9)};
  overlay.DedupChanged(QueueId(1), "key", nullptr, &dedup);
  overlay.DedupChanged(QueueId(1), "other", nullptr, &other);
  overlay.Freeze();
  Job job = ReadyJob(Id(2));
  job.priority = 5;
  JobPlaces places;
  overlay.JobChanged(Id(2), &places, &job);
  overlay.DedupChanged(QueueId(1), "other", &other, nullptr);
  EXPECT_TRUE(overlay.IsDirty(QueueId(1), "key"));
  EXPECT_TRUE(overlay.IsGone(QueueId(1), "other"));
  EXPECT_EQ(overlay.releases(), 0u);
  const auto released = overlay.Release();
  EXPECT_EQ(overlay.releases(), 1u);
  EXPECT_EQ(released.jobs, (std::vector<JobId>{Id(1), Id(3)}));
  ASSERT_EQ(released.dedups.size(), 1u);
  EXPECT_EQ(released.dedups[0].key, "key");
  EXPECT_EQ(released.dedups[0].queue, QueueId(1));
  EXPECT_NE(released.retired, nullptr);
  EXPECT_FALSE(overlay.IsDirty(Id(1)));
  EXPECT_TRUE(overlay.IsDirty(Id(2)));
  EXPECT_FALSE(overlay.IsDirty(QueueId(1), "key"));
  EXPECT_FALSE(overlay.FindPayload(Id(1)).has_value());
}

TEST(DirtyOverlay, PayloadOfAJobThatIsGoneAgainIsIgnored) {
  DirtyOverlay overlay(kShard, kShards);
  const Entry entry = MakeEntry(2, 10);
  Job job = ReadyJob(Id(2));
  overlay.JobChanged(job.id, nullptr, &job);
  overlay.AttachPayload(Id(1), entry.buffer, entry.command.payloads[0]);
  overlay.AttachPayload(Id(2), entry.buffer, entry.command.payloads[1]);
  EXPECT_FALSE(overlay.FindPayload(Id(1)).has_value());
  const auto found = overlay.FindPayload(Id(2));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->owner, entry.buffer) << "a slice of the entry, not a copy";
  EXPECT_EQ(found->bytes, entry.command.payloads[1]);
}

TEST(DirtyOverlay, LargeEntryIsNotKeptForASmallPayload) {
  DirtyOverlay overlay(kShard, kShards);
  Entry entry = MakeEntry(100, 1000);
  const std::string last(entry.command.payloads[99]);
  const std::string middle(entry.command.payloads[50]);
  Enqueue(&overlay, 1, entry);
  Enqueue(&overlay, 101, MakeEntry(1, 10));  // the entry above is whole now
  const std::weak_ptr<const std::string> alive = entry.buffer;
  entry.buffer = nullptr;
  for (uint64_t sequence = 1; sequence <= 99; ++sequence) {
    if (sequence != 51) Delete(&overlay, Id(sequence));
  }
  EXPECT_TRUE(alive.expired());
  EXPECT_EQ(overlay.FindPayload(Id(100))->bytes, last);
  EXPECT_EQ(overlay.FindPayload(Id(51))->bytes, middle);
  EXPECT_TRUE(overlay.FindPayload(Id(101)).has_value());
}

TEST(DirtyOverlay, EntryThatIsMostlyNotPayloadIsCopiedOutOnceItIsWhole) {
  DirtyOverlay overlay(kShard, kShards);
  Entry entry = MakeEntry(100, 1000);
  const std::string kept(entry.command.payloads[7]);
  Job job = ReadyJob(Id(1));
  overlay.JobChanged(job.id, nullptr, &job);
  overlay.AttachPayload(job.id, entry.buffer, entry.command.payloads[7]);
  const std::weak_ptr<const std::string> alive = entry.buffer;
  entry.buffer = nullptr;
  EXPECT_FALSE(alive.expired()) << "more of its payloads may follow";
  const auto frozen = overlay.Freeze();
  EXPECT_TRUE(alive.expired());
  EXPECT_EQ(frozen->FindPayload(Id(1))->bytes, kept);
  EXPECT_EQ(overlay.FindPayload(Id(1))->bytes, kept);
}

TEST(DirtyOverlay, WithNothingBehindItNothingStaysOfWhatIsGone) {
  DirtyOverlay overlay(kShard, kShards, Backing::kNothing);
  QueueRecord queue;
  queue.name = "a queue with a name of some length";
  const SmallRowKey holder = HolderKey{Holder{NodeId(1), 1, 7}};
  const SmallRow row = HolderRow{};
  overlay.QueueChanged(QueueId(1), &queue);
  overlay.RowChanged(holder, &row);
  Enqueue(&overlay, 1, MakeEntry(2, 100));
  Job changed = ReadyJob(Id(1));
  changed.priority = 9;
  const JobPlaces before;
  overlay.JobChanged(Id(1), &before, &changed);
  EXPECT_EQ(overlay.FindPayload(Id(1))->bytes.size(), overlay.FindPayload(Id(2))->bytes.size());
  EXPECT_FALSE(overlay.active_empty());
  Delete(&overlay, Id(1));
  Delete(&overlay, Id(2));
  overlay.QueueChanged(QueueId(1), nullptr);
  overlay.RowChanged(holder, nullptr);
  EXPECT_TRUE(overlay.active_empty());
}

TEST(DirtyOverlay, PayloadOutlivesTheGenerationForWhoHoldsIt) {
  DirtyOverlay overlay(kShard, kShards);
  PayloadRef payload;
  {
    const Entry entry = MakeEntry(1, 100);
    Enqueue(&overlay, 1, entry);
    payload = *overlay.FindPayload(Id(1));
  }
  const std::string copy(payload.bytes);
  overlay.Freeze();
  overlay.Release();
  EXPECT_EQ(payload.bytes, copy);
}

TEST(DirtyOverlay, DedupThatComesAndGoesLeavesNothing) {
  DirtyOverlay overlay(kShard, kShards);
  const DedupRecord dedup = {QueueId(1), "key", Id(1), LogTime::FromMicros(9)};
  overlay.DedupChanged(QueueId(1), "key", nullptr, &dedup);
  EXPECT_TRUE(overlay.IsDirty(QueueId(1), "key"));
  EXPECT_FALSE(overlay.IsDirty(QueueId(2), "key"));
  overlay.DedupChanged(QueueId(1), "key", &dedup, nullptr);
  EXPECT_TRUE(overlay.active_empty());
}

TEST(DirtyOverlayDeathTest, JobIsNotEnqueuedTwice) {
  DirtyOverlay overlay(kShard, kShards);
  const Job job = ReadyJob(Id(1));
  overlay.JobChanged(job.id, nullptr, &job);
  EXPECT_DEATH(overlay.JobChanged(job.id, nullptr, &job), "CHECK failed");
  EXPECT_DEATH(overlay.JobChanged(JobId(job.id.value() + 1), nullptr, &job), "CHECK failed");
}

}  // namespace
}  // namespace holdfast
