// How a node is spoken to besides the streams of replication/transport: by single calls.

#ifndef HOLDFAST_SERVER_CLUSTER_NODE_CHANNEL_H_
#define HOLDFAST_SERVER_CLUSTER_NODE_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace holdfast {

// For the node at `address` (HOST:PORT), which may not run yet: it is looked for twice a second
// while there is a call. A connection on which nothing arrives any more is broken after 2 s.
std::shared_ptr<grpc::Channel> MakeNodeChannel(const std::string& address);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_NODE_CHANNEL_H_
