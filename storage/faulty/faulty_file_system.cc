#include "storage/faulty/faulty_file_system.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr uint64_t kSectorBytes = 512;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

void WriteInto(std::string* contents, uint64_t offset, std::string_view bytes) {
  if (contents->size() < offset + bytes.size()) contents->resize(offset + bytes.size());
  std::memcpy(contents->data() + offset, bytes.data(), bytes.size());
}

}  // namespace

class FaultyFileSystem::FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem* owner, InodePointer inode)
      : owner_(owner), inode_(std::move(inode)) {}

  absl::Status Write(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::string bytes;
    for (std::string_view piece : pieces) bytes.append(piece);
    return owner_->WriteTo(inode_.get(), offset, std::move(bytes));
  }
  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> buffer) const override {
    return owner_->ReadFrom(*inode_, offset, buffer);
  }
  absl::Status Sync() override { return owner_->SyncInode(inode_.get()); }
  absl::Status Preallocate(uint64_t size) override {
    return owner_->Resize(inode_.get(), Change::Kind::kGrow, size);
  }
  absl::Status Truncate(uint64_t size) override {
    return owner_->Resize(inode_.get(), Change::Kind::kTruncate, size);
  }
  absl::StatusOr<uint64_t> Size() const override { return owner_->SizeOf(*inode_); }

 private:
  FaultyFileSystem* const owner_;
  const InodePointer inode_;
};

class FaultyFileSystem::FaultyLock final : public FileLock {
 public:
  FaultyLock(FaultyFileSystem* owner, std::string path) : owner_(owner), path_(std::move(path)) {}
  ~FaultyLock() override { owner_->Unlock(path_); }

 private:
  FaultyFileSystem* const owner_;
  const std::string path_;
};

void FaultyFileSystem::Apply(const Change& change, std::string* contents) {
  switch (change.kind) {
    case Change::Kind::kWrite:
      WriteInto(contents, change.offset, change.bytes);
      break;
    case Change::Kind::kGrow:
      if (contents->size() < change.offset) contents->resize(change.offset);
      break;
    case Change::Kind::kTruncate:
      contents->resize(change.offset);
      break;
  }
}

