#include "server/net/stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "gtest/gtest.h"
#include "server/net/listener.h"

namespace holdfast {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

// What happened to a stream, as the test's thread sees it.
class Recorder final : public Stream::Handler {
 public:
  // How many bytes to take of those offered; all by default. Set before the stream starts.
  std::function<size_t(std::string_view)> take = [](std::string_view bytes) {
    return bytes.size();
  };

  size_t OnInput(std::string_view bytes) override {
    const size_t taken = take(bytes);
    absl::MutexLock lock(&mutex_);
    ++offers_;
    input_.append(bytes.substr(0, taken));
    return taken;
  }
  void OnPeerDone() override { Set(&peer_done_); }
  void OnInputEnd() override { Set(&input_end_); }
  void OnClosed() override { Set(&closed_); }

  bool Await(const bool Recorder::*flag) {
    absl::MutexLock lock(&mutex_);
    const auto set = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return this->*flag; };
    return mutex_.AwaitWithTimeout(absl::Condition(&set), kPatience);
  }
  bool AwaitInput(size_t bytes) {
    absl::MutexLock lock(&mutex_);
    const auto come = [&]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return input_.size() >= bytes; };
    return mutex_.AwaitWithTimeout(absl::Condition(&come), kPatience);
  }
  bool AwaitOffers(int offers) {
    absl::MutexLock lock(&mutex_);
    const auto come = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return offers_ >= offers; };
    return mutex_.AwaitWithTimeout(absl::Condition(&come), kPatience);
  }
  std::string input() {
    absl::MutexLock lock(&mutex_);
    return input_;
  }

  bool peer_done_ = false;
  bool input_end_ = false;
  bool closed_ = false;

 private:
  void Set(bool* flag) {
    absl::MutexLock lock(&mutex_);
    CHECK(!*flag);
    *flag = true;
  }
  absl::Mutex mutex_;
  int offers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string input_ ABSL_GUARDED_BY(mutex_);
};

