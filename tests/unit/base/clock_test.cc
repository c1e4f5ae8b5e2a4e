#include "base/clock.h"

#include <gtest/gtest.h>

namespace haul {
namespace {

constexpr UtcTime kMoment{1'763'863'342'999'999};  // 2025-11-23 02:02:22.999999

TEST(UtcTime, PrintsIso8601WithoutFractions) {
  EXPECT_EQ(to_iso8601(kMoment), "2025-11-23T02:02:22Z");
  EXPECT_EQ(to_compact_iso8601(kMoment), "20251123T020222Z");
}

TEST(UtcTime, PrintsTheEpochAndBefore) {
  EXPECT_EQ(to_iso8601({0}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_iso8601({-1}), "1969-12-31T23:59:59Z");
}

TEST(SystemClock, MonotonicTimeDoesNotGoBack) {
  SystemClock clock;
  const auto first = clock.now_monotonic();
  EXPECT_GE(clock.now_monotonic(), first);
}

TEST(SystemClock, WallTimeIsOfThisCentury) {
  SystemClock clock;
  EXPECT_GT(clock.now_utc(), kMoment);
  EXPECT_LT(clock.now_utc(), (UtcTime{4'102'444'800'000'000}));
}

}  // namespace
}  // namespace haul
