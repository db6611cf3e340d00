#include "storage/rocksdb/prefix_map.h"

#include <algorithm>

#include "base/check.h"
#include "base/coding.h"

namespace holdfast {
namespace {

std::optional<uint32_t> PrefixOf(std::string_view key) {
  uint32_t prefix = 0;
  if (!ByteReader(key).BigEndian32(&prefix)) return std::nullopt;
  return prefix;
}

}  // namespace

std::string PrefixBytes(uint32_t prefix) {
  std::string bytes;
  PutBigEndian32(&bytes, prefix);
  return bytes;
}

uint32_t PrefixMap::PhysicalOf(uint32_t logical) const {
  const auto it = physical_.find(logical);
  return it == physical_.end() ? logical : it->second;
}

std::string_view PrefixMap::PhysicalKey(std::string_view key, std::string* buffer) const {
  if (is_identity()) return key;
  const std::optional<uint32_t> logical = PrefixOf(key);
  if (!logical.has_value()) return key;
  const uint32_t physical = PhysicalOf(*logical);
  if (physical == *logical) return key;
  buffer->clear();
  PutBigEndian32(buffer, physical);
  buffer->append(key.substr(kShardPrefixSize));
  return *buffer;
}

std::vector<PrefixMap::Segment> PrefixMap::Segments(std::string_view begin,
                                                    std::string_view end) const {
  const std::string first_own = PrefixBytes(kFirst);
  const std::string_view stop = std::min(end, std::string_view(first_own));
  std::vector<Segment> segments;
  if (begin >= stop) return segments;
  std::string at(begin);
  const auto add_unmapped = [&](std::string_view to) {
    if (at < to) segments.push_back({.begin = at, .end = std::string(to), .logical = {}});
  };
  for (const auto& [logical, physical] : physical_) {
    const std::string first = PrefixBytes(logical);
    const std::string after = PrefixBytes(logical + 1);
    if (after <= at) continue;
    if (first >= stop) break;
    add_unmapped(first);
    // Both bounds are in the prefix or at its end.
    Segment segment{.begin = PrefixBytes(physical),
                    .end = PrefixBytes(stop < after ? physical : physical + 1),
                    .logical = first};
    if (at > first) segment.begin.append(at, kShardPrefixSize);
    if (stop < after) segment.end.append(stop.substr(kShardPrefixSize));
    segments.push_back(std::move(segment));
    at = std::min(std::string_view(after), stop);
  }
  add_unmapped(stop);
  return segments;
}

void PrefixMap::Replace(uint32_t logical, uint32_t physical) {
  CHECK_LT(logical, kFirst);
  CHECK_GE(physical, kFirst);
  dead_.insert(PhysicalOf(logical));
  physical_[logical] = physical;
  next_ = std::max(next_, physical + 1);
}

std::string PrefixMap::Encode() const {
  std::string bytes;
  PutFixed32(&bytes, next_);
  PutFixed32(&bytes, static_cast<uint32_t>(physical_.size()));
  for (const auto& [logical, physical] : physical_) {
    PutFixed32(&bytes, logical);
    PutFixed32(&bytes, physical);
  }
  PutFixed32(&bytes, static_cast<uint32_t>(dead_.size()));
  for (const uint32_t dead : dead_) PutFixed32(&bytes, dead);
  return bytes;
}

std::optional<PrefixMap> PrefixMap::Decode(std::string_view bytes) {
  ByteReader in(bytes);
  PrefixMap map;
  uint32_t count = 0;
  if (!in.Fixed32(&map.next_) || !in.Fixed32(&count)) return std::nullopt;
  for (; count > 0; --count) {
    uint32_t logical = 0;
    uint32_t physical = 0;
    if (!in.Fixed32(&logical) || !in.Fixed32(&physical)) return std::nullopt;
    map.physical_[logical] = physical;
  }
  if (!in.Fixed32(&count)) return std::nullopt;
  for (; count > 0; --count) {
    uint32_t dead = 0;
    if (!in.Fixed32(&dead)) return std::nullopt;
    map.dead_.insert(dead);
  }
  if (!in.Done()) return std::nullopt;
  return map;
}

}  // namespace holdfast
