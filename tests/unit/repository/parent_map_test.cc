#include "engine/repository/parent_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::Each;
using ::testing::HasSubstr;
using testing::kLease;
using testing::kOtherLease;
using testing::RepositoryFixture;
using ::testing::SizeIs;
using testing::TestChunk;

constexpr std::size_t kPage = 1024;

// Two chunks of 8 pages and one of 5, each in a pack of its own.
struct ParentFixture : RepositoryFixture {
  TestChunk first = chunk(pattern(8 * kPage, 1));
  TestChunk second = chunk(pattern(8 * kPage, 2));
  TestChunk small = chunk(pattern(4 * kPage + 100, 3));
  std::vector<FinishedPack> packs = {write_pack({first}), write_pack({second}),
                                     write_pack({small})};
  Findings findings;
  std::unique_ptr<Index> index;
  std::unique_ptr<ChunkReader> chunks;

  ParentFixture() { write_run({kLease, 1}, packs); }

  std::string key_of(std::size_t pack) const { return cluster.layout.pack(packs[pack].ref); }
  void list() { index = Index::open(cluster, findings).value(); }

  static TreeEntry inlined(const std::vector<ChunkId>& ids, std::uint64_t size_bytes) {
    TreeEntry entry;
    entry.path = "base/5/16384";
    entry.size_bytes = size_bytes;
    entry.page_size_bytes = kPage;
    entry.content = ContentKind::inlined;
    entry.ids = ids;
    return entry;
  }
  // A file whose only leaf is this one.
  TreeEntry mapped(const MapLeaf& leaf) {
    const auto bytes = encode_map_leaf(leaf);
    const TestChunk stored =
        chunk(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
              ChunkKind::map_leaf, kMetadataPageSize);
    write_run({kOtherLease, 1}, {write_pack({stored}, kOtherLease)});
    TreeEntry entry = inlined({stored.id}, leaf.pages() * kPage);
    entry.content = ContentKind::map;
    return entry;
  }

  // Its only leaf.
  Result<ParentLeaf> read(const TreeEntry& entry) {
    if (!index) list();
    chunks = std::make_unique<ChunkReader>(cluster, *index, findings);
    const auto map = ParentMap::open(*chunks, *index, entry).value();
    return map->read_leaf(0);
  }
  // Of a file of the three.
  ParentLeaf read_all() {
    return read(inlined({first.id, ChunkId{}, second.id, small.id}, 28 * kPage + 100)).value();
  }
};

TEST(ParentMap, HasThePlaceAndTheTagOfEveryPage) {
  ParentFixture fixture;
  const ParentLeaf leaf = fixture.read_all();
  ASSERT_THAT(leaf.pages, SizeIs(29));
  ASSERT_THAT(leaf.chunks, SizeIs(3));
  for (std::size_t page = 0; page < 8; ++page) {
    EXPECT_EQ(leaf.pages[page].chunk, 0U);
    EXPECT_EQ(leaf.pages[page].page, page);
    EXPECT_EQ(leaf.pages[page].tag, fixture.first.digests[page].tag());
    EXPECT_TRUE(leaf.is_hole(8 + page));
    EXPECT_TRUE(leaf.is_usable(8 + page));
    EXPECT_EQ(leaf.pages[16 + page].tag, fixture.second.digests[page].tag());
  }
  EXPECT_EQ(leaf.pages[28].tag, fixture.small.digests[4].tag());
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(leaf.chunks[i].usable);
    EXPECT_EQ(leaf.chunks[i].pack, fixture.packs[i].ref);
  }
  EXPECT_EQ(fixture.findings.count(), 0U);
}

TEST(ParentMap, TagIsThatOfThePageWithinItsChunk) {
  ParentFixture fixture;
  MapLeaf map;
  map.chunks = {fixture.second.id, fixture.first.id};
  map.extents = {{1, 3, 2}, {Extent::kHole, 0, 1}, {0, 0, 5}, {1, 7, 1}};
  map.region_digests.resize(2);
  const ParentLeaf leaf = fixture.read(fixture.mapped(map)).value();
  EXPECT_EQ(leaf.map, map);
  ASSERT_THAT(leaf.pages, SizeIs(9));
  EXPECT_EQ(leaf.pages[0].tag, fixture.first.digests[3].tag());
  EXPECT_EQ(leaf.pages[1].tag, fixture.first.digests[4].tag());
  EXPECT_TRUE(leaf.is_hole(2));
  EXPECT_EQ(leaf.pages[3].tag, fixture.second.digests[0].tag());
  EXPECT_EQ(leaf.pages[7].tag, fixture.second.digests[4].tag());
  EXPECT_EQ(leaf.pages[8].tag, fixture.first.digests[7].tag());
  EXPECT_EQ(leaf.pages[8].page, 7U);
}

