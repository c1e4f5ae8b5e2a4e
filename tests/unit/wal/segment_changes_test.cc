#include "engine/wal/segment_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/repository/framed_object.h"
#include "tests/support/wal_stream.h"
#include "tests/unit/wal/changing_record.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using postgres::Fork;
using postgres::WalGeometry;
using postgres::WalPagesInMemory;
using postgres::WalSegment;
using support::WalRecordSpec;
using support::WalStream;
using testing::ArchiveFixture;
using testing::change;
using testing::code_of;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::relation;

constexpr WalGeometry kGeometry = {15, kSystem, kSegmentBytes, testing::kBlockBytes};
constexpr std::uint64_t kFirst = 5;
constexpr TimelineId kTimeline{1};
constexpr std::size_t kPageHeaderBytes = 24;

WalStream new_stream() { return {kGeometry, kTimeline, kFirst}; }

// Appends records until the segment has so much room left on its last page.
void fill_segment(WalStream& stream, std::size_t room_bytes) {
  const auto end_of = [](Lsn lsn) { return (lsn.value / kSegmentBytes + 1) * kSegmentBytes; };
  const std::uint64_t end = end_of(Lsn{stream.position().value});
  std::uint32_t block = 0;
  while (end - stream.position().value > testing::kBlockBytes) {
    stream.append(change(900, ++block, 1000));
  }
  stream.fill_page_to(room_bytes);
}

Result<SegmentChanges> find(const WalStream& stream, std::uint64_t number) {
  const support::WalBytes bytes = stream.segments();
  WalPagesInMemory source(stream.start(), bytes, kGeometry);
  return find_segment_changes(kGeometry, {{kTimeline, number}, kTimeline, {~0ULL}}, source);
}

SegmentChanges expect_found(const WalStream& stream, std::uint64_t number) {
  auto found = find(stream, number);
  if (!found) {
    ADD_FAILURE() << found.error().message();
    return {};
  }
  return std::move(found).take();
}

bool has(const SegmentChanges& changes, std::uint32_t relfilenode, std::uint32_t block) {
  return changes.changes.blocks.blocks_from({relation(relfilenode), Fork::main}, block)[0];
}

TEST(SegmentChanges, RecordOverTheBoundaryBelongsWhereItBegins) {
  WalStream stream = new_stream();
  stream.append(change(1, 7));
  fill_segment(stream, 64);
  const Lsn split = stream.append(change(2, 8, 200));
  const Lsn next = stream.append(change(3, 9));
  fill_segment(stream, 0);
  stream.append(change(4, 10));

  ASSERT_LT(split, (WalSegment{kTimeline, kFirst}.end(kSegmentBytes)));
  const SegmentChanges first = expect_found(stream, kFirst);
  const SegmentChanges second = expect_found(stream, kFirst + 1);
  EXPECT_TRUE(has(first, 1, 7));
  EXPECT_TRUE(has(first, 2, 8));
  EXPECT_FALSE(has(first, 3, 9));
  EXPECT_FALSE(has(second, 2, 8));
  EXPECT_TRUE(has(second, 3, 9));
  EXPECT_FALSE(has(second, 4, 10));

  EXPECT_EQ(first.begin, (Lsn{stream.start().value + 40}));
  EXPECT_EQ(first.end, next);
  EXPECT_EQ(second.begin, next);
  EXPECT_EQ(second.end, (Lsn{(kFirst + 2) * kSegmentBytes + 40}));
}

TEST(SegmentChanges, RecordThatEndsWithTheSegmentLeavesNothingBehind) {
  WalStream stream = new_stream();
  fill_segment(stream, 0);
  stream.append(change(3, 9));
  fill_segment(stream, 0);
  stream.append(change(3, 10));
  const Lsn behind_header{(kFirst + 1) * kSegmentBytes + 40};
  EXPECT_EQ(expect_found(stream, kFirst).end, behind_header);
  EXPECT_EQ(expect_found(stream, kFirst + 1).begin, behind_header);
}

