// Leaves overlaid on their parents: contents are numbers here, chunks lie in memory.
#include "engine/repository/overlay.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace haul::repository {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Page = std::uint64_t;  // a page's content; 0: zeros
using Pages = std::vector<Page>;

constexpr std::uint32_t kChunkPages = 8;
constexpr std::size_t kPages = 64;  // 8 regions

ChunkId id_of(std::span<const Page> content) {
  std::uint64_t sum = content.size();
  for (const Page page : content) sum = SeededRandom(sum ^ page).next();
  ChunkId id;
  EXPECT_TRUE(SeededRandom(sum).fill(id.bytes));
  return id;
}

Digest region_digest_of(std::span<const Page> region) {
  return std::ranges::count(region, Page{0}) == std::ssize(region) ? Digest{} : id_of(region);
}

// Pages that are all different.
Pages numbered(std::size_t count, Page first = 1) {
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
  // Numbers with which the leaf gives chunks up, or does not.
  std::uint64_t in_turn() const {
    std::uint64_t number = 0;
    while (!gives_chunks_up(parent(), number)) ++number;
    return number;
  }
  std::uint64_t out_of_turn() const { return in_turn() + 1; }

  void lose(const ChunkId& id) { lost_.insert(id); }

  ParentLeaf parent() const {
    ParentLeaf parent;
    parent.map = *leaf_;
    for (const ChunkId& id : leaf_->chunks) parent.chunks.push_back({{}, !lost_.contains(id)});
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

  static std::vector<PageFate> fates(const ParentLeaf* parent, const Pages& next) {
    std::vector<PageFate> fates(next.size(), PageFate::changed);
    for (std::size_t i = 0; i < next.size(); ++i) {
      const bool known = parent != nullptr && i < parent->pages.size();
      if (next[i] == 0) fates[i] = PageFate::zero;
      if (known && parent->is_usable(i) && parent->pages[i].tag == next[i]) {
        fates[i] = PageFate::kept;
      }
    }
    return fates;
  }

  Step overlay(const Pages& next, std::uint64_t leaf_number) {
    Step step;
    if (leaf_) step.parent = parent();
    const ParentLeaf* const before = step.parent ? &*step.parent : nullptr;
    step.plan = plan_leaf(before, fates(before, next), at_hand, chunk_pages_, leaf_number);
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
  // Of a leaf of which nothing moves.
  Step overlay(const Pages& next) { return overlay(next, leaf_ ? out_of_turn() : 0); }

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

std::vector<std::vector<std::uint16_t>> pages_of(const LeafPlan& plan) {
  std::vector<std::vector<std::uint16_t>> pages;
  for (const NewChunk& chunk : plan.chunks) pages.push_back(chunk.pages);
  return pages;
}

TEST(Overlay, NewLeafIsStoredRegionByRegion) {
  LeafHistory history;
  const auto step = history.overlay(numbered(20));
  ASSERT_THAT(step.plan.chunks, SizeIs(3));
  for (const NewChunk& chunk : step.plan.chunks) EXPECT_TRUE(chunk.is_region);
  EXPECT_EQ(step.plan.changed_pages, 20U);
  EXPECT_THAT(history.leaf().extents,
              ElementsAre(Extent{0, 0, 8}, Extent{1, 0, 8}, Extent{2, 0, 4}));
  EXPECT_THAT(history.leaf().region_digests, Each(std::nullopt));
}

TEST(Overlay, NothingChangedIsTheParentsLeafBitForBit) {
  LeafHistory history;
  Pages pages = numbered(kPages - 3);
  pages[9] = 0;
  std::fill_n(pages.begin() + 16, 8, 0);
  history.overlay(pages);
  pages[30] = 1000;
  history.overlay(pages);
  const MapLeaf before = history.leaf();
  for (const bool known : {true, false}) {
    history.digests_known = known;
    const auto step = history.overlay(pages, history.in_turn());
    EXPECT_THAT(step.plan.chunks, IsEmpty());
    EXPECT_EQ(step.plan.changed_pages, 0U);
    EXPECT_EQ(encode_map_leaf(history.leaf()), encode_map_leaf(before));
  }
}

TEST(Overlay, OnePageIsAChunkOfItsOwn) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  pages[19] = 1000;
  const auto step = history.overlay(pages);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(19)));
  EXPECT_FALSE(step.plan.chunks[0].is_region);
  EXPECT_EQ(step.plan.changed_pages, 1U);
  EXPECT_THAT(history.leaf().chunks, SizeIs(9));
  EXPECT_TRUE(history.leaf().region_digests[2].has_value());
  EXPECT_FALSE(history.leaf().region_digests[3].has_value());
}

