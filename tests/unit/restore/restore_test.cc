#include "engine/restore/restore.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/postgres/control_file.h"
#include "engine/repository/pack_reader.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using support::code_of;

// Several leaves of half a MiB, with holes within and between leaves, and an odd end.
std::string holey_content() {
  std::string content = support::pattern(1'700'000, 7);
  content.replace(20 * 1024, 300 * 1024, std::string(300 * 1024, '\0'));
  content.replace(524'288, 524'288, std::string(524'288, '\0'));
  return content;
}

class RestoreTest : public testing::Test {
 protected:
  // Every file of the backup lies in /data/pg with its bytes.
  void expect_contents(const BackupBuilder& backup) {
    for (const auto& [path, content] : backup.contents()) {
      const auto restored = target_.read("data/pg/" + path);
      ASSERT_TRUE(restored.has_value()) << path;
      EXPECT_TRUE(*restored == content) << path << " differs";
    }
  }
  void expect_not_startable() {
    EXPECT_FALSE(target_.exists("data/pg/global/pg_control"));
    if (target_.exists("data/pg")) {
      EXPECT_TRUE(target_.exists("data/pg/" + std::string(kUnfinishedMarker)));
    }
  }

  TestRepository repository_;
  SimTarget target_;
  RestoreRun restore_{repository_, target_};
};

TEST_F(RestoreTest, EveryFileComesBackIdentical) {
  BackupBuilder backup(repository_);
  backup.data_directory()
      .file("base/5/16384", support::pattern(30'000, 1))
      .file("base/5/16385", "")
      .file("base/5/16386", std::string(70'000, '\0'))
      .paged_file("base/5/16387", holey_content());
  backup.commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  expect_contents(backup);
}

TEST_F(RestoreTest, ManyWorkersYieldTheSame) {
  BackupBuilder backup(repository_);
  backup.data_directory();
  for (std::uint64_t i = 0; i < 40; ++i) {
    backup.file("base/5/" + std::to_string(20'000 + i), support::pattern(10'000, 100 + i));
  }
  for (std::uint64_t i = 0; i < 4; ++i) {
    backup.paged_file("base/5/" + std::to_string(30'000 + i), support::pattern(3'000'000, i));
  }
  backup.commit();
  restore_.options.workers = 4;
  ASSERT_TRUE(restore_().has_value());
  expect_contents(backup);
}

TEST_F(RestoreTest, EmptyDirectoriesComeBack) {
  BackupBuilder backup(repository_);
  backup.data_directory().directory("pg_replslot").commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_TRUE(target_.exists("data/pg/pg_replslot"));
  EXPECT_TRUE(target_.exists("data/pg/pg_wal/archive_status"));
}

TEST_F(RestoreTest, ReportCountsFilesAndBytes) {
  BackupBuilder backup(repository_);
  backup.data_directory().file("base/5/1", std::string(1000, 'x')).commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->backup, kBackup);
  EXPECT_EQ(report->files, 3U);
  EXPECT_EQ(report->bytes, 3U + 8192U + 1000U);
  EXPECT_EQ(report->facts, backup.facts);
  EXPECT_TRUE(report->findings.empty());
  EXPECT_TRUE(report->warnings.empty());
}

TEST_F(RestoreTest, ProgressReachesTheTotal) {
  BackupBuilder backup(repository_);
  backup.data_directory().paged_file("base/5/1", support::pattern(1'300'000, 1)).commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(restore_.progress.bytes_total, 3U + 8192U + 1'300'000U);
  EXPECT_EQ(restore_.progress.bytes_done, 3U + 8192U + 1'300'000U);
  EXPECT_EQ(restore_.progress.phase, RestoreProgress::Phase::syncing);
}

TEST_F(RestoreTest, ProgressCountsWhatWasCopiedUntilAFailure) {
  BackupBuilder backup(repository_);
  backup.data_directory().paged_file("base/5/1", support::pattern(1'300'000, 1));
  const std::string pack = backup.new_pack();
  backup.commit();
  ASSERT_TRUE(repository_.store().remove(pack).has_value());
  ASSERT_FALSE(restore_().has_value());
  // PG_VERSION, the file, and the 100 bytes that are lost but were looked at.
  EXPECT_EQ(restore_.progress.bytes_done, 3U + 1'300'000U + 100U);
  EXPECT_EQ(restore_.progress.phase, RestoreProgress::Phase::copying);
}

TEST_F(RestoreTest, NoMarkerAndNoTemporaryFileStays) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.names("data/pg"),
            (std::vector<std::string>{"data/pg/PG_VERSION", "data/pg/backup_manifest",
                                      "data/pg/base/", "data/pg/base/5/", "data/pg/global/",
                                      "data/pg/global/pg_control", "data/pg/pg_tblspc/",
                                      "data/pg/pg_wal/", "data/pg/pg_wal/archive_status/"}));
}

TEST_F(RestoreTest, MissingParentsOfTheTargetAreMade) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  restore_.options.target = "/data/a/b/pg/";
  ASSERT_TRUE(restore_().has_value());
  EXPECT_TRUE(target_.exists("data/a/b/pg/global/pg_control"));
  EXPECT_EQ(target_.mode_of("data/a"), 0700U);
  EXPECT_EQ(target_.top()->info("data/a/b")->user, 71U);
}

TEST_F(RestoreTest, ExistingEmptyTargetGetsModeAndOwner) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  ASSERT_TRUE(target_.top()->make_directory("data/pg", 0755).has_value());
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.mode_of("data/pg"), 0700U);
  EXPECT_EQ(target_.top()->info("data/pg")->user, 71U);
}

TEST_F(RestoreTest, EverythingCreatedGetsTheOwner) {
  BackupBuilder backup(repository_);
  backup.online().data_directory().tablespace(16385, "/data/space").file("base/5/1", "x").commit();
  ASSERT_TRUE(restore_().has_value());
  for (const std::string& root : {std::string("data/pg"), std::string("data/space")}) {
    EXPECT_EQ(target_.top()->info(root)->user, 71U) << root;
    for (std::string name : target_.names(root)) {
      if (name.ends_with('/')) name.pop_back();
      const io::FileInfo info = target_.top()->info(name).value();
      EXPECT_EQ(info.user, 71U) << name;
      EXPECT_EQ(info.group, 72U) << name;
    }
  }
}

TEST_F(RestoreTest, ModesAreBoundedWithoutGroupAccess) {
  BackupBuilder backup(repository_);
  backup.data_directory()
      .directory("pg_open", 07777)
      .file("base/5/1", "x", 06777)
      .file("base/5/2", "x", 0400)
      .commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.mode_of("data/pg"), 0700U);
  EXPECT_EQ(target_.mode_of("data/pg/pg_open"), 0700U);
  EXPECT_EQ(target_.mode_of("data/pg/base/5/1"), 0600U);
  EXPECT_EQ(target_.mode_of("data/pg/base/5/2"), 0600U);
  EXPECT_EQ(target_.mode_of("data/pg/global/pg_control"), 0600U);
}

TEST_F(RestoreTest, GroupAccessOfTheClusterIsKept) {
  BackupBuilder backup(repository_);
  backup.data_directory()
      .without("global")
      .directory("global", 0750)
      .directory("open", 0777)
      .file("base/5/1", "x", 0666)
      .file("server.key", "x", 0600)
      .commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.mode_of("data/pg"), 0750U);
  EXPECT_EQ(target_.mode_of("data/pg/open"), 0750U);
  EXPECT_EQ(target_.mode_of("data/pg/base"), 0700U);
  EXPECT_EQ(target_.mode_of("data/pg/base/5/1"), 0640U);
  EXPECT_EQ(target_.mode_of("data/pg/server.key"), 0600U);
}

