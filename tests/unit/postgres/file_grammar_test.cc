#include "engine/postgres/file_grammar.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

using io::FileKind;

constexpr const char* kTablespace = "pg_tblspc/16385/PG_15_202209061/5";

FileClass classify_file(const std::string& path) { return classify(path, FileKind::regular); }
FileClass classify_dir(const std::string& path) { return classify(path, FileKind::directory); }

TEST(RelationFile, EveryPartIsRead) {
  const RelationFile expected = {"base/5", 16384, Fork::vm, 3};
  EXPECT_EQ(parse_relation_file("base/5/16384_vm.3"), expected);
}

TEST(RelationFile, ForksAndSegmentsAreRead) {
  EXPECT_EQ(parse_relation_file("global/1260")->fork, Fork::main);
  EXPECT_EQ(parse_relation_file("base/5/1260_fsm")->fork, Fork::fsm);
  EXPECT_EQ(parse_relation_file("base/5/1260_vm")->fork, Fork::vm);
  EXPECT_EQ(parse_relation_file("base/5/1260_init")->fork, Fork::init);
  EXPECT_EQ(parse_relation_file("base/5/1260")->segment, 0U);
  EXPECT_EQ(parse_relation_file("base/5/1260.1")->segment, 1U);
  EXPECT_EQ(parse_relation_file("base/5/4294967295.4294967295")->relfilenode, 4294967295U);
}

TEST(RelationFile, DirectoriesOfRelationsAreTheThreeKinds) {
  EXPECT_TRUE(is_relation_directory("global"));
  EXPECT_TRUE(is_relation_directory("base/1"));
  EXPECT_TRUE(is_relation_directory(kTablespace));
  for (const char* path :
       {"", "base", "base/x", "base/0", "base/01", "base/1/2", "pg_xact", "pg_tblspc/16385",
        "pg_tblspc/16385/PG_15_202209061", "pg_tblspc/16385/5", "pg_tblspc/x/PG_15_202209061/5",
        "pg_tblspc/16385/PG_15/5", "pg_tblspc/16385/XX_15_202209061/5",
        "a/pg_tblspc/16385/PG_15_202209061/5", "pg_tblspc/16385/PG_15_202209061/5/6"}) {
    EXPECT_FALSE(is_relation_directory(path)) << path;
  }
  EXPECT_TRUE(parse_relation_file(std::string(kTablespace) + "/16390"));
}

TEST(RelationFile, OtherNamesAreNoRelations) {
  for (const char* name : {"",
                           "PG_VERSION",
                           "pg_filenode.map",
                           "pg_internal.init",
                           "pg_internal.init.123",
                           "0",
                           "0123",
                           "16384_",
                           "16384_xyz",
                           "16384_fsm_vm",
                           "16384.",
                           "16384.0",
                           "16384.01",
                           "16384.x",
                           "16384.1.2",
                           "16384_fsm.",
                           "4294967296",
                           "16384.4294967296",
                           "t3_16384",
                           "-1",
                           "+1",
                           "1 ",
                           " 1",
                           "1a",
                           "_fsm",
                           ".1",
                           "16384_FSM",
                           "16384_init~"}) {
    EXPECT_FALSE(parse_relation_file(std::string("base/5/") + name)) << name;
  }
  EXPECT_FALSE(parse_relation_file("pg_xact/0000"));
  EXPECT_FALSE(parse_relation_file("16384"));
}

TEST(RelationFile, FirstBlockIncludesTheSegment) {
  const RelationFile file = {"base/5", 16384, Fork::main, 2};
  EXPECT_EQ(file.first_block(131072), 262144U);
}

TEST(RelationFile, OrderIsDirectoryRelationForkSegment) {
  std::vector<std::string> paths = {"base/5/10_fsm",     "base/5/9.10", "base/5/9_init",
                                    "base/5/10",         "base/5/9.2",  "base/5/9",
                                    "base/5/PG_VERSION", "base/5/9_vm", "base/5/9_fsm"};
  std::ranges::sort(paths, path_less);
  const std::vector<std::string> expected = {"base/5/PG_VERSION", "base/5/9",     "base/5/9.2",
                                             "base/5/9.10",       "base/5/9_fsm", "base/5/9_vm",
                                             "base/5/9_init",     "base/5/10",    "base/5/10_fsm"};
  EXPECT_EQ(paths, expected);
}

