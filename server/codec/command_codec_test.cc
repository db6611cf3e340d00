#include "server/codec/command_codec.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/entry_codec.h"
#include "server/codec/random_values.h"

namespace holdfast {
namespace {

constexpr size_t kKinds = std::variant_size_v<CommandBody>;

TEST(CommandCodec, EveryKindRoundTrips) {
  RandomValues random(7);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    for (int i = 0; i < 200; ++i) {
      const auto command = random.AnyCommand(kind);
      const std::string bytes = EncodeCommand(command.command, command.payloads);
      EXPECT_EQ(static_cast<size_t>(bytes[0]), kind + 1);
      const auto decoded = DecodeCommand(bytes);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_TRUE(Same(decoded->command, command.command)) << "kind " << kind << " round " << i;
      ASSERT_EQ(decoded->payloads.size(), command.payloads.size());
      for (size_t job = 0; job < command.payloads.size(); ++job) {
        EXPECT_EQ(decoded->payloads[job], command.payloads[job]);
        EXPECT_GE(decoded->payloads[job].data(), bytes.data()) << "payloads are views";
      }
    }
  }
}

TEST(CommandCodec, CutOrLongerBytesAreRefused) {
  RandomValues random(8);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    for (int i = 0; i < 20; ++i) {
      const auto command = random.AnyCommand(kind);
      std::string bytes = EncodeCommand(command.command, command.payloads);
      if (bytes.size() > 3000) continue;
      for (size_t size = 0; size < bytes.size(); ++size) {
        const auto decoded = DecodeCommand(std::string(bytes, 0, size));
        ASSERT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss)
            << "kind " << kind << ", " << size << " of " << bytes.size();
      }
      bytes.push_back('\0');
      EXPECT_FALSE(DecodeCommand(bytes).ok());
    }
  }
}

TEST(CommandCodec, UnknownKindsAndFlagsAreRefused) {
  const auto refused = [](std::string bytes) { return !DecodeCommand(bytes).ok(); };
  const std::string expire = EncodeCommand({{}, ExpireCommand{5}});
  ASSERT_EQ(expire, std::string("\x12\x00\x05", 3));
  for (const char kind : {0, 22, 127, -1}) {
    EXPECT_TRUE(refused(std::string(1, kind) + expire.substr(1)));
  }
  for (int flag = 4; flag < 256; flag *= 2) {
    EXPECT_TRUE(refused({'\x12', static_cast<char>(flag), '\x05'}));
  }
  // A session or digest that is said to be there and is none.
  EXPECT_TRUE(refused(std::string("\x12\x01\x00\x01\x00\x05", 6)));
  EXPECT_TRUE(refused(std::string("\x12\x02", 2) + std::string(16, '\0') + "\x05"));
  // Enum values: reserved of a delete by id, states of a purge.
  EXPECT_TRUE(refused(std::string("\x05\x00\x02\x00", 4)));
  EXPECT_TRUE(refused(std::string("\x0d\x00\x01q\x10", 5)));
}

TEST(CommandCodec, AJobsSecondFlagsAreNeitherEmptyNorUnknown) {
  const auto decoded = [](char more) {
    std::string job = std::string("\x20", 1) + more + '\0' + std::string(8, '\0');
    return DecodeCommand(std::string("\x01\x00\x01q\x01\x00", 6) + job);
  };
  ASSERT_TRUE(decoded(2).ok());
  EXPECT_TRUE(std::get<EnqueueCommand>(decoded(2)->command.body).jobs[0].buried);
  EXPECT_FALSE(decoded(0).ok());
  for (int flag = 8; flag < 256; flag *= 2) EXPECT_FALSE(decoded(static_cast<char>(flag + 2)).ok());
}

TEST(CommandCodec, CountsOverTheBoundAreRefused) {
  std::string leases("\x04\x00\xe9\x07", 4);  // delete, 1001 leases
  leases.append(2 * 1001, '\x01');
  EXPECT_FALSE(DecodeCommand(leases).ok());
  leases[2] = '\xe8';
  leases.resize(4 + 2 * 1000);
  EXPECT_TRUE(DecodeCommand(leases).ok());
  // A count that the bytes cannot hold is refused before memory is taken for it.
  EXPECT_FALSE(DecodeCommand(std::string("\x04\x00\xe8\x07\x01\x01", 6)).ok());
}

TEST(CommandCodec, OptionsCarryOnlyTheFieldsNamed) {
  PutQueueOptionsCommand put;
  put.queue = "q";
  put.options.max_jobs = 3;
  put.options.ttl = LogDuration::Seconds(1);
  put.fields = kFieldMaxJobs;
  const std::string bytes = EncodeCommand({{}, put});
  EXPECT_EQ(bytes, std::string("\x0e\x00\x01q\x10\x03", 6));
  const auto decoded = DecodeCommand(bytes);
  const auto& got = std::get<PutQueueOptionsCommand>(decoded->command.body);
  EXPECT_EQ(got.fields, kFieldMaxJobs);
  EXPECT_EQ(got.options.max_jobs, 3u);
  EXPECT_EQ(got.options.ttl, LogDuration());
}

