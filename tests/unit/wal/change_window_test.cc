#include "engine/wal/change_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/segment_changes.h"
#include "tests/support/wal_stream.h"
#include "tests/unit/wal/changing_record.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using postgres::Fork;
using postgres::WalGeometry;
using postgres::WalSegment;
using support::packed;
using support::WalRecordSpec;
using support::WalStream;
using testing::ArchiveFixture;
using testing::change;
using testing::code_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::relation;

constexpr WalGeometry kGeometry = {15, kSystem, kSegmentBytes, testing::kBlockBytes};
constexpr std::uint64_t kFirst = 5;
constexpr std::uint64_t kSegments = 6;

WalRecordSpec parameters(std::uint32_t wal_level) {
  WalRecordSpec spec;
  spec.info = 0x60;
  spec.main_data = std::string(20, '\0') + packed(wal_level, std::uint8_t{1}, std::uint8_t{0});
  return spec;
}

// So that little room is left on its last page.
void fill_segment(WalStream& stream, std::size_t room_bytes) {
  const std::uint64_t end = (stream.position().value / kSegmentBytes + 1) * kSegmentBytes;
  std::uint32_t block = 0;
  while (end - stream.position().value > testing::kBlockBytes) {
    stream.append(change(900, ++block, 1000));
  }
  stream.fill_page_to(room_bytes);
}

// Some segments of WAL whose records lie across all boundaries, with what they change.
class WindowOfChanges : public ::testing::Test {
 protected:
  WindowOfChanges() {
    from_ = Lsn{stream_.start().value + 40};
    for (std::uint32_t i = 0; stream_.position().value < segment_end(kSegments - 2); ++i) {
      stream_.append(change(1 + i % 5, i % 3001, 20 + i % 700));
    }
    stream_.append(change(77, 0));
    to_ = stream_.append(change(88, 0));
  }

  static std::uint64_t segment_end(std::uint64_t index) {
    return (kFirst + index + 1) * kSegmentBytes;
  }

  static std::string name_of(std::uint64_t index, std::uint32_t timeline = 1) {
    return postgres::to_name({TimelineId{timeline}, kFirst + index}, kSegmentBytes);
  }

  static std::string content_of(const WalStream& stream, std::uint64_t index) {
    const support::WalBytes bytes = stream.segments();
    const std::uint64_t first = stream.start().value / kSegmentBytes - kFirst;
    return std::string(
        text_of(ByteSpan(bytes).subspan((index - first) * kSegmentBytes, kSegmentBytes)));
  }

  void archive(const WalStream& stream, std::uint64_t index, std::uint32_t timeline = 1) {
    const auto pushed = archive_.push(name_of(index, timeline), content_of(stream, index));
    ASSERT_TRUE(pushed) << pushed.error().message();
    archive_.remove("data/pg_wal/" + name_of(index, timeline));
  }

  void archive_all_but_last() {
    for (std::uint64_t index = 0; index + 1 < kSegments; ++index) archive(stream_, index);
  }

  void leave_on_server(std::uint64_t index) {
    archive_.write("data/pg_wal/" + name_of(index), content_of(stream_, index));
  }

  ChangeWindowRequest request(const TimelineHistory& lineage) {
    ChangeWindowRequest request;
    request.route = {archive_.cluster(), kGeometry, lineage, wal_directory_.get()};
    request.from = from_;
    request.stop = stop_.get_token();
    return request;
  }
  Result<ChangeWindow> find(Lsn from, Lsn to, const TimelineHistory& lineage,
                            std::size_t workers = 1) {
    ChangeWindowRequest asked = request(lineage);
    asked.from = from;
    asked.to = to;
    asked.workers = workers;
    return find_changes(asked);
  }
  Status keep_ahead() { return keep_archived_changes(request(first_timeline(TimelineId{1}))); }
  void spoil(std::uint64_t index) {
    const std::string changes = changes_name(index);
    archive_.overwrite(changes.substr(0, changes.rfind('.')), "no WAL");
  }
  bool is_kept(std::uint64_t index) {
    return archive_.cluster().store->head(changes_name(index)).has_value();
  }
  Result<ChangeWindow> find(Lsn from, Lsn to) {
    return find(from, to, first_timeline(TimelineId{1}));
  }

