#include "server/data_dir/data_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "xxhash.h"

namespace holdfast {
namespace {

using nlohmann::json;

constexpr int kFormat = 2;
constexpr int kFormatRecovery = 3;  // with a recovery that has not ended
constexpr int kFormatAlone = 1;     // without members: every cluster was of one node
constexpr uint32_t kShardsDefault = 16;
constexpr uint32_t kShardsMax = 4096;

absl::Status FromErrno(const std::string& what) { return ErrnoStatus(errno, what); }

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FromErrno(absl::StrCat("open directory ", path));
  const int result = fsync(fd);
  const absl::Status status =
      result == 0 ? absl::OkStatus() : FromErrno(absl::StrCat("fsync directory ", path));
  close(fd);
  return status;
}

enum class Durability { kNone, kSynced };

// Replaces `path` by `content` in one step: a crash leaves the old file or the new one.
absl::Status ReplaceFile(const std::string& directory, const std::string& name,
                         const std::string& content, Durability durability) {
  const std::string path = directory + "/" + name;
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FromErrno(absl::StrCat("create ", temporary));
  absl::Status status;
  for (size_t done = 0; done < content.size() && status.ok();) {
    const ssize_t n = write(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = FromErrno(absl::StrCat("write ", temporary));
    done += n > 0 ? static_cast<size_t>(n) : 0;
  }
  if (status.ok() && durability == Durability::kSynced && fsync(fd) != 0) {
    status = FromErrno(absl::StrCat("fsync ", temporary));
  }
  close(fd);
  RETURN_IF_ERROR(status);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return FromErrno(absl::StrCat("rename ", temporary, " to ", path));
  }
  return durability == Durability::kSynced ? SyncDirectory(directory) : absl::OkStatus();
}

std::string Hex(uint64_t v) { return absl::StrFormat("%016x", v); }

std::string ChecksumOf(const json& fields) {
  const std::string text = fields.dump();
  return Hex(XXH3_64bits(text.data(), text.size()));
}

absl::StatusOr<uint64_t> RandomNumber() {
  uint64_t number = 0;
  while (number == 0) {
    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) return FromErrno("getrandom");
  }
  return number;
}

json ToJson(const std::vector<InitialMember>& members) {
  json list = json::array();
  for (const InitialMember& member : members) {
    list.push_back({{"node_id", member.node.value()},
                    {"disk_id", Hex(member.disk.value())},
                    {"address", member.address}});
  }
  return list;
}

std::string ToText(const Identity& identity) {
  json fields = {{"format", identity.recovery.has_value() ? kFormatRecovery : kFormat},
                 {"cluster_id", identity.cluster.cluster_id},
                 {"node_id", identity.node.value()},
                 {"disk_id", Hex(identity.disk.value())},
                 {"shards", identity.cluster.shards},
                 {"initial_members", ToJson(identity.cluster.members)},
                 {"incarnation", identity.incarnation}};
  if (identity.recovery.has_value()) {
    fields["recovery"] = {{"cluster_id", identity.recovery->cluster_id},
                          {"initial_members", ToJson(identity.recovery->members)}};
  }
  fields["checksum"] = ChecksumOf(fields);
  return fields.dump(2) + "\n";
}

DiskId DiskFromText(const std::string& text) {
  return DiskId(std::strtoull(text.c_str(), nullptr, 16));
}

std::vector<InitialMember> MembersOf(const json& fields) {
  std::vector<InitialMember> members;
  for (const json& member : fields.value("initial_members", json::array())) {
    members.push_back({.node = NodeId(member.value("node_id", uint64_t{0})),
                       .disk = DiskFromText(member.value("disk_id", "")),
                       .address = member.value("address", "")});
  }
  return members;
}

