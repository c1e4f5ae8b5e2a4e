#include "engine/wal/resume.h"

#include <gtest/gtest.h>

#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using testing::at_segment;
using testing::FakeSegment;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::segment_name;

constexpr TimelineId kOne{1};
constexpr TimelineId kTwo{2};

// Where a stream begins, given what is archived.
class Resume : public ::testing::Test {
 protected:
  void archive(std::uint64_t first, std::uint64_t last, std::uint32_t timeline = 1) {
    for (std::uint64_t number = first; number <= last; ++number) {
      FakeSegment segment;
      segment.timeline = timeline;
      segment.number = number;
      HAUL_ASSERT(fixture.push(segment).has_value());
    }
  }
  // The beginning of a segment, as pieces have it; only their names count.
  void stream(std::uint32_t timeline, std::uint64_t number, std::uint32_t size_bytes) {
    const PieceName piece{segment_name(timeline, number), 0, size_bytes};
    const std::string key = piece_key(WalLayout(fixture.cluster().layout, kSystem), piece);
    HAUL_ASSERT(fixture.cluster().store->put_if_absent(key, {}).has_value());
  }
  ResumePoint from(Lsn kept) const {
    const auto inventory = WalInventory::read(fixture.cluster(), kSystem).value();
    return resume_point(lineage, {&inventory, kept, kSegmentBytes});
  }

  testing::ArchiveFixture fixture;
  TimelineHistory lineage = first_timeline(kOne);
};

TEST_F(Resume, NothingStoredBeginsWithTheSegmentThatTheServerKeeps) {
  EXPECT_EQ(from(at_segment(7, 40)), (ResumePoint{kOne, at_segment(7)}));
  EXPECT_EQ(from(at_segment(7)), (ResumePoint{kOne, at_segment(7)}));
}

TEST_F(Resume, SegmentsThatFollowWhatTheServerKeepsAreBehindIt) {
  archive(5, 9);
  EXPECT_EQ(from(at_segment(7, 40)), (ResumePoint{kOne, at_segment(10)}));
  EXPECT_EQ(from(at_segment(9, 40)), (ResumePoint{kOne, at_segment(10)}));
}

// It may be pushed by the server, which is ahead of the receiver.
TEST_F(Resume, AGapBehindWhatTheServerKeepsIsFilled) {
  archive(5, 7);
  archive(9, 12);
  EXPECT_EQ(from(at_segment(6, 40)), (ResumePoint{kOne, at_segment(8)}));
}

TEST_F(Resume, SegmentsBehindWhatTheServerKeepsDoNotCount) {
  archive(9, 12);
  EXPECT_EQ(from(at_segment(7, 40)), (ResumePoint{kOne, at_segment(7)}));
}

TEST_F(Resume, AGapBeforeWhatTheServerKeepsIsWhereItGoesOn) {
  archive(3, 5);
  EXPECT_EQ(from(at_segment(9, 40)), (ResumePoint{kOne, at_segment(6)}));
  EXPECT_EQ(from(at_segment(6)), (ResumePoint{kOne, at_segment(6)}));
}

TEST_F(Resume, AnOldGapIsNoMatter) {
  archive(3, 4);
  archive(8, 9);
  EXPECT_EQ(from(at_segment(8, 40)), (ResumePoint{kOne, at_segment(10)}));
}

TEST_F(Resume, ATailIsGoneOnWith) {
  archive(3, 5);
  stream(1, 6, 1000);
  EXPECT_EQ(from(at_segment(6, 1000)), (ResumePoint{kOne, at_segment(6)}));
  EXPECT_EQ(from(at_segment(8)), (ResumePoint{kOne, at_segment(6)}));
}

TEST_F(Resume, ATailFarBeforeIsGoneOnWithWhereNothingElseIs) {
  stream(1, 6, 1000);
  EXPECT_EQ(from(at_segment(8)), (ResumePoint{kOne, at_segment(6)}));
}

// With segments of 1 MiB the last 8 digits are below 1000.
TEST_F(Resume, ATailThatIsNoneOfTheServersSegmentsIsNoMatter) {
  lineage = first_timeline(kTwo);
  stream(1, 6, 1000);
  EXPECT_EQ(from(at_segment(8)), (ResumePoint{kTwo, at_segment(8)}));
}

class ResumeOnTimelines : public Resume {
 protected:
  ResumeOnTimelines() {
    lineage = {kTwo, {{kOne, {}, at_segment(7, 400)}, {kTwo, at_segment(7, 400), {}}}};
  }
};

TEST_F(ResumeOnTimelines, TheOldTimelineIsStreamedUpToTheSwitch) {
  archive(3, 5);
  EXPECT_EQ(from(at_segment(5, 40)), (ResumePoint{kOne, at_segment(6)}));
  EXPECT_EQ(from(at_segment(9)), (ResumePoint{kOne, at_segment(6)}));
}

TEST_F(ResumeOnTimelines, TheSegmentOfTheSwitchIsTheNewTimelines) {
  archive(3, 6);
  EXPECT_EQ(from(at_segment(5, 40)), (ResumePoint{kTwo, at_segment(7)}));
  EXPECT_EQ(from(at_segment(7, 100)), (ResumePoint{kTwo, at_segment(7)}));
  stream(1, 7, 400);
  EXPECT_EQ(from(at_segment(7, 400)), (ResumePoint{kTwo, at_segment(7)}));
}

TEST_F(ResumeOnTimelines, WhatTheOldTimelineWentOnWithIsNoMatter) {
  archive(3, 12);
  EXPECT_EQ(from(at_segment(5, 40)), (ResumePoint{kTwo, at_segment(7)}));
  EXPECT_EQ(from(at_segment(9)), (ResumePoint{kTwo, at_segment(7)}));
}

TEST_F(ResumeOnTimelines, TheNewTimelineIsGoneOnWith) {
  archive(3, 6);
  archive(7, 9, 2);
  EXPECT_EQ(from(at_segment(5, 40)), (ResumePoint{kTwo, at_segment(10)}));
  EXPECT_EQ(from(at_segment(9, 40)), (ResumePoint{kTwo, at_segment(10)}));
  EXPECT_EQ(from(at_segment(30)), (ResumePoint{kTwo, at_segment(10)}));
}

TEST_F(ResumeOnTimelines, ASiblingIsNoMatter) {
  archive(3, 5);
  archive(6, 9, 3);
  EXPECT_EQ(from(at_segment(5, 40)), (ResumePoint{kOne, at_segment(6)}));
}

TEST_F(ResumeOnTimelines, SeveralSwitchesInOneSegmentAreFollowed) {
  lineage = {TimelineId{3},
             {{kOne, {}, at_segment(7, 400)},
              {kTwo, at_segment(7, 400), at_segment(7, 800)},
              {TimelineId{3}, at_segment(7, 800), {}}}};
  archive(3, 6);
  EXPECT_EQ(from(at_segment(5)), (ResumePoint{TimelineId{3}, at_segment(7)}));
}

}  // namespace
}  // namespace haul::wal
