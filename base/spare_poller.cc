#include "base/spare_poller.h"

#include <grpc/support/cpu.h>
#include <grpcpp/create_channel.h>

namespace holdfast {
namespace {

// From so many cores on half of them are as many as gRPC's threads.
constexpr unsigned kCoresWithoutSpare = 4;

}  // namespace

SparePoller::SparePoller() {
  if (gpr_cpu_num_cores() >= kCoresWithoutSpare) return;
  // Every call on a channel without credentials fails at once.
  stub_.emplace(grpc::CreateChannel("", nullptr));
  stub_->UnaryCall(&context_, "/none", grpc::StubOptions(), &request_, &response_,
                   [this](const grpc::Status&) {
                     wake_.WaitForNotification();
                     woken_.Notify();
                   });
}

SparePoller::~SparePoller() {
  if (!stub_.has_value()) return;
  wake_.Notify();
  woken_.WaitForNotification();
}

}  // namespace holdfast
