// What a leaf of a file is put together from, and the bytes that have to be written for it.
//
// Units:    sizes and offsets are bytes; a leaf covers up to 512 pages of the file's page size.
// Memory:   the caller brings the leaf's memory.
// Threads:  functions over values; read_whole() blocks on the repository.
// Errors:   corrupt (a chunk that cannot be read, or that is shorter than what is drawn from it),
//           io.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/postgres/crc32c.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"

namespace haul::restore {

struct LeafShape {
  std::uint64_t size_bytes = 0;
  std::uint32_t page_size_bytes = 0;
  std::uint32_t chunk_pages = 0;

  std::uint32_t chunk_bytes() const { return chunk_pages * page_size_bytes; }  // at most
};

LeafShape leaf_shape(const repository::FileShape& file, std::uint64_t leaf);

// Part of a chunk, and its place in the leaf.
struct ChunkTarget {
  std::size_t extent = 0;  // its number in the leaf
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t chunk_offset = 0;

  bool operator==(const ChunkTarget&) const = default;
};

// A chunk, and everything that a leaf draws from it.
struct ChunkUse {
  repository::ChunkId id;
  std::vector<ChunkTarget> targets;

  std::uint64_t drawn_bytes() const;
  // The bytes of the chunk stand in the leaf as they are, and nowhere else.
  bool is_whole(std::uint64_t chunk_bytes) const;
};

// One per chunk that the leaf draws on, in the order of its chunk table.
std::vector<ChunkUse> chunk_uses(const repository::MapLeaf& leaf, const LeafShape& shape);
// `corrupt` when the chunk is shorter than what is drawn from it.
Status copy_chunk(const ChunkUse& use, ByteSpan chunk, MutableByteSpan leaf);
// Zeros for every hole. `extents` has the CRC of each extent, of which those of holes are set.
void fill_holes(const repository::MapLeaf& leaf, const LeafShape& shape, MutableByteSpan into,
                std::vector<postgres::Crc32cPiece>& extents);

struct ByteRange {
  std::uint64_t offset = 0;  // within the leaf
  std::uint64_t size_bytes = 0;

  bool operator==(const ByteRange&) const = default;
};

// Adds a range, rounded outwards for direct writes; they come in order.
void add_range(const ByteRange& range, std::vector<ByteRange>& ranges);

// What has to be written so that holes stay holes: ranges rounded outwards for direct writes, apart
// from each other. The last one may reach past the end of the leaf.
std::vector<ByteRange> written_ranges(const repository::MapLeaf& leaf, const LeafShape& shape);

// The CRC of so many zeros, without visiting them.
postgres::Crc32cPiece crc32c_of_zeros(std::uint64_t size_bytes);

// A whole file; `corrupt` when it is larger than `size_max_bytes`.
Result<std::vector<std::byte>> read_whole(repository::ChunkReader& chunks,
                                          const repository::TreeEntry& entry,
                                          std::uint64_t size_max_bytes);

}  // namespace haul::restore
