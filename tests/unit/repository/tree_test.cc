#include "engine/repository/tree.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "base/format.h"
#include "base/random.h"
#include "tests/support/file_content.h"

namespace haul::repository {
namespace {

using support::code_of;

constexpr std::uint32_t kChunkPages = 8;

bool before(std::string_view left, std::string_view right) {
  return compare_paths(left, right) < 0 && compare_paths(right, left) > 0;
}

TEST(ComparePaths, NumbersCompareAsNumbers) {
  EXPECT_TRUE(before("16384", "16385"));
  EXPECT_TRUE(before("9", "10"));
  EXPECT_TRUE(before("16384.2", "16384.10"));
  EXPECT_TRUE(before("base/5/2", "base/10/1"));
  EXPECT_TRUE(before("a9b", "a10a"));
}

TEST(ComparePaths, NumbersBeyondAnyIntegerCompareAsNumbers) {
  EXPECT_TRUE(before(std::string(40, '9'), "1" + std::string(40, '0')));
}

TEST(ComparePaths, EverythingElseComparesByByte) {
  EXPECT_TRUE(before("a", "b"));
  EXPECT_TRUE(before("B", "a"));
  EXPECT_TRUE(before("a", "\xC3\xA4"));
  EXPECT_TRUE(before("PG_VERSION", "base"));
}

TEST(ComparePaths, DirectoryComesBeforeItsContentAndThatBeforeItsSiblings) {
  EXPECT_TRUE(before("base", "base/1"));
  EXPECT_TRUE(before("base/1", "base.x"));
  EXPECT_TRUE(before("base/1", "base1"));
}

TEST(ComparePaths, LeadingZerosDecideLast) {
  EXPECT_TRUE(before("a01", "a1"));
  EXPECT_TRUE(before("a01b", "a1c"));
  EXPECT_TRUE(before("a1b", "a01c"));
  EXPECT_TRUE(before("0", "00") || before("00", "0"));
}

TEST(ComparePaths, OnlyEqualPathsAreEqual) {
  EXPECT_EQ(compare_paths("base/1", "base/1"), std::strong_ordering::equal);
  EXPECT_EQ(compare_paths("", ""), std::strong_ordering::equal);
  EXPECT_TRUE(before("", "a"));
}

std::string random_path(SeededRandom& random) {
  static constexpr std::string_view kLetters = "a/.01_9b\xC3";
  std::string path;
  for (std::uint64_t i = random.next() % 7; i > 0; --i) {
    path += kLetters[random.next() % kLetters.size()];
  }
  return path;
}

TEST(ComparePaths, IsATotalOrderOnRandomPaths) {
  SeededRandom random(1);
  std::vector<std::string> paths;
  for (int i = 0; i < 150; ++i) paths.push_back(random_path(random));
  for (const std::string& a : paths) {
    for (const std::string& b : paths) {
      ASSERT_EQ(compare_paths(a, b) == 0, a == b) << a << " " << b;
      ASSERT_EQ(compare_paths(a, b) < 0, compare_paths(b, a) > 0) << a << " " << b;
      for (const std::string& c : paths) {
        if (compare_paths(a, b) < 0 && compare_paths(b, c) < 0) {
          ASSERT_TRUE(compare_paths(a, c) < 0) << a << " " << b << " " << c;
        }
      }
    }
  }
}

TreeEntry file_entry(const std::string& path, std::uint64_t size_bytes = 0) {
  TreeEntry entry;
  entry.path = path;
  entry.mode = 0600;
  entry.user = 101;
  entry.group = 102;
  entry.size_bytes = size_bytes;
  entry.page_size_bytes = 1024;
  if (size_bytes == 0) return entry;
  entry.content = ContentKind::inlined;
  entry.ids.resize((page_count(size_bytes, 1024) + kChunkPages - 1) / kChunkPages);
  for (ChunkId& id : entry.ids) id.bytes.fill(std::byte{7});
  return entry;
}

std::vector<std::byte> leaf_of(const std::vector<TreeEntry>& entries) {
  ByteWriter out;
  for (const TreeEntry& entry : entries) encode_entry(out, entry);
  return std::move(out).take();
}

Result<std::vector<TreeEntry>> decode(const std::vector<TreeEntry>& entries) {
  return decode_tree_leaf(leaf_of(entries), kChunkPages);
}

TreeEntry map_entry(const std::string& path) {
  TreeEntry entry = file_entry(path, 100'000);
  entry.content = ContentKind::map;
  entry.ids.resize(1);
  return entry;
}

TreeEntry link_entry(const std::string& path) {
  TreeEntry entry = file_entry(path);
  entry.kind = EntryKind::link;
  entry.link_target = "/mnt/space";
  return entry;
}

TEST(TreeLeaf, EntriesOfEveryKindComeBack) {
  TreeEntry directory = file_entry("base");
  directory.kind = EntryKind::directory;
  TreeEntry configuration = file_entry("etc/postgresql/15/main/postgresql.conf", 1);
  configuration.root = TreeRoot::configuration;
  const std::vector<TreeEntry> entries{directory,
                                       file_entry("base/1", 32 * 1024),
                                       map_entry("base/2"),
                                       file_entry("base/3"),
                                       link_entry("pg_tblspc/16400"),
                                       configuration};
  EXPECT_EQ(decode(entries).value(), entries);
}

TEST(TreeLeaf, EmptyIsCorrupt) {
  EXPECT_EQ(code_of(decode_tree_leaf({}, kChunkPages)), ErrorCode::corrupt);
}

TEST(TreeLeaf, CutAnywhereIsCorrupt) {
  const std::size_t first = leaf_of({file_entry("a", 1)}).size();
  const auto sound = leaf_of({file_entry("a", 1), file_entry("b", 1)});
  for (std::size_t size = 0; size < sound.size(); ++size) {
    if (size == first) continue;  // a whole entry
    EXPECT_EQ(code_of(decode_tree_leaf(ByteSpan(sound).first(size), kChunkPages)),
              ErrorCode::corrupt)
        << size;
  }
}

TEST(TreeLeaf, EntriesOutOfOrderOrTwiceAreCorrupt) {
  EXPECT_EQ(code_of(decode({file_entry("b"), file_entry("a")})), ErrorCode::corrupt);
  EXPECT_EQ(code_of(decode({file_entry("a"), file_entry("a")})), ErrorCode::corrupt);
  EXPECT_TRUE(decode({file_entry("a"), file_entry("b")}));
}

TEST(TreeLeaf, RootsAreOrderedBeforePaths) {
  TreeEntry configuration = file_entry("a");
  configuration.root = TreeRoot::configuration;
  EXPECT_TRUE(decode({file_entry("b"), configuration}));
  EXPECT_EQ(code_of(decode({configuration, file_entry("b")})), ErrorCode::corrupt);
}

TEST(TreeEntry, PathThatLeavesTheRootIsCorrupt) {
  for (const std::string& path :
       {std::string(), std::string("/etc/passwd"), std::string(".."), std::string("../x"),
        std::string("a/../b"), std::string("a/./b"), std::string("a//b"), std::string("a/"),
        std::string("a\0b", 3), std::string(4'097, 'a')}) {
    EXPECT_EQ(code_of(decode({file_entry(path)})), ErrorCode::corrupt) << path;
  }
  EXPECT_TRUE(decode({file_entry(std::string(4'096, 'a'))}));
}

TEST(TreeEntry, LinkWithoutATargetOrATargetWithoutALinkIsCorrupt) {
  TreeEntry link = link_entry("a");
  link.link_target.clear();
  EXPECT_EQ(code_of(decode({link})), ErrorCode::corrupt);
  TreeEntry file = file_entry("a");
  file.link_target = "b";
  EXPECT_EQ(code_of(decode({file})), ErrorCode::corrupt);
}

TEST(TreeEntry, LinkTargetWithANulOrBeyondTheLimitIsCorrupt) {
  TreeEntry link = link_entry("a");
  link.link_target = std::string("a\0b", 3);
  EXPECT_EQ(code_of(decode({link})), ErrorCode::corrupt);
  link.link_target = std::string(4'097, 'a');
  EXPECT_EQ(code_of(decode({link})), ErrorCode::corrupt);
  link.link_target.pop_back();
  EXPECT_TRUE(decode({link}));
}

TEST(TreeEntry, ModeBeyondPermissionsIsCorrupt) {
  TreeEntry entry = file_entry("a");
  entry.mode = 07777;
  EXPECT_TRUE(decode({entry}));
  entry.mode = 010000;
  EXPECT_EQ(code_of(decode({entry})), ErrorCode::corrupt);
}

TEST(TreeEntry, PageSizeThatIsNoneIsCorrupt) {
  for (const std::uint32_t page_size : {0U, 512U, 1025U, 12'288U, 65'536U, 0x80000000U}) {
    TreeEntry entry = file_entry("a");
    entry.page_size_bytes = page_size;
    EXPECT_EQ(code_of(decode({entry})), ErrorCode::corrupt) << page_size;
  }
}

TEST(TreeEntry, SizeBeyondAnyFileIsCorrupt) {
  TreeEntry entry = map_entry("a");
  entry.size_bytes = 1ULL << 44;
  EXPECT_TRUE(decode({entry}));
  entry.size_bytes += 1;
  EXPECT_EQ(code_of(decode({entry})), ErrorCode::corrupt);
  entry.size_bytes = UINT64_MAX;
  EXPECT_EQ(code_of(decode({entry})), ErrorCode::corrupt);
}

TEST(TreeEntry, ContentThatTheSizeDoesNotCallForIsCorrupt) {
  const auto refused = [](const TreeEntry& entry) {
    return code_of(decode({entry})) == ErrorCode::corrupt;
  };
  TreeEntry entry = file_entry("a", 10'000);
  entry.ids.pop_back();
  EXPECT_TRUE(refused(entry)) << "an id is missing";
  entry = file_entry("a", 10'000);
  entry.ids.emplace_back();
  EXPECT_TRUE(refused(entry)) << "an id too many";
  EXPECT_TRUE(refused(file_entry("a", 33 * 1024))) << "more ids than are inlined";
  entry = file_entry("a", 1);
  entry.content = ContentKind::none;
  entry.ids.clear();
  EXPECT_TRUE(refused(entry)) << "bytes without content";
  entry = file_entry("a", 1);
  entry.size_bytes = 0;
  EXPECT_TRUE(refused(entry)) << "content without bytes";
  entry = map_entry("a");
  entry.ids.emplace_back();
  EXPECT_TRUE(refused(entry)) << "a map with two roots";
  entry = file_entry("a", 1);
  entry.kind = EntryKind::directory;
  EXPECT_TRUE(refused(entry)) << "a directory with content";
}

TEST(TreeEntry, UnknownRootKindOrContentIsCorrupt) {
  for (std::size_t field = 0; field < 3; ++field) {
    auto bytes = leaf_of({file_entry("a")});
    bytes[field] = std::byte{3};
    EXPECT_EQ(code_of(decode_tree_leaf(bytes, kChunkPages)), ErrorCode::corrupt) << field;
  }
}

TEST(TreeLeafCut, LeafNeverExceedsItsLimit) {
  TreeEntry largest = link_entry(std::string(4'096, 'a'));
  largest.link_target = std::string(4'096, 'b');
  const std::size_t largest_bytes = leaf_of({largest}).size();
  // Where a leaf still goes on, the largest entry fits.
  for (std::size_t bytes = 0; bytes <= kTreeLeafBytesMax; bytes += 100) {
    if (ends_leaf(file_entry("x"), bytes)) continue;
    EXPECT_LE(bytes + largest_bytes, kTreeLeafBytesMax);
  }
}

std::vector<TreeEntry> relation_entries(std::size_t count) {
  std::vector<TreeEntry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    entries.push_back(file_entry(format("base/16384/{}", 20'000 + 2 * i), 9'000));
  }
  return entries;
}

std::vector<std::vector<std::byte>> leaves_of(const std::vector<TreeEntry>& entries) {
  std::vector<std::vector<std::byte>> leaves;
  ByteWriter leaf;
  for (const TreeEntry& entry : entries) {
    encode_entry(leaf, entry);
    if (!ends_leaf(entry, leaf.size())) continue;
    leaves.emplace_back(leaf.view().begin(), leaf.view().end());
    leaf.clear();
  }
  if (leaf.size() > 0) leaves.emplace_back(leaf.view().begin(), leaf.view().end());
  return leaves;
}

TEST(TreeLeafCut, FewLeavesMeetTheUpperLimit) {
  const auto leaves = leaves_of(relation_entries(20'000));
  const auto forced = std::ranges::count_if(
      leaves, [](const auto& leaf) { return leaf.size() > kTreeLeafBytesMax - 16 * 1024; });
  EXPECT_GT(leaves.size(), 60U);
  EXPECT_LT(static_cast<std::size_t>(forced) * 10, leaves.size());
}

TEST(TreeLeafCut, OneNewEntryChangesFewLeaves) {
  const std::vector<TreeEntry> entries = relation_entries(20'000);
  const auto leaves = leaves_of(entries);
  const std::set<std::vector<std::byte>> known(leaves.begin(), leaves.end());
  std::size_t changed_most = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    std::vector<TreeEntry> more = entries;
    const std::size_t at = 37 + i * 499;
    more.insert(more.begin() + static_cast<std::ptrdiff_t>(at),
                file_entry(format("base/16384/{}", 20'000 + 2 * at - 1), 9'000));
    ASSERT_TRUE(std::ranges::is_sorted(more, entry_less));
    std::size_t changed = 0;
    for (const auto& leaf : leaves_of(more)) changed += known.contains(leaf) ? 0U : 1U;
    changed_most = std::max(changed_most, changed);
  }
  EXPECT_LE(changed_most, 6U);
}

std::vector<TreeChild> children(std::size_t count) {
  std::vector<TreeChild> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i].id.bytes[0] = static_cast<std::byte>(i);
    result[i].id.bytes[1] = static_cast<std::byte>(i >> 8U);
    result[i].id.bytes[2] = std::byte{1};
    result[i].entries = i + 1;
  }
  return result;
}

TEST(TreeNode, ComesBackAsItWas) {
  const TreeNode node = decode_tree_node(encode_tree_node(2, children(3))).value();
  EXPECT_EQ(node.level, 2U);
  ASSERT_EQ(node.children.size(), 3U);
  EXPECT_EQ(node.children[2].id, children(3)[2].id);
  EXPECT_EQ(node.children[2].entries, 3U);
}

TEST(TreeNode, LargestComesBackAndFitsAMetadataChunk) {
  const auto bytes = encode_tree_node(1, children(4'096));
  EXPECT_LE(bytes.size(), kMetadataChunkBytesMax);
  EXPECT_EQ(decode_tree_node(bytes).value().children.size(), 4'096U);
}

TEST(TreeNode, LevelOutOfRangeIsCorrupt) {
  auto bytes = encode_tree_node(kTreeLevelsMax, children(1));
  EXPECT_TRUE(decode_tree_node(bytes));
  bytes[0] = std::byte{kTreeLevelsMax + 1};
  EXPECT_EQ(code_of(decode_tree_node(bytes)), ErrorCode::corrupt);
  bytes[0] = std::byte{0};
  EXPECT_EQ(code_of(decode_tree_node(bytes)), ErrorCode::corrupt);
}

TEST(TreeNode, ReservedBytesCountOrLengthThatDoNotFitAreCorrupt) {
  const auto sound = encode_tree_node(1, children(2));
  for (const std::size_t offset : {1U, 2U, 3U, 4U, 5U, 7U}) {
    auto bytes = sound;
    bytes[offset] ^= std::byte{1};
    EXPECT_EQ(code_of(decode_tree_node(bytes)), ErrorCode::corrupt) << offset;
  }
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_EQ(code_of(decode_tree_node(ByteSpan(sound).first(size))), ErrorCode::corrupt) << size;
  }
}

TEST(TreeNode, WithoutChildrenIsCorrupt) {
  auto bytes = encode_tree_node(1, children(1));
  bytes[4] = std::byte{0};
  bytes.resize(8);
  EXPECT_EQ(code_of(decode_tree_node(bytes)), ErrorCode::corrupt);
}

TEST(TreeNode, MoreChildrenThanANodeHasIsCorrupt) {
  ByteWriter out;
  out.u32(1);
  out.u32(4'097);
  out.zeros(4'097 * 40);
  EXPECT_EQ(code_of(decode_tree_node(out.view())), ErrorCode::corrupt);
}

TEST(TreeNode, ChildThatOccursTwiceIsCorrupt) {
  std::vector<TreeChild> twice = children(3);
  twice[2].id = twice[0].id;
  EXPECT_EQ(code_of(decode_tree_node(encode_tree_node(1, twice))), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::repository
