// A configuration change as bytes of a log entry, and a configuration as bytes of stored rows.
//
// Layout (FORMAT.md of this folder). Pure; functions without state.

#ifndef HOLDFAST_REPLICATION_RAFT_CONFIGURATION_H_
#define HOLDFAST_REPLICATION_RAFT_CONFIGURATION_H_

#include <optional>
#include <string>
#include <string_view>

#include "replication/raft/types.h"

namespace holdfast::raft {

std::string EncodeConfigChange(const ConfigChange& change);
// nullopt: not what EncodeConfigChange writes. No bytes: a change without steps.
std::optional<ConfigChange> DecodeConfigChange(std::string_view bytes);

std::string EncodeConfiguration(const Configuration& configuration);
std::optional<Configuration> DecodeConfiguration(std::string_view bytes);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_CONFIGURATION_H_
