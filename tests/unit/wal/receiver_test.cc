#include "engine/wal/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/tail.h"
#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using std::chrono::milliseconds;
using testing::at_segment;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFirstSegment;
using testing::kOtherSystem;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::ReceiverFixture;
using testing::segment_name;
using Side = ReceiverEnvironment::Side;

Error lost_connection() { return {ErrorCode::io, "connection lost"}; }

TEST(Receiver, StoresWholeSegmentsAndTheTail) {
  ReceiverFixture receiver;
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.start, at_segment(kFirstSegment));
  EXPECT_EQ(report.durable, receiver.server.flushed);
  EXPECT_EQ(report.segments_stored, 2U);
  EXPECT_EQ(report.timeline, TimelineId{1});
  EXPECT_EQ(report.system_identifier, kSystem);
  EXPECT_TRUE(receiver.holds_everything_before(receiver.server.flushed));
  EXPECT_EQ(receiver.stored(1, kFirstSegment + 2).size(), 300'000U);
  EXPECT_EQ(receiver.server.finished, 1);
}

TEST(Receiver, PiecesGoWhenTheirSegmentIsStored) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = {};
  receiver.server.flushed = at_segment(kFirstSegment, 500'000);
  ASSERT_TRUE(receiver.receive());
  EXPECT_FALSE(receiver.pieces(1, kFirstSegment).empty());
  receiver.server.flushed = at_segment(kFirstSegment + 1, 8);
  ASSERT_TRUE(receiver.receive());
  EXPECT_THAT(receiver.pieces(1, kFirstSegment), IsEmpty());
  EXPECT_THAT(receiver.pieces(1, kFirstSegment + 1), ElementsAre("00000000-00000008"));
}

TEST(Receiver, ATailIsNoSegmentToWhoeverAsksForIt) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  const auto asked = receiver.get(segment_name(1, kFirstSegment + 2).text);
  ASSERT_TRUE(asked) << asked.error().message();
  EXPECT_EQ(*asked, Delivery::absent);
  EXPECT_EQ(receiver.get(segment_name(1, kFirstSegment).text).value(), Delivery::delivered);
}

TEST(Receiver, NothingIsReportedThatIsNotStored) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = {};
  receiver.server.pauses = true;
  const auto stop_at_the_end = receiver.server.when_reported;
  receiver.server.when_reported = [&](Lsn durable) {
    EXPECT_TRUE(receiver.holds_everything_before(durable)) << to_string(durable);
    stop_at_the_end(durable);
  };
  ASSERT_TRUE(receiver.receive());
}

TEST(Receiver, BytesWaitForTheIntervalAndNoLonger) {
  ReceiverFixture receiver;
  receiver.server.flushed = at_segment(kFirstSegment, 1000);
  std::chrono::nanoseconds came{};
  std::chrono::nanoseconds reported{};
  receiver.server.when_quiet = [&] {
    if (came.count() == 0) came = receiver.clock.now_monotonic();
  };
  const auto stop_at_the_end = receiver.server.when_reported;
  receiver.server.when_reported = [&](Lsn durable) {
    if (durable >= receiver.server.flushed) reported = receiver.clock.now_monotonic();
    stop_at_the_end(durable);
  };
  ASSERT_TRUE(receiver.receive());
  EXPECT_LE(reported - came, milliseconds{100});
  EXPECT_THAT(receiver.pieces(1, kFirstSegment), ElementsAre("00000000-000003E8"));
}

TEST(Receiver, SynchronousFlushesWhenNothingMoreIsThere) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = {};
  receiver.server.flushed = at_segment(kFirstSegment, 1000);
  const auto before = receiver.clock.now_monotonic();
  ASSERT_TRUE(receiver.receive());
  EXPECT_LE(receiver.clock.now_monotonic() - before, milliseconds{1});
}

TEST(Receiver, MuchIsNotHeldBackForTheInterval) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = std::chrono::minutes{1};
  receiver.server.flushed = at_segment(kFirstSegment + 1);
  ASSERT_TRUE(receiver.receive());
  EXPECT_TRUE(receiver.holds_everything_before(receiver.server.flushed));
}

TEST(Receiver, AKeepaliveThatWantsAReplyIsAnsweredWithWhatIsDurableThen) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = std::chrono::minutes{1};
  receiver.server.flushed = at_segment(kFirstSegment, 1000);
  receiver.server.asks_for_reply = true;
  const auto before = receiver.clock.now_monotonic();
  ASSERT_TRUE(receiver.receive());
  EXPECT_EQ(receiver.clock.now_monotonic(), before);
  EXPECT_EQ(receiver.server.reported(), receiver.server.flushed);
}

