#include "engine/restore/recovery_target.h"

#include <gtest/gtest.h>

namespace haul::restore {
namespace {

constexpr UtcTime kTen{1'795'514'400'000'000};  // 2026-11-24 10:00:00 UTC

// What it is in UTC, or why it is nothing.
std::string time(std::string_view text) {
  const auto parsed = parse_target_time(text);
  return parsed ? to_target_time(*parsed) : parsed.error().message();
}

TEST(TargetTime, EveryFormOfAZoneIsRead) {
  for (const char* text :
       {"2026-11-24 10:00:00+00", "2026-11-24T10:00:00Z", "2026-11-24 10:00:00 +00:00",
        "2026-11-24 10:00:00Z", "2026-11-24 11:00+01", "2026-11-24T02:00:00.0-0800",
        "2026-11-24 15:30:00.000000+05:30", "2026-11-23T23:59:00-10:01"}) {
    EXPECT_EQ(time(text), "2026-11-24 10:00:00.000000+00") << text;
  }
}

TEST(TargetTime, MicrosecondsAreKept) {
  EXPECT_EQ(parse_target_time("2026-11-24 10:00:00.000001+00").value(),
            (UtcTime{kTen.microseconds + 1}));
  EXPECT_EQ(time("2026-11-24 10:00:00.5+00"), "2026-11-24 10:00:00.500000+00");
  EXPECT_EQ(time("1969-12-31 23:59:59.999999Z"), "1969-12-31 23:59:59.999999+00");
}

TEST(TargetTime, WithoutAZoneItIsRefusedWithAHint) {
  for (const char* text : {"2026-11-24 10:00:00", "2026-11-24T10:00", "2026-11-24 10:00:00.25"}) {
    const auto parsed = parse_target_time(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::usage);
    EXPECT_NE(parsed.error().message().find("time zone"), std::string::npos) << text;
    EXPECT_NE(parsed.error().hint().find("+00"), std::string::npos) << text;
  }
}

TEST(TargetTime, AnythingElseIsNoTime) {
  for (const char* text : {"",
                           "now",
                           "2026-11-24",
                           "2026-11-24Z",
                           "2026-13-01 10:00:00Z",
                           "2026-02-29 10:00:00Z",
                           "2026-11-24 24:00:00Z",
                           "2026-11-24 10:60:00Z",
                           "2026-11-24 10:00:60Z",
                           "2026-11-24 10:00:00.1234567Z",
                           "2026-11-24 10:00:00.Z",
                           "2026-11-24 10:00:00CET",
                           "2026-11-24 10:00:00+1",
                           "2026-11-24 10:00:00+16",
                           "2026-11-24 10:00:00+01:60",
                           "2026-11-24 10:00:00Zx",
                           "2026-11-24 10:00:00+01x",
                           "2026-11-24 10:00:00+00\n",
                           "2026-11-24  10:00:00Z",
                           "26-11-24 10:00:00Z",
                           "0000-01-01 00:00:00Z",
                           "9999-12-31 23:59:59-01",
                           "0001-01-01 00:00:00+01",
                           "2026-11-24 10:00:00'+00"}) {
    const auto parsed = parse_target_time(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::usage);
    EXPECT_NE(parsed.error().message().find("is no time"), std::string::npos) << text;
  }
}

TEST(TargetTime, LeapDaysAndTheEndsOfTimeAreRead) {
  EXPECT_EQ(time("2028-02-29 00:00:00Z"), "2028-02-29 00:00:00.000000+00");
  EXPECT_EQ(time("0001-01-01 00:00:00Z"), "0001-01-01 00:00:00.000000+00");
  EXPECT_EQ(time("9999-12-31 23:59:59.999999Z"), "9999-12-31 23:59:59.999999+00");
}

TEST(TargetLsn, IsReadAsTheServerPrintsIt) {
  EXPECT_EQ(parse_target_lsn("16/B374D848").value(), Lsn{0x16'B374D848});
  for (const char* text : {"", "0/0", "16", "16/", "x/1", "1/123456789", "0/1 "}) {
    EXPECT_FALSE(parse_target_lsn(text)) << text;
  }
}

TEST(TargetXid, EpochIsLeftAside) {
  EXPECT_EQ(parse_target_xid("3").value(), 3U);
  EXPECT_EQ(parse_target_xid("4294967295").value(), 4'294'967'295U);
  EXPECT_EQ(parse_target_xid("4294968038").value(), 742U);
  for (const char* text : {"", "0", "2", "-3", "0x10", "742 ", "4294967298", "x"}) {
    EXPECT_FALSE(parse_target_xid(text)) << text;
  }
}

TEST(TargetName, HasTheLengthThatTheServerKeeps) {
  EXPECT_EQ(parse_target_name("it's \\ \n %p").value(), "it's \\ \n %p");
  EXPECT_TRUE(parse_target_name(std::string(63, 'n')));
  EXPECT_FALSE(parse_target_name(std::string(64, 'n')));
  EXPECT_FALSE(parse_target_name(""));
  EXPECT_FALSE(parse_target_name(std::string_view("a\0b", 3)));
}

TEST(TargetTimeline, IsLatestCurrentOrANumber) {
  RecoveryTarget target;
  ASSERT_TRUE(parse_target_timeline("current", target));
  EXPECT_EQ(target.timeline, RecoveryTarget::Timeline::current);
  ASSERT_TRUE(parse_target_timeline("12", target));
  EXPECT_EQ(target.timeline, RecoveryTarget::Timeline::number);
  EXPECT_EQ(target.timeline_number, TimelineId{12});
  ASSERT_TRUE(parse_target_timeline("latest", target));
  EXPECT_EQ(target.timeline, RecoveryTarget::Timeline::latest);
  for (const char* text : {"", "0", "-1", "0x2", "Latest", "4294967296"}) {
    EXPECT_FALSE(parse_target_timeline(text, target)) << text;
  }
}

TEST(TargetAction, IsOneOfThree) {
  EXPECT_EQ(parse_target_action("promote").value(), RecoveryTarget::Action::promote);
  EXPECT_EQ(parse_target_action("pause").value(), RecoveryTarget::Action::pause);
  EXPECT_EQ(parse_target_action("shutdown").value(), RecoveryTarget::Action::shutdown);
  EXPECT_FALSE(parse_target_action("stop"));
}

RecoveryTarget of_kind(RecoveryTarget::Kind kind) {
  RecoveryTarget target;
  target.kind = kind;
  return target;
}

TEST(CheckTarget, WhatFitsTogetherPasses) {
  EXPECT_TRUE(check_target({}, ActionGiven::no));
  EXPECT_TRUE(check_target(of_kind(RecoveryTarget::Kind::time), ActionGiven::yes));
  RecoveryTarget exclusive = of_kind(RecoveryTarget::Kind::xid);
  exclusive.bound = RecoveryTarget::Bound::exclusive;
  EXPECT_TRUE(check_target(exclusive, ActionGiven::no));
  RecoveryTarget standby;
  standby.role = RecoveryTarget::Role::standby;
  EXPECT_TRUE(check_target(standby, ActionGiven::no));
}

TEST(CheckTarget, WhatExcludesEachOtherIsRefused) {
  EXPECT_FALSE(check_target({}, ActionGiven::yes));
  EXPECT_FALSE(check_target(of_kind(RecoveryTarget::Kind::latest), ActionGiven::yes));
  for (const auto kind : {RecoveryTarget::Kind::unspecified, RecoveryTarget::Kind::latest,
                          RecoveryTarget::Kind::immediate, RecoveryTarget::Kind::name}) {
    RecoveryTarget target = of_kind(kind);
    target.bound = RecoveryTarget::Bound::exclusive;
    EXPECT_FALSE(check_target(target, ActionGiven::no));
  }
  RecoveryTarget standby = of_kind(RecoveryTarget::Kind::time);
  standby.role = RecoveryTarget::Role::standby;
  EXPECT_FALSE(check_target(standby, ActionGiven::no));
  standby.kind = RecoveryTarget::Kind::latest;
  standby.timeline = RecoveryTarget::Timeline::current;
  EXPECT_FALSE(check_target(standby, ActionGiven::no));
  standby.timeline = RecoveryTarget::Timeline::latest;
  standby.archiving = RecoveryTarget::Archiving::take_over;
  EXPECT_FALSE(check_target(standby, ActionGiven::no));
}

TEST(DescribeTarget, SaysWhatWasAskedFor) {
  RecoveryTarget target = of_kind(RecoveryTarget::Kind::time);
  target.time = kTen;
  target.bound = RecoveryTarget::Bound::exclusive;
  EXPECT_EQ(describe(target), "time 2026-11-24 10:00:00.000000+00, exclusive");
  target = of_kind(RecoveryTarget::Kind::lsn);
  target.lsn = Lsn{0x16'B374D848};
  EXPECT_EQ(describe(target), "position 16/B374D848");
  target = of_kind(RecoveryTarget::Kind::xid);
  target.xid = 742;
  EXPECT_EQ(describe(target), "transaction 742");
  target = of_kind(RecoveryTarget::Kind::name);
  target.name = "before";
  EXPECT_EQ(describe(target), "restore point \"before\"");
  EXPECT_EQ(describe(of_kind(RecoveryTarget::Kind::immediate)), "the end of the backup");
  EXPECT_EQ(describe(RecoveryTarget{}), "the end of the archive");
}

}  // namespace
}  // namespace haul::restore
