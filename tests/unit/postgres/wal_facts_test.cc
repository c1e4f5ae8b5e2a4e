#include "engine/postgres/wal_facts.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/wal_stream.h"

namespace haul::postgres {
namespace {

using support::packed;

constexpr int kMajors[] = {13, 14, 15, 16, 17, 18};
// 2026-11-24 16:17:50.281448 UTC, as PostgreSQL counts and as we do.
constexpr std::int64_t kTime = 848'852'270'281'448;
constexpr UtcTime kUtcTime{1'795'537'070'281'448};
constexpr UtcTime kUtcSecond{1'795'537'070'000'000};

constexpr std::uint8_t kXlog = 0;
constexpr std::uint8_t kTransaction = 1;
constexpr std::uint8_t kStorage = 2;
constexpr std::uint8_t kDatabase = 4;
constexpr std::uint8_t kTablespace = 5;

std::uint32_t number(std::uint32_t value) { return value; }

// A record as the reader would give it: its fact points into `content`.
Result<WalFact> fact_of(std::uint8_t manager, unsigned info, const std::string& content,
                        int server_major = 15) {
  WalRecord record;
  record.lsn = Lsn{0x16'B374D848};
  record.manager = static_cast<ResourceManager>(manager);
  record.info = static_cast<std::uint8_t>(info);
  record.xid = 731;
  record.main_data = bytes_of(content);
  return wal_fact(record, server_major);
}

template <typename Fact>
Fact expect(const Result<WalFact>& fact) {
  if (!fact) {
    ADD_FAILURE() << fact.error().message();
    return {};
  }
  if (!std::holds_alternative<Fact>(*fact)) {
    ADD_FAILURE() << "another kind of fact: " << fact->index();
    return {};
  }
  return std::get<Fact>(*fact);
}

void expect_damage(const Result<WalFact>& fact, const std::string& word) {
  ASSERT_FALSE(fact) << word;
  EXPECT_EQ(fact.error().code(), ErrorCode::corrupt);
  EXPECT_NE(fact.error().message().find(word), std::string::npos) << fact.error().message();
  EXPECT_NE(fact.error().message().find("16/B374D848"), std::string::npos);
}

// Content that is whole is a fact; each shorter one is corrupt.
void expect_all_of_it_is_needed(std::uint8_t manager, unsigned info, const std::string& content,
                                int server_major = 15) {
  EXPECT_TRUE(fact_of(manager, info, content, server_major));
  for (std::size_t size = 0; size < content.size(); ++size) {
    EXPECT_FALSE(fact_of(manager, info, content.substr(0, size), server_major)) << size;
  }
}

std::string relation(std::uint32_t relfilenode) {
  return packed(number(1663), number(5), relfilenode);
}

TEST(TransactionEnd, PlainCommitHasATimeOnly) {
  for (const int major : kMajors) {
    const auto end = expect<TransactionEnd>(fact_of(kTransaction, 0x00, packed(kTime), major));
    EXPECT_EQ(end.outcome, TransactionEnd::Outcome::committed);
    EXPECT_FALSE(end.was_prepared);
    EXPECT_EQ(end.xid, 731U);
    EXPECT_EQ(end.time, kUtcTime);
    EXPECT_EQ(end.subtransaction_count, 0U);
    EXPECT_TRUE(end.dropped.empty());
  }
}

TEST(TransactionEnd, AbortIsToldFromCommit) {
  const auto end = expect<TransactionEnd>(fact_of(kTransaction, 0x20, packed(kTime)));
  EXPECT_EQ(end.outcome, TransactionEnd::Outcome::aborted);
  EXPECT_FALSE(end.was_prepared);
}

// Every part there is, in the order in which they are stored.
std::string full_commit(int server_major) {
  std::uint32_t parts = 1U << 0 | 1U << 1 | 1U << 2 | 1U << 3 | 1U << 4 | 1U << 5 | 1U << 7;
  if (server_major >= 15) parts |= 1U << 8;
  std::string content = packed(kTime, parts, number(5), number(1663));
  content += packed(number(3), number(732), number(733), number(734));
  content += packed(number(2)) + relation(16384) + relation(16385);
  const std::size_t item_bytes = server_major >= 18 ? 16 : 12;
  if (server_major >= 15) content += packed(number(2)) + std::string(2 * item_bytes, 's');
  content += packed(number(1)) + std::string(16, 'i');
  return content + packed(number(700)) + std::string("gid\0", 4) + std::string(16, 'o');
}

TEST(TransactionEnd, CommitOfAPreparedTransactionWithEveryPart) {
  for (const int major : kMajors) {
    const std::string content = full_commit(major);
    const auto end = expect<TransactionEnd>(fact_of(kTransaction, 0xB0, content, major));
    EXPECT_EQ(end.outcome, TransactionEnd::Outcome::committed);
    EXPECT_TRUE(end.was_prepared);
    EXPECT_EQ(end.xid, 700U) << major;
    EXPECT_EQ(end.time, kUtcTime);
    EXPECT_EQ(end.subtransaction_count, 3U);
    ASSERT_EQ(end.dropped.size(), 2U);
    EXPECT_EQ(end.dropped[0], (RelationId{1663, 5, 16384}));
    EXPECT_EQ(end.dropped[1], (RelationId{1663, 5, 16385}));
  }
}

TEST(TransactionEnd, AbortOfAPreparedTransaction) {
  const auto end = expect<TransactionEnd>(
      fact_of(kTransaction, 0xC0, packed(kTime, number(1U << 4), number(700))));
  EXPECT_EQ(end.outcome, TransactionEnd::Outcome::aborted);
  EXPECT_TRUE(end.was_prepared);
  EXPECT_EQ(end.xid, 700U);
}

TEST(TransactionEnd, AbortHasNoInvalidationsWhateverItsFlags) {
  const auto end = expect<TransactionEnd>(
      fact_of(kTransaction, 0xC0, packed(kTime, number(1U << 3 | 1U << 4), number(700))));
  EXPECT_EQ(end.xid, 700U);
}

TEST(TransactionEnd, PreparedWithoutItsNumberIsCorrupt) {
  expect_damage(fact_of(kTransaction, 0x30, packed(kTime)), "prepared");
  expect_damage(fact_of(kTransaction, 0xC0, packed(kTime, number(0))), "prepared");
}

TEST(TransactionEnd, DroppedStatisticsBefore15AreCorrupt) {
  const std::string content = packed(kTime, number(1U << 8), number(0));
  expect_damage(fact_of(kTransaction, 0x80, content, 14), "statistics");
  EXPECT_TRUE(fact_of(kTransaction, 0x80, content, 15));
}

TEST(TransactionEnd, EveryPartCutShortIsCorrupt) {
  const std::string content = packed(kTime, number(0x11F), number(5), number(1663)) +
                              packed(number(1), number(732)) + packed(number(1)) + relation(1) +
                              packed(number(1)) + std::string(12, 's') + packed(number(1)) +
                              std::string(16, 'i') + packed(number(700));
  expect_all_of_it_is_needed(kTransaction, 0x80, content);
}

TEST(TransactionEnd, CountBeyondTheRecordIsCorrupt) {
  for (const std::uint32_t part : {1U << 1, 1U << 2, 1U << 3, 1U << 8}) {
    expect_damage(fact_of(kTransaction, 0x80, packed(kTime, part, number(0xFFFFFFFF))), "ends");
    expect_damage(fact_of(kTransaction, 0x80, packed(kTime, part, number(1))), "ends");
  }
}

TEST(TransactionEnd, OtherOperationsAreNoFact) {
  for (const unsigned info : {0x10U, 0x50U, 0x60U, 0x70U}) {
    expect<std::monostate>(fact_of(kTransaction, info, ""));
  }
}

TEST(RestorePoint, NameAndTime) {
  std::string name = "before the deed";
  name.resize(64);
  const std::string content = packed(kTime) + name;
  const auto point = expect<RestorePoint>(fact_of(kXlog, 0x70, content));
  EXPECT_EQ(point.name, "before the deed");
  EXPECT_EQ(point.time, kUtcTime);
  expect_all_of_it_is_needed(kXlog, 0x70, content);
}

TEST(RestorePoint, NameWithoutAnEndIsCorrupt) {
  expect_damage(fact_of(kXlog, 0x70, packed(kTime) + std::string(64, 'n')), "without an end");
}

TEST(RestorePoint, TimeOutOfRangeIsCorrupt) {
  const std::string content =
      packed(std::numeric_limits<std::int64_t>::max()) + std::string(64, '\0');
  expect_damage(fact_of(kXlog, 0x70, content), "time out of range");
}

std::string checkpoint(std::int64_t seconds) {
  std::string content = packed(Lsn{0x3000028}.value, number(3), number(2), std::uint8_t{1});
  content.resize(64, '\x7F');
  return content + packed(seconds);
}

TEST(Checkpoint, IsReadFieldByField) {
  const std::string content = checkpoint(1'795'537'070) + std::string(16, '\0');
  for (const int major : kMajors) {
    const auto online = expect<Checkpoint>(fact_of(kXlog, 0x10, content, major));
    EXPECT_EQ(online.kind, Checkpoint::Kind::online);
    EXPECT_EQ(online.redo, Lsn{0x3000028});
    EXPECT_EQ(online.timeline, TimelineId{3});
    EXPECT_EQ(online.previous_timeline, TimelineId{2});
    EXPECT_TRUE(online.full_page_writes);
    EXPECT_EQ(online.time, kUtcSecond);
    const auto shutdown = expect<Checkpoint>(fact_of(kXlog, 0x00, content, major));
    EXPECT_EQ(shutdown.kind, Checkpoint::Kind::shutdown);
  }
  expect_all_of_it_is_needed(kXlog, 0x10, checkpoint(0));
}

TEST(Checkpoint, TimeOutOfRangeIsCorrupt) {
  expect_damage(fact_of(kXlog, 0x00, checkpoint(std::numeric_limits<std::int64_t>::max())),
                "time out of range");
}

TEST(EndOfRecovery, TellsTimelinesAndFrom17TheWalLevel) {
  const std::string content = packed(kTime, number(3), number(2), number(1));
  for (const int major : kMajors) {
    const auto end = expect<EndOfRecovery>(fact_of(kXlog, 0x90, content, major));
    EXPECT_EQ(end.time, kUtcTime);
    EXPECT_EQ(end.timeline, TimelineId{3});
    EXPECT_EQ(end.previous_timeline, TimelineId{2});
    EXPECT_EQ(end.wal_level.has_value(), major >= 17);
  }
  EXPECT_EQ(expect<EndOfRecovery>(fact_of(kXlog, 0x90, content, 17)).wal_level, WalLevel::replica);
  expect_all_of_it_is_needed(kXlog, 0x90, content, 17);
  expect_all_of_it_is_needed(kXlog, 0x90, content.substr(0, 16), 16);
}

std::string parameters(std::uint32_t wal_level, std::uint8_t hints) {
  return std::string(20, 'p') + packed(wal_level, hints);
}

TEST(ParameterChange, TellsWalLevelAndHints) {
  const auto change = expect<ParameterChange>(fact_of(kXlog, 0x60, parameters(2, 1)));
  EXPECT_EQ(change.wal_level, WalLevel::logical);
  EXPECT_TRUE(change.wal_log_hints);
  EXPECT_FALSE(expect<ParameterChange>(fact_of(kXlog, 0x60, parameters(0, 0))).wal_log_hints);
  expect_damage(fact_of(kXlog, 0x60, parameters(3, 0)), "wal_level");
  expect_all_of_it_is_needed(kXlog, 0x60, parameters(1, 0));
}

TEST(FullPageWritesChange, TellsWhich) {
  EXPECT_TRUE(expect<FullPageWritesChange>(fact_of(kXlog, 0x80, "\x01")).full_page_writes);
  EXPECT_FALSE(
      expect<FullPageWritesChange>(fact_of(kXlog, 0x80, std::string(1, '\0'))).full_page_writes);
  expect_damage(fact_of(kXlog, 0x80, ""), "ends after 0 bytes");
}

TEST(BackupEnd, TellsTheStart) {
  const std::string content = packed(Lsn{0x2000028}.value);
  EXPECT_EQ(expect<BackupEnd>(fact_of(kXlog, 0x50, content)).start, Lsn{0x2000028});
  expect_all_of_it_is_needed(kXlog, 0x50, content);
}

TEST(XlogRecord, OtherOperationsAreNoFact) {
  for (const unsigned info : {0x20U, 0x30U, 0x40U, 0xA0U, 0xB0U, 0xC0U, 0xD0U, 0xE0U, 0xF0U}) {
    expect<std::monostate>(fact_of(kXlog, info, ""));
  }
}

TEST(Tablespace, CreationTellsThePath) {
  const std::string content = packed(number(16390)) + std::string("/srv/fast\0", 10);
  const auto create = expect<TablespaceCreate>(fact_of(kTablespace, 0x00, content));
  EXPECT_EQ(create.tablespace, 16390U);
  EXPECT_EQ(create.path, "/srv/fast");
  expect_all_of_it_is_needed(kTablespace, 0x00, content);
}

TEST(Tablespace, InsideTheDataDirectoryHasNoPath) {
  const std::string content = packed(number(16390), std::uint8_t{0});
  EXPECT_EQ(expect<TablespaceCreate>(fact_of(kTablespace, 0x00, content)).path, "");
}

TEST(Tablespace, DropTellsWhich) {
  const std::string content = packed(number(16390));
  EXPECT_EQ(expect<TablespaceDrop>(fact_of(kTablespace, 0x10, content)).tablespace, 16390U);
  expect_all_of_it_is_needed(kTablespace, 0x10, content);
  expect<std::monostate>(fact_of(kTablespace, 0x20, content));
}

TEST(Database, CreationByCopyTellsTheSource) {
  const std::string content = packed(number(20000), number(1663), number(1), number(1664));
  for (const int major : kMajors) {
    const auto create = expect<DatabaseCreate>(fact_of(kDatabase, 0x00, content, major));
    EXPECT_EQ(create.database, 20000U);
    EXPECT_EQ(create.tablespace, 1663U);
    EXPECT_EQ(create.copied_from, (DatabaseCreate::Source{1, 1664}));
  }
  expect_all_of_it_is_needed(kDatabase, 0x00, content);
}

TEST(Database, LoggedCreationCameWith15) {
  const std::string content = packed(number(20000), number(1663));
  const auto create = expect<DatabaseCreate>(fact_of(kDatabase, 0x10, content, 15));
  EXPECT_EQ(create.database, 20000U);
  EXPECT_EQ(create.tablespace, 1663U);
  EXPECT_FALSE(create.copied_from.has_value());
  expect_all_of_it_is_needed(kDatabase, 0x10, content);
}

TEST(Database, DropHasAnotherNumberFrom15On) {
  const std::string content = packed(number(20000), number(2), number(1663), number(16390));
  for (const int major : kMajors) {
    const unsigned info = major < 15 ? 0x10 : 0x20;
    const auto drop = expect<DatabaseDrop>(fact_of(kDatabase, info, content, major));
    EXPECT_EQ(drop.database, 20000U);
    ASSERT_EQ(drop.tablespaces.size(), 2U);
    EXPECT_EQ(drop.tablespaces[1], 16390U);
  }
  expect<std::monostate>(fact_of(kDatabase, 0x20, content, 14));
  expect<std::monostate>(fact_of(kDatabase, 0x30, content, 15));
  expect_all_of_it_is_needed(kDatabase, 0x20, content);
}

TEST(Relation, CreationTellsTheFork) {
  const std::string content = relation(16384) + packed(number(2));
  const auto create = expect<RelationCreate>(fact_of(kStorage, 0x10, content));
  EXPECT_EQ(create.relation, (RelationId{1663, 5, 16384}));
  EXPECT_EQ(create.fork, Fork::vm);
  expect_damage(fact_of(kStorage, 0x10, relation(16384) + packed(number(4))), "fork");
  expect_all_of_it_is_needed(kStorage, 0x10, content);
}

TEST(Relation, TruncationTellsTheForks) {
  const auto truncation = [](std::uint32_t flags) {
    return expect<RelationTruncate>(
        fact_of(kStorage, 0x20, packed(number(12)) + relation(16384) + packed(flags)));
  };
  EXPECT_EQ(truncation(7).block, 12U);
  EXPECT_EQ(truncation(7).relation, (RelationId{1663, 5, 16384}));
  EXPECT_TRUE(truncation(1).truncates_main && !truncation(6).truncates_main);
  EXPECT_TRUE(truncation(2).truncates_vm && !truncation(5).truncates_vm);
  EXPECT_TRUE(truncation(4).truncates_fsm && !truncation(3).truncates_fsm);
  expect_all_of_it_is_needed(kStorage, 0x20, packed(number(1)) + relation(1) + packed(number(7)));
  expect<std::monostate>(fact_of(kStorage, 0x30, ""));
}

TEST(WalFact, OtherManagersHaveNone) {
  for (const int manager : {3, 6, 7, 8, 9, 10, 21, 128, 255}) {
    expect<std::monostate>(fact_of(static_cast<std::uint8_t>(manager), 0x00, ""));
  }
}

TEST(PostgresTime, BeginsIn2000) {
  EXPECT_EQ(utc_of_postgres_time(0), UtcTime{946'684'800'000'000});
  EXPECT_EQ(utc_of_postgres_time(kTime), kUtcTime);
  EXPECT_EQ(utc_of_postgres_time(-946'684'800'000'000), UtcTime{0});
  const std::int64_t largest = std::numeric_limits<std::int64_t>::max() - 946'684'800'000'000;
  EXPECT_TRUE(utc_of_postgres_time(largest));
  EXPECT_FALSE(utc_of_postgres_time(largest + 1));
  EXPECT_TRUE(utc_of_postgres_time(std::numeric_limits<std::int64_t>::min()));
}

}  // namespace
}  // namespace haul::postgres