TEST(RelationFile, OtherFilesAreOrderedByDirectoryAndName) {
  EXPECT_TRUE(path_less("a/z", "b/a"));
  EXPECT_TRUE(path_less("pg_hba.conf", "base/5/PG_VERSION"));
  EXPECT_TRUE(path_less("pg_xact/0000", "pg_xact/0001"));
  EXPECT_FALSE(path_less("pg_xact/0000", "pg_xact/0000"));
  EXPECT_FALSE(path_less("base/5/9", "base/5/zzz"));
}

TEST(TemporaryRelation, NamesOfSessionsAreRecognised) {
  for (const char* name : {"t3_16384", "t0_1", "t12_16384_fsm", "t12_16384_vm.1", "t3_16384.2"}) {
    EXPECT_TRUE(is_temporary_relation_name(name)) << name;
  }
  for (const char* name : {"", "t", "t3", "t_16384", "t3_", "t3_x", "x3_16384", "tx_16384",
                           "t3_16384_xyz", "t3_0", "16384", "t3-16384", "T3_16384"}) {
    EXPECT_FALSE(is_temporary_relation_name(name)) << name;
  }
}

TEST(Classify, RelationsAreStructuredAndOthersOpaque) {
  EXPECT_EQ(classify_file("global/1260"), FileClass::relation);
  EXPECT_EQ(classify_file("base/5/16384_vm.1"), FileClass::relation);
  EXPECT_EQ(classify_file(std::string(kTablespace) + "/16390"), FileClass::relation);
  for (const char* path : {"PG_VERSION",
                           "base/5/PG_VERSION",
                           "base/5/pg_filenode.map",
                           "global/pg_filenode.map",
                           "pg_xact/0000",
                           "pg_multixact/offsets/0000",
                           "pg_commit_ts/0000",
                           "pg_twophase/000002D4",
                           "pg_logical/replorigin_checkpoint",
                           "postgresql.conf",
                           "postgresql.auto.conf",
                           "pg_hba.conf",
                           "standby.signal",
                           "current_logfiles",
                           "server.key",
                           "base/16384",
                           "my/16384",
                           "base/5/16384.bak",
                           "pg_stat/pgstat.stat",
                           "log/postgresql.log"}) {
    EXPECT_EQ(classify_file(path), FileClass::opaque) << path;
  }
}

TEST(Classify, ControlFileIsItsOwnClass) {
  EXPECT_EQ(classify_file("global/pg_control"), FileClass::control_file);
  EXPECT_EQ(classify_file("base/5/pg_control"), FileClass::opaque);
}

TEST(Classify, FilesOfTheRunningServerAreExcluded) {
  for (const char* path :
       {"postmaster.pid", "postmaster.opts", "postgresql.auto.conf.tmp", "current_logfiles.tmp",
        "backup_label", "backup_label.old", "tablespace_map", "tablespace_map.old",
        "backup_manifest", "pghaul-start.log", ".DS_Store", "base/5/.DS_Store",
        "global/pg_internal.init", "base/5/pg_internal.init", "base/5/pg_internal.init.4711",
        "base/5/t3_16384", "base/5/t3_16384_fsm.1", "base/pgsql_tmp/pgsql_tmp4711.0",
        "base/5/pgsql_tmp1"}) {
    EXPECT_EQ(classify_file(path), FileClass::excluded) << path;
  }
  EXPECT_EQ(classify_file(std::string(kTablespace) + "/t3_16390"), FileClass::excluded);
  EXPECT_EQ(classify_dir("base/pgsql_tmp"), FileClass::excluded);
  EXPECT_EQ(classify_dir("pg_tblspc/16385/PG_15_202209061/pgsql_tmp"), FileClass::excluded);
}

TEST(Classify, ExcludedNamesElsewhereAreTheUsersOwn) {
  for (const char* path :
       {"my/backup_label", "my/postmaster.pid", "t3_16384", "my/t3_16384", "my/pg_internal.init",
        "backup_label.bak", "my_backup_label", "postgresql.conf.tmp"}) {
    EXPECT_EQ(classify_file(path), FileClass::opaque) << path;
  }
  EXPECT_EQ(classify_dir("my/pg_notify"), FileClass::directory);
}

TEST(Classify, DirectoriesEmptiedAtStartAreKeptEmpty) {
  for (const char* path :
       {"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots",
        "pg_subtrans", "pg_wal/archive_status", "pg_wal/summaries"}) {
    EXPECT_EQ(classify_dir(path), FileClass::contents_excluded_directory) << path;
  }
}

