#include "replication/raft/testing/describe.h"

#include <array>
#include <cstddef>
#include <optional>

#include "replication/raft/configuration.h"

namespace holdfast::raft {
namespace {

template <class T>
std::string Number(T value) {
  return std::to_string(value.value());
}

std::string Hex(uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value % 16]);
    value /= 16;
  } while (value != 0);
  return text;
}

std::string IdList(const std::vector<ReplicaId>& ids) {
  std::string text = "[";
  for (const ReplicaId id : ids) text += (text.size() > 1 ? " " : "") + Number(id);
  return text + "]";
}

// How many bytes the UTF-8 character at the front has; 0: it is none.
size_t CharacterBytes(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  size_t size = 0;
  if (first >= 0xc2 && first <= 0xdf) size = 2;
  if (first >= 0xe0 && first <= 0xef) size = 3;
  if (first >= 0xf0 && first <= 0xf4) size = 4;
  if (size == 0 || bytes.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(bytes[i]) & 0xc0) != 0x80) return 0;
  }
  return size;
}

// The escape of a byte that is not shown as it is; 'x': by its number.
char EscapeOf(unsigned char byte) {
  constexpr std::string_view kBytes = "\a\b\f\n\r\t\v\\\"";
  constexpr std::string_view kEscapes = "abfnrtv\\\"";
  const size_t at = kBytes.find(static_cast<char>(byte));
  return at == std::string_view::npos ? 'x' : kEscapes[at];
}

std::string ConfigEntryText(const Entry& entry) {
  const std::optional<ConfigChange> change =
      DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
  if (!change.has_value()) return "EntryConfChangeV2 malformed";
  const bool first = change->context == kFirstVersionContext;
  const std::string steps = DescribeSteps(change->steps);
  return std::string(first ? "EntryConfChange" : "EntryConfChangeV2") +
         (steps.empty() ? "" : " " + steps);
}

}  // namespace

std::string Quoted(std::string_view bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size();) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const size_t size = byte >= 0x80 ? CharacterBytes(bytes.substr(i)) : 0;
    if (size > 0) {
      text += bytes.substr(i, size);
      i += size;
      continue;
    }
    ++i;
    if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
      text += static_cast<char>(byte);
      continue;
    }
    text += '\\';
    text += EscapeOf(byte);
    if (text.back() == 'x') text += (byte < 0x10 ? "0" : "") + Hex(byte);
  }
  return text + "\"";
}

std::string DescribeSteps(const std::vector<ConfigStep>& steps) {
  constexpr std::string_view kLetters = "vrul";  // by ConfigStep::Kind
  std::string text;
  for (const ConfigStep& step : steps) {
    if (!text.empty()) text += ' ';
    text += kLetters[static_cast<size_t>(step.kind)];
    text += Number(step.replica);
  }
  return text;
}

std::string DescribeEntry(const Entry& entry) {
  const std::string place = Number(entry.term) + "/" + Number(entry.index) + " ";
  if (entry.type == EntryType::kConfiguration) return place + ConfigEntryText(entry);
  return place + "EntryNormal " + Quoted(entry.data == nullptr ? std::string_view() : *entry.data);
}

std::string DescribeEntries(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += DescribeEntry(entry) + "\n";
  return text;
}

std::string DescribeEntryList(const std::vector<Entry>& entries, std::string_view indent) {
  if (entries.empty()) return "";
  if (entries.size() == 1) return " Entries:[" + DescribeEntry(entries[0]) + "]";
  std::string text = " Entries:[";
  for (const Entry& entry : entries) {
    text += "\n" + std::string(indent) + "  " + DescribeEntry(entry);
  }
  return text + "\n" + std::string(indent) + "]";
}

std::string DescribeHardState(const HardState& state) {
  std::string text = "Term:" + Number(state.term);
  if (state.vote != ReplicaId()) text += " Vote:" + Number(state.vote);
  return text + " Commit:" + Number(state.commit);
}

