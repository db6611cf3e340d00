// `holdfast beanstalkd`: a node that stands in for beanstalkd. Wiring only.
//
// One shard, so that order over all tubes and ids are beanstalkd's. Without -b nothing is kept: log
// and state are in memory. With -b DIR the data is in DIR/holdfast, and what a beanstalkd has left
// in DIR is taken over first (binlog_takeover.h).

#ifndef HOLDFAST_SERVER_DROPIN_H_
#define HOLDFAST_SERVER_DROPIN_H_

#include "server/config/dropin_config.h"

namespace holdfast {

// Listens, on the socket that systemd hands over (LISTEN_FDS) if there is one, and serves until
// SIGTERM or SIGINT (0), or until it cannot go on (1; the reason is on stderr). SIGUSR1 drains.
int ServeDropIn(const DropInConfig& config);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_DROPIN_H_
