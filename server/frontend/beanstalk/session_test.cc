// What a session does when the engine is slow, fails, or takes jobs away: an engine without rules
// and real sockets. What it answers otherwise is told by tests/conformance/beanstalk.

#include "server/frontend/beanstalk/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "gtest/gtest.h"
#include "server/frontend/beanstalk/beanstalk_server.h"
#include "server/frontend/fake_engine.h"

namespace holdfast::beanstalk {
namespace {

// A client's blocking socket.
class Client {
 public:
  explicit Client(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit = {.tv_sec = 30, .tv_usec = 0};
    CHECK_EQ(setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  }
  ~Client() { Close(); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Send(const std::string& bytes) {
    CHECK_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
             static_cast<ssize_t>(bytes.size()));
  }
  // The next line without its CRLF; "(end)" if the connection ended.
  std::string Line() {
    std::string line;
    char c = 0;
    while (!line.ends_with("\r\n")) {
      if (recv(fd_, &c, 1, 0) != 1) return "(end)";
      line.push_back(c);
    }
    return line.substr(0, line.size() - 2);
  }
  std::string Ask(const std::string& line) {
    Send(line + "\r\n");
    return Line();
  }

 private:
  int fd_;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    BeanstalkServerOptions options;
    options.loops = 2;
    const absl::StatusOr<int> listening = ListenOn("127.0.0.1:0");
    CHECK(listening.ok());
    server_ = std::make_unique<BeanstalkServer>(options, *listening, &engine_);
    client_ = std::make_unique<Client>(server_->address());
  }
  // Answers every command so.
  void Fail(const absl::Status& status) {
    engine_.on_command = [status](const DecodedCommand&) {
      ExecuteResult result;
      result.status = status;
      return result;
    };
  }
  // The client reserves job 7.
  void Reserve() {
    client_->Send("reserve\r\n");
    engine_.Grant("default", {{7, "body"}});
    EXPECT_EQ(client_->Line(), "RESERVED 7 4");
    EXPECT_EQ(client_->Line(), "body");
  }
  template <class Body>
  Body LastCommand(size_t of) {
    return std::get<Body>(engine_.WaitForCommands(of).back());
  }
  // The connection's end has been dealt with.
  void EndClient() {
    client_->Close();
    Client other(server_->address());
    for (int i = 0; i < 1000 && engine_.closed().empty(); ++i) other.Ask("list-tube-used");
  }

