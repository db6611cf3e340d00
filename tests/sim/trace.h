// What happens in a run, for people: a line each, or nothing at all.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_TRACE_H_
#define HOLDFAST_TESTS_SIM_TRACE_H_

#include <cstdio>
#include <string>

#include "tests/sim/timeline.h"

namespace holdfast::sim {

class Trace {
 public:
  // nullptr: nothing is traced.
  Trace(std::FILE* out, const Timeline* queue) : out_(out), queue_(queue) {}

  // Texts are made only if this is so.
  bool on() const { return out_ != nullptr; }
  // REQUIRES: on().
  void Line(const std::string& text) {
    const auto micros = static_cast<long long>(queue_->now().count());
    std::fprintf(out_, "%6lld.%03lld  %s\n", micros / 1000, micros % 1000, text.c_str());
  }

 private:
  std::FILE* const out_;
  const Timeline* const queue_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_TRACE_H_
