#include "server/engine/forward/forward_server.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/codec/command_codec.h"

namespace holdfast {
namespace {

ExecuteResult Failure(absl::Status status) {
  ExecuteResult result;
  result.status = std::move(status);
  return result;
}

}  // namespace

void ForwardServer::Handle(std::shared_ptr<const std::string> request, Reply reply) {
  CHECK(loop_->IsCurrent());
  const absl::StatusOr<ForwardRequest> decoded = DecodeForwardRequest(*request);
  if (!decoded.ok()) {
    return Answer(Failure(absl::InvalidArgumentError(decoded.status().message())),
                  std::move(reply));
  }
  Execute(*decoded, [this, reply = std::move(reply)](ExecuteResult result) mutable {
    Answer(std::move(result), std::move(reply));
  });
}

void ForwardServer::Execute(const ForwardRequest& request, ExecuteDone done) {
  if (!shard_->leading()) {
    return std::move(done)(Failure(absl::UnavailableError("this node does not lead the shard")));
  }
  // What cannot be decoded must not get into the log.
  const absl::StatusOr<DecodedCommand> decoded = DecodeCommand(request.command);
  if (!decoded.ok()) {
    return std::move(done)(Failure(absl::InvalidArgumentError(
        absl::StrCat("a forwarded command: ", decoded.status().message()))));
  }
  const Command& command = decoded->command;
  const auto* const reserve = std::get_if<ReserveCommand>(&command.body);
  // Most often nothing is ready, which takes no entry. Repeated it must be looked for in the log.
  if (reserve != nullptr && !request.repeated && !shard_->MayFindJob(reserve->queues)) {
    return shard_->AnswerNothingReady(std::move(done));
  }
  Submission submission;
  submission.command = std::string(request.command);
  submission.done = std::move(done);
  submission.from_peer = true;
  if (const auto* const enqueue = std::get_if<EnqueueCommand>(&command.body)) {
    submission.queue = std::string(enqueue->queue);
    submission.jobs = static_cast<uint32_t>(enqueue->jobs.size());
  }
  shard_->Submit(std::move(submission));
}

void ForwardServer::Answer(ExecuteResult result, Reply reply) {
  std::vector<Grant>& grants = result.outcome.grants;
  size_t bytes = 0;
  for (size_t i = 0; i < grants.size(); ++i) {
    bytes += result.payloads[i].bytes.size();
    if (i == 0 || bytes <= options_.reply_bytes_max) continue;
    GiveBack({grants.begin() + static_cast<ptrdiff_t>(i), grants.end()});
    grants.resize(i);
    result.payloads.resize(i);
  }
  // If it is lost, who asked asks again under the same identity, and is given the same jobs.
  std::move(reply)(std::make_shared<const std::string>(EncodeForwardReply(result)));
}

void ForwardServer::GiveBack(const std::vector<Grant>& grants) {
  if (grants.empty()) return;
  ReturnUndeliveredCommand command;
  for (const Grant& grant : grants) command.leases.push_back({grant.job.id, grant.job.token});
  loop_->Post([shard = shard_, bytes = EncodeCommand({.request = {}, .body = command})]() mutable {
    Submission submission;
    submission.command = std::move(bytes);
    submission.from_peer = true;
    shard->Submit(std::move(submission));
  });
}

}  // namespace holdfast
