// `holdfast serve`: one node from start to stop. Wiring only: the one place where concrete
// classes are named.

#ifndef HOLDFAST_SERVER_SERVE_H_
#define HOLDFAST_SERVER_SERVE_H_

#include "server/config/serve_config.h"

namespace holdfast {

// Runs until SIGTERM or SIGINT (0), or until the node cannot go on (1; the reason is logged).
int Serve(const ServeConfig& config);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_SERVE_H_