  // What all records before `to` change.
  postgres::ChangedBlocks all_before(Lsn to) const {
    const support::WalBytes bytes = stream_.segments();
    postgres::WalPagesInMemory source(stream_.start(), bytes, kGeometry);
    postgres::WalRange range;
    range.begin = stream_.start();
    range.stop = to;
    auto reader = postgres::WalReader::open(kGeometry, TimelineId{1}, range, source).value();
    postgres::WalChanges changes;
    while (const auto* record = reader.next().value()) {
      EXPECT_TRUE(postgres::add_changes(*record, 15, changes));
    }
    return std::move(changes.blocks);
  }

  std::string changes_name(std::uint64_t index) {
    return changes_key(archive_.cluster().layout,
                       {kSystem, parse_wal_name(name_of(index)).value()});
  }

  ArchiveFixture archive_;
  std::unique_ptr<io::Directory> wal_directory_ = archive_.disk.open("data/pg_wal").value();
  WalStream stream_{kGeometry, TimelineId{1}, kFirst};
  Lsn from_;
  Lsn to_;
  std::stop_source stop_;
};

bool has(const ChangeWindow& window, std::uint32_t relfilenode, std::uint32_t block) {
  return window.blocks.blocks_from({relation(relfilenode), Fork::main}, block)[0];
}

TEST_F(WindowOfChanges, IsWhatItsRecordsChange) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  const auto window = find(from_, to_);
  ASSERT_TRUE(window) << window.error().message();
  EXPECT_TRUE(window->blocks == all_before(to_));
  EXPECT_TRUE(has(*window, 77, 0));
  EXPECT_FALSE(has(*window, 88, 0)) << "begins where the window ends";
  EXPECT_EQ(window->segments, kSegments);
  EXPECT_EQ(window->segments_known, 0U);
  EXPECT_THAT(window->damage, IsEmpty());
}

TEST_F(WindowOfChanges, SegmentsAreReadOnce) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  const auto first = find(from_, to_);
  const auto again = find(from_, to_);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(again->segments_known, kSegments - 1);
  EXPECT_LT(again->bytes_read, 2 * kSegmentBytes);
  EXPECT_TRUE(again->blocks == first->blocks);
}

TEST_F(WindowOfChanges, SegmentsWhoseChangesAreKeptNeedNotBeThere) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  ASSERT_TRUE(find(from_, to_));
  const std::string segment = changes_name(1).substr(0, changes_name(1).rfind('.'));
  ASSERT_TRUE(archive_.cluster().store->remove(segment));
  const auto window = find(from_, to_);
  ASSERT_TRUE(window) << window.error().message();
  EXPECT_TRUE(window->blocks == all_before(to_));
}

TEST_F(WindowOfChanges, WhatIsArchivedCanBeReadAhead) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  ASSERT_TRUE(keep_ahead());
  EXPECT_FALSE(is_kept(kSegments - 2))
      << "its last record may end in a segment that is not archived";
  const auto window = find(from_, to_);
  ASSERT_TRUE(window) << window.error().message();
  EXPECT_EQ(window->segments_known, kSegments - 2);
  EXPECT_TRUE(window->blocks == all_before(to_));
}

TEST_F(WindowOfChanges, IsReadAheadUpToWhatIsMissingAndNoSecondTime) {
  for (const std::uint64_t index : {0U, 1U, 2U, 4U}) archive(stream_, index);
  leave_on_server(3);
  ASSERT_TRUE(keep_ahead());
  EXPECT_TRUE(is_kept(0) && is_kept(1));
  EXPECT_FALSE(is_kept(2) || is_kept(3) || is_kept(4));
  archive(stream_, 3);
  spoil(0);  // not looked at again
  ASSERT_TRUE(keep_ahead());
  EXPECT_TRUE(is_kept(2) && is_kept(3));
}

TEST_F(WindowOfChanges, WhatCannotBeReadAheadIsTold) {
  for (const std::uint64_t index : {0U, 1U, 2U}) archive(stream_, index);
  spoil(0);
  EXPECT_EQ(code_of(keep_ahead()), ErrorCode::corrupt);
  stop_.request_stop();
  EXPECT_EQ(code_of(keep_ahead()), ErrorCode::interrupted);
}

TEST_F(WindowOfChanges, WorkersFindTheSame) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  const auto window = find(from_, to_, first_timeline(TimelineId{1}), 4);
  ASSERT_TRUE(window) << window.error().message();
  EXPECT_TRUE(window->blocks == all_before(to_));
}

