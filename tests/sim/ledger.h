// The state machine of the bare-core profiles: remembers which writes it has applied.
//
// A write is a number; repeated, it changes nothing but the chain of hashes. The hash covers every
// applied entry in its order, so two ledgers that differ anywhere differ in it.
//
// Thread-safety: thread-compatible. Copyable: a copy is a snapshot.

#ifndef HOLDFAST_TESTS_SIM_LEDGER_H_
#define HOLDFAST_TESTS_SIM_LEDGER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast::sim {

using WriteId = uint32_t;  // dense, from 0

inline uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

// Of the bytes, the same on every machine.
inline uint64_t HashBytes(const std::string& bytes) {
  uint64_t hash = bytes.size();
  for (const char c : bytes) hash = Mix(hash, static_cast<uint8_t>(c));
  return hash;
}

inline uint64_t HashEntry(const raft::Entry& entry) {
  uint64_t hash = Mix(entry.index.value(), entry.term.value());
  hash = Mix(hash, static_cast<uint64_t>(entry.type));
  return Mix(hash, entry.data == nullptr ? 0 : HashBytes(*entry.data));
}

// A write as the data of an entry, `size` bytes long or as many as it takes.
inline std::shared_ptr<const std::string> EncodeWrite(WriteId id, size_t size) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(id >> shift));
  if (bytes.size() < size) bytes.resize(size, static_cast<char>('a' + id % 26));
  return std::make_shared<const std::string>(std::move(bytes));
}

inline WriteId DecodeWrite(const std::string& bytes) {
  WriteId id = 0;
  for (size_t i = 0; i < 4; ++i)
    id |= static_cast<WriteId>(static_cast<uint8_t>(bytes[i])) << 8 * i;
  return id;
}

class Ledger {
 public:
  raft::EntryId applied() const { return applied_; }
  uint64_t hash() const { return hash_; }
  bool Has(WriteId id) const { return id < seen_.size() && seen_[id]; }

  // The state that stands for everything up to `at`.
  void StartAt(raft::EntryId at) { applied_ = at; }

  // REQUIRES: `entry` is the next.
  void Apply(const raft::Entry& entry) {
    hash_ = Mix(hash_, HashEntry(entry));
    applied_ = {entry.term, entry.index};
    if (entry.type != raft::EntryType::kCommands || entry.data == nullptr) return;
    const WriteId id = DecodeWrite(*entry.data);
    if (id >= seen_.size()) seen_.resize(id + 1);
    seen_[id] = true;
  }

 private:
  raft::EntryId applied_;
  uint64_t hash_ = 0;
  std::vector<bool> seen_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_LEDGER_H_
