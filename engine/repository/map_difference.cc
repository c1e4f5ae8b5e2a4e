#include "engine/repository/map_difference.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/repository/findings.h"

namespace haul::repository {

// A leaf, and what the lists of packs say of its chunks where that is asked for.
class TreeComparison::Leaf {
 public:
  struct Place {
    std::uint16_t chunk = Extent::kHole;
    std::uint8_t page = 0;
  };

  Leaf(MapLeaf map, ChunkReader& chunks, const FileShape& shape)
      : map_(std::move(map)), chunks_(&chunks), shape_(shape), found_(map_.chunks.size()) {
    for (const Extent& extent : map_.extents) {
      for (std::uint8_t i = 0; i < extent.pages; ++i) {
        places_.push_back({extent.chunk, static_cast<std::uint8_t>(extent.first_page + i)});
      }
    }
    for (std::size_t region = 0; region < map_.region_digests.size(); ++region) {
      digests_.push_back(map_.region_digest(region, shape_.chunk_pages));
    }
  }

  const MapLeaf& map() const { return map_; }
  std::uint32_t chunk_pages() const { return shape_.chunk_pages; }
  const std::vector<Place>& places() const { return places_; }
  bool is_hole(std::size_t page) const { return places_[page].chunk == Extent::kHole; }

  // The region of a page has the digest that it has in another leaf.
  bool shares_region(const Leaf& other, std::size_t page) const {
    const std::size_t region = page / shape_.chunk_pages;
    return digests_[region] && digests_[region] == other.digests_[region];
  }
  // Whether a page that both have is another, going by places and tags.
  Result<bool> differs(Leaf& other, std::size_t page) {
    if (is_hole(page) || other.is_hole(page)) return is_hole(page) != other.is_hole(page);
    if (places_[page].page == other.places_[page].page && chunk_of(page) == other.chunk_of(page)) {
      return false;
    }
    const auto mine = HAUL_TRY(tag(page));
    return !mine || mine != HAUL_TRY(other.tag(page));
  }

  // So many pages does a chunk have; nothing where no pack has it.
  Result<std::optional<std::uint64_t>> pages_of_chunk(std::size_t chunk) {
    const Found found = HAUL_TRY(find(chunk));
    if (!found) return std::nullopt;
    return std::uint64_t{found->chunk().tags.size()};
  }

 private:
  using Found = std::optional<StoredChunk>;

  const ChunkId& chunk_of(std::size_t page) const { return map_.chunks[places_[page].chunk]; }
  // Nothing where no pack has the page's chunk.
  Result<std::optional<std::uint64_t>> tag(std::size_t page) {
    const Found found = HAUL_TRY(find(places_[page].chunk));
    if (!found || places_[page].page >= found->chunk().tags.size()) return std::nullopt;
    return found->chunk().tags[places_[page].page];
  }
  Result<Found> find(std::size_t chunk) {
    if (!found_[chunk]) {
      const auto bytes_max = static_cast<std::uint32_t>(shape_.region_bytes());
      found_[chunk].emplace(HAUL_TRY(chunks_->find(map_.chunks[chunk], bytes_max)));
    }
    return *found_[chunk];
  }

