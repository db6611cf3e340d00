#include "base/testing/free_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr uint16_t kPortMin = 12'000;
constexpr uint16_t kPortMax = 32'000;  // net.ipv4.ip_local_port_range begins at 32768
constexpr int kTriesMax = 1'000;

bool IsFree(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_GE(fd, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return free;
}

}  // namespace

std::string FreeAddress() {
  std::random_device random;
  std::uniform_int_distribution<uint16_t> ports(kPortMin, kPortMax);
  for (int i = 0; i < kTriesMax; ++i) {
    const uint16_t port = ports(random);
    if (IsFree(port)) return "127.0.0.1:" + std::to_string(port);
  }
  CHECK(false);  // a machine on which every port is taken
  return "";
}

}  // namespace holdfast