absl::StatusOr<Identity> FromText(const std::string& path, const std::string& text) {
  const auto damaged = [&](const std::string& why) {
    return absl::DataLossError(absl::StrCat(
        path, " is damaged: ", why, ". Restore this node from another replica or a backup"));
  };
  json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object() || !fields.contains("checksum")) return damaged("not a JSON object");
  const json checksum = fields["checksum"];
  fields.erase("checksum");
  if (checksum != json(ChecksumOf(fields))) return damaged("its checksum does not match");
  const int format = fields.value("format", 0);
  if (format < kFormatAlone || format > kFormatRecovery) {
    return absl::UnimplementedError(absl::StrCat(path, " has format ", format,
                                                 "; this program knows formats ", kFormatAlone,
                                                 " to ", kFormatRecovery));
  }
  Identity identity;
  identity.node = NodeId(fields.value("node_id", uint64_t{0}));
  identity.disk = DiskFromText(fields.value("disk_id", ""));
  identity.incarnation = fields.value("incarnation", uint64_t{0});
  InitialCluster& cluster = identity.cluster;
  cluster.cluster_id = fields.value("cluster_id", "");
  cluster.shards = fields.value("shards", 0u);
  if (format == kFormatAlone) {
    cluster.members = {{.node = identity.node, .disk = identity.disk, .address = {}}};
    return identity;
  }
  cluster.members = MembersOf(fields);
  if (format == kFormatRecovery) {
    const json recovery = fields.value("recovery", json::object());
    identity.recovery = InitialCluster{.cluster_id = recovery.value("cluster_id", ""),
                                       .shards = cluster.shards,
                                       .members = MembersOf(recovery)};
  }
  return identity;
}

bool HoldsFiles(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    found |= name != "." && name != ".." && name != "LOCK" && name != "identity.json.new" &&
             name != "lost+found";
  }
  closedir(directory);
  return found;
}

absl::StatusOr<Identity> Draw(const DataDir::Wanted& wanted) {
  Identity identity;
  ASSIGN_OR_RETURN(const uint64_t disk, RandomNumber());
  identity.disk = DiskId(disk);
  identity.node = wanted.node;
  identity.cluster.shards = wanted.shards == 0 ? kShardsDefault : wanted.shards;
  if (wanted.cluster == DataDir::Wanted::Cluster::kAlone) {
    ASSIGN_OR_RETURN(identity.cluster,
                     MakeCluster(identity.cluster.shards,
                                 {{.node = identity.node, .disk = identity.disk, .address = {}}}));
  }
  return identity;
}

}  // namespace

const InitialMember* InitialCluster::Find(NodeId node) const {
  for (const InitialMember& member : members) {
    if (member.node == node) return &member;
  }
  return nullptr;
}

