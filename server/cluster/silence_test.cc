#include "server/cluster/silence.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr int64_t kTick = 100;
constexpr NodeId kHeard{2};
constexpr NodeId kNever{3};

TEST(Silence, IsSinceTheNodeWasHeardOrSinceWeListen) {
  Silence silence(kTick);
  for (int64_t now = 1000; now <= 1500; now += kTick) silence.Tick(now);
  silence.Heard(kHeard);
  const int64_t since = silence.now() - 200;
  EXPECT_EQ(silence.Of(kHeard, since), 0);
  EXPECT_EQ(silence.Of(kNever, since), 200);
  for (int64_t now = 1600; now <= 1900; now += kTick) silence.Tick(now);
  EXPECT_EQ(silence.Of(kHeard, since), 400);
  EXPECT_EQ(silence.Of(kNever, since), 600);
  EXPECT_EQ(silence.Of(kHeard, silence.now()), 0);
}

TEST(Silence, DoesNotCountWhatWasNotListenedTo) {
  Silence silence(kTick);
  silence.Tick(1000);
  silence.Heard(kHeard);
  silence.Tick(1'000'000'000);
  EXPECT_EQ(silence.Of(kHeard, 0), kTick) << "this process was stopped meanwhile";
}

}  // namespace
}  // namespace holdfast
