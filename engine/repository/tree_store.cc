#include "engine/repository/tree_store.h"

namespace haul::repository {

namespace {

// A node of 20 KiB over some 16 MiB of entries: trees stay flat, and a change rewrites little.
constexpr std::size_t kChildrenMax = 512;

}  // namespace

Status TreeWriter::add(const TreeEntry& entry) {
  HAUL_ASSERT(!last_ || entry_less(*last_, entry));
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
      ChunkKind::tree_node, encode_tree_node(static_cast<std::uint8_t>(level + 1), levels_[level]), *metadata_));
  levels_[level].clear();
  return add_child(level + 1, node);
}

Result<TreeRootId> TreeWriter::finish() {
  HAUL_TRY(end_leaf());
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    const bool top = level + 1 == levels_.size();
    if (top && levels_[level].size() == 1) {
      return TreeRootId{levels_[level][0].id, level == 0 ? ChunkKind::tree_leaf : ChunkKind::tree_node};
    }
    if (!levels_[level].empty()) HAUL_TRY(end_node(level));
  }
  HAUL_ASSERT(levels_.empty());
  return TreeRootId{};
}

namespace {

struct Walk {
  ChunkReader* chunks;
  const EntryVisitor* visit;
  const DamageVisitor* on_damage;
  std::optional<TreeEntry> last;

  Status damaged(const Error& error) const {
    if (!*on_damage || error.code() != ErrorCode::corrupt) return error;
    return (*on_damage)(error);
  }

  Status leaf(const ChunkId& id) {
    auto bytes = chunks->read(ChunkKind::tree_leaf, id, kMetadataChunkBytesMax);
    if (!bytes) return damaged(bytes.error());
    auto entries = decode_tree_leaf(**bytes, chunks->cluster().parameters.chunk_pages);
    if (!entries) return damaged(entries.error());
    for (TreeEntry& entry : *entries) {
      // Across leaves too, or a hostile tree could name a path twice.
      if (last && !entry_less(*last, entry)) return damaged(Error(ErrorCode::corrupt, "tree: leaves are not in order"));
      HAUL_TRY((*visit)(entry));
      last = std::move(entry);
    }
    return ok();
  }

  Status node(const ChunkId& id, std::optional<std::uint8_t> level) {
    auto bytes = chunks->read(ChunkKind::tree_node, id, kMetadataChunkBytesMax);
    if (!bytes) return damaged(bytes.error());
    auto parsed = decode_tree_node(**bytes);
    if (!parsed) return damaged(parsed.error());
    if (level && parsed->level != *level) return damaged(Error(ErrorCode::corrupt, "tree: a node is at the wrong level"));
    for (const TreeChild& child : parsed->children) {
      HAUL_TRY(parsed->level == 1 ? leaf(child.id) : node(child.id, static_cast<std::uint8_t>(parsed->level - 1)));
    }
    return ok();
  }
};

}  // namespace

Status walk_tree(ChunkReader& chunks, const TreeRootId& root, const EntryVisitor& visit, const DamageVisitor& on_damage) {
  if (root.id.is_zero()) return ok();
  Walk walk{&chunks, &visit, &on_damage, std::nullopt};
  return root.kind == ChunkKind::tree_leaf ? walk.leaf(root.id) : walk.node(root.id, std::nullopt);
}

}  // namespace haul::repository
