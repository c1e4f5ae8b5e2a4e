// Writes and reads the content of one file: inlined chunk ids or a map.
//
// Units:    region numbers count from 0; a region is chunk_pages pages; the last one may be short.
// Memory:   writer: 32 bytes per leaf of the file; reader: one node of 128 KiB per level.
// Threads:  read_leaf() from any thread; everything else one owner at a time.
// Errors:   those of the chunk writer and reader; corrupt.
// Format:   docs/format.md, "Maps".
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/map.h"
#include "engine/repository/tree.h"

namespace haul::repository {

// The geometry of a file of a given size.
struct FileShape {
  std::uint64_t size_bytes = 0;
  std::uint32_t page_size_bytes = 0;
  std::uint32_t chunk_pages = 0;

  std::uint64_t region_bytes() const { return std::uint64_t{page_size_bytes} * chunk_pages; }
  std::uint64_t leaf_bytes() const { return std::uint64_t{page_size_bytes} * kLeafPages; }
  std::uint64_t regions() const { return (size_bytes + region_bytes() - 1) / region_bytes(); }
  std::uint64_t leaves() const { return map_leaves(size_bytes, page_size_bytes); }
  std::size_t region_size(std::uint64_t region) const {
    return static_cast<std::size_t>(std::min(region_bytes(), size_bytes - region * region_bytes()));
  }
  bool inlined() const { return regions() <= kInlineChunksMax; }
  // Bytes and pages of one leaf: whole but for the last.
  std::uint64_t leaf_size(std::uint64_t leaf) const;
  std::uint32_t leaf_pages(std::uint64_t leaf) const;
};

// Builds the nodes over leaves that were stored in any order. `leaf_ids` has one id per leaf, zero
// for all holes. Fills content and ids of `entry`, whose size and page size are set.
Status finish_map(std::vector<ChunkId> leaf_ids, TreeEntry& entry, ChunkEncoder& encoder,
                  PackStream& metadata);

// A leaf whose regions are these chunks (zero: hole).
MapLeaf plain_leaf(std::span<const ChunkId> regions, const FileShape& shape, std::uint64_t leaf);
// The other way round; nothing when a region is made of several chunks.
std::optional<std::vector<ChunkId>> plain_regions(const MapLeaf& leaf, const FileShape& shape);
// Of a leaf of so many bytes, what lies in holes.
std::uint64_t hole_bytes(const MapLeaf& leaf, std::uint64_t size_bytes, const FileShape& shape);
// Stores a leaf; returns its id, zero when all are holes.
Result<ChunkId> store_leaf(const MapLeaf& leaf, ChunkEncoder& encoder, PackStream& metadata);

// The leaves of a file one after another. Inlined content yields leaves as well.
class FileMapReader {
 public:
  // `entry` is a file as a tree yields it. Both outlive the reader.
  static Result<FileMapReader> open(ChunkReader& chunks, const TreeEntry& entry);

  const FileShape& shape() const { return shape_; }
  // A leaf that is all holes has one extent per region and no chunks.
  Result<MapLeaf> read_leaf(std::uint64_t leaf) const;
  // The id of one; zero when it is all holes. Of content that is a map.
  Result<ChunkId> leaf_id(std::uint64_t leaf) const;

 private:
  // The node last read at one height over the leaves.
  struct CachedNode {
    std::uint64_t number = UINT64_MAX;  // among the nodes of its height
    std::vector<ChunkId> children;
  };
  struct NodeCache {
    std::mutex mutex;               // guards nodes
    std::vector<CachedNode> nodes;  // [0]: right above the leaves
  };

  FileMapReader(ChunkReader& chunks, const TreeEntry& entry);
  Status read_node(const ChunkId& id, std::size_t height, std::uint64_t number) const;

  ChunkReader* chunks_;
  const TreeEntry* entry_;
  FileShape shape_;
  std::unique_ptr<NodeCache> cache_;
};

}  // namespace haul::repository
