#include "engine/restore/leaf.h"

#include <gtest/gtest.h>

#include "compress/digest.h"
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

// Chunks of up to 8 pages of 1 KiB in a repository.
class LeafTest : public testing::Test {
 protected:
  ChunkId store(std::string_view content) {
    std::vector<repository::Digest> digests(repository::page_count(content.size(), kPage));
    const auto& identity = *cluster_.identity;
    identity.page_digests(bytes_of(content), kPage, digests);
    const ChunkId id =
        identity.chunk_id(repository::ChunkKind::data, kPage, content.size(), digests);
    HAUL_ASSERT(
        encoder_
            .store({repository::ChunkKind::data, kPage, bytes_of(content), digests, id}, stream_)
            .has_value());
    return id;
  }
  Result<std::string> assemble(const MapLeaf& leaf, std::uint64_t size_bytes) {
    HAUL_ASSERT(stream_.close().has_value());
    HAUL_ASSERT(writer_.finish().has_value());
    std::string result(size_bytes, 'x');
    HAUL_TRY(assemble_leaf(leaf, {size_bytes, kPage, 8}, cache_,
                           std::as_writable_bytes(std::span(result))));
    return result;
  }

  TestRepository repository_;
  repository::Cluster cluster_ = repository_.cluster();
  repository::Findings findings_;
  std::unique_ptr<repository::Index> index_ = repository::Index::open(cluster_, findings_).value();
  repository::ChunkWriter writer_{cluster_, *index_, std::string(kBackup), repository_.random()};
  repository::ChunkEncoder encoder_ = repository::ChunkEncoder::open(writer_, {}).value();
  repository::PackStream stream_{writer_};
  repository::ChunkReader reader_{cluster_, *index_, findings_};
  ChunkCache cache_{reader_};
};

TEST_F(LeafTest, PagesOfSeveralChunksAreMerged) {
  const std::string base = support::pattern(8 * kPage, 1);
  const std::string delta = support::pattern(3 * kPage, 2);
  MapLeaf leaf;
  leaf.chunks = {store(base), store(delta)};
  leaf.extents = {{0, 0, 2}, {1, 1, 1}, {0, 3, 1}, {kHole, 0, 2}, {1, 0, 1}, {0, 7, 1}};
  EXPECT_EQ(assemble(leaf, 8 * kPage).value(),
            base.substr(0, 2 * kPage) + delta.substr(kPage, kPage) + base.substr(3 * kPage, kPage) +
                std::string(2 * kPage, '\0') + delta.substr(0, kPage) + base.substr(7 * kPage));
}

TEST_F(LeafTest, LastPageMayBeShort) {
  const std::string content = support::pattern(2 * kPage + 100, 1);
  MapLeaf leaf;
  leaf.chunks = {store(content)};
  leaf.extents = {{0, 0, 3}};
  EXPECT_EQ(assemble(leaf, content.size()).value(), content);
}

TEST_F(LeafTest, ChunkShorterThanItsExtentIsCorrupt) {
  MapLeaf leaf;
  leaf.chunks = {store(support::pattern(2 * kPage, 1))};
  leaf.extents = {{0, 0, 3}};
  EXPECT_EQ(code_of(assemble(leaf, 3 * kPage)), ErrorCode::corrupt);
}

TEST_F(LeafTest, ExtentPastTheEndOfItsChunkIsCorrupt) {
  MapLeaf leaf;
  leaf.chunks = {store(support::pattern(2 * kPage, 1))};
  leaf.extents = {{0, 5, 1}};
  EXPECT_EQ(code_of(assemble(leaf, kPage)), ErrorCode::corrupt);
}

TEST_F(LeafTest, MissingChunkIsCorrupt) {
  MapLeaf leaf;
  leaf.chunks = {ChunkId{{std::byte{1}}}};
  leaf.extents = {{0, 0, 1}};
  EXPECT_EQ(code_of(assemble(leaf, kPage)), ErrorCode::corrupt);
}

TEST_F(LeafTest, ReusedChunkIsDecodedOnce) {
  const ChunkId id = store(support::pattern(kPage, 1));
  ASSERT_TRUE(assemble({}, 0).has_value());
  const auto first = cache_.read(id, 8 * kPage, ChunkCache::Reuse::again).value();
  EXPECT_EQ(cache_.read(id, 8 * kPage, ChunkCache::Reuse::again).value(), first);
  EXPECT_NE(cache_.read(id, 8 * kPage, ChunkCache::Reuse::once).value(), first);
}

TEST_F(LeafTest, CacheForgetsWhatWasUsedLongAgo) {
  std::vector<ChunkId> ids;
  for (std::size_t i = 0; i <= ChunkCache::kChunksMax; ++i) {
    ids.push_back(store(support::pattern(kPage, i)));
  }
  ASSERT_TRUE(assemble({}, 0).has_value());
  const std::weak_ptr first = cache_.read(ids[0], kPage, ChunkCache::Reuse::again).value();
  const std::weak_ptr second = cache_.read(ids[1], kPage, ChunkCache::Reuse::again).value();
  for (std::size_t i = 2; i < ChunkCache::kChunksMax; ++i) {
    ASSERT_TRUE(cache_.read(ids[i], kPage, ChunkCache::Reuse::again).has_value());
  }
  ASSERT_TRUE(cache_.read(ids[0], kPage, ChunkCache::Reuse::again).has_value());
  ASSERT_TRUE(
      cache_.read(ids[ChunkCache::kChunksMax], kPage, ChunkCache::Reuse::again).has_value());
  EXPECT_FALSE(first.expired());
  EXPECT_TRUE(second.expired());
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
