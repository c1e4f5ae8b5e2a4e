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

// Calls `visit` with every entry in order; stops at its first failure. The entries of a leaf are
// visited only after all of the leaf was found valid.
// A damaged leaf or node ends the walk with `corrupt` unless `on_damage` is given, which then
// decides.
using EntryVisitor = std::function<Status(const TreeEntry&)>;
using DamageVisitor = std::function<Status(const Error&)>;
Status walk_tree(ChunkReader& chunks, const TreeRootId& root, const EntryVisitor& visit,
                 const DamageVisitor& on_damage = {});

}  // namespace haul::repository
