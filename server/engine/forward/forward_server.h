// Executes the commands that other nodes pass on to the shard that leads here, and answers them.
//
// It executes only while the shard leads, and never passes on further: who asked looks for the
// leader.
//
// Thread-safety: loop-bound with its shard, which outlives it; a reply is sent from any thread.

#ifndef HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_SERVER_H_
#define HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_SERVER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/executor.h"
#include "server/engine/forward/forward_codec.h"
#include "server/engine/shard.h"

namespace holdfast {

class ForwardServer {
 public:
  struct Options {
    // Of the payloads in one reply, besides the first: what is granted beyond is given back.
    size_t reply_bytes_max = 32 << 20;
  };
  using Reply = absl::AnyInvocable<void(std::shared_ptr<const std::string>) &&>;

  ForwardServer(const Options& options, Executor* loop, Shard* shard)
      : options_(options), loop_(loop), shard_(shard) {}

  void Handle(std::shared_ptr<const std::string> request, Reply reply);

 private:
  void Execute(const ForwardRequest& request, ExecuteDone done);
  void Answer(ExecuteResult result, Reply reply);
  void GiveBack(const std::vector<Grant>& grants);

  const Options options_;
  Executor* const loop_;
  Shard* const shard_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_FORWARD_FORWARD_SERVER_H_