TEST_F(RestoreTest, DryRunCreatesNothing) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  restore_.options.run = RestoreOptions::Run::dry;
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->files, 2U);
  EXPECT_TRUE(target_.names("data").empty());
}

TEST_F(RestoreTest, InterruptedRestoreIsNotStartable) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  std::stop_source stop;
  stop.request_stop();
  restore_.environment.stop = stop.get_token();
  EXPECT_EQ(code_of(restore_()), ErrorCode::interrupted);
  expect_not_startable();
}

TEST_F(RestoreTest, ClusterWithoutBackupsIsNotFound) {
  EXPECT_EQ(code_of(restore_()), ErrorCode::not_found);
}

// --- backup_label and WAL

TEST_F(RestoreTest, OnlineBackupGetsItsLabelByteForByte) {
  BackupBuilder backup(repository_);
  backup.online().data_directory().commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.read("data/pg/backup_label"), backup.facts.backup_label);
  EXPECT_FALSE(target_.exists("data/pg/recovery.signal"));
}

TEST_F(RestoreTest, OfflineBackupGetsNoLabel) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_FALSE(target_.exists("data/pg/backup_label"));
}

TEST_F(RestoreTest, OnlineBackupWithoutWalWarns) {
  BackupBuilder backup(repository_);
  backup.online().data_directory().facts.wal_included = false;
  backup.commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(mentions(report->warnings, "restore_command"));
}

