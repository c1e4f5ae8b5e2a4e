// Which pages a backup from WAL reads: those that WAL names, bad ones, and a sample of the rest.
#include "engine/backup/change_selection.h"

#include <memory>

#include <gtest/gtest.h>

namespace haul::backup {
namespace {

constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::int64_t kBegan = 1'000'000'000'000;
constexpr std::int64_t kLongAgo = 0;
const std::string kPath = "base/5/16384";
constexpr postgres::RelationFork kFork{{1663, 5, 16384}, postgres::Fork::main};

std::unique_ptr<const ChangeSelection> selection(ChangeSelection::AuditRate rate,
                                                 postgres::ChangedBlocks changes = {}) {
  auto result =
      std::make_unique<ChangeSelection>(std::move(changes), postgres::BackupFacts{}, kBegan, 7);
  result->set_audit(rate);
  return result;
}

postgres::ChangedBlocks blocks(const std::vector<std::uint32_t>& numbers) {
  postgres::ChangedBlocks changes;
  for (const std::uint32_t number : numbers) changes.add(kFork, number);
  return changes;
}

TEST(AuditRate, UnchangedRelationsGiveTheirShare) {
  const ChangeSelection::AuditRate rate = audit_rate(10'000, 990'000, 10'000);
  EXPECT_EQ(rate.in_unchanged_ppm, 10'000U);
  EXPECT_EQ(rate.in_changed_ppm, 10'000U);
}

TEST(AuditRate, UnchangedRelationsGiveAtMostHalf) {
  const ChangeSelection::AuditRate rate = audit_rate(10'000, 10'000, 990'000);
  EXPECT_EQ(rate.in_unchanged_ppm, 5'051U);  // of 990,000: 5,000
  EXPECT_EQ(rate.in_changed_ppm, 500'000U);
}

TEST(AuditRate, WithoutUnchangedRelationsAllIsOfTheChangedOnes) {
  const ChangeSelection::AuditRate rate = audit_rate(1'000, 4'000, 0);
  EXPECT_EQ(rate.in_changed_ppm, 250'000U);
}

TEST(AuditRate, MoreThanThereIsMeansEverything) {
  const ChangeSelection::AuditRate rate = audit_rate(100'000, 500, 700);
  EXPECT_EQ(rate.in_changed_ppm, kMillion);
  EXPECT_EQ(rate.in_unchanged_ppm, kMillion);
}

TEST(AuditRate, NothingIsNothing) {
  const ChangeSelection::AuditRate rate = audit_rate(0, 500, 700);
  EXPECT_EQ(rate.in_changed_ppm, 0U);
  EXPECT_EQ(rate.in_unchanged_ppm, 0U);
}

TEST(FileSelection, NamesWhatWalNames) {
  const auto changes = selection({}, blocks({3, 600}));
  const auto file = changes->select(kPath, 0, kLongAgo);
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(file->is_touched());
  EXPECT_EQ(file->named(0, 512), repository::PageSet().set(3));
  EXPECT_EQ(file->named(1, 512), repository::PageSet().set(600 - 512));
  EXPECT_TRUE(file->audited(0, 512).none());
}

TEST(FileSelection, FewPagesAreReadInRuns) {
  const auto changes = selection({0, 20'000});
  const auto file = changes->select(kPath, 0, kLongAgo);
  ASSERT_TRUE(file.has_value());
  std::size_t audited = 0;
  for (std::uint64_t leaf = 0; leaf < 200; ++leaf) {
    const repository::PageSet pages = file->audited(leaf, 512);
    audited += pages.count();
    for (std::size_t page = 0; page < 512; ++page) {
      ASSERT_EQ(pages[page], pages[page / 8 * 8]) << leaf << " " << page;
    }
  }
  EXPECT_NEAR(static_cast<double>(audited), 2'048, 600);
}

TEST(FileSelection, ManyPagesAreReadOneByOne) {
  const auto changes = selection({0, 200'000});
  const auto file = changes->select(kPath, 0, kLongAgo);
  ASSERT_TRUE(file.has_value());
  const repository::PageSet pages = file->audited(0, 512);
  EXPECT_NEAR(static_cast<double>(pages.count()), 102, 40);
  std::size_t runs = 0;
  for (std::size_t page = 0; page < 512; page += 8)
    runs += pages[page] && pages[page + 1] ? 1U : 0U;
  EXPECT_LT(runs, 20U);
}

TEST(FileSelection, FileThatWasWrittenToAndThatWalDoesNotNameIsReadWhole) {
  const auto changes = selection({0, 20'000});
  EXPECT_EQ(changes->select(kPath, 0, kBegan)->audited(0, 512).count(), 512U);
  const auto touched = selection({0, 20'000}, blocks({3}));
  EXPECT_TRUE(touched->select(kPath, 0, kBegan)->audited(0, 512).none());
}

TEST(FileSelection, OtherForksAndFilesAreReadWhole) {
  const auto changes = selection({});
  EXPECT_FALSE(changes->select("base/5/16384_fsm", 0, kLongAgo).has_value());
  EXPECT_FALSE(changes->select("base/5/16384_vm", 0, kLongAgo).has_value());
  EXPECT_FALSE(changes->select("base/5/16384_init", 0, kLongAgo).has_value());
  EXPECT_FALSE(changes->select("PG_VERSION", 0, kLongAgo).has_value());
}

}  // namespace
}  // namespace haul::backup
