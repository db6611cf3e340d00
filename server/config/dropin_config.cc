#include "server/config/dropin_config.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/version.h"

namespace holdfast {
namespace {

constexpr int kUsageExit = 5;
constexpr char kUsage[] =
    "Use: beanstalkd [OPTIONS]\n"
    "\n"
    "Options:\n"
    " -b DIR   keep jobs in this directory (default: nothing is kept)\n"
    " -f MS    sync to disk at most MS milliseconds after the answer (default is 50);\n"
    "          use -f0 to answer only what is synced\n"
    " -F       never sync\n"
    " -l ADDR  listen on address, or on unix:PATH (default is 0.0.0.0)\n"
    " -p PORT  listen on port (default is 11300)\n"
    " -u USER  become user and group\n"
    " -z BYTES set the maximum job size in bytes (default is 65535);\n"
    "          max allowed is 67108864 bytes\n"
    " -s BYTES the size of a log file of beanstalkd; told by stats only\n"
    " -v       show version information\n"
    " -V       increase verbosity\n"
    " -h       show this help\n";

// beanstalkd's own limit is higher, and a larger number is taken as the most that is possible here.
constexpr uint64_t kJobBytesMax = 64 << 20;

class Parser {
 public:
  Parser(int argc, const char* const* argv) : argc_(argc), argv_(argv) {}

  ParsedDropIn Parse() {
    for (; at_ < argc_ && !ended_; ++at_) {
      const std::string word = argv_[at_];
      if (word == "--help") {  // beanstalkd has only -h
        TakeFlag('h');
      } else if (word.size() < 2 || word[0] != '-') {
        Misuse(absl::StrCat("unknown argument: ", word));
      } else {
        TakeFlags(word);
      }
    }
    if (ended_) return {.config = std::nullopt, .exit_code = exit_code_};
    return {.config = config_, .exit_code = 0};
  }

 private:
  // "-VF" is two flags; what follows a flag with a value in its word is the value.
  void TakeFlags(const std::string& word) {
    for (size_t i = 1; i < word.size() && !ended_; ++i) {
      const char flag = word[i];
      if (std::strchr("bflpuzs", flag) == nullptr) {
        TakeFlag(flag);
        continue;
      }
      if (i + 1 < word.size()) return TakeValue(flag, word.substr(i + 1));
      if (at_ + 1 >= argc_) return Misuse(absl::StrCat("flag requires an argument: -", Name(flag)));
      return TakeValue(flag, argv_[++at_]);
    }
  }

  void TakeFlag(char flag) {
    switch (flag) {
      case 'F':
        config_.sync_interval = absl::InfiniteDuration();
        return;
      case 'V':
        ++config_.verbosity;
        return;
      case 'v':
        std::printf("beanstalkd 1.13.0+holdfast.%s\n", kVersion);
        return End(0);
      case 'h':
        std::fputs(kUsage, stdout);
        return End(0);
      case 'c':
      case 'n':
        return;  // of old versions: how the log is compacted
      default:
        return Misuse(absl::StrCat("unknown flag: -", Name(flag)));
    }
  }

  void TakeValue(char flag, const std::string& value) {
    uint64_t number = 0;
    switch (flag) {
      case 'b':
        config_.directory = value;
        return;
      case 'l':
        config_.listen = value;
        return;
      case 'p':
        config_.port = value;
        return;
      case 'u':
        config_.user = value;
        return;
      case 'f':
        if (!TakeNumber(value, "invalid duration", &number)) return;
        config_.sync_interval =
            absl::Milliseconds(static_cast<int64_t>(std::min<uint64_t>(number, INT32_MAX)));
        return;
      case 'z':
        if (!TakeNumber(value, "invalid size", &number)) return;
        config_.job_bytes_max = static_cast<uint32_t>(std::min(number, kJobBytesMax));
        if (number > kJobBytesMax) {
          std::fprintf(stderr, "beanstalkd: maximum job size was set to %u\n",
                       config_.job_bytes_max);
        }
        return;
      default:
        if (TakeNumber(value, "invalid size", &number)) config_.binlog_bytes_max = number;
        return;
    }
  }

  bool TakeNumber(const std::string& value, const char* wrong, uint64_t* out) {
    if (absl::SimpleAtoi(value, out)) return true;
    Misuse(absl::StrCat(wrong, ": ", value));
    return false;
  }
  static std::string Name(char flag) { return std::string(1, flag); }
  void Misuse(const std::string& what) {
    std::fprintf(stderr, "beanstalkd: %s\n%s", what.c_str(), kUsage);
    End(kUsageExit);
  }
  void End(int exit_code) {
    ended_ = true;
    exit_code_ = exit_code;
  }

  const int argc_;
  const char* const* const argv_;
  int at_ = 1;
  bool ended_ = false;
  int exit_code_ = 0;
  DropInConfig config_;
};

}  // namespace

std::string DropInConfig::Address() const {
  if (listen.rfind("unix:", 0) == 0) return listen;
  const bool six = listen.find(':') != std::string::npos && listen.front() != '[';
  return six ? absl::StrCat("[", listen, "]:", port) : absl::StrCat(listen, ":", port);
}

ParsedDropIn ParseDropIn(int argc, const char* const* argv) { return Parser(argc, argv).Parse(); }

}  // namespace holdfast
