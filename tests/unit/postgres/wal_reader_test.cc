#include "engine/postgres/wal_reader.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/wal_stream.h"

namespace haul::postgres {
namespace {

using support::packed;
using support::WalBytes;
using support::WalRecordSpec;
using support::WalStream;

constexpr std::uint32_t kSegmentBytes = 1U << 20;
constexpr std::uint32_t kPageBytes = 8192;
constexpr TimelineId kTimeline{2};
constexpr std::uint64_t kFirstSegment = 5;
constexpr Lsn kStart{kFirstSegment * kSegmentBytes};

WalGeometry geometry_of(int server_major, std::uint32_t page_bytes = kPageBytes) {
  return {server_major, 7711653421140677923, kSegmentBytes, page_bytes};
}

WalStream stream_of(int server_major = 15) {
  return {geometry_of(server_major), kTimeline, kFirstSegment};
}

// A record of no particular kind, with so much main data.
WalRecordSpec record_of(std::size_t data_bytes, char filler = 'd') {
  WalRecordSpec spec;
  spec.info = 0x20;  // XLOG_NOOP
  spec.main_data = std::string(data_bytes, filler);
  return spec;
}

WalRecordSpec overwrite_of(Lsn cut_off) {
  WalRecordSpec spec;
  spec.info = 0xD0;  // XLOG_OVERWRITE_CONTRECORD
  spec.main_data = packed(cut_off.value, std::int64_t{0});
  return spec;
}

// What was read: where each record lies and what it says.
struct Read {
  struct Record {
    Lsn lsn;
    Lsn end;
    std::string data;

    bool operator==(const Record&) const = default;
  };

  std::vector<Record> records;
  std::optional<WalEnd> end;
  std::optional<Error> error;

