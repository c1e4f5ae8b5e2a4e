// The list of files of a backup, in sorted leaves under nodes.
//
// Entries are sorted by path in natural order (digits compare as numbers), which puts the segments
// of a relation side by side; leaves are cut where the entry's own hash says so, so that an
// unchanged stretch of the list yields an unchanged leaf.
//
// Units:    sizes are bytes.
// Memory:   one leaf or node per level.
// Threads:  values, one owner at a time.
// Errors:   corrupt (bytes that are no valid leaf or node, paths that break the grammar or the
//           order).
// Format:   docs/format.md, "Trees".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/repository/identity.h"

namespace haul::repository {

// Where a path of the tree belongs.
enum class TreeRoot : std::uint8_t {
  data_directory = 0,  // relative to the data directory; tablespaces as pg_tblspc/<oid>/...
  configuration =
      1,  // a file from outside the data directory, by its absolute path without the leading slash
};

enum class EntryKind : std::uint8_t { file = 0, directory = 1, link = 2 };

// How an entry's bytes are found.
enum class ContentKind : std::uint8_t {
  none = 0,     // directory, link, empty file
  inlined = 1,  // up to kInlineChunksMax chunk ids, one per region; zero for a hole
  map = 2,      // one id: a leaf at depth 0, else a node
};
inline constexpr std::size_t kInlineChunksMax = 4;

struct TreeEntry {
  TreeRoot root = TreeRoot::data_directory;
  EntryKind kind = EntryKind::file;
  std::string path;
  std::uint32_t mode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t page_size_bytes = kMetadataPageSize;
  ContentKind content = ContentKind::none;
  std::vector<ChunkId> ids;
  std::string link_target;

  bool operator==(const TreeEntry&) const = default;
};

// Natural order: runs of digits compare as numbers, everything else by byte, '/' before all.
std::strong_ordering compare_paths(std::string_view left, std::string_view right);
// The order of entries: root, then path.
bool entry_less(const TreeEntry& left, const TreeEntry& right);

inline constexpr std::size_t kTreeLeafBytesMax = 64 * 1024;

// What every entry of a tree keeps to: a plain path, sizes in range, content that the size calls
// for. Nothing downstream checks again.
Status check_entry(const TreeEntry& entry, std::uint32_t chunk_pages);
// The entry passes check_entry().
void encode_entry(ByteWriter& out, const TreeEntry& entry);
// True when a leaf ends after this entry.
bool ends_leaf(const TreeEntry& entry, std::size_t leaf_bytes);

// Entries of one leaf, checked: paths, order, content against size.
Result<std::vector<TreeEntry>> decode_tree_leaf(ByteSpan bytes, std::uint32_t chunk_pages);

inline constexpr std::uint8_t kTreeLevelsMax = 8;

// What a node keeps of each child.
struct TreeChild {
  ChunkId id;
  std::uint64_t entries = 0;  // in all leaves beneath
};
std::vector<std::byte> encode_tree_node(std::uint8_t level, std::span<const TreeChild> children);
struct TreeNode {
  std::uint8_t level = 0;  // 1: the children are leaves; at most kTreeLevelsMax
  std::vector<TreeChild> children;
};
Result<TreeNode> decode_tree_node(ByteSpan bytes);

}  // namespace haul::repository
