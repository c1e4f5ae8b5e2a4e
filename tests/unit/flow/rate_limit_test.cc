#include "engine/flow/rate_limit.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace haul::flow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateLimit, WithoutALimitNothingWaits) {
  support::ManualClock clock;
  RateLimit rate(0, clock);
  rate.spend(std::uint64_t{1} << 40);
  EXPECT_EQ(rate.delay().count(), 0);
}

TEST(RateLimit, WhatWasSpentHasToBeWaitedFor) {
  support::ManualClock clock;
  RateLimit rate(1000, clock);
  EXPECT_EQ(rate.delay().count(), 0);
  rate.spend(500);
  EXPECT_EQ(rate.delay(), milliseconds(500));
  rate.spend(250);
  EXPECT_EQ(rate.delay(), milliseconds(750));
  clock.sleep_for(milliseconds(700));
  EXPECT_EQ(rate.delay(), milliseconds(50));
  clock.sleep_for(milliseconds(50));
  EXPECT_EQ(rate.delay().count(), 0);
}

TEST(RateLimit, IdleTimeIsNotSavedUp) {
  support::ManualClock clock;
  RateLimit rate(1000, clock);
  clock.sleep_for(seconds(60));
  rate.spend(1000);
  EXPECT_EQ(rate.delay(), seconds(1));
}

}  // namespace
}  // namespace haul::flow