absl::StatusOr<InitialCluster> MakeCluster(uint32_t shards, std::vector<InitialMember> members) {
  ASSIGN_OR_RETURN(const uint64_t high, RandomNumber());
  ASSIGN_OR_RETURN(const uint64_t low, RandomNumber());
  return InitialCluster{
      .cluster_id = Hex(high) + Hex(low), .shards = shards, .members = std::move(members)};
}

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Open(const std::string& path,
                                                       const Wanted& wanted) {
  if (wanted.shards > kShardsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("shards = ", wanted.shards, " is out of [1, ", kShardsMax, "]"));
  }
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return FromErrno(absl::StrCat("create data directory ", path));
  }
  // Its entry in the parent, too, must survive a power cut; also when an earlier start made it
  // and did not come this far.
  RETURN_IF_ERROR(SyncDirectory(path + "/.."));
  ASSIGN_OR_RETURN(std::unique_ptr<DataDir> dir, Lock(path));
  RETURN_IF_ERROR(dir->LoadOrCreate(wanted));
  return dir;
}

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::OpenForRepair(const std::string& path) {
  struct stat info;
  if (stat((path + "/identity.json").c_str(), &info) != 0) {
    return FromErrno(absl::StrCat(path, " is no data directory of holdfast: open identity.json"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<DataDir> dir, Lock(path));
  RETURN_IF_ERROR(dir->Load().status());
  if (dir->identity_.has_cluster()) return dir;
  return absl::FailedPreconditionError(
      absl::StrCat(path, " was begun for a cluster that it has not joined: it holds nothing"));
}

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Lock(const std::string& path) {
  const std::string lock = path + "/LOCK";
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return FromErrno(absl::StrCat("open ", lock));
  std::unique_ptr<DataDir> dir(new DataDir(path, fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FromErrno(absl::StrCat("lock ", lock));
    return absl::FailedPreconditionError(absl::StrCat(
        "the data directory ", path, " is in use by another process (", lock, " is locked)"));
  }
  return dir;
}

DataDir::~DataDir() { close(lock_fd_); }

absl::StatusOr<bool> DataDir::Load() {
  const std::string path = path_ + "/identity.json";
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  std::ostringstream text;
  text << file.rdbuf();
  ASSIGN_OR_RETURN(identity_, FromText(path, text.str()));
  return true;
}

absl::Status DataDir::LoadOrCreate(const Wanted& wanted) {
  ASSIGN_OR_RETURN(const bool is_used, Load());
  if (!is_used) {
    if (HoldsFiles(path_)) {
      return absl::FailedPreconditionError(
          absl::StrCat(path_,
                       " holds files but no identity.json: it is not a data directory of "
                       "holdfast, or a damaged one. Use an empty directory"));
    }
    ASSIGN_OR_RETURN(identity_, Draw(wanted));
  }
  if (identity_.node != wanted.node) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " belongs to node ", identity_.node.value(), ", not to node ",
                     wanted.node.value(), ": use its own --node-id or another --data-dir"));
  }
  if (identity_.recovery.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the recovery of ", path_,
                     " was begun and has not ended: run holdfast cluster recover --unsafe "
                     "--data-dir ",
                     path_, " again"));
  }
  if (!identity_.has_cluster()) {
    if (wanted.cluster == Wanted::Cluster::kAlone) {
      return absl::FailedPreconditionError(
          absl::StrCat(path_,
                       " was begun for a cluster that it has not joined yet: start it with "
                       "the same --initial-cluster again, or use an empty directory"));
    }
    if (wanted.shards != 0) identity_.cluster.shards = wanted.shards;
  } else if (wanted.shards != 0 && identity_.cluster.shards != wanted.shards) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " has ", identity_.cluster.shards, " shards, not ", wanted.shards,
                     ": the number is fixed when a cluster is made; leave --shards out"));
  }
  Identity identity = identity_;
  ++identity.incarnation;
  return Replace(std::move(identity));
}

absl::Status DataDir::Replace(Identity identity) {
  RETURN_IF_ERROR(ReplaceFile(path_, "identity.json", ToText(identity), Durability::kSynced));
  identity_ = std::move(identity);
  return absl::OkStatus();
}

absl::Status DataDir::SetCluster(InitialCluster cluster) {
  CHECK(!identity_.has_cluster());
  CHECK(!cluster.cluster_id.empty());
  Identity identity = identity_;
  identity.cluster = std::move(cluster);
  if (identity.cluster.Find(identity.node) == nullptr) {
    const auto now = static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixSeconds(absl::Now()), 0));
    identity.incarnation = std::max(identity.incarnation, now);
  }
  return Replace(std::move(identity));
}

absl::Status DataDir::BeginRecovery(InitialCluster cluster) {
  CHECK(!identity_.recovery.has_value());
  CHECK(!cluster.cluster_id.empty());
  Identity identity = identity_;
  identity.recovery = std::move(cluster);
  return Replace(std::move(identity));
}

absl::Status DataDir::EndRecovery() {
  CHECK(identity_.recovery.has_value());
  Identity identity = identity_;
  identity.cluster = *std::exchange(identity.recovery, std::nullopt);
  return Replace(std::move(identity));
}

absl::Status DataDir::WriteMembers(const std::string& text) const {
  return ReplaceFile(path_, "members.json", text, Durability::kSynced);
}

absl::StatusOr<std::string> DataDir::ReadMembers() const {
  std::ifstream in(path_ + "/members.json", std::ios::binary);
  if (!in.is_open()) {
    if (errno == ENOENT) return std::string();
    return FromErrno(absl::StrCat("open ", path_, "/members.json"));
  }
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad() || text.bad()) return FromErrno(absl::StrCat("read ", path_, "/members.json"));
  return text.str();
}

absl::Status DataDir::WritePorts(const std::string& json) const {
  return ReplaceFile(path_, "ports.json", json, Durability::kNone);
}

}  // namespace holdfast
