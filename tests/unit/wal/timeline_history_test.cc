#include "engine/wal/timeline_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::wal {
namespace {

using support::code_of;
using ::testing::HasSubstr;

constexpr TimelineId kThree{3};

TEST(TimelineHistory, PeriodsFollowEachOther) {
  const auto history = parse_timeline_history(
      kThree, "1\t0/5000028\tbefore 2026\n\n2\t1/A0\tno recovery target specified\n");
  ASSERT_TRUE(history) << history.error().message();
  const std::vector<TimelinePeriod> expected = {{TimelineId{1}, {}, Lsn{0x5000028}},
                                                {TimelineId{2}, Lsn{0x5000028}, Lsn{0x1000000A0}},
                                                {kThree, Lsn{0x1000000A0}, {}}};
  EXPECT_EQ(history->timeline, kThree);
  EXPECT_EQ(history->periods, expected);
}

TEST(TimelineHistory, CommentsBlanksAndAMissingLineFeedAreTaken) {
  const auto history =
      parse_timeline_history(kThree, "# made by hand\n  \t\n 1 0/10 \r\n  # so\n2\t0/20");
  ASSERT_TRUE(history) << history.error().message();
  EXPECT_EQ(history->periods.size(), 3U);
}

TEST(TimelineHistory, TwoSwitchesAtOnePointAreTaken) {
  EXPECT_TRUE(parse_timeline_history(kThree, "1\t0/10\n2\t0/10\n"));
}

TEST(TimelineHistory, PeriodOfAPositionEndsBeforeItsSwitchPoint) {
  const auto history = parse_timeline_history(kThree, "1\t0/10\n2\t0/20\n").value();
  EXPECT_EQ(history.period_of(Lsn{0xF}).timeline, TimelineId{1});
  EXPECT_EQ(history.period_of(Lsn{0x10}).timeline, TimelineId{2});
  EXPECT_EQ(history.period_of(Lsn{0x20}).timeline, kThree);
  EXPECT_EQ(history.period_of(Lsn{UINT64_MAX}).timeline, kThree);
}

TEST(TimelineHistory, FirstTimelineHasNoAncestors) {
  const std::vector<TimelinePeriod> expected = {{TimelineId{1}, {}, {}}};
  EXPECT_EQ(first_timeline(TimelineId{1}).periods, expected);
}

TEST(TimelineHistory, MalformedOnesAreCorruptAndNameTheLine) {
  for (const char* text :
       {"", "# nothing\n", "1\n", "x\t0/10\n", "1\t10\n", "1\t0/0\n", "0\t0/10\n", "-1\t0/10\n",
        "1x\t0/10\n", "3\t0/10\n", "4\t0/10\n", "4294967296\t0/10\n", "1\t0/10x\n"}) {
    const auto history = parse_timeline_history(kThree, text);
    EXPECT_EQ(code_of(history), ErrorCode::corrupt) << text;
    EXPECT_THAT(history.error().message(), HasSubstr("00000003.history, line 1: ")) << text;
  }
  for (const char* text : {"1\t0/10\n1\t0/20\n", "2\t0/10\n1\t0/20\n", "1\t0/20\n2\t0/10\n"}) {
    const auto history = parse_timeline_history(kThree, text);
    EXPECT_EQ(code_of(history), ErrorCode::corrupt) << text;
    EXPECT_THAT(history.error().message(), HasSubstr("line 2: ")) << text;
  }
}

TEST(TimelineHistory, BinaryOrHugeTextIsCorrupt) {
  EXPECT_EQ(code_of(parse_timeline_history(kThree, std::string_view("1\t0/10\n\0", 8))),
            ErrorCode::corrupt);
  const std::string huge = "1\t0/10\t" + std::string(kTimelineHistoryBytesMax, 'x') + "\n";
  EXPECT_EQ(code_of(parse_timeline_history(kThree, huge)), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::wal
