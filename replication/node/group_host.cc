#include "replication/node/group_host.h"

#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

absl::StatusOr<std::vector<raft::Entry>> ReadBack(const LogStore& store, ShardId shard,
                                                  LogIndex begin, LogIndex end,
                                                  uint64_t bytes_max) {
  std::vector<StoredEntry> stored;
  absl::Status status = store.ReadEntries(shard, begin, end, bytes_max, &stored);
  if (!status.ok()) return status;
  std::vector<raft::Entry> entries;
  entries.reserve(stored.size());
  for (StoredEntry& entry : stored) {
    entries.push_back({.term = entry.term,
                       .index = entry.index,
                       .type = static_cast<raft::EntryType>(entry.type),
                       .data = std::make_shared<const std::string>(std::move(entry.payload))});
  }
  return entries;
}

}  // namespace

GroupHost::GroupHost(const Group::Options& options, Parts parts)
    : shard_(options.shard),
      parts_(std::move(parts)),
      group_(options, parts_.executor, parts_.store, this, parts_.machine) {}

LogWriter::Done GroupHost::OnLoop(Done done) {
  return [executor = parts_.executor, done = std::move(done)](const absl::Status& status) mutable {
    executor->Post([done = std::move(done), status]() mutable { std::move(done)(status); });
  };
}

void GroupHost::Write(LogWrite write, Done done) {
  parts_.writer->Write(shard_, std::move(write), OnLoop(std::move(done)));
}

void GroupHost::Resume(Done done) { parts_.writer->Resume(shard_, OnLoop(std::move(done))); }

void GroupHost::Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) {
  parts_.reader->Post([this, begin, end, bytes_max, done = std::move(done)]() mutable {
    absl::StatusOr<std::vector<raft::Entry>> entries =
        ReadBack(*parts_.store, shard_, begin, end, bytes_max);
    parts_.executor->Post([done = std::move(done), entries = std::move(entries)]() mutable {
      std::move(done)(std::move(entries));
    });
  });
}

void GroupHost::Send(PeerMessage message) {
  if (parts_.send) parts_.send(std::move(message), nullptr);
}

void GroupHost::SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) {
  if (parts_.send) parts_.send(std::move(message), std::move(state));
}

}  // namespace holdfast
