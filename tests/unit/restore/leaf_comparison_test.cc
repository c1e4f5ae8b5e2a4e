#include "engine/restore/leaf_comparison.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using repository::ChunkId;
using repository::ChunkKind;
using repository::Extent;
using repository::MapLeaf;
using support::pattern;

constexpr std::uint32_t kPage = 1024;
constexpr std::uint32_t kRegionPages = 8;
constexpr std::uint64_t kRegion = kRegionPages * kPage;
constexpr std::uint16_t kHole = Extent::kHole;
constexpr auto kKept = PageState::kept;
constexpr auto kUndecided = PageState::undecided;
constexpr auto kRewritten = PageState::rewritten;

// Two regions: one whole chunk, and a hole; what is on disk is as it should be.
class LeafComparisonTest : public testing::Test {
 protected:
  LeafComparisonTest() {
    append_region(map_, id_of(first_), kRegionPages);
    append_region(map_, {}, kRegionPages);
    disk_ = first_ + std::string(kRegion, '\0');
  }

  ChunkId id_of(std::string_view bytes) const {
    return identity().chunk_id_of(ChunkKind::data, kPage, bytes_of(bytes));
  }
  const repository::Identity& identity() const { return *cluster_.identity; }
  LeafShape shape() const { return {disk_.size(), kPage, kRegionPages}; }
  LeafComparison compare() {
    return compare_regions(identity(), map_, shape(), std::as_writable_bytes(std::span(disk_)));
  }
  std::vector<std::uint64_t> tags_of(std::string_view bytes) const {
    std::vector<std::uint64_t> tags;
    for (std::size_t at = 0; at < bytes.size(); at += kPage) {
      tags.push_back(identity().page_digest(bytes_of(bytes.substr(at, kPage))).tag());
    }
    return tags;
  }

  TestRepository repository_;
  const repository::Cluster cluster_ = repository_.cluster();
  const std::string first_ = pattern(kRegion, 1);
  MapLeaf map_;
  std::string disk_;
};

TEST_F(LeafComparisonTest, WhatIsEqualIsKept) {
  const LeafComparison comparison = compare();
  EXPECT_TRUE(comparison.is_kept());
  EXPECT_EQ(kept_bytes(comparison, shape()), 2 * kRegion);
  EXPECT_TRUE(rewritten_ranges(comparison, shape()).empty());
}

TEST_F(LeafComparisonTest, OneFlippedBitMakesItsRegionUndecided) {
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{kRegion / 2}, std::size_t{kRegion - 1}}) {
    disk_[at] ^= 1;
    const LeafComparison comparison = compare();
    disk_[at] ^= 1;
    EXPECT_EQ(comparison.pages[0], kUndecided);
    EXPECT_EQ(comparison.pages[kRegionPages - 1], kUndecided);
    EXPECT_EQ(comparison.pages[kRegionPages], kKept);
  }
}

TEST_F(LeafComparisonTest, DataInAHoleBecomesZerosToBeWritten) {
  disk_[kRegion + 3 * kPage + 5] = 'x';
  const LeafComparison comparison = compare();
  EXPECT_EQ(comparison.pages[kRegionPages + 3], kRewritten);
  EXPECT_EQ(comparison.pages[kRegionPages + 2], kKept);
  EXPECT_EQ(disk_.substr(kRegion), std::string(kRegion, '\0'));
  EXPECT_EQ(kept_bytes(comparison, shape()), 2 * kRegion - kPage);
  // Rounded to 4 KiB.
  EXPECT_EQ(rewritten_ranges(comparison, shape()), (std::vector<ByteRange>{{kRegion, 4096}}));
}

TEST_F(LeafComparisonTest, ZerosWhereTheBackupHasAChunkAreNotKept) {
  disk_.assign(disk_.size(), '\0');
  EXPECT_EQ(compare().pages[0], kUndecided);
}

TEST_F(LeafComparisonTest, RegionOfSeveralChunksIsKeptByItsDigest) {
  map_ = {};
  map_.chunks = {id_of("a"), id_of("b")};
  map_.extents = {{0, 0, 3}, {1, 0, 5}};
  map_.region_digests = {id_of(first_)};
  disk_ = first_;
  EXPECT_TRUE(compare().is_kept());
  disk_[100] ^= 1;
  EXPECT_FALSE(compare().is_kept());
}