TEST(Overlay, AllPagesAreRegionsAgain) {
  LeafHistory history;
  history.overlay(numbered(kPages));
  const auto step = history.overlay(numbered(kPages, 1000));
  EXPECT_THAT(step.plan.chunks, SizeIs(8));
  EXPECT_THAT(history.leaf().region_digests, Each(std::nullopt));
  for (const NewLeaf::Origin& origin : step.made.origins) EXPECT_TRUE(origin.is_new);
}

TEST(Overlay, ChangedPagesAreGatheredInOrderAndEvenly) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  for (std::size_t page = 0; page < 63; page += 7) pages[page] += 1000;  // 9 of them
  const auto step = history.overlay(pages);
  EXPECT_THAT(pages_of(step.plan),
              ElementsAre(ElementsAre(0, 7, 14, 21, 28), ElementsAre(35, 42, 49, 56)));
}

TEST(Overlay, RunOfChangedPagesIsOneExtentPerRegion) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  for (std::size_t page = 5; page < 11; ++page) pages[page] += 1000;
  history.overlay(pages);
  const auto& extents = history.leaf().extents;
  EXPECT_EQ(extents[1], (Extent{1, 0, 3}));
  EXPECT_EQ(extents[2], (Extent{1, 3, 3}));
  EXPECT_EQ(extents[3], (Extent{2, 3, 5}));
}

struct WholeRegionCase {
  std::uint32_t chunk_pages;
  std::size_t region_pages;
  std::size_t kept_max;  // with which it is still stored whole
};

class WholeRegion : public ::testing::TestWithParam<WholeRegionCase> {};

TEST_P(WholeRegion, IsStoredWhenAtMostAFifthIsKept) {
  const auto& [chunk_pages, region_pages, kept_max] = GetParam();
  for (const std::size_t kept : {kept_max, kept_max + 1}) {
    LeafHistory history(chunk_pages);
    Pages pages = numbered(chunk_pages + region_pages);
    history.overlay(pages);
    for (std::size_t page = kept; page < region_pages; ++page) pages[chunk_pages + page] += 1000;
    const auto step = history.overlay(pages);
    ASSERT_THAT(step.plan.chunks, SizeIs(1));
    EXPECT_EQ(step.plan.chunks[0].is_region, kept == kept_max) << kept;
    EXPECT_EQ(step.plan.chunks[0].pages.size(),
              kept == kept_max ? region_pages : region_pages - kept);
    EXPECT_EQ(step.plan.changed_pages, region_pages - kept);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, WholeRegion,
                         ::testing::Values(WholeRegionCase{8, 8, 1}, WholeRegionCase{8, 5, 1},
                                           WholeRegionCase{8, 4, 0}, WholeRegionCase{32, 32, 6},
                                           WholeRegionCase{32, 30, 6}, WholeRegionCase{32, 29, 5},
                                           WholeRegionCase{128, 128, 25}));

TEST(Overlay, RegionIsNotStoredWholeWhereAKeptPageIsNotAtHand) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  for (std::size_t page = 9; page < 16; ++page) pages[page] += 1000;
  history.at_hand.reset(8);
  const auto step = history.overlay(pages);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(9, 10, 11, 12, 13, 14, 15)));
  EXPECT_FALSE(step.plan.chunks[0].is_region);
}

TEST(Overlay, RegionOfZerosIsAHole) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  std::fill_n(pages.begin() + 8, 8, 0);
  const auto step = history.overlay(pages);
  EXPECT_THAT(step.plan.chunks, IsEmpty());
  EXPECT_EQ(step.plan.changed_pages, 0U);
  EXPECT_EQ(history.leaf().extents[1], (Extent{Extent::kHole, 0, 8}));
  EXPECT_THAT(history.leaf().chunks, SizeIs(7));
}

TEST(Overlay, PageOfZerosIsAHoleInItsRegion) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  pages[11] = 0;
  const auto step = history.overlay(pages);
  EXPECT_THAT(step.plan.chunks, IsEmpty());
  EXPECT_EQ(history.leaf().extents[2], (Extent{Extent::kHole, 0, 1}));
}

