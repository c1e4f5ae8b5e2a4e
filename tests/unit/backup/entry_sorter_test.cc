#include "engine/backup/entry_sorter.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"

namespace haul::backup {
namespace {

using repository::ChunkId;
using repository::ContentKind;
using repository::EntryKind;
using repository::TreeEntry;
using repository::TreeRoot;
using support::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint32_t kChunkPages = 32;

TreeEntry file(const std::string& path, std::size_t chunks = 0) {
  TreeEntry entry;
  entry.path = path;
  entry.mode = 0600;
  entry.page_size_bytes = 8192;
  entry.size_bytes = chunks * kChunkPages * 8192;
  if (chunks > 0) entry.content = ContentKind::inlined;
  for (std::size_t i = 0; i < chunks; ++i) {
    entry.ids.push_back(ChunkId{});
    entry.ids.back().bytes.fill(static_cast<std::byte>(path.size() + i));
  }
  return entry;
}

struct Sorting {
  io::SimDisk disk;
  int spools_opened = 0;
  EntrySorter sorter{kChunkPages,
                     {.spool =
                          [this] {
                            ++spools_opened;
                            return disk.open("");
                          },
                      .memory_bytes = kSorterMemoryMin}};

  Result<std::vector<TreeEntry>> sorted(const std::vector<TreeEntry>& entries) {
    for (const TreeEntry& entry : entries) HAUL_TRY(sorter.add(entry));
    std::vector<TreeEntry> result;
    HAUL_TRY(sorter.drain([&result](const TreeEntry& entry) {
      result.push_back(entry);
      return ok();
    }));
    return result;
  }
};

TEST(EntrySorter, OfNothingVisitsNothing) {
  Sorting sorting;
  EXPECT_TRUE(sorting.sorted({})->empty());
  EXPECT_EQ(sorting.sorter.entries(), 0U);
}

TEST(EntrySorter, EntriesComeBackAsTheyWereInTheOrderOfTheTree) {
  TreeEntry directory = file("base/5");
  directory.kind = EntryKind::directory;
  directory.mode = 0750;
  directory.user = 26;
  directory.group = 27;
  TreeEntry link = file("pg_ident.conf");
  link.kind = EntryKind::link;
  link.link_target = "/etc/pg_ident.conf";
  TreeEntry outside = file("etc/postgresql.conf");
  outside.root = TreeRoot::configuration;
  const TreeEntry small = file("base/5/9");
  const TreeEntry large = file("base/5/10", repository::kInlineChunksMax);
  Sorting sorting;
  EXPECT_THAT(sorting.sorted({outside, large, link, small, directory}).value(),
              ElementsAre(directory, small, large, link, outside));
  EXPECT_EQ(sorting.sorter.entries(), 5U);
}

TEST(EntrySorter, MoreThanTheMemoryHoldsIsSortedInTheSpool) {
  std::vector<TreeEntry> entries;
  for (int i = 0; i < 10'000; ++i)
    entries.push_back(file(format("base/5/{}", i), static_cast<std::size_t>(i % 4)));
  std::ranges::shuffle(entries, std::mt19937_64(3));
  Sorting sorting;
  const std::vector<TreeEntry> sorted = sorting.sorted(entries).value();
  EXPECT_EQ(sorting.spools_opened, 1);
  std::ranges::sort(entries, repository::entry_less);
  EXPECT_EQ(sorted, entries);
}

TEST(EntrySorter, LongestEntryFits) {
  TreeEntry entry;
  entry.kind = EntryKind::link;
  while (entry.path.size() < 4094) entry.path += "1a";
  entry.link_target = std::string(4096, 'x');
  Sorting sorting;
  EXPECT_THAT(sorting.sorted({entry}).value(), ElementsAre(entry));
}

TEST(EntrySorter, TwoEntriesWithOnePathAreCorrupt) {
  Sorting sorting;
  const auto sorted = sorting.sorted({file("a"), file("base/5/10", 1), file("base/5/10", 2)});
  ASSERT_EQ(code_of(sorted), ErrorCode::corrupt);
  EXPECT_THAT(sorted.error().message(), HasSubstr("base/5/10"));
}

TEST(EntrySorter, OnePathInTwoRootsIsFine) {
  TreeEntry outside = file("a");
  outside.root = TreeRoot::configuration;
  Sorting sorting;
  EXPECT_THAT(sorting.sorted({outside, file("a")}).value(), ElementsAre(file("a"), outside));
}

TEST(EntrySorter, EntryThatBreaksTheFormatIsUsage) {
  Sorting sorting;
  EXPECT_EQ(code_of(sorting.sorter.add(file("../a"))), ErrorCode::usage);
  EXPECT_EQ(code_of(sorting.sorter.add(file(std::string("a\0b", 3)))), ErrorCode::usage);
  EXPECT_EQ(sorting.sorter.entries(), 0U);
}

TEST(EntrySorter, FailureOfTheVisitorEndsTheVisit) {
  Sorting sorting;
  ASSERT_TRUE(sorting.sorter.add(file("a")));
  ASSERT_TRUE(sorting.sorter.add(file("b")));
  int visits = 0;
  EXPECT_EQ(code_of(sorting.sorter.drain([&](const TreeEntry&) -> Status {
              ++visits;
              return Error(ErrorCode::busy, "enough");
            })),
            ErrorCode::busy);
  EXPECT_EQ(visits, 1);
}

}  // namespace
}  // namespace haul::backup