TEST(Receiver, StopFlushesWhatCame) {
  ReceiverFixture receiver;
  receiver.options.flush_interval = std::chrono::minutes{1};
  receiver.server.flushed = at_segment(kFirstSegment, 1000);
  receiver.server.when_quiet = [&] { receiver.stop.request_stop(); };
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.durable, receiver.server.flushed);
  EXPECT_EQ(receiver.server.reported(), receiver.server.flushed);
  EXPECT_EQ(receiver.stored(1, kFirstSegment).size(), 1000U);
  EXPECT_EQ(receiver.server.finished, 1);
}

TEST(Receiver, MakesTheSlotThatIsMissing) {
  ReceiverFixture receiver;
  receiver.server.slot.reset();
  receiver.options.slot = "other";
  ASSERT_TRUE(receiver.receive());
  EXPECT_THAT(receiver.server.slots_made, ElementsAre("other"));
  EXPECT_EQ(receiver.server.starts.front().slot, "other");
  EXPECT_EQ(receiver.server.starts.front().position, at_segment(kFirstSegment));
}

TEST(Receiver, ASlotNameThatNoServerTakesIsUsage) {
  ReceiverFixture receiver;
  for (const char* name : {"", "Upper", "a-b", "a\"b"}) {
    receiver.options.slot = name;
    EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::usage) << name;
  }
  EXPECT_EQ(receiver.server.sessions, 0);
}

TEST(Receiver, GoesOnAtTheTailThatIsStored) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  receiver.server.flushed = at_segment(kFirstSegment + 2, 700'000);
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(receiver.server.starts.back().position, at_segment(kFirstSegment + 2));
  EXPECT_EQ(report.segments_stored, 0U);
  EXPECT_TRUE(receiver.holds_everything_before(receiver.server.flushed));
}

// The first report of a session is what is stored, though the stream begins before it.
TEST(Receiver, WhatIsStoredIsReportedAtOnce) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  const std::size_t before = receiver.server.reports.size();
  const Lsn durable = receiver.server.flushed;
  receiver.server.flushed = at_segment(kFirstSegment + 2, 700'000);
  ASSERT_TRUE(receiver.receive());
  EXPECT_EQ(receiver.server.reports.at(before).durable, durable);
}

TEST(Receiver, ALostConnectionIsTriedAgain) {
  ReceiverFixture receiver;
  receiver.server.lost_after_bytes = 1'234'567;
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.sessions, 2U);
  EXPECT_EQ(report.start, at_segment(kFirstSegment));
  EXPECT_THAT(receiver.observer.losses, ElementsAre("connection lost"));
  EXPECT_TRUE(receiver.holds_everything_before(receiver.server.flushed));
}

TEST(Receiver, PausesGrowToALimit) {
  ReceiverFixture receiver;
  receiver.server.lost_after_bytes = 1000;
  receiver.server.connects = {std::nullopt};
  for (int i = 0; i < 9; ++i) receiver.server.connects.emplace_back(lost_connection());
  ASSERT_TRUE(receiver.receive());
  const auto& pauses = receiver.observer.pauses;
  ASSERT_EQ(pauses.size(), 10U);
  EXPECT_LE(pauses.front(), milliseconds{250});
  EXPECT_GE(pauses.front(), milliseconds{125});
  EXPECT_GE(pauses.back(), milliseconds{7'500});
  EXPECT_LE(pauses.back(), milliseconds{15'000});
}

// It does not try again, and so does not say that it will.
TEST(Receiver, AConnectionLostAfterAStopIsNoMatter) {
  ReceiverFixture receiver;
  receiver.server.finish_fails = true;
  EXPECT_TRUE(receiver.receive());
  EXPECT_THAT(receiver.observer.losses, IsEmpty());
}

TEST(Receiver, StopEndsAPause) {
  ReceiverFixture receiver;
  receiver.server.lost_after_bytes = 1000;
  receiver.server.connects = {std::nullopt};
  for (int i = 0; i < 1000; ++i) receiver.server.connects.emplace_back(lost_connection());
  receiver.server.when_reported = [&](Lsn) { receiver.stop.request_stop(); };
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.sessions, 1U);
}

TEST(Receiver, AServerThatCannotBeReachedAtFirstIsServerState) {
  ReceiverFixture receiver;
  receiver.server.connects = {lost_connection()};
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::server_state);
  EXPECT_EQ(receiver.side_of_failure, Side::server);
  EXPECT_EQ(receiver.server.sessions, 1);
}

TEST(Receiver, ASlotInUseIsWaitedFor) {
  ReceiverFixture receiver;
  receiver.server.connects = {Error(ErrorCode::busy, "slot is active")};
  EXPECT_TRUE(receiver.receive());
  EXPECT_THAT(receiver.observer.losses, ElementsAre("slot is active"));
}

TEST(Receiver, ARefusalIsNotTriedAgain) {
  ReceiverFixture receiver;
  receiver.server.connects = {Error(ErrorCode::permission, "not allowed")};
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::permission);
  EXPECT_EQ(receiver.server.sessions, 1);
}

TEST(Receiver, ASilentServerIsGivenUp) {
  ReceiverFixture receiver;
  receiver.server.silent = true;
  receiver.server.connects = {std::nullopt, Error(ErrorCode::permission, "enough")};
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::permission);
  EXPECT_THAT(receiver.observer.losses, ElementsAre(HasSubstr("silent")));
  // It was asked for an answer before.
  EXPECT_EQ(receiver.server.reports.back().answer, postgres::StandbyStatus::Answer::wanted);
}