TEST(SegmentChanges, SegmentWithinOneRecordHasNone) {
  WalStream stream = new_stream();
  stream.append(change(1, 7));
  stream.append(change(2, 8, 3U << 20));
  const Lsn next = stream.append(change(3, 9));
  fill_segment(stream, 0);
  stream.append(change(3, 10));

  const SegmentChanges first = expect_found(stream, kFirst);
  EXPECT_TRUE(has(first, 2, 8));
  EXPECT_EQ(first.end, next);
  for (const std::uint64_t number : {kFirst + 1, kFirst + 2}) {
    const SegmentChanges within = expect_found(stream, number);
    EXPECT_TRUE(within.changes.blocks.empty());
    EXPECT_EQ(within.begin, next);
    EXPECT_EQ(within.end, next);
  }
  EXPECT_EQ(expect_found(stream, kFirst + 3).begin, next);
}

TEST(SegmentChanges, RecordCutOffAtTheBoundaryCountsForNothing) {
  WalStream stream = new_stream();
  stream.append(change(1, 7));
  fill_segment(stream, 64);
  const Lsn cut = stream.append_cut_off(change(2, 8, 200));
  WalRecordSpec overwrite;
  overwrite.info = 0xD0;
  overwrite.main_data = support::packed(cut.value, std::int64_t{0});
  const Lsn next = stream.append(overwrite);
  stream.append(change(3, 9));
  fill_segment(stream, 0);
  stream.append(change(3, 10));

  const SegmentChanges first = expect_found(stream, kFirst);
  EXPECT_FALSE(has(first, 2, 8));
  EXPECT_EQ(first.end, next);
  const SegmentChanges second = expect_found(stream, kFirst + 1);
  EXPECT_EQ(second.begin, next);
  EXPECT_TRUE(has(second, 3, 9));
}

TEST(SegmentChanges, SwitchEndsTheSegment) {
  WalStream stream = new_stream();
  stream.append(change(1, 7));
  stream.append_switch();
  stream.append(change(2, 8));
  const SegmentChanges first = expect_found(stream, kFirst);
  EXPECT_TRUE(has(first, 1, 7));
  EXPECT_FALSE(has(first, 2, 8));
  EXPECT_EQ(first.end, (Lsn{(kFirst + 1) * kSegmentBytes + 40}));
}

TEST(SegmentChanges, SegmentsTogetherAreTheWholeWal) {
  WalStream stream = new_stream();
  postgres::WalChanges whole;
  for (std::uint32_t i = 0; stream.position().value < (kFirst + 4) * kSegmentBytes; ++i) {
    stream.append(change(1 + i % 5, i % 3001, 20 + i % 700));
  }
  stream.append(change(77, 0));
  const support::WalBytes bytes = stream.segments();
  WalPagesInMemory source(stream.start(), bytes, kGeometry);
  postgres::WalRange range;
  range.begin = stream.start();
  range.stop = Lsn{(kFirst + 4) * kSegmentBytes};
  auto reader = postgres::WalReader::open(kGeometry, kTimeline, range, source).value();
  while (const auto* record = reader.next().value()) {
    ASSERT_TRUE(postgres::add_changes(*record, 15, whole));
  }

  postgres::ChangedBlocks merged;
  Lsn next = expect_found(stream, kFirst).begin;
  for (std::uint64_t number = kFirst; number < kFirst + 4; ++number) {
    const SegmentChanges found = expect_found(stream, number);
    EXPECT_EQ(found.begin, next);
    next = found.end;
    merged.merge(found.changes.blocks);
  }
  EXPECT_TRUE(merged == whole.blocks);
  EXPECT_EQ(next, reader.end().lsn);
}

TEST(SegmentChanges, WalThatIsNotThereIsAnError) {
  WalStream stream = new_stream();
  stream.append(change(1, 7));
  EXPECT_EQ(code_of(find(stream, kFirst)), ErrorCode::corrupt) << "ends within the segment";
  EXPECT_EQ(code_of(find(stream, kFirst + 1)), ErrorCode::not_found);

  fill_segment(stream, 64);
  stream.append(change(2, 8, 200));
  const support::WalBytes bytes = stream.segments();
  WalPagesInMemory source(stream.start(), ByteSpan(bytes).first(kSegmentBytes), kGeometry);
  EXPECT_EQ(
      code_of(find_segment_changes(kGeometry, {{kTimeline, kFirst}, kTimeline, {~0ULL}}, source)),
      ErrorCode::not_found)
      << "the rest of the last record";
}

