#include "server/engine/holder_registry.h"

#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

Machine::EndedLease LeaseOf(const Holder& holder, uint64_t job) {
  Machine::EndedLease lease{};
  lease.job = JobId(job);
  lease.holder = holder;
  return lease;
}

class Holders : public testing::Test {
 protected:
  Holder Open() {
    return registry_.Open(LeasesAtClose::kRelease,
                          [this](const Machine::EndedLease& lease) { told_.push_back(lease.job); });
  }

  HolderRegistry registry_{NodeId(1), 1};
  std::vector<JobId> told_;
};

TEST_F(Holders, AreToldOfTheirOwnLeases) {
  const Holder one = Open();
  const Holder other = Open();
  registry_.Notify(LeaseOf(one, 7));
  EXPECT_EQ(told_, std::vector<JobId>({JobId(7)}));
  registry_.Close(other);
  registry_.Notify(LeaseOf(other, 8));
  EXPECT_EQ(told_, std::vector<JobId>({JobId(7)}));
}

// A Work stream whose last lease ends while the node drains has nothing left to do, and closes
// there and then. It waited for itself: its loop stood still, and the node did not stop.
TEST_F(Holders, MayCloseWhenTheyAreToldOfALease) {
  Holder holder;
  int calls = 0;
  holder = registry_.Open(LeasesAtClose::kExpire, [&](const Machine::EndedLease&) {
    ++calls;
    registry_.Close(holder);
  });
  registry_.Notify(LeaseOf(holder, 7));
  registry_.Notify(LeaseOf(holder, 8));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace holdfast
