// Random commands, records and outcomes for tests, and the equality that their plain structs do
// not have. Every field of every struct takes part in both, so that a codec that forgets one
// fails. Testonly.

#ifndef HOLDFAST_SERVER_CODEC_RANDOM_VALUES_H_
#define HOLDFAST_SERVER_CODEC_RANDOM_VALUES_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/outcome.h"
#include "queue/records.h"
#include "server/codec/payload_codec.h"

namespace holdfast {

class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : prng_(seed) {}

  Prng& prng() { return prng_; }
  // Numbers of all magnitudes, 0 and the largest often.
  uint64_t Number();
  uint32_t Number32() { return static_cast<uint32_t>(Number()); }
  // Arbitrary bytes; lives as long as this object.
  std::string_view Bytes(size_t size_max);
  LogTime Time();
  LogDuration Duration();
  Holder AnyHolder();
  PayloadView Payload(size_t body_bytes_max);
  Job AnyJob(JobId id);
  QueueOptions Options();
  QueueRecord Queue();
  SetRef Set();
  Outcome AnyOutcome();
  // A key and a row that belongs to it; `kind` is the index in SmallRowKey.
  static constexpr int kSmallRowKinds = 8;
  SmallRowKey Key(int kind);
  SmallRow Row(int kind);

  struct EncodableCommand {
    Command command;
    std::vector<std::string_view> payloads;  // of an enqueue
  };
  // `kind` is the index in CommandBody; views live as long as this object.
  EncodableCommand AnyCommand(size_t kind);

 private:
  RequestIdentity Request();
  LeaseRefs Leases();
  absl::InlinedVector<JobId, 1> Jobs();
  EncodableCommand Enqueue();
  CommandBody Body(size_t kind);

  Prng prng_;
  std::deque<std::string> kept_;
};

bool Same(const Job& a, const Job& b);
bool Same(const QueueRecord& a, const QueueRecord& b);
bool Same(const Outcome& a, const Outcome& b);
bool Same(const SmallRow& a, const SmallRow& b);
bool Same(const SmallRowKey& a, const SmallRowKey& b);
bool Same(const DedupRecord& a, const DedupRecord& b);
bool Same(const Command& a, const Command& b);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_RANDOM_VALUES_H_
