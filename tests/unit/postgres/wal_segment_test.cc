#include "engine/postgres/wal_segment.h"

#include <cstring>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

constexpr std::uint32_t kMebibyte = 1U << 20;
constexpr std::uint32_t kPageBytes = 8192;
constexpr std::uint64_t kSystemIdentifier = 7711653421140677923;
constexpr WalGeometry kGeometry = {15, kSystemIdentifier, kMebibyte, kPageBytes};
constexpr WalSegment kSegment = {TimelineId{2}, 5};

using Bytes = std::vector<std::byte>;

template <typename T>
void put(Bytes& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// A whole segment with right headers; the rest of each page is not zero.
Bytes good_segment() {
  Bytes bytes(kMebibyte, std::byte{0x11});
  for (std::uint32_t offset = 0; offset < kMebibyte; offset += kPageBytes) {
    put<std::uint16_t>(bytes, offset, 0xD110);
    put<std::uint16_t>(bytes, offset + 2, offset == 0 ? 0x0002 : 0x0001);
    put<std::uint32_t>(bytes, offset + 4, 2);
    put<std::uint64_t>(bytes, offset + 8, 5 * std::uint64_t{kMebibyte} + offset);
    put<std::uint32_t>(bytes, offset + 16, 0);
  }
  put<std::uint64_t>(bytes, 24, kSystemIdentifier);
  put<std::uint32_t>(bytes, 32, kMebibyte);
  put<std::uint32_t>(bytes, 36, kPageBytes);
  return bytes;
}

Status check_with(const std::function<void(Bytes&)>& change,
                  std::uint64_t needed_size_bytes = kMebibyte) {
  Bytes bytes = good_segment();
  change(bytes);
  return check_segment(bytes, kGeometry, kSegment, needed_size_bytes);
}

// Is refused, and the message says where and contains `word`.
void expect_damage(const Status& status, const std::string& word) {
  ASSERT_FALSE(status) << word;
  EXPECT_EQ(status.error().code(), ErrorCode::corrupt);
  EXPECT_NE(status.error().message().find(word), std::string::npos) << status.error().message();
  EXPECT_NE(status.error().message().find("000000020000000000000005"), std::string::npos);
}

void zero(Bytes& bytes, std::size_t from, std::size_t to) {
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from),
            bytes.begin() + static_cast<std::ptrdiff_t>(to), std::byte{0});
}

