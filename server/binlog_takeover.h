// Takes the directory of a beanstalkd over: its jobs become those of DIR/holdfast, with their ids.
//
//   step                                             after a crash the next start
//   1 DIR/holdfast.importing is filled and synced    begins again
//   2 it is renamed to DIR/holdfast                  goes on with 3: DIR/holdfast/binlogs-to-move
//   3 binlog.N go into DIR/imported-binlogs          names the files that are its own
//   4 DIR/holdfast/binlogs-to-move is removed        has nothing to do
//
// So each job is in the binlogs, or durably in DIR/holdfast, or for a while in both and then only
// the latter counts. beanstalkd's lock is held meanwhile.
//
// Thread-safety: functions without state, for one thread.

#ifndef HOLDFAST_SERVER_BINLOG_TAKEOVER_H_
#define HOLDFAST_SERVER_BINLOG_TAKEOVER_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/binlog/binlog.h"
#include "server/engine/engine.h"

namespace holdfast {

// Makes `data_directory`, which does not exist, one that holds the jobs durably.
using FillDataDirectory =
    std::function<absl::Status(const std::string& data_directory, Binlog* binlog)>;

// Does nothing if the directory holds no binlogs. What is damaged in them is logged. `fill` is not
// called if an earlier start got as far as step 2.
// Errors: FAILED_PRECONDITION (a beanstalkd uses it; DIR/holdfast has jobs already, which are not
// of these binlogs; DIR/imported-binlogs holds others), those of Binlog and of `fill`.
absl::Status TakeOverBinlogs(const std::string& directory, const FillDataDirectory& fill);

// Adds the jobs under their ids, and sees to it that no id is drawn that beanstalkd has used.
// REQUIRES: the binlog has been read; the engine has one shard and had no job so far.
// Errors: FAILED_PRECONDITION (a job that cannot be kept: above 64 MiB, or with an id from 2^53
// on), those of the engine and of Binlog::ReadBody; then some jobs have been added.
absl::Status ImportJobs(Binlog* binlog, Engine* engine);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_BINLOG_TAKEOVER_H_
