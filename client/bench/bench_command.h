// `holdfast bench`: loads a server and prints what came of it.

#ifndef HOLDFAST_CLIENT_BENCH_BENCH_COMMAND_H_
#define HOLDFAST_CLIENT_BENCH_BENCH_COMMAND_H_

namespace holdfast {

// `argv[0]` is the command's name. Returns the process's exit code: 0; 1 if an operation failed;
// 2 for wrong arguments.
int RunBenchCommand(int argc, const char* const* argv);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BENCH_BENCH_COMMAND_H_
