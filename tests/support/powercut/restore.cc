#include "tests/support/powercut/restore.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "base/status_macros.h"
#include "tests/support/powercut/file_restore.h"
#include "tests/support/powercut/format.h"

namespace holdfast::powercut {
namespace {

namespace fs = std::filesystem;
using Key = std::pair<uint64_t, uint64_t>;  // device, inode number

absl::Status Failed(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

// A file of the journal, mapped while this lives.
class Mapping {
 public:
  static absl::StatusOr<std::unique_ptr<Mapping>> Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return Failed("open", path);
    struct stat status;
    void* at = MAP_FAILED;
    if (fstat(fd, &status) == 0) {
      at = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, fd, 0);
    }
    const absl::Status failure = Failed("mmap", path);
    close(fd);
    if (at == MAP_FAILED) return failure;
    return std::unique_ptr<Mapping>(new Mapping(at, static_cast<size_t>(status.st_size)));
  }
  ~Mapping() { munmap(at_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  template <class T>
  T* as() {
    return static_cast<T*>(at_);
  }
  std::string_view bytes() const { return {static_cast<const char*>(at_), size_}; }

 private:
  Mapping(void* at, size_t size) : at_(at), size_(size) {}
  void* const at_;
  const size_t size_;
};

// Where things are now, by device and inode number.
class Places {
 public:
  absl::Status Scan(const std::string& directory) {
    RETURN_IF_ERROR(Add(directory));
    std::error_code error;
    for (auto entry = fs::recursive_directory_iterator(directory, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      RETURN_IF_ERROR(Add(entry->path().string()));
    }
    if (error) return absl::InternalError(absl::StrCat("scan ", directory, error.message()));
    return absl::OkStatus();
  }
  const std::string* Find(const Key& key) const {
    const auto found = places_.find(key);
    return found == places_.end() ? nullptr : &found->second;
  }

 private:
  absl::Status Add(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) return Failed("lstat", path);
    places_.emplace(Key{status.st_dev, status.st_ino}, path);
    return absl::OkStatus();
  }
  std::map<Key, std::string> places_;
};

class Restorer {
 public:
  Restorer(std::string root, std::string journal, const RestoreOptions& options)
      : root_(std::move(root)),
        journal_(std::move(journal)),
        random_(options.seed),
        keep_(options.keep) {}

  absl::StatusOr<RestoreReport> Run() {
    const int lock = open((journal_ + "/lock").c_str(), O_RDWR | O_CLOEXEC);
    if (lock < 0) return Failed("open the lock of", journal_);
    absl::Status done = absl::FailedPreconditionError(
        absl::StrCat("the journal ", journal_, " is in use: is the process still there?"));
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) done = RunLocked();
    close(lock);
    if (!done.ok()) return done;
    return report_;
  }

 private:
  absl::Status RunLocked() {
    if (!JournalIsMade()) return absl::OkStatus();
    ASSIGN_OR_RETURN(control_, Mapping::Open(journal_ + "/control"));
    ASSIGN_OR_RETURN(slots_, Mapping::Open(journal_ + "/inodes"));
    ASSIGN_OR_RETURN(directories_, Mapping::Open(journal_ + "/directories"));
    ASSIGN_OR_RETURN(names_, Mapping::Open(journal_ + "/names"));
    report_.syncs = control_->as<Control>()->syncs;
    RETURN_IF_ERROR(places_.Scan(root_));
    RETURN_IF_ERROR(places_.Scan(journal_ + "/saved"));
    RETURN_IF_ERROR(RestoreContents());
    FindDirectories();
    RETURN_IF_ERROR(RestoreNames());
    return EmptyJournal();
  }

  // Whether the process came as far as having a journal: it is made, the names last, before the
  // process can change anything.
  bool JournalIsMade() const {
    std::error_code error;
    const uint64_t size = fs::file_size(journal_ + "/names", error);
    return !error && size >= sizeof(NamesHeader);
  }

  absl::Status RestoreContents() {
    for (uint64_t id = 1; id < control_->as<Control>()->inode_ids; ++id) {
      const Slot& slot = slots_->as<Slot>()[id];
      if (slot.in_use == 0) continue;
      const std::string* const path = places_.Find({slot.device, slot.inode});
      if (path == nullptr) continue;  // no name is left: nothing to come back
      std::unique_ptr<Mapping> area;
      const uint64_t tail = slot.tail[slot.active];
      if (tail > 0) {
        ASSIGN_OR_RETURN(area,
                         Mapping::Open(absl::StrCat(journal_, "/undo.", id, ".", slot.active)));
      }
      FileRestore file(slot, area == nullptr ? std::string_view() : area->bytes().substr(0, tail),
                       keep_ == Keep::kRandomPart ? &random_ : nullptr, &report_);
      RETURN_IF_ERROR(file.Run(*path));
    }
    return absl::OkStatus();
  }

  void FindDirectories() {
    const auto* const slots = directories_->as<DirectorySlot>();
    for (uint32_t id = 1; id < kDirectoriesMax && slots[id].in_use != 0; ++id) {
      const std::string* const path = places_.Find({slots[id].device, slots[id].inode});
      if (path != nullptr && slots[id].gone == 0) directory_paths_[id] = *path;
    }
  }

  NameRecord* NameAt(uint64_t index) {
    return reinterpret_cast<NameRecord*>(names_->as<char>() + sizeof(NamesHeader)) + index;
  }

  absl::Status RestoreNames() {
    std::vector<uint64_t> unsynced;
    for (uint64_t i = 0; i < names_->as<NamesHeader>()->count; ++i) {
      const auto state = static_cast<NameState>(NameAt(i)->state);
      if (state == NameState::kIntent || state == NameState::kDone) unsynced.push_back(i);
    }
    if (keep_ == Keep::kRandomPart) report_.names_kept = random_.Below(unsynced.size() + 1);
    for (size_t i = unsynced.size(); i-- > report_.names_kept;) {
      RETURN_IF_ERROR(UndoName(*NameAt(unsynced[i])));
      ++report_.names_undone;
    }
    return absl::OkStatus();
  }

  // The path that (directory, name) stands for now; nothing when the directory is gone.
  std::optional<std::string> PathOf(uint32_t directory, const char* name) const {
    const auto found = directory_paths_.find(directory);
    if (found == directory_paths_.end()) return std::nullopt;
    return absl::StrCat(found->second, "/", name);
  }

  static bool Names(const std::string& path, const NameRecord& record) {
    struct stat status;
    return lstat(path.c_str(), &status) == 0 && status.st_dev == record.device &&
           status.st_ino == record.inode_number;
  }

  // Brings file `id` back under `path`, if that name is free and the file was kept.
  absl::Status LinkSaved(uint32_t id, const std::string& path) const {
    const std::string saved = absl::StrCat(journal_, "/saved/", id);
    if (link(saved.c_str(), path.c_str()) == 0 || errno == EEXIST || errno == ENOENT) {
      return absl::OkStatus();
    }
    return Failed("link back", path);
  }

  absl::Status UndoName(const NameRecord& record) {
    const std::optional<std::string> path = PathOf(record.directory, record.name);
    if (!path.has_value()) return absl::OkStatus();
    switch (static_cast<NameKind>(record.kind)) {
      case NameKind::kCreate:
        if (unlink(path->c_str()) != 0 && errno != ENOENT) return Failed("unlink", *path);
        return absl::OkStatus();
      case NameKind::kUnlink:
        return LinkSaved(record.inode, *path);
      case NameKind::kMakeDirectory: {
        std::error_code error;
        fs::remove_all(*path, error);
        directory_paths_.erase(record.inode);
        return error ? absl::InternalError(absl::StrCat("remove ", *path)) : absl::OkStatus();
      }
      case NameKind::kRemoveDirectory:
        if (mkdir(path->c_str(), 0755) != 0 && errno != EEXIST) return Failed("mkdir", *path);
        directory_paths_[record.inode] = *path;
        return absl::OkStatus();
      case NameKind::kRename:
      case NameKind::kRenameDirectory:
        return UndoRename(record, *path);
    }
    return absl::InternalError(absl::StrCat("unknown kind of name record ", record.kind));
  }

  absl::Status UndoRename(const NameRecord& record, const std::string& from) {
    const std::optional<std::string> to = PathOf(record.directory2, record.name2);
    if (!to.has_value() || !Names(*to, record)) return absl::OkStatus();  // it was not made
    if (rename(to->c_str(), from.c_str()) != 0) return Failed("rename back", from);
    if (static_cast<NameKind>(record.kind) == NameKind::kRenameDirectory) {
      for (auto& [id, path] : directory_paths_) {
        if (path == *to || path.compare(0, to->size() + 1, *to + "/") == 0) {
          path = from + path.substr(to->size());
        }
      }
    }
    return record.replaced == 0 ? absl::OkStatus() : LinkSaved(record.replaced, *to);
  }

  // Everything but the lock and the switches.
  absl::Status EmptyJournal() {
    std::error_code error;
    std::vector<fs::path> doomed;
    for (const auto& entry : fs::directory_iterator(journal_, error)) {
      const std::string name = entry.path().filename().string();
      if (name != "lock" && name != "control") doomed.push_back(entry.path());
    }
    for (const fs::path& path : doomed) fs::remove_all(path, error);
    Control* const control = control_->as<Control>();
    control->syncs = 0;
    control->writes = 0;
    control->inode_ids = 0;
    return error ? absl::InternalError(absl::StrCat("empty ", journal_, error.message()))
                 : absl::OkStatus();
  }

  const std::string root_;
  const std::string journal_;
  Prng random_;
  const Keep keep_;
  RestoreReport report_;
  Places places_;
  std::map<uint32_t, std::string> directory_paths_;
  std::unique_ptr<Mapping> control_;
  std::unique_ptr<Mapping> slots_;
  std::unique_ptr<Mapping> directories_;
  std::unique_ptr<Mapping> names_;
};

}  // namespace

std::string RestoreReport::ToString() const {
  return absl::StrCat("files_changed=", files_changed, " writes_undone=", writes_undone,
                      " writes_kept=", writes_kept, " bytes_undone=", bytes_undone,
                      " names_undone=", names_undone, " names_kept=", names_kept, " syncs=", syncs);
}

absl::StatusOr<RestoreReport> Restore(const std::string& root, const std::string& journal,
                                      const RestoreOptions& options) {
  return Restorer(root, journal, options).Run();
}

absl::Status SetDiskFault(const std::string& journal, DiskFault fault, uint64_t after_calls) {
  ASSIGN_OR_RETURN(auto mapping, Mapping::Open(journal + "/control"));
  constexpr FailMode kModes[] = {FailMode::kNone, FailMode::kNoSpace, FailMode::kSyncError,
                                 FailMode::kReadOnly};
  Control* const control = mapping->as<Control>();
  std::atomic_ref(control->fail_after_calls).store(after_calls);
  std::atomic_ref(control->fail_mode)
      .store(static_cast<uint32_t>(kModes[static_cast<size_t>(fault)]));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> InjectedFailures(const std::string& journal) {
  ASSIGN_OR_RETURN(auto mapping, Mapping::Open(journal + "/control"));
  return std::atomic_ref(mapping->as<Control>()->failures).load();
}

}  // namespace holdfast::powercut
