#include "engine/wal/wal_inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using ::testing::ElementsAre;
using testing::FakeSegment;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kSegmentBytes;
using testing::kSystem;
using ::testing::SizeIs;

constexpr TimelineId kOne{1};
constexpr TimelineId kTwo{2};

constexpr Lsn at(std::uint64_t segment, std::uint64_t offset = 0) {
  return {segment * kSegmentBytes + offset};
}

class Inventory : public ::testing::Test {
 protected:
  void put(std::uint32_t timeline, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) {
      put({.timeline = timeline, .number = number, .pages = 1});
    }
  }
  void put(const FakeSegment& segment) { put(segment.name(), segment.content()); }
  void put(const std::string& text, const std::string& content) {
    const WalName name = parse_wal_name(text).value();
    const WalFacts facts = examine_content(name, bytes_of(content)).value();
    HAUL_ASSERT(archive.archive().put(name, facts, bytes_of(content)).has_value());
  }
  WalInventory read() { return WalInventory::read(archive.cluster(), kSystem).value(); }

  ArchiveFixture archive;
};

TEST_F(Inventory, NothingHasNothing) {
  EXPECT_THAT(read().timelines(), IsEmpty());
  EXPECT_THAT(read().gaps(kOne), IsEmpty());
}

TEST_F(Inventory, SegmentsThatFollowEachOtherAreOneRange) {
  put(1, 4094, 4098);
  const WalInventory inventory = read();
  ASSERT_THAT(inventory.timelines(), SizeIs(1));
  const TimelineWal& timeline = inventory.timelines()[0];
  EXPECT_THAT(timeline.ranges, ElementsAre(WalRange{at(4094), at(4099), kSegmentBytes, 5}));
  EXPECT_EQ(first_segment(timeline, timeline.ranges[0]), "000000010000000000000FFE");
  EXPECT_EQ(last_segment(timeline, timeline.ranges[0]), "000000010000000100000002");
  EXPECT_THAT(inventory.gaps(kOne), IsEmpty());
  EXPECT_THAT(inventory.damage(), IsEmpty());
}

TEST_F(Inventory, GapsHaveNames) {
  put(1, 2, 3);
  put(1, 6, 6);
  put(1, 4096, 4096);
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.gaps(kOne),
              ElementsAre(WalGap{"000000010000000000000004", "000000010000000000000005", 2},
                          WalGap{"000000010000000000000007", "000000010000000000000FFF", 4089}));
}

TEST_F(Inventory, TimelinesAreApartAndKnowTheirHistory) {
  put(1, 2, 4);
  put(2, 4, 6);
  put("00000002.history", testing::history_of_2("0/400100"));
  const WalInventory inventory = read();
  ASSERT_THAT(inventory.timelines(), SizeIs(2));
  EXPECT_FALSE(inventory.timelines()[0].history);
  EXPECT_EQ(inventory.timelines()[1].history->periods.size(), 2U);
  EXPECT_THAT(inventory.gaps(kOne), IsEmpty());
  EXPECT_THAT(inventory.gaps(kTwo), IsEmpty());
}

// A new timeline begins with the segment in which it left the old one, which ends there.
TEST_F(Inventory, GapsAtASwitchOfTimelinesAreFound) {
  put(1, 2, 3);
  put(2, 8, 9);
  put("00000002.history", testing::history_of_2("0/600100"));
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.gaps(kOne),
              ElementsAre(WalGap{"000000010000000000000004", "000000010000000000000005", 2}));
  EXPECT_THAT(inventory.gaps(kTwo),
              ElementsAre(WalGap{"000000020000000000000006", "000000020000000000000007", 2}));
}

TEST_F(Inventory, OldTimelineMayGoOnBehindTheSwitch) {
  put(1, 2, 9);
  put(2, 4, 5);
  put("00000002.history", testing::history_of_2("0/400100"));
  EXPECT_THAT(read().gaps(kOne), IsEmpty());
}

TEST_F(Inventory, HistoryWithoutWalLeavesNoGap) {
  put(1, 2, 3);
  put("00000002.history", testing::history_of_2("0/600100"));
  EXPECT_THAT(read().gaps(kOne), IsEmpty());
  EXPECT_THAT(read().gaps(kTwo), IsEmpty());
}

