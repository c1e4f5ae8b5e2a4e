#include "engine/restore/chunk_cache.h"

#include <gtest/gtest.h>

namespace haul::restore {
namespace {

using repository::ChunkBytes;
using repository::ChunkId;

ChunkId id_of(int number) { return ChunkId{{std::byte(number)}}; }
ChunkBytes bytes_of_size(std::size_t size) {
  return std::make_shared<std::vector<std::byte>>(size);
}

TEST(ChunkCache, GivesBackWhatWasInserted) {
  ChunkCache cache(100);
  const ChunkBytes bytes = bytes_of_size(10);
  cache.insert(id_of(1), bytes);
  EXPECT_EQ(cache.find(id_of(1)), bytes);
  EXPECT_EQ(cache.find(id_of(2)), nullptr);
}

TEST(ChunkCache, FirstCopyIsKept) {
  ChunkCache cache(100);
  const ChunkBytes first = bytes_of_size(10);
  cache.insert(id_of(1), first);
  cache.insert(id_of(1), bytes_of_size(10));
  EXPECT_EQ(cache.find(id_of(1)), first);
}

TEST(ChunkCache, WhatWasUsedLongestAgoMakesRoom) {
  ChunkCache cache(30);
  for (int i = 1; i <= 3; ++i) cache.insert(id_of(i), bytes_of_size(10));
  ASSERT_NE(cache.find(id_of(1)), nullptr);
  cache.insert(id_of(4), bytes_of_size(10));
  EXPECT_EQ(cache.find(id_of(2)), nullptr);
  EXPECT_NE(cache.find(id_of(1)), nullptr);
  EXPECT_NE(cache.find(id_of(3)), nullptr);
  EXPECT_NE(cache.find(id_of(4)), nullptr);
}

TEST(ChunkCache, ChunkLargerThanTheCacheIsKeptAlone) {
  ChunkCache cache(30);
  cache.insert(id_of(1), bytes_of_size(10));
  cache.insert(id_of(2), bytes_of_size(40));
  EXPECT_EQ(cache.find(id_of(1)), nullptr);
  EXPECT_NE(cache.find(id_of(2)), nullptr);
}

TEST(ChunkCache, RoomThatBecameFreeIsUsedAgain) {
  ChunkCache cache(30);
  cache.insert(id_of(1), bytes_of_size(40));
  for (int i = 2; i <= 4; ++i) cache.insert(id_of(i), bytes_of_size(10));
  for (int i = 2; i <= 4; ++i) EXPECT_NE(cache.find(id_of(i)), nullptr) << i;
}

}  // namespace
}  // namespace haul::restore
