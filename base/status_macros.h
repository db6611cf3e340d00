// RETURN_IF_ERROR and ASSIGN_OR_RETURN for absl::Status and absl::StatusOr.

#ifndef HOLDFAST_BASE_STATUS_MACROS_H_
#define HOLDFAST_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                             \
  do {                                                          \
    if (::absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                           \
    }                                                           \
  } while (false)

#define HOLDFAST_CONCAT_INNER(a, b) a##b
#define HOLDFAST_CONCAT(a, b) HOLDFAST_CONCAT_INNER(a, b)
#define HOLDFAST_ASSIGN_OR_RETURN(temporary, target, expression) \
  auto temporary = (expression);                                 \
  if (!temporary.ok()) return temporary.status();                \
  target = *std::move(temporary)

// ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or this function returns F()'s error.
#define ASSIGN_OR_RETURN(target, expression) \
  HOLDFAST_ASSIGN_OR_RETURN(HOLDFAST_CONCAT(status_or_, __LINE__), target, expression)

#endif  // HOLDFAST_BASE_STATUS_MACROS_H_
