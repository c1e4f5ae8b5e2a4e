// Delta restores on a simulated disk: what is there afterwards is what a plain restore leaves,
// whatever was there before.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/postgres/control_file.h"
#include "engine/restore/marker.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using support::code_of;
using support::pattern;
using support::write_file;

constexpr std::string_view kMarkerPath = "data/pg/pghaul.restore-unfinished";
constexpr std::uint64_t kOtherSystem = 7;

// Several leaves of half a MiB, with holes within and between leaves, and an odd end.
std::string holey_content() {
  std::string content = pattern(1'700'000, 7);
  content.replace(20 * 1024, 300 * 1024, std::string(300 * 1024, '\0'));
  content.replace(524'288, 524'288, std::string(524'288, '\0'));
  return content;
}

// Everything beneath a directory: names, kinds, modes, bytes and links.
using Picture = std::map<std::string, std::string>;

Picture picture_of(SimTarget& target, const std::string& path) {
  Picture picture;
  if (!target.exists(path)) return picture;
  for (const std::string& shown : target.names(path)) {
    const std::string name = shown.back() == '/' ? shown.substr(0, shown.size() - 1) : shown;
    const io::FileInfo info = target.top()->info(name).value();
    std::string& what = picture[shown];
    if (info.kind == io::FileKind::symlink) {
      // Nothing makes a link's owner durable.
      what = target.top()->read_link(name).value();
      continue;
    }
    what = std::to_string(info.mode) + " " + std::to_string(info.user) + " ";
    if (info.kind == io::FileKind::regular) what += target.read(name).value();
  }
  return picture;
}

class DeltaRestoreTest : public testing::Test {
 protected:
  DeltaRestoreTest() {
    backup_.online()
        .data_directory()
        .tablespace(16385, "/data/space")
        .directory("base/7")
        .file("base/5/16384", pattern(30'000, 1))
        .file("base/5/16385", "")
        .file("base/5/16386", std::string(70'000, '\0'))
        .file("base/7/16390", pattern(900'000, 3), 0640)
        .paged_file("base/5/16387", holey_content())
        .file("pg_tblspc/16385/PG_15_202209061/1", pattern(50'000, 2))
        .file("pg_hba.conf", "local all all trust\n");
    backup_.commit();
    delta_.options.delta = RestoreOptions::Delta::yes;
    // What a plain restore leaves.
    SimTarget plain;
    HAUL_ASSERT(RestoreRun(repository_, plain)().has_value());
    expected_ = picture_of(plain, "data");
    HAUL_ASSERT(RestoreRun(repository_, target_)().has_value());
  }

  std::unique_ptr<io::Directory> disk() { return target_.top(); }
  void overwrite(std::string_view path, std::string_view content) {
    static_cast<void>(disk()->remove_file(path));
    ASSERT_TRUE(write_file(*disk(), path, content));
  }
  void flip(const std::string& path, std::size_t at) {
    std::string content = target_.read(path).value();
    content.at(at) ^= 1;
    const auto file = disk()->open_for_update(path, io::Caching::buffered).value();
    ASSERT_TRUE(file->write_at(0, bytes_of(content)));
  }
  void resize(const std::string& path, std::uint64_t size_bytes) {
    ASSERT_TRUE(disk()->open_for_update(path, io::Caching::buffered).value()->resize(size_bytes));
  }

  // But for the manifest, which says when it was written.
  static void expect_same(Picture expected, Picture found) {
    expected.erase("data/pg/backup_manifest");
    EXPECT_EQ(found.erase("data/pg/backup_manifest"), 1U);
    for (const auto& [name, what] : expected) {
      ASSERT_TRUE(found.contains(name)) << name << " is missing";
      EXPECT_TRUE(found[name] == what) << name << " differs";
    }
    for (const auto& [name, what] : found) EXPECT_TRUE(expected.contains(name)) << name;
  }
  RestoreReport restore() {
    auto report = delta_();
    if (!report) {
      ADD_FAILURE() << report.error().message();
      return {};
    }
    expect_same(expected_, picture_of(target_, "data"));
    return std::move(report).take();
  }
  // Refused, and nothing was touched.
  void expect_refused(ErrorCode code, std::string_view message) {
    const Picture before = picture_of(target_, "data");
    const auto report = delta_();
    ASSERT_EQ(code_of(report), code);
    EXPECT_NE(report.error().message().find(message), std::string::npos)
        << report.error().message();
    EXPECT_TRUE(picture_of(target_, "data") == before);
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
  SimTarget target_;
  RestoreRun delta_{repository_, target_};
  Picture expected_;
};

TEST_F(DeltaRestoreTest, WhatIsRightIsKept) {
  const RestoreReport report = restore();
  ASSERT_TRUE(report.delta.has_value());
  // All but pg_control, which goes first and comes back last.
  EXPECT_EQ(report.delta->kept_bytes, report.bytes - postgres::kControlFileSizeBytes);
}

TEST_F(DeltaRestoreTest, VacantTargetIsAPlainRestore) {
  SimTarget vacant;
  RestoreRun run(repository_, vacant);
  run.options.delta = RestoreOptions::Delta::yes;
  const auto report = run();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(report->delta.has_value());
  expect_same(expected_, picture_of(vacant, "data"));
}

TEST_F(DeltaRestoreTest, FlippedBytesAreRepairedPageByPage) {
  flip("data/pg/base/5/16384", 29'999);
  flip("data/pg/base/5/16387", 0);
  flip("data/pg/base/5/16387", 1'699'999);
  flip("data/pg/base/7/16390", 500'000);
  flip("data/space/PG_15_202209061/1", 10'000);
  flip("data/pg/PG_VERSION", 0);
  const RestoreReport report = restore();
  const std::uint64_t rewritten =
      report.bytes - report.delta->kept_bytes - postgres::kControlFileSizeBytes;
  // A page each: of 8192 bytes, of which one is the short last of its file; of 1024, likewise; and
  // a file of 3 bytes.
  EXPECT_EQ(rewritten, 30'000U % 8192U + 1024U + 1'700'000U % 1024U + 8192U + 8192U + 3U);
}

TEST_F(DeltaRestoreTest, DataInHolesBecomesZeros) {
  flip("data/pg/base/5/16386", 69'999);
  flip("data/pg/base/5/16387", 100 * 1024);
  flip("data/pg/base/5/16387", 600'000);
  restore();
}

TEST_F(DeltaRestoreTest, FilesGetTheirSizes) {
  resize("data/pg/base/5/16384", 1);
  resize("data/pg/base/5/16385", 100'000);
  resize("data/pg/base/5/16386", 70'001);
  resize("data/pg/base/5/16387", 600'000);
  resize("data/pg/base/7/16390", 2'000'000);
  resize("data/pg/PG_VERSION", 0);
  restore();
}

TEST_F(DeltaRestoreTest, LargeFileThatIsLongerIsCutOff) {
  resize("data/pg/base/5/16387", 5'000'000);
  const RestoreReport report = restore();
  EXPECT_EQ(report.delta->kept_bytes, report.bytes - postgres::kControlFileSizeBytes);
}

TEST_F(DeltaRestoreTest, WhatIsMissingComesBack) {
  for (const char* path :
       {"base/5/16384", "base/5/16387", "base/7/16390", "PG_VERSION", "backup_label",
        "backup_manifest", "pg_hba.conf", "pg_wal/000000010000000000000003"}) {
    ASSERT_TRUE(disk()->remove_file(std::string("data/pg/") + path)) << path;
  }
  ASSERT_TRUE(disk()->remove_directory("data/pg/base/7"));
  restore();
}

TEST_F(DeltaRestoreTest, WhatTheBackupHasNotIsRemoved) {
  for (const char* path :
       {"base/5/16399", "base/5/16384_fsm", "base/5/16387.1", "base/5/1", "postmaster.opts",
        "recovery.signal", "standby.signal", "pg_wal/000000010000000000000005",
        "pg_wal/00000002.history", "pg_wal/archive_status/000000010000000000000003.done", "000",
        "zzz", "base/5/t3_16384"}) {
    overwrite(std::string("data/pg/") + path, "stale");
  }
  for (const char* path : {"data/pg/base/16400", "data/pg/base/16400/pgsql_tmp", "data/pg/pg_stat",
                           "data/pg/pg_tblspc/17000", "data/space/PG_15_202209061/99"}) {
    ASSERT_TRUE(disk()->make_directory(path, 0700)) << path;
  }
  overwrite("data/pg/base/16400/1", "stale");
  overwrite("data/pg/base/16400/pgsql_tmp/2", "stale");
  overwrite("data/space/PG_15_202209061/99/3", "stale");
  ASSERT_TRUE(disk()->make_link("/data/elsewhere", "data/pg/log"));
  const RestoreReport report = restore();
  EXPECT_EQ(report.delta->kept_bytes, report.bytes - postgres::kControlFileSizeBytes);
  EXPECT_TRUE(mentions(report.warnings, "data/pg/log was a symbolic link"));
}

TEST_F(DeltaRestoreTest, WalThatIsNotArchivedIsNotThrownAway) {
  const std::string status = "data/pg/pg_wal/archive_status/";
  overwrite(status + "000000010000000000000004.ready", "");
  expect_refused(ErrorCode::server_state, "not archived yet: 000000010000000000000004");
  overwrite(status + "000000010000000000000003.ready", "");
  expect_refused(ErrorCode::server_state, "000000010000000000000003 and 1 more");
}

TEST_F(DeltaRestoreTest, LinksAreRemovedAndNotFollowed) {
  ASSERT_TRUE(disk()->make_directory("data/other", 0700));
  overwrite("data/other/000000010000000000000003", "not to be touched");
  for (const char* path :
       {"archive_status", "000000010000000000000003", "000000010000000000000004"}) {
    const std::string name = std::string("data/pg/pg_wal/") + path;
    if (!disk()->remove_file(name)) static_cast<void>(disk()->remove_directory(name));
  }
  ASSERT_TRUE(disk()->remove_directory("data/pg/pg_wal"));
  ASSERT_TRUE(disk()->make_link("/data/other", "data/pg/pg_wal"));
  ASSERT_TRUE(disk()->remove_file("data/pg/base/5/16384"));
  ASSERT_TRUE(disk()->make_link("/data/other/000000010000000000000003", "data/pg/base/5/16384"));
  const auto report = delta_();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(target_.read("data/other/000000010000000000000003"), "not to be touched");
  ASSERT_TRUE(disk()->remove_file("data/other/000000010000000000000003"));
  ASSERT_TRUE(disk()->remove_directory("data/other"));
  expect_same(expected_, picture_of(target_, "data"));
}

TEST_F(DeltaRestoreTest, OtherKindsUnderTheSameNamesAreReplaced) {
  ASSERT_TRUE(disk()->remove_file("data/pg/base/7/16390"));
  ASSERT_TRUE(disk()->remove_directory("data/pg/base/7"));
  overwrite("data/pg/base/7", "a file");
  ASSERT_TRUE(disk()->remove_file("data/pg/base/5/16387"));
  ASSERT_TRUE(disk()->make_directory("data/pg/base/5/16387", 0700));
  overwrite("data/pg/base/5/16387/x", "in it");
  restore();
}

TEST_F(DeltaRestoreTest, ModesAndOwnersAreThoseOfAPlainRestore) {
  ASSERT_TRUE(disk()->set_mode("data/pg/base/5", 0777));
  ASSERT_TRUE(disk()->set_mode("data/pg/base/5/16384", 0777));
  ASSERT_TRUE(disk()->set_mode("data/pg/base/5/16387", 0777));
  ASSERT_TRUE(disk()->set_owner("data/pg/base/5/16384", 1, 2));
  ASSERT_TRUE(disk()->set_owner("data/pg/base/5", 1, 2));
  restore();
}

TEST_F(DeltaRestoreTest, ManyWorkersYieldTheSame) {
  for (std::size_t at = 0; at < 1'700'000; at += 100'001) flip("data/pg/base/5/16387", at);
  delta_.options.workers = 4;
  restore();
}

TEST_F(DeltaRestoreTest, ManifestIsThatOfAPlainRestore) {
  // Of the lines of files only the times differ.
  const auto files_of = [](std::string manifest) {
    for (std::size_t at = 0; (at = manifest.find("\"Last-Modified\"", at)) != std::string::npos;
         ++at) {
      manifest.erase(at, manifest.find("GMT", at) - at);
    }
    return manifest.substr(0, manifest.find("\"Manifest-Checksum\""));
  };
  const std::string before = target_.read("data/pg/backup_manifest").value();
  flip("data/pg/base/5/16387", 1'000'000);
  flip("data/pg/base/5/16384", 0);
  resize("data/pg/base/7/16390", 5000);
  restore();
  EXPECT_EQ(files_of(target_.read("data/pg/backup_manifest").value()), files_of(before));
}

TEST_F(DeltaRestoreTest, DamagedControlFileIsNoObstacle) {
  overwrite("data/pg/global/pg_control", "garbage");
  restore();
}

TEST_F(DeltaRestoreTest, UnfinishedRestoreIsCompleted) {
  ASSERT_TRUE(disk()->remove_file("data/pg/global/pg_control"));
  ASSERT_TRUE(disk()->remove_file("data/pg/pg_tblspc/16385"));
  ASSERT_TRUE(disk()->remove_file("data/pg/base/5/16387"));
  overwrite(kMarkerPath, to_text({support::kFakeSystemIdentifier, {"/data/space"}}));
  restore();
}

TEST_F(DeltaRestoreTest, WithoutControlFileAndMarkerWalSaysWhoseItIs) {
  ASSERT_TRUE(disk()->remove_file("data/pg/global/pg_control"));
  restore();
}

TEST_F(DeltaRestoreTest, LabelOfTheBackupSaysWhoseItIs) {
  ASSERT_TRUE(disk()->remove_file("data/pg/global/pg_control"));
  for (const char* name : {"000000010000000000000003", "000000010000000000000004"}) {
    ASSERT_TRUE(disk()->remove_file(std::string("data/pg/pg_wal/") + name));
  }
  restore();
}

TEST_F(DeltaRestoreTest, ChunkThatIsLostIsNotMissedWhereTheDiskHasIt) {
  TestRepository repository;
  BackupBuilder backup(repository);
  backup.data_directory().file("base/5/1", pattern(20'000, 5));
  const std::string pack = backup.new_pack();
  backup.paged_file("base/5/2", pattern(1'300'000, 6)).commit();
  SimTarget target;
  ASSERT_TRUE(RestoreRun(repository, target)().has_value());
  ASSERT_TRUE(repository.store().remove(pack));
  RestoreRun run(repository, target);
  run.options.delta = RestoreOptions::Delta::yes;
  const auto report = run();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(target.read("data/pg/base/5/1"), pattern(20'000, 5));
}

TEST_F(DeltaRestoreTest, LostChunkOfADamagedFileIsNamed) {
  TestRepository repository;
  BackupBuilder backup(repository);
  backup.data_directory();
  const std::string pack = backup.new_pack();
  backup.file("base/5/1", pattern(20'000, 5)).file("base/5/2", pattern(20'000, 6));
  backup.new_pack();
  backup.commit();
  SimTarget target;
  ASSERT_TRUE(RestoreRun(repository, target)().has_value());
  const auto file =
      target.top()->open_for_update("data/pg/base/5/1", io::Caching::buffered).value();
  ASSERT_TRUE(file->write_at(0, bytes_of("damage")));
  ASSERT_TRUE(repository.store().remove(pack));
  RestoreRun run(repository, target);
  run.options.delta = RestoreOptions::Delta::yes;
  const auto report = run();
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_NE(report.error().message().find("1 files cannot be restored whole: base/5/1"),
            std::string::npos)
      << report.error().message();
  EXPECT_FALSE(target.exists("data/pg/global/pg_control"));
}

TEST_F(DeltaRestoreTest, ServerThatRunsIsLeftAlone) {
  overwrite("data/pg/postmaster.pid", "42\n/data/pg\n1700000000\n5432\n/tmp\n\n");
  delta_.processes.running_pid = 42;
  expect_refused(ErrorCode::server_state, "a server runs in /data/pg");
}

TEST_F(DeltaRestoreTest, LockFileThatSaysNothingMayBeAServers) {
  overwrite("data/pg/postmaster.pid", "garbage\n");
  expect_refused(ErrorCode::server_state, "postmaster.pid");
}

TEST_F(DeltaRestoreTest, LockFileOfADeadServerIsRemoved) {
  overwrite("data/pg/postmaster.pid", "42\n/data/pg\n1700000000\n5432\n/tmp\n\n");
  restore();
}

TEST_F(DeltaRestoreTest, AnotherClusterIsLeftAlone) {
  overwrite("data/pg/global/pg_control", support::fake_control_file(kOtherSystem));
  expect_refused(ErrorCode::server_state, "belongs to system identifier 7");
}

TEST_F(DeltaRestoreTest, UnfinishedRestoreOfAnotherClusterIsLeftAlone) {
  ASSERT_TRUE(disk()->remove_file("data/pg/global/pg_control"));
  overwrite(kMarkerPath, to_text({kOtherSystem, {}}));
  expect_refused(ErrorCode::server_state, "belongs to system identifier 7");
}

TEST_F(DeltaRestoreTest, WalOfAnotherClusterWithoutControlFileIsLeftAlone) {
  ASSERT_TRUE(disk()->remove_file("data/pg/global/pg_control"));
  overwrite("data/pg/pg_wal/000000010000000000000003", support::fake_wal_segment(3, kOtherSystem));
  expect_refused(ErrorCode::server_state, "belongs to system identifier 7");
}

TEST_F(DeltaRestoreTest, AnyOtherDirectoryIsLeftAlone) {
  delta_.options.target = "/data/home";
  ASSERT_TRUE(disk()->make_directory("data/home", 0700));
  overwrite("data/home/letter.txt", "dear");
  expect_refused(ErrorCode::usage, "is not empty, and nothing says");
  overwrite("data/home/PG_VERSION", "15\n");
  expect_refused(ErrorCode::usage, "is not empty, and nothing says");
}

TEST_F(DeltaRestoreTest, PlaceOfATablespaceThatIsNotTheClustersIsLeftAlone) {
  ASSERT_TRUE(disk()->make_directory("data/other", 0700));
  overwrite("data/other/letter.txt", "dear");
  delta_.options.mappings = {{"/data/space", "/data/other"}};
  expect_refused(ErrorCode::usage, "/data/other is not empty");
}

TEST_F(DeltaRestoreTest, TablespaceThatLiesElsewhereIsNotMovedUnasked) {
  ASSERT_TRUE(disk()->make_directory("data/moved", 0700));
  ASSERT_TRUE(disk()->remove_file("data/pg/pg_tblspc/16385"));
  ASSERT_TRUE(disk()->make_link("/data/moved", "data/pg/pg_tblspc/16385"));
  expect_refused(ErrorCode::usage, "would come to /data/space");
}

TEST_F(DeltaRestoreTest, TablespaceOfTheOriginalIsLeftAlone) {
  // A copy, with its link to the original's tablespace.
  ASSERT_TRUE(disk()->make_directory("data/copy", 0700));
  ASSERT_TRUE(disk()->make_directory("data/copy/global", 0700));
  ASSERT_TRUE(disk()->make_directory("data/copy/pg_tblspc", 0700));
  overwrite("data/copy/global/pg_control", support::fake_control_file());
  ASSERT_TRUE(disk()->make_link("/data/space", "data/copy/pg_tblspc/16385"));
  TestRepository repository;
  BackupBuilder backup(repository);
  backup.facts.data_directory = "/data/pg";
  backup.data_directory().tablespace(16385, "/data/space").commit();
  RestoreRun run(repository, target_);
  run.options.delta = RestoreOptions::Delta::yes;
  run.options.target = "/data/copy";
  const Picture before = picture_of(target_, "data");
  const auto report = run();
  EXPECT_EQ(code_of(report), ErrorCode::usage);
  EXPECT_NE(report.error().message().find("is that of /data/pg"), std::string::npos);
  EXPECT_TRUE(picture_of(target_, "data") == before);
}

TEST_F(DeltaRestoreTest, TablespaceIsMovedWhenAsked) {
  delta_.options.mappings = {{"/data/space", "/data/moved"}};
  const auto report = delta_();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(target_.read("data/moved/PG_15_202209061/1"), pattern(50'000, 2));
  EXPECT_EQ(disk()->read_link("data/pg/pg_tblspc/16385").value(), "/data/moved");
  EXPECT_TRUE(target_.names("data/space").empty());
  EXPECT_TRUE(mentions(report->warnings, "/data/space"));
}

TEST_F(DeltaRestoreTest, TablespaceThatTheBackupHasNotIsEmptied) {
  ASSERT_TRUE(disk()->make_directory("data/newer", 0700));
  ASSERT_TRUE(disk()->make_directory("data/newer/PG_15_202209061", 0700));
  overwrite("data/newer/PG_15_202209061/1", "stale");
  overwrite("data/newer/kept.txt", "not PostgreSQL's");
  ASSERT_TRUE(disk()->make_link("/data/newer", "data/pg/pg_tblspc/16500"));
  const auto report = delta_();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(target_.names("data/newer"), std::vector<std::string>{"data/newer/kept.txt"});
  EXPECT_FALSE(target_.exists("data/pg/pg_tblspc/16500"));
}

TEST_F(DeltaRestoreTest, WhatIsNotOfThisReleaseInATablespaceIsLeftAlone) {
  ASSERT_TRUE(disk()->make_directory("data/space/PG_14_202107181", 0700));
  overwrite("data/space/PG_14_202107181/1", "of another release");
  const auto report = delta_();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(target_.read("data/space/PG_14_202107181/1"), "of another release");
  EXPECT_TRUE(mentions(report->warnings, "PG_14_202107181"));
}

TEST_F(DeltaRestoreTest, DryRunTouchesNothing) {
  flip("data/pg/base/5/16384", 0);
  const Picture before = picture_of(target_, "data");
  delta_.options.run = RestoreOptions::Run::dry;
  const auto report = delta_();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(picture_of(target_, "data") == before);
}

// A delta restore over a damaged older state that loses power at any of its operations.
class DeltaFaultTest : public testing::TestWithParam<io::SimDisk::FileSystemSync> {
 protected:
  DeltaFaultTest() {
    backup_.online()
        .data_directory()
        .tablespace(16385, "/data/space")
        .file("base/5/16384", pattern(20'000, 1))
        .paged_file("base/5/16385", pattern(1'200'000, 5))
        .file("pg_tblspc/16385/PG_15_202209061/1", pattern(5000, 2));
    backup_.commit();
    SimTarget plain;
    HAUL_ASSERT(RestoreRun(repository_, plain)().has_value());
    expected_ = whole(plain);
  }

  static Picture whole(SimTarget& target) {
    Picture picture = picture_of(target, "data");
    picture.erase("data/pg/backup_manifest");
    return picture;
  }
  // The older state, durable.
  void prepare(SimTarget& target) {
    target.disk.set_file_system_sync(GetParam());
    HAUL_ASSERT(RestoreRun(repository_, target)().has_value());
    const auto disk = target.top();
    for (const char* path :
         {"data/pg/base/5/16384", "data/pg/base/5/16385", "data/space/PG_15_202209061/1"}) {
      const auto file = disk->open_for_update(path, io::Caching::buffered).value();
      HAUL_ASSERT(file->write_at(1000, bytes_of("older")).has_value());
      HAUL_ASSERT(file->sync().has_value());
    }
    HAUL_ASSERT(write_file(*disk, "data/pg/base/5/17000", "stale").has_value());
    HAUL_ASSERT(disk->open_for_update("data/pg/base/5/17000", io::Caching::buffered)
                    .value()
                    ->sync()
                    .has_value());
    HAUL_ASSERT(disk->sync_directory("data/pg/base/5").has_value());
  }
  Result<RestoreReport> restore(SimTarget& target) {
    RestoreRun run(repository_, target);
    run.options.delta = RestoreOptions::Delta::yes;
    return run();
  }
  std::uint64_t operations() {
    SimTarget target;
    prepare(target);
    const std::uint64_t before = target.disk.operations();
    HAUL_ASSERT(restore(target).has_value());
    return target.disk.operations() - before;
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
  Picture expected_;
};

TEST_P(DeltaFaultTest, PowerLossAtEveryOperationLeavesAllOrNothingAndIsCompleted) {
  const std::uint64_t count = operations();
  EXPECT_GT(count, 40U);
  for (std::uint64_t operation = 1; operation <= count + 1; ++operation) {
    for (std::uint64_t seed = 2 * operation; seed < 2 * operation + 2; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(operation) + ", seed " + std::to_string(seed));
      SimTarget target;
      prepare(target);
      const Picture before = whole(target);
      target.disk.set_fault({target.disk.operations() + operation, io::SimFault::Kind::power_loss,
                             io::SimFault::Repeat::once});
      const bool restored = restore(target).has_value();
      target.disk.crash(seed);
      if (target.exists("data/pg/global/pg_control")) {
        // Before it went, or after it came back.
        Picture after = whole(target);
        std::erase_if(after, [](const auto& entry) {
          return entry.first == kMarkerPath || entry.first.ends_with(".tmp");
        });
        ASSERT_TRUE(after == expected_ || (!restored && after == before));
      } else {
        ASSERT_FALSE(restored);
      }
      const auto completed = restore(target);
      ASSERT_TRUE(completed.has_value()) << completed.error().message();
      ASSERT_TRUE(whole(target) == expected_);
    }
  }
}

TEST_P(DeltaFaultTest, FailureAtEveryOperationLeavesNothingThatStartsAndIsCompleted) {
  const std::uint64_t count = operations();
  for (std::uint64_t operation = 1; operation <= count; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    SimTarget target;
    prepare(target);
    const Picture before = whole(target);
    target.disk.set_fault({target.disk.operations() + operation, io::SimFault::Kind::no_space,
                           io::SimFault::Repeat::once});
    ASSERT_EQ(code_of(restore(target)), ErrorCode::no_space);
    if (target.exists("data/pg/global/pg_control")) {
      Picture after = whole(target);
      std::erase_if(after, [](const auto& entry) {
        return entry.first == kMarkerPath || entry.first.ends_with(".tmp");
      });
      ASSERT_TRUE(after == before);
    }
    // What the disk has lost shows when the caches are gone.
    target.disk.crash(operation);
    const auto completed = restore(target);
    ASSERT_TRUE(completed.has_value()) << completed.error().message();
    ASSERT_TRUE(whole(target) == expected_);
  }
}

TEST_P(DeltaFaultTest, PlainRestoreThatWasCutOffIsCompleted) {
  SimTarget undisturbed;
  const std::uint64_t before = undisturbed.disk.operations();
  ASSERT_TRUE(RestoreRun(repository_, undisturbed)().has_value());
  const std::uint64_t count = undisturbed.disk.operations() - before;
  for (std::uint64_t operation = 1; operation <= count; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    SimTarget target;
    target.disk.set_file_system_sync(GetParam());
    target.disk.set_fault({target.disk.operations() + operation, io::SimFault::Kind::power_loss,
                           io::SimFault::Repeat::once});
    static_cast<void>(RestoreRun(repository_, target)());
    target.disk.crash(operation);
    const auto completed = restore(target);
    ASSERT_TRUE(completed.has_value()) << completed.error().message();
    ASSERT_TRUE(whole(target) == expected_);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeltaFaultTest,
                         testing::Values(io::SimDisk::FileSystemSync::supported,
                                         io::SimDisk::FileSystemSync::unsupported),
                         [](const auto& tested) {
                           return tested.param == io::SimDisk::FileSystemSync::supported
                                      ? "AtOnce"
                                      : "OneByOne";
                         });

}  // namespace
}  // namespace haul::restore