TEST(Overlay, ZerosOfARegionStoredWholeAreStoredWithIt) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  for (std::size_t page = 8; page < 16; ++page) pages[page] = page % 2 == 0 ? 0 : page + 1000;
  const auto step = history.overlay(pages);
  ASSERT_THAT(step.plan.chunks, SizeIs(1));
  EXPECT_TRUE(step.plan.chunks[0].is_region);
  EXPECT_EQ(step.plan.changed_pages, 4U);
  EXPECT_EQ(history.leaf().extents[1], (Extent{1, 0, 8}));
}

TEST(Overlay, HoleIsKeptAndFilled) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  std::fill_n(pages.begin() + 8, 16, 0);
  history.overlay(pages);
  pages[10] = 1000;
  pages[11] = 1001;
  const auto step = history.overlay(pages);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(10, 11)));
  const auto& extents = history.leaf().extents;
  EXPECT_EQ(extents[1], (Extent{Extent::kHole, 0, 2}));
  EXPECT_EQ(extents[2], (Extent{1, 0, 2}));
  EXPECT_EQ(extents[3], (Extent{Extent::kHole, 0, 4}));
  EXPECT_EQ(extents[4], (Extent{Extent::kHole, 0, 8}));
}

TEST(Overlay, ZeroPageThatAChunkHasStaysThere) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  pages[10] = 0;
  history.overlay(pages);
  pages[12] = 1000;
  const auto step = history.overlay(pages);
  EXPECT_EQ(step.plan.fates[10], PageFate::kept);
  EXPECT_EQ(history.leaf().extents[1], (Extent{1, 0, 4}));
}

TEST(Overlay, GrowthWithinARegionStoresWhatCame) {
  LeafHistory history;
  history.overlay(numbered(12));
  const auto step = history.overlay(numbered(14));
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(12, 13)));
  EXPECT_THAT(history.leaf().extents,
              ElementsAre(Extent{0, 0, 8}, Extent{1, 0, 4}, Extent{2, 0, 2}));
}

TEST(Overlay, GrowthAcrossRegionsStoresNewOnesWhole) {
  LeafHistory history;
  history.overlay(numbered(12));
  const auto step = history.overlay(numbered(27));
  EXPECT_THAT(pages_of(step.plan),
              ElementsAre(ElementsAre(16, 17, 18, 19, 20, 21, 22, 23), ElementsAre(24, 25, 26),
                          ElementsAre(12, 13, 14, 15)));
  EXPECT_TRUE(step.plan.chunks[1].is_region);
}

TEST(Overlay, TruncationDrawsOnTheFirstPagesOfAChunk) {
  LeafHistory history;
  history.overlay(numbered(24));
  const auto step = history.overlay(numbered(12));
  EXPECT_THAT(step.plan.chunks, IsEmpty());
  EXPECT_THAT(history.leaf().extents, ElementsAre(Extent{0, 0, 8}, Extent{1, 0, 4}));
  // Its digest is another than the chunk's id.
  EXPECT_EQ(history.leaf().region_digests[1], region_digest_of(numbered(4, 9)));
  history.overlay(numbered(24));
}

TEST(Overlay, TruncationBehindTheLastDeltaForgetsIt) {
  LeafHistory history;
  Pages pages = numbered(24);
  history.overlay(pages);
  pages[20] = 1000;
  history.overlay(pages);
  pages.resize(18);
  history.overlay(pages);
  EXPECT_THAT(history.leaf().chunks, SizeIs(3));
}

TEST(Overlay, PagesOfALostChunkAreStoredAnew) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  history.lose(history.leaf().chunks[3]);
  const auto step = history.overlay(pages);
  EXPECT_EQ(step.plan.changed_pages, 8U);
  ASSERT_THAT(step.plan.chunks, SizeIs(1));
  EXPECT_TRUE(step.plan.chunks[0].is_region);
  EXPECT_TRUE(step.made.origins[3].is_new);
}

TEST(Overlay, PageThatReturnsToAnEarlierContentIsFoundByItsChunk) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  pages[5] = 1000;
  history.overlay(pages);
  const MapLeaf once = history.leaf();
  pages[5] = 6;
  history.overlay(pages);
  EXPECT_FALSE(history.leaf() == once);
  pages[5] = 1000;
  history.overlay(pages);
  EXPECT_EQ(history.leaf(), once);
}