TEST_F(Inventory, PartialSegmentsAndBackupHistoriesAreNamedAndCoverNothing) {
  const FakeSegment segment{.number = 3};
  put(1, 2, 2);
  put(segment.name() + ".partial", segment.content());
  put(segment.name() + ".00000028.backup",
      "START WAL LOCATION: 0/300028 (file " + segment.name() + ")\n");
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.partials(), ElementsAre(segment.name() + ".partial"));
  EXPECT_THAT(inventory.backup_histories(), ElementsAre(segment.name() + ".00000028.backup"));
  EXPECT_THAT(inventory.timelines()[0].ranges,
              ElementsAre(WalRange{at(2), at(3), kSegmentBytes, 1}));
}

TEST_F(Inventory, PartialSegmentGoesAsFarAsTheFirstThatLeftIt) {
  const FakeSegment segment{.number = 3};
  put(segment.name() + ".partial", segment.content());
  const postgres::WalSegment place{kOne, 3};
  using Kind = UnfinishedSegment::Kind;
  EXPECT_EQ(read().unfinished(place, kSegmentBytes), (UnfinishedSegment{Kind::partial, at(3)}));
  put("00000003.history", "1\t0/300200\tx\n");
  EXPECT_EQ(read().unfinished(place, kSegmentBytes),
            (UnfinishedSegment{Kind::partial, at(3, 0x200)}));
  put("00000002.history", testing::history_of_2("0/300100"));
  put("00000004.history", "1\t0/200100\tx\n");
  put("00000005.history", "1\t0/400100\tx\n");
  EXPECT_EQ(read().unfinished(place, kSegmentBytes),
            (UnfinishedSegment{Kind::partial, at(3, 0x100)}));
  EXPECT_EQ(read().unfinished({kOne, 2}, kSegmentBytes), std::nullopt);
  EXPECT_EQ(read().unfinished({kTwo, 3}, kSegmentBytes), std::nullopt);
}

TEST_F(Inventory, SegmentsOfAnotherSizeGoOnWhereTheOthersEnd) {
  put(1, 4094, 4095);
  put({.number = 64, .size_bytes = 64U << 20, .pages = 1});
  const WalInventory inventory = read();
  ASSERT_THAT(inventory.timelines()[0].ranges, SizeIs(2));
  EXPECT_EQ(inventory.timelines()[0].ranges[1], (WalRange{at(4096), at(4160), 64U << 20, 1}));
  EXPECT_THAT(inventory.gaps(kOne), IsEmpty());
}

TEST_F(Inventory, DamagedHeaderIsSaidAndTheNextOneServes) {
  put(1, 2, 4);
  const std::string key = WalLayout(archive.cluster().layout, kSystem)
                              .key(parse_wal_name(FakeSegment{.number = 2}.name()).value());
  archive.overwrite(key, "nonsense");
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.damage(), ElementsAre(HasSubstr(key)));
  EXPECT_EQ(inventory.timelines()[0].ranges[0].segments, 3U);
  for (const std::uint64_t number : {3U, 4U}) {
    archive.overwrite(WalLayout(archive.cluster().layout, kSystem)
                          .key(parse_wal_name(FakeSegment{.number = number}.name()).value()),
                      "nonsense");
  }
  EXPECT_THAT(read().damage(), SizeIs(3));
  EXPECT_THAT(read().timelines(), IsEmpty());
}

TEST_F(Inventory, NameThatSegmentsOfThisSizeDoNotHaveIsDamage) {
  put({.number = 1, .size_bytes = 64U << 20, .pages = 1});
  put(1, 200, 200);
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.damage(), ElementsAre(HasSubstr("no segment of 67108864 bytes")));
}

TEST_F(Inventory, DamagedHistoryIsSaid) {
  put("00000002.history", testing::history_of_2("0/400100"));
  archive.overwrite(WalLayout(archive.cluster().layout, kSystem).histories() + "/00000002.history",
                    "nonsense");
  const WalInventory inventory = read();
  EXPECT_THAT(inventory.damage(), ElementsAre(HasSubstr("00000002.history")));
  EXPECT_EQ(inventory.lineage(kTwo), std::nullopt);
}

