#include "engine/repository/map_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kLease;
using testing::RepositoryFixture;
using testing::TestChunk;

constexpr std::size_t kPage = 1024;

// Trees of files whose chunks have 8 pages; what differs is told in words.
struct DifferenceFixture : RepositoryFixture {
  TestChunk first = chunk(pattern(8 * kPage, 1));
  TestChunk second = chunk(pattern(8 * kPage, 2));
  // Pages 3 and 5 of the first chunk have moved, the page before them is new.
  TestChunk gathered = chunk(pattern(kPage, 9) + first.bytes.substr(3 * kPage, kPage) +
                             first.bytes.substr(5 * kPage, kPage));
  Findings findings;
  FinishedPack pack = write_pack({first, second, gathered});
  std::unique_ptr<Index> index;
  std::optional<ChunkWriter> writer;
  std::optional<PackStream> metadata;
  std::optional<ChunkEncoder> encoder;
  MapUse use;

  DifferenceFixture() {
    write_run({kLease, 1}, {pack});
    index = Index::open(cluster, findings).value();
    writer.emplace(cluster, *index, testing::kOtherLease, random);
    metadata.emplace(*writer);
    encoder.emplace(ChunkEncoder::open(*writer, {compress::Codec::zstd, 1}).value());
  }

  static TreeEntry entry(const std::string& path, std::uint64_t pages) {
    TreeEntry entry;
    entry.path = path;
    entry.mode = 0600;
    entry.size_bytes = pages * kPage;
    entry.page_size_bytes = kPage;
    return entry;
  }
  static TreeEntry inlined(const std::string& path, const std::vector<ChunkId>& ids,
                           std::uint64_t pages) {
    TreeEntry file = entry(path, pages);
    file.content = ContentKind::inlined;
    file.ids = ids;
    return file;
  }
  TreeEntry mapped(const std::string& path, const std::vector<MapLeaf>& leaves) {
    std::vector<ChunkId> ids;
    std::uint64_t pages = 0;
    for (const MapLeaf& leaf : leaves) {
      pages += leaf.pages();
      ids.push_back(store_leaf(leaf, *encoder, *metadata).value());
    }
    TreeEntry file = entry(path, pages);
    HAUL_ASSERT(finish_map(std::move(ids), file, *encoder, *metadata).has_value());
    return file;
  }
  TreeRootId tree(const std::vector<TreeEntry>& entries) {
    TreeWriter tree(*encoder, *metadata);
    for (const TreeEntry& file : entries) HAUL_ASSERT(tree.add(file).has_value());
    return tree.finish().value();
  }
  // "changed a 3": a file with three pages that are others.
  std::vector<std::string> compare(const std::optional<TreeRootId>& before,
                                   const TreeRootId& after) {
    HAUL_ASSERT(metadata->close().has_value() && writer->finish().has_value());
    ChunkReader chunks(cluster, *index, findings);
    TreeComparison comparison(chunks, findings);
    std::vector<std::string> lines;
    const Status compared =
        comparison.run(before, after, [&](const FileDifference& difference) -> Status {
          using enum FileDifference::Kind;
          const std::string kind = difference.kind == changed ? "changed "
                                   : difference.kind == added ? "added "
                                                              : "removed ";
          lines.push_back(kind + difference.entry.path + " " +
                          std::to_string(difference.changed_pages));
          return ok();
        });
    EXPECT_TRUE(compared);
    use = comparison.use();
    return lines;
  }
  std::vector<std::string> compare_leaves(const MapLeaf& before, const MapLeaf& after) {
    const auto old_tree = tree({mapped("a", {before})});
    return compare(old_tree, tree({mapped("a", {after})}));
  }
  // A region of the second chunk, then one of the first.
  MapLeaf plain() const {
    MapLeaf leaf;
    append_region(leaf, second.id, 8);
    append_region(leaf, first.id, 8);
    return leaf;
  }
};

TEST(TreeComparison, EqualTreesDifferInNothing) {
  DifferenceFixture fixture;
  const auto tree = fixture.tree({DifferenceFixture::inlined("a", {fixture.first.id}, 8)});
  EXPECT_THAT(fixture.compare(tree, tree), IsEmpty());
  EXPECT_EQ(fixture.use, (MapUse{1, 8, 0, 1, 8}));
}

TEST(TreeComparison, FilesAreChangedAddedAndRemoved) {
  DifferenceFixture fixture;
  const ChunkId first = fixture.first.id;
  const ChunkId second = fixture.second.id;
  const auto file = DifferenceFixture::inlined;
  TreeEntry directory;
  directory.kind = EntryKind::directory;
  directory.path = "e";
  const auto before = fixture.tree({file("a", {first}, 8), file("b", {first}, 8),
                                    file("c", {first}, 8), DifferenceFixture::entry("d", 0)});
  const auto after = fixture.tree({file("9", {second, ChunkId{}}, 16), file("b", {second}, 8),
                                   file("c", {first}, 8), DifferenceFixture::entry("d", 0),
                                   directory, file("f", {first}, 5)});
  EXPECT_THAT(fixture.compare(before, after),
              ElementsAre("added 9 8", "removed a 0", "changed b 8", "added f 5"));
}

TEST(TreeComparison, WithoutAnotherTreeAllFilesAreAdded) {
  DifferenceFixture fixture;
  const auto tree = fixture.tree({DifferenceFixture::inlined("a", {fixture.first.id}, 8)});
  EXPECT_THAT(fixture.compare(std::nullopt, tree), ElementsAre("added a 8"));
}

