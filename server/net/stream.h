// One connected socket on a loop: bytes that came are offered to a handler, bytes to send are
// gathered and sent at the end of the turn.
//
// What the handler does not take is kept, and nothing more is read until it says Resume() or the
// output has all been sent: so a peer that sends faster than it is served is held up by TCP.
//
// Bounds: one read (EventLoop::scratch_size()) of bytes that were not taken. The output is as
// large as the handler makes it: it should stop taking input while unsent() is large.
// Thread-safety: loop-bound. Ownership: closes the socket; handler and loop outlive it. It may be
// destroyed in a later task, not in a call of its own.

#ifndef HOLDFAST_SERVER_NET_STREAM_H_
#define HOLDFAST_SERVER_NET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/net/event_loop.h"

namespace holdfast {

class Stream final : private EventLoop::Watcher {
 public:
  class Handler {
   public:
    // Takes bytes off the front, and returns how many. The views end with the call.
    virtual size_t OnInput(std::string_view bytes) = 0;
    // The peer will send no more, or is gone; there may be input that has not been offered yet.
    // Called at most once.
    virtual void OnPeerDone() = 0;
    // All input has been taken and no more will come. Called at most once, after OnPeerDone.
    virtual void OnInputEnd() = 0;
    // The socket is closed: by Close(), after Finish(), or since the peer is gone. The last call.
    virtual void OnClosed() = 0;

   protected:
    ~Handler() = default;
  };

  // Takes over `fd`, a connected and non-blocking stream socket.
  Stream(EventLoop* loop, int fd, Handler* handler) : loop_(loop), fd_(fd), handler_(handler) {}
  // Closes it without a call.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void Start();

  // To be sent at the end of the turn. Nothing happens once it is closed.
  void Write(std::string_view bytes);
  // The same by appending to the result, before control returns to the loop. REQUIRES: !closed().
  std::string* Output();
  // Some input was not taken, and will be offered again.
  bool has_input() const { return !input_.empty(); }
  // Bytes written and not sent yet.
  size_t unsent() const { return output_.size() - sent_; }
  // Offers what was not taken, and more, at the end of the turn.
  void Resume();
  // No more input is offered; closes when everything is sent.
  void Finish();
  void Close();
  bool closed() const { return fd_ < 0; }

  // Acknowledges at once what was received: a peer that sends the two halves of a request by
  // themselves waits for it (Nagle's algorithm against delayed acknowledgements, RFC 896 and
  // RFC 1122 4.2.3.2). Without effect on sockets that are not TCP.
  void AcknowledgeNow();

 private:
  void OnEvents(uint32_t events) override;
  void OnTurnEnd() override;
  // Offers what is kept and reads once.
  void TakeInput();
  void Read();
  void Send();

  EventLoop* const loop_;
  int fd_;
  Handler* const handler_;
  bool readable_ = false;   // a read may find something
  bool writable_ = false;   // a write may be taken
  bool peer_done_ = false;  // the end of input is near
  bool stalled_ = false;    // the handler did not take all
  bool input_ended_ = false;
  bool finishing_ = false;
  std::string input_;   // not taken
  std::string output_;  // sent up to sent_
  size_t sent_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_NET_STREAM_H_
