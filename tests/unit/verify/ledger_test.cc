// What verifications leave behind, and what all of them have read.
#include "engine/verify/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/file_content.h"
#include "tests/unit/verify/verify_fixture.h"

namespace haul::verify {
namespace {

using repository::PackRef;
using support::code_of;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kFirst = "20261123T020222Z-F";
constexpr std::string_view kSecond = "20261124T020222Z-I";
constexpr std::uint64_t kPackBytes = 100;
constexpr std::uint64_t kSegmentBytes = 10;

PackRef pack(std::string_view lease, std::uint8_t number) {
  PackRef ref{std::string(lease), {}};
  ref.name.bytes[0] = std::byte{number};
  return ref;
}

std::string segment(unsigned number) { return format("0000000100000000{:08X}", number); }

// The time of noon of a day of November 2026.
UtcTime day(int number) {
  return *repository::backup_time(format("202611{:02}T120000Z-F", number));
}

class LedgerTest : public testing::Test {
 protected:
  void add_packs(std::string_view lease, std::uint8_t first, std::uint8_t count) {
    for (std::uint8_t i = 0; i < count; ++i) {
      inventory_.packs[pack(lease, static_cast<std::uint8_t>(first + i))] = kPackBytes;
    }
  }
  void add_segments(unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      inventory_.wal.push_back({{1, *wal::parse_wal_name(segment(first + i))}, kSegmentBytes});
    }
  }
  // A verification of what there is now.
  VerificationRecord verified(UtcTime began, Shard shard = {}) const {
    VerificationRecord record;
    record.began = record.finished = began;
    record.data = true;
    record.shard = shard;
    count_objects(inventory_, record);
    return record;
  }
  Coverage coverage(const std::vector<VerificationRecord>& records) const {
    return find_coverage(inventory_, records, day(1));
  }