TEST_F(WindowOfChanges, ServerHasWhatIsNotArchived) {
  archive(stream_, 0);
  for (std::uint64_t index = 1; index < kSegments; ++index) leave_on_server(index);
  for (const std::uint64_t known : {0U, 1U}) {
    const auto window = find(from_, to_);
    ASSERT_TRUE(window) << window.error().message();
    EXPECT_TRUE(window->blocks == all_before(to_));
    EXPECT_EQ(window->segments_known, known) << "of a segment that is not archived nothing is kept";
  }
}

TEST_F(WindowOfChanges, MissingSegmentIsNamed) {
  for (const std::uint64_t index : {0U, 1U, 3U, 4U}) archive(stream_, index);
  leave_on_server(kSegments - 1);
  const auto window = find(from_, to_);
  ASSERT_EQ(code_of(window), ErrorCode::server_state);
  EXPECT_THAT(window.error().message(), HasSubstr(name_of(2)));
  EXPECT_THAT(window.error().hint(), HasSubstr("--changes scan"));
}

TEST_F(WindowOfChanges, MissingTailIsNamed) {
  archive_all_but_last();
  const auto window = find(from_, to_);
  ASSERT_EQ(code_of(window), ErrorCode::server_state);
  EXPECT_THAT(window.error().message(), HasSubstr(name_of(kSegments - 1)));
  wal_directory_.reset();
  EXPECT_EQ(code_of(find(from_, to_)), ErrorCode::server_state);
}

TEST_F(WindowOfChanges, BeginsAndEndsWhereRecordsDo) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  EXPECT_TRUE(find(Lsn{from_.value - 40}, to_)) << "the page's header is before its first record";
  EXPECT_EQ(code_of(find(from_, Lsn{to_.value + 8})), ErrorCode::corrupt);
  EXPECT_EQ(code_of(find(from_, Lsn{to_.value - 8})), ErrorCode::corrupt);
  const Lsn within_record{segment_end(0) + 40};
  EXPECT_EQ(code_of(find(within_record, to_)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(find(to_, from_)), ErrorCode::usage);
  const auto empty = find(to_, to_);
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->blocks.empty());
}

TEST_F(WindowOfChanges, DamagedKeptChangesAreFoundAnew) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  ASSERT_TRUE(find(from_, to_));
  const std::string key = changes_name(2);
  std::string object = archive_.object(key);
  object.back() = static_cast<char>(object.back() ^ 1);
  archive_.overwrite(key, object);
  const auto window = find(from_, to_);
  ASSERT_TRUE(window) << window.error().message();
  EXPECT_TRUE(window->blocks == all_before(to_));
  EXPECT_EQ(window->segments_known, kSegments - 2);
  ASSERT_EQ(window->damage.size(), 1U);
  EXPECT_THAT(window->damage[0], HasSubstr(key));
  EXPECT_EQ(archive_.object(key), object) << "nothing is replaced";
}

TEST_F(WindowOfChanges, SegmentsThatDoNotFitTogetherAreRefused) {
  WalStream first(kGeometry, TimelineId{1}, kFirst);
  first.append(change(1, 7));
  fill_segment(first, 0);
  WalStream second(kGeometry, TimelineId{1}, kFirst);
  fill_segment(second, 64);
  second.append(change(2, 8, 200));
  const Lsn to = second.append(change(3, 9));
  archive(first, 0);
  archive_.write("data/pg_wal/" + name_of(1), content_of(second, 1));
  const auto window = find(from_, to);
  ASSERT_EQ(code_of(window), ErrorCode::corrupt);
  EXPECT_THAT(window.error().message(), HasSubstr(name_of(1)));
}

TEST_F(WindowOfChanges, EventsAreThoseOfTheWindow) {
  WalStream stream(kGeometry, TimelineId{1}, kFirst);
  stream.append(parameters(2));
  const Lsn from = stream.append(change(1, 7));
  const Lsn event = stream.append(parameters(0));
  fill_segment(stream, 64);
  const Lsn second = stream.append(parameters(1));
  const Lsn to = stream.append(change(1, 7));
  stream.append(parameters(2));
  archive(stream, 0);
  archive_.write("data/pg_wal/" + name_of(1), content_of(stream, 1));
  for (int run = 0; run < 2; ++run) {
    const auto window = find(from, to);
    ASSERT_TRUE(window) << window.error().message();
    const std::vector<postgres::WalEvent> expected = {
        {event, postgres::ParameterChange{postgres::WalLevel::minimal, true}},
        {second, postgres::ParameterChange{postgres::WalLevel::replica, true}}};
    EXPECT_EQ(window->events, expected);
  }
}

