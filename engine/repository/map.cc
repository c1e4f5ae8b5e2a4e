#include "engine/repository/map.h"

#include <algorithm>

#include "base/format.h"

namespace haul::repository {

namespace {

Error corrupt(std::string_view what) { return Error(ErrorCode::corrupt, format("map: {}", what)); }

// True when the extents from `first` on begin with one whole chunk that fills the region.
bool is_whole_chunk(const Extent& extent, std::uint32_t region_pages) {
  return extent.chunk != Extent::kHole && extent.first_page == 0 && extent.pages == region_pages;
}

}  // namespace

std::uint32_t MapLeaf::pages() const {
  std::uint32_t total = 0;
  for (const Extent& extent : extents) total += extent.pages;
  return total;
}

std::optional<Digest> MapLeaf::region_digest(std::size_t region, std::uint32_t chunk_pages) const {
  HAUL_ASSERT(region < region_digests.size());
  if (region_digests[region]) return *region_digests[region];
  const std::uint32_t begin = static_cast<std::uint32_t>(region) * chunk_pages;
  const std::uint32_t region_pages = std::min(chunk_pages, pages() - begin);
  std::uint32_t page = 0;
  bool only_holes = true;
  for (const Extent& extent : extents) {
    if (page == begin && is_whole_chunk(extent, region_pages)) return chunks[extent.chunk];
    if (page >= begin && page < begin + region_pages) {
      only_holes = only_holes && extent.chunk == Extent::kHole;
    }
    page += extent.pages;
  }
  if (only_holes) return Digest{};
  return std::nullopt;
}

void append_region(MapLeaf& leaf, const ChunkId& id, std::uint32_t pages) {
  HAUL_ASSERT(pages > 0 && pages <= kChunkPagesMax);
  Extent extent;
  extent.pages = static_cast<std::uint8_t>(pages);
  if (!id.is_zero()) {
    std::size_t chunk = 0;
    while (chunk < leaf.chunks.size() && leaf.chunks[chunk] != id) ++chunk;
    if (chunk == leaf.chunks.size()) leaf.chunks.push_back(id);
    extent.chunk = static_cast<std::uint16_t>(chunk);
  }
  leaf.extents.push_back(extent);
  leaf.region_digests.emplace_back();
}

std::vector<std::byte> encode_map_leaf(const MapLeaf& leaf) {
  HAUL_ASSERT(leaf.region_digests.size() <= kLeafPages / kChunkPagesMin);
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(leaf.pages()));
  out.u16(static_cast<std::uint16_t>(leaf.chunks.size()));
  out.u16(static_cast<std::uint16_t>(leaf.extents.size()));
  out.u16(static_cast<std::uint16_t>(leaf.region_digests.size()));
  std::uint64_t stored = 0;
  for (std::size_t i = 0; i < leaf.region_digests.size(); ++i) {
    if (leaf.region_digests[i]) stored |= 1ULL << i;
  }
  out.u64(stored);
  for (const ChunkId& id : leaf.chunks) out.bytes(id.bytes);
  for (const Extent& extent : leaf.extents) {
    out.u16(extent.chunk);
    out.u8(extent.first_page);
    out.u8(extent.pages);
  }
  for (const auto& digest : leaf.region_digests) {
    if (digest) out.bytes(digest->bytes);
  }
  return std::move(out).take();
}

namespace {

// Region by region: an extent never crosses into the next region, and holes have no digest.
Status check_regions(const MapLeaf& leaf, std::uint32_t pages, std::uint32_t chunk_pages) {
  std::size_t next = 0;
  for (std::size_t region = 0; region < leaf.region_digests.size(); ++region) {
    const std::uint32_t region_pages =
        std::min(chunk_pages, pages - static_cast<std::uint32_t>(region) * chunk_pages);
    std::uint32_t filled = 0;
    bool only_holes = true;
    while (filled < region_pages && next < leaf.extents.size()) {
      filled += leaf.extents[next].pages;
      only_holes = only_holes && leaf.extents[next].chunk == Extent::kHole;
      ++next;
    }
    if (filled != region_pages) return corrupt("extents do not fit the regions");
    const auto& digest = leaf.region_digests[region];
    if (digest && (only_holes || digest->is_zero())) return corrupt("a hole has a digest");
  }
  if (next != leaf.extents.size()) return corrupt("extents do not fit the regions");
  return ok();
}

}  // namespace

Result<MapLeaf> decode_map_leaf(ByteSpan bytes, std::uint32_t pages, std::uint32_t chunk_pages) {
  ByteReader in(bytes);
  MapLeaf leaf;
  const std::uint32_t stored_pages = in.u16();
  const std::size_t chunks = in.u16();
  const std::size_t extents = in.u16();
  const std::size_t regions = in.u16();
  const std::uint64_t stored_digests = in.u64();
  if (!in.ok() || stored_pages != pages || pages == 0 || pages > kLeafPages || extents > pages ||
      chunks > extents || regions != (pages + chunk_pages - 1) / chunk_pages ||
      (regions < 64 && stored_digests >> regions != 0)) {
    return corrupt("a leaf's counts are not valid");
  }
  for (std::size_t i = 0; i < chunks; ++i) {
    leaf.chunks.push_back(ChunkId{in.array<32>()});
    if (leaf.chunks.back().is_zero()) return corrupt("a chunk has no id");
  }
  for (std::size_t i = 0; i < extents; ++i) {
    Extent extent;
    extent.chunk = in.u16();
    extent.first_page = in.u8();
    extent.pages = in.u8();
    const bool valid =
        extent.pages > 0 && std::uint32_t{extent.first_page} + extent.pages <= chunk_pages &&
        (extent.chunk < chunks || (extent.chunk == Extent::kHole && extent.first_page == 0));
    if (!valid) return corrupt("an extent is not valid");
    leaf.extents.push_back(extent);
  }
  for (std::size_t i = 0; i < regions; ++i) {
    leaf.region_digests.emplace_back();
    if ((stored_digests >> i & 1U) != 0) leaf.region_digests.back() = Digest{in.array<32>()};
  }
  if (!in.finished()) return corrupt("a leaf's length is not valid");
  HAUL_TRY(check_regions(leaf, pages, chunk_pages));
  return leaf;
}

std::vector<std::byte> encode_map_node(std::span<const ChunkId> children) {
  HAUL_ASSERT(!children.empty() && children.size() <= kMapNodeFanout);
  ByteWriter out;
  out.u32(static_cast<std::uint32_t>(children.size()));
  out.bytes(std::as_bytes(children));
  return std::move(out).take();
}

Result<std::vector<ChunkId>> decode_map_node(ByteSpan bytes) {
  ByteReader in(bytes);
  const std::size_t count = in.u32();
  if (count == 0 || count > kMapNodeFanout || in.remaining() != count * sizeof(ChunkId)) {
    return corrupt("a node's length is not valid");
  }
  std::vector<ChunkId> children;
  children.reserve(count);
  for (std::size_t i = 0; i < count; ++i) children.push_back(ChunkId{in.array<32>()});
  return children;
}

std::uint64_t map_leaves(std::uint64_t size_bytes, std::uint32_t page_size_bytes) {
  return (page_count(size_bytes, page_size_bytes) + kLeafPages - 1) / kLeafPages;
}

std::uint32_t map_depth(std::uint64_t leaves) {
  std::uint32_t depth = 0;
  for (std::uint64_t nodes = leaves; nodes > 1;
       nodes = (nodes + kMapNodeFanout - 1) / kMapNodeFanout)
    ++depth;
  return depth;
}

}  // namespace haul::repository
