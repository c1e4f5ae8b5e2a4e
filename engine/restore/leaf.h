// Puts a leaf of a file together from the chunks it draws on.
//
// Units:    sizes and offsets are bytes; a leaf covers up to 512 pages of the file's page size.
// Memory:   the caller brings the leaf's memory; a ChunkCache keeps at most kChunksMax decoded
//           chunks.
// Threads:  assemble_leaf() and a ChunkCache from any thread.
// Errors:   corrupt (a chunk that cannot be read, or that is shorter than what is drawn from it),
//           io.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/postgres/crc32c.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"

namespace haul::restore {

// Decoded chunks that several extents draw on. Base chunks are used once and pass by it.
class ChunkCache {
 public:
  static constexpr std::size_t kChunksMax = 64;

  explicit ChunkCache(repository::ChunkReader& chunks) : chunks_(&chunks) {}

  enum class Reuse { once, again };
  Result<repository::ChunkBytes> read(const repository::ChunkId& id, std::uint32_t size_max_bytes,
                                      Reuse reuse);

 private:
  using Recent = std::list<std::pair<repository::ChunkId, repository::ChunkBytes>>;

  repository::ChunkReader* const chunks_;
  std::mutex mutex_;  // guards both
  Recent recent_;     // most recently used first
  std::unordered_map<repository::ChunkId, Recent::iterator> found_;
};

struct LeafShape {
  std::uint64_t size_bytes = 0;
  std::uint32_t page_size_bytes = 0;
  std::uint32_t chunk_pages = 0;
};

LeafShape leaf_shape(const repository::FileShape& file, std::uint64_t leaf);

// Fills `into`, which has the leaf's size; holes become zeros.
Status assemble_leaf(const repository::MapLeaf& leaf, const LeafShape& shape, ChunkCache& chunks,
                     MutableByteSpan into);

struct ByteRange {
  std::uint64_t offset = 0;  // within the leaf
  std::uint64_t size_bytes = 0;

  bool operator==(const ByteRange&) const = default;
};

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
