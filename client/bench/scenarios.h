// The benchmark scenarios. Each starts its sources of load on `run`, and returns when all have
// ended. Latency: of one call for the unary ones (ping, enqueue, consume, cycle: the whole round);
// of one message until its acknowledgement (enqueue-stream); of one settlement (drain).

#ifndef HOLDFAST_CLIENT_BENCH_SCENARIOS_H_
#define HOLDFAST_CLIENT_BENCH_SCENARIOS_H_

#include "client/bench/bench_run.h"

namespace holdfast {

// Unary Check of grpc.health.v1, `in_flight` calls at a time: what a call costs that asks nothing
// of any queue or disk.
void RunPing(BenchRun* run);
// Unary Enqueue, one job a call, `in_flight` calls at a time.
void RunEnqueue(BenchRun* run);
// Unary Reserve and Delete, `in_flight` at a time; ends when nothing is ready.
void RunConsume(BenchRun* run);
// Unary Enqueue, Reserve, Delete, `in_flight` at a time.
void RunCycle(BenchRun* run);
// What cycle does, as workers do it: `in_flight` workers, each with an EnqueueStream and a Work
// stream of one credit; each has one job of its own under way, which any of them deletes.
void RunWork(BenchRun* run);
// EnqueueStream: `streams` streams, messages of `batch` jobs, `window` of them unacknowledged.
void RunEnqueueStream(BenchRun* run);
// Work: `streams` streams take and delete whatever is in the queues, or `jobs` jobs.
void RunDrain(BenchRun* run);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BENCH_SCENARIOS_H_
