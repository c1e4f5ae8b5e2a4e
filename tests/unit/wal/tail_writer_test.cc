#include "engine/wal/tail_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/forwarding_store.h"
#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using testing::at_segment;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kFirstSegment;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::ReceiverFixture;
using testing::segment_name;

constexpr TimelineId kOne{1};

class Tails : public ::testing::Test {
 protected:
  TailWriter writer() const { return {fixture.cluster(), {kSystem, kSegmentBytes, 15, 1}}; }
  TailWriter opened() const {
    TailWriter tail = writer();
    HAUL_ASSERT(tail.open(kOne, kFirstSegment).has_value());
    return tail;
  }
  // Appends the segment's bytes from where the writer is to `end`, and flushes.
  Status write_to(TailWriter& tail, std::size_t end) const {
    HAUL_TRY(append_to(tail, end));
    return tail.flush();
  }
  Status append_to(TailWriter& tail, std::size_t end) const {
    const std::size_t begin = tail.position().value - tail.segment_start().value;
    HAUL_TRY(tail.append(tail.position(), bytes_of(content).subspan(begin, end - begin)));
    return ok();
  }
  std::vector<std::string> pieces() const { return fixture.pieces(1, kFirstSegment); }
  void put(std::uint32_t begin, std::uint32_t end) {
    const PieceName name{segment_name(1, kFirstSegment), begin, end};
    const auto object = encode_piece(fixture.cluster(), name, facts(),
                                     bytes_of(content).subspan(begin, end - begin));
    HAUL_ASSERT(fixture.cluster().store->put_if_absent(key(name), *object).has_value());
  }
  std::string key(const PieceName& name) const {
    return piece_key(WalLayout(fixture.cluster().layout, kSystem), name);
  }
  static WalFacts facts() { return {kSystem, kFirstSegment, kSegmentBytes, 15}; }

  ReceiverFixture fixture;
  const std::string content = fixture.server.segment(1, kFirstSegment);
};

TEST_F(Tails, BytesAreDurableAfterAFlushAndNotBefore) {
  TailWriter tail = opened();
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment));
  ASSERT_TRUE(append_to(tail, 100));
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment));
  EXPECT_EQ(tail.pending_bytes(), 100U);
  EXPECT_THAT(pieces(), IsEmpty());
  ASSERT_TRUE(tail.flush());
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment, 100));
  EXPECT_EQ(tail.pending_bytes(), 0U);
  EXPECT_THAT(pieces(), ElementsAre("00000000-00000064"));
}

TEST_F(Tails, AFlushWithoutNewBytesStoresNothing) {
  TailWriter tail = opened();
  ASSERT_TRUE(write_to(tail, 100));
  ASSERT_TRUE(tail.flush());
  EXPECT_EQ(pieces().size(), 1U);
}

TEST_F(Tails, PiecesOfOneClassAreMerged) {
  TailWriter tail = opened();
  ASSERT_TRUE(write_to(tail, 1000));
  ASSERT_TRUE(write_to(tail, 1100));
  EXPECT_THAT(pieces(), ElementsAre("00000000-000003E8", "000003E8-0000044C"));
  ASSERT_TRUE(write_to(tail, 1200));
  EXPECT_THAT(pieces(), ElementsAre("00000000-000003E8", "000003E8-000004B0"));
  ASSERT_TRUE(write_to(tail, 2200));
  EXPECT_THAT(pieces(), ElementsAre("00000000-00000898"));
}

TEST_F(Tails, ThereAreFewPiecesHoweverManyFlushes) {
  for (const std::size_t step : {8U, 997U}) {
    fixture.server.seed = step;
    TailWriter tail = writer();
    ASSERT_TRUE(tail.open(kOne, kFirstSegment + step));
    std::size_t most = 0;
    for (std::size_t end = step; end < 400 * step; end += step) {
      ASSERT_TRUE(write_to(tail, end));
      most = std::max(most, tail.piece_count());
    }
    EXPECT_LE(most, 20U);
    EXPECT_EQ(tail.piece_count(), fixture.pieces(1, kFirstSegment + step).size());
  }
}

TEST_F(Tails, WhatIsStoredIsTakenOver) {
  TailWriter first = opened();
  ASSERT_TRUE(write_to(first, 5000));
  ASSERT_TRUE(write_to(first, 5100));
  TailWriter second = opened();
  EXPECT_EQ(second.durable(), at_segment(kFirstSegment, 5100));
  EXPECT_EQ(second.position(), at_segment(kFirstSegment));
  EXPECT_EQ(second.piece_count(), 2U);
  ASSERT_TRUE(append_to(second, 5050));
  EXPECT_EQ(second.pending_bytes(), 0U);
  ASSERT_TRUE(write_to(second, 5200));
  EXPECT_EQ(fixture.stored(1, kFirstSegment), content.substr(0, 5200));
}

