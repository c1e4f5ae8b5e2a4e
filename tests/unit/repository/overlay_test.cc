// Leaves overlaid on their parents.
#include "engine/repository/overlay.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/repository/leaf_history.h"

namespace haul::repository {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
    const auto step = history.overlay(pages, known ? Pace::usual : Pace::quiet);
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
  PageSet moving() const { return pages_to_move(parent, fates, kChunkPages, Pace::usual); }
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

TEST(PagesToMove, AreThoseOfChunksOfWhichAFifthIsLeft) {
  EXPECT_THAT(Emptied(1).moving_by_region(), ElementsAre(0, 0, 0, 0, 1, 0, 0, 0));
  EXPECT_THAT(Emptied(20).moving_by_region(), ElementsAre(0, 0, 0, 0, 1, 1, 1, 0));
}

TEST(PagesToMove, AreNoneOfALeafInWhichNothingChanges) {
  EXPECT_THAT(Emptied(0).moving_by_region(), Each(0));
}

// A chunk is as large as it was made, not as a region.
TEST(PagesToMove, DependOnTheSizeOfTheChunk) {
  LeafHistory history;
  Pages pages = numbered(kPages);
  history.overlay(pages);
  for (const std::size_t page : {0U, 10U, 20U}) pages[page] += 1000;
  history.overlay(pages);
  pages[0] += 1000;  // two of three are left
  history.overlay(pages);
  EXPECT_THAT(history.leaf().chunks, SizeIs(10));
  pages[10] += 1000;  // one of three, and none of the one that was stored last
  pages[0] += 1000;
  const auto step = history.overlay(pages);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(0, 10)));
  EXPECT_EQ(step.plan.fates[20], PageFate::kept);
}

// A leaf of whole regions, and as many chunks of one page each.
struct Scattered {
  explicit Scattered(std::size_t chunks) {
    pages = numbered(kPages * 2);
    history.overlay(pages);
    for (std::size_t i = 0; i < chunks; ++i) {
      pages[i * 8] += 1000;
      history.overlay(pages);
    }
    pages[127] += 1000;
  }

  LeafHistory history;
  Pages pages;
};

TEST(Overlay, QuietLeafPutsSmallChunksTogether) {
  Scattered scattered(9);
  const auto step = scattered.history.overlay(scattered.pages, Pace::quiet);
  // A chunk's worth of pages, and the one that has changed.
  EXPECT_THAT(pages_of(step.plan),
              ElementsAre(ElementsAre(0, 8, 16, 24, 32), ElementsAre(40, 48, 56, 127)));
  EXPECT_EQ(step.plan.changed_pages, 1U);
}

TEST(Overlay, QuietLeafLeavesFewSmallChunksAlone) {
  Scattered scattered(8);
  const auto step = scattered.history.overlay(scattered.pages, Pace::quiet);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(127)));
}

TEST(Overlay, OtherLeavesLeaveSmallChunksAlone) {
  Scattered scattered(9);
  const auto step = scattered.history.overlay(scattered.pages, Pace::usual);
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(127)));
}

TEST(Overlay, ChunksThatAreGivenUpLeaveTheTable) {
  Emptied emptied(4);
  const ChunkId ones = emptied.history.leaf().chunks[4];
  const auto step = emptied.history.overlay(emptied.next);
  // Page 32 moves.
  EXPECT_THAT(pages_of(step.plan), ElementsAre(ElementsAre(32, 40, 41, 48, 56)));
  EXPECT_EQ(step.plan.changed_pages, 4U);
  EXPECT_EQ(std::ranges::count(emptied.history.leaf().chunks, ones), 0);
}

TEST(Overlay, ChunkStaysWholeWhereAPageIsNotAtHand) {
  LeafHistory history(32);
  Pages pages = numbered(64);
  history.overlay(pages);
  std::fill(pages.begin() + 6, pages.begin() + 32, 0);
  pages[40] += 1000;
  LeafHistory other = history;
  other.at_hand.reset(3);
  EXPECT_THAT(pages_of(other.overlay(pages).plan), ElementsAre(ElementsAre(40)));
  EXPECT_THAT(pages_of(history.overlay(pages).plan),
              ElementsAre(ElementsAre(0, 1, 2, 3, 4, 5, 40)));
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
        const Pace pace = file.below(3) == 0 ? Pace::quiet : Pace::usual;
        const auto step = leaf.overlay(file.leaf(number), pace);
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
      const auto step = leaves[number].overlay(files[number]);
      ASSERT_FALSE(HasFatalFailure());
      changed += step.plan.changed_pages;
      stored += step.stored_pages;
      drawn += leaves[number].chunk_pages_drawn_on();
    }
    drawn_max = std::max(drawn_max, static_cast<double>(drawn) / (kLeaves * kLeafPages));
  }
  EXPECT_LE(static_cast<double>(stored) / static_cast<double>(changed), 1.25);
  EXPECT_LE(drawn_max, 2.2);
}

INSTANTIATE_TEST_SUITE_P(PerLeaf, Churn, ::testing::Values(1, 4, 12, 40, 150, 600, 850, 2000));

// Little changes, anywhere: at most three times what has changed is stored for few chunks.
TEST(Overlay, QuietLeafStaysOfFewChunks) {
  SeededRandom random(1);
  LeafHistory leaf(32);
  Pages pages = numbered(kLeafPages);
  leaf.overlay(pages);
  std::size_t changed = 0;
  std::size_t stored = 0;
  std::size_t chunks_max = 0;
  for (int generation = 0; generation < 100; ++generation) {
    for (int i = 0; i < 4; ++i) pages[random.next() % kLeafPages] = random.next();
    const auto step = leaf.overlay(pages, Pace::quiet);
    changed += step.plan.changed_pages;
    stored += step.stored_pages;
    chunks_max = std::max(chunks_max, leaf.leaf().chunks.size());
  }
  EXPECT_LE(static_cast<double>(stored) / static_cast<double>(changed), 3);
  EXPECT_LE(chunks_max, 40U);
}

}  // namespace
}  // namespace haul::repository
