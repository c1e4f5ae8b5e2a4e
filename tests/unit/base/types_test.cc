#include "base/types.h"

#include <array>

#include <gtest/gtest.h>

namespace haul {
namespace {

TEST(Lsn, PrintsAsPostgresDoes) {
  EXPECT_EQ(to_string(Lsn{0x16'B374D848}), "16/B374D848");
  EXPECT_EQ(to_string(Lsn{0x28}), "0/28");
  EXPECT_EQ(to_string(Lsn{UINT64_MAX}), "FFFFFFFF/FFFFFFFF");
}

TEST(Lsn, ParsesWhatItPrints) {
  for (const std::uint64_t value : {0ULL, 1ULL, 0x28ULL, 0x16'B374D848ULL, ~0ULL}) {
    EXPECT_EQ(parse_lsn(to_string(Lsn{value})), Lsn{value});
  }
  EXPECT_EQ(parse_lsn("a/b"), (Lsn{0xA'0000000B}));
}

TEST(Lsn, RejectsEverythingElse) {
  for (const char* text : {"", "/", "1/", "/1", "1", "1/2/3", "x/1", "1/x", " 1/2", "1/2 ", "-1/2",
                           "+1/2", "0x1/2", "123456789/0", "0/123456789"}) {
    EXPECT_FALSE(parse_lsn(text)) << text;
  }
}

TEST(Lsn, ZeroIsInvalid) {
  EXPECT_FALSE(Lsn{}.valid());
  EXPECT_TRUE(Lsn{1}.valid());
}

TEST(Hex, RoundTrips) {
  const std::array<std::byte, 4> bytes{std::byte{0}, std::byte{0x1f}, std::byte{0xab},
                                       std::byte{0xff}};
  EXPECT_EQ(to_hex(bytes), "001fabff");
  std::array<std::byte, 4> back{};
  ASSERT_TRUE(from_hex("001fabff", back));
  EXPECT_EQ(back, bytes);
}

TEST(Hex, RejectsOtherLengthsAndLetters) {
  std::array<std::byte, 2> into{};
  for (const char* text : {"", "00", "000", "00000", "00g0", "00F0", "0x00", " 000"}) {
    EXPECT_FALSE(from_hex(text, into)) << text;
  }
}

}  // namespace
}  // namespace haul