std::string_view DescribeRole(Role role) {
  constexpr std::array<std::string_view, 4> kNames = {"StateFollower", "StateCandidate",
                                                      "StateLeader", "StatePreCandidate"};
  return kNames[static_cast<size_t>(role)];
}

std::string DescribeSoftState(const SoftState& state) {
  return "Lead:" + Number(state.leader) + " State:" + std::string(DescribeRole(state.role));
}

std::string DescribeConfiguration(const Configuration& configuration) {
  return "Voters:" + IdList(configuration.voters) +
         " VotersOutgoing:" + IdList(configuration.voters_outgoing) +
         " Learners:" + IdList(configuration.learners) +
         " LearnersNext:" + IdList(configuration.learners_next) +
         " AutoLeave:" + (configuration.auto_leave ? "true" : "false");
}

std::string DescribeSnapshot(const SnapshotDescriptor& snapshot) {
  return "Index:" + Number(snapshot.index) + " Term:" + Number(snapshot.term) +
         " ConfState:" + DescribeConfiguration(snapshot.configuration);
}

std::string_view MessageTypeName(MessageType type) {
  constexpr std::array<std::string_view, 24> kNames = {"MsgHup",
                                                       "MsgBeat",
                                                       "MsgProp",
                                                       "MsgApp",
                                                       "MsgAppResp",
                                                       "MsgVote",
                                                       "MsgVoteResp",
                                                       "MsgSnap",
                                                       "MsgHeartbeat",
                                                       "MsgHeartbeatResp",
                                                       "MsgUnreachable",
                                                       "MsgSnapStatus",
                                                       "MsgCheckQuorum",
                                                       "MsgTransferLeader",
                                                       "MsgTimeoutNow",
                                                       "MsgReadIndex",
                                                       "MsgReadIndexResp",
                                                       "MsgPreVote",
                                                       "MsgPreVoteResp",
                                                       "MsgStorageAppend",
                                                       "MsgStorageAppendResp",
                                                       "MsgStorageApply",
                                                       "MsgStorageApplyResp",
                                                       "MsgForgetLeader"};
  return kNames[static_cast<size_t>(type)];
}

std::string DescribeMessage(const Message& message, std::string_view indent) {
  std::string text = Hex(message.from.value()) + "->" + Hex(message.to.value()) + " " +
                     std::string(MessageTypeName(message.type)) + " Term:" + Number(message.term) +
                     " Log:" + Number(message.log_term) + "/" + Number(message.index);
  if (message.reject) text += " Rejected (Hint: " + Number(message.reject_hint) + ")";
  if (message.commit != LogIndex()) text += " Commit:" + Number(message.commit);
  if (message.context != 0) text += " Context:" + std::to_string(message.context);
  text += DescribeEntryList(message.entries, indent);
  if (message.snapshot != nullptr && !message.snapshot->empty()) {
    text += "\n" + std::string(indent) + "  Snapshot: " + DescribeSnapshot(*message.snapshot);
  }
  return text;
}

std::string DescribeProgress(const Progress& progress) {
  constexpr std::array<std::string_view, 3> kNames = {"StateProbe", "StateReplicate",
                                                      "StateSnapshot"};
  std::string text = std::string(kNames[static_cast<size_t>(progress.state)]) +
                     " match=" + Number(progress.match) + " next=" + Number(progress.next);
  if (progress.learner) text += " learner";
  if (progress.append_paused || progress.state == ProgressState::kSnapshot) text += " paused";
  if (progress.pending_snapshot != LogIndex()) {
    text += " pendingSnap=" + Number(progress.pending_snapshot);
  }
  if (!progress.recent_active) text += " inactive";
  if (progress.inflight_messages > 0) {
    text += " inflight=" + std::to_string(progress.inflight_messages);
    if (progress.inflight_full) text += "[full]";
  }
  return text;
}

std::string DescribeProgresses(const Status& status) {
  std::string text;
  for (const auto& [id, progress] : status.progress) {
    text += Number(id) + ": " + DescribeProgress(progress) + "\n";
  }
  return text;
}

}  // namespace holdfast::raft
