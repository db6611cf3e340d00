#include "queue/command.h"

namespace holdfast {
namespace {

bool IsNameByte(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("-+/;.$_()").find(c) != std::string_view::npos;
}

}  // namespace

bool IsValidQueueName(std::string_view name) {
  if (name.empty() || name.size() > kQueueNameBytesMax || name.front() == '-') return false;
  for (const char c : name) {
    if (!IsNameByte(c)) return false;
  }
  return true;
}

}  // namespace holdfast