  FakeEngine engine_;
  std::unique_ptr<BeanstalkServer> server_;
  std::unique_ptr<Client> client_;
};

TEST_F(SessionTest, CommandsOfOneShardAreNotHeldUpByEachOther) {
  engine_.Hold();
  client_->Send("put 0 0 60 1\r\na\r\nput 0 0 60 1\r\nb\r\nnonsense\r\nput 0 0 60 1\r\nc\r\n");
  EXPECT_EQ(engine_.WaitForCommands(3).size(), 3u);
  engine_.Release();
  EXPECT_EQ(client_->Line(), "INSERTED 1");
  EXPECT_EQ(client_->Line(), "INSERTED 2");
  EXPECT_EQ(client_->Line(), "UNKNOWN_COMMAND");
  EXPECT_EQ(client_->Line(), "INSERTED 3");
}

TEST_F(SessionTest, ACommandToAnotherShardWaitsForThoseBeforeIt) {
  engine_.Hold();
  client_->Send("put 0 0 60 1\r\na\r\nuse other\r\nput 0 0 60 1\r\nb\r\n");
  engine_.WaitForCommands(1);
  EXPECT_EQ(Client(server_->address()).Ask("list-tube-used"), "USING default");
  EXPECT_EQ(engine_.WaitForCommands(1).size(), 1u);
  engine_.Release();
  EXPECT_EQ(client_->Line(), "INSERTED 1");
  EXPECT_EQ(client_->Line(), "USING other");
  EXPECT_EQ(client_->Line(), "INSERTED 2");
  EXPECT_EQ(LastCommand<EnqueueCommand>(2).queue, "other");
}

TEST_F(SessionTest, AReserveWaitsForAllBeforeIt) {
  engine_.Hold();
  client_->Send("put 0 0 60 1\r\na\r\nreserve-with-timeout 0\r\n");
  engine_.WaitForCommands(1);
  EXPECT_EQ(Client(server_->address()).Ask("list-tube-used"), "USING default");
  EXPECT_TRUE(engine_.reserves().empty());
  engine_.Release();
  EXPECT_EQ(client_->Line(), "INSERTED 1");
  EXPECT_EQ(client_->Line(), "TIMED_OUT");
  EXPECT_EQ(engine_.reserves().size(), 1u);
}

TEST_F(SessionTest, EqualReservesInARowAreAskedForAsOne) {
  client_->Send("reserve\r\nreserve\r\nreserve\r\nreserve-with-timeout 0\r\nlist-tube-used\r\n");
  engine_.WaitForReserves(1);
  EXPECT_EQ(engine_.reserves().back().max, 3u);
  engine_.Grant("default", {{7, "a"}, {8, "bb"}});
  for (const char* line : {"RESERVED 7 1", "a", "RESERVED 8 2", "bb"}) {
    EXPECT_EQ(client_->Line(), line);
  }
  engine_.WaitForReserves(1);
  EXPECT_EQ(engine_.reserves().back().max, 1u) << "what is left of them";
  engine_.Grant("default", {{9, "c"}});
  for (const char* line : {"RESERVED 9 1", "c", "TIMED_OUT", "USING default"}) {
    EXPECT_EQ(client_->Line(), line);
  }
  EXPECT_EQ(engine_.reserves().size(), 3u);
}

TEST_F(SessionTest, EachOfEqualReservesTimesOutByItself) {
  client_->Send("reserve-with-timeout 0\r\nreserve-with-timeout 0\r\nlist-tube-used\r\n");
  for (const char* line : {"TIMED_OUT", "TIMED_OUT", "USING default"}) {
    EXPECT_EQ(client_->Line(), line);
  }
  const std::vector<ReserveRequest> reserves = engine_.reserves();
  ASSERT_EQ(reserves.size(), 2u);
  EXPECT_EQ(reserves[0].max, 2u);
  EXPECT_EQ(reserves[1].max, 1u);
}

TEST_F(SessionTest, ReservesBehindOtherCommandsAreGatheredToo) {
  engine_.Hold();
  client_->Send("put 0 0 60 1\r\na\r\nreserve\r\nreserve\r\n");
  engine_.WaitForCommands(1);
  engine_.Release();
  EXPECT_EQ(client_->Line(), "INSERTED 1");
  engine_.WaitForReserves(1);
  EXPECT_EQ(engine_.reserves().front().max, 2u);
  EndClient();
  engine_.WaitForReserves(0);
}

TEST_F(SessionTest, WhatWasCertainlyNotDoneIsAnError) {
  Fail(absl::UnavailableError("another leader"));
  client_->Send("put 0 0 60 1\r\na\r\n");
  EXPECT_EQ(client_->Line(), "INTERNAL_ERROR");
  EXPECT_EQ(client_->Ask("delete 1"), "INTERNAL_ERROR");
  EXPECT_EQ(client_->Ask("kick 1"), "INTERNAL_ERROR");
  EXPECT_EQ(client_->Ask("list-tube-used"), "USING default");
}

TEST_F(SessionTest, AFullNodeIsOutOfMemory) {
  Fail(absl::ResourceExhaustedError("busy"));
  client_->Send("put 0 0 60 1\r\na\r\n");
  EXPECT_EQ(client_->Line(), "OUT_OF_MEMORY");
}

TEST_F(SessionTest, WhatCannotBeKnownClosesTheConnection) {
  engine_.Hold();
  client_->Send("list-tube-used\r\nput 0 0 60 1\r\na\r\nput 0 0 60 1\r\nb\r\nlist-tube-used\r\n");
  engine_.WaitForCommands(2);
  engine_.on_command = [n = 0](const DecodedCommand&) mutable {
    ExecuteResult result;
    result.outcome.items.emplace_back().job = JobId(5);
    if (++n == 2) result.status = absl::UnknownError("failing");
    return result;
  };
  engine_.Release();
  EXPECT_EQ(client_->Line(), "USING default");
  EXPECT_EQ(client_->Line(), "INSERTED 5");
  EXPECT_EQ(client_->Line(), "(end)");
}

TEST_F(SessionTest, AReserveOutlastsAChangeOfLeader) {
  client_->Send("reserve\r\n");
  engine_.WaitForReserves(1);
  ExecuteResult unavailable;
  unavailable.status = absl::UnavailableError("another leader");
  engine_.AnswerReserve("default", unavailable);
  engine_.Grant("default", {{9, "x"}});
  EXPECT_EQ(client_->Line(), "RESERVED 9 1");
  EXPECT_EQ(engine_.reserves().size(), 2u);
}

TEST_F(SessionTest, AWaitIsOverWhenTheClientIsGone) {
  client_->Send("reserve\r\n");
  engine_.WaitForReserves(1);
  EndClient();
  engine_.WaitForReserves(0);
}

TEST_F(SessionTest, LeasesAreReleasedWithTheConnectionIfThereAreAny) {
  Reserve();
  EndClient();
  ASSERT_EQ(engine_.closed().size(), 1u);
  EXPECT_EQ(engine_.closed().front().second, LeasesAtClose::kRelease);
}

TEST_F(SessionTest, AConnectionThatHoldsNothingLeavesNothingToLog) {
  Reserve();
  EXPECT_EQ(client_->Ask("delete 7"), "DELETED");
  EXPECT_EQ(LastCommand<DeleteCommand>(1).leases.front().job, JobId(7));
  EndClient();
  ASSERT_EQ(engine_.closed().size(), 1u);
  EXPECT_EQ(engine_.closed().front().second, LeasesAtClose::kExpire);
}

TEST_F(SessionTest, ALeaseThatWasNotGivenUpCanBeGivenUpAgain) {
  Reserve();
  Fail(absl::UnavailableError("another leader"));
  EXPECT_EQ(client_->Ask("release 7 0 0"), "INTERNAL_ERROR");
  EXPECT_EQ(client_->Ask("bury 7 0"), "INTERNAL_ERROR");
  engine_.on_command = nullptr;
  EXPECT_EQ(client_->Ask("release 7 0 0"), "RELEASED");
  EXPECT_EQ(LastCommand<ReleaseCommand>(3).leases.front().token, LeaseToken(1));
  EXPECT_EQ(client_->Ask("release 7 0 0"), "NOT_FOUND");
}

TEST_F(SessionTest, AJobWhoseLeaseHasEndedIsDeletedAsAnybodys) {
  Reserve();
  engine_.EndLease(JobId(7), LeaseToken(1), Machine::EndedLease::Why::kExpired);
  // The notice and the command race: both roads lead there.
  engine_.on_command = [](const DecodedCommand& command) {
    ExecuteResult result;
    ItemOutcome& item = result.outcome.items.emplace_back();
    const bool by_lease = std::holds_alternative<DeleteCommand>(command.command.body);
    item.code = by_lease ? OutcomeCode::kLeaseInvalid : OutcomeCode::kOk;
    return result;
  };
  EXPECT_EQ(client_->Ask("delete 7"), "DELETED");
  const std::vector<CommandBody> commands = engine_.WaitForCommands(1);
  EXPECT_TRUE(std::holds_alternative<DeleteJobCommand>(commands.back()));
}

TEST_F(SessionTest, WatchedTubesAreBounded) {
  for (size_t i = 1; i < Session::kTubesMax; ++i) {
    ASSERT_EQ(client_->Ask(absl::StrCat("watch t", i)), absl::StrCat("WATCHING ", i + 1));
  }
  EXPECT_EQ(client_->Ask("watch more"), "OUT_OF_MEMORY");
  EXPECT_EQ(client_->Ask("watch t1"), absl::StrCat("WATCHING ", Session::kTubesMax));
}

TEST_F(SessionTest, MoreThanThePipelineHoldsIsTakenInTime) {
  constexpr int kPuts = 1000;
  engine_.Hold();
  std::string puts;
  for (int i = 0; i < kPuts; ++i) puts += "put 0 0 60 1\r\nx\r\n";
  client_->Send(puts);
  EXPECT_EQ(engine_.WaitForCommands(Session::kPipelineMax).size(), Session::kPipelineMax);
  engine_.Release();
  for (int i = 1; i <= kPuts; ++i) {
    ASSERT_EQ(client_->Line(), absl::StrCat("INSERTED ", i));
  }
}

}  // namespace
}  // namespace holdfast::beanstalk
