// Trees and file maps through the chunk store: every number of levels, and what hostile nodes do.
#include <ostream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/file_map.h"
#include "engine/repository/tree_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kLease;
using testing::RepositoryFixture;

struct StoredTreeFixture : RepositoryFixture {
  Findings findings;
  std::unique_ptr<Index> index = Index::open(cluster, findings).value();
  ChunkWriter writer{cluster, *index, kLease, random};
  PackStream metadata{writer};
  ChunkEncoder encoder = ChunkEncoder::open(writer, {compress::Codec::zstd, 1}).value();
  std::unique_ptr<ChunkReader> reader;

  // What was stored so far can be read.
  ChunkReader& chunks() {
    if (!reader) {
      HAUL_ASSERT(metadata.close().has_value() && writer.finish().has_value());
      reader = std::make_unique<ChunkReader>(cluster, *index, findings);
    }
    return *reader;
  }
  ChunkId store(ChunkKind kind, ByteSpan bytes) {
    return encoder.store_metadata(kind, bytes, metadata).value();
  }
  ChunkId store_leaf_of(const std::vector<TreeEntry>& entries) {
    ByteWriter out;
    for (const TreeEntry& entry : entries) encode_entry(out, entry);
    return store(ChunkKind::tree_leaf, out.view());
  }
  ChunkId store_node_of(std::uint8_t level, const std::vector<TreeChild>& children) {
    return store(ChunkKind::tree_node, encode_tree_node(level, children));
  }
  TreeRootId write_tree(std::size_t entries) {
    TreeWriter tree(encoder, metadata);
    for (std::size_t i = 0; i < entries; ++i) HAUL_ASSERT(tree.add(entry_of(i)).has_value());
    return tree.finish().value();
  }

  static TreeEntry entry_of(std::size_t number) {
    TreeEntry entry;
    entry.path = format("base/5/{}", number);
    entry.mode = 0600;
    return entry;
  }
};

struct Walked {
  Status status;
  std::vector<std::string> paths;
  std::vector<std::string> damage;
};

Walked walk(StoredTreeFixture& fixture, const TreeRootId& root) {
  Walked walked;
  walked.status = walk_tree(fixture.chunks(), root, [&](const TreeEntry& entry) {
    walked.paths.push_back(entry.path);
    return ok();
  });
  return walked;
}

Walked walk_past_damage(StoredTreeFixture& fixture, const TreeRootId& root) {
  Walked walked;
  walked.status = walk_tree(
      fixture.chunks(), root,
      [&](const TreeEntry& entry) {
        walked.paths.push_back(entry.path);
        return ok();
      },
      [&](const Error& error) {
        walked.damage.push_back(error.message());
        return ok();
      });
  return walked;
}

class TreeOfSize : public ::testing::TestWithParam<std::size_t> {};