TEST(Classify, DirectoriesWithContentsAreEntered) {
  for (const char* path :
       {"base", "base/5", "global", "pg_twophase", "pg_multixact", "pg_multixact/offsets",
        "pg_xact", "pg_commit_ts", "pg_logical", "pg_logical/snapshots", "pg_stat", "pg_tblspc",
        "my", "log", "pg_tblspc/16385/PG_15_202209061", kTablespace}) {
    EXPECT_EQ(classify_dir(path), FileClass::directory) << path;
  }
}

TEST(Classify, WalDirectoryIsKeptWhetherLinkOrNot) {
  EXPECT_EQ(classify_dir("pg_wal"), FileClass::wal_directory);
  EXPECT_EQ(classify("pg_wal", FileKind::symlink), FileClass::wal_directory);
  EXPECT_EQ(classify_dir("my/pg_wal"), FileClass::directory);
}

TEST(Classify, TablespacesAreLinksOrInPlace) {
  EXPECT_EQ(classify("pg_tblspc/16385", FileKind::symlink), FileClass::tablespace_link);
  EXPECT_EQ(classify_dir("pg_tblspc/16385"), FileClass::tablespace_link);
  EXPECT_EQ(classify("pg_tblspc/x", FileKind::symlink), FileClass::link);
  EXPECT_EQ(classify_dir("pg_tblspc/x"), FileClass::directory);
}

TEST(Classify, OtherLinksAreRecordedOnly) {
  EXPECT_EQ(classify("postgresql.conf", FileKind::symlink), FileClass::link);
  EXPECT_EQ(classify("base", FileKind::symlink), FileClass::link);
  EXPECT_EQ(classify("global/pg_control", FileKind::symlink), FileClass::link);
  EXPECT_EQ(classify("pg_stat_tmp", FileKind::symlink), FileClass::contents_excluded_directory);
  EXPECT_EQ(classify("backup_label", FileKind::symlink), FileClass::excluded);
}

TEST(Classify, SpecialFilesAreNeverRelations) {
  EXPECT_EQ(classify("base/5/16384", FileKind::other), FileClass::special);
  EXPECT_EQ(classify(".s.PGSQL.5432", FileKind::other), FileClass::special);
  EXPECT_EQ(classify("postmaster.pid", FileKind::other), FileClass::excluded);
}

TEST(Vanishing, WhatTheServerDropsMayVanish) {
  for (const char* path :
       {"base/5/16384", "base/5/16384_vm.2", "global/1260", "base/5", kTablespace,
        "pg_tblspc/16385", "pg_tblspc/16385/PG_15_202209061", "pg_xact/0000",
        "pg_multixact/members/0000", "pg_multixact/offsets/0001", "pg_commit_ts/0000",
        "pg_twophase/000002D4", "pg_logical/snapshots/0-1.snap", "pg_logical/mappings/map-1",
        "pg_logical/replorigin_checkpoint", "pg_stat/pgstat.stat", "log/a.log", "pg_log/a.log",
        "global/pg_something.tmp"}) {
    EXPECT_EQ(vanishing(path), Vanishing::tolerated) << path;
    EXPECT_TRUE(may_vanish(path)) << path;
  }
}

TEST(Vanishing, WhatMakesADatabaseVanishesWithItOnly) {
  for (const std::string& directory : {std::string("base/5"), std::string(kTablespace)}) {
    EXPECT_EQ(vanishing(directory + "/PG_VERSION"), Vanishing::with_directory);
    EXPECT_EQ(vanishing(directory + "/pg_filenode.map"), Vanishing::with_directory);
    EXPECT_FALSE(may_vanish(directory + "/PG_VERSION"));
  }
}

TEST(Vanishing, WhatMakesTheClusterNeverVanishes) {
  for (const char* path :
       {"PG_VERSION", "global", "global/pg_control", "global/pg_filenode.map", "base", "pg_xact",
        "pg_multixact", "pg_multixact/offsets", "pg_multixact/members", "pg_logical",
        "pg_logical/snapshots", "pg_logical/mappings", "pg_tblspc", "pg_wal", "postgresql.conf",
        "my/file", "pg_tblspc/16385/my"}) {
    EXPECT_EQ(vanishing(path), Vanishing::never) << path;
  }
}

TEST(Names, ClassesAndForksHaveNames) {
  EXPECT_EQ(to_string(Fork::main), "main");
  EXPECT_EQ(to_string(Fork::fsm), "fsm");
  EXPECT_EQ(to_string(Fork::vm), "vm");
  EXPECT_EQ(to_string(Fork::init), "init");
  EXPECT_EQ(to_string(FileClass::relation), "relation");
  EXPECT_EQ(to_string(FileClass::excluded), "excluded");
}

}  // namespace
}  // namespace haul::postgres
