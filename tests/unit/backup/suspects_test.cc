#include "engine/backup/suspects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haul::backup {
namespace {

using postgres::ChangedBlocks;
using postgres::Fork;
using postgres::RelationFork;
using repository::PageSet;
using ::testing::HasSubstr;

const std::string kPath = "base/5/16384";
const RelationFork kFork{{1663, 5, 16384}, Fork::main};

PageSet pages(std::initializer_list<std::size_t> numbers) {
  PageSet set;
  for (const std::size_t number : numbers) set.set(number);
  return set;
}

// What is said of the page; empty where every one is named.
std::string complaint(const Suspects& suspects, const ChangedBlocks& changes) {
  const Status checked = suspects.check(changes);
  if (checked) return "";
  EXPECT_EQ(checked.error().code(), ErrorCode::inconsistent);
  EXPECT_THAT(checked.error().hint(), HasSubstr("the next backup reads everything"));
  return checked.error().message();
}

TEST(Suspects, NoneAreFine) {
  Suspects suspects;
  EXPECT_TRUE(suspects.empty());
  EXPECT_EQ(complaint(suspects, {}), "");
  suspects.add(kPath, 0, {});
  EXPECT_TRUE(suspects.empty());
}

TEST(Suspects, ThatAreNamedAreFine) {
  Suspects suspects;
  suspects.add(kPath, 0, pages({0, 7, 511}));
  suspects.add(kPath, 512, pages({1}));
  EXPECT_FALSE(suspects.empty());
  ChangedBlocks changes;
  for (const std::uint32_t block : {0U, 7U, 511U, 513U}) changes.add(kFork, block);
  EXPECT_EQ(complaint(suspects, changes), "");
}

TEST(Suspects, OneThatIsNotNamedIsReported) {
  Suspects suspects;
  suspects.add(kPath, 0, pages({0, 7, 511}));
  ChangedBlocks changes;
  for (const std::uint32_t block : {0U, 6U, 8U, 511U}) changes.add(kFork, block);
  EXPECT_EQ(complaint(suspects, changes), "block 7 of base/5/16384 has changed and no WAL says so");
}

TEST(Suspects, OneOfALaterLeafIsReportedByItsBlock) {
  Suspects suspects;
  suspects.add(kPath, 0, pages({1}));
  suspects.add(kPath, 1'024, pages({1, 2}));
  ChangedBlocks changes;
  for (const std::uint32_t block : {1U, 2U, 1'025U}) changes.add(kFork, block);
  EXPECT_EQ(complaint(suspects, changes),
            "block 1026 of base/5/16384 has changed and no WAL says so");
}

TEST(Suspects, OfOneLeafAddUp) {
  Suspects suspects;
  suspects.add(kPath, 0, pages({3}));
  suspects.add(kPath, 0, pages({4}));
  ChangedBlocks changes;
  changes.add(kFork, 4);
  EXPECT_THAT(complaint(suspects, changes), HasSubstr("block 3 of"));
  changes.add(kFork, 3);
  EXPECT_EQ(complaint(suspects, changes), "");
}

TEST(Suspects, BeyondTheLengthToWhichTheRelationWasTruncatedAreFine) {
  Suspects suspects;
  suspects.add(kPath, 512, pages({100, 511}));
  ChangedBlocks changes;
  changes.lower_limit(kFork, 612);
  EXPECT_EQ(complaint(suspects, changes), "");
  suspects.add(kPath, 512, pages({99}));
  EXPECT_THAT(complaint(suspects, changes), HasSubstr("block 611 of"));
}

TEST(Suspects, OfADatabaseThatWasDroppedAreFine) {
  Suspects suspects;
  suspects.add(kPath, 0, pages({1}));
  ChangedBlocks changes;
  changes.add_database({1663, 5});
  EXPECT_EQ(complaint(suspects, changes), "");
}

// The second file of a relation has the fork's blocks from this one on.
TEST(Suspects, OfTheSecondFileOfARelationAreBlocksOfItsFork) {
  Suspects suspects;
  suspects.add(kPath + ".1", 131'072, pages({5}));
  ChangedBlocks changes;
  changes.add(kFork, 5);
  EXPECT_EQ(complaint(suspects, changes),
            "block 131077 of base/5/16384.1 has changed and no WAL says so");
  changes.add(kFork, 131'077);
  EXPECT_EQ(complaint(suspects, changes), "");
}

// A server can be built with files of any number of blocks.
TEST(Suspects, OfALeafThatBeginsAnywhereAreBlocksOfItsFork) {
  Suspects suspects;
  suspects.add(kPath + ".3", 300, pages({0, 511}));
  ChangedBlocks changes;
  changes.add(kFork, 300);
  EXPECT_THAT(complaint(suspects, changes), HasSubstr("block 811 of base/5/16384.3 "));
  changes.add(kFork, 811);
  EXPECT_EQ(complaint(suspects, changes), "");
}

TEST(Suspects, AreLookedUpInTheirOwnFork) {
  const std::string tablespace = "pg_tblspc/16385/PG_15_202209061/5/16384";
  const std::pair<std::string, RelationFork> files[] = {
      {kPath, kFork},
      {kPath + "_vm", {kFork.relation, Fork::vm}},
      {"global/1262", {{1664, 0, 1262}, Fork::main}},
      {tablespace, {{16385, 5, 16384}, Fork::main}},
  };
  for (const auto& [path, fork] : files) {
    Suspects suspects;
    suspects.add(path, 0, pages({2}));
    ChangedBlocks others;
    for (const auto& [other_path, other] : files) {
      if (other != fork) others.add(other, 2);
    }
    EXPECT_THAT(complaint(suspects, others), HasSubstr("block 2 of " + path + " "));
    ChangedBlocks own;
    own.add(fork, 2);
    EXPECT_EQ(complaint(suspects, own), "") << path;
  }
}

TEST(Suspects, OfAFileThatIsNoRelationsAreReported) {
  for (const std::string path : {"pg_xact/0000", "base/5/PG_VERSION", "other/5/16384"}) {
    Suspects suspects;
    suspects.add(path, 0, pages({3}));
    ChangedBlocks changes;
    changes.add_database({1663, 5});
    changes.add(kFork, 3);
    EXPECT_EQ(complaint(suspects, changes),
              "block 3 of " + path + " has changed and no WAL says so");
  }
}

}  // namespace
}  // namespace haul::backup
