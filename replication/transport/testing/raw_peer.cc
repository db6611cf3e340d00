#include "replication/transport/testing/raw_peer.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

namespace holdfast {

RawPeer::RawPeer(const std::string& address, StreamKind kind) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  stream_ = stub.PrepareCall(&context_, MethodOf(kind), &queue_);
  stream_->StartCall(nullptr);
  Next();
}

RawPeer::~RawPeer() {
  context_.TryCancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool RawPeer::Next() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool RawPeer::Write(const grpc::ByteBuffer& buffer) {
  stream_->Write(buffer, nullptr);
  return Next();
}

bool RawPeer::WriteBytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return Write(grpc::ByteBuffer(&slice, 1));
}

bool RawPeer::WriteFrame(const peer::v1::PeerFrame& frame) {
  return WriteBytes(frame.SerializeAsString());
}

bool RawPeer::Read(grpc::ByteBuffer* buffer) {
  stream_->Read(buffer, nullptr);
  return Next();
}

grpc::Status RawPeer::Finish() {
  grpc::ByteBuffer buffer;
  while (Read(&buffer)) {
  }
  grpc::Status status;
  stream_->Finish(&status, nullptr);
  Next();
  return status;
}

}  // namespace holdfast
