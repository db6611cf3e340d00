#include "server/net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace holdfast {
namespace {

// An idle connection keeps no larger buffer than this.
constexpr size_t kIdleBufferBytes = 256;

void Clear(std::string* buffer) {
  if (buffer->capacity() > kIdleBufferBytes) {
    *buffer = std::string();
  } else {
    buffer->clear();
  }
}

bool IsPassing(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Stream::~Stream() {
  if (fd_ < 0) return;
  loop_->Unwatch(fd_, this);
  close(fd_);
}

void Stream::Start() { loop_->Watch(fd_, this); }

void Stream::Write(std::string_view bytes) {
  if (!closed()) Output()->append(bytes);
}

std::string* Stream::Output() {
  CHECK(!closed());
  loop_->AtTurnEnd(this);
  return &output_;
}

void Stream::Resume() {
  if (closed() || finishing_) return;
  stalled_ = false;
  loop_->AtTurnEnd(this);
}

void Stream::Finish() {
  if (closed()) return;
  finishing_ = true;
  loop_->AtTurnEnd(this);
}

void Stream::Close() {
  if (closed()) return;
  loop_->Unwatch(fd_, this);
  close(std::exchange(fd_, -1));
  input_ = std::string();
  output_ = std::string();
  sent_ = 0;
  handler_->OnClosed();
}

void Stream::AcknowledgeNow() {
  if (closed()) return;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void Stream::OnEvents(uint32_t events) {
  const bool done = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  readable_ |= (events & EPOLLIN) != 0 || done;
  writable_ |= (events & EPOLLOUT) != 0;
  if (done && !std::exchange(peer_done_, true)) handler_->OnPeerDone();
  if (closed()) return;
  TakeInput();
  if (unsent() > 0) loop_->AtTurnEnd(this);
}

void Stream::OnTurnEnd() {
  if (unsent() > 0) {
    Send();
    if (closed()) return;
    if (unsent() == 0) stalled_ = false;  // it may have been the output that held it up
  }
  TakeInput();
  if (closed()) return;
  if (finishing_ && unsent() == 0) return Close();
  if (unsent() > 0 && writable_) loop_->AtTurnEnd(this);
}

void Stream::TakeInput() {
  if (stalled_ || finishing_ || input_ended_) return;
  if (!input_.empty()) {
    const std::string kept = std::exchange(input_, std::string());
    const size_t taken = handler_->OnInput(kept);
    CHECK_LE(taken, kept.size());
    if (closed() || finishing_) return;
    if (taken < kept.size()) {
      input_.assign(kept, taken);
      stalled_ = true;
      return;
    }
  }
  if (readable_) Read();
}

void Stream::Read() {
  const ssize_t count = recv(fd_, loop_->scratch(), loop_->scratch_size(), 0);
  if (count < 0) {
    readable_ = errno == EINTR;
    if (!IsPassing(errno)) return Close();
    if (readable_) loop_->AtTurnEnd(this);
    return;
  }
  if (count == 0) {
    input_ended_ = true;
    if (!std::exchange(peer_done_, true)) handler_->OnPeerDone();
    if (!closed()) handler_->OnInputEnd();
    return;
  }
  const std::string_view bytes(loop_->scratch(), static_cast<size_t>(count));
  const size_t taken = handler_->OnInput(bytes);
  CHECK_LE(taken, bytes.size());
  if (closed() || finishing_) return;
  stalled_ = taken < bytes.size();
  if (stalled_) input_.assign(bytes.substr(taken));
  // A short read has emptied the socket; a change after it is told. The end is not told twice.
  readable_ = peer_done_ || bytes.size() == loop_->scratch_size();
  // The rest in the next turn, so that others get theirs.
  if (readable_ && !stalled_) loop_->AtTurnEnd(this);
}

void Stream::Send() {
  while (writable_ && unsent() > 0) {
    const ssize_t count = send(fd_, output_.data() + sent_, unsent(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      writable_ = false;
      if (!IsPassing(errno)) return Close();
      return;
    }
    sent_ += static_cast<size_t>(count);
  }
  if (unsent() > 0) return;
  Clear(&output_);
  sent_ = 0;
}

}  // namespace holdfast