TEST(Receiver, AnotherSystemIsRefused) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  receiver.server.system = kOtherSystem;
  const auto refused = receiver.receive();
  EXPECT_EQ(testing::code_of(refused), ErrorCode::server_state);
  EXPECT_THAT(refused.error().message(), HasSubstr("belongs to system identifier"));
}

// Nothing is stored yet that would tell.
TEST(Receiver, AnotherSystemAfterALostConnectionIsRefused) {
  ReceiverFixture receiver;
  receiver.server.lost_after_bytes = 1000;
  receiver.server.connects = {std::nullopt, std::nullopt};
  const auto stop_at_the_end = receiver.server.when_reported;
  receiver.server.when_reported = [&](Lsn durable) {
    receiver.server.system = kOtherSystem;
    stop_at_the_end(durable);
  };
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::server_state);
}

TEST(Receiver, WalThatTheServerHasNoMoreIsNamed) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  receiver.server.oldest = at_segment(kFirstSegment + 20);
  receiver.server.slot = postgres::SlotState{at_segment(kFirstSegment + 20, 40)};
  receiver.server.flushed = at_segment(kFirstSegment + 21);
  const auto refused = receiver.receive();
  EXPECT_EQ(testing::code_of(refused), ErrorCode::server_state);
  EXPECT_THAT(refused.error().message(), HasSubstr(to_string(at_segment(kFirstSegment + 2))));
  EXPECT_THAT(refused.error().message(), HasSubstr("slot pghaul"));
  EXPECT_NE(refused.error().hint(), "");
}

// Another archive may still begin where it is.
TEST(Receiver, ASlotIsNotMovedToWalThatIsGone) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  const std::size_t reports = receiver.server.reports.size();
  receiver.server.oldest = at_segment(kFirstSegment + 20);
  receiver.server.slot = postgres::SlotState{at_segment(kFirstSegment + 20, 40)};
  receiver.server.flushed = at_segment(kFirstSegment + 21);
  EXPECT_FALSE(receiver.receive());
  EXPECT_EQ(receiver.server.reports.size(), reports);
}

TEST(Receiver, AServerWithNothingToSendIsToldWhatIsStored) {
  ReceiverFixture receiver;
  receiver.server.flushed = at_segment(kFirstSegment);
  const auto before = receiver.clock.now_monotonic();
  ASSERT_TRUE(receiver.receive());
  EXPECT_EQ(receiver.server.reported(), at_segment(kFirstSegment));
  EXPECT_LE(receiver.clock.now_monotonic() - before, milliseconds{1'200});
}

TEST(Receiver, AServerWithTheSameHistoryAndOtherWalIsRefused) {
  ReceiverFixture receiver;
  ASSERT_TRUE(receiver.receive());
  const std::string tail = receiver.stored(1, kFirstSegment + 2);
  receiver.server.seed = 99;
  receiver.server.flushed = at_segment(kFirstSegment + 3);
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::already_exists);
  EXPECT_EQ(receiver.side_of_failure, Side::server);
  EXPECT_EQ(receiver.stored(1, kFirstSegment + 2), tail);
}

TEST(Receiver, ASegmentThatIsArchivedMeanwhileIsAsGood) {
  ReceiverFixture receiver;
  const auto stop_at_the_end = receiver.server.when_reported;
  bool pushed = false;
  receiver.server.when_reported = [&](Lsn durable) {
    if (!pushed) {
      pushed = true;
      ASSERT_TRUE(receiver.push(segment_name(1, kFirstSegment).text,
                                receiver.server.segment(1, kFirstSegment)));
    }
    stop_at_the_end(durable);
  };
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.segments_present, 1U);
  EXPECT_EQ(report.segments_stored, 1U);
}

