#include "server/stop_limit.h"

#include <optional>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(StopLimit, AStopInTimeIsNotDisturbed) {
  std::optional<StopLimit> limit(absl::Hours(1));
  limit->WaitFor("nothing");
  limit.reset();
}

TEST(StopLimitDeathTest, AStopThatHangsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        StopLimit limit(absl::Milliseconds(50));
        limit.WaitFor("what never comes");
        absl::Notification().WaitForNotification();
      },
      testing::ExitedWithCode(1), "");
}

}  // namespace
}  // namespace holdfast
