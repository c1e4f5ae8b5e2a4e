#include "engine/repository/tree_store.h"

#include <set>

#include "base/format.h"

namespace haul::repository {

namespace {

// A node of 20 KiB over some 16 MiB of entries: trees stay flat, and a change rewrites little.
constexpr std::size_t kChildrenMax = 512;

}  // namespace

Status TreeWriter::add(const TreeEntry& entry) {
  HAUL_ASSERT(!last_ || entry_less(*last_, entry));
  Status valid = check_entry(entry, encoder_->cluster().parameters.chunk_pages);
  if (!valid) return Error(ErrorCode::usage, std::move(valid).take_error().message());
  encode_entry(leaf_, entry);
  ++leaf_entries_;
  last_ = entry;
  if (ends_leaf(entry, leaf_.size())) return end_leaf();
  return ok();
}

Status TreeWriter::end_leaf() {
  if (leaf_entries_ == 0) return ok();
  TreeChild child;
  child.id = HAUL_TRY(encoder_->store_metadata(ChunkKind::tree_leaf, leaf_.view(), *metadata_));
  child.entries = leaf_entries_;
  leaf_.clear();
  leaf_entries_ = 0;
  return add_child(0, child);
}

Status TreeWriter::add_child(std::size_t level, const TreeChild& child) {
  if (levels_.size() == level) levels_.emplace_back();
  levels_[level].push_back(child);
  if (levels_[level].size() < kChildrenMax) return ok();
  return end_node(level);
}

Status TreeWriter::end_node(std::size_t level) {
  TreeChild node;
  for (const TreeChild& child : levels_[level]) node.entries += child.entries;
  node.id = HAUL_TRY(encoder_->store_metadata(
      ChunkKind::tree_node, encode_tree_node(static_cast<std::uint8_t>(level + 1), levels_[level]),
      *metadata_));
  levels_[level].clear();
  return add_child(level + 1, node);
}

Result<TreeRootId> TreeWriter::finish() {
  HAUL_TRY(end_leaf());
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const bool top = level + 1 == levels_.size();
    if (top && levels_[level].size() == 1) {
      return TreeRootId{levels_[level][0].id,
                        level == 0 ? ChunkKind::tree_leaf : ChunkKind::tree_node};
    }
    if (!levels_[level].empty()) HAUL_TRY(end_node(level));
  }
  HAUL_ASSERT(levels_.empty());
  return TreeRootId{};
}

namespace {

// What is known about a part before it is read; nothing about the root.
struct Expected {
  std::optional<std::uint64_t> entries;
  std::optional<std::uint8_t> level;
};

class Walk {
 public:
  Walk(ChunkReader& chunks, const EntryVisitor& visit, const DamageVisitor& on_damage)
      : chunks_(chunks), visit_(visit), on_damage_(on_damage) {}

  Status leaf(const ChunkId& id, const Expected& expected);
  Status node(const ChunkId& id, const Expected& expected);

 private:
  Result<std::vector<TreeEntry>> read_leaf(const ChunkId& id, const Expected& expected);
  Result<TreeNode> read_node(const ChunkId& id, const Expected& expected);
  Status damaged(const Error& error) const;

  ChunkReader& chunks_;
  const EntryVisitor& visit_;
  const DamageVisitor& on_damage_;
  std::optional<TreeEntry> last_;
  std::set<ChunkId> nodes_seen_;
};

Error corrupt(std::string_view what) { return Error(ErrorCode::corrupt, format("tree: {}", what)); }

Status Walk::damaged(const Error& error) const {
  if (!on_damage_ || error.code() != ErrorCode::corrupt) return error;
  return on_damage_(error);
}

Result<std::vector<TreeEntry>> Walk::read_leaf(const ChunkId& id, const Expected& expected) {
  const ChunkBytes bytes = HAUL_TRY(chunks_.read(ChunkKind::tree_leaf, id, kMetadataChunkBytesMax));
  auto entries = HAUL_TRY(decode_tree_leaf(*bytes, chunks_.cluster().parameters.chunk_pages));
  if (expected.entries && entries.size() != *expected.entries) {
    return corrupt("a node and its leaf disagree on the entries");
  }
  return entries;
}

Status Walk::leaf(const ChunkId& id, const Expected& expected) {
  auto entries = read_leaf(id, expected);
  if (!entries) return damaged(entries.error());
  // Across leaves too, or a hostile tree could name a path twice.
  if (last_ && !entry_less(*last_, entries->front())) {
    return damaged(corrupt("leaves are not in order"));
  }
  for (const TreeEntry& entry : *entries) HAUL_TRY(visit_(entry));
  last_ = std::move(entries->back());
  return ok();
}

Result<TreeNode> Walk::read_node(const ChunkId& id, const Expected& expected) {
  // With damage tolerated, nodes that name the same nodes over and over would never end.
  if (!nodes_seen_.insert(id).second) return corrupt("a node occurs twice");
  const ChunkBytes bytes = HAUL_TRY(chunks_.read(ChunkKind::tree_node, id, kMetadataChunkBytesMax));
  TreeNode node = HAUL_TRY(decode_tree_node(*bytes));
  if (expected.level && node.level != *expected.level) {
    return corrupt("a node is at the wrong level");
  }
  std::uint64_t entries = 0;
  for (const TreeChild& child : node.children) entries += child.entries;
  if (expected.entries && entries != *expected.entries) {
    return corrupt("two nodes disagree on the entries");
  }
  return node;
}

Status Walk::node(const ChunkId& id, const Expected& expected) {
  const auto node = read_node(id, expected);
  if (!node) return damaged(node.error());
  const auto below = static_cast<std::uint8_t>(node->level - 1);
  for (const TreeChild& child : node->children) {
    const Expected of_child{child.entries, below};
    HAUL_TRY(below == 0 ? leaf(child.id, of_child) : this->node(child.id, of_child));
  }
  return ok();
}

}  // namespace

Status walk_tree(ChunkReader& chunks, const TreeRootId& root, const EntryVisitor& visit,
                 const DamageVisitor& on_damage) {
  if (root.id.is_zero()) return ok();
  Walk walk(chunks, visit, on_damage);
  return root.kind == ChunkKind::tree_leaf ? walk.leaf(root.id, {}) : walk.node(root.id, {});
}

}  // namespace haul::repository
