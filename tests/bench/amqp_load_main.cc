// amqp_load publish|drain|work --port N ...: one measurement of a server of AMQP 0-9-1 on loopback,
// as the user guest, with one durable quorum queue; prints one line of JSON.
//
//   publish  messages, each confirmed by the server
//   drain    takes and acknowledges messages
//   work     each message is acknowledged when it comes, and then the next one is published
//
// One thread a connection, each with its part of what is outstanding. Exit status 0: measured; 1:
// the server did something wrong; 2: wrong arguments.

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameBytesMax = 131072;
// What is acknowledged together.
constexpr uint64_t kAcknowledgeTogether = 100;
constexpr timeval kPatience = {.tv_sec = 30, .tv_usec = 0};

struct Options {
  int port = 0;
  std::string queue = "bench";
  int connections = 8;
  int outstanding = 64;  // messages, of all connections: unconfirmed, or delivered and not done
  uint64_t jobs = 0;     // 0: until the time is up
  double seconds = 10;   // 0: until `jobs` are done
  size_t body_bytes = 100;
};

// What the connections of a measurement share. Thread-safe.
class Run {
 public:
  explicit Run(const Options& options) : options_(options), begin_(Clock::now()) {}

  // Whether one more may be begun.
  bool Take() {
    if (options_.seconds > 0 && Elapsed() >= options_.seconds) return false;
    return options_.jobs == 0 || taken_.fetch_add(1) < options_.jobs;
  }
  void Done(uint64_t jobs) { done_.fetch_add(jobs); }
  bool AllDone() const { return options_.jobs > 0 && done_.load() >= options_.jobs; }
  uint64_t done() const { return done_.load(); }
  double Elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  const Options options_;
  const Clock::time_point begin_;
  std::atomic<uint64_t> taken_{0};
  std::atomic<uint64_t> done_{0};
};

absl::Status Check(const amqp_rpc_reply_t& reply, const char* what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return absl::OkStatus();
  const char* const why = reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                              ? amqp_error_string2(reply.library_error)
                              : "the server refuses it";
  return absl::InternalError(absl::StrCat(what, ": ", why));
}

absl::Status Check(int status, const char* what) {
  if (status == AMQP_STATUS_OK) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, ": ", amqp_error_string2(status)));
}

// One connection with one channel, on which the queue is there. Thread-compatible.
class Connection {
 public:
  // What came: confirmations of so many messages, or one message.
  struct Event {
    uint64_t confirmed = 0;
    uint64_t delivered = 0;  // its tag; 0: none
  };

