// A restore whose disk fails or loses power at any of its operations: what is left is either whole
// or does not start.
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using support::code_of;

constexpr std::uint64_t kSeeds = 3;
constexpr auto kOneByOne = io::SimDisk::FileSystemSync::unsupported;

class RestoreFaultTest : public testing::Test {
 protected:
  RestoreFaultTest() {
    std::string holey = support::pattern(700'000, 5);
    holey.replace(100'000, 200'000, std::string(200'000, '\0'));
    backup_.online()
        .data_directory()
        .tablespace(16385, "/data/space")
        .file("base/5/16384", support::pattern(20'000, 1))
        .file("base/5/16386", "")
        .paged_file("base/5/16385", holey)
        .configuration("/etc/pg/postgresql.conf", "config_file", "include_dir 'conf.d'\n");
    backup_.file("pg_tblspc/16385/PG_15_202209061/1", support::pattern(5000, 2)).commit();
  }

  std::uint64_t operations_of_a_restore(
      io::SimDisk::FileSystemSync sync = io::SimDisk::FileSystemSync::supported) {
    SimTarget target;
    target.disk.set_file_system_sync(sync);
    const std::uint64_t before = target.disk.operations();
    HAUL_ASSERT(RestoreRun(repository_, target)().has_value());
    return target.disk.operations() - before;
  }

  static io::SimFault fault_at(SimTarget& target, std::uint64_t operation,
                               io::SimFault::Kind kind) {
    return {target.disk.operations() + operation, kind, io::SimFault::Repeat::once};
  }

  // Every file with its bytes, every link, and no marker.
  bool is_whole(SimTarget& target) const {
    for (const auto& [path, content] : backup_.contents()) {
      const bool in_space = path.starts_with("pg_tblspc/16385/");
      const std::string place = in_space ? "data/space/" + path.substr(16) : "data/pg/" + path;
      if (target.read(place) != content) return false;
    }
    const auto link = target.top()->read_link("data/pg/pg_tblspc/16385");
    return link && *link == "/data/space" && target.exists("data/pg/pg_wal/archive_status") &&
           target.exists("data/pg/conf.d") && target.exists("data/pg/postgresql.conf") &&
           target.read("data/pg/backup_label") == backup_.facts.backup_label &&
           target.read("data/pg/tablespace_map") == backup_.facts.tablespace_map &&
           target.exists("data/pg/backup_manifest") &&
           !target.exists("data/pg/" + std::string(kUnfinishedMarker)) &&
           target.mode_of("data/pg/base/5/16384") == 0600;
  }
  static bool is_startable(SimTarget& target) { return target.exists("data/pg/global/pg_control"); }

  // Loses power at every operation, with several outcomes each. Tells of the first crash that
  // leaves a startable directory that is not whole, or that takes back what was reported as
  // restored.
  std::optional<std::string> first_violation(
      io::SimBreakage breakage,
      io::SimDisk::FileSystemSync sync = io::SimDisk::FileSystemSync::supported) {
    const std::uint64_t operations = operations_of_a_restore(sync);
    for (std::uint64_t operation = 1; operation <= operations + 1; ++operation) {
      for (std::uint64_t seed = operation * kSeeds; seed < (operation + 1) * kSeeds; ++seed) {
        SimTarget target;
        target.disk.set_breakage(breakage);
        target.disk.set_file_system_sync(sync);
        target.disk.set_fault(fault_at(target, operation, io::SimFault::Kind::power_loss));
        const bool restored = RestoreRun(repository_, target)().has_value();
        target.disk.crash(seed);
        const bool startable = is_startable(target);
        if ((restored && !startable) || (startable && !is_whole(target))) {
          return format("power loss at operation {}, seed {}", operation, seed);
        }
      }
    }
    return std::nullopt;
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
};

TEST_F(RestoreFaultTest, UndisturbedRestoreIsWhole) {
  SimTarget target;
  ASSERT_TRUE(RestoreRun(repository_, target)().has_value());
  EXPECT_TRUE(is_startable(target));
  EXPECT_TRUE(is_whole(target));
  EXPECT_GT(operations_of_a_restore(), 80U);
}

TEST_F(RestoreFaultTest, PowerLossAtEveryOperationLeavesAllOrNothing) {
  EXPECT_EQ(first_violation({io::SimBreakage::Kind::none}), std::nullopt);
}

TEST_F(RestoreFaultTest, PowerLossLeavesAllOrNothingWhereFilesAreSyncedOneByOne) {
  EXPECT_EQ(first_violation({io::SimBreakage::Kind::none}, kOneByOne), std::nullopt);
}

TEST_F(RestoreFaultTest, DiskThatIgnoresFileSyncIsNoticed) {
  EXPECT_NE(first_violation({io::SimBreakage::Kind::file_sync_is_ignored}), std::nullopt);
  EXPECT_NE(first_violation({io::SimBreakage::Kind::file_sync_is_ignored}, kOneByOne),
            std::nullopt);
}

TEST_F(RestoreFaultTest, DiskThatIgnoresFileSystemSyncIsNoticed) {
  EXPECT_NE(first_violation({io::SimBreakage::Kind::file_system_sync_is_ignored}), std::nullopt);
}

TEST_F(RestoreFaultTest, DiskThatIgnoresDirectorySyncIsNoticed) {
  EXPECT_NE(first_violation({io::SimBreakage::Kind::directory_sync_is_ignored}), std::nullopt);
  EXPECT_NE(first_violation({io::SimBreakage::Kind::directory_sync_is_ignored}, kOneByOne),
            std::nullopt);
}

TEST_F(RestoreFaultTest, FinishedRestoreSurvivesAnyCrash) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimTarget target;
    ASSERT_TRUE(RestoreRun(repository_, target)().has_value());
    target.disk.crash(seed);
    ASSERT_TRUE(is_startable(target)) << seed;
    ASSERT_TRUE(is_whole(target)) << seed;
  }
}

TEST_F(RestoreFaultTest, CrashedRestoreIsRefusedAsTarget) {
  const std::uint64_t operations = operations_of_a_restore();
  for (std::uint64_t operation = 1; operation <= operations; ++operation) {
    SimTarget target;
    target.disk.set_fault(fault_at(target, operation, io::SimFault::Kind::power_loss));
    ASSERT_FALSE(RestoreRun(repository_, target)().has_value());
    target.disk.crash(operation);
    if (!target.exists("data/pg") || target.names("data/pg").empty()) continue;
    ASSERT_EQ(code_of(RestoreRun(repository_, target)()), ErrorCode::usage) << operation;
  }
}

// The name, the code that a restore has to report, and what the disk does.
struct FaultCase {
  const char* name;
  ErrorCode code;
  io::SimFault::Kind kind;
  io::SimDisk::FileSystemSync sync = io::SimDisk::FileSystemSync::supported;
};

class FailingDiskTest : public RestoreFaultTest, public testing::WithParamInterface<FaultCase> {};

TEST_P(FailingDiskTest, FailureAtEveryOperationIsReportedAndNothingStarts) {
  const std::uint64_t operations = operations_of_a_restore(GetParam().sync);
  for (std::uint64_t operation = 1; operation <= operations; ++operation) {
    SimTarget target;
    target.disk.set_file_system_sync(GetParam().sync);
    target.disk.set_fault(fault_at(target, operation, GetParam().kind));
    const auto report = RestoreRun(repository_, target)();
    ASSERT_EQ(code_of(report), GetParam().code) << "operation " << operation;
    ASSERT_FALSE(is_startable(target)) << "operation " << operation;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FailingDiskTest,
    testing::Values(
        FaultCase{"NoSpace", ErrorCode::no_space, io::SimFault::Kind::no_space},
        FaultCase{"IoError", ErrorCode::io, io::SimFault::Kind::io_error},
        FaultCase{"NoSpaceOneByOne", ErrorCode::no_space, io::SimFault::Kind::no_space, kOneByOne},
        FaultCase{"IoErrorOneByOne", ErrorCode::io, io::SimFault::Kind::io_error, kOneByOne}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace haul::restore
