// Enqueues many jobs over one EnqueueStream, with a bounded number of messages on their way.
//
// Each message has a request id, so that after a broken connection what was not acknowledged is
// sent again without a job being added twice.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_CLIENT_CLI_BATCH_ENQUEUER_H_
#define HOLDFAST_CLIENT_CLI_BATCH_ENQUEUER_H_

#include <cstdint>
#include <deque>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace holdfast {

class BatchEnqueuer {
 public:
  // Fills in queue and jobs of the next message. False: there are no more. An error ends Run.
  using Source = std::function<absl::StatusOr<bool>(v1::EnqueueStreamRequest*)>;
  // Called after every acknowledgement.
  using Progress = std::function<void()>;
  BatchEnqueuer(Client* client, Source source, Progress progress);

  // Until the source has no more. Errors: of the source; of the stream, after it was tried again
  // for Client::Options::timeout; what was acknowledged until then is in the counts.
  absl::Status Run();

  uint64_t enqueued() const { return enqueued_; }
  uint64_t deduplicated() const { return deduplicated_; }
  uint64_t refused() const { return refused_; }
  uint64_t answered() const { return enqueued_ + deduplicated_ + refused_; }
  const google::rpc::Status& first_refusal() const { return first_refusal_; }

 private:
  // Sends and reads until the source ends or the stream breaks.
  absl::Status RunStream();
  // Sends what is open, then more, for as long as the stream takes it.
  absl::Status Send(grpc::ClientReaderWriter<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>*);
  absl::Status TakeAcknowledgements(const v1::EnqueueStreamResponse& response);

  Client* const client_;
  const Source source_;
  const Progress progress_;
  std::deque<v1::EnqueueStreamRequest> open_;  // sent or to be sent, not acknowledged
  bool source_failed_ = false;
  uint64_t sequence_ = 0;
  uint64_t enqueued_ = 0;
  uint64_t deduplicated_ = 0;
  uint64_t refused_ = 0;
  google::rpc::Status first_refusal_;
  absl::Time last_success_ = absl::Now();
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_BATCH_ENQUEUER_H_
