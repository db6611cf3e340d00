// How the cluster is, put together from what each node says of itself.
//
// Pure. Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_CLUSTER_STATUS_H_
#define HOLDFAST_SERVER_CLUSTER_CLUSTER_STATUS_H_

#include <string>

#include "proto/holdfast/peer/v1/peer.pb.h"
#include "proto/holdfast/v1/admin.pb.h"
#include "server/cluster/clock_offset.h"
#include "server/cluster/cluster_monitor.h"

namespace holdfast {

// Adds to `view`, which has the members and leaders as this node (view->node_id()) knows them, how
// each of them is and what follows: shards, lags, warnings. `own`: what this node says of itself.
void FillStatus(const peer::v1::NodeReport& own, const ClusterMonitor::Reports& others,
                v1::ClusterView* view);

// For people: "the clock of node 2 is 1.204 s ahead".
std::string ClockText(NodeId node, const ClockOffset& clock);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLUSTER_STATUS_H_
