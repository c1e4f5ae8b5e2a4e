#include "engine/repository/byte_io.h"

#include <gtest/gtest.h>

namespace haul::repository {
namespace {

TEST(ByteWriter, IntegersAreLittleEndian) {
  ByteWriter out;
  out.u8(0x01);
  out.u16(0x0203);
  out.u32(0x04050607);
  out.u64(0x08090A0B0C0D0E0F);
  EXPECT_EQ(to_hex(out.view()), "010302070605040f0e0d0c0b0a0908");
}

TEST(ByteWriter, ShortTextIsItsLengthAndItsBytes) {
  ByteWriter out;
  out.short_text("ab");
  EXPECT_EQ(to_hex(out.view()), "02006162");
}

TEST(ByteWriter, PaddingReachesTheNextMultipleAndNoFurther) {
  ByteWriter out;
  out.u8(1);
  out.pad_to_multiple_of(4);
  EXPECT_EQ(to_hex(out.view()), "01000000");
  out.pad_to_multiple_of(4);
  EXPECT_EQ(out.size(), 4U);
}

TEST(ByteWriter, PatchOverwritesInPlace) {
  ByteWriter out;
  out.u32(0);
  out.patch(1, bytes_of("xy"));
  EXPECT_EQ(to_hex(out.view()), "00787900");
}

TEST(ByteWriterDeathTest, PatchPastTheEndIsABug) {
  ByteWriter out;
  out.u16(0);
  EXPECT_DEATH(out.patch(1, bytes_of("xy")), "offset");
}

TEST(ByteReader, ReadsBackWhatWasWritten) {
  ByteWriter out;
  out.u8(7);
  out.u16(65'535);
  out.u32(4'000'000'000);
  out.u64(18'000'000'000'000'000'000U);
  out.short_text("name");
  ByteReader in(out.view());
  EXPECT_EQ(in.u8(), 7U);
  EXPECT_EQ(in.u16(), 65'535U);
  EXPECT_EQ(in.u32(), 4'000'000'000U);
  EXPECT_EQ(in.u64(), 18'000'000'000'000'000'000U);
  EXPECT_EQ(in.short_text(), "name");
  EXPECT_TRUE(in.finished());
}

TEST(ByteReader, ReadPastTheEndFailsAndYieldsZeros) {
  ByteReader in(bytes_of("abc"));
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
}

TEST(ByteReader, StaysFailed) {
  ByteReader in(bytes_of("abc"));
  in.u32();
  EXPECT_EQ(in.u8(), 0U);
  EXPECT_TRUE(in.bytes(1).empty());
  EXPECT_FALSE(in.ok());
  EXPECT_FALSE(in.finished());
}

TEST(ByteReader, CountNearTheLargestDoesNotWrapAround) {
  ByteReader in(bytes_of("abc"));
  in.u8();
  EXPECT_TRUE(in.bytes(SIZE_MAX).empty());
  EXPECT_FALSE(in.ok());
}

TEST(ByteReader, ShortTextLongerThanTheRestFails) {
  ByteReader in(
      bytes_of(std::string_view("\x05\x00"
                                "abc",
                                5)));
  EXPECT_EQ(in.short_text(), "");
  EXPECT_FALSE(in.ok());
}

TEST(ByteReader, ZerosAcceptsNothingElse) {
  constexpr std::string_view kBytes("\0\0\x01\0", 4);
  ByteReader in(bytes_of(kBytes));
  in.zeros(2);
  EXPECT_TRUE(in.ok());
  in.zeros(2);
  EXPECT_FALSE(in.ok());
}

TEST(ByteReader, FinishedOnlyWhenNothingIsLeft) {
  ByteReader in(bytes_of("ab"));
  EXPECT_FALSE(in.finished());
  in.u8();
  EXPECT_EQ(in.position(), 1U);
  EXPECT_EQ(in.remaining(), 1U);
  in.u8();
  EXPECT_TRUE(in.finished());
}

}  // namespace
}  // namespace haul::repository
