// The core's values as text, in the form that etcd-raft's interaction tests print.
//
// One line without its newline, unless said otherwise. Where the original's form shows its language
// (quoted data, lists in brackets), so does this. Beyond the original: a message's read context, as
// ` Context:N`, since reads are numbered here.
//
// Pure functions without state.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_DESCRIBE_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_DESCRIBE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replication/raft/core.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

// The context of a ConfigChange that stands for a change of etcd-raft's first version: one step, a
// log entry type of its own. Describe* shows such entries as EntryConfChange.
inline constexpr std::string_view kFirstVersionContext = "v1";

// In double quotes, with Go's escapes.
std::string Quoted(std::string_view bytes);

// "v1 l2 r3 u4"
std::string DescribeSteps(const std::vector<ConfigStep>& steps);
// "3/17 EntryNormal \"data\""
std::string DescribeEntry(const Entry& entry);
// Each entry and a newline.
std::string DescribeEntries(const std::vector<Entry>& entries);
// " Entries:[3/17 EntryNormal \"data\"]"; none: nothing; several: one to a line, each line after
// `indent`.
std::string DescribeEntryList(const std::vector<Entry>& entries, std::string_view indent);
std::string DescribeHardState(const HardState& state);
std::string DescribeSoftState(const SoftState& state);
std::string_view DescribeRole(Role role);
std::string DescribeConfiguration(const Configuration& configuration);
std::string DescribeSnapshot(const SnapshotDescriptor& snapshot);

// "MsgApp"
std::string_view MessageTypeName(MessageType type);
// Several lines if it holds several entries or a snapshot; each but the first after `indent`.
std::string DescribeMessage(const Message& message, std::string_view indent = "");

// A follower as the leader sees it.
std::string DescribeProgress(const Progress& progress);
// One line each, ascending by id.
std::string DescribeProgresses(const Status& status);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_DESCRIBE_H_
