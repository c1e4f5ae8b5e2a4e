// What a backup does with one leaf of a file, backup after backup: contents are numbers here,
// chunks lie in memory. Every step checks what holds of every leaf.
#pragma once

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "engine/repository/overlay.h"

namespace haul::repository {

using Page = std::uint64_t;  // a page's content; 0: zeros
using Pages = std::vector<Page>;

inline constexpr std::uint32_t kChunkPages = 8;
inline constexpr std::size_t kPages = 64;  // 8 regions

inline ChunkId id_of(std::span<const Page> content) {
  std::uint64_t sum = content.size();
  for (const Page page : content) sum = SeededRandom(sum ^ page).next();
  ChunkId id;
  EXPECT_TRUE(SeededRandom(sum).fill(id.bytes));
  return id;
}

inline Digest region_digest_of(std::span<const Page> region) {
  return std::ranges::count(region, Page{0}) == std::ssize(region) ? Digest{} : id_of(region);
}

// Pages that are all different.
inline Pages numbered(std::size_t count, Page first = 1) {
  Pages pages(count);
  std::iota(pages.begin(), pages.end(), first);
  return pages;
}

// What a backup does with one leaf of a file, backup after backup.
class LeafHistory {
 public:
  struct Step {
    std::optional<ParentLeaf> parent;
    LeafPlan plan;
    NewLeaf made;
    std::size_t stored_pages = 0;
  };

  explicit LeafHistory(std::uint32_t chunk_pages = kChunkPages) : chunk_pages_(chunk_pages) {}

  bool digests_known = true;
  PageSet at_hand = PageSet().set();

  const MapLeaf& leaf() const { return *leaf_; }
  void lose(const ChunkId& id) { lost_.insert(id); }

  ParentLeaf parent() const {
    ParentLeaf parent;
    parent.map = *leaf_;
    for (const ChunkId& id : leaf_->chunks) {
      parent.chunks.push_back(
          {{}, !lost_.contains(id), static_cast<std::uint32_t>(chunks_.at(id).size())});
    }
    for (const Extent& extent : leaf_->extents) {
      for (std::uint8_t i = 0; i < extent.pages; ++i) {
        ParentLeaf::Page page;
        if (extent.chunk != Extent::kHole) {
          page = {extent.chunk, static_cast<std::uint8_t>(extent.first_page + i), 0};
          page.tag = chunks_.at(leaf_->chunks[page.chunk]).at(page.page);
        }
        parent.pages.push_back(page);
      }
    }
    return parent;
  }

  static std::vector<PageFate> fates(const ParentLeaf* parent, const Pages& next,
                                     std::uint32_t chunk_pages = kChunkPages) {
    std::vector<PageFate> fates(next.size(), PageFate::changed);
    for (std::size_t i = 0; i < next.size(); ++i) {
      const bool known = parent != nullptr && i < parent->pages.size();
      if (next[i] == 0) fates[i] = PageFate::zero;
      if (known && parent->is_usable(i) && parent->pages[i].tag == next[i]) {
        fates[i] = PageFate::kept;
      }
    }
    // A region of zeros is a hole, whatever a chunk has.
    for (std::size_t first = 0; first < next.size(); first += chunk_pages) {
      const std::size_t end = std::min<std::size_t>(first + chunk_pages, next.size());
      if (std::any_of(&next[first], &next[first] + (end - first), [](Page p) { return p != 0; })) {
        continue;
      }
      for (std::size_t i = first; i < end; ++i) {
        const bool is_hole = parent != nullptr && i < parent->pages.size() && parent->is_hole(i);
        fates[i] = is_hole ? PageFate::kept : PageFate::zero;
      }
    }
    return fates;
  }

  Step overlay(const Pages& next, Pace pace = Pace::usual) {
    Step step;
    if (leaf_) step.parent = parent();
    const ParentLeaf* const before = step.parent ? &*step.parent : nullptr;
    step.plan = plan_leaf(before, fates(before, next, chunk_pages_), at_hand, chunk_pages_, pace);
    std::vector<ChunkId> ids;
    for (const NewChunk& chunk : step.plan.chunks) {
      Pages content;
      for (const std::uint16_t page : chunk.pages) content.push_back(next[page]);
      step.stored_pages += content.size();
      ids.push_back(id_of(content));
      lost_.erase(ids.back());
      chunks_[ids.back()] = std::move(content);
    }
    auto digests = digests_of(next);
    if (!digests_known) digests.assign(digests.size(), std::nullopt);
    step.made = make_leaf(before, step.plan, ids, digests, chunk_pages_);
    leaf_ = step.made.map;
    check(step, next);
    return step;
  }

  // Pages of all chunks that the leaf draws on.
  std::size_t chunk_pages_drawn_on() const {
    std::size_t pages = 0;
    for (const ChunkId& id : leaf_->chunks) pages += chunks_.at(id).size();
    return pages;
  }

