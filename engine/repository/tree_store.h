// Writes a sorted list of entries as a tree, and walks a tree entry by entry.
//
// Units:    sizes are bytes.
// Memory:   one leaf and one node per level; a walk keeps the ids of all nodes.
// Threads:  one owner at a time.
// Errors:   those of the chunk writer and reader; corrupt.
// Format:   docs/format.md, "Trees".
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/tree.h"

namespace haul::repository {

// What a snapshot keeps of its tree. The zero id: no entries.
struct TreeRootId {
  ChunkId id;
  ChunkKind kind = ChunkKind::tree_leaf;  // or tree_node

  bool operator==(const TreeRootId&) const = default;
};

class TreeWriter {
 public:
  TreeWriter(ChunkEncoder& encoder, PackStream& metadata)
      : encoder_(&encoder), metadata_(&metadata) {}

  // Entries come in entry_less() order; asserted. `usage` for an entry that breaks the format.
  Status add(const TreeEntry& entry);
  Result<TreeRootId> finish();

 private:
  Status end_leaf();
  Status add_child(std::size_t level, const TreeChild& child);
  Status end_node(std::size_t level);

  ChunkEncoder* encoder_;
  PackStream* metadata_;
  ByteWriter leaf_;
  std::uint64_t leaf_entries_ = 0;
  std::optional<TreeEntry> last_;
  std::vector<std::vector<TreeChild>> levels_;  // [0]: nodes over leaves
};

using EntryVisitor = std::function<Status(const TreeEntry&)>;
using DamageVisitor = std::function<Status(const Error&)>;

// The entries of a tree one after another. Those of a leaf come only after all of the leaf was
// found valid. A damaged leaf or node is `corrupt` unless `on_damage` is given, which then decides.
class TreeCursor {
 public:
  // `chunks` outlives the cursor.
  TreeCursor(ChunkReader& chunks, const TreeRootId& root, DamageVisitor on_damage = {});

  // Nothing at the end. Not to be called again after a failure.
  Result<std::optional<TreeEntry>> next();

 private:
  // What is known about a part before it is read; nothing about the root.
  struct Expected {
    std::optional<std::uint64_t> entries;
    std::optional<std::uint8_t> level;
  };
  // A node of which not all children have been entered.
  struct OpenNode {
    TreeNode node;
    std::size_t next_child = 0;
  };

  Status enter(const ChunkId& id, ChunkKind kind, const Expected& expected);
  Status enter_next_child();
  Result<std::vector<TreeEntry>> read_leaf(const ChunkId& id, const Expected& expected);
  Result<TreeNode> read_node(const ChunkId& id, const Expected& expected);

  ChunkReader* chunks_;
  DamageVisitor on_damage_;
  std::optional<TreeRootId> root_;  // until it is entered
  std::vector<OpenNode> open_;      // from the root down
  std::vector<TreeEntry> leaf_;
  std::size_t next_entry_ = 0;  // of leaf_
  std::optional<TreeEntry> last_;
  std::set<ChunkId> nodes_seen_;
};

// Calls `visit` with every entry in order, as TreeCursor has them; stops at its first failure.
Status walk_tree(ChunkReader& chunks, const TreeRootId& root, const EntryVisitor& visit,
                 const DamageVisitor& on_damage = {});

}  // namespace haul::repository