TEST_F(Tails, PiecesThatALongerOneReplacedAreRemoved) {
  put(0, 1000);
  put(1000, 1500);
  put(0, 1500);
  put(1500, 1600);
  const TailWriter tail = opened();
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment, 1600));
  EXPECT_THAT(pieces(), ElementsAre("00000000-000005DC", "000005DC-00000640"));
}

TEST_F(Tails, PiecesBehindAGapCountForNothingAndGoWithTheSegment) {
  put(0, 1000);
  put(1200, 1500);
  TailWriter tail = opened();
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment, 1000));
  EXPECT_EQ(pieces().size(), 2U);
  ASSERT_TRUE(write_to(tail, kSegmentBytes));
  EXPECT_THAT(pieces(), IsEmpty());
  EXPECT_EQ(fixture.stored(1, kFirstSegment), content);
}

TEST_F(Tails, APieceThatIsThereAlreadyIsAsGood) {
  TailWriter tail = opened();
  put(0, 1000);
  ASSERT_TRUE(write_to(tail, 1000));
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment, 1000));
}

TEST_F(Tails, APieceOfOtherContentIsRefused) {
  TailWriter tail = opened();
  const PieceName name{segment_name(1, kFirstSegment), 0, 1000};
  const auto object =
      encode_piece(fixture.cluster(), name, facts(), bytes_of(content).subspan(8, 1000));
  ASSERT_TRUE(fixture.cluster().store->put_if_absent(key(name), *object));
  EXPECT_EQ(code_of(write_to(tail, 1000)), ErrorCode::already_exists);
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment));
}

TEST_F(Tails, AStreamThatDiffersFromWhatIsStoredIsRefused) {
  put(0, 1000);
  TailWriter tail = opened();
  EXPECT_EQ(code_of(tail.append(tail.position(), bytes_of(content).subspan(1, 500))),
            ErrorCode::already_exists);
}

TEST_F(Tails, AStreamThatJumpsIsRefused) {
  TailWriter tail = opened();
  EXPECT_EQ(code_of(tail.append(at_segment(kFirstSegment, 1), bytes_of(content).first(8))),
            ErrorCode::server_state);
}

TEST_F(Tails, NoMoreIsTakenThanTheSegmentHolds) {
  TailWriter tail = opened();
  const std::string more = content + "more";
  EXPECT_EQ(tail.append(tail.position(), bytes_of(more)).value(), kSegmentBytes);
  EXPECT_TRUE(tail.is_complete());
}

TEST_F(Tails, ACompleteSegmentIsStoredAsOne) {
  TailWriter tail = opened();
  ASSERT_TRUE(write_to(tail, 1000));
  ASSERT_TRUE(write_to(tail, kSegmentBytes));
  EXPECT_EQ(tail.last_put(), WalArchive::Put::stored);
  EXPECT_EQ(tail.durable(), at_segment(kFirstSegment + 1));
  EXPECT_THAT(pieces(), IsEmpty());
  EXPECT_EQ(text_of(fixture.archive().get(segment_name(1, kFirstSegment)).value()), content);
}

TEST_F(Tails, PiecesOfASegmentThatIsStoredAreRemovedByTheNext) {
  put(0, 1000);
  ASSERT_TRUE(fixture.push(segment_name(1, kFirstSegment).text, content));
  TailWriter tail = writer();
  ASSERT_TRUE(tail.open(kOne, kFirstSegment + 1));
  EXPECT_THAT(pieces(), IsEmpty());
}

TEST_F(Tails, ADamagedPieceIsNotTakenOver) {
  put(0, 1000);
  const std::string name = key({segment_name(1, kFirstSegment), 0, 1000});
  std::string object = fixture.object(name);
  object.back() = static_cast<char>(object.back() ^ 1);
  fixture.overwrite(name, object);
  TailWriter tail = writer();
  EXPECT_EQ(code_of(tail.open(kOne, kFirstSegment)), ErrorCode::corrupt);
}

TEST_F(Tails, APieceOfAnotherReleaseIsNotTakenOver) {
  put(0, 1000);
  TailWriter tail(fixture.cluster(), {kSystem, kSegmentBytes, 16, 1});
  EXPECT_EQ(code_of(tail.open(kOne, kFirstSegment)), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::wal
