#include "replication/raft/configuration.h"

#include <vector>

#include "base/coding.h"
#include "replication/raft/config_changer.h"

namespace holdfast::raft {
namespace {

constexpr uint8_t kFormatVersion = 1;

void PutIds(std::string* out, const std::vector<ReplicaId>& ids) {
  PutVarint(out, ids.size());
  for (const ReplicaId id : ids) PutFixed64(out, id.value());
}

bool ReadIds(ByteReader* in, std::vector<ReplicaId>* ids) {
  uint64_t count = 0;
  if (!in->Varint(&count) || count > in->remaining() / sizeof(uint64_t)) return false;
  ids->reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t id = 0;
    if (!in->Fixed64(&id)) return false;
    ids->push_back(ReplicaId(id));
  }
  return true;
}

bool ReadVersion(ByteReader* in) {
  uint8_t version = 0;
  return in->Fixed8(&version) && version == kFormatVersion;
}

}  // namespace

std::string EncodeConfigChange(const ConfigChange& change) {
  std::string out;
  if (change == ConfigChange()) return out;
  PutFixed8(&out, kFormatVersion);
  PutFixed8(&out, static_cast<uint8_t>(change.transition));
  PutVarint(&out, change.steps.size());
  for (const ConfigStep& step : change.steps) {
    PutFixed8(&out, static_cast<uint8_t>(step.kind));
    PutFixed64(&out, step.replica.value());
  }
  PutBytes(&out, change.context);
  return out;
}

std::optional<ConfigChange> DecodeConfigChange(std::string_view bytes) {
  ConfigChange change;
  if (bytes.empty()) return change;
  ByteReader in(bytes);
  uint8_t transition = 0;
  uint64_t count = 0;
  if (!ReadVersion(&in) || !in.Fixed8(&transition) || !in.Varint(&count)) return std::nullopt;
  if (transition > static_cast<uint8_t>(ConfigChange::Transition::kExplicit)) return std::nullopt;
  if (count > in.remaining()) return std::nullopt;
  change.transition = static_cast<ConfigChange::Transition>(transition);
  for (uint64_t i = 0; i < count; ++i) {
    uint8_t kind = 0;
    uint64_t replica = 0;
    if (!in.Fixed8(&kind) || !in.Fixed64(&replica)) return std::nullopt;
    if (kind > static_cast<uint8_t>(ConfigStep::Kind::kAddLearner)) return std::nullopt;
    change.steps.push_back(
        {.kind = static_cast<ConfigStep::Kind>(kind), .replica = ReplicaId(replica)});
  }
  std::string_view context;
  if (!in.Bytes(&context) || !in.Done()) return std::nullopt;
  change.context = std::string(context);
  // What could be written shorter was not written by EncodeConfigChange.
  if (EncodeConfigChange(change) != bytes) return std::nullopt;
  return change;
}

std::string EncodeConfiguration(const Configuration& configuration) {
  std::string out;
  PutFixed8(&out, kFormatVersion);
  PutFixed8(&out, configuration.auto_leave ? 1 : 0);
  PutIds(&out, configuration.voters);
  PutIds(&out, configuration.voters_outgoing);
  PutIds(&out, configuration.learners);
  PutIds(&out, configuration.learners_next);
  return out;
}

std::optional<Configuration> DecodeConfiguration(std::string_view bytes) {
  ByteReader in(bytes);
  Configuration configuration;
  uint8_t auto_leave = 0;
  if (!ReadVersion(&in) || !in.Fixed8(&auto_leave) || auto_leave > 1) return std::nullopt;
  configuration.auto_leave = auto_leave == 1;
  if (!ReadIds(&in, &configuration.voters) || !ReadIds(&in, &configuration.voters_outgoing) ||
      !ReadIds(&in, &configuration.learners) || !ReadIds(&in, &configuration.learners_next)) {
    return std::nullopt;
  }
  if (!in.Done() || !IsValid(configuration)) return std::nullopt;
  if (EncodeConfiguration(configuration) != bytes) return std::nullopt;
  return configuration;
}

}  // namespace holdfast::raft