  MapLeaf map_;
  ChunkReader* chunks_;
  FileShape shape_;
  std::vector<Place> places_;                   // by page
  std::vector<std::optional<Digest>> digests_;  // by region
  std::vector<std::optional<Found>> found_;     // by chunk, as far as it was asked for
};

Result<std::optional<TreeEntry>> TreeComparison::next_file(TreeCursor& cursor) {
  for (;;) {
    auto entry = HAUL_TRY(cursor.next());
    if (!entry || entry->kind == EntryKind::file) return entry;
  }
}

Status TreeComparison::run(const std::optional<TreeRootId>& before, const TreeRootId& after,
                           const Visitor& visit) {
  const DamageVisitor note_damage = [this](const Error& damage) -> Status {
    findings_->add(damage.message());
    return ok();
  };
  TreeCursor old_files(*chunks_, before.value_or(TreeRootId{}), note_damage);
  TreeCursor new_files(*chunks_, after, note_damage);
  std::optional<TreeEntry> old_file = HAUL_TRY(next_file(old_files));
  std::optional<TreeEntry> new_file = HAUL_TRY(next_file(new_files));
  while (old_file || new_file) {
    if (!new_file || (old_file && entry_less(*old_file, *new_file))) {
      const std::uint64_t size_bytes = old_file->size_bytes;
      HAUL_TRY(visit({FileDifference::Kind::removed, *std::move(old_file), size_bytes, 0}));
      old_file = HAUL_TRY(next_file(old_files));
      continue;
    }
    const bool is_known = old_file && !entry_less(*new_file, *old_file);
    HAUL_TRY(compare(is_known ? &*old_file : nullptr, *new_file, visit));
    if (is_known) old_file = HAUL_TRY(next_file(old_files));
    new_file = HAUL_TRY(next_file(new_files));
  }
  return ok();
}

Status TreeComparison::compare(const TreeEntry* before, const TreeEntry& after,
                               const Visitor& visit) {
  const auto map = HAUL_TRY(FileMapReader::open(*chunks_, after));
  const bool same_pages = before != nullptr && before->page_size_bytes == after.page_size_bytes;
  const bool same = same_pages && before->size_bytes == after.size_bytes &&
                    before->content == after.content && before->ids == after.ids;
  std::optional<FileMapReader> old_map;
  if (same_pages && !same) old_map = HAUL_TRY(FileMapReader::open(*chunks_, *before));
  FileDifference difference;
  for (std::uint64_t number = 0; number < map.shape().leaves(); ++number) {
    auto leaf = HAUL_TRY(read_leaf(map, number));
    if (leaf) HAUL_TRY(note_use(*leaf));
    if (same) continue;
    difference.changed_pages +=
        leaf ? HAUL_TRY(changed_pages(old_map ? &*old_map : nullptr, *leaf, number))
             : map.shape().leaf_pages(number);
  }
  if (before != nullptr) difference.size_before_bytes = before->size_bytes;
  difference.kind = before == nullptr ? FileDifference::Kind::added : FileDifference::Kind::changed;
  // A file whose pages only moved has not changed.
  if (before != nullptr && difference.changed_pages == 0 &&
      before->size_bytes == after.size_bytes) {
    return ok();
  }
  difference.entry = after;
  return visit(difference);
}

Result<std::optional<TreeComparison::Leaf>> TreeComparison::read_leaf(const FileMapReader& map,
                                                                      std::uint64_t number) {
  auto leaf = map.read_leaf(number);
  if (leaf) return Leaf(std::move(leaf).take(), *chunks_, map.shape());
  if (!is_damage(leaf.error())) return std::move(leaf).take_error();
  findings_->add(leaf.error().message());
  return std::nullopt;
}

Result<std::uint64_t> TreeComparison::changed_pages(const FileMapReader* before, Leaf& after,
                                                    std::uint64_t number) {
  std::optional<Leaf> old;
  if (before != nullptr && number < before->shape().leaves()) {
    old = HAUL_TRY(read_leaf(*before, number));
  }
  if (old && old->map() == after.map()) return 0;
  std::uint64_t changed = 0;
  for (std::size_t page = 0; page < after.places().size(); ++page) {
    if (!old || page >= old->places().size()) {
      changed += after.is_hole(page) ? 0U : 1U;
    } else if (!after.shares_region(*old, page) && HAUL_TRY(after.differs(*old, page))) {
      ++changed;
    }
  }
  return changed;
}

Status TreeComparison::note_use(Leaf& leaf) {
  const MapLeaf& map = leaf.map();
  std::vector<std::uint64_t> lengths(map.chunks.size());
  std::size_t page = 0;
  for (const Extent& extent : map.extents) {
    const std::size_t in_region = page % leaf.chunk_pages();
    const std::size_t region = page / leaf.chunk_pages();
    page += extent.pages;
    if (extent.chunk == Extent::kHole) continue;
    use_.pages += extent.pages;
    if (extent.first_page != in_region) use_.gathered_pages += extent.pages;
    // A chunk of exactly that region: nothing to look up.
    const bool ends_region = page % leaf.chunk_pages() == 0 || page == leaf.places().size();
    if (in_region == 0 && extent.first_page == 0 && ends_region && !map.region_digests[region]) {
      lengths[extent.chunk] = extent.pages;
    }
  }
  for (std::size_t chunk = 0; chunk < lengths.size(); ++chunk) {
    if (lengths[chunk] == 0) {
      lengths[chunk] = HAUL_TRY(leaf.pages_of_chunk(chunk)).value_or(0);
    }
    use_.chunk_pages += lengths[chunk];
  }
  use_.chunks += lengths.size();
  ++use_.leaves;
  return ok();
}

}  // namespace haul::repository