SegmentChanges example() {
  SegmentChanges changes;
  changes.system_identifier = kSystem;
  changes.server_major = 15;
  changes.segment_size_bytes = kSegmentBytes;
  changes.segment = {kTimeline, kFirst};
  changes.begin = Lsn{kFirst * kSegmentBytes + 120};
  changes.end = Lsn{(kFirst + 1) * kSegmentBytes + 88};
  const Lsn event{changes.begin.value + 8};
  changes.changes.events = {
      {event, postgres::ParameterChange{postgres::WalLevel::logical, true}},
      {Lsn{event.value + 8}, postgres::FullPageWritesChange{false}},
      {Lsn{event.value + 16}, postgres::TimelineBegin{TimelineId{2}, TimelineId{1}}},
      {Lsn{event.value + 24},
       postgres::TablespaceChange{1700, postgres::TablespaceChange::Kind::created}},
      {Lsn{event.value + 32},
       postgres::TablespaceChange{1700, postgres::TablespaceChange::Kind::dropped}}};
  postgres::ChangedBlocks& blocks = changes.changes.blocks;
  blocks.add_database({1663, 16});
  blocks.add_database({1700, 16});
  for (const std::uint32_t block : {0U, 511U, 512U, 70'000U}) {
    blocks.add({relation(1), Fork::main}, block);
  }
  for (std::uint32_t block = 1000; block < 1032; ++block) {
    blocks.add({relation(2), Fork::main}, block);
  }
  for (std::uint32_t block = 2000; block < 2031; ++block) {
    blocks.add({relation(2), Fork::vm}, block);
  }
  blocks.add({relation(3), Fork::main}, 9);
  blocks.lower_limit({relation(3), Fork::main}, 10);
  blocks.lower_limit({relation(3), Fork::init}, 0);
  return changes;
}

ChangesKey key_of(const SegmentChanges& changes) {
  return {changes.system_identifier,
          parse_wal_name(postgres::to_name(changes.segment, kSegmentBytes)).value()};
}

TEST(ChangesObject, IsReadAsItWasKept) {
  ArchiveFixture archive;
  const SegmentChanges changes = example();
  ASSERT_TRUE(keep_changes(archive.cluster(), changes));
  const auto back = read_changes(archive.cluster(), key_of(changes));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(*back == changes);
}

TEST(ChangesObject, WhatIsThereStays) {
  ArchiveFixture archive;
  SegmentChanges changes = example();
  ASSERT_TRUE(keep_changes(archive.cluster(), changes));
  changes.changes.blocks.add({relation(99), Fork::main}, 1);
  ASSERT_TRUE(keep_changes(archive.cluster(), changes));
  EXPECT_TRUE(read_changes(archive.cluster(), key_of(changes)).value() == example());
}

TEST(ChangesObject, NoneIsNotFound) {
  ArchiveFixture archive;
  EXPECT_EQ(code_of(read_changes(archive.cluster(), key_of(example()))), ErrorCode::not_found);
}

TEST(ChangesObject, LargeOnesAreNotKept) {
  ArchiveFixture archive;
  SegmentChanges changes = example();
  // As bits a leaf takes 70 bytes.
  postgres::ChangedLeaf leaf;
  leaf.blocks = ~postgres::LeafBlocks();
  for (; leaf.number < kChangesObjectBytesMax / 70; ++leaf.number) {
    changes.changes.blocks.add({relation(1), Fork::main}, leaf);
  }
  EXPECT_FALSE(encode_changes(archive.cluster(), changes));
  ASSERT_TRUE(keep_changes(archive.cluster(), changes));
  EXPECT_EQ(code_of(read_changes(archive.cluster(), key_of(changes))), ErrorCode::not_found);
}

TEST(ChangesObject, EveryFlippedBitIsFound) {
  ArchiveFixture archive;
  const SegmentChanges changes = example();
  std::vector<std::byte> object = encode_changes(archive.cluster(), changes).value();
  for (std::size_t at = 0; at < object.size(); ++at) {
    object[at] ^= std::byte{0x10};
    EXPECT_FALSE(decode_changes(archive.cluster(), key_of(changes), object)) << at;
    object[at] ^= std::byte{0x10};
  }
  EXPECT_TRUE(decode_changes(archive.cluster(), key_of(changes), object));
}

TEST(ChangesObject, OfAnotherSegmentOrRepositoryIsNotAccepted) {
  ArchiveFixture archive;
  const SegmentChanges changes = example();
  const std::vector<std::byte> object = encode_changes(archive.cluster(), changes).value();
  ChangesKey other = key_of(changes);
  other.segment = parse_wal_name(postgres::to_name({kTimeline, kFirst + 1}, kSegmentBytes)).value();
  EXPECT_EQ(code_of(decode_changes(archive.cluster(), other, object)), ErrorCode::corrupt);
  other = key_of(changes);
  ++other.system_identifier;
  EXPECT_EQ(code_of(decode_changes(archive.cluster(), other, object)), ErrorCode::corrupt);
  repository::Cluster elsewhere = archive.cluster();
  elsewhere.repository.bytes[0] ^= std::byte{1};
  EXPECT_EQ(code_of(decode_changes(elsewhere, key_of(changes), object)), ErrorCode::corrupt);
}

// The body with its checksum made good, as whoever can write the repository could make it.
Result<SegmentChanges> decode_body(const ArchiveFixture& archive, ByteSpan body) {
  const ChangesKey key = key_of(example());
  const std::string name = changes_key(archive.cluster().layout, key);
  return decode_changes(archive.cluster(), key,
                        repository::frame_object(repository::ObjectKind::wal_changes,
                                                 archive.cluster().repository, name, body));
}

std::vector<std::byte> body_of(const ArchiveFixture& archive, const SegmentChanges& changes) {
  std::vector<std::byte> object = encode_changes(archive.cluster(), changes).value();
  object.erase(object.begin(), object.begin() + repository::kFrameHeaderBytes);
  return object;
}

TEST(ChangesObject, EachContentHasOneForm) {
  ArchiveFixture archive;
  const SegmentChanges changes = example();
  const std::vector<std::byte> body = body_of(archive, changes);
  ASSERT_TRUE(decode_body(archive, body));
  for (std::size_t at = 0; at < body.size(); ++at) {
    for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
      std::vector<std::byte> other = body;
      other[at] ^= static_cast<std::byte>(flip);
      const auto read = decode_body(archive, other);
      if (read) {
        EXPECT_EQ(body_of(archive, *read), other) << at;
      } else if (at >= 4) {
        EXPECT_EQ(code_of(read), ErrorCode::corrupt) << at;
      } else {
        EXPECT_EQ(code_of(read), ErrorCode::unsupported) << at;
      }
    }
  }
  for (std::size_t size = 0; size < body.size(); ++size) {
    EXPECT_EQ(code_of(decode_body(archive, ByteSpan(body).first(size))), ErrorCode::corrupt)
        << size;
  }
  std::vector<std::byte> longer = body;
  longer.push_back(std::byte{0});
  EXPECT_EQ(code_of(decode_body(archive, longer)), ErrorCode::corrupt);
}

TEST(ChangesKey, IsBesideItsSegment) {
  const repository::ClusterLayout cluster("main");
  const ChangesKey key{77, parse_wal_name("000000010000000000000005").value()};
  const std::string text = changes_key(cluster, key);
  EXPECT_EQ(text,
            "clusters/main/wal/77/00000001/0000000100000000/000000010000000000000005.changes");
  EXPECT_EQ(parse_changes_key(cluster, text), key);
  EXPECT_FALSE(parse_wal_key(cluster, text));
  for (const char* other :
       {"clusters/main/wal/77/00000001/0000000100000000/000000010000000000000005",
        "clusters/main/wal/77/00000001/0000000100000000/.changes",
        "clusters/main/wal/77/00000002/0000000100000000/000000010000000000000005.changes",
        "clusters/main/wal/77/history/00000002.history.changes",
        "clusters/main/wal/77/partial/000000010000000000000005.partial.changes",
        "clusters/other/wal/77/00000001/0000000100000000/000000010000000000000005.changes"}) {
    EXPECT_FALSE(parse_changes_key(cluster, other)) << other;
  }
}

}  // namespace
}  // namespace haul::wal
