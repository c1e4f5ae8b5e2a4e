// Syncing a whole file system: where it can be trusted, and what a failure leaves.
#include <fcntl.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "io/fault_directory.h"
#include "io/internal/file_system_kind.h"
#include "io/internal/posix_directory.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io {
namespace {

using internal::PosixFeatures;
using internal::reports_lost_writes;
using support::code_of;
using support::write_file;

constexpr std::uint64_t kExt4 = 0xEF53;

TEST(ReportsLostWrites, FileSystemsThatWriteToADeviceDo) {
  for (const std::uint64_t kind : {kExt4, 0x58465342UL, 0x9123683EUL, 0xF2F52010UL, 0x01021994UL}) {
    EXPECT_TRUE(reports_lost_writes(kind, "6.1.0-18-amd64")) << std::hex << kind;
  }
}

TEST(ReportsLostWrites, NetworkFuseOverlayAndUnknownOnesDoNot) {
  for (const std::uint64_t kind :
       {0x6969UL, 0xFF534D42UL, 0x65735546UL, 0x794C7630UL, 0x2FC12FC1UL, 0UL}) {
    EXPECT_FALSE(reports_lost_writes(kind, "6.1.0-18-amd64")) << std::hex << kind;
  }
}

TEST(ReportsLostWrites, KernelsBefore5Point8DoNot) {
  for (const char* release : {"5.7.19", "4.19.0-26-amd64", "3.10.0", "", "x", "6", "6.", "6.x"}) {
    EXPECT_FALSE(reports_lost_writes(kExt4, release)) << release;
  }
  for (const char* release : {"5.8.0", "5.10.0-28", "6.0.1", "10.2"}) {
    EXPECT_TRUE(reports_lost_writes(kExt4, release)) << release;
  }
}

std::unique_ptr<Directory> directory_with(const support::TemporaryDirectory& top,
                                          PosixFeatures features) {
  UniqueFd root(::open(top.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  HAUL_ASSERT(root);
  return internal::make_posix_directory(std::move(root), top.path(), features);
}

TEST(SyncFileSystem, IsUnsupportedWhereLostWritesAreNotReported) {
  const support::TemporaryDirectory top;
  const auto directory = directory_with(top, {.lost_writes_reported = false});
  EXPECT_FALSE(directory->can_sync_file_system());
  EXPECT_EQ(code_of(directory->sync_file_system()), ErrorCode::unsupported);
}

TEST(SyncFileSystem, DirectoryBeneathKnowsItToo) {
  const support::TemporaryDirectory top;
  const auto directory = directory_with(top, {.lost_writes_reported = false});
  ASSERT_TRUE(directory->make_directory("d", 0700));
  EXPECT_FALSE(directory->open_directory("d").value()->can_sync_file_system());
}

int calls = 0;
int fail_once(int) {
  errno = EIO;
  return ++calls == 1 ? -1 : 0;
}

TEST(SyncFileSystem, FailureIsNeverForgotten) {
  const support::TemporaryDirectory top;
  calls = 0;
  const auto directory = directory_with(top, {.sync_file_system = fail_once});
  EXPECT_EQ(code_of(directory->sync_file_system()), ErrorCode::io);
  EXPECT_EQ(code_of(directory->sync_file_system()), ErrorCode::io);
  EXPECT_EQ(calls, 1);
}

TEST(SyncFileSystem, FaultPlanCountsAndInjects) {
  SimDisk disk;
  const auto plan = parse_fault_plan("sync_file_system:1:eio").value();
  const auto directory = make_fault_directory(disk.open("").value(), plan);
  EXPECT_EQ(code_of(directory->sync_file_system()), ErrorCode::io);
  EXPECT_TRUE(directory->sync_file_system());
  EXPECT_EQ(plan->calls("sync_file_system"), 2U);
  EXPECT_EQ(plan->calls("mutate"), 2U);
  EXPECT_TRUE(directory->can_sync_file_system());
}

TEST(SimFileSystemSync, MakesFilesAndNamesDurable) {
  SimDisk disk;
  const auto root = disk.open("").value();
  ASSERT_TRUE(root->make_directory("d", 0700));
  ASSERT_TRUE(
      root->create_file("d/f", 0600, Caching::buffered).value()->write_at(0, bytes_of("x")));
  EXPECT_EQ(disk.durable_content("d/f"), std::nullopt);
  ASSERT_TRUE(root->sync_file_system());
  EXPECT_EQ(disk.durable_content("d/f"), "x");
}

TEST(SimFileSystemSync, FailureLosesWhatWasNotSyncedAndLasts) {
  SimDisk disk;
  const auto root = disk.open("").value();
  ASSERT_TRUE(root->create_file("f", 0600, Caching::buffered).value()->write_at(0, bytes_of("x")));
  disk.set_fault({disk.operations() + 1, SimFault::Kind::io_error, SimFault::Repeat::once});
  EXPECT_EQ(code_of(root->sync_file_system()), ErrorCode::io);
  EXPECT_EQ(code_of(root->sync_file_system()), ErrorCode::io);
  disk.crash(1);
  EXPECT_FALSE(disk.open("").value()->info("f").has_value());
  EXPECT_TRUE(disk.open("").value()->sync_file_system());
}

TEST(SimFileSystemSync, CanBeUnsupported) {
  SimDisk disk;
  disk.set_file_system_sync(SimDisk::FileSystemSync::unsupported);
  const auto root = disk.open("").value();
  EXPECT_FALSE(root->can_sync_file_system());
  EXPECT_EQ(code_of(root->sync_file_system()), ErrorCode::unsupported);
}

TEST(SimFileSystemSync, BrokenDiskIgnoresIt) {
  SimDisk disk;
  disk.set_breakage({SimBreakage::Kind::file_system_sync_is_ignored});
  const auto root = disk.open("").value();
  ASSERT_TRUE(root->create_file("f", 0600, Caching::buffered).value()->write_at(0, bytes_of("x")));
  ASSERT_TRUE(root->sync_file_system());
  EXPECT_EQ(disk.durable_content("f"), std::nullopt);
}

}  // namespace
}  // namespace haul::io
