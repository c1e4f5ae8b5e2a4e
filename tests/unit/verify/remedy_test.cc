// What damage takes away, and what is left elsewhere.
#include "engine/verify/remedy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/wal/wal_archive.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/verify/verify_fixture.h"

namespace haul::verify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr TimelineId kOne{1};
constexpr TimelineId kTwo{2};

Moments moments(std::uint64_t from, std::uint64_t to, std::uint64_t to_now,
                TimelineId timeline = kOne) {
  return {timeline, Lsn{from}, Lsn{to}, Lsn{to_now}};
}
LostMoments lost(std::uint64_t from, std::uint64_t to, TimelineId timeline = kOne) {
  return {timeline, Lsn{from}, Lsn{to}};
}

TEST(LostMoments, WithoutDamageNothingIsLost) {
  EXPECT_THAT(lost_moments({}), IsEmpty());
  EXPECT_THAT(lost_moments({moments(10, 100, 100), moments(50, 100, 100)}), IsEmpty());
}

TEST(LostMoments, OlderBackupLeadsThereToo) {
  EXPECT_THAT(lost_moments({moments(10, 100, 100), moments(50, 100, 50)}), IsEmpty());
}

TEST(LostMoments, FirstBackupTakesWhatLiesBeforeTheNext) {
  EXPECT_THAT(lost_moments({moments(10, 100, 10), moments(50, 100, 100)}),
              ElementsAre(lost(10, 50)));
}

TEST(LostMoments, DamagedWalTakesWhatLiesBeforeTheNextBackup) {
  EXPECT_THAT(lost_moments({moments(10, 100, 30), moments(50, 100, 100)}),
              ElementsAre(lost(30, 50)));
  EXPECT_THAT(lost_moments({moments(10, 100, 30), moments(50, 100, 70), moments(90, 100, 100)}),
              ElementsAre(lost(30, 50), lost(70, 90)));
}

TEST(LostMoments, WithoutAnyWholeBackupAllAreLost) {
  EXPECT_THAT(lost_moments({moments(10, 100, 10), moments(50, 120, 50)}),
              ElementsAre(lost(10, 120)));
}

TEST(LostMoments, TimelinesAreApart) {
  EXPECT_THAT(lost_moments({moments(10, 100, 10), moments(10, 100, 100, kTwo),
                            moments(200, 300, 250, kTwo)}),
              ElementsAre(lost(10, 100), lost(250, 300, kTwo)));
}

TEST(LostMoments, GapThatWasThereBeforeIsNoLoss) {
  EXPECT_THAT(lost_moments({moments(10, 20, 20), moments(50, 100, 50)}),
              ElementsAre(lost(50, 100)));
}

// In a repository: the second backup has another content of one file, and both the other one.
class WholeFiles : public testing::Test {
 protected:
  WholeFiles() {
    first_ = repository_.back_up(
        {{"base/1/1", support::pattern(50'000, 1)}, {"base/1/2", support::pattern(50'000, 2)}});
    second_ = repository_.back_up(
        {{"base/1/1", support::pattern(50'000, 3)}, {"base/1/2", support::pattern(50'000, 2)}});
  }
  // Removes the pack that holds this content.
  void lose(const std::string& content) {
    for (const std::string& key : repository_.keys_with("/packs/")) {
      if (repository_.get(key).contains(content.substr(0, 64))) repository_.remove(key);
    }
  }

  DamagedRepository repository_;
  std::string first_;
  std::string second_;
};

