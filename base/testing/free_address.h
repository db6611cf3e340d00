// Addresses for servers that must know one another's before any of them has started.

#ifndef HOLDFAST_BASE_TESTING_FREE_ADDRESS_H_
#define HOLDFAST_BASE_TESTING_FREE_ADDRESS_H_

#include <string>

namespace holdfast {

// HOST:PORT on loopback with a port that nobody had a moment ago; below those that the system
// gives to connections and to who asks for any port, so that only another call could take it.
std::string FreeAddress();

}  // namespace holdfast

#endif  // HOLDFAST_BASE_TESTING_FREE_ADDRESS_H_
