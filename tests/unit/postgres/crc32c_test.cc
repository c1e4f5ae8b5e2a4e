#include "engine/postgres/crc32c.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "engine/postgres/internal/crc32c_kernels.h"

namespace haul::postgres {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t size_bytes, std::uint64_t seed) {
  Bytes bytes(size_bytes);
  EXPECT_TRUE(SeededRandom(seed).fill(bytes));
  return bytes;
}

Bytes counting(std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

Crc32cPiece piece_of(ByteSpan bytes) { return {crc32c(bytes), bytes.size()}; }

// Bit by bit, from the definition.
std::uint32_t crc_by_definition(ByteSpan bytes) {
  std::uint32_t state = 0xFFFFFFFF;
  for (const std::byte byte : bytes) {
    state ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) * 0x82F63B78U);
  }
  return ~state;
}

TEST(Crc32c, MatchesTheCheckValueOfTheCatalogue) {
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283);
}

// RFC 3720 (iSCSI), B.4.
TEST(Crc32c, MatchesTheVectorsOfTheRfc) {
  EXPECT_EQ(crc32c(Bytes(32)), 0x8A9136AA);
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0xFF})), 0x62A8AB43);
  Bytes bytes = counting(32);
  EXPECT_EQ(crc32c(bytes), 0x46DD794E);
  std::reverse(bytes.begin(), bytes.end());
  EXPECT_EQ(crc32c(bytes), 0x113FDB5C);
}

TEST(Crc32c, OfNothingIsZero) {
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(Crc32c().finish(), 0U);
}

TEST(Crc32c, PiecesEqualTheWholeWhereverItIsSplit) {
  const Bytes bytes = random_bytes(100, 1);
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    Crc32c crc;
    crc.update(ByteSpan(bytes).first(split)).update(ByteSpan(bytes).subspan(split));
    EXPECT_EQ(crc.finish(), crc_by_definition(bytes)) << split;
  }
}

TEST(Crc32c, FinishLeavesItReadyForMore) {
  Crc32c crc;
  crc.update(bytes_of("12345"));
  EXPECT_EQ(crc.finish(), crc_by_definition(bytes_of("12345")));
  crc.update(bytes_of("6789"));
  EXPECT_EQ(crc.finish(), 0xE3069283);
}

TEST(Crc32cKernels, AgreeAtEveryLengthAndAddress) {
  const Bytes memory = random_bytes(400, 2);
  for (std::size_t shift = 0; shift < 9; ++shift) {
    for (std::size_t size = 0; size <= 300; ++size) {
      const ByteSpan bytes = ByteSpan(memory).subspan(shift, size);
      const std::uint32_t expected = crc_by_definition(bytes);
      for (const internal::Crc32cKernel& kernel : internal::crc32c_kernels()) {
        ASSERT_EQ(~kernel.update(0xFFFFFFFF, bytes), expected)
            << kernel.name << ", " << size << " bytes at " << shift;
      }
    }
  }
}

TEST(Crc32cKernels, AgreeOnALargeInput) {
  for (const std::size_t size : {8192U, 65536U, 1000003U}) {
    const Bytes bytes = random_bytes(size, 3);
    const std::uint32_t expected = crc_by_definition(bytes);
    for (const internal::Crc32cKernel& kernel : internal::crc32c_kernels()) {
      EXPECT_EQ(~kernel.update(0xFFFFFFFF, bytes), expected) << kernel.name << ", " << size;
    }
  }
}

TEST(Crc32cKernels, BeginWithTheOneThatRunsEverywhere) {
  ASSERT_FALSE(internal::crc32c_kernels().empty());
  EXPECT_STREQ(internal::crc32c_kernels().front().name, "table");
}

TEST(Crc32cCombine, YieldsTheCrcOfTheConcatenation) {
  const Bytes bytes = random_bytes(3000, 4);
  for (const std::size_t split : {0U, 1U, 2U, 7U, 8U, 255U, 256U, 1500U, 2999U, 3000U}) {
    const Crc32cPiece whole =
        combine(piece_of(ByteSpan(bytes).first(split)), piece_of(ByteSpan(bytes).subspan(split)));
    EXPECT_EQ(whole, piece_of(bytes)) << split;
  }
}

TEST(Crc32cCombine, IsAssociative) {
  const Crc32cPiece a = piece_of(random_bytes(1000, 5));
  const Crc32cPiece b = piece_of(random_bytes(77, 6));
  const Crc32cPiece c = piece_of(random_bytes(4096, 7));
  EXPECT_EQ(combine(combine(a, b), c), combine(a, combine(b, c)));
}

TEST(Crc32cCombine, TheDefaultPieceIsNeutral) {
  const Crc32cPiece piece = piece_of(bytes_of("123456789"));
  EXPECT_EQ(combine({}, piece), piece);
  EXPECT_EQ(combine(piece, {}), piece);
  EXPECT_EQ(combine({}, {}), Crc32cPiece{});
}

TEST(Crc32cCombine, ManyPiecesInOrderEqualTheWhole) {
  const Bytes bytes = random_bytes(100000, 8);
  SeededRandom sizes(9);
  Crc32cPiece whole;
  for (ByteSpan rest = bytes; !rest.empty();) {
    const std::size_t size = std::min<std::size_t>(rest.size(), sizes.next() % 1000);
    whole = combine(whole, piece_of(rest.first(size)));
    rest = rest.subspan(size);
  }
  EXPECT_EQ(whole, piece_of(bytes));
}

TEST(Crc32cCombine, SizesMayExceedMemory) {
  // 2^k zero bytes by doubling; the powers used for a size in one step must agree with them.
  Crc32cPiece zeros = piece_of(Bytes(1));
  for (int doubling = 0; doubling < 40; ++doubling) zeros = combine(zeros, zeros);
  EXPECT_EQ(zeros.size_bytes, std::uint64_t{1} << 40);
  const Crc32cPiece head = piece_of(bytes_of("head"));
  Crc32cPiece stepwise = head;
  const Crc32cPiece quarter = [] {
    Crc32cPiece piece = piece_of(Bytes(1));
    for (int doubling = 0; doubling < 38; ++doubling) piece = combine(piece, piece);
    return piece;
  }();
  for (int part = 0; part < 4; ++part) stepwise = combine(stepwise, quarter);
  EXPECT_EQ(combine(head, zeros), stepwise);
}

}  // namespace
}  // namespace haul::postgres
