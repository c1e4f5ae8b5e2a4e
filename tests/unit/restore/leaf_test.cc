#include "engine/restore/leaf.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using repository::ChunkId;
using repository::Extent;
using repository::MapLeaf;
using support::code_of;

constexpr std::uint32_t kPage = 1024;
constexpr std::uint16_t kHole = Extent::kHole;

MapLeaf leaf_with(std::size_t chunks, std::vector<Extent> extents) {
  MapLeaf leaf;
  for (std::size_t i = 0; i < chunks; ++i) leaf.chunks.push_back(ChunkId{{std::byte(i + 1)}});
  leaf.extents = std::move(extents);
  return leaf;
}

TEST(ChunkUses, EveryTargetOfAChunkIsListedOnce) {
  const MapLeaf leaf = leaf_with(2, {{0, 0, 2}, {1, 1, 1}, {kHole, 0, 2}, {0, 3, 1}});
  const std::vector<ChunkUse> uses = chunk_uses(leaf, {6 * kPage, kPage, 8});
  ASSERT_EQ(uses.size(), 2U);
  EXPECT_EQ(uses[0].id, leaf.chunks[0]);
  EXPECT_EQ(uses[0].targets,
            (std::vector<ChunkTarget>{{0, 0, 2 * kPage, 0}, {3, 5 * kPage, kPage, 3 * kPage}}));
  EXPECT_EQ(uses[1].targets, (std::vector<ChunkTarget>{{1, 2 * kPage, kPage, kPage}}));
}

TEST(ChunkUses, ChunkThatNothingIsDrawnFromIsLeftOut) {
  const std::vector<ChunkUse> uses = chunk_uses(leaf_with(2, {{1, 0, 1}}), {kPage, kPage, 8});
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].id.bytes[0], std::byte{2});
}

TEST(ChunkUses, LastPageMayBeShort) {
  const std::vector<ChunkUse> uses =
      chunk_uses(leaf_with(1, {{0, 0, 3}}), {2 * kPage + 100, kPage, 8});
  EXPECT_EQ(uses[0].targets, (std::vector<ChunkTarget>{{0, 0, 2 * kPage + 100, 0}}));
  EXPECT_EQ(uses[0].drawn_bytes(), 2 * kPage + 100);
}

TEST(ChunkUse, IsWholeOnlyWhereTheChunkStandsAsItIs) {
  const ChunkUse whole{{}, {{0, 0, kPage, 0}}};
  EXPECT_TRUE(whole.is_whole(kPage));
  EXPECT_FALSE(whole.is_whole(2 * kPage));
  EXPECT_FALSE((ChunkUse{{}, {{0, 0, kPage, kPage}}}.is_whole(kPage)));
  EXPECT_FALSE((ChunkUse{{}, {{0, 0, kPage, 0}, {1, kPage, kPage, 0}}}.is_whole(kPage)));
}

TEST(CopyChunk, TargetsGetTheirParts) {
  const std::string chunk = support::pattern(3 * kPage, 1);
  std::string leaf(4 * kPage, 'x');
  const ChunkUse use{{}, {{0, 0, kPage, 2 * kPage}, {1, 2 * kPage, 2 * kPage, 0}}};
  ASSERT_TRUE(copy_chunk(use, bytes_of(chunk), std::as_writable_bytes(std::span(leaf))));
  EXPECT_EQ(leaf, chunk.substr(2 * kPage) + std::string(kPage, 'x') + chunk.substr(0, 2 * kPage));
}

TEST(CopyChunk, ChunkShorterThanItsTargetIsCorrupt) {
  std::string leaf(3 * kPage, 'x');
  const ChunkUse use{{}, {{0, 0, 3 * kPage, 0}}};
  EXPECT_EQ(code_of(copy_chunk(use, bytes_of(support::pattern(2 * kPage, 1)),
                               std::as_writable_bytes(std::span(leaf)))),
            ErrorCode::corrupt);
}

TEST(CopyChunk, TargetPastTheEndOfTheChunkIsCorrupt) {
  std::string leaf(kPage, 'x');
  const ChunkUse use{{}, {{0, 0, kPage, 5 * kPage}}};
  EXPECT_EQ(code_of(copy_chunk(use, bytes_of(support::pattern(2 * kPage, 1)),
                               std::as_writable_bytes(std::span(leaf)))),
            ErrorCode::corrupt);
}

TEST(FillHoles, HolesBecomeZerosWithTheirCrc) {
  const MapLeaf leaf = leaf_with(1, {{kHole, 0, 1}, {0, 0, 1}, {kHole, 0, 2}});
  std::string bytes(3 * kPage + 5, 'x');
  std::vector<postgres::Crc32cPiece> extents(3);
  fill_holes(leaf, {bytes.size(), kPage, 8}, std::as_writable_bytes(std::span(bytes)), extents);
  EXPECT_EQ(bytes,
            std::string(kPage, '\0') + std::string(kPage, 'x') + std::string(kPage + 5, '\0'));
  EXPECT_EQ(extents[0], crc32c_of_zeros(kPage));
  EXPECT_EQ(extents[1], postgres::Crc32cPiece());
  EXPECT_EQ(extents[2], crc32c_of_zeros(kPage + 5));
}

MapLeaf leaf_of(std::vector<Extent> extents) {
  MapLeaf leaf;
  leaf.chunks = {ChunkId{{std::byte{1}}}};
  leaf.extents = std::move(extents);
  return leaf;
}

TEST(WrittenRanges, HolesAreLeftOut) {
  EXPECT_EQ(written_ranges(leaf_of({{0, 0, 8}, {kHole, 0, 8}, {0, 0, 8}}), {24 * 8192, 8192, 8}),
            (std::vector<ByteRange>{{0, 65536}, {131072, 65536}}));
}

TEST(WrittenRanges, NeighboursAreOneRange) {
  EXPECT_EQ(written_ranges(leaf_of({{0, 0, 4}, {0, 0, 4}}), {8 * 8192, 8192, 8}),
            (std::vector<ByteRange>{{0, 65536}}));
}

TEST(WrittenRanges, EndsAreRoundedOutwards) {
  EXPECT_EQ(written_ranges(leaf_of({{kHole, 0, 5}, {0, 0, 1}, {kHole, 0, 2}}), {8192, 1024, 8}),
            (std::vector<ByteRange>{{4096, 4096}}));
}

TEST(WrittenRanges, RangesThatTouchAfterRoundingAreOne) {
  EXPECT_EQ(written_ranges(leaf_of({{0, 0, 1}, {kHole, 0, 5}, {0, 0, 2}}), {8192, 1024, 8}),
            (std::vector<ByteRange>{{0, 8192}}));
}

TEST(WrittenRanges, ShortEndIsRoundedUp) {
  EXPECT_EQ(written_ranges(leaf_of({{0, 0, 1}}), {100, 8192, 8}),
            (std::vector<ByteRange>{{0, 4096}}));
}

TEST(WrittenRanges, OnlyHolesNeedNoWrite) {
  EXPECT_TRUE(written_ranges(leaf_of({{kHole, 0, 8}}), {8 * 8192, 8192, 8}).empty());
}

TEST(ZeroCrc, EqualsThatOfZeros) {
  for (const std::size_t size : {0UL, 1UL, 2UL, 3UL, 8191UL, 8192UL, 1'000'003UL}) {
    const std::string zeros(size, '\0');
    EXPECT_EQ(crc32c_of_zeros(size),
              (postgres::Crc32cPiece{postgres::crc32c(bytes_of(zeros)), size}))
        << size;
  }
}

}  // namespace
}  // namespace haul::restore
