// What the clients of beanstalkd's protocol share: what an answer lets them conclude.
//
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CALLS_H_
#define HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CALLS_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/integration/beanstalk_connection.h"
#include "tests/integration/workload.h"
#include "tests/support/history.h"

namespace holdfast::testing {

struct BeanstalkReply {
  Ended ended = Ended::kUnknown;  // unknown: the connection is broken
  std::string word = {};          // the first
  std::vector<uint64_t> numbers = {};

  bool ok() const { return ended == Ended::kOk; }
};

// Reads the answer to a command that says one of these words when it is done. By docs/beanstalkd.md
// NOT_FOUND, INTERNAL_ERROR and OUT_OF_MEMORY mean that nothing was done. CHECK-fails for any other
// word: the client or the server does not know the protocol.
BeanstalkReply Said(BeanstalkConnection* connection, std::initializer_list<const char*> when_done);

// A job's life in a tube where nothing else is: put, reserved, deleted. UNAVAILABLE: it was not,
// with what the server said.
absl::Status WorkOnOne(BeanstalkConnection* connection, const std::string& tube);

// Adds it to the numbers of the run; one of a broken connection is left to the caller.
void Count(const BeanstalkReply& reply, SharedState* shared);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CALLS_H_