TEST(ParentMap, ChunkOfAPackThatIsGoneIsNotUsable) {
  ParentFixture fixture;
  ASSERT_TRUE(fixture.store().remove(fixture.key_of(1)));
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(0));
  EXPECT_FALSE(leaf.is_usable(16));
  EXPECT_TRUE(leaf.is_usable(24));
  EXPECT_THAT(fixture.findings.lines(), Each(HasSubstr(fixture.key_of(1))));
  EXPECT_GE(fixture.findings.count(), 1U);
}

// It may be about to be deleted by whoever looked before the lease was there.
TEST(ParentMap, ChunkOfAPackThatWasNotListedIsNotUsable) {
  ParentFixture fixture;
  const auto bytes = fixture.get(fixture.key_of(1));
  ASSERT_TRUE(fixture.store().remove(fixture.key_of(1)));
  fixture.list();
  fixture.overwrite(fixture.key_of(1), bytes);
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(0));
  EXPECT_FALSE(leaf.is_usable(16));
  EXPECT_FALSE(leaf.is_usable(23));
}

TEST(ParentMap, ChunkOfAPackThatWasListedWithAnotherSizeIsNotUsable) {
  ParentFixture fixture;
  const auto bytes = fixture.get(fixture.key_of(1));
  fixture.overwrite(fixture.key_of(1), ByteSpan(bytes).first(100));
  fixture.list();
  fixture.overwrite(fixture.key_of(1), bytes);
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(0));
  EXPECT_FALSE(leaf.is_usable(16));
}

TEST(ParentMap, ChunkThatACutTookAwayIsNotUsable) {
  ParentFixture fixture;
  const auto bytes = fixture.get(fixture.key_of(1));
  fixture.overwrite(fixture.key_of(1), ByteSpan(bytes).first(bytes.size() / 2));
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(0));
  EXPECT_FALSE(leaf.is_usable(16));
  EXPECT_GE(fixture.findings.count(), 1U);
}

// A restore would find it by its frame.
TEST(ParentMap, ChunkThatACutLeftIsNotUsable) {
  ParentFixture fixture;
  const auto bytes = fixture.get(fixture.key_of(1));
  fixture.overwrite(fixture.key_of(1), ByteSpan(bytes).first(bytes.size() - 1));
  fixture.list();
  ChunkReader chunks(fixture.cluster, *fixture.index, fixture.findings);
  ASSERT_TRUE(chunks.find(fixture.second.id, 8 * kPage).value());
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(0));
  EXPECT_FALSE(leaf.is_usable(16));
  EXPECT_FALSE(leaf.is_usable(23));
}

// Its chunks are known by their frames, tags and all, and none is missing.
TEST(ParentMap, ChunkOfAPackWithADamagedListIsUsable) {
  ParentFixture fixture;
  fixture.damage(fixture.key_of(1), fixture.packs[1].size_bytes - 1);
  const ParentLeaf leaf = fixture.read_all();
  EXPECT_TRUE(leaf.is_usable(16));
  EXPECT_EQ(leaf.pages[20].tag, fixture.second.digests[4].tag());
  EXPECT_GE(fixture.findings.count(), 1U);
}

TEST(ParentMap, ChunkShorterThanWhatIsDrawnFromItIsNotUsable) {
  ParentFixture fixture;
  const ParentLeaf leaf =
      fixture.read(ParentFixture::inlined({fixture.small.id, fixture.first.id}, 16 * kPage))
          .value();
  ASSERT_THAT(leaf.pages, SizeIs(16));
  for (std::size_t page = 0; page < 8; ++page) EXPECT_FALSE(leaf.is_usable(page));
  EXPECT_TRUE(leaf.is_usable(8));
}

TEST(ParentMap, DamagedLeafIsCorrupt) {
  ParentFixture fixture;
  MapLeaf map;
  append_region(map, fixture.first.id, 8);
  TreeEntry entry = fixture.mapped(map);
  entry.size_bytes += kPage;
  EXPECT_EQ(code_of(fixture.read(entry)), ErrorCode::corrupt);
  entry.size_bytes -= kPage;
  entry.ids[0].bytes[5] ^= std::byte{1};
  EXPECT_EQ(code_of(fixture.read(entry)), ErrorCode::corrupt);
}

TEST(ParentMap, OutlivesTheEntryItWasOpenedWith) {
  ParentFixture fixture;
  fixture.list();
  ChunkReader chunks(fixture.cluster, *fixture.index, fixture.findings);
  auto entry = std::make_unique<TreeEntry>(
      ParentFixture::inlined({fixture.first.id, fixture.second.id}, 16 * kPage));
  const auto map = ParentMap::open(chunks, *fixture.index, *entry).value();
  entry.reset();
  EXPECT_EQ(map->shape().size_bytes, 16 * kPage);
  EXPECT_EQ(map->read_leaf(0).value().map.chunks[1], fixture.second.id);
}

}  // namespace
}  // namespace haul::repository
