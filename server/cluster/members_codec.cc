#include "server/cluster/members_codec.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {
namespace {

using nlohmann::json;

constexpr uint64_t kFormat = 1;
constexpr const char* kStates[] = {"voter", "learner", "leaving"};

std::optional<uint64_t> Number(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_number_unsigned()) return std::nullopt;
  return it->get<uint64_t>();
}

std::optional<std::string> Text(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  return it->get<std::string>();
}

std::optional<DiskId> Disk(const std::string& text) {
  uint64_t disk = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), disk, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return DiskId(disk);
}

std::optional<ClusterMember> ReadMember(const json& object) {
  if (!object.is_object() || object.size() != 4) return std::nullopt;
  const std::optional<uint64_t> node = Number(object, "node_id");
  const std::optional<std::string> disk = Text(object, "disk_id");
  const std::optional<std::string> address = Text(object, "address");
  const std::optional<std::string> state = Text(object, "state");
  if (!node || !disk || !address || !state) return std::nullopt;
  const std::optional<DiskId> disk_id = Disk(*disk);
  if (*node == 0 || !disk_id) return std::nullopt;
  for (size_t i = 0; i < std::size(kStates); ++i) {
    if (*state != kStates[i]) continue;
    return ClusterMember{.node = NodeId(*node),
                         .disk = *disk_id,
                         .address = *address,
                         .state = static_cast<MemberState>(i)};
  }
  return std::nullopt;
}

}  // namespace

std::string EncodeMembers(const MembersView& view) {
  CHECK_LE(view.members.size(), kMembersMax);
  json members = json::array();
  for (const auto& [node, member] : view.members) {
    members.push_back({{"node_id", node.value()},
                       {"disk_id", absl::StrCat(absl::Hex(member.disk.value(), absl::kZeroPad16))},
                       {"address", member.address},
                       {"state", kStates[static_cast<size_t>(member.state)]}});
  }
  const json fields = {
      {"format", kFormat}, {"version", view.version}, {"members", std::move(members)}};
  // What is not UTF-8 in an address is replaced: it is no address anyway.
  return fields.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<MembersView> DecodeMembers(std::string_view text) {
  const auto damaged = [](const char* why) {
    return absl::DataLossError(absl::StrCat("the members of the cluster cannot be read: ", why));
  };
  const json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) return damaged("not a JSON object");
  const std::optional<uint64_t> format = Number(fields, "format");
  if (!format || *format == 0) return damaged("no format");
  if (*format > kFormat) {
    return absl::UnimplementedError(absl::StrCat("the members of the cluster have format ", *format,
                                                 "; this program knows format ", kFormat));
  }
  MembersView view;
  const std::optional<uint64_t> version = Number(fields, "version");
  const auto members = fields.find("members");
  if (!version || members == fields.end() || !members->is_array() || fields.size() != 3) {
    return damaged("another form");
  }
  view.version = *version;
  if (members->size() > kMembersMax) return damaged("more than 64 members");
  for (const json& object : *members) {
    std::optional<ClusterMember> member = ReadMember(object);
    if (!member.has_value()) return damaged("a member has another form");
    const NodeId node = member->node;
    if (!view.members.emplace(node, *std::move(member)).second) return damaged("a repeated node");
  }
  return view;
}

}  // namespace holdfast