  Inventory inventory_;
};

TEST_F(LedgerTest, RecordComesBackAsItWas) {
  add_packs(kFirst, 0, 3);
  add_packs(kSecond, 10, 1);
  add_segments(1, 2);
  VerificationRecord record = verified(day(25), {3, 7});
  record.finished = day(26);
  record.program = "pghaul 0.1";
  record.bytes_read = 5;
  record.findings = 2;
  record.affected = {"20261123T020222Z-F"};
  EXPECT_EQ(record.packs.at(std::string(kFirst)), 3U);
  EXPECT_EQ(record.segments.at("0000000100000000").last, segment(2));
  EXPECT_EQ(verification_from_json(Json::parse(to_json(record).dump()).value()).value(), record);
}

TEST_F(LedgerTest, ShardsThatDoNotExistAreDamage) {
  for (const auto& [number, of] : {std::pair(0, 1), std::pair(2, 1), std::pair(1, 10'001)}) {
    Json json = to_json(verified(day(25)));
    json.set("shard", number);
    json.set("shards", of);
    EXPECT_EQ(code_of(verification_from_json(json)), ErrorCode::corrupt) << number;
  }
}

TEST_F(LedgerTest, ShardsShareOutEverythingOnce) {
  for (std::uint32_t of : {1U, 2U, 7U}) {
    std::size_t taken = 0;
    for (std::uint32_t number = 1; number <= of; ++number) {
      std::size_t mine = 0;
      for (unsigned i = 0; i < 210; ++i) {
        if (Shard{number, of}.takes(pack(kFirst, static_cast<std::uint8_t>(i)))) ++mine;
        if (Shard{number, of}.takes(segment(i))) ++mine;
      }
      EXPECT_GT(mine, 420 / of / 2);
      taken += mine;
    }
    EXPECT_EQ(taken, 420U);
  }
}

TEST_F(LedgerTest, WithoutAnythingStoredNothingIsUnread) {
  const Coverage found = coverage({});
  EXPECT_EQ(found.stored_bytes, 0U);
  EXPECT_EQ(found.unread_since, std::nullopt);
  EXPECT_FALSE(found.last);
}

TEST_F(LedgerTest, WhatWasNeverReadCountsFromWhenItWasStored) {
  add_packs(kSecond, 0, 1);
  add_packs(kFirst, 10, 2);
  Coverage found = coverage({});
  EXPECT_EQ(found.stored_bytes, 3 * kPackBytes);
  EXPECT_EQ(found.never_read_bytes, 3 * kPackBytes);
  EXPECT_EQ(found.unread_since, repository::backup_time(kFirst));
  add_segments(1, 1);  // at least since the oldest backup, for all that is known
  found = coverage({});
  EXPECT_EQ(found.never_read_bytes, 3 * kPackBytes + kSegmentBytes);
  EXPECT_EQ(found.unread_since, day(1));
}

TEST_F(LedgerTest, OneVerificationReadsEverything) {
  add_packs(kFirst, 0, 2);
  add_segments(1, 3);
  const Coverage found = coverage({verified(day(25))});
  EXPECT_EQ(found.never_read_bytes, 0U);
  EXPECT_EQ(found.unread_since, day(25));
  ASSERT_TRUE(found.last_data);
  EXPECT_EQ(found.last_data->began, day(25));
}

TEST_F(LedgerTest, LastOfSeveralCounts) {
  add_packs(kFirst, 0, 2);
  EXPECT_EQ(coverage({verified(day(25)), verified(day(27))}).unread_since, day(27));
}

TEST_F(LedgerTest, StructureReadsNoData) {
  add_packs(kFirst, 0, 2);
  VerificationRecord structure = verified(day(27));
  structure.data = false;
  const Coverage found = coverage({verified(day(25)), structure});
  EXPECT_EQ(found.unread_since, day(25));
  EXPECT_EQ(found.last->began, day(27));
  EXPECT_EQ(found.last_data->began, day(25));
}

TEST_F(LedgerTest, OldestShardCounts) {
  add_packs(kFirst, 0, 50);
  add_segments(1, 50);
  std::vector<VerificationRecord> records;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    records.push_back(verified(day(20 + static_cast<int>(i)), {i, 3}));
    EXPECT_EQ(coverage(records).never_read_bytes == 0, i == 3);
  }
  EXPECT_EQ(coverage(records).unread_since, day(21));
  records.push_back(verified(day(24), {1, 3}));
  EXPECT_EQ(coverage(records).unread_since, day(22));
}

TEST_F(LedgerTest, WhatCameLaterIsNotRead) {
  add_packs(kFirst, 0, 2);
  add_segments(1, 3);
  const VerificationRecord record = verified(day(25));
  add_packs("20261126T120000Z-I", 20, 1);
  EXPECT_EQ(coverage({record}).never_read_bytes, kPackBytes);
  EXPECT_EQ(coverage({record}).unread_since, day(25));
  add_segments(4, 1);
  EXPECT_EQ(coverage({record}).never_read_bytes, kPackBytes + kSegmentBytes);
  EXPECT_EQ(coverage({record}).unread_since, day(25));
}

TEST_F(LedgerTest, LeaseThatWroteOnIsNotRead) {
  add_packs(kFirst, 0, 2);
  const VerificationRecord record = verified(day(25));
  add_packs(kFirst, 10, 1);  // the backup was still running
  EXPECT_EQ(coverage({record}).never_read_bytes, 3 * kPackBytes);
}

TEST_F(LedgerTest, WhatIsGoneIsNotMissed) {
  add_packs(kFirst, 0, 2);
  add_segments(1, 3);
  const VerificationRecord record = verified(day(25));
  inventory_.packs.erase(pack(kFirst, 0));
  inventory_.wal.erase(inventory_.wal.begin());
  EXPECT_EQ(coverage({record}).never_read_bytes, 0U);
}

TEST_F(LedgerTest, SegmentThatArrivedLateIsNotRead) {
  add_segments(1, 1);
  add_segments(3, 1);
  const VerificationRecord record = verified(day(25));
  add_segments(2, 1);
  EXPECT_EQ(coverage({record}).never_read_bytes, 3 * kSegmentBytes);
}

TEST_F(LedgerTest, UnreadSegmentIsAsOldAsTheFirstThatKnewOfIt) {
  add_segments(1, 60);
  const std::vector<VerificationRecord> records = {verified(day(22), {1, 2}),
                                                   verified(day(23), {1, 2})};
  const Coverage found = coverage(records);
  EXPECT_GT(found.never_read_bytes, 0U);
  EXPECT_EQ(found.unread_since, day(22));
}

TEST_F(LedgerTest, DamageStandsUntilTheSameIsLookedAtAgain) {
  const auto with = [this](int on, Shard shard, std::uint64_t findings, bool data = true) {
    VerificationRecord record = verified(day(on), shard);
    record.findings = findings;
    record.data = data;
    return record;
  };
  const auto days = [](const std::vector<VerificationRecord>& records) {
    std::vector<UtcTime> result;
    for (const VerificationRecord& record : standing_damage(records))
      result.push_back(record.began);
    return result;
  };
  using Days = std::vector<UtcTime>;
  EXPECT_EQ(days({}), Days{});
  EXPECT_EQ(days({with(1, {}, 2)}), Days{day(1)});
  EXPECT_EQ(days({with(1, {}, 2), with(2, {}, 0)}), Days{});
  EXPECT_EQ(days({with(1, {1, 2}, 2), with(2, {2, 2}, 1)}), (Days{day(1), day(2)}));
  EXPECT_EQ(days({with(1, {1, 2}, 2), with(2, {2, 2}, 1), with(3, {1, 2}, 0)}), Days{day(2)});
  EXPECT_EQ(days({with(1, {1, 2}, 2), with(2, {}, 0)}), Days{});
  EXPECT_EQ(days({with(1, {}, 2), with(2, {}, 0, false)}), Days{day(1)});
  EXPECT_EQ(days({with(1, {}, 2, false), with(2, {}, 0, false)}), Days{});
  EXPECT_EQ(days({with(1, {}, 0, false), with(2, {}, 3, false)}), Days{day(2)});
}

// In a repository.

class VerificationRecordTest : public testing::Test {
 protected:
  std::vector<VerificationRecord> records() {
    return read_verifications(repository_.cluster(), findings_).value();
  }

  DamagedRepository repository_;
  repository::Findings findings_;
};

TEST_F(VerificationRecordTest, VerificationLeavesOne) {
  repository_.back_up(support::shaped_files(1));
  repository_.leaves_records = true;
  const VerifyReport report = repository_.verify().value();
  EXPECT_FALSE(report.not_recorded);
  ASSERT_THAT(records(), SizeIs(1));
  const VerificationRecord record = records().front();
  EXPECT_TRUE(record.data);
  EXPECT_EQ(record.bytes_read, report.bytes_read);
  EXPECT_EQ(record.findings, 0U);
  EXPECT_EQ(record.program, "pghaul test");
  Inventory inventory = take_inventory(repository_.cluster(), findings_).value();
  EXPECT_EQ(find_coverage(inventory, records(), {}).never_read_bytes, 0U);
  EXPECT_TRUE(repository_.verify().value().sound()) << "the record belongs there";
}

TEST_F(VerificationRecordTest, ShardsReadEverythingTogether) {
  repository_.back_up(support::shaped_files(1));
  repository_.back_up(support::changed_files(support::shaped_files(1), 2));
  const std::uint64_t all = repository_.verify().value().bytes_read;
  repository_.leaves_records = true;
  std::uint64_t read = 0;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    repository_.options.shard = {i, 3};
    read += repository_.verify().value().bytes_read;
  }
  EXPECT_EQ(read, all);
  Inventory inventory = take_inventory(repository_.cluster(), findings_).value();
  EXPECT_EQ(find_coverage(inventory, records(), {}).never_read_bytes, 0U);
}

TEST_F(VerificationRecordTest, WhoeverNamesBackupsLeavesNone) {
  repository_.options.backups = {repository_.back_up(support::shaped_files(1))};
  repository_.leaves_records = true;
  EXPECT_TRUE(repository_.verify().has_value());
  EXPECT_THAT(records(), IsEmpty());
}

TEST_F(VerificationRecordTest, DamageIsRecorded) {
  const std::string backup = repository_.back_up(support::shaped_files(1));
  for (const std::string& key : repository_.keys_with("/packs/")) repository_.put(key, "x");
  repository_.leaves_records = true;
  const VerifyReport report = repository_.verify().value();
  ASSERT_THAT(records(), SizeIs(1));
  EXPECT_EQ(records().front().findings, report.damage.size());
  EXPECT_EQ(records().front().affected, std::vector{backup});
}

TEST_F(VerificationRecordTest, DamagedRecordIsAFinding) {
  repository_.leaves_records = true;
  EXPECT_TRUE(repository_.verify().has_value());
  const std::string key = repository_.keys_with("/records/").at(0);
  repository_.put(key, "x");
  EXPECT_THAT(records(), IsEmpty());
  EXPECT_TRUE(mentions(findings_.lines(), key));
  EXPECT_TRUE(mentions(repository_.verify().value().damage, key));
}

TEST_F(VerificationRecordTest, DistrustOfChangesBelongsThere) {
  Json json = Json::object();
  const repository::RecordRef ref{repository::RecordKind::changes_distrusted, "20261123T020222Z-I"};
  ASSERT_TRUE(repository::add_record(repository_.cluster(), ref, json));
  EXPECT_TRUE(repository_.verify().value().sound());
}

}  // namespace
}  // namespace haul::verify
