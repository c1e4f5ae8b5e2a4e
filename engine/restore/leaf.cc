#include "engine/restore/leaf.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"
#include "io/aligned_buffer.h"

namespace haul::restore {

using repository::ChunkBytes;
using repository::ChunkId;
using repository::ChunkKind;
using repository::Extent;
using repository::MapLeaf;

LeafShape leaf_shape(const repository::FileShape& file, std::uint64_t leaf) {
  return {file.leaf_size(leaf), file.page_size_bytes, file.chunk_pages};
}

namespace {

// Calls `visit(number, extent, offset, size)` for every extent; the last one ends with the leaf.
template <typename Visit>
void for_each_extent(const MapLeaf& leaf, const LeafShape& shape, Visit visit) {
  std::uint64_t offset = 0;
  for (std::size_t number = 0; number < leaf.extents.size(); ++number) {
    const Extent& extent = leaf.extents[number];
    const std::uint64_t whole = std::uint64_t{extent.pages} * shape.page_size_bytes;
    const std::uint64_t size = std::min(whole, shape.size_bytes - offset);
    visit(number, extent, offset, size);
    offset += size;
  }
  HAUL_ASSERT(offset == shape.size_bytes);
}

}  // namespace

std::uint64_t ChunkUse::drawn_bytes() const {
  std::uint64_t drawn = 0;
  for (const ChunkTarget& target : targets) drawn += target.size_bytes;
  return drawn;
}

bool ChunkUse::is_whole(std::uint64_t chunk_bytes) const {
  return targets.size() == 1 && targets[0].chunk_offset == 0 &&
         targets[0].size_bytes == chunk_bytes;
}

std::vector<ChunkUse> chunk_uses(const MapLeaf& leaf, const LeafShape& shape) {
  std::vector<ChunkUse> uses;
  uses.reserve(leaf.chunks.size());
  for (const ChunkId& id : leaf.chunks) uses.push_back({id, {}});
  for_each_extent(
      leaf, shape,
      [&](std::size_t number, const Extent& extent, std::uint64_t offset,
          std::uint64_t size_bytes) {
        if (extent.chunk == Extent::kHole) return;
        uses[extent.chunk].targets.push_back(
            {number, offset, size_bytes, std::uint64_t{extent.first_page} * shape.page_size_bytes});
      });
  std::erase_if(uses, [](const ChunkUse& use) { return use.targets.empty(); });
  return uses;
}

Status copy_chunk(const ChunkUse& use, ByteSpan chunk, MutableByteSpan leaf) {
  for (const ChunkTarget& target : use.targets) {
    if (target.chunk_offset > chunk.size() ||
        chunk.size() - target.chunk_offset < target.size_bytes) {
      return Error(ErrorCode::corrupt, format("chunk {} has {} bytes, {} are drawn from it",
                                              to_hex(use.id.bytes).substr(0, 16), chunk.size(),
                                              target.chunk_offset + target.size_bytes));
    }
    std::memcpy(leaf.data() + target.offset, chunk.data() + target.chunk_offset, target.size_bytes);
  }
  return ok();
}

void fill_holes(const MapLeaf& leaf, const LeafShape& shape, MutableByteSpan into,
                std::vector<postgres::Crc32cPiece>& extents) {
  for_each_extent(leaf, shape,
                  [&](std::size_t number, const Extent& extent, std::uint64_t offset,
                      std::uint64_t size_bytes) {
                    if (extent.chunk != Extent::kHole) return;
                    std::memset(into.data() + offset, 0, size_bytes);
                    extents[number] = crc32c_of_zeros(size_bytes);
                  });
}

void add_range(const ByteRange& range, std::vector<ByteRange>& ranges) {
  constexpr std::uint64_t kAlignment = io::kDirectAlignment;
  const std::uint64_t begin = range.offset / kAlignment * kAlignment;
  const std::uint64_t end = io::whole_blocks(range.offset + range.size_bytes);
  if (!ranges.empty() && ranges.back().offset + ranges.back().size_bytes >= begin) {
    ranges.back().size_bytes = end - ranges.back().offset;
  } else {
    ranges.push_back({begin, end - begin});
  }
}

std::vector<ByteRange> written_ranges(const MapLeaf& leaf, const LeafShape& shape) {
  std::vector<ByteRange> ranges;
  const auto add = [&](std::size_t, const Extent& extent, std::uint64_t offset,
                       std::uint64_t size) {
    if (extent.chunk != Extent::kHole) add_range({offset, size}, ranges);
  };
  for_each_extent(leaf, shape, add);
  return ranges;
}

postgres::Crc32cPiece crc32c_of_zeros(std::uint64_t size_bytes) {
  constexpr std::byte kZero[1]{};
  postgres::Crc32cPiece result;
  postgres::Crc32cPiece power{postgres::crc32c(kZero), 1};
  for (std::uint64_t left = size_bytes; left != 0; left >>= 1) {
    if ((left & 1) != 0) result = postgres::combine(result, power);
    power = postgres::combine(power, power);
  }
  return result;
}

Result<std::vector<std::byte>> read_whole(repository::ChunkReader& chunks,
                                          const repository::TreeEntry& entry,
                                          std::uint64_t size_max_bytes) {
  if (entry.size_bytes > size_max_bytes) {
    return Error(ErrorCode::corrupt, format("{} has {} bytes, at most {} make sense", entry.path,
                                            entry.size_bytes, size_max_bytes));
  }
  const auto map = HAUL_TRY(repository::FileMapReader::open(chunks, entry));
  std::vector<std::byte> bytes(entry.size_bytes);  // zeros, as holes are
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    const LeafShape shape = leaf_shape(map.shape(), leaf);
    const MutableByteSpan part =
        MutableByteSpan(bytes).subspan(leaf * map.shape().leaf_bytes(), shape.size_bytes);
    for (const ChunkUse& use : chunk_uses(HAUL_TRY(map.read_leaf(leaf)), shape)) {
      const ChunkBytes chunk =
          HAUL_TRY(chunks.read(ChunkKind::data, use.id, shape.chunk_pages * shape.page_size_bytes));
      HAUL_TRY(copy_chunk(use, *chunk, part));
    }
  }
  return bytes;
}

}  // namespace haul::restore
