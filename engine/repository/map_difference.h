// What has changed from one tree to another, file by file, and how much of the chunks that the maps
// draw on they use.
//
// Both trees are walked side by side. Where a leaf of a file has changed, a page counts as changed
// unless it lies at the same place, in a region of the same digest, or has the same tag: pages that
// only moved to another chunk have not changed.
//
// Units:    pages are of the file's page size.
// Memory:   one leaf of the trees and of the maps, besides that of the chunk reader.
// Threads:  one owner at a time.
// Errors:   those of the chunk reader, and the visitor's; damage is no error but a finding, and
//           what it hides counts as changed.
// Format:   docs/format.md, "Maps" and "Trees".
#pragma once

#include <functional>
#include <optional>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/repository/tree_store.h"

namespace haul::repository {

struct FileDifference {
  enum class Kind { changed, added, removed };

  Kind kind = Kind::changed;
  TreeEntry entry;                      // of a removed file as it was
  std::uint64_t size_before_bytes = 0;  // of an added file 0
  std::uint64_t changed_pages = 0;      // of a removed file 0
};

// Sums over all leaves.
struct MapUse {
  std::uint64_t leaves = 0;
  std::uint64_t pages = 0;           // that lie in chunks, each as often as a file has it
  std::uint64_t gathered_pages = 0;  // of these, not at the place that a whole region gives them
  std::uint64_t chunks = 0;          // that a leaf draws on, once per leaf
  std::uint64_t chunk_pages = 0;     // of these, used or not

  bool operator==(const MapUse&) const = default;
};

class TreeComparison {
 public:
  using Visitor = std::function<Status(const FileDifference&)>;

  // Both outlive the comparison.
  TreeComparison(ChunkReader& chunks, Findings& findings)
      : chunks_(&chunks), findings_(&findings) {}

  // Files alone, no directories and links; without `before` all are added.
  Status run(const std::optional<TreeRootId>& before, const TreeRootId& after,
             const Visitor& visit);

  // Of the maps of `after`.
  const MapUse& use() const { return use_; }

 private:
  class Leaf;

  static Result<std::optional<TreeEntry>> next_file(TreeCursor& cursor);
  Status compare(const TreeEntry* before, const TreeEntry& after, const Visitor& visit);
  // `before` is null where no page can be compared.
  Result<std::uint64_t> changed_pages(const FileMapReader* before, Leaf& after,
                                      std::uint64_t number);
  // Nothing where it is damaged.
  Result<std::optional<Leaf>> read_leaf(const FileMapReader& map, std::uint64_t number);
  Status note_use(Leaf& leaf);

  ChunkReader* chunks_;
  Findings* findings_;
  MapUse use_;
};

}  // namespace haul::repository