  explicit Connection(const Options& options)
      : options_(options), body_(options.body_bytes, 'x'), state_(amqp_new_connection()) {}
  ~Connection() { amqp_destroy_connection(state_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status Open() {
    amqp_socket_t* const socket = amqp_tcp_socket_new(state_);
    RETURN_IF_ERROR(Check(amqp_socket_open(socket, "127.0.0.1", options_.port), "connect"));
    RETURN_IF_ERROR(Check(
        amqp_login(state_, "/", 0, kFrameBytesMax, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"),
        "log in"));
    amqp_channel_open(state_, kChannel);
    RETURN_IF_ERROR(Check(amqp_get_rpc_reply(state_), "open a channel"));
    amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"), .value = {}};
    type.value.kind = AMQP_FIELD_KIND_UTF8;
    type.value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_queue_declare(state_, kChannel, queue(), /*passive=*/0, /*durable=*/1, /*exclusive=*/0,
                       /*auto_delete=*/0, {.num_entries = 1, .entries = &type});
    return Check(amqp_get_rpc_reply(state_), "declare the queue");
  }
  absl::Status Confirm() {
    amqp_confirm_select(state_, kChannel);
    return Check(amqp_get_rpc_reply(state_), "ask for confirmations");
  }
  absl::Status Consume(uint16_t prefetch) {
    amqp_basic_qos(state_, kChannel, 0, prefetch, 0);
    RETURN_IF_ERROR(Check(amqp_get_rpc_reply(state_), "set the prefetch"));
    amqp_basic_consume(state_, kChannel, queue(), amqp_empty_bytes, /*no_local=*/0, /*no_ack=*/0,
                       /*exclusive=*/0, amqp_empty_table);
    return Check(amqp_get_rpc_reply(state_), "consume");
  }
  absl::Status Publish() {
    unconfirmed_.insert(++published_);
    amqp_basic_properties_t properties = {};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    return Check(amqp_basic_publish(state_, kChannel, amqp_empty_bytes, queue(), /*mandatory=*/0,
                                    /*immediate=*/0, &properties,
                                    {.len = body_.size(), .bytes = body_.data()}),
                 "publish");
  }
  size_t unconfirmed() const { return unconfirmed_.size(); }
  // With `multiple` all messages up to that one.
  absl::Status Acknowledge(uint64_t tag, bool multiple) {
    return Check(amqp_basic_ack(state_, kChannel, tag, multiple), "acknowledge");
  }

  // Waits for the next one; DEADLINE_EXCEEDED if `patience` is over.
  absl::Status Next(timeval patience, Event* event) {
    *event = Event();
    for (;;) {
      amqp_maybe_release_buffers(state_);
      amqp_frame_t frame;
      const int status = amqp_simple_wait_frame_noblock(state_, &frame, &patience);
      if (status == AMQP_STATUS_TIMEOUT) return absl::DeadlineExceededError("nothing comes");
      RETURN_IF_ERROR(Check(status, "read"));
      if (frame.frame_type == AMQP_FRAME_METHOD) {
        RETURN_IF_ERROR(OnMethod(frame.payload.method, event));
        if (event->confirmed > 0) return absl::OkStatus();
      } else if (frame.frame_type == AMQP_FRAME_HEADER) {
        body_left_ = frame.payload.properties.body_size;
      } else if (frame.frame_type == AMQP_FRAME_BODY) {
        body_left_ -= frame.payload.body_fragment.len;
      }
      if (frame.frame_type != AMQP_FRAME_METHOD && body_left_ == 0) {
        event->delivered = std::exchange(coming_, 0);
        return absl::OkStatus();
      }
    }
  }

 private:
  amqp_bytes_t queue() const {
    return {.len = options_.queue.size(), .bytes = const_cast<char*>(options_.queue.data())};
  }
  absl::Status OnMethod(const amqp_method_t& method, Event* event) {
    if (method.id == AMQP_BASIC_DELIVER_METHOD) {
      coming_ = static_cast<const amqp_basic_deliver_t*>(method.decoded)->delivery_tag;
      return absl::OkStatus();
    }
    if (method.id != AMQP_BASIC_ACK_METHOD) {
      return absl::InternalError(absl::StrCat("the server sends ", amqp_method_name(method.id)));
    }
    const auto* const ack = static_cast<const amqp_basic_ack_t*>(method.decoded);
    const auto end = unconfirmed_.upper_bound(ack->delivery_tag);
    const auto begin =
        ack->multiple != 0 ? unconfirmed_.begin() : unconfirmed_.find(ack->delivery_tag);
    if (begin == unconfirmed_.end()) return absl::OkStatus();
    event->confirmed = static_cast<uint64_t>(std::distance(begin, end));
    unconfirmed_.erase(begin, end);
    return absl::OkStatus();
  }

  const Options& options_;
  std::string body_;
  const amqp_connection_state_t state_;
  uint64_t coming_ = 0;  // the tag of the message that is being read
  uint64_t body_left_ = 0;
  uint64_t published_ = 0;
  absl::btree_set<uint64_t> unconfirmed_;  // the numbers of messages
};

absl::Status PublishPart(Run* run, Connection* connection, int part) {
  RETURN_IF_ERROR(connection->Confirm());
  for (;;) {
    while (connection->unconfirmed() < static_cast<size_t>(part) && run->Take()) {
      RETURN_IF_ERROR(connection->Publish());
    }
    if (connection->unconfirmed() == 0) return absl::OkStatus();
    Connection::Event event;
    RETURN_IF_ERROR(connection->Next(kPatience, &event));
    run->Done(event.confirmed);
  }
}

absl::Status DrainPart(Run* run, Connection* connection, int part) {
  RETURN_IF_ERROR(connection->Consume(static_cast<uint16_t>(part)));
  uint64_t held = 0;
  uint64_t last = 0;
  while (!run->AllDone()) {
    Connection::Event event;
    const absl::Status status = connection->Next({.tv_sec = 0, .tv_usec = 10'000}, &event);
    if (!status.ok() && !absl::IsDeadlineExceeded(status)) return status;
    if (status.ok()) {
      ++held;
      last = event.delivered;
    }
    if (held == 0 || (status.ok() && held < kAcknowledgeTogether)) continue;
    RETURN_IF_ERROR(connection->Acknowledge(last, /*multiple=*/true));
    run->Done(held);
    held = 0;
  }
  return absl::OkStatus();
}

absl::Status WorkPart(Run* run, Connection* connection, int part) {
  RETURN_IF_ERROR(connection->Confirm());
  RETURN_IF_ERROR(connection->Consume(static_cast<uint16_t>(part)));
  for (int i = 0; i < part && run->Take(); ++i) RETURN_IF_ERROR(connection->Publish());
  for (;;) {
    Connection::Event event;
    const absl::Status status = connection->Next({.tv_sec = 1, .tv_usec = 0}, &event);
    // What is left is another connection's.
    if (absl::IsDeadlineExceeded(status)) return absl::OkStatus();
    RETURN_IF_ERROR(status);
    if (event.delivered == 0) continue;
    RETURN_IF_ERROR(connection->Acknowledge(event.delivered, /*multiple=*/false));
    if (!run->Take()) continue;  // in time
    run->Done(1);
    RETURN_IF_ERROR(connection->Publish());
  }
}

using Part = absl::Status (*)(Run*, Connection*, int);

absl::Status Measure(const Options& options, Part part) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(options));
    RETURN_IF_ERROR(connections.back()->Open());
  }
  Run run(options);
  absl::Mutex mutex;
  absl::Status status;
  double seconds = 0;
  std::vector<std::thread> threads;
  for (const auto& connection : connections) {
    threads.emplace_back([&, connection = connection.get()] {
      const int own = std::max(options.outstanding / options.connections, 1);
      const absl::Status ended = part(&run, connection, own);
      const absl::MutexLock lock(&mutex);
      status.Update(ended);
      seconds = run.Elapsed();
    });
  }
  for (std::thread& thread : threads) thread.join();
  RETURN_IF_ERROR(status);
  // Work ends by hearing nothing for a while.
  if (options.seconds > 0) seconds = std::min(seconds, options.seconds);
  std::cout << nlohmann::json{{"jobs", run.done()},
                              {"seconds", seconds},
                              {"jobs_per_second", static_cast<double>(run.done()) / seconds}}
            << std::endl;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("One measurement of a server of AMQP 0-9-1.");
  CLI::App* const publish = app.add_subcommand("publish");
  CLI::App* const drain = app.add_subcommand("drain");
  CLI::App* const work = app.add_subcommand("work");
  app.require_subcommand(1);
  for (CLI::App* const command : {publish, drain, work}) {
    command->add_option("--port", options.port)->required();
    command->add_option("--queue", options.queue);
    command->add_option("--connections", options.connections)->check(CLI::Range(1, 1000));
    command->add_option("--outstanding", options.outstanding)->check(CLI::Range(1, 60'000));
    command->add_option("--jobs", options.jobs);
    command->add_option("--seconds", options.seconds)->check(CLI::Range(0.0, 3600.0));
    command->add_option("--body-bytes", options.body_bytes)->check(CLI::Range(0, 65535));
  }
  try {
    app.parse(argc, argv);
    if (drain->parsed() && options.jobs == 0) throw CLI::ValidationError("drain", "needs --jobs");
    if (work->parsed() && options.jobs > 0) throw CLI::ValidationError("work", "has no --jobs");
    if (options.jobs == 0 && options.seconds == 0) {
      throw CLI::ValidationError("--jobs and --seconds", "are 0");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = Measure(options, publish->parsed() ? PublishPart
                                               : drain->parsed() ? DrainPart
                                                                 : WorkPart);
  if (status.ok()) return 0;
  std::cerr << "amqp_load: " << status << '\n';
  return 1;
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) { return holdfast::testing::Main(argc, argv); }
