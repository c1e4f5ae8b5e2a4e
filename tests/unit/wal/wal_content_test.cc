#include "engine/wal/wal_content.h"

#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::code_of;
using testing::FakeSegment;
using ::testing::HasSubstr;
using testing::kBlockBytes;
using testing::kSegmentBytes;
using testing::kSystem;

Result<WalFacts> examine(const std::string& name, std::string_view content) {
  return examine_content(parse_wal_name(name).value(), bytes_of(content));
}

template <typename T>
void put(std::string& content, std::size_t offset, T value) {
  std::memcpy(content.data() + offset, &value, sizeof value);
}

// A good segment but for one change is refused, and the message says why.
void expect_refused(const std::function<void(std::string&)>& change, const std::string& why,
                    ErrorCode code = ErrorCode::corrupt) {
  const FakeSegment segment;
  std::string content = segment.content();
  change(content);
  const auto facts = examine(segment.name(), content);
  ASSERT_EQ(code_of(facts), code) << why;
  EXPECT_THAT(facts.error().message(), HasSubstr(why));
  EXPECT_THAT(facts.error().message(), HasSubstr(segment.name()));
}

TEST(WalContent, SegmentTellsItsFacts) {
  const FakeSegment segment{.timeline = 3, .number = 70'000};
  const auto facts = examine(segment.name(), segment.content());
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_EQ(*facts, (WalFacts{kSystem, 70'000, kSegmentBytes, 15}));
}

TEST(WalContent, SegmentsOfEveryReleaseAreTaken) {
  int major = 13;
  for (const int magic : {0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118}) {
    const FakeSegment segment{.magic = static_cast<std::uint16_t>(magic)};
    EXPECT_EQ(examine(segment.name(), segment.content())->server_major, major++);
  }
}

TEST(WalContent, SegmentsOfOtherSizesAreTaken) {
  for (const std::uint32_t size : {4U << 20, 64U << 20}) {
    const FakeSegment segment{.number = 9, .size_bytes = size, .pages = 3};
    EXPECT_EQ(examine(segment.name(), segment.content())->segment_size_bytes, size);
  }
}

TEST(WalContent, PartialSegmentIsJudgedLikeAWholeOne) {
  const FakeSegment segment;
  EXPECT_TRUE(examine(segment.name() + ".partial", segment.content()));
  EXPECT_FALSE(examine(FakeSegment{.number = 6}.name() + ".partial", segment.content()));
}

TEST(WalContent, ZerosAfterASwitchAreTaken) {
  const FakeSegment segment{.pages = 1};
  EXPECT_TRUE(examine(segment.name(), segment.content()));
}

// What a segment held before the server reused it, behind where writing ended.
TEST(WalContent, OldPagesAtTheEndAreTaken) {
  const FakeSegment segment;
  std::string content = segment.content();
  const std::string old = FakeSegment{.number = 2, .pages = 100}.content();
  content.replace(40 * kBlockBytes, std::string::npos, old, 40 * kBlockBytes);
  EXPECT_TRUE(examine(segment.name(), content));
}

// Copied from the timeline that was left.
TEST(WalContent, PagesOfAnOlderTimelineAreTaken) {
  const FakeSegment segment{.timeline = 4};
  std::string content = segment.content();
  for (std::size_t page = 0; page < 10; ++page) {
    testing::put_timeline(content, page * kBlockBytes, 2);
  }
  EXPECT_TRUE(examine(segment.name(), content));
}

TEST(WalContent, PageThatIsMissingIsRefused) {
  expect_refused([](std::string& c) { c.replace(3 * kBlockBytes, kBlockBytes, kBlockBytes, '\0'); },
                 "offset 32768: a page that follows one that is missing");
  expect_refused([](std::string& c) { testing::put_address(c, 126 * kBlockBytes, 0x2000); },
                 "offset 1040384: a page that follows one that is missing");
}

TEST(WalContent, PageOfALaterTimelineIsRefused) {
  expect_refused([](std::string& c) { testing::put_timeline(c, 5 * kBlockBytes, 2); },
                 "page of timeline 2");
  expect_refused([](std::string& c) { testing::put_timeline(c, 0, 2); }, "page of timeline 2");
  expect_refused([](std::string& c) { testing::put_timeline(c, 0, 0); }, "page of timeline 0");
}

TEST(WalContent, PageOfAnotherReleaseIsRefused) {
  expect_refused([](std::string& c) { put<std::uint16_t>(c, 5 * kBlockBytes, 0xD106); },
                 "offset 40960: page magic D106");
}

TEST(WalContent, ReleaseThatIsNotKnownIsUnsupported) {
  expect_refused([](std::string& c) { put<std::uint16_t>(c, 0, 0xD100); }, "page magic D100",
                 ErrorCode::unsupported);
}

TEST(WalContent, RenamedSegmentIsRefused) {
  const FakeSegment segment;
  const auto facts = examine(FakeSegment{.number = 6}.name(), segment.content());
  ASSERT_EQ(code_of(facts), ErrorCode::corrupt);
  EXPECT_THAT(facts.error().message(), HasSubstr("begins at 0/500000 instead of 0/600000"));
}

TEST(WalContent, TruncatedOrGrownSegmentIsRefused) {
  expect_refused([](std::string& c) { c.resize(c.size() - 1); }, "has 1048575 bytes");
  expect_refused([](std::string& c) { c.resize(39); }, "39 bytes are no segment");
  expect_refused([](std::string& c) { c.clear(); }, "0 bytes are no segment");
  expect_refused([](std::string& c) { c += '\0'; }, "has 1048577 bytes");
}

TEST(WalContent, HeaderThatCannotBeIsRefused) {
  expect_refused([](std::string& c) { put<std::uint16_t>(c, 2, 0); }, "lacks the long header");
  expect_refused([](std::string& c) { put<std::uint64_t>(c, 24, 0); }, "no system identifier");
  expect_refused([](std::string& c) { put<std::uint32_t>(c, 32, 3U << 20); },
                 "segments of 3145728");
  for (const std::uint32_t block : {0U, 512U, 8191U, 131072U}) {
    expect_refused([block](std::string& c) { put<std::uint32_t>(c, 36, block); }, "made for pages");
  }
}

TEST(WalContent, SegmentOfASizeItsOwnHeaderForbidsIsRefused) {
  std::string content = FakeSegment().content().substr(0, kSegmentBytes / 2);
  put<std::uint32_t>(content, 32, kSegmentBytes / 2);
  EXPECT_EQ(code_of(examine(FakeSegment().name(), content)), ErrorCode::corrupt);
}

TEST(WalContent, NameThatSegmentsOfThisSizeDoNotHaveIsRefused) {
  const FakeSegment segment{.number = 1, .size_bytes = 64U << 20, .pages = 1};
  const auto facts = examine("000000010000000000000FFF", segment.content());
  ASSERT_EQ(code_of(facts), ErrorCode::corrupt);
  EXPECT_THAT(facts.error().message(), HasSubstr("no segment of 67108864 bytes has this name"));
}

TEST(WalContent, HistoryIsParsed) {
  EXPECT_EQ(examine("00000002.history", testing::history_of_2("0/500028")).value(), WalFacts());
  EXPECT_EQ(code_of(examine("00000002.history", "nonsense")), ErrorCode::corrupt);
}

TEST(WalContent, BackupHistoryNamesItsSegment) {
  const std::string name = "000000010000000000000005.00000028.backup";
  EXPECT_TRUE(examine(name, "START WAL LOCATION: 0/500028 (file 000000010000000000000005)\nx\n"));
  for (const char* text : {"", "START WAL LOCATION: 0/500028 (file 000000010000000000000006)\n",
                           "STOP WAL LOCATION: 0/500028 (file 000000010000000000000005)\n",
                           "START WAL LOCATION: 0/500028\n(file 000000010000000000000005)\n"}) {
    EXPECT_EQ(code_of(examine(name, text)), ErrorCode::corrupt) << text;
  }
}

TEST(WalContent, HugeTextIsRefused) {
  const auto facts = examine("00000002.history", std::string(kWalTextBytesMax + 1, '#'));
  ASSERT_EQ(code_of(facts), ErrorCode::corrupt);
  EXPECT_THAT(facts.error().message(), HasSubstr("more than the 1048576 it may have"));
}

}  // namespace
}  // namespace haul::wal