TEST_F(LeafComparisonTest, RegionWithoutADigestIsDecidedByTags) {
  map_ = {};
  map_.chunks = {id_of("a"), id_of("b")};
  map_.extents = {{0, 2, 3}, {1, 0, 4}, {kHole, 0, 1}};
  map_.region_digests = {std::nullopt};
  disk_ = first_.substr(0, 7 * kPage) + std::string(kPage, '\0');
  const std::vector<std::uint64_t> tags = tags_of(disk_);
  disk_[4 * kPage] ^= 1;

  LeafComparison comparison = compare();
  const std::vector<ChunkUse> uses = chunk_uses(map_, shape());
  ASSERT_EQ(uses.size(), 2U);
  ASSERT_TRUE(is_drawn_on(uses[0], shape(), comparison));
  const std::vector<std::uint64_t> first_chunk{9, 9, tags[0], tags[1], tags[2]};
  EXPECT_TRUE(needed_part(uses[0], shape(), first_chunk, comparison).targets.empty());
  const std::vector<std::uint64_t> second_chunk(tags.begin() + 3, tags.begin() + 7);
  EXPECT_EQ(needed_part(uses[1], shape(), second_chunk, comparison).targets,
            (std::vector<ChunkTarget>{{1, 4 * kPage, kPage, kPage}}));
  EXPECT_EQ(comparison.pages,
            (std::vector<PageState>{kKept, kKept, kKept, kKept, kRewritten, kKept, kKept, kKept}));
  EXPECT_FALSE(is_drawn_on(uses[0], shape(), comparison));
  EXPECT_TRUE(is_drawn_on(uses[1], shape(), comparison));
}

TEST_F(LeafComparisonTest, NeededPagesSideBySideAreDrawnAtOnce) {
  const std::vector<std::uint64_t> tags = tags_of(first_);
  for (const std::size_t page : {1U, 2U, 5U}) disk_[page * kPage] ^= 1;
  LeafComparison comparison = compare();
  const ChunkUse needed = needed_part(chunk_uses(map_, shape())[0], shape(), tags, comparison);
  EXPECT_EQ(needed.targets, (std::vector<ChunkTarget>{{0, kPage, 2 * kPage, kPage},
                                                      {0, 5 * kPage, kPage, 5 * kPage}}));
}

TEST_F(LeafComparisonTest, PagesWithoutATagAreRewritten) {
  disk_[0] ^= 1;
  LeafComparison comparison = compare();
  const ChunkUse needed = needed_part(chunk_uses(map_, shape())[0], shape(), {}, comparison);
  EXPECT_EQ(needed.targets, (std::vector<ChunkTarget>{{0, 0, kRegion, 0}}));
}

TEST_F(LeafComparisonTest, LastPageMayBeShort) {
  const std::string content = pattern(2 * kPage + 100, 3);
  map_ = {};
  append_region(map_, id_of(content), 3);
  disk_ = content;
  EXPECT_TRUE(compare().is_kept());
  disk_.back() ^= 1;
  LeafComparison comparison = compare();
  const ChunkUse needed =
      needed_part(chunk_uses(map_, shape())[0], shape(), tags_of(content), comparison);
  EXPECT_EQ(needed.targets, (std::vector<ChunkTarget>{{0, 2 * kPage, 100, 2 * kPage}}));
  EXPECT_EQ(kept_bytes(comparison, shape()), 2 * kPage);
}

TEST_F(LeafComparisonTest, WhatCannotBeReadIsRewrittenWithZerosInHoles) {
  disk_ = pattern(2 * kRegion, 9);
  const LeafComparison comparison = compare_nothing(map_, std::as_writable_bytes(std::span(disk_)));
  EXPECT_EQ(kept_bytes(comparison, shape()), 0U);
  EXPECT_EQ(disk_, std::string(2 * kRegion, '\0'));
  EXPECT_EQ(rewritten_ranges(comparison, shape()), (std::vector<ByteRange>{{0, 2 * kRegion}}));
}

}  // namespace
}  // namespace haul::restore
