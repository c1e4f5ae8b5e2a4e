// A file of an earlier backup, leaf by leaf, for a backup that is overlaid on it: where each page
// lies, its tag, and which of its chunks may be relied upon.
//
// Units:    pages are numbered within their leaf.
// Memory:   one leaf at a time, about 10 KiB, besides that of the chunk reader.
// Threads:  read_leaf() from any thread.
// Errors:   those of the chunk reader; corrupt.
// Format:   docs/format.md, "Maps".
#pragma once

#include <memory>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/repository/map.h"

namespace haul::repository {

struct ParentLeaf {
  struct Chunk {
    PackRef pack;
    bool usable = false;      // a backup may refer to it
    std::uint32_t pages = 0;  // that it has, whoever draws on them; of a usable chunk
  };
  struct Page {
    std::uint16_t chunk = Extent::kHole;  // position in map.chunks
    std::uint8_t page = 0;                // within the chunk
    std::uint64_t tag = 0;                // of a usable chunk
  };

  MapLeaf map;
  std::vector<Chunk> chunks;  // by map.chunks
  std::vector<Page> pages;

  bool is_hole(std::size_t page) const { return pages[page].chunk == Extent::kHole; }
  // A hole, or stored where a backup may refer to it.
  bool is_usable(std::size_t page) const {
    return is_hole(page) || chunks[pages[page].chunk].usable;
  }
};

class ParentMap {
 public:
  // `index` was opened after the lease of the backup that is being made was created: what it has
  // not listed is not usable. All outlive the map.
  static Result<std::unique_ptr<ParentMap>> open(ChunkReader& chunks, const Index& index,
                                                 TreeEntry entry);

  const TreeEntry& entry() const { return entry_; }
  const FileShape& shape() const { return map_->shape(); }
  // The id that stands for a leaf in the map; the file's content is one.
  Result<ChunkId> leaf_id(std::uint64_t leaf) const { return map_->leaf_id(leaf); }
  Result<ParentLeaf> read_leaf(std::uint64_t leaf) const;

 private:
  ParentMap(ChunkReader& chunks, const Index& index, TreeEntry entry)
      : chunks_(&chunks), index_(&index), entry_(std::move(entry)) {}

  ChunkReader* chunks_;
  const Index* index_;
  TreeEntry entry_;
  std::optional<FileMapReader> map_;  // of entry_
};

}  // namespace haul::repository