void SetTimeouts(int fd) {
  const timeval limit = {.tv_sec = 30, .tv_usec = 0};
  CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
  CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

// A stream whose peer is the test's own blocking socket.
class StreamTest : public ::testing::Test {
 protected:
  StreamTest() {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer_ = fds[0];
    SetTimeouts(peer_);
    On([&] {
      CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
      stream_ = std::make_unique<Stream>(&loop_, fds[1], &recorder_);
    });
  }
  ~StreamTest() override {
    On([&] { stream_.reset(); });
    ClosePeer();
  }

  void Start() {
    On([&] { stream_->Start(); });
  }
  template <class F>
  void On(F task) {
    absl::Notification done;
    loop_.Post([&] {
      task();
      done.Notify();
    });
    CHECK(done.WaitForNotificationWithTimeout(kPatience));
  }
  void Send(const std::string& bytes) {
    CHECK_EQ(send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
             static_cast<ssize_t>(bytes.size()));
  }
  // All of `size` bytes, or what came before the end.
  std::string Receive(size_t size) {
    std::string all;
    while (all.size() < size) {
      char buffer[65536];
      const ssize_t count = recv(peer_, buffer, std::min(sizeof(buffer), size - all.size()), 0);
      if (count <= 0) break;
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }
  void ClosePeer() {
    if (peer_ >= 0) close(peer_);
    peer_ = -1;
  }

  Recorder recorder_;
  EventLoop loop_{"test"};
  std::unique_ptr<Stream> stream_;
  int peer_ = -1;
};

TEST_F(StreamTest, BytesGoBothWays) {
  Start();
  Send("hello");
  ASSERT_TRUE(recorder_.AwaitInput(5));
  EXPECT_EQ(recorder_.input(), "hello");
  On([&] {
    stream_->Write("good");
    stream_->Write("bye");
    EXPECT_EQ(stream_->unsent(), 7u);
  });
  EXPECT_EQ(Receive(7), "goodbye");
}

TEST_F(StreamTest, WhatIsNotTakenIsOfferedAgainWhenResumed) {
  bool open = false;
  recorder_.take = [&](std::string_view bytes) { return open ? bytes.size() : 2; };
  Start();
  Send("abcdef");
  ASSERT_TRUE(recorder_.AwaitOffers(1));
  Send("gh");
  On([&] { open = true; });
  EXPECT_EQ(recorder_.input(), "ab");
  On([&] { stream_->Resume(); });
  ASSERT_TRUE(recorder_.AwaitInput(8));
  EXPECT_EQ(recorder_.input(), "abcdefgh");
}

TEST_F(StreamTest, APeerThatIsNotServedIsHeldUp) {
  recorder_.take = [](std::string_view) { return size_t{0}; };
  Start();
  const std::string much(1 << 20, 'x');
  size_t sent = 0;
  for (;;) {
    const ssize_t count = send(peer_, much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) break;
    sent += static_cast<size_t>(count);
    ASSERT_LT(sent, size_t{64} << 20);
  }
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(StreamTest, MuchOutputGoesAsThePeerReads) {
  Start();
  const std::string much(8 << 20, 'x');
  On([&] { stream_->Write(much); });
  EXPECT_EQ(Receive(much.size()).size(), much.size());
  size_t unsent = 1;
  On([&] { unsent = stream_->unsent(); });
  EXPECT_EQ(unsent, 0u);
}

TEST_F(StreamTest, InputThatOutputHeldUpIsOfferedOnceItIsSent) {
  // Takes a byte only when nothing is unsent, and answers each with a megabyte.
  recorder_.take = [&](std::string_view) -> size_t {
    if (stream_->unsent() > 0) return 0;
    stream_->Write(std::string(1 << 20, 'y'));
    return 1;
  };
  Start();
  Send("abc");
  EXPECT_EQ(Receive(3 << 20).size(), size_t{3} << 20);
  EXPECT_TRUE(recorder_.AwaitInput(3));
}

TEST_F(StreamTest, AHalfClosedPeerIsStillAnswered) {
  Start();
  Send("last");
  CHECK_EQ(shutdown(peer_, SHUT_WR), 0);
  ASSERT_TRUE(recorder_.Await(&Recorder::input_end_));
  EXPECT_EQ(recorder_.input(), "last");
  On([&] {
    stream_->Write("words");
    stream_->Finish();
  });
  EXPECT_EQ(Receive(100), "words");
  EXPECT_TRUE(recorder_.Await(&Recorder::closed_));
}

TEST_F(StreamTest, ThePeersEndIsToldThoughInputIsNotTaken) {
  recorder_.take = [](std::string_view) { return size_t{0}; };
  Start();
  Send("waiting");
  CHECK_EQ(shutdown(peer_, SHUT_WR), 0);
  EXPECT_TRUE(recorder_.Await(&Recorder::peer_done_));
  bool ended = true;
  On([&] { ended = recorder_.input_end_; });
  EXPECT_FALSE(ended);
}

TEST_F(StreamTest, AVanishedPeerClosesTheStream) {
  Start();
  const std::string much(8 << 20, 'x');
  On([&] { stream_->Write(much); });
  ClosePeer();
  EXPECT_TRUE(recorder_.Await(&Recorder::closed_));
}

TEST_F(StreamTest, NothingIsTakenAfterFinish) {
  recorder_.take = [&](std::string_view bytes) {
    stream_->Finish();
    return bytes.size();
  };
  Start();
  Send("quit");
  EXPECT_EQ(Receive(1), "");
  EXPECT_TRUE(recorder_.Await(&Recorder::closed_));
  EXPECT_EQ(recorder_.input(), "quit");
}

int Connect(const std::string& address) {
  int fd = -1;
  if (address.rfind("unix:", 0) == 0) {
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, address.c_str() + 5, sizeof(at.sun_path) - 1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  } else {
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  }
  SetTimeouts(fd);
  return fd;
}

class ListenerTest : public ::testing::Test {
 protected:
  // Each accepted connection is told hello and closed.
  void ExpectServes(const std::string& address, int connections) {
    const absl::StatusOr<int> fd = ListenOn(address);
    ASSERT_TRUE(fd.ok()) << fd.status();
    const std::string bound = AddressOf(*fd);
    EventLoop loop("test");
    std::unique_ptr<Listener> listener;
    absl::Notification started;
    loop.Post([&] {
      listener = std::make_unique<Listener>(&loop, *fd, [](int accepted) {
        CHECK_EQ(write(accepted, "hello", 5), 5);
        close(accepted);
      });
      listener->Start();
      started.Notify();
    });
    ASSERT_TRUE(started.WaitForNotificationWithTimeout(kPatience));
    std::vector<int> peers;
    for (int i = 0; i < connections; ++i) peers.push_back(Connect(bound));
    for (const int peer : peers) {
      char text[5];
      EXPECT_EQ(recv(peer, text, sizeof(text), MSG_WAITALL), 5);
      close(peer);
    }
    absl::Notification ended;
    loop.Post([&] {
      listener.reset();
      ended.Notify();
    });
    ASSERT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  }
};

TEST_F(ListenerTest, TheLimitOnDescriptorsIsRaisedAsFarAsItMay) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit lower = limit;
  lower.rlim_cur = std::min<rlim_t>(limit.rlim_max, 512);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  AllowManyDescriptors();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &lower), 0);
  EXPECT_EQ(lower.rlim_cur, limit.rlim_max);
}

TEST_F(ListenerTest, ListensOnTcp) { ExpectServes("127.0.0.1:0", 200); }

TEST_F(ListenerTest, ListensOnAUnixSocketAndReplacesAnOldOne) {
  // Not in the test's own folder: the path of a socket has 107 bytes at most.
  std::string folder = std::filesystem::temp_directory_path() / "holdfast_listener_XXXXXX";
  CHECK(mkdtemp(folder.data()) != nullptr);
  const std::string path = absl::StrCat(folder, "/socket");
  ExpectServes("unix:" + path, 10);
  ExpectServes("unix:" + path, 10);
  EXPECT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(rmdir(folder.c_str()), 0);
}

TEST_F(ListenerTest, AddressesThatCannotBeListenedOnAreRefused) {
  EXPECT_EQ(ListenOn("11300").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ListenOn(":11300").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ListenOn("unix:").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ListenOn("unix:" + std::string(200, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);
  const absl::StatusOr<int> first = ListenOn("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(ListenOn(AddressOf(*first)).status().code(), absl::StatusCode::kUnavailable);
  close(*first);
}

}  // namespace
}  // namespace holdfast
