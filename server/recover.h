// `holdfast cluster recover`: a node that does not run becomes the only member of a new cluster,
// since the majority of the old one is lost for good (server/cluster/recovery.h). Wiring only.
//
//   identity.json says that a recovery was begun, and of which new cluster
//   ─▶ log and state are made those of an only voter ─▶ members.json
//   ─▶ identity.json is of the new cluster
//
// Killed in between it is to be run again: until then the directory is refused by `serve`. The
// members of the old cluster are refused afterwards, by its id.

#ifndef HOLDFAST_SERVER_RECOVER_H_
#define HOLDFAST_SERVER_RECOVER_H_

#include "server/config/recover_config.h"

namespace holdfast {

// Says on stdout what is there, and what was done; errors on stderr. Returns the exit code: 0 done,
// or there was nothing to do; 1 refused or failed.
int Recover(const RecoverConfig& config);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_RECOVER_H_