  Pages read_back() const {
    Pages pages;
    for (const Extent& extent : leaf_->extents) {
      for (std::size_t i = 0; i < extent.pages; ++i) {
        pages.push_back(extent.chunk == Extent::kHole
                            ? 0
                            : chunks_.at(leaf_->chunks[extent.chunk]).at(extent.first_page + i));
      }
    }
    return pages;
  }

 private:
  std::vector<std::optional<Digest>> digests_of(const Pages& pages) const {
    std::vector<std::optional<Digest>> digests;
    for (std::size_t first = 0; first < pages.size(); first += chunk_pages_) {
      const auto region = std::span(pages).subspan(first).first(
          std::min<std::size_t>(chunk_pages_, pages.size() - first));
      digests.emplace_back(region_digest_of(region));
    }
    return digests;
  }

  // What holds of every leaf.
  void check(const Step& step, const Pages& next) const {
    ASSERT_EQ(read_back(), next);
    const auto decoded = decode_map_leaf(encode_map_leaf(*leaf_),
                                         static_cast<std::uint32_t>(next.size()), chunk_pages_);
    ASSERT_TRUE(decoded) << decoded.error().message();
    ASSERT_EQ(*decoded, *leaf_);
    check_digests(next);
    check_table(step);
    check_extents();
    check_plan(step.plan);
  }

  void check_digests(const Pages& next) const {
    const auto expected = digests_of(next);
    ASSERT_EQ(leaf_->region_digests.size(), expected.size());
    for (std::size_t region = 0; region < expected.size(); ++region) {
      // What is not known is left open and never wrong.
      const auto& stored = leaf_->region_digests[region];
      ASSERT_TRUE(!stored || stored == expected[region]);
      if (digests_known) {
        ASSERT_EQ(leaf_->region_digest(region, chunk_pages_), expected[region]);
      }
    }
  }

  // Chunks stand in the order of their first use, each once, with what is drawn from them.
  void check_table(const Step& step) const {
    std::vector<std::uint32_t> drawn;
    for (const Extent& extent : leaf_->extents) {
      if (extent.chunk == Extent::kHole) continue;
      ASSERT_LE(extent.chunk, drawn.size());
      if (extent.chunk == drawn.size()) drawn.push_back(0);
      drawn[extent.chunk] += extent.pages;
    }
    ASSERT_EQ(drawn.size(), leaf_->chunks.size());
    ASSERT_EQ(drawn.size(), step.made.origins.size());
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const NewLeaf::Origin& origin = step.made.origins[i];
      ASSERT_EQ(origin.pages, drawn[i]);
      ASSERT_LT(origin.number,
                origin.is_new ? step.plan.chunks.size() : step.parent->chunks.size());
      if (!origin.is_new) {
        ASSERT_EQ(step.parent->map.chunks[origin.number], leaf_->chunks[i]);
        ASSERT_TRUE(step.parent->chunks[origin.number].usable);
      }
    }
    auto sorted = leaf_->chunks;
    std::ranges::sort(sorted);
    ASSERT_EQ(std::ranges::adjacent_find(sorted), sorted.end());
  }

  // No two extents of a region could be one.
  void check_extents() const {
    std::uint32_t page = 0;
    const Extent* before = nullptr;
    for (const Extent& extent : leaf_->extents) {
      if (before != nullptr && page % chunk_pages_ != 0 && before->chunk == extent.chunk) {
        ASSERT_NE(extent.chunk, Extent::kHole);
        ASSERT_NE(before->first_page + before->pages, extent.first_page);
      }
      page += extent.pages;
      before = &extent;
    }
  }

  void check_plan(const LeafPlan& plan) const {
    std::vector<int> stored(plan.fates.size());
    for (const NewChunk& chunk : plan.chunks) {
      ASSERT_FALSE(chunk.pages.empty());
      ASSERT_LE(chunk.pages.size(), chunk_pages_);
      ASSERT_TRUE(std::ranges::is_sorted(chunk.pages));
      ASSERT_TRUE(!chunk.is_region || chunk.pages.front() % chunk_pages_ == 0);
      for (const std::uint16_t page : chunk.pages) ++stored[page];
    }
    for (std::size_t page = 0; page < stored.size(); ++page) {
      ASSERT_EQ(stored[page], plan.fates[page] == PageFate::changed ? 1 : 0) << page;
    }
  }

  const std::uint32_t chunk_pages_;
  std::map<ChunkId, Pages> chunks_;
  std::set<ChunkId> lost_;
  std::optional<MapLeaf> leaf_;
};

inline std::vector<std::vector<std::uint16_t>> pages_of(const LeafPlan& plan) {
  std::vector<std::vector<std::uint16_t>> pages;
  for (const NewChunk& chunk : plan.chunks) pages.push_back(chunk.pages);
  return pages;
}

}  // namespace haul::repository