TEST(Receiver, AServerBehindTheArchiveIsNotStreamedFrom) {
  ReceiverFixture receiver;
  receiver.server.flushed = at_segment(kFirstSegment + 1);
  ASSERT_TRUE(receiver.receive());
  receiver.server.flushed = at_segment(kFirstSegment, 1000);
  const auto refused = receiver.receive();
  EXPECT_EQ(testing::code_of(refused), ErrorCode::server_state);
  EXPECT_THAT(refused.error().message(), HasSubstr(to_string(at_segment(kFirstSegment + 1))));
}

TEST(Receiver, WhatIsNoWalOfThisReleaseIsNotStoredAsASegment) {
  ReceiverFixture receiver;
  receiver.server.major = 16;
  const auto refused = receiver.receive();
  EXPECT_EQ(testing::code_of(refused), ErrorCode::server_state);
  EXPECT_THAT(refused.error().message(), HasSubstr(segment_name(1, kFirstSegment).text));
  EXPECT_EQ(receiver.stored(1, kFirstSegment), "");
}

TEST(Receiver, FollowsATimelineSwitch) {
  ReceiverFixture receiver;
  const Lsn switch_point = at_segment(kFirstSegment + 1, 400'000);
  receiver.server.switches[1] = switch_point;
  receiver.server.timeline = 2;
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.timeline, TimelineId{2});
  EXPECT_EQ(receiver.stored(1, kFirstSegment), receiver.server.segment(1, kFirstSegment));
  EXPECT_EQ(receiver.stored(2, kFirstSegment + 1), receiver.server.segment(2, kFirstSegment + 1));
  EXPECT_EQ(receiver.get("00000002.history").value(), Delivery::delivered);
  EXPECT_EQ(receiver.delivered(), receiver.server.history(2));
  EXPECT_EQ(receiver.get(segment_name(1, kFirstSegment + 1).text).value(), Delivery::absent);
}

// The server was on timeline 1 when the stream began.
TEST(Receiver, KeepsTheTailOfTheTimelineThatWasLeft) {
  ReceiverFixture receiver;
  const Lsn switch_point = at_segment(kFirstSegment + 1, 400'000);
  receiver.server.flushed = switch_point;
  receiver.server.when_reported = {};
  bool promoted = false;
  receiver.server.when_quiet = [&] {
    if (promoted) return;
    promoted = true;
    receiver.server.switches[1] = switch_point;
    receiver.server.timeline = 2;
    receiver.server.flushed = at_segment(kFirstSegment + 2, 100);
    receiver.server.when_reported = [&](Lsn durable) {
      if (durable >= receiver.server.flushed) receiver.stop.request_stop();
    };
  };
  const ReceiverReport report = receiver.receive().value();
  EXPECT_EQ(report.sessions, 1U);
  EXPECT_EQ(report.timeline, TimelineId{2});
  const std::string left = receiver.stored(1, kFirstSegment + 1);
  EXPECT_EQ(left, receiver.server.segment(1, kFirstSegment + 1).substr(0, 400'000));
  EXPECT_EQ(receiver.get(segment_name(1, kFirstSegment + 1).text).value(), Delivery::absent);
  EXPECT_EQ(receiver.stored(2, kFirstSegment + 1), receiver.server.segment(2, kFirstSegment + 1));
  // What is durable never goes back, although the new timeline begins before it.
  for (std::size_t i = 1; i < receiver.server.reports.size(); ++i) {
    EXPECT_GE(receiver.server.reports[i].durable, receiver.server.reports[i - 1].durable);
  }
}

TEST(Receiver, AnEndOfTheTimelineThatCannotBeIsRefused) {
  for (const postgres::TimelineEnd end :
       {postgres::TimelineEnd{TimelineId{2}, at_segment(kFirstSegment, 1001)},
        postgres::TimelineEnd{TimelineId{1}, at_segment(kFirstSegment, 1000)}}) {
    ReceiverFixture receiver;
    receiver.server.flushed = at_segment(kFirstSegment, 1000);
    receiver.server.false_end = end;
    const auto refused = receiver.receive();
    EXPECT_EQ(testing::code_of(refused), ErrorCode::server_state);
    EXPECT_EQ(receiver.side_of_failure, Side::server);
  }
}

TEST(Receiver, AHistoryThatConflictsIsRefused) {
  ReceiverFixture receiver;
  receiver.server.switches[1] = at_segment(kFirstSegment + 1, 400'000);
  receiver.server.timeline = 2;
  ASSERT_TRUE(receiver.receive());
  receiver.server.switches[1] = at_segment(kFirstSegment + 1, 500'000);
  EXPECT_EQ(testing::code_of(receiver.receive()), ErrorCode::already_exists);
}

}  // namespace
}  // namespace haul::wal
