#include "server/config/address.h"

#include "absl/strings/numbers.h"

namespace holdfast {

bool IsHostAndPort(const std::string& text, int port_min) {
  const size_t colon = text.rfind(':');
  int port = -1;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port >= port_min && port <= 65535;
}

bool IsForAnyInterface(const std::string& address) {
  return address.starts_with("0.0.0.0:") || address.starts_with("[::]:");
}

}  // namespace holdfast
