// Enqueues each line of a stream as a job, over one EnqueueStream, with a bounded number of
// messages on their way, and shows how far it is.
//
// Each message has a request id, so that after a broken connection what was not acknowledged is
// sent again without a job being added twice.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_CLIENT_CLI_LINE_ENQUEUER_H_
#define HOLDFAST_CLIENT_CLI_LINE_ENQUEUER_H_

#include <cstdint>
#include <deque>
#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace holdfast {

class LineEnqueuer {
 public:
  enum class Progress : uint8_t { kQuiet, kShow };
  // `spec`: what every job has besides its body.
  LineEnqueuer(Client* client, std::string queue, v1::JobSpec spec, Progress progress);

  // Until the end of `in`. Errors: of the stream, after it was tried again for Client::Options::
  // timeout; what was acknowledged until then is in the counts.
  absl::Status Run(std::istream& in);

  uint64_t enqueued() const { return enqueued_; }
  uint64_t deduplicated() const { return deduplicated_; }
  uint64_t refused() const { return refused_; }
  const google::rpc::Status& first_refusal() const { return first_refusal_; }

 private:
  // Sends and reads until the input ends or the stream breaks.
  absl::Status RunStream(std::istream& in);
  bool ReadMessage(std::istream& in, v1::EnqueueStreamRequest* message);
  absl::Status TakeAcknowledgements(const v1::EnqueueStreamResponse& response);
  void ShowProgress(bool last);

  Client* const client_;
  const std::string queue_;
  const v1::JobSpec spec_;
  const Progress progress_;
  std::deque<v1::EnqueueStreamRequest> open_;  // sent or to be sent, not acknowledged
  uint64_t sequence_ = 0;
  uint64_t enqueued_ = 0;
  uint64_t deduplicated_ = 0;
  uint64_t refused_ = 0;
  google::rpc::Status first_refusal_;
  absl::Time last_progress_ = absl::Now();
  absl::Time last_success_ = absl::Now();
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_LINE_ENQUEUER_H_
