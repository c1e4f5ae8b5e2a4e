#include "engine/restore/leaf_comparison.h"

#include <algorithm>
#include <cstring>

#include "compress/digest.h"

namespace haul::restore {

using repository::ChunkKind;
using repository::Digest;
using repository::Extent;
using repository::Identity;
using repository::MapLeaf;

namespace {

std::size_t page_bytes(const LeafShape& shape, std::size_t page) {
  const std::uint64_t offset = std::uint64_t{page} * shape.page_size_bytes;
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(shape.page_size_bytes, shape.size_bytes - offset));
}

class Comparison {
 public:
  Comparison(const Identity& identity, const MapLeaf& map, const LeafShape& shape,
             MutableByteSpan leaf)
      : identity_(identity), map_(map), shape_(shape), leaf_(leaf) {
    const std::size_t pages = repository::page_count(shape.size_bytes, shape.page_size_bytes);
    result_.pages.assign(pages, PageState::kept);
    result_.tags.assign(pages, 0);
    digests_.resize(shape.chunk_pages);
  }

  LeafComparison run() {
    const std::size_t pages = result_.pages.size();
    for (std::size_t first = 0; first < pages; first += shape_.chunk_pages) {
      compare_region(first, std::min<std::size_t>(first + shape_.chunk_pages, pages));
    }
    decide_holes();
    return std::move(result_);
  }

 private:
  void compare_region(std::size_t first, std::size_t end) {
    const std::uint64_t begin = std::uint64_t{first} * shape_.page_size_bytes;
    const MutableByteSpan bytes = leaf_.subspan(
        begin, std::min(std::uint64_t{end} * shape_.page_size_bytes, shape_.size_bytes) - begin);
    const auto expected = map_.region_digest(first / shape_.chunk_pages, shape_.chunk_pages);
    // What is all zeros has no digest of its own.
    if (expected && expected->is_zero() && compress::is_zero(bytes)) return;
    const std::span digests(digests_.data(), end - first);
    identity_.page_digests(bytes, shape_.page_size_bytes, digests);
    if (expected && *expected == identity_.chunk_id(ChunkKind::data, shape_.page_size_bytes,
                                                    bytes.size(), digests)) {
      return;
    }
    for (std::size_t page = first; page < end; ++page) {
      result_.pages[page] = PageState::undecided;
      result_.tags[page] = digests[page - first].tag();
    }
  }

  void decide_holes() {
    std::size_t page = 0;
    for (const Extent& extent : map_.extents) {
      for (std::size_t i = 0; i < extent.pages; ++i, ++page) {
        if (extent.chunk == Extent::kHole && result_.pages[page] == PageState::undecided) {
          decide_hole(page);
        }
      }
    }
  }

  void decide_hole(std::size_t page) {
    const MutableByteSpan bytes =
        leaf_.subspan(page * shape_.page_size_bytes, page_bytes(shape_, page));
    const bool is_hole = compress::is_zero(bytes);
    if (!is_hole) std::ranges::fill(bytes, std::byte{0});
    result_.pages[page] = is_hole ? PageState::kept : PageState::rewritten;
  }

  const Identity& identity_;
  const MapLeaf& map_;
  const LeafShape& shape_;
  const MutableByteSpan leaf_;
  LeafComparison result_;
  std::vector<Digest> digests_;
};

}  // namespace

bool LeafComparison::is_kept() const {
  return std::ranges::all_of(pages, [](PageState state) { return state == PageState::kept; });
}

LeafComparison compare_regions(const Identity& identity, const MapLeaf& map, const LeafShape& shape,
                               MutableByteSpan leaf) {
  return Comparison(identity, map, shape, leaf).run();
}

LeafComparison compare_nothing(const MapLeaf& map, MutableByteSpan leaf) {
  std::ranges::fill(leaf, std::byte{0});
  LeafComparison result;
  result.pages.assign(map.pages(), PageState::rewritten);
  result.tags.assign(map.pages(), 0);
  return result;
}

bool is_drawn_on(const ChunkUse& use, const LeafShape& shape, const LeafComparison& comparison) {
  return std::ranges::any_of(use.targets, [&](const ChunkTarget& target) {
    const std::size_t first = target.offset / shape.page_size_bytes;
    const std::size_t pages = repository::page_count(target.size_bytes, shape.page_size_bytes);
    return std::ranges::any_of(std::span(comparison.pages).subspan(first, pages),
                               [](PageState state) { return state != PageState::kept; });
  });
}

ChunkUse needed_part(const ChunkUse& use, const LeafShape& shape,
                     std::span<const std::uint64_t> chunk_tags, LeafComparison& comparison) {
  ChunkUse needed{use.id, {}};
  for (const ChunkTarget& target : use.targets) {
    const std::size_t pages = repository::page_count(target.size_bytes, shape.page_size_bytes);
    bool continues = false;  // the page before is needed as well
    for (std::size_t i = 0; i < pages; ++i) {
      const std::uint64_t within = std::uint64_t{i} * shape.page_size_bytes;
      const std::size_t page = (target.offset + within) / shape.page_size_bytes;
      const std::size_t in_chunk = (target.chunk_offset + within) / shape.page_size_bytes;
      PageState& state = comparison.pages[page];
      if (state == PageState::undecided) {
        const bool is_equal =
            in_chunk < chunk_tags.size() && chunk_tags[in_chunk] == comparison.tags[page];
        state = is_equal ? PageState::kept : PageState::rewritten;
      }
      const bool is_needed = state == PageState::rewritten;
      if (is_needed && continues) {
        needed.targets.back().size_bytes += page_bytes(shape, page);
      } else if (is_needed) {
        needed.targets.push_back({target.extent, target.offset + within, page_bytes(shape, page),
                                  target.chunk_offset + within});
      }
      continues = is_needed;
    }
  }
  return needed;
}

std::vector<ByteRange> rewritten_ranges(const LeafComparison& comparison, const LeafShape& shape) {
  std::vector<ByteRange> ranges;
  for (std::size_t page = 0; page < comparison.pages.size(); ++page) {
    if (comparison.pages[page] != PageState::rewritten) continue;
    add_range({std::uint64_t{page} * shape.page_size_bytes, page_bytes(shape, page)}, ranges);
  }
  return ranges;
}

std::uint64_t kept_bytes(const LeafComparison& comparison, const LeafShape& shape) {
  std::uint64_t kept = 0;
  for (std::size_t page = 0; page < comparison.pages.size(); ++page) {
    if (comparison.pages[page] == PageState::kept) kept += page_bytes(shape, page);
  }
  return kept;
}

}  // namespace haul::restore
