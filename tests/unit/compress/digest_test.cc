#include "compress/digest.h"

#include <cstdint>
#include <memory>
#include <new>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace haul::compress {
namespace {

// The input and key of the official BLAKE3 test vectors.
std::vector<std::byte> vector_input(std::size_t size_bytes) {
  std::vector<std::byte> input(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) input[i] = static_cast<std::byte>(i % 251);
  return input;
}

DigestKey vector_key() {
  std::array<std::byte, 32> bytes{};
  std::memcpy(bytes.data(), "whats the Elvish word for friend", bytes.size());
  return DigestKey(bytes);
}

struct KnownDigest {
  std::size_t size_bytes;
  const char* hex;
};

// keyed_hash of the official vectors; 32, 63, 64, 65 and 262144 bytes by the reference
// implementation, which also yields the official values.
constexpr KnownDigest kKnownDigests[] = {
    {0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"},
    {1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"},
    {32, "5c839dfe62acb270bf88d25872f144a81d2291b5fa5780b01ac7495e91511bd5"},
    {63, "bb1eb5d4afa793c1ebdd9fb08def6c36d10096986ae0cfe148cd101170ce37ae"},
    {64, "ba8ced36f327700d213f120b1a207a3b8c04330528586f414d09f2f7d9ccb7e6"},
    {65, "c0a4edefa2d2accb9277c371ac12fcdbb52988a86edc54f0716e1591b4326e72"},
    {1023, "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"},
    {1024, "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"},
    {1025, "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"},
    {8192, "dc9637c8845a770b4cbf76b8daec0eebf7dc2eac11498517f08d44c8fc00d58a"},
    {8193, "954a2a75420c8d6547e3ba5b98d963e6fa6491addc8c023189cc519821b4a1f5"},
    {31744, "efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419"},
    {102400, "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7"},
    {262144, "78b2f14279f6b0c44ad68e55dbf038e8e5a7f5d09cd328e8b4a8ce0f6ea900a0"},
};

TEST(KeyedDigest, MatchesTheOfficialVectors) {
  for (const KnownDigest& known : kKnownDigests) {
    const Digest digest = keyed_digest(vector_key(), vector_input(known.size_bytes));
    EXPECT_EQ(to_hex(digest.bytes), known.hex) << known.size_bytes << " bytes";
  }
}

TEST(KeyedDigest, DependsOnEveryByteOfTheKey) {
  const std::vector<std::byte> input = vector_input(100);
  std::set<Digest> digests{keyed_digest(vector_key(), input)};
  for (std::size_t i = 0; i < 32; ++i) {
    std::array<std::byte, 32> bytes = vector_key().bytes();
    bytes[i] ^= std::byte{1};
    digests.insert(keyed_digest(DigestKey(bytes), input));
  }
  EXPECT_EQ(digests.size(), 33U);
}

TEST(KeyedHasher, PiecesEqualTheWholeWhereverItIsSplit) {
  for (const KnownDigest& known : kKnownDigests) {
    const std::vector<std::byte> input = vector_input(known.size_bytes);
    for (const std::size_t split : {std::size_t{0}, input.size() / 3, input.size()}) {
      KeyedHasher hasher(vector_key());
      hasher.update(ByteSpan(input).first(split)).update(ByteSpan(input).subspan(split));
      EXPECT_EQ(to_hex(hasher.finish().bytes), known.hex) << known.size_bytes << ", " << split;
    }
  }
}

TEST(KeyedHasher, FinishLeavesItReadyForMore) {
  const std::vector<std::byte> input = vector_input(8193);
  KeyedHasher hasher(vector_key());
  hasher.update(ByteSpan(input).first(8192));
  EXPECT_EQ(to_hex(hasher.finish().bytes),
            "dc9637c8845a770b4cbf76b8daec0eebf7dc2eac11498517f08d44c8fc00d58a");
  hasher.update(ByteSpan(input).last(1));
  EXPECT_EQ(to_hex(hasher.finish().bytes),
            "954a2a75420c8d6547e3ba5b98d963e6fa6491addc8c023189cc519821b4a1f5");
}

TEST(KeyedHasher, ACopyGoesOnByItself) {
  const std::vector<std::byte> input = vector_input(1025);
  KeyedHasher hasher(vector_key());
  hasher.update(ByteSpan(input).first(1024));
  KeyedHasher copy = hasher;
  copy.update(ByteSpan(input).last(1));
  EXPECT_EQ(to_hex(copy.finish().bytes),
            "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69");
  EXPECT_EQ(to_hex(hasher.finish().bytes),
            "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4");
}

// The reference implementation's derive_key with the key as key material.
TEST(DigestKey, DerivesWhatTheReferenceDerives) {
  const auto derived = [](std::string_view context) {
    return to_hex(vector_key().derive(context).bytes());
  };
  EXPECT_EQ(derived("BLAKE3 2019-12-27 16:29:52 test vectors context"),
            "3360c45e48f3de9cfd0623883ec3123fab222c81a2115924235fec2e98217ce2");
  EXPECT_EQ(derived(""), "f35277af48784fe692ccf88333678e038edceeeb39894909811493532060f571");
  EXPECT_EQ(derived("pghaul test: page"),
            "5c4b12c4616124e613d80c7232dde63b2e0d86924ee1763f52081d25989076b1");
}

TEST(DigestKey, DerivingReadsTheContextByItsLengthOnly) {
  const std::string_view longer = "pghaul test: page and more";
  EXPECT_EQ(vector_key().derive(longer.substr(0, 17)).bytes(),
            vector_key().derive("pghaul test: page").bytes());
}

TEST(DigestKey, IsWipedWhenDestroyed) {
  alignas(DigestKey) std::array<unsigned char, sizeof(DigestKey)> memory;
  memory.fill(0xAA);
  std::destroy_at(::new (memory.data()) DigestKey(vector_key()));
  // Read as the memory it is now; volatile, so that the reads are not computed away.
  const volatile unsigned char* bytes = memory.data();
  for (std::size_t i = 0; i < memory.size(); ++i) EXPECT_EQ(bytes[i], 0) << "byte " << i;
}

TEST(Digest, TagIsTheFirstEightBytesLittleEndian) {
  Digest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    digest.bytes[i] = static_cast<std::byte>(i + 1);
  }
  EXPECT_EQ(digest.tag(), 0x0807060504030201U);
  EXPECT_EQ(std::hash<Digest>{}(digest), 0x0807060504030201U);
}

TEST(Digest, IsZeroOnlyWhenAllBytesAre) {
  EXPECT_TRUE(Digest{}.is_zero());
  for (std::size_t i = 0; i < 32; ++i) {
    Digest digest;
    digest.bytes[i] = std::byte{1};
    EXPECT_FALSE(digest.is_zero()) << "byte " << i;
  }
}

TEST(Digest, SortsBytewise) {
  Digest first;
  Digest second;
  first.bytes[0] = std::byte{1};
  second.bytes[0] = std::byte{0x80};
  EXPECT_LT(first, second);
  second.bytes[0] = std::byte{1};
  second.bytes[31] = std::byte{1};
  EXPECT_LT(first, second);
}

TEST(DigestAlgorithm, IsNamed) { EXPECT_EQ(digest_algorithm(), "BLAKE3"); }

TEST(IsZero, HoldsForZerosOfEveryLength) {
  for (std::size_t size = 0; size <= 200; ++size) {
    EXPECT_TRUE(is_zero(std::vector<std::byte>(size))) << size;
  }
  EXPECT_TRUE(is_zero(std::vector<std::byte>(262144)));
}

TEST(IsZero, OneBitAnywhereBreaksIt) {
  for (const std::size_t size : {1U, 2U, 15U, 16U, 17U, 31U, 32U, 33U, 100U, 8192U}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = std::byte{0x80};
      EXPECT_FALSE(is_zero(bytes)) << "byte " << i << " of " << size;
      bytes[i] = std::byte{0};
    }
  }
}

TEST(IsZero, RepetitionIsNotZero) {
  EXPECT_FALSE(is_zero(std::vector<std::byte>(8192, std::byte{0xFF})));
}

TEST(IsZero, LooksAtTheRangeOnly) {
  std::vector<std::byte> bytes(64, std::byte{1});
  std::fill(bytes.begin() + 3, bytes.end() - 3, std::byte{0});
  EXPECT_TRUE(is_zero(ByteSpan(bytes).subspan(3, 58)));
  EXPECT_FALSE(is_zero(ByteSpan(bytes).subspan(2, 58)));
  EXPECT_FALSE(is_zero(ByteSpan(bytes).subspan(4, 58)));
}

}  // namespace
}  // namespace haul::compress
