// A place of a test's own: network, mounts and processes that nobody else sees, and that are gone
// when the test is, however it ends.
//
//   the caller ── waits for ──▶ process 1 of the sandbox ── starts ──▶ nodes, tools
//
// The kernel kills every process of the sandbox when its process 1 ends, and process 1 when the
// caller ends; with the last of them go network namespaces, interfaces, firewall rules and mounts.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_SANDBOX_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_SANDBOX_H_

#include "absl/status/status.h"

namespace holdfast::testing {

// Goes on in the sandbox, as its process 1. The process that called stays outside and ends with the
// same exit code (128 + the signal's number after a signal). The file system is the same but for
// /proc, /run/netns and /dev/shm. Errors: PERMISSION_DENIED and others of the kernel's; nothing has
// changed then. REQUIRES: called first in main, while there is one thread.
absl::Status EnterSandbox();

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_SANDBOX_H_
