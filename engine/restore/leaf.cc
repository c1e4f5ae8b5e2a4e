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

Result<ChunkBytes> ChunkCache::read(const ChunkId& id, std::uint32_t size_max_bytes, Reuse reuse) {
  if (reuse == Reuse::once) return chunks_->read(ChunkKind::data, id, size_max_bytes);
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = found_.find(id); found != found_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
  }
  // Decoded outside the lock: two threads that miss at once both decode, and one copy is kept.
  ChunkBytes bytes = HAUL_TRY(chunks_->read(ChunkKind::data, id, size_max_bytes));
  const std::scoped_lock lock(mutex_);
  if (found_.contains(id)) return bytes;
  recent_.emplace_front(id, bytes);
  found_.emplace(id, recent_.begin());
  if (recent_.size() > kChunksMax) {
    found_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return bytes;
}

LeafShape leaf_shape(const repository::FileShape& file, std::uint64_t leaf) {
  return {file.leaf_size(leaf), file.page_size_bytes, file.chunk_pages};
}

namespace {

// Calls `visit(extent, offset, size)` for every extent; the last one ends with the leaf.
template <typename Visit>
Status for_each_extent(const MapLeaf& leaf, const LeafShape& shape, Visit visit) {
  std::uint64_t offset = 0;
  for (const Extent& extent : leaf.extents) {
    const std::uint64_t whole = std::uint64_t{extent.pages} * shape.page_size_bytes;
    const std::uint64_t size = std::min(whole, shape.size_bytes - offset);
    HAUL_TRY(visit(extent, offset, size));
    offset += size;
  }
  HAUL_ASSERT(offset == shape.size_bytes);
  return ok();
}

std::vector<std::uint32_t> count_uses(const MapLeaf& leaf) {
  std::vector<std::uint32_t> uses(leaf.chunks.size());
  for (const Extent& extent : leaf.extents) {
    if (extent.chunk != Extent::kHole) ++uses[extent.chunk];
  }
  return uses;
}

}  // namespace

Status assemble_leaf(const MapLeaf& leaf, const LeafShape& shape, ChunkCache& chunks,
                     MutableByteSpan into) {
  HAUL_ASSERT(into.size() == shape.size_bytes);
  const std::vector<std::uint32_t> uses = count_uses(leaf);
  const std::uint32_t chunk_size_max_bytes = shape.chunk_pages * shape.page_size_bytes;
  return for_each_extent(
      leaf, shape,
      [&](const Extent& extent, std::uint64_t offset, std::uint64_t size_bytes) -> Status {
        if (extent.chunk == Extent::kHole) {
          std::memset(into.data() + offset, 0, size_bytes);
          return ok();
        }
        const ChunkId& id = leaf.chunks[extent.chunk];
        // Part of a chunk: the rest of it is likely drawn on nearby.
        const bool once = uses[extent.chunk] == 1 && extent.first_page == 0;
        const ChunkBytes bytes = HAUL_TRY(chunks.read(
            id, chunk_size_max_bytes, once ? ChunkCache::Reuse::once : ChunkCache::Reuse::again));
        const std::uint64_t from = std::uint64_t{extent.first_page} * shape.page_size_bytes;
        if (from > bytes->size() || bytes->size() - from < size_bytes) {
          return Error(ErrorCode::corrupt,
                       format("chunk {} has {} bytes, {} are drawn from it",
                              to_hex(id.bytes).substr(0, 16), bytes->size(), from + size_bytes));
        }
        std::memcpy(into.data() + offset, bytes->data() + from, size_bytes);
        return ok();
      });
}

std::vector<ByteRange> written_ranges(const MapLeaf& leaf, const LeafShape& shape) {
  constexpr std::uint64_t kAlignment = io::kDirectAlignment;
  std::vector<ByteRange> ranges;
  const auto add = [&](const Extent& extent, std::uint64_t offset, std::uint64_t size) -> Status {
    if (extent.chunk == Extent::kHole) return ok();
    const std::uint64_t begin = offset / kAlignment * kAlignment;
    const std::uint64_t end = (offset + size + kAlignment - 1) / kAlignment * kAlignment;
    if (!ranges.empty() && ranges.back().offset + ranges.back().size_bytes >= begin) {
      ranges.back().size_bytes = end - ranges.back().offset;
    } else {
      ranges.push_back({begin, end - begin});
    }
    return ok();
  };
  const Status status = for_each_extent(leaf, shape, add);
  HAUL_ASSERT(status.has_value());
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
  ChunkCache cache(chunks);
  std::vector<std::byte> bytes(entry.size_bytes);
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    const LeafShape shape = leaf_shape(map.shape(), leaf);
    const MutableByteSpan part =
        MutableByteSpan(bytes).subspan(leaf * map.shape().leaf_bytes(), shape.size_bytes);
    HAUL_TRY(assemble_leaf(HAUL_TRY(map.read_leaf(leaf)), shape, cache, part));
  }
  return bytes;
}

}  // namespace haul::restore
