// The client commands of the `holdfast` program.

#ifndef HOLDFAST_CLIENT_CLI_CLI_H_
#define HOLDFAST_CLIENT_CLI_CLI_H_

namespace holdfast {

// Runs the command that the arguments name. Returns the process's exit code (context.h).
int RunCli(int argc, const char* const* argv);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_CLI_H_
