#include "engine/repository/map.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::repository {
namespace {

using support::code_of;

constexpr std::uint32_t kChunkPages = 32;

ChunkId id_of(unsigned number) {
  ChunkId id;
  id.bytes[0] = static_cast<std::byte>(number);
  id.bytes[31] = std::byte{0xEE};
  return id;
}

// 70 pages: a whole chunk, a hole, and 6 pages of a short one.
MapLeaf plain_leaf() {
  MapLeaf leaf;
  append_region(leaf, id_of(1), 32);
  append_region(leaf, ChunkId{}, 32);
  append_region(leaf, id_of(2), 6);
  return leaf;
}

// One region of 32 pages out of two chunks and a hole, as later backups leave it.
MapLeaf mixed_leaf() {
  MapLeaf leaf;
  leaf.chunks = {id_of(1), id_of(2)};
  leaf.extents = {{0, 0, 10}, {1, 3, 2}, {Extent::kHole, 0, 5}, {0, 17, 15}};
  leaf.region_digests = {id_of(9)};
  return leaf;
}

Result<MapLeaf> decode(const MapLeaf& leaf) {
  return decode_map_leaf(encode_map_leaf(leaf), leaf.pages(), kChunkPages);
}

TEST(MapLeaf, ComesBackAsItWas) {
  EXPECT_EQ(decode(plain_leaf()).value(), plain_leaf());
  EXPECT_EQ(decode(mixed_leaf()).value(), mixed_leaf());
}

TEST(MapLeaf, AppendedChunkIsListedOnce) {
  MapLeaf leaf;
  append_region(leaf, id_of(1), 32);
  append_region(leaf, id_of(2), 32);
  append_region(leaf, id_of(1), 32);
  EXPECT_EQ(leaf.chunks.size(), 2U);
  EXPECT_EQ(leaf.extents[2].chunk, 0U);
  EXPECT_EQ(leaf.pages(), 96U);
}

TEST(MapLeaf, RegionDigestIsTheChunksIdOrWhatIsStoredOrZero) {
  const MapLeaf plain = plain_leaf();
  EXPECT_EQ(plain.region_digest(0, kChunkPages), id_of(1));
  EXPECT_EQ(plain.region_digest(1, kChunkPages), Digest{});
  EXPECT_EQ(plain.region_digest(2, kChunkPages), id_of(2));
  EXPECT_EQ(mixed_leaf().region_digest(0, kChunkPages), id_of(9));
}

TEST(MapLeafDeathTest, RegionDigestPastTheEndIsABug) {
  EXPECT_DEATH(static_cast<void>(plain_leaf().region_digest(3, kChunkPages)), "region");
}

TEST(MapLeaf, LargestLeavesComeBack) {
  for (const std::uint32_t chunk_pages : {kChunkPagesMin, kChunkPagesMax}) {
    MapLeaf leaf;
    for (std::uint32_t page = 0; page < kLeafPages; page += chunk_pages) {
      append_region(leaf, id_of(page / chunk_pages + 1), chunk_pages);
    }
    const auto back = decode_map_leaf(encode_map_leaf(leaf), kLeafPages, chunk_pages);
    ASSERT_TRUE(back) << chunk_pages;
    EXPECT_EQ(*back, leaf);
  }
}

TEST(MapLeaf, ADigestPerRegionUpTo64ComesBack) {
  MapLeaf leaf;
  leaf.chunks = {id_of(1), id_of(2)};
  for (unsigned region = 0; region < 64; ++region) {
    leaf.extents.push_back({0, 0, 4});
    leaf.extents.push_back({1, 4, 4});
    leaf.region_digests.emplace_back(id_of(region + 3));
  }
  EXPECT_EQ(decode_map_leaf(encode_map_leaf(leaf), kLeafPages, 8).value(), leaf);
}

TEST(MapLeaf, OneExtentPerPageComesBack) {
  MapLeaf leaf;
  for (unsigned page = 0; page < kLeafPages; ++page) {
    ChunkId id = id_of(page);
    id.bytes[1] = static_cast<std::byte>(page >> 8U);
    leaf.chunks.push_back(id);
    leaf.extents.push_back({static_cast<std::uint16_t>(page), 0, 1});
  }
  leaf.region_digests.assign(16, id_of(3));
  EXPECT_EQ(decode(leaf).value(), leaf);
}

TEST(MapLeaf, OfAnotherNumberOfPagesIsCorrupt) {
  const auto bytes = encode_map_leaf(plain_leaf());
  EXPECT_EQ(code_of(decode_map_leaf(bytes, 69, kChunkPages)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(decode_map_leaf(bytes, 71, kChunkPages)), ErrorCode::corrupt);
}

TEST(MapLeaf, OfAnotherChunkSizeIsCorrupt) {
  EXPECT_EQ(code_of(decode_map_leaf(encode_map_leaf(plain_leaf()), 70, 16)), ErrorCode::corrupt);
}

TEST(MapLeaf, CutAnywhereOrLongerIsCorrupt) {
  const auto sound = encode_map_leaf(mixed_leaf());
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_EQ(code_of(decode_map_leaf(ByteSpan(sound).first(size), 32, kChunkPages)),
              ErrorCode::corrupt)
        << size;
  }
  auto longer = sound;
  longer.push_back(std::byte{0});
  EXPECT_EQ(code_of(decode_map_leaf(longer, 32, kChunkPages)), ErrorCode::corrupt);
}

TEST(MapLeaf, ChunkOutsideTheTableIsCorrupt) {
  MapLeaf leaf = mixed_leaf();
  leaf.extents[1].chunk = 2;
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, ExtentOfNoPagesIsCorrupt) {
  MapLeaf leaf = mixed_leaf();
  leaf.extents.push_back({0, 0, 0});
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, ExtentBeyondTheLargestChunkIsCorrupt) {
  MapLeaf leaf = mixed_leaf();
  leaf.extents[3].first_page = 18;
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
  leaf.extents[3].first_page = 250;
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, HoleThatBeginsInsideAChunkIsCorrupt) {
  MapLeaf leaf = mixed_leaf();
  leaf.extents[2].first_page = 1;
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, ExtentAcrossRegionsIsCorrupt) {
  MapLeaf leaf;
  leaf.chunks = {id_of(1)};
  leaf.extents = {{0, 0, 20}, {0, 0, 24}, {0, 0, 20}};
  leaf.region_digests = {id_of(8), id_of(9)};
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, PagesThatNoExtentCoversAreCorrupt) {
  MapLeaf leaf = plain_leaf();
  auto bytes = encode_map_leaf(leaf);
  // Pages of the second extent: header 16, two chunks of 32 bytes, extents of 4.
  bytes[16 + 2 * 32 + 4 + 3] = std::byte{31};
  EXPECT_EQ(code_of(decode_map_leaf(bytes, 70, kChunkPages)), ErrorCode::corrupt);
}

// A backup that does not read all of a region cannot know its digest.
TEST(MapLeaf, MixedRegionMayLeaveItsDigestOpen) {
  MapLeaf leaf = mixed_leaf();
  leaf.region_digests[0].reset();
  EXPECT_EQ(decode(leaf).value(), leaf);
  EXPECT_EQ(leaf.region_digest(0, kChunkPages), std::nullopt);
}

TEST(MapLeaf, PartOfAChunkHasNoDigestOfItsOwn) {
  MapLeaf leaf = plain_leaf();
  leaf.extents[2].first_page = 1;
  EXPECT_EQ(decode(leaf).value(), leaf);
  EXPECT_EQ(leaf.region_digest(2, kChunkPages), std::nullopt);
}

TEST(MapLeaf, RegionOfSeveralHolesHasTheZeroDigest) {
  MapLeaf leaf;
  leaf.extents = {{Extent::kHole, 0, 20}, {Extent::kHole, 0, 12}};
  leaf.region_digests.resize(1);
  EXPECT_EQ(leaf.region_digest(0, kChunkPages), Digest{});
}

TEST(MapLeaf, HoleWithADigestIsCorrupt) {
  MapLeaf leaf = plain_leaf();
  leaf.region_digests[1] = id_of(5);
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, DigestOrChunkIdThatIsZeroIsCorrupt) {
  MapLeaf leaf = mixed_leaf();
  leaf.region_digests[0] = Digest{};
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
  leaf = mixed_leaf();
  leaf.chunks[1] = ChunkId{};
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapLeaf, DigestBitBeyondTheRegionsIsCorrupt) {
  auto bytes = encode_map_leaf(plain_leaf());
  bytes[8] |= std::byte{0x08};
  EXPECT_EQ(code_of(decode_map_leaf(bytes, 70, kChunkPages)), ErrorCode::corrupt);
}

TEST(MapLeaf, EmptyOrTooLargeIsCorrupt) {
  EXPECT_EQ(code_of(decode_map_leaf(encode_map_leaf(MapLeaf{}), 0, kChunkPages)),
            ErrorCode::corrupt);
  MapLeaf leaf;
  for (int i = 0; i < 17; ++i) append_region(leaf, id_of(1), 32);
  EXPECT_EQ(code_of(decode(leaf)), ErrorCode::corrupt);
}

TEST(MapNode, ComesBackAsItWas) {
  const std::vector<ChunkId> children{id_of(1), ChunkId{}, id_of(3)};
  EXPECT_EQ(decode_map_node(encode_map_node(children)).value(), children);
}

TEST(MapNode, LargestComesBackAndFitsAMetadataChunk) {
  const std::vector<ChunkId> children(kMapNodeFanout, id_of(1));
  const auto bytes = encode_map_node(children);
  EXPECT_LE(bytes.size(), kMetadataChunkBytesMax);
  EXPECT_EQ(decode_map_node(bytes).value(), children);
}

TEST(MapNode, OfAnotherLengthThanItsCountIsCorrupt) {
  auto bytes = encode_map_node(std::vector<ChunkId>(3, id_of(1)));
  bytes.pop_back();
  EXPECT_EQ(code_of(decode_map_node(bytes)), ErrorCode::corrupt);
  bytes.resize(bytes.size() + 2);
  EXPECT_EQ(code_of(decode_map_node(bytes)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(decode_map_node({})), ErrorCode::corrupt);
}

TEST(MapNode, CountOfZeroOrBeyondTheFanoutIsCorrupt) {
  EXPECT_EQ(code_of(decode_map_node(std::vector<std::byte>(4))), ErrorCode::corrupt);
  ByteWriter out;
  out.u32(kMapNodeFanout + 1);
  out.zeros((kMapNodeFanout + 1) * 32);
  EXPECT_EQ(code_of(decode_map_node(out.view())), ErrorCode::corrupt);
}

TEST(MapShape, LeavesCover512Pages) {
  EXPECT_EQ(map_leaves(0, 8192), 0U);
  EXPECT_EQ(map_leaves(1, 8192), 1U);
  EXPECT_EQ(map_leaves(512 * 8192, 8192), 1U);
  EXPECT_EQ(map_leaves(512 * 8192 + 1, 8192), 2U);
  EXPECT_EQ(map_leaves(1ULL << 30, 8192), 256U);
}

TEST(MapShape, DepthGrowsWithEvery4096) {
  EXPECT_EQ(map_depth(1), 0U);
  EXPECT_EQ(map_depth(2), 1U);
  EXPECT_EQ(map_depth(4096), 1U);
  EXPECT_EQ(map_depth(4097), 2U);
  EXPECT_EQ(map_depth(1ULL << 24), 2U);
  EXPECT_EQ(map_depth((1ULL << 24) + 1), 3U);
}

}  // namespace
}  // namespace haul::repository