TEST(TreeComparison, FileThatGrewOrWasCutHasChanged) {
  DifferenceFixture fixture;
  const auto file = DifferenceFixture::inlined;
  const ChunkId first = fixture.first.id;
  const auto before = fixture.tree({file("a", {first}, 8), file("b", {first, first}, 16)});
  const auto after = fixture.tree({file("a", {first, first}, 16), file("b", {first}, 8)});
  EXPECT_THAT(fixture.compare(before, after), ElementsAre("changed a 8", "changed b 0"));
}

TEST(TreeComparison, PagesThatAreOthersAreCounted) {
  DifferenceFixture fixture;
  MapLeaf after = fixture.plain();
  after.chunks.push_back(fixture.gathered.id);
  after.extents = {{0, 0, 8}, {1, 0, 2}, {2, 0, 1}, {1, 3, 5}};
  after.region_digests[1] = fixture.gathered.id;
  EXPECT_THAT(fixture.compare_leaves(fixture.plain(), after), ElementsAre("changed a 1"));
  EXPECT_EQ(fixture.use, (MapUse{1, 16, 1, 3, 8 + 8 + 3}));
}

TEST(TreeComparison, AnotherPageOfTheSameChunkIsAnotherPage) {
  DifferenceFixture fixture;
  MapLeaf after = fixture.plain();
  after.extents = {{0, 0, 8}, {1, 1, 7}, {1, 0, 1}};
  after.region_digests[1] = fixture.gathered.id;
  EXPECT_THAT(fixture.compare_leaves(fixture.plain(), after), ElementsAre("changed a 8"));
}

// The tag tells, where the region has another digest.
TEST(TreeComparison, PagesThatOnlyMovedAreNotCounted) {
  DifferenceFixture fixture;
  MapLeaf after = fixture.plain();
  after.chunks.push_back(fixture.gathered.id);
  after.extents = {{0, 0, 8}, {1, 0, 2}, {2, 0, 2}, {1, 4, 1}, {2, 2, 1}, {1, 6, 2}};
  after.region_digests[1] = fixture.gathered.id;
  EXPECT_THAT(fixture.compare_leaves(fixture.plain(), after), ElementsAre("changed a 1"));
  EXPECT_EQ(fixture.use.gathered_pages, 3U);
}

TEST(TreeComparison, FileOfWhichPagesOnlyMovedHasNotChanged) {
  DifferenceFixture fixture;
  MapLeaf after = fixture.plain();
  after.chunks.push_back(fixture.gathered.id);
  after.extents = {{0, 0, 8}, {1, 0, 3}, {2, 1, 1}, {1, 4, 4}};
  after.region_digests[1] = fixture.first.id;
  EXPECT_THAT(fixture.compare_leaves(fixture.plain(), after), IsEmpty());
}

TEST(TreeComparison, PagesThatBecameZerosOrCeasedToAreCounted) {
  DifferenceFixture fixture;
  MapLeaf holed = fixture.plain();
  holed.extents = {{0, 0, 8}, {1, 0, 2}, {Extent::kHole, 0, 3}, {1, 5, 3}};
  holed.region_digests[1] = fixture.gathered.id;
  EXPECT_THAT(fixture.compare_leaves(fixture.plain(), holed), ElementsAre("changed a 3"));
  EXPECT_EQ(fixture.use, (MapUse{1, 13, 0, 2, 16}));
  DifferenceFixture other;
  EXPECT_THAT(other.compare_leaves(holed, other.plain()), ElementsAre("changed a 3"));
}

TEST(TreeComparison, EveryLeafIsCompared) {
  DifferenceFixture fixture;
  MapLeaf large;
  for (int region = 0; region < 64; ++region) append_region(large, fixture.first.id, 8);
  MapLeaf other = large;
  other.chunks[0] = fixture.second.id;
  MapLeaf last;
  append_region(last, fixture.first.id, 4);
  const auto before = fixture.tree({fixture.mapped("a", {large, large, last})});
  const auto after = fixture.tree({fixture.mapped("a", {large, other, last})});
  EXPECT_THAT(fixture.compare(before, after), ElementsAre("changed a 512"));
  EXPECT_EQ(fixture.use.leaves, 3U);
  EXPECT_EQ(fixture.use.pages, 1028U);
}

// What cannot be compared counts as changed.
TEST(TreeComparison, DamageIsAFinding) {
  DifferenceFixture fixture;
  const auto before = fixture.tree({fixture.mapped("a", {fixture.plain()})});
  TreeEntry lost = fixture.mapped("a", {fixture.plain()});
  lost.ids[0].bytes[7] ^= std::byte{1};
  const auto after = fixture.tree({lost});
  EXPECT_THAT(fixture.compare(before, after), ElementsAre("changed a 16"));
  EXPECT_EQ(fixture.findings.count(), 1U);
  DifferenceFixture other;
  auto no_tree = other.tree({other.mapped("a", {other.plain()})});
  const auto tree = other.tree({other.mapped("a", {other.plain()})});
  no_tree.id.bytes[7] ^= std::byte{1};
  EXPECT_THAT(other.compare(no_tree, tree), ElementsAre("added a 16"));
  EXPECT_EQ(other.findings.count(), 1U);
}

TEST(TreeCursor, YieldsNothingBehindTheEnd) {
  DifferenceFixture fixture;
  const auto tree = fixture.tree({DifferenceFixture::entry("a", 0)});
  ASSERT_TRUE(fixture.metadata->close() && fixture.writer->finish());
  ChunkReader chunks(fixture.cluster, *fixture.index, fixture.findings);
  TreeCursor cursor(chunks, tree);
  EXPECT_EQ(cursor.next().value()->path, "a");
  EXPECT_FALSE(cursor.next().value());
  EXPECT_FALSE(cursor.next().value());
}

}  // namespace
}  // namespace haul::repository
