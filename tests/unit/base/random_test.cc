#include "base/random.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

namespace haul {
namespace {

TEST(SystemRandom, FillsEveryByteAndNeverTwiceTheSame) {
  SystemRandom random;
  std::array<std::byte, 1000> first{};
  std::array<std::byte, 1000> second{};
  ASSERT_TRUE(random.fill(first));
  ASSERT_TRUE(random.fill(second));
  EXPECT_NE(first, second);
  // 100 zero bytes in a row happen once in 2^800 runs.
  EXPECT_FALSE(
      std::all_of(first.end() - 100, first.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST(SeededRandom, SameSeedGivesTheSameSequence) {
  SeededRandom left(42);
  SeededRandom right(42);
  SeededRandom other(43);
  EXPECT_EQ(left.next(), right.next());
  EXPECT_NE(left.next(), other.next());
}

TEST(SeededRandom, FillsLengthsThatAreNoMultipleOfEight) {
  SeededRandom random(1);
  std::array<std::byte, 13> bytes{};
  ASSERT_TRUE(random.fill(bytes));
  EXPECT_NE(bytes[12], std::byte{0});
}

}  // namespace
}  // namespace haul
