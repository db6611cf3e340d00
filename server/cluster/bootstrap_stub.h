// How a node that is of no cluster yet speaks to others.

#ifndef HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_STUB_H_
#define HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_STUB_H_

#include <memory>
#include <string>

#include "proto/holdfast/peer/v1/peer.grpc.pb.h"

namespace holdfast {

// For the node at `address` (HOST:PORT), which may not run yet: it is looked for twice a second.
std::unique_ptr<peer::v1::Bootstrap::Stub> MakeBootstrapStub(const std::string& address);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_STUB_H_
