#include "queue/dedup_table.h"

#include "base/check.h"

namespace holdfast {

DedupTable DedupTable::Cold(uint64_t members) {
  DedupTable table;
  table.order_ = PagedSet::Cold(members);
  return table;
}

DedupTable::Item* DedupTable::Find(std::string_view key) {
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? nullptr : &*it;
}

const DedupTable::Item* DedupTable::Find(std::string_view key) const {
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? nullptr : &*it;
}

const DedupTable::Item& DedupTable::At(SetKey place) const {
  const auto it = by_job_.find(JobId(place.id));
  CHECK(it != by_job_.end());
  return *it->second;
}

void DedupTable::Insert(std::string_view key, const Entry& entry) {
  const auto [it, inserted] = by_key_.emplace(std::string(key), entry);
  CHECK(inserted);
  const bool new_job = by_job_.emplace(entry.job, &*it).second;
  CHECK(new_job);
}

SetKey DedupTable::Erase(std::string_view key) {
  const auto it = by_key_.find(key);
  CHECK(it != by_key_.end());
  const SetKey place = PlaceOf(it->second);
  by_job_.erase(it->second.job);
  by_key_.erase(it);
  return place;
}

void DedupTable::Add(std::string_view key, JobId job, LogTime expires) {
  const Entry entry{job, expires, true};
  Insert(key, entry);
  order_.Add(PlaceOf(entry));
}

void DedupTable::Load(std::string_view key, JobId job, LogTime expires) {
  const Entry entry{job, expires, false};
  Insert(key, entry);
  order_.Load(PlaceOf(entry));
}

void DedupTable::Remove(std::string_view key) { order_.Remove(Erase(key)); }

void DedupTable::Evict(std::string_view key) { order_.Evict(Erase(key)); }

}  // namespace holdfast
