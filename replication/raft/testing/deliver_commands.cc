// What becomes of messages that are in flight: delivered, dropped, out of order, more than once.

#include <algorithm>
#include <utility>

#include "replication/raft/config_changer.h"
#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {
namespace {

enum class Fate : uint8_t { kDeliver, kDrop };

struct Recipient {
  ReplicaId id;
  Fate fate;
};

// What `deliver-msgs` is told.
struct Delivery {
  std::vector<Recipient> recipients;
  std::string type;  // empty: any
  ReplicaId from;    // 0: anybody
  size_t skip = 0;   // of those that fit, how many stay
  size_t first = SIZE_MAX;
  bool keep = false;  // what is delivered stays in flight, to be delivered again

  bool Fits(const Envelope& envelope, const Recipient& recipient) const {
    if (envelope.to != recipient.id) return false;
    if (recipient.fate == Fate::kDrop && envelope.local()) return false;
    if (!type.empty() && envelope.type() != type) return false;
    const auto* message = std::get_if<Message>(&envelope.content);
    return from == ReplicaId() || (message != nullptr && message->from == from);
  }
};

bool IsMessageType(std::string_view name) {
  for (uint8_t type = 0; type <= static_cast<uint8_t>(MessageType::kForgetLeader); ++type) {
    if (MessageTypeName(static_cast<MessageType>(type)) == name) return true;
  }
  return false;
}

// The text of what is wrong; nullopt: nothing.
std::optional<std::string> ParseOption(const CommandArg& arg, Delivery* delivery) {
  const std::string& value = arg.values[0];
  const uint64_t number = ParseNumber(value).value_or(0);
  if (arg.key == "drop") {
    for (const std::string& id : arg.values) {
      const ReplicaId to(ParseNumber(id).value_or(0));
      const auto same = [to](const Recipient& recipient) { return recipient.id == to; };
      if (std::any_of(delivery->recipients.begin(), delivery->recipients.end(), same)) {
        return "can't both deliver and drop msgs to " + id;
      }
      delivery->recipients.push_back({to, Fate::kDrop});
    }
  } else if (arg.key == "type") {
    if (!IsMessageType(value)) return "unknown message type " + value;
    delivery->type = value;
  } else if (arg.key == "from") {
    delivery->from = ReplicaId(number);
  } else if (arg.key == "skip") {
    delivery->skip = number;
  } else if (arg.key == "first") {
    delivery->first = number;
  } else if (arg.key == "keep") {
    delivery->keep = value == "true";
  } else {
    return "unknown option " + arg.key;
  }
  return std::nullopt;
}

// A response counts only if it comes from a replica that the receiver knows.
bool IsResponse(MessageType type) {
  switch (type) {
    case MessageType::kAppendResponse:
    case MessageType::kVoteResponse:
    case MessageType::kHeartbeatResponse:
    case MessageType::kUnreachable:
    case MessageType::kReadIndexResponse:
    case MessageType::kPreVoteResponse:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<Envelope> InteractionEnv::TakeInFlight(
    const std::function<bool(const Envelope&)>& selected) {
  std::vector<Envelope> taken;
  std::deque<Envelope> rest;
  for (Envelope& envelope : in_flight_) {
    if (selected(envelope)) {
      taken.push_back(std::move(envelope));
    } else {
      rest.push_back(std::move(envelope));
    }
  }
  in_flight_ = std::move(rest);
  return taken;
}

InteractionEnv::Error InteractionEnv::DeliverMessages(const Args& args) {
  Delivery delivery;
  for (const CommandArg& arg : args) {
    if (!arg.values.empty()) {
      if (Error error = ParseOption(arg, &delivery); error.has_value()) return error;
      continue;
    }
    const std::optional<uint64_t> id = ParseNumber(arg.key);
    if (!id.has_value()) return "no replica " + Quoted(arg.key);
    delivery.recipients.push_back({ReplicaId(*id), Fate::kDeliver});
  }
  size_t handled = 0;
  for (const Recipient& recipient : delivery.recipients) {
    size_t fitting = 0;
    const std::vector<Envelope> taken = TakeInFlight([&](const Envelope& envelope) {
      if (!delivery.Fits(envelope, recipient)) return false;
      ++fitting;
      return fitting > delivery.skip && fitting - delivery.skip <= delivery.first;
    });
    handled += taken.size();
    for (const Envelope& envelope : taken) {
      if (recipient.fate == Fate::kDrop) {
        output_.Print("dropped: " + envelope.Describe() + "\n");
      } else {
        Deliver(envelope);
      }
      if (delivery.keep) in_flight_.push_back(envelope);
    }
  }
  if (handled == 0) output_.Print("no messages\n");
  return std::nullopt;
}

void InteractionEnv::Deliver(const Envelope& envelope) {
  output_.Print(envelope.Describe() + "\n");
  Replica* const replica = Find(envelope.to);
  if (replica == nullptr) {
    output_.PrintAlways("no replica " + std::to_string(envelope.to.value()) + "\n");
    return;
  }
  if (const auto* appended = std::get_if<StorageAppended>(&envelope.content)) {
    replica->core->OnWritten(appended->write);
  } else if (const auto* applied = std::get_if<StorageApplied>(&envelope.content)) {
    replica->core->OnApplied(applied->entries.back().index);
  } else {
    const auto& message = std::get<Message>(envelope.content);
    if (IsResponse(message.type) && !IsMember(replica->core->configuration(), message.from)) {
      output_.Print("raft: cannot step as peer not found\n");
    }
    replica->core->Step(message);
  }
}

}  // namespace holdfast::raft