TEST_F(RestoreTest, DamagedIndexIsWorkedAroundAndReported) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  const auto runs = repository_.store().list("clusters/main/index").value();
  for (const io::ObjectInfo& run : runs) {
    ASSERT_TRUE(repository_.store().replace(run.key, bytes_of("damage")).has_value());
  }
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(report->findings.empty());
  expect_contents(backup);
}

// --- what cannot be had

TEST_F(RestoreTest, LostFilesAreAllNamedAndNothingStarts) {
  BackupBuilder backup(repository_);
  backup.data_directory();
  const std::string pack = backup.new_pack();
  for (std::uint64_t i = 1; i <= 7; ++i) {
    backup.file("base/5/" + std::to_string(i), support::pattern(9000, 50 + i));
  }
  backup.new_pack();
  backup.file("base/5/100", support::pattern(9000, 200)).commit();
  ASSERT_TRUE(repository_.store().remove(pack).has_value());

  const auto report = restore_();
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_EQ(report.error().message(),
            "backup 20261123T020222Z-F: 8 files cannot be restored whole: base/5/1, base/5/2, "
            "base/5/3, base/5/4, base/5/5, ...");
  for (int i = 1; i <= 7; ++i) {
    EXPECT_TRUE(
        restore_.log.has(LogLevel::error, "cannot be restored: base/5/" + std::to_string(i)));
  }
  EXPECT_FALSE(restore_.log.has(LogLevel::error, "base/5/100"));
  EXPECT_TRUE(restore_.log.has(LogLevel::warning, pack));
  expect_not_startable();
}

TEST_F(RestoreTest, LossInOneLeafNamesTheFileOnce) {
  BackupBuilder backup(repository_);
  backup.data_directory();
  const std::string pack = backup.new_pack();
  backup.paged_file("base/5/1", support::pattern(1'500'000, 3)).commit();
  ASSERT_TRUE(repository_.store().remove(pack).has_value());
  const auto report = restore_();
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_TRUE(report.error().message().find("2 files cannot") != std::string::npos)
      << report.error().message();
}

TEST_F(RestoreTest, LostControlFileIsNamedWithTheOthersAndNothingIsCreated) {
  BackupBuilder backup(repository_);
  backup.data_directory().without("global/pg_control");
  const std::string pack = backup.new_pack();
  backup.file("global/pg_control", support::fake_control_file(42)).commit();
  ASSERT_TRUE(repository_.store().remove(pack).has_value());
  const auto report = restore_();
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_TRUE(restore_.log.has(LogLevel::error, "global/pg_control"));
  EXPECT_TRUE(restore_.log.has(LogLevel::error, "base/pack-"));
  EXPECT_TRUE(target_.names("data").empty());
}

TEST_F(RestoreTest, LostConfigurationFileIsNamed) {
  BackupBuilder backup(repository_);
  backup.data_directory();
  const std::string pack = backup.new_pack();
  backup.configuration("/etc/pg/pg_hba.conf", "hba_file", "local all all peer\n").commit();
  ASSERT_TRUE(repository_.store().remove(pack).has_value());
  ASSERT_EQ(code_of(restore_()), ErrorCode::corrupt);
  EXPECT_TRUE(restore_.log.has(LogLevel::error, "/etc/pg/pg_hba.conf"));
}