TEST(Overlay, EqualRegionsAreOneChunk) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  std::copy_n(pages.begin(), 8, pages.begin() + 16);
  const auto step = history.overlay(pages);
  EXPECT_THAT(history.leaf().chunks, SizeIs(7));
  EXPECT_EQ(step.made.origins[0].pages, 16U);
  pages[8] = 1000;
  history.overlay(pages);
  // A new chunk that the parent has elsewhere in the leaf.
  std::copy_n(pages.begin(), 8, pages.begin() + 24);
  const auto third = history.overlay(pages);
  EXPECT_EQ(third.made.origins[0].pages, 24U);
  EXPECT_FALSE(third.made.origins[0].is_new);
}

TEST(Overlay, DigestThatIsNotKnownStaysOpen) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  history.digests_known = false;
  pages[5] = 1000;
  history.overlay(pages);
  EXPECT_EQ(history.leaf().region_digest(0, kChunkPages), std::nullopt);
  EXPECT_EQ(history.leaf().region_digest(1, kChunkPages), id_of(numbered(8, 9)));
}

TEST(Overlay, DigestOfARegionWithoutChangesIsTheParents) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  pages[5] = 1000;
  history.overlay(pages);
  const auto digest = history.leaf().region_digests[0];
  ASSERT_TRUE(digest);
  history.digests_known = false;
  pages[20] = 1000;
  history.overlay(pages);
  EXPECT_EQ(history.leaf().region_digests[0], digest);
}

TEST(Overlay, DigestOfARegionThatChangedIsNotTheParents) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  pages[5] = 1000;
  history.overlay(pages);
  ASSERT_TRUE(history.leaf().region_digests[0]);
  history.digests_known = false;
  pages[6] = 1000;
  history.overlay(pages);
  EXPECT_EQ(history.leaf().region_digests[0], std::nullopt);
}

TEST(Overlay, DigestOfATruncatedRegionIsNotTheParents) {
  LeafHistory history;
  Pages pages = numbered(16);
  history.overlay(pages);
  pages[9] = 1000;
  history.overlay(pages);
  ASSERT_TRUE(history.leaf().region_digests[1]);
  history.digests_known = false;
  pages.resize(14);
  history.overlay(pages);
  EXPECT_EQ(history.leaf().region_digests[1], std::nullopt);
  pages.resize(16, 2000);
  history.overlay(pages);
  EXPECT_EQ(history.leaf().region_digests[1], std::nullopt);
}

// Regions of which 5, 4, 3, 2 and 1 pages are left, one of which 8 are, and some that change.
struct Emptied {
  explicit Emptied(std::size_t changed) {
    Pages pages = numbered(kPages);
    history.overlay(pages);
    for (const std::size_t left : {5U, 4U, 3U, 2U, 1U}) {
      for (std::size_t page = left; page < 8; ++page) pages[(5 - left) * 8 + page] = 0;
    }
    for (std::size_t i = 0; i < changed; ++i) pages[(5 + i % 3) * 8 + i / 3] += 1000;
    next = pages;
    parent = history.parent();
    fates = LeafHistory::fates(&parent, next);
  }
  PageSet moving() const { return pages_to_move(parent, fates, kChunkPages, history.in_turn()); }
  // Pages that move, by region.
  std::vector<std::size_t> moving_by_region() const {
    std::vector<std::size_t> counts(8);
    const PageSet pages = moving();
    for (std::size_t page = 0; page < kPages; ++page) counts[page / 8] += pages[page] ? 1U : 0U;
    return counts;
  }

  LeafHistory history;
  Pages next;
  ParentLeaf parent;
  std::vector<PageFate> fates;
};

TEST(PagesToMove, AreOnlyThereInTheLeafsTurn) {
  const Emptied emptied(12);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::uint64_t number = emptied.history.in_turn() + i;
    EXPECT_EQ(pages_to_move(emptied.parent, emptied.fates, kChunkPages, number).any(), i % 4 == 0)
        << i;
  }
}

