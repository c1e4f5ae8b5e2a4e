#include "engine/repository/overlay.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace haul::repository {

namespace {

// A fifth: of a region that is stored whole at most so many pages have not changed, of a chunk that
// is given up at most so many are left.
constexpr std::size_t kRestPart = 5;
// A quiet leaf puts small chunks together, about one whole one's pages, when it has more than
// these.
constexpr std::size_t kSmallChunksMax = 8;

// Calls `visit(first, end)` for the pages of every region.
template <typename Visit>
void for_each_region(std::size_t pages, std::uint32_t chunk_pages, Visit visit) {
  for (std::size_t first = 0; first < pages; first += chunk_pages) {
    visit(first, std::min<std::size_t>(first + chunk_pages, pages));
  }
}

// What is left of each of the parent's chunks.
std::vector<std::vector<std::uint16_t>> live_pages(const ParentLeaf& parent,
                                                   std::span<const PageFate> fates) {
  std::vector<std::vector<std::uint16_t>> live(parent.chunks.size());
  const std::size_t pages = std::min(fates.size(), parent.pages.size());
  for (std::size_t page = 0; page < pages; ++page) {
    if (fates[page] == PageFate::kept && !parent.is_hole(page)) {
      live[parent.pages[page].chunk].push_back(static_cast<std::uint16_t>(page));
    }
  }
  return live;
}

std::vector<std::uint16_t> page_run(std::size_t first, std::size_t end) {
  std::vector<std::uint16_t> pages(end - first);
  std::iota(pages.begin(), pages.end(), static_cast<std::uint16_t>(first));
  return pages;
}

class Planner {
 public:
  Planner(const ParentLeaf* parent, std::vector<PageFate> fates, const PageSet& at_hand,
          std::uint32_t chunk_pages)
      : parent_(parent), at_hand_(at_hand), chunk_pages_(chunk_pages) {
    plan_.fates = std::move(fates);
    plan_.changed_pages =
        static_cast<std::uint32_t>(std::ranges::count(plan_.fates, PageFate::changed));
    stored_whole_.resize(plan_.fates.size());
  }

  LeafPlan run(Pace pace) {
    for_each_region(plan_.fates.size(), chunk_pages_,
                    [this](std::size_t first, std::size_t end) { store_region(first, end); });
    if (parent_ != nullptr) move_pages(pace);
    gather();
    return std::move(plan_);
  }

 private:
  // Whole, where little of it would be stored for nothing.
  void store_region(std::size_t first, std::size_t end) {
    const auto region = std::span(plan_.fates).subspan(first, end - first);
    const auto changed = static_cast<std::size_t>(std::ranges::count(region, PageFate::changed));
    const auto kept = static_cast<std::size_t>(std::ranges::count(region, PageFate::kept));
    if (changed == 0 || kept * kRestPart > region.size()) return;
    if (kept > 0) {
      for (std::size_t page = first; page < end; ++page) {
        if (!at_hand_[page]) return;
      }
    }
    std::ranges::fill(region, PageFate::changed);
    std::fill(stored_whole_.begin() + static_cast<std::ptrdiff_t>(first),
              stored_whole_.begin() + static_cast<std::ptrdiff_t>(end), true);
    plan_.chunks.push_back({page_run(first, end), true});
  }

  void move_pages(Pace pace) {
    const PageSet moving = pages_to_move(*parent_, plan_.fates, chunk_pages_, pace);
    // A chunk is given up with all that is left of it, or not at all.
    std::vector<bool> stays(parent_->chunks.size());
    for (std::size_t page = 0; page < plan_.fates.size(); ++page) {
      if (moving[page] && !at_hand_[page]) stays[parent_->pages[page].chunk] = true;
    }
    for (std::size_t page = 0; page < plan_.fates.size(); ++page) {
      if (moving[page] && !stays[parent_->pages[page].chunk]) {
        plan_.fates[page] = PageFate::changed;
      }
    }
  }

  // What is stored and not part of a whole region, in chunks of about the same size.
  void gather() {
    std::vector<std::uint16_t> pages;
    for (std::size_t page = 0; page < plan_.fates.size(); ++page) {
      if (plan_.fates[page] == PageFate::changed && !stored_whole_[page]) {
        pages.push_back(static_cast<std::uint16_t>(page));
      }
    }
    std::size_t chunks = (pages.size() + chunk_pages_ - 1) / chunk_pages_;
    auto next = pages.begin();
    for (; chunks > 0; --chunks) {
      const auto left = static_cast<std::size_t>(pages.end() - next);
      const auto end = next + static_cast<std::ptrdiff_t>((left + chunks - 1) / chunks);
      plan_.chunks.push_back({{next, end}, false});
      next = end;
    }
  }

  const ParentLeaf* parent_;
  const PageSet& at_hand_;
  const std::uint32_t chunk_pages_;
  LeafPlan plan_;
  std::vector<bool> stored_whole_;
};

}  // namespace

