#include "engine/repository/parent_map.h"

#include <optional>

namespace haul::repository {

Result<std::unique_ptr<ParentMap>> ParentMap::open(ChunkReader& chunks, const Index& index,
                                                   TreeEntry entry) {
  std::unique_ptr<ParentMap> parent(new ParentMap(chunks, index, std::move(entry)));
  parent->map_ = HAUL_TRY(FileMapReader::open(chunks, parent->entry_));
  return parent;
}

Result<ParentLeaf> ParentMap::read_leaf(std::uint64_t leaf) const {
  const FileShape& shape = map_->shape();
  const auto chunk_bytes_max = static_cast<std::uint32_t>(shape.region_bytes());
  ParentLeaf result;
  result.map = HAUL_TRY(map_->read_leaf(leaf));
  result.chunks.resize(result.map.chunks.size());
  std::vector<std::optional<StoredChunk>> stored(result.map.chunks.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    stored[i] = HAUL_TRY(chunks_->find(result.map.chunks[i], chunk_bytes_max));
    if (!stored[i]) continue;
    const PackReader& pack = *stored[i]->pack;
    result.chunks[i] = {pack.ref(), index_->is_reliable(pack.ref()),
                        static_cast<std::uint32_t>(stored[i]->chunk().pages())};
  }
  result.pages.reserve(result.map.pages());
  for (const Extent& extent : result.map.extents) {
    for (std::uint8_t i = 0; i < extent.pages; ++i) {
      ParentLeaf::Page page;
      if (extent.chunk != Extent::kHole) {
        page.chunk = extent.chunk;
        page.page = static_cast<std::uint8_t>(extent.first_page + i);
        const auto& chunk = stored[extent.chunk];
        // A chunk shorter than what is drawn from it is no good.
        if (!chunk || page.page >= chunk->chunk().tags.size()) {
          result.chunks[extent.chunk].usable = false;
        } else {
          page.tag = chunk->chunk().tags[page.page];
        }
      }
      result.pages.push_back(page);
    }
  }
  return result;
}

}  // namespace haul::repository