TEST_F(WholeFiles, AreNamedWhereAnotherBackupHasThem) {
  lose(support::pattern(50'000, 3));
  const VerifyReport report = repository_.verify(VerifyOptions::Depth::structure).value();
  ASSERT_EQ(report.affected.size(), 1U);
  EXPECT_EQ(report.affected[0].backup, second_);
  EXPECT_THAT(report.affected[0].lost_files, ElementsAre("base/1/1"));
  EXPECT_THAT(report.affected[0].whole_in, ElementsAre(Pair("base/1/1", first_)));
}

TEST_F(WholeFiles, AreNotWhereAllBackupsShareWhatIsLost) {
  for (const std::string& key : repository_.keys_with("/packs/")) repository_.remove(key);
  const VerifyReport report = repository_.verify(VerifyOptions::Depth::structure).value();
  EXPECT_EQ(report.affected.size(), 2U);
  for (const AffectedBackup& affected : report.affected) {
    EXPECT_THAT(affected.whole_in, IsEmpty());
  }
}

// Two backups whose WAL is archived, in segments 3 and 5 of 3 to 6.
class LostWal : public testing::Test {
 protected:
  static constexpr std::uint32_t kSegment = 1 << 20;

  LostWal() {
    for (const unsigned number : {3U, 4U, 5U, 6U}) {
      const std::string content = support::fake_wal_segment(number);
      const wal::WalName name = wal::parse_wal_name(segment(number)).value();
      wal::WalArchive archive(repository_.cluster(), support::kFakeSystemIdentifier);
      const wal::WalFacts facts = wal::examine_content(name, bytes_of(content)).value();
      HAUL_ASSERT(archive.put(name, facts, bytes_of(content)).has_value());
    }
    first_ = back_up(3);
    second_ = back_up(5);
  }

  static std::string segment(unsigned number) { return format("0000000100000000{:08X}", number); }
  static Lsn begin_of(std::uint64_t number) { return Lsn{number * kSegment}; }
  std::string back_up(std::uint64_t number) {
    repository_.facts.system_identifier = support::kFakeSystemIdentifier;
    repository_.facts.wal_segment_size_bytes = kSegment;
    repository_.facts.wal_included = false;
    repository_.facts.start = Lsn{number * kSegment + 40};
    repository_.facts.stop = stop_of(number);
    return repository_.back_up({{"base/1/1", support::pattern(20'000, number)}});
  }
  static Lsn stop_of(std::uint64_t number) { return Lsn{number * kSegment + 256}; }
  VerifyReport verify_without(unsigned number) {
    const std::string key = repository_.keys_with("/" + segment(number)).at(0);
    std::string bytes = repository_.get(key);
    bytes[40] = static_cast<char>(bytes[40] ^ 1);
    repository_.put(key, bytes);
    return repository_.verify(VerifyOptions::Depth::structure).value();
  }
  static std::vector<std::string> lost_by_wal(const VerifyReport& report) {
    std::vector<std::string> backups;
    for (const AffectedBackup& affected : report.affected) {
      EXPECT_EQ(affected.loss, AffectedBackup::Loss::wal);
      backups.push_back(affected.backup);
    }
    return backups;
  }

  DamagedRepository repository_;
  std::string first_;
  std::string second_;
};

TEST_F(LostWal, BetweenBackupsTakesTheMomentsUpToTheNext) {
  const VerifyReport report = verify_without(4);
  EXPECT_THAT(report.affected, IsEmpty());
  EXPECT_THAT(report.lost_moments, ElementsAre(LostMoments{kOne, begin_of(4), stop_of(5)}));
}

TEST_F(LostWal, AtTheEndTakesTheLastMoments) {
  const VerifyReport report = verify_without(6);
  EXPECT_THAT(report.affected, IsEmpty());
  EXPECT_THAT(report.lost_moments, ElementsAre(LostMoments{kOne, begin_of(6), begin_of(7)}));
}

TEST_F(LostWal, OfABackupTakesTheBackup) {
  const VerifyReport report = verify_without(5);
  EXPECT_THAT(lost_by_wal(report), ElementsAre(second_));
  EXPECT_THAT(report.lost_moments, ElementsAre(LostMoments{kOne, begin_of(5), begin_of(7)}));
}

TEST_F(LostWal, OfTheFirstBackupTakesWhatLiesBeforeTheNext) {
  const VerifyReport report = verify_without(3);
  EXPECT_THAT(lost_by_wal(report), ElementsAre(first_));
  EXPECT_THAT(report.lost_moments, ElementsAre(LostMoments{kOne, stop_of(3), stop_of(5)}));
}

TEST_F(LostWal, LostBackupIsReplacedByAnOlderOne) {
  for (const std::string& key : repository_.keys_with("/packs/" + second_)) {
    repository_.remove(key);
  }
  const VerifyReport report = repository_.verify(VerifyOptions::Depth::structure).value();
  ASSERT_EQ(report.affected.size(), 1U);
  EXPECT_EQ(report.affected[0].backup, second_);
  EXPECT_THAT(report.lost_moments, IsEmpty());
}

TEST_F(LostWal, WhoeverNamesBackupsIsNotToldOfMoments) {
  repository_.options.backups = {second_};
  const VerifyReport report = verify_without(4);
  EXPECT_THAT(report.lost_moments, IsEmpty());
  EXPECT_TRUE(report.sound());
}

}  // namespace
}  // namespace haul::verify
