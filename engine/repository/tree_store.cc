#include "engine/repository/tree_store.h"

#include <utility>

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

Error corrupt(std::string_view what) { return Error(ErrorCode::corrupt, format("tree: {}", what)); }

}  // namespace

TreeCursor::TreeCursor(ChunkReader& chunks, const TreeRootId& root, DamageVisitor on_damage)
    : chunks_(&chunks), on_damage_(std::move(on_damage)) {
  if (!root.id.is_zero()) root_ = root;
}

Result<std::optional<TreeEntry>> TreeCursor::next() {
  while (next_entry_ == leaf_.size()) {
    Status entered = ok();
    if (root_) {
      const TreeRootId root = *std::exchange(root_, std::nullopt);
      entered = enter(root.id, root.kind, {});
    } else if (open_.empty()) {
      return std::nullopt;
    } else {
      entered = enter_next_child();
    }
    if (entered) continue;
    if (!on_damage_ || entered.error().code() != ErrorCode::corrupt) return entered.error();
    HAUL_TRY(on_damage_(entered.error()));
  }
  return std::move(leaf_[next_entry_++]);
}

Status TreeCursor::enter_next_child() {
  OpenNode& parent = open_.back();
  if (parent.next_child == parent.node.children.size()) {
    open_.pop_back();
    return ok();
  }
  const TreeChild child = parent.node.children[parent.next_child++];
  const auto below = static_cast<std::uint8_t>(parent.node.level - 1);
  return enter(child.id, below == 0 ? ChunkKind::tree_leaf : ChunkKind::tree_node,
               {child.entries, below});
}

Status TreeCursor::enter(const ChunkId& id, ChunkKind kind, const Expected& expected) {
  if (kind == ChunkKind::tree_node) {
    open_.push_back({HAUL_TRY(read_node(id, expected)), 0});
    return ok();
  }
  std::vector<TreeEntry> entries = HAUL_TRY(read_leaf(id, expected));
  // Across leaves too, or a hostile tree could name a path twice.
  if (last_ && !entry_less(*last_, entries.front())) return corrupt("leaves are not in order");
  last_ = entries.back();
  leaf_ = std::move(entries);
  next_entry_ = 0;
  return ok();
}

Result<std::vector<TreeEntry>> TreeCursor::read_leaf(const ChunkId& id, const Expected& expected) {
  const ChunkBytes bytes =
      HAUL_TRY(chunks_->read(ChunkKind::tree_leaf, id, kMetadataChunkBytesMax));
  auto entries = HAUL_TRY(decode_tree_leaf(*bytes, chunks_->cluster().parameters.chunk_pages));
  if (expected.entries && entries.size() != *expected.entries) {
    return corrupt("a node and its leaf disagree on the entries");
  }
  return entries;
}

Result<TreeNode> TreeCursor::read_node(const ChunkId& id, const Expected& expected) {
  // With damage tolerated, nodes that name the same nodes over and over would never end.
  if (!nodes_seen_.insert(id).second) return corrupt("a node occurs twice");
  const ChunkBytes bytes =
      HAUL_TRY(chunks_->read(ChunkKind::tree_node, id, kMetadataChunkBytesMax));
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

Status walk_tree(ChunkReader& chunks, const TreeRootId& root, const EntryVisitor& visit,
                 const DamageVisitor& on_damage) {
  TreeCursor cursor(chunks, root, on_damage);
  while (const auto entry = HAUL_TRY(cursor.next())) HAUL_TRY(visit(*entry));
  return ok();
}

}  // namespace haul::repository