  std::vector<Lsn> positions() const {
    std::vector<Lsn> lsns;
    for (const Record& record : records) lsns.push_back(record.lsn);
    return lsns;
  }
};

Read read_from(WalPageSource& source, const WalRange& range, const WalGeometry& geometry) {
  Read read;
  auto opened = WalReader::open(geometry, kTimeline, range, source);
  if (!opened) {
    read.error = opened.error();
    return read;
  }
  WalReader reader = std::move(opened).take();
  while (true) {
    const auto record = reader.next();
    if (!record) {
      read.error = record.error();
      return read;
    }
    if (*record == nullptr) break;
    read.records.push_back(
        {(*record)->lsn, (*record)->end, std::string(text_of((*record)->main_data))});
  }
  read.end = reader.end();
  return read;
}

Read read_bytes(const WalBytes& bytes, const WalRange& range,
                const WalGeometry& geometry = geometry_of(15)) {
  WalPagesInMemory source(kStart, bytes, geometry);
  return read_from(source, range, geometry);
}

Read read_stream(const WalStream& stream) { return read_bytes(stream.segments(), {kStart}); }

void expect_end(const Read& read, WalEnd::Kind kind, Lsn lsn, const std::string& word) {
  ASSERT_TRUE(read.end.has_value()) << (read.error ? read.error->message() : "");
  EXPECT_EQ(read.end->kind, kind);
  EXPECT_EQ(read.end->lsn, lsn) << to_string(read.end->lsn);
  EXPECT_NE(read.end->reason.find(word), std::string::npos) << read.end->reason;
}

void expect_error(const Read& read, ErrorCode code, const std::string& word) {
  ASSERT_TRUE(read.error.has_value()) << word;
  EXPECT_EQ(read.error->code(), code);
  EXPECT_NE(read.error->message().find(word), std::string::npos) << read.error->message();
}

template <typename T>
void put(WalBytes& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::size_t offset_of(Lsn lsn) { return lsn.value - kStart.value; }

TEST(WalReader, RecordsOfOnePageComeInOrder) {
  for (const int major : {13, 14, 15, 16, 17, 18}) {
    WalStream stream = stream_of(major);
    const Lsn first = stream.append(record_of(10, 'a'));
    const Lsn second = stream.append(record_of(20, 'b'));
    const Read read = read_bytes(stream.segments(), {kStart}, geometry_of(major));
    const std::vector<Read::Record> expected = {{first, second, std::string(10, 'a')},
                                                {second, stream.position(), std::string(20, 'b')}};
    EXPECT_EQ(read.records, expected);
    expect_end(read, WalEnd::Kind::no_record, stream.position(), "record length 0");
  }
}

TEST(WalReader, FirstRecordStandsBehindTheLongHeader) {
  WalStream stream = stream_of();
  EXPECT_EQ(stream.append(record_of(1)), Lsn{kStart.value + 40});
  EXPECT_EQ(read_stream(stream).records.at(0).lsn, Lsn{kStart.value + 40});
}

TEST(WalReader, RecordOverPagesIsPutTogether) {
  for (const std::size_t data_bytes : {kPageBytes, 3 * kPageBytes, 40 * kPageBytes}) {
    WalStream stream = stream_of();
    stream.append(record_of(data_bytes, 'x'));
    const Lsn second = stream.append(record_of(5, 'y'));
    const Read read = read_stream(stream);
    ASSERT_EQ(read.records.size(), 2U);
    EXPECT_EQ(read.records[0].data, std::string(data_bytes, 'x'));
    EXPECT_EQ(read.records[0].end, second);
    EXPECT_EQ(read.records[1].data, "yyyyy");
  }
}

// Wherever a page ends: within the length's neighbours, the header, the data, at the very end.
TEST(WalReader, RecordIsReadWhereverThePageEndsInIt) {
  for (std::size_t room = 8; room <= 80; room += 8) {
    WalStream stream = stream_of();
    stream.fill_page_to(room);
    const Lsn cut = stream.append(record_of(46, 'c'));
    const Lsn last = stream.append(record_of(3, 'l'));
    const Read read = read_stream(stream);
    ASSERT_EQ(read.records.size(), 4U) << room;
    EXPECT_EQ(read.records[2].lsn, cut);
    EXPECT_EQ(read.records[2].data, std::string(46, 'c'));
    EXPECT_EQ(read.records[3].lsn, last);
  }
}

TEST(WalReader, RecordThatFillsThePageEndsAtTheNext) {
  WalStream stream = stream_of();
  stream.fill_page_to(48);
  stream.append(record_of(22, 'f'));
  ASSERT_EQ(stream.position().value % kPageBytes, 0U);
  const Lsn boundary = stream.position();
  const Lsn next = stream.append(record_of(1));
  const Read read = read_stream(stream);
  EXPECT_EQ(read.records.at(2).end, boundary);
  EXPECT_EQ(read.records.at(3).lsn, next);
  EXPECT_EQ(next.value, boundary.value + 24);
}

TEST(WalReader, OtherPageSizesAreRead) {
  for (const std::uint32_t page_bytes : {1024U, 4096U, 65536U}) {
    const WalGeometry geometry = geometry_of(15, page_bytes);
    WalStream stream(geometry, kTimeline, kFirstSegment);
    for (int i = 0; i < 200; ++i) stream.append(record_of(1000));
    EXPECT_EQ(read_bytes(stream.segments(), {kStart}, geometry).records.size(), 200U);
  }
}

// Records over three segments, some longer than a page, and where they are.
struct LongStream {
  LongStream() : stream(stream_of()) {
    for (std::size_t i = 0; stream.position().value < kStart.value + 5 * kSegmentBytes / 2; ++i) {
      positions.push_back(stream.append(record_of(i * 7919 % 30000)));
    }
    bytes = stream.segments();
  }

  WalStream stream;
  std::vector<Lsn> positions;
  WalBytes bytes;
};

TEST(WalReader, SegmentsFollowOneAnother) {
  const LongStream wal;
  EXPECT_EQ(read_bytes(wal.bytes, {kStart}).positions(), wal.positions);
}

TEST(WalReader, SegmentsOnTheirOwnGiveEachRecordOnce) {
  const LongStream wal;
  std::vector<Lsn> positions;
  for (std::uint64_t segment = 0; segment < 3; ++segment) {
    const Lsn begin{kStart.value + segment * kSegmentBytes};
    const Read read = read_bytes(wal.bytes, {begin, {begin.value + kSegmentBytes}});
    ASSERT_TRUE(read.end.has_value());
    for (const Lsn lsn : read.positions()) positions.push_back(lsn);
  }
  EXPECT_EQ(positions, wal.positions);
}

TEST(WalReader, EveryPageIsAPlaceToBegin) {
  const LongStream wal;
  for (std::uint64_t page = kStart.value; page < kStart.value + 20 * kPageBytes;
       page += kPageBytes) {
    const auto first = std::ranges::lower_bound(wal.positions, Lsn{page});
    EXPECT_EQ(read_bytes(wal.bytes, {Lsn{page}}).positions(),
              std::vector<Lsn>(first, wal.positions.end()));
  }
}

TEST(WalReader, RestThatFillsItsPageIsSkipped) {
  for (const std::size_t last_bytes : {8U, 5U}) {
    WalStream stream = stream_of();
    stream.fill_page_to(48);
    stream.append(record_of(kPageBytes - 24 + 48 - 24 - 5 - 8 + last_bytes));
    ASSERT_EQ(stream.position(), Lsn{kStart.value + 2 * kPageBytes});
    const Lsn next = stream.append(record_of(1));
    const Read read = read_bytes(stream.segments(), {Lsn{kStart.value + kPageBytes}});
    EXPECT_EQ(read.positions(), std::vector<Lsn>{next});
  }
}

TEST(WalReader, EveryRecordIsAPlaceToBegin) {
  const LongStream wal;
  for (std::size_t i = 0; i < 20; ++i) {
    const Read read = read_bytes(wal.bytes, {wal.positions[i]});
    EXPECT_EQ(read.records.size(), wal.positions.size() - i);
  }
}

TEST(WalReader, StopIsTheFirstRecordNotRead) {
  const LongStream wal;
  const Lsn stop = wal.positions[3];
  const Read at = read_bytes(wal.bytes, {kStart, stop, stop});
  EXPECT_EQ(at.records.size(), 3U);
  expect_end(at, WalEnd::Kind::stopped, stop, "");
  EXPECT_EQ(read_bytes(wal.bytes, {kStart, {stop.value + 1}}).records.size(), 4U);
  EXPECT_TRUE(read_bytes(wal.bytes, {kStart, kStart}).records.empty());
  // What is not read cannot be missed.
  const Read before_required = read_bytes(wal.bytes, {kStart, stop, {stop.value + 100}});
  expect_end(before_required, WalEnd::Kind::stopped, stop, "");
}

TEST(WalReader, StopBehindAPageHeaderNeedsNotThatPage) {
  WalStream stream = stream_of();
  stream.fill_page_to(48);
  stream.append(record_of(22));
  const Lsn stop{stream.position().value + 24};
  WalBytes bytes = stream.segments();
  bytes.resize(kPageBytes);
  const Read read = read_bytes(bytes, {kStart, stop, stop});
  expect_end(read, WalEnd::Kind::stopped, stop, "");
}

TEST(WalReader, SegmentWithinOneRecordHasNone) {
  WalStream stream = stream_of();
  stream.append(record_of(3 * kSegmentBytes));
  const Lsn begin{kStart.value + kSegmentBytes};
  const Lsn stop{begin.value + kSegmentBytes};
  const Read read = read_bytes(stream.segments(), {begin, stop, stop});
  EXPECT_TRUE(read.records.empty());
  expect_end(read, WalEnd::Kind::stopped, stop, "");
}

TEST(WalReader, NothingButTheEndComesAfterTheEnd) {
  WalStream stream = stream_of();
  stream.append(record_of(1));
  const WalBytes bytes = stream.segments();
  WalPagesInMemory source(kStart, bytes, geometry_of(15));
  WalReader reader = WalReader::open(geometry_of(15), kTimeline, {kStart}, source).value();
  EXPECT_NE(reader.next().value(), nullptr);
  EXPECT_EQ(reader.next().value(), nullptr);
  EXPECT_EQ(reader.next().value(), nullptr);
  EXPECT_EQ(reader.end().kind, WalEnd::Kind::no_record);
}

TEST(WalReader, SwitchEndsTheSegment) {
  WalStream stream = stream_of();
  stream.append(record_of(1));
  const Lsn at = stream.append_switch();
  const Lsn next = stream.append(record_of(2));
  const Read read = read_stream(stream);
  ASSERT_EQ(read.records.size(), 3U);
  EXPECT_EQ(read.records[1].lsn, at);
  EXPECT_EQ(read.records[1].end, Lsn{kStart.value + kSegmentBytes});
  EXPECT_EQ(read.records[2].lsn, next);
}

TEST(WalReader, SwitchThatFillsTheSegmentEndsIt) {
  WalStream stream = stream_of();
  while (stream.position().value + kPageBytes < kStart.value + kSegmentBytes) {
    stream.fill_page_to(24);
    stream.append({});
  }
  stream.fill_page_to(24);
  stream.append_switch();
  ASSERT_EQ(stream.position(), Lsn{kStart.value + kSegmentBytes});
  const Lsn next = stream.append(record_of(2));
  const Read read = read_stream(stream);
  EXPECT_EQ(read.records.back().lsn, next);
  EXPECT_EQ(read.records[read.records.size() - 2].end, Lsn{kStart.value + kSegmentBytes});
}

TEST(WalReader, PagesOfAnOlderTimelineComeFirst) {
  WalStream stream = stream_of();
  stream.set_timeline(TimelineId{1});
  stream.append(record_of(kPageBytes));
  stream.set_timeline(kTimeline);
  stream.append(record_of(kPageBytes));
  EXPECT_EQ(read_stream(stream).records.size(), 2U);
}

TEST(WalReader, OlderTimelineAfterANewerOneIsNoRecord) {
  WalStream stream = stream_of();
  stream.append(record_of(kPageBytes));
  stream.set_timeline(TimelineId{1});
  stream.fill_page_to(8);
  const Lsn cut = stream.append(record_of(10));
  const Read read = read_stream(stream);
  expect_end(read, WalEnd::Kind::no_record, cut, "timeline 1 after one of timeline 2");
}

// -- records cut off by a crash -----------------------------------------------------------------

struct CutOff {
  explicit CutOff(bool names_it = true) : stream(stream_of()) {
    stream.fill_page_to(48);
    before = stream.previous();
    cut = stream.append_cut_off(record_of(100));
    overwrite = stream.append(overwrite_of(names_it ? cut : before));
    after = stream.append(record_of(7));
    bytes = stream.segments();
  }

  WalStream stream;
  Lsn before;
  Lsn cut;
  Lsn overwrite;
  Lsn after;
  WalBytes bytes;
};

TEST(WalReader, RecordCutOffIsPassedOver) {
  const CutOff wal;
  const Read read = read_bytes(wal.bytes, {kStart});
  const auto positions = read.positions();
  ASSERT_EQ(positions.size(), 4U);
  EXPECT_EQ(positions[1], wal.before);
  EXPECT_EQ(positions[2], wal.overwrite);
  EXPECT_EQ(positions[3], wal.after);
}

TEST(WalReader, RecordInPlaceOfAnotherThanTheOneCutOffIsNone) {
  const CutOff wal(false);
  const Read read = read_bytes(wal.bytes, {kStart});
  expect_end(read, WalEnd::Kind::no_record, wal.overwrite, "does not name it");
}

TEST(WalReader, OtherRecordInPlaceOfTheOneCutOffIsNone) {
  for (const bool is_other_manager : {true, false}) {
    WalStream stream = stream_of();
    stream.fill_page_to(48);
    const Lsn cut = stream.append_cut_off(record_of(100));
    WalRecordSpec spec = overwrite_of(cut);
    if (is_other_manager) {
      spec.manager = 1;
    } else {
      spec.info = 0x20;
    }
    const Lsn other = stream.append(spec);
    expect_end(read_stream(stream), WalEnd::Kind::no_record, other, "does not name it");
  }
}

TEST(WalReader, OverwriteNeedsAPosition) {
  for (const std::size_t data_bytes : {7U, 8U}) {
    WalStream stream = stream_of();
    stream.fill_page_to(48);
    WalRecordSpec spec = overwrite_of(stream.append_cut_off(record_of(100)));
    spec.main_data.resize(data_bytes);
    const Lsn overwrite = stream.append(spec);
    const Read read = read_stream(stream);
    EXPECT_EQ(read.records.back().lsn == overwrite, data_bytes == 8);
    const Lsn end = data_bytes == 8 ? stream.position() : overwrite;
    expect_end(read, WalEnd::Kind::no_record, end, data_bytes == 8 ? "" : "does not name it");
  }
}

TEST(WalReader, PageAfterARecordCutOffIsAPlaceToBegin) {
  const CutOff wal;
  const Read read = read_bytes(wal.bytes, {Lsn{kStart.value + kPageBytes}});
  EXPECT_EQ(read.positions(), (std::vector<Lsn>{wal.overwrite, wal.after}));
}

TEST(WalReader, LongRecordCutOffIsPassedOver) {
  WalStream stream = stream_of();
  stream.append(record_of(1));
  const Lsn cut = stream.append_cut_off(record_of(9 * kPageBytes), 3);
  const Lsn overwrite = stream.append(overwrite_of(cut));
  EXPECT_EQ(overwrite, Lsn{kStart.value + 3 * kPageBytes + 24});
  EXPECT_EQ(read_stream(stream).positions().back(), overwrite);
  for (const std::uint64_t page : {1U, 2U, 3U}) {
    const Read read = read_bytes(stream.segments(), {Lsn{kStart.value + page * kPageBytes}});
    EXPECT_EQ(read.positions(), std::vector<Lsn>{overwrite}) << page;
  }
}

// -- the end, and what is required ----------------------------------------------------------------

TEST(WalReader, EndOfThePagesIsToldFromDamage) {
  WalStream stream = stream_of();
  stream.fill_page_to(48);
  stream.append(record_of(22));
  WalBytes bytes = stream.segments();
  bytes.resize(kPageBytes);
  expect_end(read_bytes(bytes, {kStart}), WalEnd::Kind::absent, {stream.position().value + 24},
             "no more WAL");
}

TEST(WalReader, RecordWhoseRestIsAbsentBeginsTheEnd) {
  WalStream stream = stream_of();
  const Lsn record = stream.append(record_of(kPageBytes));
  WalBytes bytes = stream.segments();
  bytes.resize(kPageBytes);
  expect_end(read_bytes(bytes, {kStart}), WalEnd::Kind::absent, record, "no more WAL");
}

TEST(WalReader, NoPagesAtAllIsAnEnd) {
  expect_end(read_bytes({}, {kStart}), WalEnd::Kind::absent, kStart, "no more WAL");
}

TEST(WalReader, EndBeforeWhatIsRequiredIsAnError) {
  WalStream stream = stream_of();
  stream.append(record_of(1));
  const Lsn end = stream.position();
  const WalRange enough{kStart, {kStart.value + kSegmentBytes}, end};
  EXPECT_FALSE(read_bytes(stream.segments(), enough).error.has_value());
  const WalRange too_much{kStart, {kStart.value + kSegmentBytes}, {end.value + 1}};
  const Read read = read_bytes(stream.segments(), too_much);
  EXPECT_EQ(read.records.size(), 1U);
  expect_error(read, ErrorCode::corrupt, "segment 000000020000000000000005");
  expect_error(read, ErrorCode::corrupt, "record length 0");
}

TEST(WalReader, AbsentPagesThatAreRequiredAreNotFound) {
  const WalRange range{kStart, {kStart.value + kSegmentBytes}, {kStart.value + 1}};
  expect_error(read_bytes({}, range), ErrorCode::not_found, "no more WAL");
}

TEST(WalReader, ErrorOfAMissingRangeStays) {
  const WalRange range{kStart, {kStart.value + kSegmentBytes}, {kStart.value + 1}};
  WalPagesInMemory source(kStart, {}, geometry_of(15));
  WalReader reader = WalReader::open(geometry_of(15), kTimeline, range, source).value();
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

// Fails where it is told to, until it is told otherwise.
class FailingSource final : public WalPageSource {
 public:
  FailingSource(const WalBytes& bytes, Lsn failing_page)
      : failing(failing_page), pages_(kStart, bytes, geometry_of(15)) {}

  Result<ByteSpan> pages_at(Lsn page) override {
    if (page == failing) return Error(ErrorCode::io, "the disk is gone");
    // One page at a time, so that every one is asked for.
    const ByteSpan pages = HAUL_TRY(pages_.pages_at(page));
    return pages.first(std::min<std::size_t>(pages.size(), kPageBytes));
  }

  Lsn failing;

 private:
  WalPagesInMemory pages_;
};

TEST(WalReader, ErrorOfTheSourceIsHandedOnAndReadingResumes) {
  WalStream stream = stream_of();
  stream.append(record_of(3 * kPageBytes, 'x'));
  stream.append(record_of(1));
  const WalBytes bytes = stream.segments();
  for (const std::uint64_t page : {0U, 1U, 2U}) {
    FailingSource source(bytes, Lsn{kStart.value + page * kPageBytes});
    WalReader reader = WalReader::open(geometry_of(15), kTimeline, {kStart}, source).value();
    const auto failed = reader.next();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), ErrorCode::io);
    source.failing = Lsn{};
    const WalRecord* record = reader.next().value();
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(text_of(record->main_data), std::string(3 * kPageBytes, 'x'));
    EXPECT_NE(reader.next().value(), nullptr);
    EXPECT_EQ(reader.next().value(), nullptr);
  }
}

TEST(WalReader, ErrorWithinARecordOverATimelinesStartDoesNotLoseThePlace) {
  WalStream stream = stream_of();
  stream.set_timeline(TimelineId{1});
  stream.fill_page_to(48);
  stream.set_timeline(kTimeline);
  const Lsn record = stream.append(record_of(2 * kPageBytes));
  const WalBytes bytes = stream.segments();
  FailingSource source(bytes, Lsn{kStart.value + 2 * kPageBytes});
  WalReader reader = WalReader::open(geometry_of(15), kTimeline, {record}, source).value();
  EXPECT_FALSE(reader.next());
  source.failing = Lsn{};
  const WalRecord* read = reader.next().value();
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->lsn, record);
}

TEST(WalReader, ErrorWhileTheStartIsSkippedDoesNotLoseThePlace) {
  const LongStream wal;
  FailingSource source(wal.bytes, Lsn{kStart.value + 4 * kPageBytes});
  WalReader reader = WalReader::open(geometry_of(15), kTimeline, {source.failing}, source).value();
  EXPECT_FALSE(reader.next());
  source.failing = Lsn{};
  const auto first = std::ranges::lower_bound(wal.positions, Lsn{kStart.value + 4 * kPageBytes});
  EXPECT_EQ(reader.next().value()->lsn, *first);
}

// -- what is refused ----------------------------------------------------------------------------

TEST(WalReader, PositionsWithinAHeaderAreRefused) {
  const auto open_at = [](std::uint64_t offset) {
    return read_bytes({}, {Lsn{kStart.value + offset}});
  };
  expect_error(open_at(8), ErrorCode::usage, "no WAL record can begin");
  expect_error(open_at(32), ErrorCode::usage, "no WAL record can begin");
  expect_error(open_at(kPageBytes + 16), ErrorCode::usage, "no WAL record can begin");
  expect_error(open_at(100), ErrorCode::usage, "no WAL record can begin");
  EXPECT_FALSE(open_at(40).error.has_value());
  EXPECT_FALSE(open_at(kPageBytes + 24).error.has_value());
}

TEST(WalReader, UnknownReleasesAndSizesAreRefused) {
  const auto open_with = [](const WalGeometry& geometry) {
    return read_bytes({}, {kStart}, geometry);
  };
  expect_error(open_with(geometry_of(12)), ErrorCode::unsupported, "PostgreSQL 12");
  expect_error(open_with(geometry_of(19)), ErrorCode::unsupported, "PostgreSQL 19");
  expect_error(open_with(geometry_of(15, 512)), ErrorCode::unsupported, "512 bytes");
  expect_error(open_with(geometry_of(15, 131072)), ErrorCode::unsupported, "131072 bytes");
  expect_error(open_with(geometry_of(15, 8000)), ErrorCode::unsupported, "8000 bytes");
  expect_error(open_with({15, 1, 12345, kPageBytes}), ErrorCode::unsupported, "12345 bytes");
}

// -- damage -------------------------------------------------------------------------------------

// Two pages of records, one of which lies on both.
WalStream small_stream() {
  WalStream stream = stream_of();
  stream.append(record_of(100, 'a'));
  stream.append(record_of(200, 'b'));
  stream.fill_page_to(100 / 8 * 8);
  stream.append(record_of(300, 'c'));
  stream.append(record_of(64, 'd'));
  return stream;
}

Read read_damaged(const std::function<void(WalBytes&)>& damage, Lsn begin = kStart) {
  WalBytes bytes = small_stream().segments();
  damage(bytes);
  return read_bytes(bytes, {begin});
}

TEST(WalReader, WrongFieldsOfAPageHeaderEndThere) {
  const auto with = [](std::size_t offset, auto value) {
    return read_damaged([&](WalBytes& bytes) { put(bytes, offset, value); });
  };
  expect_end(with(0, std::uint16_t{0xD10D}), WalEnd::Kind::no_record, kStart, "magic");
  expect_end(with(2, std::uint16_t{0}), WalEnd::Kind::no_record, kStart, "long header");
  expect_end(with(24, std::uint64_t{1}), WalEnd::Kind::no_record, kStart, "system identifier");
  const std::vector<Lsn> positions = read_stream(small_stream()).positions();
  const Lsn cut = positions[positions.size() - 2];
  const std::size_t second = kPageBytes;
  expect_end(with(second, std::uint16_t{0}), WalEnd::Kind::no_record, cut, "magic");
  expect_end(with(second + 2, std::uint16_t{0}), WalEnd::Kind::no_record, cut, "going on");
  expect_end(with(second + 4, std::uint32_t{3}), WalEnd::Kind::no_record, cut, "timeline");
  expect_end(with(second + 8, kStart.value), WalEnd::Kind::no_record, cut, "address");
  expect_end(with(second + 16, std::uint32_t{0}), WalEnd::Kind::no_record, cut, "going on");
  expect_end(with(second + 16, std::uint32_t{1}), WalEnd::Kind::no_record, cut,
             "with 1 bytes instead of");
}

TEST(WalReader, ClusterIsCheckedWhereverASegmentIsEntered) {
  const LongStream wal;
  WalBytes bytes = wal.bytes;
  put(bytes, 24, std::uint64_t{1});
  const Lsn begin = wal.positions[3];
  expect_end(read_bytes(bytes, {begin}), WalEnd::Kind::no_record, begin, "system identifier");
}

TEST(WalReader, RecordThatGoesOnWhereNoneWasBegunIsNone) {
  WalStream stream = stream_of();
  stream.fill_page_to(48);
  stream.append(record_of(22));
  const Lsn next = stream.append(record_of(8));
  WalBytes bytes = stream.segments();
  put<std::uint16_t>(bytes, kPageBytes + 2, 0x01);
  put<std::uint32_t>(bytes, kPageBytes + 16, 34);
  expect_end(read_bytes(bytes, {kStart}), WalEnd::Kind::no_record, next, "goes on where one");
}

TEST(WalReader, PageThatDoesNotGoOnWithARecordIsNone) {
  WalStream stream = stream_of();
  const Lsn record = stream.append(record_of(kPageBytes));
  WalBytes bytes = stream.segments();
  put<std::uint16_t>(bytes, kPageBytes + 2, 0);
  put<std::uint32_t>(bytes, kPageBytes + 16, 0);
  expect_end(read_bytes(bytes, {kStart}), WalEnd::Kind::no_record, record, "0 bytes instead of");
}

TEST(WalReader, RestsThatDoNotAddUpAreNoRecord) {
  WalStream stream = stream_of();
  stream.append(record_of(5 * kPageBytes));
  WalBytes bytes = stream.segments();
  put<std::uint32_t>(bytes, 2 * kPageBytes + 16, 77);
  const Lsn begin{kStart.value + kPageBytes};
  expect_end(read_bytes(bytes, {begin}), WalEnd::Kind::no_record, {begin.value + kPageBytes + 24},
             "77 bytes of a record go on");
}

TEST(WalReader, LengthsThatCannotBeAreNoRecord) {
  const Lsn first{kStart.value + 40};
  for (const std::uint32_t size_bytes : {0U, 23U, kWalRecordSizeMaxBytes + 1, 0xFFFFFFFFU}) {
    const Read read =
        read_damaged([&](WalBytes& bytes) { put(bytes, offset_of(first), size_bytes); });
    expect_end(read, WalEnd::Kind::no_record, first, "record length");
  }
  for (const std::uint32_t size_bytes : {24U, kWalRecordSizeMaxBytes}) {
    const Read read =
        read_damaged([&](WalBytes& bytes) { put(bytes, offset_of(first), size_bytes); });
    expect_end(read, WalEnd::Kind::no_record, first, size_bytes == 24 ? "checksum" : "goes on");
  }
}

TEST(WalReader, RecordThatFollowsAnotherIsNone) {
  WalStream stream = stream_of();
  stream.append(record_of(1));
  const Lsn wrong = stream.append_bytes(support::encode_wal_record(record_of(1), 15, kStart));
  const Read read = read_stream(stream);
  EXPECT_EQ(read.records.size(), 1U);
  expect_end(read, WalEnd::Kind::no_record, wrong, "follows 0/500000");
}

TEST(WalReader, FirstRecordFollowsOneBeforeTheRange) {
  WalStream stream = stream_of();
  const Lsn first = stream.append_bytes(support::encode_wal_record(record_of(1), 15, kStart));
  expect_end(read_stream(stream), WalEnd::Kind::no_record, first, "follows 0/500000");
  EXPECT_EQ(read_bytes(stream.segments(), {first}).records.size(), 1U);
}

TEST(WalReader, FirstRecordOfAClusterFollowsNone) {
  WalStream stream = stream_of();
  stream.append_bytes(support::encode_wal_record(record_of(1), 15, Lsn{}));
  EXPECT_EQ(read_stream(stream).records.size(), 1U);
}

// A rest that is longer than it was leads past the first record, to another one's start.
TEST(WalReader, FirstRecordIsNotPassedOver) {
  WalStream stream = stream_of();
  stream.fill_page_to(48);
  stream.append(record_of(80));
  const Lsn first = stream.append(record_of(22));
  const Lsn second = stream.append(record_of(22));
  WalBytes bytes = stream.segments();
  std::uint32_t rest_bytes = 0;
  std::memcpy(&rest_bytes, bytes.data() + kPageBytes + 16, sizeof rest_bytes);
  const auto longer = static_cast<std::uint32_t>(rest_bytes + second.value - first.value);
  put(bytes, kPageBytes + 16, longer);
  expect_end(read_bytes(bytes, {Lsn{kStart.value + kPageBytes}}), WalEnd::Kind::no_record, second,
             "follows");
}

// Whatever byte is wrong: what is read are the records that were written, up to some point.
void expect_only_true_records(Lsn begin, std::size_t from, std::size_t to) {
  WalBytes bytes = small_stream().segments();
  const Read whole = read_bytes(bytes, {begin});
  for (std::size_t at = from; at < to; ++at) {
    for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
      bytes[at] ^= static_cast<std::byte>(flip);
      const Read read = read_bytes(bytes, {begin});
      bytes[at] ^= static_cast<std::byte>(flip);
      ASSERT_FALSE(read.error.has_value());
      ASSERT_LE(read.records.size(), whole.records.size());
      EXPECT_TRUE(
          std::ranges::equal(read.records, std::span(whole.records).first(read.records.size())))
          << at;
    }
  }
}