TEST_P(TreeOfSize, ComesBackEntryByEntry) {
  StoredTreeFixture fixture;
  const TreeRootId root = fixture.write_tree(GetParam());
  const Walked walked = walk(fixture, root);
  ASSERT_TRUE(walked.status) << walked.status.error().message();
  ASSERT_EQ(walked.paths.size(), GetParam());
  for (std::size_t i = 0; i < walked.paths.size(); ++i) {
    ASSERT_EQ(walked.paths[i], StoredTreeFixture::entry_of(i).path);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, TreeOfSize, ::testing::Values(0, 1, 2, 1'000, 100'000));

TEST(TreeWriter, WithoutEntriesHasTheZeroRoot) {
  StoredTreeFixture fixture;
  EXPECT_TRUE(fixture.write_tree(0).id.is_zero());
}

TEST(TreeWriter, SmallTreeIsOneLeaf) {
  StoredTreeFixture fixture;
  EXPECT_EQ(fixture.write_tree(10).kind, ChunkKind::tree_leaf);
}

TEST(TreeWriter, LargerTreeHasANode) {
  StoredTreeFixture fixture;
  const TreeRootId root = fixture.write_tree(5'000);
  EXPECT_EQ(root.kind, ChunkKind::tree_node);
  const auto bytes =
      fixture.chunks().read(ChunkKind::tree_node, root.id, kMetadataChunkBytesMax).value();
  EXPECT_EQ(decode_tree_node(*bytes).value().level, 1U);
}

// Entries of almost 4 KiB: a leaf holds about 12, and a node 512 leaves.
TEST(TreeWriter, MoreLeavesThanANodeHoldsStackUp) {
  StoredTreeFixture fixture;
  TreeWriter tree(fixture.encoder, fixture.metadata);
  constexpr std::size_t kEntries = 9'000;
  const auto entry_of = [](std::size_t number) {
    TreeEntry entry;
    entry.path = format("{:05}", number) + std::string(4'000, 'a');
    return entry;
  };
  for (std::size_t i = 0; i < kEntries; ++i) ASSERT_TRUE(tree.add(entry_of(i)));
  const TreeRootId root = tree.finish().value();
  const auto bytes =
      fixture.chunks().read(ChunkKind::tree_node, root.id, kMetadataChunkBytesMax).value();
  EXPECT_EQ(decode_tree_node(*bytes).value().level, 2U);
  const Walked walked = walk(fixture, root);
  ASSERT_EQ(walked.paths.size(), kEntries);
  EXPECT_EQ(walked.paths.back(), entry_of(kEntries - 1).path);
}

TEST(TreeWriter, EntryThatNoReaderWouldAcceptIsUsage) {
  StoredTreeFixture fixture;
  TreeWriter tree(fixture.encoder, fixture.metadata);
  TreeEntry entry = StoredTreeFixture::entry_of(1);
  entry.path = "../x";
  const Status added = tree.add(entry);
  ASSERT_EQ(code_of(added), ErrorCode::usage);
  EXPECT_THAT(added.error().message(), HasSubstr("../x"));
}

TEST(TreeWriterDeathTest, EntriesOutOfOrderAreABug) {
  StoredTreeFixture fixture;
  TreeWriter tree(fixture.encoder, fixture.metadata);
  ASSERT_TRUE(tree.add(StoredTreeFixture::entry_of(2)));
  EXPECT_DEATH(static_cast<void>(tree.add(StoredTreeFixture::entry_of(1))), "entry_less");
}

TEST(WalkTree, FailureOfTheVisitorEndsIt) {
  StoredTreeFixture fixture;
  const TreeRootId root = fixture.write_tree(3);
  int visits = 0;
  const Status walked = walk_tree(fixture.chunks(), root, [&](const TreeEntry&) -> Status {
    ++visits;
    return Error(ErrorCode::interrupted, "enough");
  });
  EXPECT_EQ(code_of(walked), ErrorCode::interrupted);
  EXPECT_EQ(visits, 1);
}

TEST(WalkTree, MissingLeafEndsItUnlessDamageIsTolerated) {
  StoredTreeFixture fixture;
  const ChunkId sound = fixture.store_leaf_of({StoredTreeFixture::entry_of(5)});
  ChunkId missing;
  missing.bytes[0] = std::byte{1};
  const TreeRootId root{fixture.store_node_of(1, {{missing, 1}, {sound, 1}}), ChunkKind::tree_node};
  EXPECT_EQ(code_of(walk(fixture, root).status), ErrorCode::corrupt);
  const Walked walked = walk_past_damage(fixture, root);
  EXPECT_TRUE(walked.status);
  EXPECT_THAT(walked.paths, ElementsAre("base/5/5"));
  EXPECT_THAT(walked.damage, ElementsAre(HasSubstr("no pack holds it")));
}

TEST(WalkTree, InvalidLeafIsDamage) {
  StoredTreeFixture fixture;
  const TreeRootId root{fixture.store(ChunkKind::tree_leaf, bytes_of("no leaf")),
                        ChunkKind::tree_leaf};
  EXPECT_EQ(code_of(walk(fixture, root).status), ErrorCode::corrupt);
  EXPECT_EQ(walk_past_damage(fixture, root).damage.size(), 1U);
}

TEST(WalkTree, InvalidNodeIsDamage) {
  StoredTreeFixture fixture;
  const TreeRootId root{fixture.store(ChunkKind::tree_node, bytes_of("no node")),
                        ChunkKind::tree_node};
  EXPECT_EQ(code_of(walk(fixture, root).status), ErrorCode::corrupt);
}

TEST(WalkTree, LeavesOutOfOrderAreDamageAndNotVisited) {
  StoredTreeFixture fixture;
  const ChunkId later = fixture.store_leaf_of({StoredTreeFixture::entry_of(2)});
  const ChunkId earlier = fixture.store_leaf_of({StoredTreeFixture::entry_of(1)});
  const TreeRootId root{fixture.store_node_of(1, {{later, 1}, {earlier, 1}}), ChunkKind::tree_node};
  const Walked walked = walk_past_damage(fixture, root);
  EXPECT_THAT(walked.paths, ElementsAre("base/5/2"));
  EXPECT_THAT(walked.damage, ElementsAre("tree: leaves are not in order"));
}

TEST(WalkTree, LeafWithAnotherNumberOfEntriesThanItsNodeSaysIsDamage) {
  StoredTreeFixture fixture;
  const ChunkId leaf = fixture.store_leaf_of({StoredTreeFixture::entry_of(1)});
  const TreeRootId root{fixture.store_node_of(1, {{leaf, 2}}), ChunkKind::tree_node};
  EXPECT_EQ(code_of(walk(fixture, root).status), ErrorCode::corrupt);
}

TEST(WalkTree, NodeWithAnotherNumberOfEntriesThanItsParentSaysIsDamage) {
  StoredTreeFixture fixture;
  const ChunkId leaf = fixture.store_leaf_of({StoredTreeFixture::entry_of(1)});
  const ChunkId node = fixture.store_node_of(1, {{leaf, 1}});
  const TreeRootId root{fixture.store_node_of(2, {{node, 2}}), ChunkKind::tree_node};
  EXPECT_THAT(walk_past_damage(fixture, root).damage,
              ElementsAre("tree: two nodes disagree on the entries"));
}

TEST(WalkTree, NodeAtTheWrongLevelIsDamage) {
  StoredTreeFixture fixture;
  const ChunkId leaf = fixture.store_leaf_of({StoredTreeFixture::entry_of(1)});
  const ChunkId node = fixture.store_node_of(1, {{leaf, 1}});
  const TreeRootId root{fixture.store_node_of(3, {{node, 1}}), ChunkKind::tree_node};
  EXPECT_THAT(walk_past_damage(fixture, root).damage,
              ElementsAre("tree: a node is at the wrong level"));
}

// Eight levels of nodes that name the same two nodes each would be walked 2^8 times, with wider
// ones 4096^8 times.
TEST(WalkTree, NodesThatNameTheSameNodesOverAndOverAreWalkedOnce) {
  StoredTreeFixture fixture;
  ChunkId missing;
  missing.bytes[0] = std::byte{1};
  ChunkId other = missing;
  other.bytes[1] = std::byte{1};
  ChunkId left = fixture.store_node_of(1, {{missing, 1}, {other, 1}});
  ChunkId right = fixture.store_node_of(1, {{other, 1}, {missing, 1}});
  for (std::uint8_t level = 2; level <= kTreeLevelsMax; ++level) {
    const std::uint64_t entries = 1ULL << (level - 1U);
    const ChunkId next = fixture.store_node_of(level, {{left, entries}, {right, entries}});
    right = fixture.store_node_of(level, {{right, entries}, {left, entries}});
    left = next;
  }
  const Walked walked = walk_past_damage(fixture, {left, ChunkKind::tree_node});
  EXPECT_TRUE(walked.status);
  EXPECT_LT(walked.damage.size(), 40U);
}

// A file of `leaves` leaves in pages of 1 KiB, all holes but the leaves named; each of those has
// its own chunk ids.
struct MapFixture : StoredTreeFixture {
  static ChunkId id_of(std::uint64_t leaf, std::uint64_t region) {
    ByteWriter out;
    out.u64(leaf + 1);
    out.u64(region + 1);
    out.zeros(16);
    return {ByteReader(out.view()).array<32>()};
  }

  TreeEntry write_map(std::uint64_t size_bytes, const std::vector<std::uint64_t>& with_data) {
    TreeEntry entry = entry_of(1);
    entry.size_bytes = size_bytes;
    entry.page_size_bytes = 1024;
    const FileShape shape{size_bytes, 1024, cluster.parameters.chunk_pages};
    std::vector<ChunkId> leaf_ids(shape.leaves());
    for (const std::uint64_t leaf : with_data) {
      std::vector<ChunkId> regions((shape.leaf_pages(leaf) + shape.chunk_pages - 1) /
                                   shape.chunk_pages);
      for (std::size_t i = 0; i < regions.size(); i += 2) regions[i] = id_of(leaf, i);
      leaf_ids[leaf] = store_leaf(plain_leaf(regions, shape, leaf), encoder, metadata).value();
    }
    HAUL_ASSERT(finish_map(std::move(leaf_ids), entry, encoder, metadata).has_value());
    return entry;
  }
  static bool is_hole(const MapLeaf& leaf) {
    return leaf.chunks.empty() && leaf.extents.front().chunk == Extent::kHole;
  }
};

constexpr std::uint64_t kLeafBytes = 512 * 1024;

TEST(FileShape, IsCountedInPagesRegionsAndLeaves) {
  const FileShape shape{kLeafBytes + 8 * 1024 + 1, 1024, 8};
  EXPECT_EQ(shape.region_bytes(), 8U * 1024);
  EXPECT_EQ(shape.leaf_bytes(), kLeafBytes);
  EXPECT_EQ(shape.regions(), 64U + 2);
  EXPECT_EQ(shape.leaves(), 2U);
  EXPECT_EQ(shape.leaf_size(0), kLeafBytes);
  EXPECT_EQ(shape.leaf_size(1), 8U * 1024 + 1);
  EXPECT_EQ(shape.leaf_pages(0), 512U);
  EXPECT_EQ(shape.leaf_pages(1), 9U);
}

TEST(FileShape, IsInlinedUpToFourRegions) {
  EXPECT_TRUE((FileShape{4 * 8 * 1024, 1024, 8}).inlined());
  EXPECT_FALSE((FileShape{4 * 8 * 1024 + 1, 1024, 8}).inlined());
}

struct MapOfSizeCase {
  std::string name;
  std::uint64_t size_bytes;
  std::vector<std::uint64_t> with_data;
};

void PrintTo(const MapOfSizeCase& value, std::ostream* out) { *out << value.name; }

class MapOfSize : public ::testing::TestWithParam<MapOfSizeCase> {};

TEST_P(MapOfSize, EveryLeafComesBackAndHolesStayHoles) {
  const MapOfSizeCase& map = GetParam();
  MapFixture fixture;
  const TreeEntry entry = fixture.write_map(map.size_bytes, map.with_data);
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  const std::set<std::uint64_t> with_data(map.with_data.begin(), map.with_data.end());
  std::uint64_t pages = 0;
  for (std::uint64_t number = 0; number < reader.shape().leaves(); ++number) {
    const auto leaf = reader.read_leaf(number);
    ASSERT_TRUE(leaf) << number << ": " << leaf.error().message();
    pages += leaf->pages();
    if (with_data.contains(number)) {
      ASSERT_EQ(leaf->region_digest(0, 8), MapFixture::id_of(number, 0)) << number;
    } else {
      ASSERT_TRUE(MapFixture::is_hole(*leaf)) << number;
    }
  }
  EXPECT_EQ(pages, page_count(map.size_bytes, 1024));
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, MapOfSize,
    ::testing::Values(
        MapOfSizeCase{"one_leaf", 40'000, {0}}, MapOfSizeCase{"one_leaf_of_holes", 40'000, {}},
        MapOfSizeCase{"two_leaves", kLeafBytes + 1, {0, 1}},
        MapOfSizeCase{"hole_then_data", 3 * kLeafBytes, {2}},
        MapOfSizeCase{"all_holes", 10 * kLeafBytes, {}},
        MapOfSizeCase{"one_full_node", 4'096 * kLeafBytes, {0, 4'095}},
        MapOfSizeCase{"two_nodes", 4'096 * kLeafBytes + 1, {0, 4'096}},
        MapOfSizeCase{"nodes_of_holes", 3 * 4'096 * kLeafBytes + 77, {4'096 * 2 + 5, 4'096 * 3}}),
    [](const auto& size) { return size.param.name; });

TEST(FileMap, LeavesAreReadInAnyOrder) {
  MapFixture fixture;
  const std::vector<std::uint64_t> with_data{0, 5, 4'095, 4'096, 8'191, 8'200};
  const TreeEntry entry = fixture.write_map(8'201 * kLeafBytes, with_data);
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  for (const std::uint64_t leaf : {8'200U, 0U, 4'096U, 5U, 8'191U, 4'095U, 8'200U}) {
    EXPECT_EQ(reader.read_leaf(leaf).value().region_digest(0, 8), MapFixture::id_of(leaf, 0))
        << leaf;
  }
  EXPECT_TRUE(MapFixture::is_hole(reader.read_leaf(4'000).value()));
}

// A hostile entry may state any size; what it costs to open it must not depend on that.
TEST(FileMap, LargestFileOfHolesOpensAtOnce) {
  StoredTreeFixture fixture;
  TreeEntry entry = StoredTreeFixture::entry_of(1);
  entry.size_bytes = 1ULL << 44;
  entry.page_size_bytes = 1024;
  entry.content = ContentKind::map;
  entry.ids.resize(1);
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  EXPECT_EQ(reader.shape().leaves(), 1ULL << 25);
  EXPECT_TRUE(MapFixture::is_hole(reader.read_leaf((1ULL << 25) - 1).value()));
}

TEST(FileMap, NodeThatDoesNotFitTheSizeIsCorrupt) {
  for (const std::uint64_t leaves : {2U, 4U}) {
    MapFixture fixture;
    TreeEntry entry = fixture.write_map(3 * kLeafBytes, {0, 1, 2});
    entry.size_bytes = leaves * kLeafBytes;
    const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
    EXPECT_EQ(code_of(reader.read_leaf(0)), ErrorCode::corrupt) << leaves;
  }
}

TEST(FileMap, LeafThatDoesNotFitTheSizeIsCorrupt) {
  MapFixture fixture;
  TreeEntry entry = fixture.write_map(2 * kLeafBytes, {0, 1});
  entry.size_bytes -= 1024;
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  EXPECT_TRUE(reader.read_leaf(0));
  EXPECT_EQ(code_of(reader.read_leaf(1)), ErrorCode::corrupt);
}

TEST(FileMap, LeafInThePlaceOfANodeIsCorrupt) {
  MapFixture fixture;
  TreeEntry entry = fixture.write_map(kLeafBytes, {0});
  entry.size_bytes = 2 * kLeafBytes;
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  EXPECT_EQ(code_of(reader.read_leaf(0)), ErrorCode::corrupt);
}

TEST(FileMap, MissingNodeIsCorrupt) {
  MapFixture fixture;
  TreeEntry entry = fixture.write_map(2 * kLeafBytes, {0});
  entry.ids[0].bytes[0] ^= std::byte{1};
  const auto reader = FileMapReader::open(fixture.chunks(), entry).value();
  EXPECT_EQ(code_of(reader.read_leaf(0)), ErrorCode::corrupt);
}

TEST(FileMap, InlinedContentYieldsALeaf) {
  StoredTreeFixture fixture;
  TreeEntry entry = StoredTreeFixture::entry_of(1);
  entry.size_bytes = 20 * 1024 + 1;
  entry.page_size_bytes = 1024;
  entry.content = ContentKind::inlined;
  entry.ids = {MapFixture::id_of(0, 0), ChunkId{}, MapFixture::id_of(0, 2)};
  const MapLeaf leaf = FileMapReader::open(fixture.chunks(), entry).value().read_leaf(0).value();
  EXPECT_EQ(leaf.pages(), 21U);
  EXPECT_EQ(leaf.chunks.size(), 2U);
  EXPECT_EQ(leaf.extents, (std::vector<Extent>{{0, 0, 8}, {Extent::kHole, 0, 8}, {1, 0, 5}}));
}

TEST(FileMap, EmptyFileHasNoLeaves) {
  StoredTreeFixture fixture;
  const TreeEntry entry = StoredTreeFixture::entry_of(1);
  EXPECT_EQ(FileMapReader::open(fixture.chunks(), entry).value().shape().leaves(), 0U);
}

}  // namespace
}  // namespace haul::repository
