#include "engine/postgres/wal_changes.h"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/wal_stream.h"

namespace haul::postgres {
namespace {

using support::packed;
using support::WalBlockSpec;
using support::WalRecordSpec;

constexpr int kMajors[] = {13, 14, 15, 16, 17, 18};
constexpr std::int64_t kTime = 848'852'270'281'448;

constexpr std::uint8_t kXlog = 0;
constexpr std::uint8_t kTransaction = 1;
constexpr std::uint8_t kStorage = 2;
constexpr std::uint8_t kDatabase = 4;
constexpr std::uint8_t kTablespace = 5;
constexpr std::uint8_t kHeap = 10;

// XLR_SPECIAL_REL_UPDATE.
constexpr std::uint8_t kFiles = 0x01;

constexpr RelationId kRelation{1663, 5, 16384};
constexpr RelationId kOther{1663, 5, 16385};

std::uint32_t number(std::uint32_t value) { return value; }

std::string stored(const RelationId& id) {
  return packed(id.tablespace, id.database, id.relfilenode);
}

WalRecordSpec record_of(std::uint8_t manager, unsigned info, std::string content = "") {
  WalRecordSpec spec;
  spec.manager = manager;
  spec.info = static_cast<std::uint8_t>(info);
  spec.xid = 731;
  spec.main_data = std::move(content);
  return spec;
}

WalBlockSpec reference(const RelationId& relation, Fork fork, std::uint32_t block,
                       std::uint8_t id = 0) {
  WalBlockSpec spec;
  spec.relation = relation;
  spec.fork = fork;
  spec.block = block;
  spec.id = id;
  return spec;
}

Status add(const WalRecordSpec& spec, int server_major, WalChanges& changes) {
  const support::WalBytes bytes = support::encode_wal_record(spec, server_major, Lsn{0x100});
  WalRecord record;
  HAUL_TRY(decode_wal_record(bytes, server_major, record));
  record.lsn = Lsn{0x16'B374D848};
  return add_changes(record, server_major, changes);
}

WalChanges changes_of(const WalRecordSpec& spec, int server_major = 15) {
  WalChanges changes;
  const Status added = add(spec, server_major, changes);
  EXPECT_TRUE(added) << (added ? "" : added.error().message());
  return changes;
}

void expect_refused(const WalRecordSpec& spec, int server_major, ErrorCode code,
                    const std::string& word) {
  WalChanges changes;
  const Status added = add(spec, server_major, changes);
  ASSERT_FALSE(added) << word;
  EXPECT_EQ(added.error().code(), code) << added.error().message();
  EXPECT_NE(added.error().message().find(word), std::string::npos) << added.error().message();
  EXPECT_NE(added.error().message().find("16/B374D848"), std::string::npos);
}

std::optional<std::uint32_t> limit(const WalChanges& changes, const RelationId& relation,
                                   Fork fork) {
  const std::uint32_t found = changes.blocks.limit_of({relation, fork});
  return found == kNoBlock ? std::nullopt : std::optional(found);
}

TEST(WalChanges, BlocksThatARecordRefersTo) {
  WalRecordSpec spec = record_of(kHeap, 0x20, "x");
  spec.blocks = {reference(kRelation, Fork::main, 7, 0), reference(kRelation, Fork::main, 600, 1),
                 reference(kRelation, Fork::vm, 3, 2), reference(kOther, Fork::init, 0, 5)};
  spec.blocks[0].data = "d";
  spec.blocks[1].same_relation = true;
  spec.blocks[1].will_init = true;
  const WalChanges changes = changes_of(spec);
  const LeafBlocks first = changes.blocks.blocks_from({kRelation, Fork::main}, 0);
  EXPECT_TRUE(first[7]);
  EXPECT_EQ(first.count(), 1U);
  EXPECT_TRUE(changes.blocks.blocks_from({kRelation, Fork::main}, 512)[88]);
  EXPECT_TRUE(changes.blocks.blocks_from({kRelation, Fork::vm}, 0)[3]);
  EXPECT_TRUE(changes.blocks.blocks_from({kOther, Fork::init}, 0)[0]);
  EXPECT_EQ(changes.blocks.forks().size(), 3U);
  EXPECT_TRUE(changes.events.empty());
}

TEST(WalChanges, ImagesOfPagesAreChangesWhetherAppliedOrNot) {
  for (const int major : kMajors) {
    WalRecordSpec spec = record_of(kXlog, 0xA0);  // FPI_FOR_HINT
    spec.blocks = {reference(kRelation, Fork::main, 7, 0), reference(kRelation, Fork::main, 8, 1)};
    for (WalBlockSpec& block : spec.blocks) {
      block.image = std::string(100, 'p');
      block.hole_offset = 50;
    }
    spec.blocks[1].image_applied = false;
    const WalChanges changes = changes_of(spec, major);
    EXPECT_EQ(changes.blocks.blocks_from({kRelation, Fork::main}, 0).count(), 2U) << major;
  }
}

TEST(WalChanges, FreeSpaceMapsAreNotTracked) {
  WalRecordSpec spec = record_of(kXlog, 0xB0);
  spec.blocks = {reference(kRelation, Fork::fsm, 1)};
  EXPECT_TRUE(changes_of(spec).blocks.empty());
  EXPECT_TRUE(changes_of(record_of(kStorage, 0x10 | kFiles, stored(kRelation) + packed(number(1))))
                  .blocks.empty());
}

TEST(WalChanges, RecordsOfExtensionsChangeTheirBlocks) {
  WalRecordSpec spec = record_of(130, 0x70);
  spec.blocks = {reference(kRelation, Fork::main, 9)};
  EXPECT_TRUE(changes_of(spec).blocks.blocks_from({kRelation, Fork::main}, 0)[9]);
}

TEST(WalChanges, CreatedForkIsNewFromItsFirstBlock) {
  for (const int major : kMajors) {
    for (const Fork fork : {Fork::main, Fork::vm, Fork::init}) {
      const WalChanges changes =
          changes_of(record_of(kStorage, 0x10 | kFiles,
                               stored(kRelation) + packed(static_cast<std::uint32_t>(fork))),
                     major);
      EXPECT_EQ(limit(changes, kRelation, fork), 0U);
      EXPECT_EQ(changes.blocks.forks().size(), 1U);
    }
  }
}

std::string truncation(std::uint32_t block, std::uint32_t flags) {
  return packed(block) + stored(kRelation) + packed(flags);
}

TEST(WalChanges, TruncatedMainForkIsNewFromItsNewLength) {
  for (const int major : kMajors) {
    const WalChanges changes =
        changes_of(record_of(kStorage, 0x20 | kFiles, truncation(42, 7)), major);
    EXPECT_EQ(limit(changes, kRelation, Fork::main), 42U);
    EXPECT_EQ(limit(changes, kRelation, Fork::vm), 0U);
    EXPECT_EQ(limit(changes, kRelation, Fork::fsm), std::nullopt);
    EXPECT_EQ(limit(changes, kRelation, Fork::init), std::nullopt);
  }
}

TEST(WalChanges, TruncationSpeaksOfTheForksItsFlagsName) {
  const auto main_only = changes_of(record_of(kStorage, 0x20 | kFiles, truncation(42, 1)));
  EXPECT_EQ(limit(main_only, kRelation, Fork::main), 42U);
  EXPECT_EQ(limit(main_only, kRelation, Fork::vm), std::nullopt);
  const auto map_only = changes_of(record_of(kStorage, 0x20 | kFiles, truncation(42, 2)));
  EXPECT_EQ(limit(map_only, kRelation, Fork::main), std::nullopt);
  EXPECT_EQ(limit(map_only, kRelation, Fork::vm), 0U);
  EXPECT_TRUE(changes_of(record_of(kStorage, 0x20 | kFiles, truncation(42, 4))).blocks.empty());
}

TEST(WalChanges, TruncationToTheWholeForkIsRefusedWhereNoBlockIsNamed) {
  expect_refused(record_of(kStorage, 0x20 | kFiles, truncation(kNoBlock, 1)), 15,
                 ErrorCode::corrupt, "no block");
}

std::string end_with_drops() {
  return packed(kTime, number(1U << 2), number(2)) + stored(kRelation) + stored(kOther);
}

std::string prepared_end_with_drops() {
  return packed(kTime, number(1U << 2 | 1U << 4), number(2)) + stored(kRelation) + stored(kOther) +
         packed(number(700));
}

TEST(WalChanges, RelationsDroppedAtAnyEndAreNewInAllForks) {
  for (const int major : kMajors) {
    for (const unsigned operation : {0x00U, 0x20U, 0x30U, 0x40U}) {
      const std::string content = operation < 0x30 ? end_with_drops() : prepared_end_with_drops();
      const WalChanges changes =
          changes_of(record_of(kTransaction, operation | 0x80 | kFiles, content), major);
      for (const RelationId& relation : {kRelation, kOther}) {
        EXPECT_EQ(limit(changes, relation, Fork::main), 0U) << major << " " << operation;
        EXPECT_EQ(limit(changes, relation, Fork::vm), 0U);
        EXPECT_EQ(limit(changes, relation, Fork::init), 0U);
      }
      EXPECT_EQ(changes.blocks.forks().size(), 6U);
    }
  }
}

TEST(WalChanges, EndsWithoutDropsAndOtherTransactionRecordsChangeNothing) {
  const WalRecordSpec specs[] = {
      record_of(kTransaction, 0x00, packed(kTime)), record_of(kTransaction, 0x20, packed(kTime)),
      record_of(kTransaction, 0x10, "prepared"), record_of(kTransaction, 0x50, "assignment"),
      record_of(kTransaction, 0x60, "invalidations")};
  for (const WalRecordSpec& spec : specs) EXPECT_TRUE(changes_of(spec).blocks.empty());
}

TEST(WalChanges, DatabasesThatComeAreNewAsAWhole) {
  const std::string copied = packed(number(5), number(1663), number(1), number(1664));
  for (const int major : kMajors) {
    const WalChanges changes = changes_of(record_of(kDatabase, 0x00 | kFiles, copied), major);
    EXPECT_EQ(changes.blocks.databases(), (std::set<DatabaseInTablespace>{{1663, 5}}));
    EXPECT_EQ(limit(changes, kRelation, Fork::main), 0U);
  }
  for (const int major : {15, 16, 17, 18}) {
    const WalChanges changes =
        changes_of(record_of(kDatabase, 0x10, packed(number(5), number(1663))), major);
    EXPECT_EQ(changes.blocks.databases(), (std::set<DatabaseInTablespace>{{1663, 5}}));
  }
}

TEST(WalChanges, DatabasesThatGoAreNewInEachOfTheirTablespaces) {
  const std::string dropped = packed(number(5), number(2), number(1663), number(1700));
  for (const int major : kMajors) {
    const unsigned operation = major < 15 ? 0x10 : 0x20;
    const WalChanges changes = changes_of(record_of(kDatabase, operation | kFiles, dropped), major);
    EXPECT_EQ(changes.blocks.databases(), (std::set<DatabaseInTablespace>{{1663, 5}, {1700, 5}}));
  }
}

TEST(WalChanges, SettingsTimelinesAndTablespacesAreEvents) {
  WalChanges changes;
  const std::string checkpoint = packed(std::uint64_t{0x1000}, number(2), number(1)) +
                                 std::string(1 + 47, '\0') + packed(std::int64_t{1'795'537'070}) +
                                 std::string(16, '\0');
  const std::string parameters =
      std::string(20, '\0') + packed(number(1), std::uint8_t{1}, std::uint8_t{0});
  const std::string recovered = packed(kTime, number(3), number(2), number(1));
  const WalRecordSpec specs[] = {
      record_of(kXlog, 0x00, checkpoint),
      record_of(kXlog, 0x60, parameters),
      record_of(kXlog, 0x80, std::string(1, 1)),
      record_of(kXlog, 0x90, recovered),
      record_of(kTablespace, 0x00, packed(number(1700)) + std::string("/mnt\0", 5)),
      record_of(kTablespace, 0x10, packed(number(1700)))};
  for (const WalRecordSpec& spec : specs) ASSERT_TRUE(add(spec, 15, changes));

  const Lsn lsn{0x16'B374D848};
  const std::vector<WalEvent> expected = {
      {lsn, TimelineBegin{TimelineId{2}, TimelineId{1}}},
      {lsn, ParameterChange{WalLevel::replica, true}},
      {lsn, FullPageWritesChange{true}},
      {lsn, TimelineBegin{TimelineId{3}, TimelineId{2}}},
      {lsn, TablespaceChange{1700, TablespaceChange::Kind::created}},
      {lsn, TablespaceChange{1700, TablespaceChange::Kind::dropped}}};
  EXPECT_EQ(changes.events, expected);
  EXPECT_TRUE(changes.blocks.empty());
}

TEST(WalChanges, CheckpointOnItsOwnTimelineIsNoEvent) {
  const std::string checkpoint = packed(std::uint64_t{0x1000}, number(2), number(2)) +
                                 std::string(1 + 47, '\0') + packed(std::int64_t{1'795'537'070});
  EXPECT_TRUE(changes_of(record_of(kXlog, 0x10, checkpoint)).events.empty());
}

TEST(WalChanges, RecordsThatTheReleaseDoesNotHaveAreRefused) {
  const auto unsupported = [](std::uint8_t manager, unsigned info, int major) {
    expect_refused(record_of(manager, info, std::string(64, '\1')), major, ErrorCode::unsupported,
                   "has no such record");
  };
  for (const int major : kMajors) {
    unsupported(kXlog, 0xC0, major);
    unsupported(kXlog, 0xF0, major);
    unsupported(kTransaction, 0x70, major);
    unsupported(kStorage, 0x00, major);
    unsupported(kStorage, 0x30, major);
    unsupported(kDatabase, 0x30, major);
    unsupported(kTablespace, 0x20, major);
  }
  unsupported(kXlog, 0xE0, 16);
  unsupported(kTransaction, 0x60, 13);
  unsupported(kDatabase, 0x20, 14);
  EXPECT_TRUE(changes_of(record_of(kXlog, 0xE0, packed(number(1))), 17).blocks.empty());
}

TEST(WalChanges, UnknownChangesOfFilesAreRefused) {
  for (const std::uint8_t manager : {std::uint8_t{kHeap}, std::uint8_t{130}, kXlog}) {
    expect_refused(record_of(manager, 0x20 | kFiles), 15, ErrorCode::unsupported,
                   "changes files in a way that is not known");
  }
  expect_refused(record_of(kTransaction, 0x00 | kFiles, packed(kTime)), 15, ErrorCode::unsupported,
                 "changes files");
}

TEST(WalChanges, ContentThatDoesNotFitIsRefused) {
  expect_refused(record_of(kStorage, 0x10 | kFiles, stored(kRelation)), 15, ErrorCode::corrupt,
                 "ends after 12 bytes");
  expect_refused(record_of(kStorage, 0x10 | kFiles, stored({1663, 5, 0}) + packed(number(0))), 15,
                 ErrorCode::corrupt, "no relation");
  WalRecordSpec spec = record_of(kHeap, 0x00);
  spec.blocks = {reference(kRelation, Fork::main, kNoBlock)};
  expect_refused(spec, 15, ErrorCode::corrupt, "block of nothing");
}

}  // namespace
}  // namespace haul::postgres