TEST(WalReader, NoDamagedByteMakesAnotherRecord) {
  const std::size_t used = offset_of(small_stream().position());
  expect_only_true_records(kStart, 0, 500);
  expect_only_true_records(kStart, kPageBytes - 150, used + 64);
}

TEST(WalReader, NoDamagedByteMakesAnotherRecordWhereTheStartIsSkipped) {
  const std::size_t used = offset_of(small_stream().position());
  expect_only_true_records(Lsn{kStart.value + kPageBytes}, kPageBytes, used + 64);
}

TEST(WalPagesInMemory, GivesPagesToTheEndOfTheSegment) {
  const WalBytes bytes(2 * kSegmentBytes + kPageBytes + 100);
  WalPagesInMemory source(kStart, bytes, geometry_of(15));
  EXPECT_EQ(source.pages_at(kStart).value().size(), kSegmentBytes);
  const Lsn second{kStart.value + kSegmentBytes};
  EXPECT_EQ(source.pages_at({second.value + kPageBytes}).value().size(),
            kSegmentBytes - kPageBytes);
  EXPECT_EQ(source.pages_at({second.value + kSegmentBytes}).value().size(), kPageBytes);
  EXPECT_TRUE(source.pages_at({second.value + kSegmentBytes + kPageBytes}).value().empty());
  EXPECT_TRUE(source.pages_at({kStart.value - kPageBytes}).value().empty());
}

}  // namespace
}  // namespace haul::postgres
