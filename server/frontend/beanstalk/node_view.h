// What all connections of this node share, and what it knows of them.
//
// Thread-safety: thread-safe; the counters are read while they change, each by itself.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_NODE_VIEW_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_NODE_VIEW_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/frontend/beanstalk/request.h"
#include "server/frontend/beanstalk/tube_table.h"

namespace holdfast::beanstalk {

struct Counters {
  std::array<std::atomic<uint64_t>, kVerbs> commands{};  // well-formed ones, by Verb
  std::atomic<uint64_t> connections_ever{0};
  // Connections now: all; those that began a put; those that reserved; those that wait.
  std::atomic<uint32_t> connections{0};
  std::atomic<uint32_t> producers{0};
  std::atomic<uint32_t> workers{0};
  std::atomic<uint32_t> waiting{0};
};

// Facts of the process that stats tells.
struct ProcessFacts {
  std::string version;  // begins with the number of the beanstalkd that it is compatible with
  std::string id;       // 16 hexadecimal digits, drawn at start
  std::string hostname;
  std::string os;
  std::string platform;
  absl::Time started;

  static ProcessFacts Read();
};

struct NodeView {
  NodeView(Engine* for_engine, uint32_t job_bytes_max, uint64_t binlog_bytes_max)
      : engine(for_engine),
        shards(for_engine->Info().shards),
        job_bytes_max(job_bytes_max),
        binlog_bytes_max(binlog_bytes_max),
        facts(ProcessFacts::Read()) {}

  Engine* const engine;
  const uint32_t shards;
  const uint32_t job_bytes_max;
  const uint64_t binlog_bytes_max;  // there is no binlog; told only
  const ProcessFacts facts;
  std::atomic<bool> draining{false};  // every put is refused
  Counters counters;
  TubeTable tubes;
};

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_NODE_VIEW_H_
