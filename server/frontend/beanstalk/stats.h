// What the stats commands answer, in the order and form of beanstalkd 1.13.
//
// Clients compare the answers to stats-job and stats-tube as a whole: no key is added there.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_STATS_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_STATS_H_

#include <cstdint>
#include <string>

#include "server/engine/engine.h"
#include "server/frontend/beanstalk/node_view.h"
#include "server/frontend/beanstalk/tube_table.h"

namespace holdfast::beanstalk {

// True if the engine's queue is a tube to clients though nobody uses or watches it: it has jobs,
// options or a pause. An empty one stays in the engine for a while.
bool IsTube(const QueueRecord& queue, LogTime now);

std::string StatsJob(const JobView& view, LogTime now);
// `queue`: default-constructed if the engine has none of that name.
std::string StatsTube(std::string_view name, const QueueRecord& queue,
                      const TubeTable::Counts& counts, LogTime now);
// `totals`: of the whole cluster; the rest is this node's.
std::string StatsNode(const NodeView& node, const Machine::Totals& totals, uint64_t tubes);

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_STATS_H_
