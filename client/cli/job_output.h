// Jobs and queues as text for people and JSON for programs. JSON keys are the proto's field
// names; a body that is not UTF-8 is given as "body_base64".

#ifndef HOLDFAST_CLIENT_CLI_JOB_OUTPUT_H_
#define HOLDFAST_CLIENT_CLI_JOB_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "proto/holdfast/v1/job.pb.h"
#include "proto/holdfast/v1/queue.pb.h"

namespace holdfast {

nlohmann::json JobJson(const v1::Job& job);
nlohmann::json QueueJson(const v1::Queue& queue);
// Several lines, each "name: value".
std::string JobText(const v1::Job& job);
std::string QueueText(const v1::Queue& queue);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_JOB_OUTPUT_H_