TEST(PagesToMove, AreThoseOfTheEmptiestChunksWithinTheBudget) {
  EXPECT_THAT(Emptied(0).moving_by_region(), Each(0));
  EXPECT_THAT(Emptied(1).moving_by_region(), Each(0));  // three quarters of a page
  EXPECT_THAT(Emptied(2).moving_by_region(), ElementsAre(0, 0, 0, 0, 1, 0, 0, 0));
  EXPECT_THAT(Emptied(3).moving_by_region(), ElementsAre(0, 0, 0, 0, 1, 0, 0, 0));
  EXPECT_THAT(Emptied(4).moving_by_region(), ElementsAre(0, 0, 0, 2, 1, 0, 0, 0));
  EXPECT_THAT(Emptied(7).moving_by_region(), ElementsAre(0, 0, 0, 2, 1, 0, 0, 0));
  EXPECT_THAT(Emptied(8).moving_by_region(), ElementsAre(0, 0, 3, 2, 1, 0, 0, 0));
}

TEST(PagesToMove, AreNotThoseOfAChunkThatIsMoreThanHalfAlive) {
  EXPECT_THAT(Emptied(24).moving_by_region(), ElementsAre(0, 4, 3, 2, 1, 0, 0, 0));
}

TEST(Overlay, ChunksThatAreGivenUpLeaveTheTable) {
  Emptied emptied(4);
  const ChunkId twos = emptied.history.leaf().chunks[3];
  const ChunkId ones = emptied.history.leaf().chunks[4];
  const auto step = emptied.history.overlay(emptied.next, emptied.history.in_turn());
  // Pages 24, 25 and 32 move.
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(24, 25, 32, 40, 41, 48, 56)));
  EXPECT_EQ(step.plan.changed_pages, 4U);
  EXPECT_EQ(std::ranges::count(emptied.history.leaf().chunks, twos), 0);
  EXPECT_EQ(std::ranges::count(emptied.history.leaf().chunks, ones), 0);
}

TEST(Overlay, ChunkStaysWholeWhereAPageIsNotAtHand) {
  Emptied emptied(8);
  emptied.history.at_hand.reset(25);  // one of two
  const auto step = emptied.history.overlay(emptied.next, emptied.history.in_turn());
  EXPECT_EQ(step.plan.fates[24], PageFate::kept);
  EXPECT_EQ(step.plan.fates[25], PageFate::kept);
  EXPECT_EQ(step.plan.fates[32], PageFate::changed);
  EXPECT_EQ(step.plan.fates[16], PageFate::changed);
}

// A file of several leaves to which something happens between backups.
class RandomFile {
 public:
  RandomFile(std::uint64_t seed, std::uint32_t chunk_pages)
      : random_(seed), chunk_pages_(chunk_pages) {
    grow(1 + below(3 * kLeafPages));
  }

  void change() {
    const std::size_t first = below(pages_.size());
    switch (below(9)) {
      case 0: return each(first, 1 + below(chunk_pages_), [this](Page&) { return fresh(); });
      case 1: return each(first, 1 + below(chunk_pages_), [](Page&) { return Page{0}; });
      case 2: return scatter(1 + below(40));
      case 3:
        return each(0, pages_.size(),
                    [this](Page& page) { return below(6) == 0 ? page : fresh(); });
      case 4: return return_to_earlier();
      case 5: return copy_region();
      case 6: return grow(1 + below(2 * chunk_pages_));
      case 7:
        pages_.resize(pages_.size() - below(std::min<std::size_t>(pages_.size(), 40)));
        return;
      default: return;  // nothing
    }
  }

  std::size_t leaves() const { return (pages_.size() + kLeafPages - 1) / kLeafPages; }
  Pages leaf(std::size_t number) const {
    const auto rest = std::span(pages_).subspan(number * kLeafPages);
    const auto leaf = rest.first(std::min<std::size_t>(rest.size(), kLeafPages));
    return {leaf.begin(), leaf.end()};
  }
  std::size_t below(std::size_t bound) { return random_.next() % bound; }

