// The part of the tracker that follows names: creations, removals and renames.

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/support/powercut/real.h"
#include "tests/support/powercut/tracker.h"

namespace holdfast::powercut {
namespace {

void CopyName(const std::string& name, char (&out)[kNameBytes]) {
  std::memcpy(out, name.c_str(), name.size() + 1);
}

// True iff the two records touch one name or one thing, so that neither can be durable
// without what came before it.
bool Touches(const NameRecord& a, const NameRecord& b) {
  if (a.device == b.device && a.inode_number == b.inode_number && a.inode_number != 0) return true;
  const auto same = [](uint32_t directory, const char* name, const NameRecord& other) {
    if (directory == 0) return false;
    return (other.directory == directory && std::strcmp(other.name, name) == 0) ||
           (other.directory2 == directory && std::strcmp(other.name2, name) == 0);
  };
  return same(a.directory, a.name, b) || same(a.directory2, a.name2, b);
}

}  // namespace

NameRecord Tracker::MakeRecord(NameKind kind, const Place& place) const {
  NameRecord record;
  std::memset(&record, 0, sizeof(record));
  record.state = static_cast<uint32_t>(NameState::kIntent);
  record.kind = static_cast<uint32_t>(kind);
  record.directory = place.directory;
  if (place.exists) {
    record.device = place.status.st_dev;
    record.inode_number = place.status.st_ino;
  }
  CopyName(place.name, record.name);
  return record;
}

template <class Change>
int Tracker::ChangeName(NameRecord record, Change change) {
  const uint64_t index = journal_.AppendName(record);
  const int result = change();
  NameRecord* const stored = journal_.name(index);
  if (result != 0) {
    stored->state = static_cast<uint32_t>(NameState::kFailed);
    return result;
  }
  stored->state = static_cast<uint32_t>(NameState::kDone);
  unsynced_names_.push_back(index);
  return 0;
}

// Keeps a file that is about to lose a name reachable until the loss is durable.
void Tracker::KeepSaved(const Place& place, UndoLog* file, int directory_fd, const char* path) {
  const std::string saved = journal_.SavedPath(file->id());
  if (real::LinkAt(directory_fd, path, AT_FDCWD, saved.c_str(), 0) != 0 && errno != EEXIST) {
    Die("cannot link " + place.name + " into the journal (same file system?)", errno);
  }
}

int Tracker::Unlink(int directory_fd, const char* path, int flags) {
  const std::lock_guard lock(names_mutex_);
  const std::optional<Place> place = Locate(directory_fd, path);
  const auto real_call = [&] { return real::UnlinkAt(directory_fd, path, flags); };
  if (!place.has_value() || !place->exists) return real_call();
  if (MustFail(false)) return -1;
  if ((flags & AT_REMOVEDIR) != 0) {
    NameRecord record = MakeRecord(NameKind::kRemoveDirectory, *place);
    record.inode = DirectoryId(place->status, place->name);
    const int result = ChangeName(record, real_call);
    if (result == 0) {
      journal_.directory(record.inode)->gone = 1;
      directories_.erase({place->status.st_dev, place->status.st_ino});
    }
    return result;
  }
  if (!S_ISREG(place->status.st_mode)) return real_call();
  UndoLog* const file = FindOrAddFile(place->status, place->name);
  KeepSaved(*place, file, directory_fd, path);
  NameRecord record = MakeRecord(NameKind::kUnlink, *place);
  record.inode = file->id();
  return ChangeName(record, real_call);
}

int Tracker::Rename(int fd, const char* from, int fd2, const char* to, unsigned flags) {
  const std::lock_guard lock(names_mutex_);
  const std::optional<Place> source = Locate(fd, from);
  const std::optional<Place> target = Locate(fd2, to);
  const auto real_call = [&] { return real::RenameAt(fd, from, fd2, to, flags); };
  if (!source.has_value() && !target.has_value()) return real_call();
  if (!source.has_value() || !target.has_value()) {
    Die(std::string("a rename into or out of the root is not followed: ") + from + " to " + to, 0);
  }
  if ((flags & ~1u) != 0) Die("renameat2 flags are not followed", 0);
  if (MustFail(false)) return -1;
  if (!source->exists) return real_call();
  const bool same_file = target->exists && target->status.st_ino == source->status.st_ino;
  if (same_file || (target->exists && flags != 0)) return real_call();
  const bool is_directory = S_ISDIR(source->status.st_mode);
  NameRecord record =
      MakeRecord(is_directory ? NameKind::kRenameDirectory : NameKind::kRename, *source);
  record.directory2 = target->directory;
  CopyName(target->name, record.name2);
  if (is_directory) {
    if (target->exists) Die(std::string("a rename over a directory is not followed: ") + to, 0);
    record.inode = DirectoryId(source->status, source->name);
    return ChangeName(record, real_call);
  }
  if (!S_ISREG(source->status.st_mode)) return real_call();
  record.inode = FindOrAddFile(source->status, source->name)->id();
  if (target->exists && S_ISREG(target->status.st_mode)) {
    UndoLog* const replaced = FindOrAddFile(target->status, target->name);
    KeepSaved(*target, replaced, fd2, to);
    record.replaced = replaced->id();
  }
  return ChangeName(record, real_call);
}

int Tracker::Link(int fd, const char* from, int fd2, const char* to, int flags) {
  const std::lock_guard lock(names_mutex_);
  const std::optional<Place> target = Locate(fd2, to);
  const auto real_call = [&] { return real::LinkAt(fd, from, fd2, to, flags); };
  if (!target.has_value()) return real_call();
  if (MustFail(true)) return -1;
  struct stat status;
  const bool follow = (flags & AT_SYMLINK_FOLLOW) != 0;
  if (real::StatAt(fd, from, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) return real_call();
  NameRecord record = MakeRecord(NameKind::kCreate, *target);
  record.inode = FindOrAddFile(status, target->name)->id();
  record.device = status.st_dev;
  record.inode_number = status.st_ino;
  return ChangeName(record, real_call);
}

int Tracker::MakeDirectory(int directory_fd, const char* path, mode_t mode) {
  const std::lock_guard lock(names_mutex_);
  const std::optional<Place> place = Locate(directory_fd, path);
  const auto real_call = [&] { return real::MakeDirectoryAt(directory_fd, path, mode); };
  if (!place.has_value() || place->exists) return real_call();
  if (MustFail(true)) return -1;
  const int result = ChangeName(MakeRecord(NameKind::kMakeDirectory, *place), real_call);
  if (result != 0) return result;
  struct stat status;
  if (real::StatAt(directory_fd, path, &status, 0) != 0) Die(std::string("stat ") + path, errno);
  NameRecord* const stored = journal_.name(unsynced_names_.back());
  directories_.erase({status.st_dev, status.st_ino});
  stored->inode = DirectoryId(status, place->name);
  stored->device = status.st_dev;
  stored->inode_number = status.st_ino;
  return 0;
}

int Tracker::SyncDirectory(uint32_t directory, int (*sync)(int), int fd) {
  uint64_t count = 0;
  {
    const std::lock_guard lock(names_mutex_);
    count = journal_.name_count();
    Handle none;
    if (MustFailSync(&none, 0)) return -1;
  }
  if (journal_.control()->ignore_sync != 0) return 0;
  const int result = sync(fd);
  if (result != 0) return result;
  const std::lock_guard lock(names_mutex_);
  MarkNamesSynced(directory, count);
  std::atomic_ref(journal_.control()->syncs).fetch_add(1, std::memory_order_relaxed);
  return 0;
}

void Tracker::MarkNamesSynced(uint32_t directory, uint64_t count) {
  std::vector<uint64_t> synced;
  for (size_t i = unsynced_names_.size(); i-- > 0;) {
    const uint64_t index = unsynced_names_[i];
    const NameRecord& record = *journal_.name(index);
    const bool named = record.directory == directory || record.directory2 == directory;
    const bool needed = std::any_of(synced.begin(), synced.end(), [&](uint64_t later) {
      return Touches(*journal_.name(later), record);
    });
    if (index < count && (named || needed)) synced.push_back(index);
  }
  // Oldest first, so that a kill in between leaves nothing durable without what it needs.
  for (auto index = synced.rbegin(); index != synced.rend(); ++index) {
    journal_.name(*index)->state = static_cast<uint32_t>(NameState::kSynced);
  }
  std::erase_if(unsynced_names_, [&](uint64_t index) {
    return journal_.name(index)->state == static_cast<uint32_t>(NameState::kSynced);
  });
  for (const uint64_t index : synced) {
    const NameRecord& record = *journal_.name(index);
    const auto kind = static_cast<NameKind>(record.kind);
    if (kind == NameKind::kUnlink) DropSaved(record.inode);
    if (kind == NameKind::kRename && record.replaced != 0) DropSaved(record.replaced);
  }
}

// A removal of file `id` is durable: its saved link goes, unless another one still needs it.
void Tracker::DropSaved(uint32_t id) {
  for (const uint64_t index : unsynced_names_) {
    const NameRecord& record = *journal_.name(index);
    const auto kind = static_cast<NameKind>(record.kind);
    if (kind == NameKind::kUnlink && record.inode == id) return;
    if (kind == NameKind::kRename && record.replaced == id) return;
  }
  const std::string saved = journal_.SavedPath(id);
  struct stat status;
  if (real::StatAt(AT_FDCWD, saved.c_str(), &status, 0) != 0) return;
  real::UnlinkAt(AT_FDCWD, saved.c_str(), 0);
  if (status.st_nlink > 1) return;
  const auto found = files_.find({status.st_dev, status.st_ino});
  if (found == files_.end() || found->second->id() != id) return;
  if (found->second->open_count > 0) {
    found->second->gone = true;
    return;
  }
  found->second->Forget();
  removed_files_.push_back(std::move(found->second));
  files_.erase(found);
}

}  // namespace holdfast::powercut
