#include "tests/support/stored_content.h"

#include <algorithm>
#include <cstring>

#include "engine/repository/file_map.h"

namespace haul::support {

Result<std::string> read_stored_file(repository::ChunkReader& chunks,
                                     const repository::TreeEntry& entry) {
  std::string content(entry.size_bytes, '\0');
  const auto map = HAUL_TRY(repository::FileMapReader::open(chunks, entry));
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    const repository::MapLeaf parts = HAUL_TRY(map.read_leaf(leaf));
    std::size_t at = leaf * map.shape().leaf_bytes();
    for (const repository::Extent& extent : parts.extents) {
      const std::size_t size = std::min<std::size_t>(
          std::size_t{extent.pages} * entry.page_size_bytes, content.size() - at);
      if (extent.chunk != repository::Extent::kHole) {
        const auto bytes = HAUL_TRY(
            chunks.read(repository::ChunkKind::data, parts.chunks[extent.chunk], 1U << 22));
        const std::size_t begin = std::size_t{extent.first_page} * entry.page_size_bytes;
        HAUL_ASSERT(begin + size <= bytes->size());
        std::memcpy(content.data() + at, bytes->data() + begin, size);
      }
      at += size;
    }
  }
  return content;
}

}  // namespace haul::support