 private:
  Page fresh() { return ++last_; }
  template <typename Make>
  void each(std::size_t first, std::size_t count, Make make) {
    earlier_ = pages_;
    const std::size_t end = std::min(first + count, pages_.size());
    for (std::size_t page = first; page < end; ++page) pages_[page] = make(pages_[page]);
  }
  void scatter(std::size_t count) {
    earlier_ = pages_;
    for (std::size_t i = 0; i < count; ++i) pages_[below(pages_.size())] = fresh();
  }
  void return_to_earlier() {
    for (std::size_t i = 0; i < std::min(pages_.size(), earlier_.size()); ++i) {
      if (below(3) == 0) pages_[i] = earlier_[i];
    }
  }
  void copy_region() {
    const std::size_t from = below(pages_.size()) / chunk_pages_ * chunk_pages_;
    const std::size_t to = below(pages_.size()) / chunk_pages_ * chunk_pages_;
    for (std::size_t i = 0; i < chunk_pages_ && std::max(from, to) + i < pages_.size(); ++i) {
      pages_[to + i] = pages_[from + i];
    }
  }
  void grow(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) pages_.push_back(below(8) == 0 ? 0 : fresh());
  }

  SeededRandom random_;
  const std::uint32_t chunk_pages_;
  Page last_ = 0;
  Pages pages_;
  Pages earlier_;
};

// Each step checks its leaf: read back page by page, decoded again, digests, table, extents.
TEST(Overlay, RandomHistoriesReadBack) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const std::uint32_t chunk_pages = seed % 2 == 0 ? 8 : 32;
    RandomFile file(seed, chunk_pages);
    std::vector<LeafHistory> leaves;
    for (int generation = 0; generation < 40; ++generation) {
      SCOPED_TRACE(generation);
      // A leaf that a truncation removed has no parent when it comes back.
      while (leaves.size() > file.leaves()) leaves.pop_back();
      for (std::size_t number = 0; number < file.leaves(); ++number) {
        if (number == leaves.size()) leaves.emplace_back(chunk_pages);
        LeafHistory& leaf = leaves[number];
        leaf.digests_known = file.below(5) > 0;
        const auto step = leaf.overlay(file.leaf(number), number);
        ASSERT_FALSE(HasFatalFailure());
        if (!leaf.leaf().chunks.empty() && file.below(20) == 0) {
          leaf.lose(leaf.leaf().chunks[file.below(leaf.leaf().chunks.size())]);
        }
      }
      file.change();
    }
  }
}

// Pages that are changed per leaf and backup, anywhere.
class Churn : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Churn, StoresAQuarterMoreAtMostAndKeepsChunksDense) {
  constexpr std::size_t kLeaves = 16;
  SeededRandom random(1);
  std::vector<LeafHistory> leaves(kLeaves, LeafHistory(32));
  std::vector<Pages> files(kLeaves, numbered(kLeafPages));
  for (LeafHistory& leaf : leaves) leaf.overlay(files[0]);
  std::size_t changed = 0;
  std::size_t stored = 0;
  double drawn_max = 0;
  for (int generation = 0; generation < 50; ++generation) {
    std::size_t drawn = 0;
    for (std::size_t number = 0; number < kLeaves; ++number) {
      for (std::size_t i = 0; i < GetParam(); ++i) {
        files[number][random.next() % kLeafPages] = random.next();
      }
      const auto step = leaves[number].overlay(files[number], number);
      ASSERT_FALSE(HasFatalFailure());
      changed += step.plan.changed_pages;
      stored += step.stored_pages;
      drawn += leaves[number].chunk_pages_drawn_on();
    }
    drawn_max = std::max(drawn_max, static_cast<double>(drawn) / (kLeaves * kLeafPages));
  }
  EXPECT_LE(static_cast<double>(stored) / static_cast<double>(changed), 1.3);
  EXPECT_LE(drawn_max, 2.5);
}

INSTANTIATE_TEST_SUITE_P(PerLeaf, Churn, ::testing::Values(1, 4, 12, 40, 150, 600, 850, 2000));

// The same pages each time: the number of a leaf's chunks hardly changes.
TEST(Overlay, HotPagesAloneCostAQuarterMoreAtMost) {
  for (std::size_t chunks = 9; chunks <= 16; ++chunks) {
    LeafHistory history(32);
    Pages pages = numbered(chunks * 32);
    history.overlay(pages, 0);
    std::size_t changed = 0;
    std::size_t stored = 0;
    for (int generation = 0; generation < 50; ++generation) {
      for (const std::size_t page : {3U, 40U, 200U}) pages[page] = 10'000 + changed + page;
      const auto step = history.overlay(pages, 0);
      changed += step.plan.changed_pages;
      stored += step.stored_pages;
    }
    EXPECT_LE(static_cast<double>(stored) / static_cast<double>(changed), 1.3) << chunks;
  }
}

}  // namespace
}  // namespace haul::repository
