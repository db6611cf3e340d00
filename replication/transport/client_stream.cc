#include "replication/transport/client_stream.h"

#include <grpcpp/generic/generic_stub.h>

#include <utility>

namespace holdfast {

ClientStream::ClientStream(std::shared_ptr<grpc::Channel> channel,
                           std::shared_ptr<Listener> listener, std::shared_ptr<StreamCount> count)
    : channel_(std::move(channel)), listener_(std::move(listener)), count_(std::move(count)) {}

std::shared_ptr<ClientStream> ClientStream::Dial(std::shared_ptr<grpc::Channel> channel,
                                                 const std::string& method, grpc::ByteBuffer first,
                                                 std::shared_ptr<Listener> listener,
                                                 std::shared_ptr<StreamCount> count) {
  std::shared_ptr<ClientStream> stream(
      new ClientStream(std::move(channel), std::move(listener), std::move(count)));
  stream->count_->Add();
  stream->self_ = stream;
  stream->writing_ = std::move(first);
  grpc::GenericStub(stream->channel_)
      .PrepareBidiStreamingCall(&stream->context_, method, grpc::StubOptions(), stream.get());
  stream->AddHold();
  stream->StartRead(&stream->reading_);
  stream->StartWrite(&stream->writing_);
  stream->StartCall();
  return stream;
}

void ClientStream::Write(grpc::ByteBuffer buffer) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  writing_ = std::move(buffer);
  StartWrite(&writing_);
}

void ClientStream::Read() {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  StartRead(&reading_);
}

void ClientStream::Close() {
  context_.TryCancel();
  absl::MutexLock lock(&mutex_);
  EndLocked();
}

void ClientStream::EndLocked() {
  if (ended_) return;
  ended_ = true;
  RemoveHold();
}

void ClientStream::OnReadDone(bool ok) {
  if (ok) return listener_->OnRead(this, reading_);
  absl::MutexLock lock(&mutex_);
  EndLocked();
}

void ClientStream::OnWriteDone(bool ok) {
  if (ok) return listener_->OnWritten(this);
  absl::MutexLock lock(&mutex_);
  EndLocked();
}

void ClientStream::OnDone(const grpc::Status& status) {
  listener_->OnClosed(this, status);
  const std::shared_ptr<StreamCount> count = count_;
  self_.reset();  // May be the end of this object.
  count->Remove();
}

}  // namespace holdfast