PageSet pages_to_move(const ParentLeaf& parent, std::span<const PageFate> fates,
                      std::uint32_t chunk_pages, Pace pace) {
  PageSet moving;
  // Nothing is stored of a leaf in which nothing has changed.
  if (std::ranges::find(fates, PageFate::changed) == fates.end()) return moving;
  const auto move = [&moving](const std::vector<std::uint16_t>& pages) {
    for (const std::uint16_t page : pages) moving.set(page);
  };
  std::vector<std::vector<std::uint16_t>> live = live_pages(parent, fates);
  std::vector<const std::vector<std::uint16_t>*> small;
  for (std::size_t chunk = 0; chunk < live.size(); ++chunk) {
    if (live[chunk].size() * kRestPart <= parent.chunks[chunk].pages) {
      move(live[chunk]);
    } else if (live[chunk].size() <= chunk_pages / 2) {
      small.push_back(&live[chunk]);
    }
  }
  if (pace != Pace::quiet || small.size() <= kSmallChunksMax) return moving;
  std::ranges::stable_sort(small, {}, [](const auto* pages) { return pages->size(); });
  std::size_t left = chunk_pages;
  for (const auto* pages : small) {
    if (pages->size() > left) break;
    left -= pages->size();
    move(*pages);
  }
  return moving;
}

LeafPlan plan_leaf(const ParentLeaf* parent, std::vector<PageFate> fates, const PageSet& at_hand,
                   std::uint32_t chunk_pages, Pace pace) {
  return Planner(parent, std::move(fates), at_hand, chunk_pages).run(pace);
}

namespace {

class LeafMaker {
 public:
  LeafMaker(const ParentLeaf* parent, const LeafPlan& plan, std::span<const ChunkId> ids,
            std::span<const std::optional<Digest>> digests, std::uint32_t chunk_pages)
      : parent_(parent), plan_(plan), ids_(ids), digests_(digests), chunk_pages_(chunk_pages) {
    where_.resize(plan.fates.size());
    for (std::size_t chunk = 0; chunk < plan.chunks.size(); ++chunk) {
      const std::vector<std::uint16_t>& pages = plan.chunks[chunk].pages;
      for (std::size_t i = 0; i < pages.size(); ++i) {
        where_[pages[i]] = {chunk, static_cast<std::uint8_t>(i)};
      }
    }
  }

  NewLeaf run() {
    for_each_region(plan_.fates.size(), chunk_pages_, [this](std::size_t first, std::size_t end) {
      const std::size_t first_extent = leaf_.map.extents.size();
      for (std::size_t page = first; page < end; ++page) add_page(page, first_extent);
      add_digest(first, end, first_extent);
    });
    return std::move(leaf_);
  }

 private:
  struct NewPlace {
    std::size_t chunk = 0;
    std::uint8_t page = 0;
  };

  void add_page(std::size_t page, std::size_t first_extent) {
    Extent here;
    here.pages = 1;
    if (plan_.fates[page] == PageFate::changed) {
      const NewPlace& place = where_[page];
      here.chunk = position_of(ids_[place.chunk], {true, place.chunk});
      here.first_page = place.page;
    } else if (plan_.fates[page] == PageFate::kept && !parent_->is_hole(page)) {
      const ParentLeaf::Page& place = parent_->pages[page];
      here.chunk = position_of(parent_->map.chunks[place.chunk], {false, place.chunk});
      here.first_page = place.page;
    }
    if (here.chunk != Extent::kHole) ++leaf_.origins[here.chunk].pages;
    std::vector<Extent>& extents = leaf_.map.extents;
    // Extents end with their region.
    if (extents.size() > first_extent && extents.back().chunk == here.chunk &&
        (here.chunk == Extent::kHole ||
         extents.back().first_page + extents.back().pages == here.first_page)) {
      ++extents.back().pages;
    } else {
      extents.push_back(here);
    }
  }

  std::uint16_t position_of(const ChunkId& id, NewLeaf::Origin origin) {
    const auto next = static_cast<std::uint16_t>(leaf_.map.chunks.size());
    const auto [found, is_first] = positions_.emplace(id, next);
    if (is_first) {
      leaf_.map.chunks.push_back(id);
      leaf_.origins.push_back(origin);
    }
    return found->second;
  }

  void add_digest(std::size_t first, std::size_t end, std::size_t first_extent) {
    const std::size_t region = first / chunk_pages_;
    std::optional<Digest> digest = digests_[region];
    const auto fates = std::span(plan_.fates).subspan(first, end - first);
    const bool as_before = parent_ != nullptr && end <= parent_->pages.size() &&
                           (end % chunk_pages_ == 0 || end == parent_->pages.size()) &&
                           std::ranges::count(fates, PageFate::kept) == std::ssize(fates);
    if (!digest && as_before) digest = parent_->map.region_digests[region];
    const Extent& extent = leaf_.map.extents[first_extent];
    const bool one = leaf_.map.extents.size() == first_extent + 1;
    const bool is_hole = one && extent.chunk == Extent::kHole;
    const bool is_chunk =
        one && !is_hole && digest == leaf_.map.chunks[extent.chunk] && extent.first_page == 0;
    if (is_hole || is_chunk) digest.reset();
    leaf_.map.region_digests.push_back(digest);
  }

  const ParentLeaf* parent_;
  const LeafPlan& plan_;
  const std::span<const ChunkId> ids_;
  const std::span<const std::optional<Digest>> digests_;
  const std::uint32_t chunk_pages_;
  std::vector<NewPlace> where_;  // by page
  std::map<ChunkId, std::uint16_t> positions_;
  NewLeaf leaf_;
};

}  // namespace

NewLeaf make_leaf(const ParentLeaf* parent, const LeafPlan& plan, std::span<const ChunkId> ids,
                  std::span<const std::optional<Digest>> digests, std::uint32_t chunk_pages) {
  return LeafMaker(parent, plan, ids, digests, chunk_pages).run();
}

}  // namespace haul::repository
