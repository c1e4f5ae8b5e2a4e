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

Status finish_map(std::vector<ChunkId> leaf_ids, TreeEntry& entry, ChunkEncoder& encoder, PackStream& metadata) {
  HAUL_ASSERT(leaf_ids.size() == map_leaves(entry.size_bytes, entry.page_size_bytes) && !leaf_ids.empty());
  std::vector<ChunkId> level = std::move(leaf_ids);
  while (level.size() > 1) {
    std::vector<ChunkId> above;
    for (std::size_t i = 0; i < level.size(); i += kMapNodeFanout) {
      const auto children = std::span(level).subspan(i, std::min(kMapNodeFanout, level.size() - i));
      const bool all_holes = std::ranges::all_of(children, &ChunkId::is_zero);
      above.push_back(all_holes ? ChunkId{}
                                : HAUL_TRY(encoder.store_metadata(ChunkKind::map_node, encode_map_node(children), metadata)));
    }
    level = std::move(above);
  }
  entry.content = ContentKind::map;
  entry.ids = std::move(level);
  return ok();
}

Result<ChunkId> store_leaf(std::span<const ChunkId> regions, const FileShape& shape, std::uint64_t leaf,
                           ChunkEncoder& encoder, PackStream& metadata) {
  if (std::ranges::all_of(regions, &ChunkId::is_zero)) return ChunkId{};
  MapLeaf content;
  std::uint32_t left = shape.leaf_pages(leaf);
  for (const ChunkId& id : regions) {
    const std::uint32_t pages = std::min(shape.chunk_pages, left);
    append_region(content, id, pages);
    left -= pages;
  }
  HAUL_ASSERT(left == 0);
  return encoder.store_metadata(ChunkKind::map_leaf, encode_map_leaf(content), metadata);
}

FileMapReader::FileMapReader(ChunkReader& chunks, const TreeEntry& entry)
    : chunks_(&chunks),
      entry_(&entry),
      shape_{entry.size_bytes, entry.page_size_bytes, chunks.cluster().parameters.chunk_pages} {}

Result<FileMapReader> FileMapReader::open(ChunkReader& chunks, const TreeEntry& entry) {
  FileMapReader reader(chunks, entry);
  if (entry.content != ContentKind::map) return reader;
  const std::uint64_t leaves = reader.shape_.leaves();
  HAUL_TRY(reader.read_nodes(entry.ids[0], map_depth(leaves)));
  if (reader.leaf_ids_.size() != leaves) {
    return Error(ErrorCode::corrupt, format("map of {} does not fit its size", entry.path));
  }
  return reader;
}

Status FileMapReader::read_nodes(const ChunkId& id, std::uint32_t depth) {
  const std::uint64_t wanted = shape_.leaves();
  if (depth == 0) {
    leaf_ids_.push_back(id);
    return ok();
  }
  if (id.is_zero()) {
    // A part that is all holes stands for as many leaves as lie beneath a full node, or are left.
    std::uint64_t beneath = 1;
    for (std::uint32_t i = 0; i < depth; ++i) beneath *= kMapNodeFanout;
    leaf_ids_.resize(std::min<std::uint64_t>(wanted, leaf_ids_.size() + beneath));
    return ok();
  }
  const ChunkBytes bytes = HAUL_TRY(chunks_->read(ChunkKind::map_node, id, kMetadataChunkBytesMax));
  for (const ChunkId& child : HAUL_TRY(decode_map_node(*bytes))) {
    if (leaf_ids_.size() >= wanted) {
      return Error(ErrorCode::corrupt, format("map of {} does not fit its size", entry_->path));
    }
    HAUL_TRY(read_nodes(child, depth - 1));
  }
  return ok();
}

Result<MapLeaf> FileMapReader::read_leaf(std::uint64_t leaf) {
  HAUL_ASSERT(leaf < shape_.leaves());
  const std::uint32_t pages = shape_.leaf_pages(leaf);
  const bool inlined = entry_->content == ContentKind::inlined;
  if (!inlined && !leaf_ids_[leaf].is_zero()) {
    const ChunkBytes bytes = HAUL_TRY(chunks_->read(ChunkKind::map_leaf, leaf_ids_[leaf], kMetadataChunkBytesMax));
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
