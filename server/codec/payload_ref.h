// A job's payload bytes and what keeps them alive: most often a slice of the log entry that
// carried them, so that a body is written once and copied only into a reply.

#ifndef HOLDFAST_SERVER_CODEC_PAYLOAD_REF_H_
#define HOLDFAST_SERVER_CODEC_PAYLOAD_REF_H_

#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

// Plain data; copying shares the owner. Thread-safety: the bytes never change.
struct PayloadRef {
  std::shared_ptr<const std::string> owner;
  std::string_view bytes;  // within *owner
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_PAYLOAD_REF_H_
