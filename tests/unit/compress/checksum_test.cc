#include "compress/checksum.h"

#include <cstdint>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace haul::compress {
namespace {

// The input of xxHash's own test vectors.
std::vector<std::byte> vector_input(std::size_t size_bytes) {
  std::vector<std::byte> input(size_bytes);
  std::uint64_t generator = 2654435761U;
  for (std::byte& byte : input) {
    byte = static_cast<std::byte>(generator >> 56);
    generator *= 11400714785074694797U;
  }
  return input;
}

struct KnownChecksum {
  std::size_t size_bytes;
  const char* hex;
};

// xxHash's vectors for seed 0, high half first: one for each path by length.
constexpr KnownChecksum kKnownChecksums[] = {
    {0, "99aa06d3014798d86001c324468d497f"},    {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
    {6, "082afe0b8162d12a3e7039bdda43cfc6"},    {12, "6e3efd8fc7802b18061a192713f69ad9"},
    {24, "0ce966e4678d37611e7044d28b1b901d"},   {48, "a002ac4e5478227ef942219aed80f67b"},
    {81, "4952f58181ab00425e8bafb9f95fb803"},   {222, "337e09641b948717f1aebd597cec6b3a"},
    {403, "1b6de21e332dd73dcdeb804d65c6dea4"},  {512, "18d2d110dcc9bca1617e49599013cb6b"},
    {2048, "f736557fd47073a5dd59e2c3a5f038e0"}, {2240, "ccb134fbfa7ce49d6e73a90539cf2948"},
    {2367, "e89c0f6ff369b427cb37aeb9e5d361ed"},
};

TEST(Checksum, MatchesTheOfficialVectors) {
  for (const KnownChecksum& known : kKnownChecksums) {
    EXPECT_EQ(to_hex(checksum(vector_input(known.size_bytes)).bytes), known.hex)
        << known.size_bytes << " bytes";
  }
}

TEST(Checksummer, PiecesEqualTheWholeWhereverItIsSplit) {
  for (const KnownChecksum& known : kKnownChecksums) {
    const std::vector<std::byte> input = vector_input(known.size_bytes);
    for (const std::size_t split : {std::size_t{0}, input.size() / 3, input.size()}) {
      Checksummer checksummer;
      checksummer.update(ByteSpan(input).first(split)).update(ByteSpan(input).subspan(split));
      EXPECT_EQ(to_hex(checksummer.finish().bytes), known.hex) << known.size_bytes << ", " << split;
    }
  }
}

TEST(Checksummer, ManyPiecesOfALargeInputEqualTheWhole) {
  std::vector<std::byte> input(1 << 20);
  ASSERT_TRUE(SeededRandom(1).fill(input));
  Checksummer checksummer;
  SeededRandom sizes(2);
  for (ByteSpan rest = input; !rest.empty();) {
    const std::size_t size = std::min<std::size_t>(rest.size(), sizes.next() % 5000);
    checksummer.update(rest.first(size));
    rest = rest.subspan(size);
  }
  EXPECT_EQ(checksummer.finish(), checksum(input));
}

TEST(Checksummer, UpdateWithNothingChangesNothing) {
  Checksummer checksummer;
  checksummer.update({}).update(vector_input(12)).update({});
  EXPECT_EQ(to_hex(checksummer.finish().bytes), "6e3efd8fc7802b18061a192713f69ad9");
}

TEST(Checksummer, FinishLeavesItReadyForMore) {
  const std::vector<std::byte> input = vector_input(512);
  Checksummer checksummer;
  checksummer.update(ByteSpan(input).first(403));
  EXPECT_EQ(to_hex(checksummer.finish().bytes), "1b6de21e332dd73dcdeb804d65c6dea4");
  checksummer.update(ByteSpan(input).subspan(403));
  EXPECT_EQ(to_hex(checksummer.finish().bytes), "18d2d110dcc9bca1617e49599013cb6b");
}

TEST(Checksummer, ResetForgetsWhatWasRead) {
  Checksummer checksummer;
  checksummer.update(vector_input(2048));
  checksummer.reset();
  checksummer.update(vector_input(48));
  EXPECT_EQ(to_hex(checksummer.finish().bytes), "a002ac4e5478227ef942219aed80f67b");
}

TEST(Checksummer, MovesWithWhatItHasRead) {
  const std::vector<std::byte> input = vector_input(512);
  Checksummer first;
  first.update(ByteSpan(input).first(100));
  Checksummer second(std::move(first));
  second.update(ByteSpan(input).subspan(100));
  Checksummer third;
  third = std::move(second);
  EXPECT_EQ(to_hex(third.finish().bytes), "18d2d110dcc9bca1617e49599013cb6b");
}

TEST(Checksum, EveryFlippedBitOfAPageChangesIt) {
  std::vector<std::byte> page(1024);
  ASSERT_TRUE(SeededRandom(3).fill(page));
  const Checksum before = checksum(page);
  for (std::size_t bit = 0; bit < page.size() * 8; ++bit) {
    page[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_NE(checksum(page), before) << "bit " << bit;
    page[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

}  // namespace
}  // namespace haul::compress
