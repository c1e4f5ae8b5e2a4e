#include "compress/sha256.h"

#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace haul::compress {
namespace {

std::string hex_of(std::string_view text) { return to_hex(sha256(bytes_of(text))); }

TEST(Sha256, EmptyInputMatchesTheStandard) {
  EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, OneBlockMatchesTheStandard) {
  EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, TwoBlocksMatchTheStandard) {
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, PiecesHashAsTheirConcatenation) {
  Sha256 hasher;
  hasher.update(bytes_of("a")).update(bytes_of("")).update(bytes_of("bc"));
  EXPECT_EQ(std::move(hasher).finish(), sha256(bytes_of("abc")));
}

TEST(Sha256, MovedHasherContinues) {
  Sha256 hasher;
  hasher.update(bytes_of("ab"));
  Sha256 moved = std::move(hasher);
  moved.update(bytes_of("c"));
  EXPECT_EQ(std::move(moved).finish(), sha256(bytes_of("abc")));
}

}  // namespace
}  // namespace haul::compress