TEST_F(RestoreTest, LostFileListIsCorrupt) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  const auto packs = repository_.store().list("clusters/main/packs").value();
  for (const io::ObjectInfo& pack : packs) {
    ASSERT_TRUE(repository_.store().remove(pack.key).has_value());
  }
  const auto report = restore_();
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_TRUE(report.error().message().starts_with("backup 20261123T020222Z-F: "));
  EXPECT_TRUE(target_.names("data").empty());
}

// --- tablespaces

TEST_F(RestoreTest, UnmappedTablespaceReturnsToItsPlace) {
  BackupBuilder backup(repository_);
  backup.online().data_directory().tablespace(16385, "/data/space");
  backup.file("pg_tblspc/16385/PG_15_202209061/1", "in the space").commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(target_.read("data/space/PG_15_202209061/1"), "in the space");
  EXPECT_EQ(target_.top()->read_link("data/pg/pg_tblspc/16385").value(), "/data/space");
  EXPECT_EQ(target_.read("data/pg/tablespace_map"), backup.facts.tablespace_map);
  EXPECT_EQ(report->tablespaces,
            (std::vector<std::pair<std::string, std::string>>{{"/data/space", "/data/space"}}));
}

TEST_F(RestoreTest, MappedTablespacesMoveWithLinkAndMap) {
  BackupBuilder backup(repository_);
  backup.online()
      .data_directory()
      .tablespace(16385, "/one")
      .tablespace(16386, "/data/two")
      .tablespace(16387, "/three");
  backup.file("pg_tblspc/16385/PG_15_202209061/1", "one").commit();
  restore_.options.mappings = {{"/one", "/data/new/one"}, {"/three/", "/data/back\\slash"}};
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.read("data/new/one/PG_15_202209061/1"), "one");
  EXPECT_EQ(target_.top()->read_link("data/pg/pg_tblspc/16385").value(), "/data/new/one");
  EXPECT_EQ(target_.top()->read_link("data/pg/pg_tblspc/16386").value(), "/data/two");
  EXPECT_EQ(target_.read("data/pg/tablespace_map"),
            "16385 /data/new/one\n16386 /data/two\n16387 /data/back\\\\slash\n");
}

TEST_F(RestoreTest, RelativeTablespaceLinkBecomesAbsolute) {
  BackupBuilder backup(repository_);
  backup.data_directory().tablespace(16385, "../../space");
  backup.facts.data_directory = "/data/old";
  backup.commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(target_.top()->read_link("data/pg/pg_tblspc/16385").value(), "/data/space");
}

TEST_F(RestoreTest, OfflineBackupGetsLinksWithoutMap) {
  BackupBuilder backup(repository_);
  backup.data_directory().tablespace(16385, "/data/space").commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.top()->read_link("data/pg/pg_tblspc/16385").value(), "/data/space");
  EXPECT_FALSE(target_.exists("data/pg/tablespace_map"));
}

TEST_F(RestoreTest, TablespaceInPlaceStaysADirectory) {
  BackupBuilder backup(repository_);
  backup.data_directory().tablespace(16385, "");
  backup.facts.tablespaces[0].in_place = true;
  backup.file("pg_tblspc/16385/PG_15_202209061/1", "x").commit();
  ASSERT_TRUE(restore_().has_value());
  EXPECT_EQ(target_.read("data/pg/pg_tblspc/16385/PG_15_202209061/1"), "x");
}

// --- things of the original that do not come back

TEST_F(RestoreTest, LinksAreNamedAndNotRestored) {
  BackupBuilder backup(repository_);
  backup.data_directory().link("log", "/var/log/postgresql").commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(target_.exists("data/pg/log"));
  EXPECT_TRUE(mentions(report->warnings, "log was a symbolic link to /var/log/postgresql"));
}

TEST_F(RestoreTest, SignalFilesAreNotRestored) {
  BackupBuilder backup(repository_);
  backup.data_directory().file("standby.signal", "").commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(target_.exists("data/pg/standby.signal"));
  EXPECT_TRUE(mentions(report->warnings, "standby.signal"));
}

TEST_F(RestoreTest, LockFileIsNotRestored) {
  BackupBuilder backup(repository_);
  backup.data_directory().file("postmaster.pid", "1\n").commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(target_.exists("data/pg/postmaster.pid"));
  EXPECT_TRUE(mentions(report->warnings, "postmaster.pid"));
}