TEST(EnqueueEncoder, GivesTheSameBytesAsEncodeCommand) {
  RandomValues random(9);
  for (int round = 0; round < 100; ++round) {
    std::vector<PayloadView> payloads;
    std::vector<std::string> encoded;
    Command command;
    command.request = {SessionId(3), 9, 4, 0, 0};
    auto& enqueue = command.body.emplace<EnqueueCommand>();
    enqueue.queue = "mail";
    EnqueueEncoder by_view(command.request, "mail", 0);
    EnqueueEncoder by_bytes(command.request, "mail", 1000);
    for (int i = 0; i < round % 7; ++i) {
      payloads.push_back(random.Payload(200));
      AppendPayload(&encoded.emplace_back(), payloads.back());
      JobSpec spec;
      spec.priority = static_cast<uint32_t>(i);
      spec.lease = LogDuration::Seconds(i);
      spec.dedup_key = payloads.back().dedup_key;
      by_view.Add(spec, payloads.back());
      by_bytes.AddEncoded(spec, encoded.back());
      spec.payload_size_bytes = static_cast<uint32_t>(encoded.back().size());
      spec.payload_digest = PayloadDigest(encoded.back());
      enqueue.jobs.push_back(spec);
    }
    const std::vector<std::string_view> views(encoded.begin(), encoded.end());
    const std::string whole = EncodeCommand(command, views);
    EXPECT_EQ(std::move(by_view).Finish(), whole);
    EXPECT_EQ(std::move(by_bytes).Finish(), whole);
  }
}

TEST(EntryCodec, GivesBackItsCommandsInOrder) {
  RandomValues random(10);
  for (int round = 0; round < 100; ++round) {
    std::vector<RandomValues::EncodableCommand> commands;
    std::vector<std::string> encoded;
    size_t cost = 0;
    for (int i = 0; i < round % 9; ++i) {
      commands.push_back(random.AnyCommand(random.prng().Below(kKinds)));
      encoded.push_back(EncodeCommand(commands.back().command, commands.back().payloads));
      cost += EntryCost(encoded.back().size());
    }
    const LogTime time = LogTime::FromMicros(1'700'000'000'000'000 + round);
    const EntryBuffer entry = BuildEntry(time, encoded);
    EXPECT_EQ(entry->size(), 13 + cost);
    auto reader = EntryReader::Open(*entry);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ(reader->log_time(), time);
    ASSERT_EQ(reader->count(), commands.size());
    DecodedCommand decoded;
    for (const auto& command : commands) {
      ASSERT_FALSE(reader->done());
      ASSERT_TRUE(reader->Next(&decoded).ok());
      EXPECT_TRUE(Same(decoded.command, command.command));
      EXPECT_EQ(decoded.payloads.size(), command.payloads.size());
    }
    EXPECT_TRUE(reader->done());
  }
}

TEST(EntryCodec, LeasesAreToldFromEverythingElse) {
  ReserveCommand one_job;
  one_job.queues = {"q"};
  one_job.max = 1;
  TouchCommand one_lease;
  one_lease.leases.resize(1);
  const std::string reserve = EncodeCommand({{}, one_job});
  const std::string touch = EncodeCommand({{}, one_lease});
  const auto only_leases = [](std::vector<std::string> commands) {
    return OnlyLeases(*BuildEntry(LogTime::FromMicros(1), commands));
  };
  EXPECT_TRUE(only_leases({reserve}));
  EXPECT_TRUE(only_leases({reserve, touch, reserve}));
  EXPECT_FALSE(only_leases({}));
  EXPECT_FALSE(OnlyLeases("no entry"));
  RandomValues random(11);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const auto any = random.AnyCommand(kind);
    const std::string command = EncodeCommand(any.command, any.payloads);
    const bool is_lease = std::holds_alternative<ReserveCommand>(any.command.body) ||
                          std::holds_alternative<ReserveJobCommand>(any.command.body) ||
                          std::holds_alternative<TouchCommand>(any.command.body);
    EXPECT_EQ(only_leases({command}), is_lease) << kind;
    EXPECT_EQ(only_leases({reserve, command}), is_lease) << kind;
  }
}

TEST(EntryCodec, DamagedFramingIsRefusedBeforeAnyCommandIsGiven) {
  const std::vector<std::string> commands = {EncodeCommand({{}, ExpireCommand{5}}),
                                             EncodeCommand({{}, DeleteQueueCommand{"q"}})};
  const std::string entry = *BuildEntry(LogTime::FromMicros(1), commands);
  ASSERT_TRUE(EntryReader::Open(entry).ok());
  for (size_t size = 0; size < entry.size(); ++size) {
    EXPECT_FALSE(EntryReader::Open(std::string(entry, 0, size)).ok()) << size;
  }
  EXPECT_FALSE(EntryReader::Open(entry + "x").ok());
  std::string other = entry;
  other[0] = 2;
  EXPECT_NE(EntryReader::Open(other).status().ToString().find("version 2"), std::string::npos);
}

TEST(EntryCodec, DamagedCommandIsNamedByItsNumber) {
  const std::vector<std::string> commands = {EncodeCommand({{}, ExpireCommand{5}}),
                                             EncodeCommand({{}, ExpireCommand{6}})};
  std::string entry = *BuildEntry(LogTime::FromMicros(1), commands);
  entry[entry.size() - 3] = '\x7f';  // the second command's kind
  auto reader = EntryReader::Open(entry);
  ASSERT_TRUE(reader.ok());
  DecodedCommand decoded;
  EXPECT_TRUE(reader->Next(&decoded).ok());
  const absl::Status status = reader->Next(&decoded);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find("command 1 of 2: command of kind 127"), std::string::npos);
}

TEST(CommandCodecDeathTest, WhatCouldNotBeDecodedIsNotEncoded) {
  DeleteCommand too_many;
  too_many.leases.resize(kItemsPerCommandMax + 1);
  EXPECT_DEATH(EncodeCommand({{}, too_many}), "CHECK failed");
  EXPECT_DEATH(EncodeCommand({{}, PurgeQueueCommand{"q", 0x10}}), "CHECK failed");
}

}  // namespace
}  // namespace holdfast