std::string FaultyFileSystem::Survivor(const Inode& inode, CrashKeeps keeps, Prng* prng) {
  std::string contents = inode.durable;
  if (keeps == CrashKeeps::kNothing) return contents;
  if (keeps == CrashKeeps::kEverything) {
    for (const Change& change : inode.unsynced) Apply(change, &contents);
    return contents;
  }
  for (const Change& change : inode.unsynced) {
    if (change.kind != Change::Kind::kWrite) {
      if (prng->Chance(1, 2)) Apply(change, &contents);
      continue;
    }
    // The size may have grown although the bytes did not arrive.
    if (prng->Chance(1, 2)) {
      const uint64_t end = change.offset + change.bytes.size();
      if (contents.size() < end) contents.resize(end);
    }
    const uint64_t odds = prng->Below(5);  // quarters of it that arrive
    const std::string_view bytes = change.bytes;
    uint64_t done = 0;
    while (done < bytes.size()) {
      const uint64_t position = change.offset + done;
      const uint64_t step = keeps == CrashKeeps::kBytes ? prng->Between(1, kSectorBytes)
                                                        : kSectorBytes - position % kSectorBytes;
      const std::string_view part = bytes.substr(done, step);
      if (prng->Chance(odds, 4)) WriteInto(&contents, position, part);
      done += part.size();
    }
  }
  return contents;
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::CrashImage(CrashKeeps keeps,
                                                               uint64_t seed) const {
  Prng prng(seed);
  auto image = std::make_unique<FaultyFileSystem>();
  absl::MutexLock lock(&mutex_);
  absl::MutexLock image_lock(&image->mutex_);
  std::map<std::string, InodePointer> names = durable_names_;
  for (const NameChange& change : unsynced_names_) {
    const bool kept =
        keeps == CrashKeeps::kEverything || (keeps != CrashKeeps::kNothing && prng.Chance(1, 2));
    if (!kept) continue;
    if (!change.erased.empty()) names.erase(change.erased);
    if (!change.set.empty()) names[change.set] = change.inode;
  }
  // One file may have two names: a rename was kept but not the removal before it.
  std::map<const Inode*, InodePointer> copies;
  for (const auto& [path, inode] : names) {
    InodePointer& copy = copies[inode.get()];
    if (copy == nullptr) {
      copy = std::make_shared<Inode>();
      copy->durable = Survivor(*inode, keeps, &prng);
      copy->current = copy->durable;
    }
    image->names_[path] = copy;
  }
  image->durable_names_ = image->names_;
  image->directories_ = directories_;
  return image;
}

uint64_t FaultyFileSystem::Count(FileOperation kind) const {
  absl::MutexLock lock(&mutex_);
  const auto found = counts_.find(kind);
  return found == counts_.end() ? 0 : found->second;
}

void FaultyFileSystem::CrashAt(uint64_t nth) {
  CHECK_GT(nth, 0u);
  absl::MutexLock lock(&mutex_);
  crash_at_ = counts_[FileOperation::kAny] + nth;
}

bool FaultyFileSystem::crashed() const {
  absl::MutexLock lock(&mutex_);
  return crashed_;
}

void FaultyFileSystem::FailAt(FileOperation kind, uint64_t nth, absl::Status error) {
  CHECK(!error.ok());
  absl::MutexLock lock(&mutex_);
  rules_.push_back({kind, counts_[kind] + nth, std::move(error)});
}

void FaultyFileSystem::SetSpace(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  space_bytes_ = bytes;
}

std::string FaultyFileSystem::Contents(const std::string& path) const {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  CHECK(found != names_.end());
  return found->second->current;
}

void FaultyFileSystem::SetContents(const std::string& path, std::string contents) {
  absl::MutexLock lock(&mutex_);
  InodePointer& inode = names_[path];
  if (inode == nullptr) inode = std::make_shared<Inode>();
  durable_names_[path] = inode;
  inode->current = contents;
  inode->durable = std::move(contents);
  inode->unsynced.clear();
}

absl::Status FaultyFileSystem::Begin(FileOperation kind) {
  if (crashed_) return absl::UnknownError("the power is off");
  const uint64_t of_kind = ++counts_[kind];
  const uint64_t of_all = ++counts_[FileOperation::kAny];
  if (of_all >= crash_at_) {
    crashed_ = true;
    return absl::UnknownError("the power went off");
  }
  for (const Rule& rule : rules_) {
    const uint64_t count = rule.kind == FileOperation::kAny ? of_all : of_kind;
    if ((rule.kind == FileOperation::kAny || rule.kind == kind) && rule.at == count) {
      return rule.error;
    }
  }
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::CheckSpace(const Inode& inode, uint64_t size) {
  if (size <= inode.current.size() || space_bytes_ == UINT64_MAX) return absl::OkStatus();
  uint64_t used = size - inode.current.size();
  for (const auto& [path, other] : names_) used += other->current.size();
  if (used <= space_bytes_) return absl::OkStatus();
  return absl::ResourceExhaustedError("No space left on device");
}

void FaultyFileSystem::ChangeName(NameChange change) {
  if (!change.erased.empty()) names_.erase(change.erased);
  if (!change.set.empty()) names_[change.set] = change.inode;
  unsynced_names_.push_back(std::move(change));
}

absl::Status FaultyFileSystem::WriteTo(Inode* inode, uint64_t offset, std::string bytes) {
  absl::MutexLock lock(&mutex_);
  const bool was_on = !crashed_;
  absl::Status status = Begin(FileOperation::kWrite);
  if (status.ok()) status = CheckSpace(*inode, offset + bytes.size());
  if (!status.ok() && !was_on) return status;
  if (!status.ok() && !crashed_) bytes.resize(bytes.size() / 2);
  if (bytes.empty()) return status;
  Change change{Change::Kind::kWrite, offset, std::move(bytes)};
  Apply(change, &inode->current);
  inode->unsynced.push_back(std::move(change));
  return status;
}

absl::Status FaultyFileSystem::SyncInode(Inode* inode) {
  absl::MutexLock lock(&mutex_);
  const absl::Status status = Begin(FileOperation::kSync);
  if (crashed_) return status;
  if (status.ok()) {
    for (const Change& change : inode->unsynced) Apply(change, &inode->durable);
  }
  inode->unsynced.clear();
  return status;
}

absl::Status FaultyFileSystem::Resize(Inode* inode, Change::Kind kind, uint64_t size) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(
      Begin(kind == Change::Kind::kGrow ? FileOperation::kPreallocate : FileOperation::kTruncate));
  RETURN_IF_ERROR(CheckSpace(*inode, size));
  Change change{kind, size, ""};
  Apply(change, &inode->current);
  inode->unsynced.push_back(std::move(change));
  return absl::OkStatus();
}

absl::StatusOr<size_t> FaultyFileSystem::ReadFrom(const Inode& inode, uint64_t offset,
                                                  std::span<char> buffer) {
  absl::MutexLock lock(&mutex_);
  if (offset >= inode.current.size()) return size_t{0};
  const size_t size = std::min<size_t>(buffer.size(), inode.current.size() - offset);
  std::memcpy(buffer.data(), inode.current.data() + offset, size);
  return size;
}

uint64_t FaultyFileSystem::SizeOf(const Inode& inode) const {
  absl::MutexLock lock(&mutex_);
  return inode.current.size();
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path,
                                                             OpenMode mode) {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  if (mode != OpenMode::kCreate) {
    if (found == names_.end()) return absl::NotFoundError(absl::StrCat("open ", path));
    return std::make_unique<FaultyFile>(this, found->second);
  }
  if (found != names_.end()) return absl::AlreadyExistsError(absl::StrCat("create ", path));
  if (directories_.count(DirectoryOf(path)) == 0) {
    return absl::NotFoundError(absl::StrCat("create ", path, ": no such directory"));
  }
  RETURN_IF_ERROR(Begin(FileOperation::kCreate));
  auto inode = std::make_shared<Inode>();
  ChangeName({DirectoryOf(path), "", path, inode});
  return std::make_unique<FaultyFile>(this, inode);
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  if (directories_.count(directory) == 0) {
    return absl::NotFoundError(absl::StrCat("list ", directory));
  }
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (DirectoryOf(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("rename ", from));
  RETURN_IF_ERROR(Begin(FileOperation::kRename));
  ChangeName({DirectoryOf(from), from, to, found->second});
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (names_.count(path) == 0) return absl::NotFoundError(absl::StrCat("remove ", path));
  RETURN_IF_ERROR(Begin(FileOperation::kRemove));
  ChangeName({DirectoryOf(path), path, "", nullptr});
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::CreateDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  directories_.insert(path);
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Begin(FileOperation::kSyncDirectory));
  std::vector<NameChange> others;
  for (NameChange& change : unsynced_names_) {
    if (change.directory != path) {
      others.push_back(std::move(change));
      continue;
    }
    if (!change.erased.empty()) durable_names_.erase(change.erased);
    if (!change.set.empty()) durable_names_[change.set] = change.inode;
  }
  unsynced_names_ = std::move(others);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> FaultyFileSystem::Lock(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!locks_.insert(path).second) {
    return absl::UnavailableError(absl::StrCat("lock ", path, ": held"));
  }
  return std::make_unique<FaultyLock>(this, path);
}

void FaultyFileSystem::Unlock(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  locks_.erase(path);
}

}  // namespace holdfast
