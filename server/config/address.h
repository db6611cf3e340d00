// The form of addresses, HOST:PORT. Functions without state.

#ifndef HOLDFAST_SERVER_CONFIG_ADDRESS_H_
#define HOLDFAST_SERVER_CONFIG_ADDRESS_H_

#include <string>

namespace holdfast {

// Whether `text` is HOST:PORT with a port in [port_min, 65535].
bool IsHostAndPort(const std::string& text, int port_min);

// Whether a server that listens on `address` does so on all interfaces: others cannot be told to
// reach it there.
bool IsForAnyInterface(const std::string& address);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CONFIG_ADDRESS_H_
