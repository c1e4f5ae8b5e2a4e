// Trees that nobody's backup has: whoever can write to a repository must not thereby write outside
// of a target, or make a server start on something else than a backup.
#include <string>

#include <gtest/gtest.h>

#include "engine/repository/tree.h"
#include "engine/restore/restore.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using repository::EntryKind;
using repository::TreeEntry;
using support::code_of;

TreeEntry directory_entry(std::string_view path) {
  TreeEntry entry;
  entry.kind = EntryKind::directory;
  entry.path = path;
  entry.mode = 0700;
  return entry;
}

class HostileTreeTest : public testing::Test {
 protected:
  // The restore calls the backup corrupt, says this, and creates nothing.
  void expect_refused(BackupBuilder& backup, std::string_view why) {
    backup.commit();
    expect_refused(why);
  }
  void expect_refused(std::string_view why) {
    const auto report = restore_();
    ASSERT_EQ(code_of(report), ErrorCode::corrupt);
    EXPECT_NE(report.error().message().find(why), std::string::npos) << report.error().message();
    EXPECT_TRUE(target_.names("data").empty());
  }
  // A leaf with entries as they are, whatever their order.
  void commit_raw(BackupBuilder& backup, const std::vector<TreeEntry>& entries) {
    repository::ByteWriter leaf;
    for (const TreeEntry& entry : entries) repository::encode_entry(leaf, entry);
    const auto id =
        backup.encoder()
            .store_metadata(repository::ChunkKind::tree_leaf, leaf.view(), backup.metadata())
            .value();
    backup.commit({id, repository::ChunkKind::tree_leaf});
  }

  TestRepository repository_;
  SimTarget target_;
  RestoreRun restore_{repository_, target_};
  BackupBuilder backup_{repository_};
};

TEST_F(HostileTreeTest, ParentOfTheTargetIsRefused) {
  commit_raw(backup_, {directory_entry("..")});
  expect_refused("is not allowed");
}

TEST_F(HostileTreeTest, ClimbingPathIsRefused) {
  commit_raw(backup_, {directory_entry("base"), directory_entry("base/../../x")});
  expect_refused("is not allowed");
}

TEST_F(HostileTreeTest, AbsolutePathIsRefused) {
  commit_raw(backup_, {directory_entry("/etc")});
  expect_refused("is not allowed");
}

TEST_F(HostileTreeTest, PathWithAZeroByteIsRefused) {
  commit_raw(backup_, {directory_entry(std::string_view("a\0b", 3))});
  expect_refused("is not allowed");
}

TEST_F(HostileTreeTest, EntryThatOccursTwiceIsRefused) {
  commit_raw(backup_, {directory_entry("base"), directory_entry("base")});
  expect_refused("not in order");
}

TEST_F(HostileTreeTest, EntryBeneathAFileIsRefused) {
  backup_.data_directory().file("base/5/1", "x").file("base/5/1/2", "x");
  expect_refused(backup_, "it lies in no directory");
}

TEST_F(HostileTreeTest, EntryBeneathALinkIsRefused) {
  backup_.data_directory().link("base/6", "/etc").file("base/6/passwd", "x");
  expect_refused(backup_, "it lies in no directory");
}

TEST_F(HostileTreeTest, EntryWithoutItsDirectoryIsRefused) {
  backup_.data_directory().file("base/7/1", "x");
  expect_refused(backup_, "it lies in no directory");
}

TEST_F(HostileTreeTest, NamesThatTheRestoreWritesAreRefused) {
  for (const char* name :
       {"backup_label", "tablespace_map", "backup_manifest", "pghaul.restore-unfinished"}) {
    TestRepository repository;
    BackupBuilder backup(repository);
    backup.data_directory().file(name, "x").commit();
    SimTarget target;
    const auto report = RestoreRun(repository, target)();
    ASSERT_EQ(code_of(report), ErrorCode::corrupt) << name;
    EXPECT_TRUE(target.names("data").empty());
  }
}

TEST_F(HostileTreeTest, TablespaceThatIsNoNumberIsRefused) {
  backup_.data_directory().directory("pg_tblspc/evil");
  expect_refused(backup_, "no such tablespace");
}

TEST_F(HostileTreeTest, TablespaceThatWasNotRecordedIsRefused) {
  backup_.data_directory().directory("pg_tblspc/16999");
  expect_refused(backup_, "no such tablespace");
}

TEST_F(HostileTreeTest, FileInPlaceOfATablespaceIsRefused) {
  backup_.data_directory().facts.tablespaces = {{16385, "/data/space", false}};
  backup_.file("pg_tblspc/16385", "x");
  expect_refused(backup_, "not a directory");
}

TEST_F(HostileTreeTest, LinkInPlaceOfATablespaceIsRefused) {
  backup_.data_directory().facts.tablespaces = {{16385, "/data/space", false}};
  backup_.link("pg_tblspc/16385", "/etc");
  expect_refused(backup_, "not a directory");
}

TEST_F(HostileTreeTest, LinkInPlaceOfAllTablespacesIsRefused) {
  backup_.data_directory().without("pg_tblspc").link("pg_tblspc", "/etc");
  expect_refused(backup_, "not a directory");
}

TEST_F(HostileTreeTest, OtherNamesInATablespaceAreRefused) {
  backup_.data_directory().tablespace(16385, "/data/space").file("pg_tblspc/16385/x", "x");
  expect_refused(backup_, "only PG_15_202209061 belongs there");
}

TEST_F(HostileTreeTest, TablespacesWithoutTheirDirectoryAreRefused) {
  backup_.data_directory().without("pg_tblspc").facts.tablespaces = {{16385, "/data/x", false}};
  expect_refused(backup_, "no pg_tblspc");
}

