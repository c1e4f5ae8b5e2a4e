#include "engine/repository/file_map.h"

#include <algorithm>

#include "base/format.h"

namespace haul::repository {

std::uint64_t FileShape::leaf_size(std::uint64_t leaf) const {
  return std::min(leaf_bytes(), size_bytes - leaf * leaf_bytes());
}

std::uint32_t FileShape::leaf_pages(std::uint64_t leaf) const {
  return static_cast<std::uint32_t>(page_count(leaf_size(leaf), page_size_bytes));
}

Status finish_map(std::vector<ChunkId> leaf_ids, TreeEntry& entry, ChunkEncoder& encoder,
                  PackStream& metadata) {
  HAUL_ASSERT(leaf_ids.size() == map_leaves(entry.size_bytes, entry.page_size_bytes) &&
              !leaf_ids.empty());
  std::vector<ChunkId> level = std::move(leaf_ids);
  while (level.size() > 1) {
    std::vector<ChunkId> above;
    for (std::size_t i = 0; i < level.size(); i += kMapNodeFanout) {
      const auto children = std::span(level).subspan(i, std::min(kMapNodeFanout, level.size() - i));
      const bool all_holes = std::ranges::all_of(children, &ChunkId::is_zero);
      above.push_back(all_holes ? ChunkId{}
                                : HAUL_TRY(encoder.store_metadata(
                                      ChunkKind::map_node, encode_map_node(children), metadata)));
    }
    level = std::move(above);
  }
  entry.content = ContentKind::map;
  entry.ids = std::move(level);
  return ok();
}

MapLeaf plain_leaf(std::span<const ChunkId> regions, const FileShape& shape, std::uint64_t leaf) {
  MapLeaf content;
  std::uint32_t left = shape.leaf_pages(leaf);
  for (const ChunkId& id : regions) {
    const std::uint32_t pages = std::min(shape.chunk_pages, left);
    append_region(content, id, pages);
    left -= pages;
  }
  HAUL_ASSERT(left == 0);
  return content;
}

std::optional<std::vector<ChunkId>> plain_regions(const MapLeaf& leaf, const FileShape& shape) {
  std::vector<ChunkId> regions;
  std::uint32_t left = leaf.pages();
  for (const Extent& extent : leaf.extents) {
    const bool is_hole = extent.chunk == Extent::kHole;
    if (extent.pages != std::min(shape.chunk_pages, left) || extent.first_page != 0 ||
        leaf.region_digests[regions.size()]) {
      return std::nullopt;
    }
    regions.push_back(is_hole ? ChunkId{} : leaf.chunks[extent.chunk]);
    left -= extent.pages;
  }
  return regions;
}

std::uint64_t hole_bytes(const MapLeaf& leaf, std::uint64_t size_bytes, const FileShape& shape) {
  std::uint64_t holes = 0;
  std::uint64_t offset = 0;
  for (const Extent& extent : leaf.extents) {
    const std::uint64_t size = std::min<std::uint64_t>(
        std::uint64_t{extent.pages} * shape.page_size_bytes, size_bytes - offset);
    if (extent.chunk == Extent::kHole) holes += size;
    offset += size;
  }
  return holes;
}

Result<ChunkId> store_leaf(const MapLeaf& leaf, ChunkEncoder& encoder, PackStream& metadata) {
  if (leaf.chunks.empty()) return ChunkId{};
  return encoder.store_metadata(ChunkKind::map_leaf, encode_map_leaf(leaf), metadata);
}

namespace {

// The leaves beneath a full node of this height; 1 for a leaf itself. No file that a tree accepts
// has more than 3 levels.
std::uint64_t leaves_beneath(std::size_t height) {
  std::uint64_t leaves = 1;
  for (std::size_t i = 0; i < height; ++i) leaves *= kMapNodeFanout;
  return leaves;
}

}  // namespace

FileMapReader::FileMapReader(ChunkReader& chunks, const TreeEntry& entry)
    : chunks_(&chunks),
      entry_(&entry),
      shape_{entry.size_bytes, entry.page_size_bytes, chunks.cluster().parameters.chunk_pages},
      cache_(std::make_unique<NodeCache>()) {}

Result<FileMapReader> FileMapReader::open(ChunkReader& chunks, const TreeEntry& entry) {
  FileMapReader reader(chunks, entry);
  if (entry.content == ContentKind::map) {
    reader.cache_->nodes.resize(map_depth(reader.shape_.leaves()));
  }
  return reader;
}

// Down from the root, to the leaf's id or to a part that is all holes.
Result<ChunkId> FileMapReader::leaf_id(std::uint64_t leaf) const {
  const std::scoped_lock lock(cache_->mutex);
  ChunkId id = entry_->ids[0];
  for (std::size_t height = cache_->nodes.size(); height > 0 && !id.is_zero(); --height) {
    const std::uint64_t beneath = leaves_beneath(height);
    CachedNode& node = cache_->nodes[height - 1];
    if (node.number != leaf / beneath) HAUL_TRY(read_node(id, height, leaf / beneath));
    id = node.children[leaf % beneath / leaves_beneath(height - 1)];
  }
  return id;
}

// Every node is full but the last one of its height, so that a position alone leads to a leaf.
Status FileMapReader::read_node(const ChunkId& id, std::size_t height, std::uint64_t number) const {
  const std::uint64_t beneath_child = leaves_beneath(height - 1);
  const std::uint64_t left = shape_.leaves() - number * leaves_beneath(height);
  const std::uint64_t expected =
      std::min<std::uint64_t>(kMapNodeFanout, (left + beneath_child - 1) / beneath_child);
  const ChunkBytes bytes = HAUL_TRY(chunks_->read(ChunkKind::map_node, id, kMetadataChunkBytesMax));
  std::vector<ChunkId> children = HAUL_TRY(decode_map_node(*bytes));
  if (children.size() != expected) {
    return Error(ErrorCode::corrupt, format("map of {} does not fit its size", entry_->path));
  }
  cache_->nodes[height - 1] = {number, std::move(children)};
  return ok();
}

Result<MapLeaf> FileMapReader::read_leaf(std::uint64_t leaf) const {
  HAUL_ASSERT(leaf < shape_.leaves());
  const std::uint32_t pages = shape_.leaf_pages(leaf);
  const bool inlined = entry_->content == ContentKind::inlined;
  const ChunkId id = inlined ? ChunkId{} : HAUL_TRY(leaf_id(leaf));
  if (!id.is_zero()) {
    const ChunkBytes bytes =
        HAUL_TRY(chunks_->read(ChunkKind::map_leaf, id, kMetadataChunkBytesMax));
    return decode_map_leaf(*bytes, pages, shape_.chunk_pages);
  }
  MapLeaf result;
  const std::size_t first_region = leaf * (kLeafPages / shape_.chunk_pages);
  std::uint32_t left = pages;
  for (std::size_t region = 0; left > 0; ++region) {
    const std::uint32_t here = std::min(shape_.chunk_pages, left);
    append_region(result, inlined ? entry_->ids[first_region + region] : ChunkId{}, here);
    left -= here;
  }
  return result;
}

}  // namespace haul::repository
