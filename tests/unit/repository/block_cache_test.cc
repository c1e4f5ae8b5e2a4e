#include "engine/repository/block_cache.h"

#include <gtest/gtest.h>

namespace haul::repository {
namespace {

const RunRef kRun{"20261123T020222Z-F", 1};

BlockCache::Block block() { return std::make_shared<const std::vector<RunEntry>>(1); }

void fill(BlockCache& cache, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) cache.add({kRun, i}, block());
}

TEST(BlockCache, BlockIsFoundByItsRunAndNumber) {
  BlockCache cache;
  const BlockCache::Block first = block();
  const BlockCache::Block second = block();
  const BlockCache::Block of_another_run = block();
  cache.add({kRun, 1}, first);
  cache.add({kRun, 2}, second);
  cache.add({{kRun.lease, 2}, 1}, of_another_run);
  EXPECT_EQ(cache.find({kRun, 1}), first);
  EXPECT_EQ(cache.find({kRun, 2}), second);
  EXPECT_EQ(cache.find({{kRun.lease, 2}, 1}), of_another_run);
  EXPECT_EQ(cache.find({kRun, 0}), nullptr);
  EXPECT_EQ(cache.find({{"20261123T030000Z-F", 1}, 1}), nullptr);
}

// Two threads may have read it.
TEST(BlockCache, BlockThatIsThereIsKept) {
  BlockCache cache;
  const BlockCache::Block first = block();
  cache.add({kRun, 1}, first);
  cache.add({kRun, 1}, block());
  EXPECT_EQ(cache.find({kRun, 1}), first);
}

TEST(BlockCache, HoldsSoManyAndDropsTheOldest) {
  BlockCache cache;
  fill(cache, 0, BlockCache::kBlocksMax);
  EXPECT_NE(cache.find({kRun, 0}), nullptr);
  // Number 0 was used last.
  fill(cache, BlockCache::kBlocksMax, BlockCache::kBlocksMax + 3);
  std::size_t held = 0;
  for (std::size_t i = 0; i < BlockCache::kBlocksMax + 3; ++i) {
    const bool is_dropped = i >= 1 && i <= 3;
    EXPECT_EQ(cache.find({kRun, i}) == nullptr, is_dropped) << i;
    if (!is_dropped) ++held;
  }
  EXPECT_EQ(held, BlockCache::kBlocksMax);
}

TEST(BlockCache, BlockThatWasDroppedCanBeAddedAgain) {
  BlockCache cache;
  fill(cache, 0, BlockCache::kBlocksMax + 1);
  ASSERT_EQ(cache.find({kRun, 0}), nullptr);
  const BlockCache::Block again = block();
  cache.add({kRun, 0}, again);
  EXPECT_EQ(cache.find({kRun, 0}), again);
  EXPECT_EQ(cache.find({kRun, 1}), nullptr);
}

TEST(BlockCache, BlockThatIsDroppedLastsAsLongAsItIsHeld) {
  BlockCache cache;
  cache.add({kRun, 0}, block());
  const BlockCache::Block held = cache.find({kRun, 0});
  fill(cache, 1, BlockCache::kBlocksMax + 1);
  ASSERT_EQ(cache.find({kRun, 0}), nullptr);
  EXPECT_EQ(held->size(), 1U);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace haul::repository