TEST(WalSegmentName, NamesAndNumbersMatchForEverySize) {
  struct Case {
    std::uint64_t lsn;
    std::uint32_t size_bytes;
    const char* name;
  };
  for (const Case& c : {Case{0x16'B374D848, 16 * kMebibyte, "0000000100000016000000B3"},
                        Case{0x16'B374D848, kMebibyte, "000000010000001600000B37"},
                        Case{0x16'B374D848, 64 * kMebibyte, "00000001000000160000002C"},
                        Case{0x16'B374D848, 1024 * kMebibyte, "000000010000001600000002"},
                        Case{0, 16 * kMebibyte, "000000010000000000000000"}}) {
    const WalSegment segment = segment_of(Lsn{c.lsn}, TimelineId{1}, c.size_bytes);
    EXPECT_EQ(to_name(segment, c.size_bytes), c.name);
    EXPECT_EQ(parse_wal_segment_name(c.name, c.size_bytes), segment);
    EXPECT_LE(segment.start(c.size_bytes).value, c.lsn);
    EXPECT_GT(segment.end(c.size_bytes).value, c.lsn);
  }
}

TEST(WalSegmentName, OtherNamesAreRefused) {
  for (const char* name :
       {"", "00000001000000160000000", "0000000100000016000000000", "0000000100000016000001B3",
        "0000000000000016000000B3", "0000000100000016000000b3", "0000000100000016000000G3",
        "00000001.history", "0000000100000016000000B3.partial", " 000000100000016000000B3",
        "-000000100000016000000B3", "+000000100000016000000B3", "0x00000100000016000000B3"}) {
    EXPECT_FALSE(parse_wal_segment_name(name, 16 * kMebibyte)) << name;
  }
}

TEST(WalSegmentName, LowPartIsLimitedByTheSegmentSize) {
  EXPECT_TRUE(parse_wal_segment_name("0000000100000000000000FF", 16 * kMebibyte));
  EXPECT_FALSE(parse_wal_segment_name("000000010000000000000100", 16 * kMebibyte));
  EXPECT_TRUE(parse_wal_segment_name("000000010000000000000FFF", kMebibyte));
  EXPECT_FALSE(parse_wal_segment_name("000000010000000000000004", 1024 * kMebibyte));
}

TEST(WalSegmentName, BoundaryBelongsToTheNextSegmentOrTheOneBefore) {
  const Lsn boundary{0x3000000};
  EXPECT_EQ(segment_of(boundary, TimelineId{1}, 16 * kMebibyte).number, 3U);
  EXPECT_EQ(segment_before(boundary, TimelineId{1}, 16 * kMebibyte).number, 2U);
  EXPECT_EQ(segment_before(Lsn{0x3000001}, TimelineId{1}, 16 * kMebibyte).number, 3U);
}

TEST(WalSegmentName, SizesArePowersOfTwoWithinLimits) {
  EXPECT_TRUE(is_valid_wal_segment_size(kMebibyte));
  EXPECT_TRUE(is_valid_wal_segment_size(std::uint64_t{1} << 30));
  EXPECT_FALSE(is_valid_wal_segment_size(0));
  EXPECT_FALSE(is_valid_wal_segment_size(kMebibyte / 2));
  EXPECT_FALSE(is_valid_wal_segment_size(std::uint64_t{1} << 31));
  EXPECT_FALSE(is_valid_wal_segment_size(3 * kMebibyte));
}

TEST(TimelineHistoryName, NamesAndTimelinesMatch) {
  EXPECT_EQ(timeline_history_name(TimelineId{0x1A}), "0000001A.history");
  EXPECT_EQ(parse_timeline_history_name("0000001A.history"), TimelineId{0x1A});
  for (const char* name : {"", "00000001.history", "00000000.history", "0000001a.history",
                           "0000001A.histor", "000001A.history", "0000001A.history.tmp"}) {
    EXPECT_FALSE(parse_timeline_history_name(name)) << name;
  }
}

TEST(WalPage, MagicOfEveryRelease) {
  EXPECT_EQ(wal_page_magic(12), 0);
  EXPECT_EQ(wal_page_magic(13), 0xD106);
  EXPECT_EQ(wal_page_magic(14), 0xD10D);
  EXPECT_EQ(wal_page_magic(15), 0xD110);
  EXPECT_EQ(wal_page_magic(16), 0xD113);
  EXPECT_EQ(wal_page_magic(17), 0xD116);
  EXPECT_EQ(wal_page_magic(18), 0xD118);
  EXPECT_EQ(wal_page_magic(19), 0);
}

TEST(WalPage, HeaderIsReadFieldByField) {
  Bytes bytes = good_segment();
  put<std::uint32_t>(bytes, 16, 77);
  const WalPageHeader header = parse_wal_page_header(bytes).value();
  EXPECT_EQ(header.magic, 0xD110);
  EXPECT_EQ(header.info, 0x0002);
  EXPECT_EQ(header.timeline, TimelineId{2});
  EXPECT_EQ(header.page_address, Lsn{5 * std::uint64_t{kMebibyte}});
  EXPECT_EQ(header.remaining_size_bytes, 77U);
  EXPECT_TRUE(header.is_long);
  EXPECT_EQ(header.system_identifier, kSystemIdentifier);
  EXPECT_EQ(header.segment_size_bytes, kMebibyte);
  EXPECT_EQ(header.block_size_bytes, kPageBytes);
}

TEST(WalPage, ShortPageHasNoHeader) {
  const Bytes bytes = good_segment();
  EXPECT_FALSE(parse_wal_page_header(ByteSpan(bytes).first(23)));
  EXPECT_FALSE(parse_wal_page_header(ByteSpan(bytes).first(39)));
  EXPECT_TRUE(parse_wal_page_header(ByteSpan(bytes).first(40)));
  EXPECT_TRUE(parse_wal_page_header(ByteSpan(bytes).subspan(kPageBytes, 24)));
}

TEST(CheckSegment, GoodSegmentPasses) {
  EXPECT_TRUE(check_with([](Bytes&) {}));
}

TEST(CheckSegment, AnotherLengthIsCorrupt) {
  expect_damage(check_with([](Bytes& bytes) { bytes.resize(kMebibyte - kPageBytes); }), "bytes");
  expect_damage(check_with([](Bytes& bytes) { bytes.resize(kMebibyte + kPageBytes); }), "bytes");
}

TEST(CheckSegment, EveryWrongFieldOfTheFirstPageIsNamed) {
  const auto with = [](std::size_t at, auto value) {
    return check_with([&](Bytes& bytes) { put(bytes, at, value); });
  };
  expect_damage(with(0, std::uint16_t{0xD10D}), "magic");
  expect_damage(with(2, std::uint16_t{0x0000}), "long header");
  expect_damage(with(2, std::uint16_t{0x0012}), "flags");
  expect_damage(with(4, std::uint32_t{0}), "timeline");
  expect_damage(with(4, std::uint32_t{3}), "timeline");
  expect_damage(with(8, std::uint64_t{4} * kMebibyte), "address");
  expect_damage(with(24, kSystemIdentifier + 1), "system identifier");
  expect_damage(with(32, 16 * kMebibyte), "segments of");
  expect_damage(with(36, std::uint32_t{4096}), "pages of");
}

TEST(CheckSegment, WrongFieldsOfAnyLaterPageAreNamed) {
  for (const std::size_t page : {std::size_t{kPageBytes}, std::size_t{kMebibyte - kPageBytes}}) {
    const auto with = [&](std::size_t at, auto value) {
      return check_with([&](Bytes& bytes) { put(bytes, page + at, value); });
    };
    expect_damage(with(0, std::uint16_t{0}), "magic");
    expect_damage(with(2, std::uint16_t{0x0003}), "long header");
    expect_damage(with(8, std::uint64_t{7}), "address");
    expect_damage(with(4, std::uint32_t{9}), std::to_string(page));
  }
}

TEST(CheckSegment, AllKnownFlagsPass) {
  for (const int flags : {0x0000, 0x0001, 0x0004, 0x0008, 0x000D}) {
    const auto info = static_cast<std::uint16_t>(flags);
    EXPECT_TRUE(check_with([&](Bytes& bytes) { put(bytes, kPageBytes + 2, info); })) << flags;
  }
}

TEST(CheckSegment, PagesOfAnOlderTimelinePass) {
  EXPECT_TRUE(check_with([](Bytes& bytes) { put<std::uint32_t>(bytes, 4, 1); }));
}

TEST(CheckSegment, ZerosToTheEndAfterASwitchPass) {
  EXPECT_TRUE(check_with([](Bytes& bytes) { zero(bytes, kPageBytes, kMebibyte); }));
}

TEST(CheckSegment, ZerosInTheMiddleAreCorrupt) {
  expect_damage(check_with([](Bytes& bytes) { zero(bytes, kPageBytes, 2 * kPageBytes); }),
                "after pages of zeros");
}

TEST(CheckSegment, PageOfZerosButOneByteIsCorrupt) {
  expect_damage(check_with([](Bytes& bytes) {
                  zero(bytes, kPageBytes, kMebibyte);
                  bytes[2 * kPageBytes - 1] = std::byte{1};
                }),
                "magic");
}

TEST(CheckSegment, ZerosFromTheStartAreCorrupt) {
  expect_damage(check_with([](Bytes& bytes) { zero(bytes, 0, kMebibyte); }), "magic");
}

TEST(CheckSegment, PagesPastTheNeededOnesAreNotLookedAt) {
  const auto damage_second = [](Bytes& bytes) { put<std::uint16_t>(bytes, kPageBytes, 0xDEAD); };
  EXPECT_TRUE(check_with(damage_second, 1));
  EXPECT_TRUE(check_with(damage_second, kPageBytes));
  EXPECT_FALSE(check_with(damage_second, kPageBytes + 1));
}

TEST(SegmentChecker, PiecesAreCheckedAsOneSegment) {
  const Bytes bytes = good_segment();
  SegmentChecker checker(kGeometry, kSegment, 3 * kPageBytes);
  EXPECT_TRUE(checker.check(ByteSpan(bytes).first(kPageBytes)));
  EXPECT_FALSE(checker.complete());
  EXPECT_TRUE(checker.check(ByteSpan(bytes).subspan(kPageBytes, 2 * kPageBytes)));
  EXPECT_TRUE(checker.complete());
}

TEST(SegmentChecker, RepeatedPieceIsCorrupt) {
  const Bytes bytes = good_segment();
  SegmentChecker checker(kGeometry, kSegment, kMebibyte);
  EXPECT_TRUE(checker.check(ByteSpan(bytes).first(kPageBytes)));
  expect_damage(checker.check(ByteSpan(bytes).first(kPageBytes)), "address");
}

}  // namespace
}  // namespace haul::postgres