TEST_F(Inventory, ForeignNamesAreLeftAlone) {
  put(1, 2, 2);
  const WalLayout layout(archive.cluster().layout, kSystem);
  for (const std::string& key :
       {layout.root() + "/0000000x/a", layout.timeline(kOne) + "/0000000100000000/x",
        layout.timeline(kOne) + "/0000000100000001/000000010000000000000003"}) {
    ASSERT_TRUE(archive.repository().store().put_if_absent(key, bytes_of("x")));
  }
  EXPECT_EQ(read().timelines()[0].ranges.size(), 1U);
  EXPECT_THAT(read().damage(), IsEmpty());
}

TEST_F(Inventory, ReachEndsAtTheFirstGap) {
  put(1, 2, 4);
  put(1, 6, 7);
  const WalInventory inventory = read();
  const TimelineHistory path = first_timeline(kOne);
  EXPECT_EQ(inventory.reach(at(3, 77), path, kSegmentBytes), (WalReach{at(5), kOne}));
  EXPECT_EQ(inventory.reach(at(5), path, kSegmentBytes), (WalReach{at(5), kOne}));
  EXPECT_EQ(inventory.reach(at(6), path, kSegmentBytes), (WalReach{at(8), kOne}));
}

TEST_F(Inventory, ReachFollowsTheLineage) {
  put(1, 2, 9);
  put(2, 4, 6);
  put("00000002.history", testing::history_of_2("0/400100"));
  const WalInventory inventory = read();
  const TimelineHistory path = inventory.lineage(kTwo).value();
  EXPECT_EQ(inventory.reach(at(2), path, kSegmentBytes), (WalReach{at(7), kTwo}));
  EXPECT_EQ(inventory.reach(at(2), first_timeline(kOne), kSegmentBytes), (WalReach{at(10), kOne}));
}

TEST_F(Inventory, ReachWantsTheNewTimelinesCopyOfTheSwitchSegment) {
  put(1, 2, 4);
  put(2, 5, 6);
  put("00000002.history", testing::history_of_2("0/400100"));
  const WalInventory inventory = read();
  EXPECT_EQ(inventory.reach(at(2), inventory.lineage(kTwo).value(), kSegmentBytes),
            (WalReach{at(4), kTwo}));
}

TEST_F(Inventory, SpanThatIsCoveredMissesNothing) {
  put(1, 2, 4);
  const WalInventory inventory = read();
  EXPECT_EQ(inventory.first_missing({at(2, 40), at(4, 99), kOne, kOne, kSegmentBytes}),
            std::nullopt);
  EXPECT_EQ(inventory.first_missing({at(2), at(5), kOne, kOne, kSegmentBytes}), std::nullopt);
}

TEST_F(Inventory, FirstMissingSegmentOfASpanIsNamed) {
  put(1, 2, 3);
  put(1, 5, 6);
  const WalInventory inventory = read();
  EXPECT_EQ(inventory.first_missing({at(2), at(6), kOne, kOne, kSegmentBytes}),
            "000000010000000000000004");
  EXPECT_EQ(inventory.first_missing({at(1), at(3), kOne, kOne, kSegmentBytes}),
            "000000010000000000000001");
  EXPECT_EQ(inventory.first_missing({at(5), at(7, 1), kOne, kOne, kSegmentBytes}),
            "000000010000000000000007");
  EXPECT_EQ(inventory.first_missing({at(5), at(6), kTwo, kTwo, kSegmentBytes}),
            "000000020000000000000005");
}

TEST_F(Inventory, SpanAcrossASwitchNeedsBothTimelinesAndTheHistory) {
  put(1, 2, 4);
  put(2, 4, 5);
  const WalSpan span{at(2), at(5, 8), kOne, kTwo, kSegmentBytes};
  EXPECT_EQ(read().first_missing(span), "00000002.history");
  put("00000002.history", testing::history_of_2("0/400100"));
  EXPECT_EQ(read().first_missing(span), std::nullopt);
}

TEST_F(Inventory, SpanThatEndsBeforeTheSwitchNeedsTheOldTimelineAlone) {
  put(1, 2, 4);
  put("00000002.history", testing::history_of_2("0/400100"));
  EXPECT_EQ(read().first_missing({at(2), at(4, 0x100), kOne, kTwo, kSegmentBytes}), std::nullopt);
  EXPECT_EQ(read().first_missing({at(2), at(4, 0x101), kOne, kTwo, kSegmentBytes}),
            "000000020000000000000004");
}

}  // namespace
}  // namespace haul::wal
