// Where each page of a file lies: leaves of 512 pages under nodes.
//
// A leaf lists the chunks it draws on, then extents in page order: so many pages of that chunk from
// that page on, or a hole of zeros. Per region (an aligned run of chunk_pages pages) it keeps the
// digest that a chunk of exactly that region has: where the region is one whole chunk this is the
// chunk's id, else it is stored, unless a backup that did not read all of the region left it open.
//
// Units:    pages of the file's page size; the last page of a file may be short.
// Memory:   one leaf: up to 512 chunk ids.
// Threads:  values, one owner at a time.
// Errors:   corrupt (bytes that are no valid leaf or node).
// Format:   docs/format.md, "Maps".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/repository/identity.h"

namespace haul::repository {

// A run of pages of one chunk, or of zeros.
struct Extent {
  static constexpr std::uint16_t kHole = 0xFFFF;

  std::uint16_t chunk = kHole;  // position in MapLeaf::chunks
  std::uint8_t first_page = 0;  // within the chunk
  std::uint8_t pages = 0;       // 1 to 255

  bool operator==(const Extent&) const = default;
};

struct MapLeaf {
  std::vector<ChunkId> chunks;
  std::vector<Extent> extents;
  // One per region of the leaf: nothing where the region is a hole or one whole chunk, or where its
  // digest is not known.
  std::vector<std::optional<Digest>> region_digests;

  std::uint32_t pages() const;
  // The region digest, derived where it is not stored; zero for a hole, nothing where it is not
  // known. Asserts that the region exists.
  std::optional<Digest> region_digest(std::size_t region, std::uint32_t chunk_pages) const;
  bool operator==(const MapLeaf&) const = default;
};

// Adds one region as the chunk `id`, or as a hole for the zero id. Regions come in order, all but
// the last one whole.
void append_region(MapLeaf& leaf, const ChunkId& id, std::uint32_t pages);

std::vector<std::byte> encode_map_leaf(const MapLeaf& leaf);
// Checks that the extents fit the chunk table and add up to `pages`.
Result<MapLeaf> decode_map_leaf(ByteSpan bytes, std::uint32_t pages, std::uint32_t chunk_pages);

// The ids of the level below; zero for a part that is all holes.
inline constexpr std::size_t kMapNodeFanout = 4096;
std::vector<std::byte> encode_map_node(std::span<const ChunkId> children);
Result<std::vector<ChunkId>> decode_map_node(ByteSpan bytes);

// How many leaves `size_bytes` take, and how many levels of nodes stand over them (0: the root is
// the leaf).
std::uint64_t map_leaves(std::uint64_t size_bytes, std::uint32_t page_size_bytes);
std::uint32_t map_depth(std::uint64_t leaves);

}  // namespace haul::repository
