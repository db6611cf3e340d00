// An error of the operating system as a Status.

#ifndef HOLDFAST_BASE_ERRNO_STATUS_H_
#define HOLDFAST_BASE_ERRNO_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace holdfast {

// "WHAT: the error's text", WHAT being what was tried and on what. `error` is an errno.
// RESOURCE_EXHAUSTED: no space, or no quota; NOT_FOUND; ALREADY_EXISTS; PERMISSION_DENIED;
// UNKNOWN: any other, the device's own failures and a read-only file system among them, after which
// nobody knows what was done.
absl::Status ErrnoStatus(int error, std::string_view what);

}  // namespace holdfast

#endif  // HOLDFAST_BASE_ERRNO_STATUS_H_