// --- configuration

TEST_F(RestoreTest, OutsideConfigurationIsWrittenIntoTheTarget) {
  BackupBuilder backup(repository_);
  backup.data_directory()
      .configuration("/etc/pg/postgresql.conf", "config_file",
                     "data_directory = '/var/lib/pg'\ninclude_dir = 'conf.d'\nport = 5433\n")
      .configuration("/etc/pg/pg_hba.conf", "hba_file", "local all all peer\n")
      .configuration("/etc/pg/conf.d/memory.conf", "include", "work_mem = 1GB\n")
      .commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(target_.read("data/pg/postgresql.conf"),
            "# commented out by pghaul restore, it names a place of the original cluster:\n"
            "#data_directory = '/var/lib/pg'\ninclude_dir = 'conf.d'\nport = 5433\n");
  EXPECT_EQ(target_.read("data/pg/pg_hba.conf"), "local all all peer\n");
  EXPECT_EQ(target_.read("data/pg/conf.d/memory.conf"), "work_mem = 1GB\n");
  EXPECT_EQ(target_.mode_of("data/pg/postgresql.conf"), 0600U);
  EXPECT_EQ(target_.mode_of("data/pg/conf.d"), 0700U);
  EXPECT_EQ(report->configuration,
            (std::vector<std::pair<std::string, std::string>>{
                {"/etc/pg/postgresql.conf", "/data/pg/postgresql.conf"},
                {"/etc/pg/pg_hba.conf", "/data/pg/pg_hba.conf"},
                {"/etc/pg/conf.d/memory.conf", "/data/pg/conf.d/memory.conf"}}));
  EXPECT_TRUE(mentions(report->warnings, "data_directory"));
  const std::string manifest = target_.read("data/pg/backup_manifest").value();
  EXPECT_NE(manifest.find("\"conf.d/memory.conf\""), std::string::npos);
}

TEST_F(RestoreTest, ConfigurationRecordedButNotStoredWarns) {
  BackupBuilder backup(repository_);
  backup.data_directory().facts.configuration.push_back({"/etc/pg/pg_ident.conf", "ident_file"});
  backup.commit();
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(mentions(report->warnings, "/etc/pg/pg_ident.conf is not in the backup"));
}

TEST_F(RestoreTest, AbsentFileThatASettingNamesWarns) {
  BackupBuilder backup(repository_);
  backup.data_directory()
      .configuration("/etc/pg/postgresql.conf", "config_file",
                     "ssl_cert_file = '/data/here.pem'\nssl_key_file = '/data/absent.key'\n"
                     "unix_socket_directories = '/data, /gone'\n")
      .commit();
  ASSERT_TRUE(support::write_file(*target_.top(), "data/here.pem", "x").has_value());
  const auto report = restore_();
  ASSERT_TRUE(report.has_value());
  EXPECT_FALSE(mentions(report->warnings, "here.pem"));
  EXPECT_TRUE(mentions(report->warnings, "ssl_key_file names /data/absent.key"));
  EXPECT_TRUE(mentions(report->warnings, "unix_socket_directories names /gone"));
  EXPECT_EQ(report->warnings.size(), 2U);
}

// --- manifest