TEST_F(HostileTreeTest, ConfigurationThatWasNotRecordedIsRefused) {
  backup_.data_directory().configuration("/etc/pg/postgresql.conf", "config_file", "x");
  backup_.facts.configuration.clear();
  expect_refused(backup_, "no configuration file");
}

TEST_F(HostileTreeTest, ConfigurationThatIsADirectoryIsRefused) {
  TreeEntry entry = directory_entry("etc/pg");
  entry.root = repository::TreeRoot::configuration;
  backup_.data_directory().entry(entry).facts.configuration = {{"/etc/pg", "include"}};
  expect_refused(backup_, "no configuration file");
}

TEST_F(HostileTreeTest, TreeWithoutControlFileIsRefused) {
  backup_.data_directory().without("global/pg_control");
  expect_refused(backup_, "global/pg_control");
}

TEST_F(HostileTreeTest, TreeWithoutGlobalIsRefused) {
  backup_.file("PG_VERSION", "15\n");
  expect_refused(backup_, "global/pg_control");
}

TEST_F(HostileTreeTest, TreeWithoutVersionIsRefused) {
  backup_.data_directory().without("PG_VERSION");
  expect_refused(backup_, "PG_VERSION");
}

TEST_F(HostileTreeTest, EmptyTreeIsRefused) { expect_refused(backup_, "no data directory"); }

TEST_F(HostileTreeTest, DamagedControlFileIsRefused) {
  std::string control = support::fake_control_file();
  control[40] = static_cast<char>(control[40] ^ 1);
  backup_.data_directory().without("global/pg_control").file("global/pg_control", control);
  expect_refused(backup_, "checksum");
}

TEST_F(HostileTreeTest, ControlFileOfAnotherClusterIsRefused) {
  backup_.data_directory()
      .without("global/pg_control")
      .file("global/pg_control", support::fake_control_file(42));
  expect_refused(backup_, "of another cluster");
}

TEST_F(HostileTreeTest, ControlFileOfAnotherCatalogIsRefused) {
  backup_.data_directory().facts.catalog_version = 202307071;
  expect_refused(backup_, "of another cluster");
}

TEST_F(HostileTreeTest, OversizedControlFileIsLost) {
  backup_.data_directory()
      .without("global/pg_control")
      .file("global/pg_control", std::string(8193, 'x'));
  expect_refused(backup_, "1 files cannot be restored whole: global/pg_control");
}

TEST_F(HostileTreeTest, FactsThatAreNoneAreRefused) {
  repository::Snapshot snapshot;
  snapshot.id = kBackup;
  snapshot.cluster = "main";
  snapshot.facts = Json::object();
  ASSERT_TRUE(repository::commit_snapshot(snapshot, repository_.cluster()).has_value());
  restore_.options.backup = kBackup;
  expect_refused("JSON member");
}

// --- backup_label

TEST_F(HostileTreeTest, OnlineBackupWithoutLabelIsRefused) {
  backup_.online().data_directory().facts.backup_label.clear();
  expect_refused(backup_, "backup_label is missing");
}

TEST_F(HostileTreeTest, EveryCutLabelIsRefused) {
  BackupBuilder whole(repository_);
  const std::string label = whole.online().facts.backup_label;
  for (std::size_t size = 1; size < label.size(); ++size) {
    TestRepository repository;
    BackupBuilder backup(repository);
    backup.online().data_directory().facts.backup_label = label.substr(0, size);
    backup.commit();
    SimTarget target;
    ASSERT_EQ(code_of(RestoreRun(repository, target)()), ErrorCode::corrupt) << size;
  }
}

TEST_F(HostileTreeTest, LabelWithCarriageReturnsIsRefused) {
  std::string& label = backup_.online().data_directory().facts.backup_label;
  label.insert(label.find('\n'), "\r");
  expect_refused(backup_, "backup_label");
}

TEST_F(HostileTreeTest, LabelOfAnotherStartIsRefused) {
  backup_.online().data_directory().facts.start = Lsn{0x300030};
  expect_refused(backup_, "does not belong");
}

TEST_F(HostileTreeTest, LabelOfAnotherTimelineIsRefused) {
  backup_.online().data_directory().facts.start_timeline = TimelineId{2};
  expect_refused(backup_, "does not belong");
}

TEST_F(HostileTreeTest, OfflineBackupWithLabelIsRefused) {
  backup_.data_directory().facts.backup_label = "START WAL LOCATION";
  expect_refused(backup_, "an offline backup has none");
}

TEST_F(HostileTreeTest, TablespaceMapThatNamesAnotherPlaceIsRefused) {
  backup_.online().data_directory().tablespace(16385, "/data/space");
  backup_.facts.tablespace_map = "16385 /etc\n";
  expect_refused(backup_, "tablespace 16385 at /etc was not backed up");
}

TEST_F(HostileTreeTest, TablespaceMapThatIsNoneIsRefused) {
  backup_.online().data_directory().facts.tablespace_map = "x";
  expect_refused(backup_, "tablespace_map");
}

// --- WAL

TEST_F(HostileTreeTest, MissingFirstSegmentIsRefused) {
  backup_.online().data_directory().without("pg_wal/000000010000000000000003");
  expect_refused(backup_, "pg_wal/000000010000000000000003 is missing");
}

TEST_F(HostileTreeTest, MissingLastSegmentIsRefused) {
  backup_.online().data_directory().without("pg_wal/000000010000000000000004");
  expect_refused(backup_, "pg_wal/000000010000000000000004 is missing");
}

}  // namespace
}  // namespace haul::restore
