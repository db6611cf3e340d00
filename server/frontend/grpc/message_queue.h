// Queue requests to commands, and page tokens.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_QUEUE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_QUEUE_H_

#include <string>
#include <string_view>

#include "proto/holdfast/v1/holdfast.pb.h"
#include "queue/command.h"
#include "queue/job.h"
#include "server/answer/failure.h"

namespace holdfast {

// The command's views point into the request.
Violation ToCommand(const v1::UpdateQueueRequest& request, Command* out);
Violation ToCommand(const v1::PauseQueueRequest& request, Command* out);
Violation ToCommand(const v1::PurgeQueueRequest& request, Command* out);
Violation ToCommand(const v1::DeleteQueueRequest& request, Command* out);
Violation ToCommand(const v1::KickRequest& request, Command* out);
Violation ToCommand(const v1::KickJobsRequest& request, Command* out);
Violation ToCommand(const v1::DeleteJobsRequest& request, Command* out);

// Where the next page of a job list starts. A token of another list is a violation.
std::string JobPageToken(std::string_view queue, JobState state, SetKey last);
Violation ParseJobPageToken(std::string_view token, std::string_view queue, JobState state,
                            SetKey* after);

// Where the next page of the queues starts. A token of another prefix is a violation.
std::string QueuePageToken(std::string_view prefix, std::string_view last);
Violation ParseQueuePageToken(std::string_view token, std::string_view prefix, std::string* after);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_MESSAGE_QUEUE_H_