TEST_F(WindowOfChanges, InterruptedEndsIt) {
  archive_all_but_last();
  leave_on_server(kSegments - 1);
  stop_.request_stop();
  EXPECT_EQ(code_of(find(from_, to_)), ErrorCode::interrupted);
}

// The first timeline is left within a segment, whose second half only the second one has.
TEST_F(WindowOfChanges, GoesAlongTheLineage) {
  WalStream old_timeline(kGeometry, TimelineId{1}, kFirst);
  WalStream new_timeline(kGeometry, TimelineId{1}, kFirst);
  for (WalStream* stream : {&old_timeline, &new_timeline}) {
    fill_segment(*stream, 64);
    stream->append(change(1, 7, 200));
    stream->fill_page_to(0);
  }
  const Lsn left_at = old_timeline.position();
  new_timeline.set_timeline(TimelineId{2});
  old_timeline.append(change(2, 8));
  new_timeline.append(change(3, 9));
  fill_segment(old_timeline, 64);
  fill_segment(new_timeline, 64);
  old_timeline.append(change(4, 10, 200));
  new_timeline.append(change(5, 11, 200));
  const Lsn to = new_timeline.append(change(6, 12));
  for (std::uint64_t index : {0U, 1U, 2U}) archive(old_timeline, index);
  for (std::uint64_t index : {1U, 2U}) archive(new_timeline, index, 2);

  const TimelineHistory lineage{TimelineId{2},
                                {{TimelineId{1}, {}, left_at}, {TimelineId{2}, left_at, {}}}};
  const auto window = find(from_, to, lineage);
  ASSERT_TRUE(window) << window.error().message();
  for (const std::uint32_t relfilenode : {1U, 3U, 5U}) {
    EXPECT_TRUE(window->blocks.touches({relation(relfilenode), Fork::main})) << relfilenode;
  }
  for (const std::uint32_t relfilenode : {2U, 4U, 6U}) {
    EXPECT_FALSE(window->blocks.touches({relation(relfilenode), Fork::main})) << relfilenode;
  }
}

// A record at the end of a segment is whole on one lineage and cut off on another. What was kept on
// the first one does not fit on the second.
TEST_F(WindowOfChanges, KeptOnAnotherLineageIsFoundAnew) {
  WalStream whole(kGeometry, TimelineId{1}, kFirst);
  WalStream cut(kGeometry, TimelineId{1}, kFirst);
  fill_segment(whole, 64);
  fill_segment(cut, 64);
  whole.append(change(2, 8, 200));
  const Lsn old_to = whole.append(change(3, 9));
  const Lsn cut_at = cut.append_cut_off(change(2, 8, 200));
  cut.set_timeline(TimelineId{2});
  WalRecordSpec overwrite;
  overwrite.info = 0xD0;
  overwrite.main_data = packed(cut_at.value, std::int64_t{0});
  cut.append(overwrite);
  const Lsn to = cut.append(change(4, 10));
  archive(whole, 0);
  archive(whole, 1);
  archive(cut, 1, 2);

  ASSERT_TRUE(find(from_, old_to));
  const Lsn left_at{segment_end(0)};
  const TimelineHistory lineage{TimelineId{2},
                                {{TimelineId{1}, {}, left_at}, {TimelineId{2}, left_at, {}}}};
  for (int run = 0; run < 2; ++run) {
    const auto window = find(from_, to, lineage);
    ASSERT_TRUE(window) << window.error().message();
    EXPECT_TRUE(window->blocks.touches({relation(900), Fork::main}));
    EXPECT_EQ(window->segments_known, 0U);
    EXPECT_THAT(window->damage, IsEmpty());
  }
  const auto old = find(from_, old_to);
  ASSERT_TRUE(old) << old.error().message();
  EXPECT_TRUE(has(*old, 2, 8)) << "the first lineage has the record";
  EXPECT_EQ(old->segments_known, 1U);
}

}  // namespace
}  // namespace haul::wal
