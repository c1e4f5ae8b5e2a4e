#include "engine/backup/record_sorter.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "io/fault_directory.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"

namespace haul::backup {
namespace {

using support::code_of;
using support::names_in;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A sorter with a spool on a simulated disk, reached through a plan of faults.
struct Sorting {
  io::SimDisk disk;
  std::shared_ptr<io::FaultPlan> plan;
  int spools_opened = 0;
  RecordSorter sorter;

  explicit Sorting(const std::string& faults = "")
      : plan(io::parse_fault_plan(faults).value()),
        sorter({.spool = [this]() -> Result<std::unique_ptr<io::Directory>> {
                  ++spools_opened;
                  return io::make_fault_directory(HAUL_TRY(disk.open("")), plan);
                },
                .memory_bytes = kSorterMemoryMin}) {}

  // Everything that was added, sorted.
  Result<std::vector<std::string>> sorted() {
    HAUL_TRY(sorter.finish());
    std::vector<std::string> records;
    while (const auto record = HAUL_TRY(sorter.next())) records.emplace_back(text_of(*record));
    return records;
  }
  Result<std::vector<std::string>> sorted(const std::vector<std::string>& records) {
    for (const std::string& record : records) HAUL_TRY(sorter.add(bytes_of(record)));
    return sorted();
  }
};

// Together `total_bytes`, of any length up to `size_max_bytes`.
std::vector<std::string> random_records(std::size_t total_bytes, std::size_t size_max_bytes) {
  std::mt19937_64 random(7);
  std::vector<std::string> records;
  for (std::size_t bytes = 0; bytes < total_bytes; bytes += records.back().size()) {
    std::string record(random() % (size_max_bytes + 1), '\0');
    // Few different bytes: many equal beginnings, and some equal records.
    for (char& c : record) c = static_cast<char>("\0\1a\xff"[random() % 4]);
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<std::string> in_order(std::vector<std::string> records) {
  std::ranges::sort(records);
  return records;
}

TEST(RecordSorter, OfNothingGivesNothing) {
  Sorting sorting;
  EXPECT_THAT(sorting.sorted().value(), IsEmpty());
  EXPECT_EQ(sorting.sorter.memory_bytes(), 0U);
}

TEST(RecordSorter, OrdersRecordsAsUnsignedBytesAndKeepsEqualOnes) {
  Sorting sorting;
  EXPECT_THAT(sorting.sorted({"b", "a\xff", "", "a", "b", "\x7f", "ab"}).value(),
              ElementsAre("", "a", "ab", "a\xff", "b", "b", "\x7f"));
  EXPECT_FALSE(sorting.sorter.next().value());
}

TEST(RecordSorter, TouchesNoDiskWhileTheMemorySuffices) {
  Sorting sorting;
  const std::vector<std::string> records = random_records(kSorterMemoryMin / 2, 200);
  EXPECT_EQ(sorting.sorted(records).value(), in_order(records));
  EXPECT_EQ(sorting.spools_opened, 0);
}

TEST(RecordSorter, MoreThanTheMemoryHoldsIsMergedFromRuns) {
  Sorting sorting;
  const std::vector<std::string> records = random_records(2 * kSorterMemoryMin, 200);
  EXPECT_EQ(sorting.sorted(records).value(), in_order(records));
  EXPECT_EQ(sorting.spools_opened, 1);
  EXPECT_EQ(sorting.plan->calls("create"), 3U);
}

TEST(RecordSorter, RunsThatAreMoreThanAMergeTakesAreMergedInSteps) {
  Sorting sorting;
  const std::vector<std::string> records = random_records(30 * kSorterMemoryMin, 2000);
  EXPECT_EQ(sorting.sorted(records).value(), in_order(records));
  EXPECT_GT(sorting.plan->calls("create"), 38U);
}

TEST(RecordSorter, LargestRecordsFit) {
  Sorting sorting;
  std::vector<std::string> records;
  for (char c = 'a'; c < 'a' + 20; ++c) records.emplace_back(kSorterRecordMax, c);
  std::ranges::reverse(records);
  EXPECT_EQ(sorting.sorted(records).value(), in_order(records));
}

TEST(RecordSorter, KeepsToItsMemory) {
  Sorting sorting;
  std::size_t peak_bytes = 0;
  for (const std::string& record : random_records(10 * kSorterMemoryMin, 300)) {
    ASSERT_TRUE(sorting.sorter.add(bytes_of(record)));
    peak_bytes = std::max(peak_bytes, sorting.sorter.memory_bytes());
  }
  EXPECT_GT(peak_bytes, kSorterMemoryMin / 10 * 9);
  ASSERT_TRUE(sorting.sorter.finish());
  peak_bytes = std::max(peak_bytes, sorting.sorter.memory_bytes());
  EXPECT_LE(peak_bytes, kSorterMemoryMin);
}

TEST(RecordSorter, LeavesNothingInTheSpool) {
  Sorting sorting;
  const auto top = sorting.disk.open("").value();
  {
    const RecordSorter sorter = std::move(sorting.sorter);
    sorting.sorter = RecordSorter(
        {.spool = [&] { return sorting.disk.open(""); }, .memory_bytes = kSorterMemoryMin});
    for (const std::string& record : random_records(2 * kSorterMemoryMin, 300)) {
      ASSERT_TRUE(sorting.sorter.add(bytes_of(record)));
    }
    ASSERT_TRUE(sorting.sorter.finish());
    sorting.sorter = RecordSorter({.spool = [&] { return sorting.disk.open(""); }});
  }
  EXPECT_THAT(names_in(*top, "").value(), IsEmpty());
}

TEST(RecordSorter, SpoolThatCannotBeOpenedIsReported) {
  RecordSorter sorter({.spool = []() -> Result<std::unique_ptr<io::Directory>> {
                         return Error(ErrorCode::permission, "cannot open /var/tmp");
                       },
                       .memory_bytes = kSorterMemoryMin});
  Status added = ok();
  while (added) added = sorter.add(bytes_of("a record"));
  EXPECT_EQ(code_of(added), ErrorCode::permission);
  EXPECT_EQ(added.error().message(), "cannot open /var/tmp");
}

TEST(RecordSorter, FailureOfTheSpoolAtAnyStepNamesIt) {
  const std::vector<std::string> records = random_records(12 * kSorterMemoryMin, 2000);
  for (const std::string operation : {"create", "write", "read"}) {
    std::uint64_t calls = 0;
    {
      Sorting sorting;
      ASSERT_TRUE(sorting.sorted(records));
      calls = sorting.plan->calls(operation);
    }
    ASSERT_GT(calls, 10U);
    for (std::uint64_t call = 1; call <= calls; call += 1 + calls / 20) {
      Sorting sorting(format("{}:{}:eio", operation, call));
      const auto sorted = sorting.sorted(records);
      ASSERT_EQ(code_of(sorted), ErrorCode::io) << operation << " " << call;
      EXPECT_THAT(sorted.error().message(), HasSubstr("sim:"));
    }
  }
}

TEST(RecordSorter, FullSpoolSaysWhatToDo) {
  Sorting sorting("write:3:enospc");
  const auto sorted = sorting.sorted(random_records(2 * kSorterMemoryMin, 200));
  ASSERT_EQ(code_of(sorted), ErrorCode::no_space);
  EXPECT_THAT(sorted.error().message(), HasSubstr("sim:"));
  EXPECT_THAT(sorted.error().hint(), HasSubstr("temporary files"));
}

TEST(RecordSorter, RunThatReadsBackDifferentlyIsAnError) {
  const std::vector<std::string> records = random_records(3 * kSorterMemoryMin, 200);
  for (const std::string action : {"flip", "short"}) {
    for (int call = 1; call <= 12; ++call) {
      Sorting sorting(format("read:{}:{}", call, action));
      const auto sorted = sorting.sorted(records);
      ASSERT_EQ(code_of(sorted), ErrorCode::io) << action << " " << call;
      EXPECT_THAT(sorted.error().message(), HasSubstr("does not read back"));
    }
  }
}

}  // namespace
}  // namespace haul::backup