TEST_F(RestoreTest, ManifestListsWhatTheServerReadsButNoWal) {
  BackupBuilder backup(repository_);
  backup.online().data_directory().commit();
  ASSERT_TRUE(restore_().has_value());
  const std::string manifest = target_.read("data/pg/backup_manifest").value();
  for (const char* name : {"\"PG_VERSION\"", "\"global/pg_control\"", "\"backup_label\"",
                           "\"Start-LSN\": \"0/300028\", \"End-LSN\": \"0/400100\""}) {
    EXPECT_NE(manifest.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(manifest.find("pg_wal"), std::string::npos);
}

TEST_F(RestoreTest, ManifestOfAnOfflineBackupHasNoWalRange) {
  BackupBuilder backup(repository_);
  backup.data_directory().commit();
  ASSERT_TRUE(restore_().has_value());
  const std::string manifest = target_.read("data/pg/backup_manifest").value();
  EXPECT_NE(manifest.find("\"WAL-Ranges\": [\n],"), std::string::npos);
}

// --- which backup

class ResolveBackupTest : public testing::Test {
 protected:
  void add(std::string_view id, TimelineId timeline, Lsn stop) {
    BackupBuilder backup(repository_, id);
    backup.facts.stop_timeline = timeline;
    backup.facts.stop = stop;
    backup.commit();
  }

  TestRepository repository_;
};

TEST_F(ResolveBackupTest, LatestHasTheNewestStopPosition) {
  add("20261123T020222Z-F", {1}, {500});
  add("20261123T020223Z-F", {1}, {400});
  EXPECT_EQ(resolve_backup(repository_.cluster(), "latest").value(), "20261123T020222Z-F");
}

TEST_F(ResolveBackupTest, LatestLiesOnTheNewestTimeline) {
  add("20261123T020222Z-F", {1}, {500});
  add("20261123T020223Z-F", {2}, {400});
  add("20261123T020224Z-F", {1}, {600});
  EXPECT_EQ(resolve_backup(repository_.cluster(), "latest").value(), "20261123T020223Z-F");
}

TEST_F(ResolveBackupTest, LatestOfEqualPositionsIsTheNewestName) {
  add("20261123T020222Z-F", {1}, {500});
  add("20261123T020223Z-F", {1}, {500});
  EXPECT_EQ(resolve_backup(repository_.cluster(), "latest").value(), "20261123T020223Z-F");
}

TEST_F(ResolveBackupTest, UnreadableBackupIsNotPassedOver) {
  add("20261123T020222Z-F", {1}, {500});
  add("20261123T020223Z-F", {1}, {600});
  ASSERT_TRUE(repository_.store()
                  .replace("clusters/main/snapshots/20261123T020223Z-F", bytes_of("damage"))
                  .has_value());
  const auto resolved = resolve_backup(repository_.cluster(), "latest");
  ASSERT_EQ(code_of(resolved), ErrorCode::corrupt);
  EXPECT_NE(resolved.error().message().find("20261123T020223Z-F"), std::string::npos);
  EXPECT_EQ(resolved.error().hint(), "name the backup to restore, e.g. 20261123T020222Z-F");
}

TEST_F(ResolveBackupTest, NamedBackupIsTakenAlthoughAnotherIsUnreadable) {
  add("20261123T020222Z-F", {1}, {500});
  add("20261123T020223Z-F", {1}, {600});
  ASSERT_TRUE(repository_.store()
                  .replace("clusters/main/snapshots/20261123T020223Z-F", bytes_of("damage"))
                  .has_value());
  EXPECT_TRUE(resolve_backup(repository_.cluster(), "20261123T020222Z-F").has_value());
}

TEST_F(ResolveBackupTest, NothingToReadSaysSo) {
  add("20261123T020222Z-F", {1}, {500});
  ASSERT_TRUE(repository_.store()
                  .replace("clusters/main/snapshots/20261123T020222Z-F", bytes_of("damage"))
                  .has_value());
  const auto resolved = resolve_backup(repository_.cluster(), "latest");
  ASSERT_EQ(code_of(resolved), ErrorCode::corrupt);
  EXPECT_EQ(resolved.error().hint(), "no backup of this cluster can be read");
}

TEST_F(ResolveBackupTest, UnknownNameIsNotFound) {
  add("20261123T020222Z-F", {1}, {500});
  const auto resolved = resolve_backup(repository_.cluster(), "20261123T020229Z-F");
  ASSERT_EQ(code_of(resolved), ErrorCode::not_found);
  EXPECT_EQ(resolved.error().message(), "no backup 20261123T020229Z-F of cluster main in memory");
}

TEST_F(ResolveBackupTest, NameThatIsNoNameIsNotFound) {
  EXPECT_EQ(code_of(resolve_backup(repository_.cluster(), "../config")), ErrorCode::not_found);
}

TEST_F(ResolveBackupTest, LatestOfNoneIsNotFound) {
  EXPECT_EQ(code_of(resolve_backup(repository_.cluster(), "latest")), ErrorCode::not_found);
}

}  // namespace
}  // namespace haul::restore
