#include "engine/backup/source_plan.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"

namespace haul::backup {
namespace {

using support::write_file;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

class SimClock final : public Clock {
 public:
  UtcTime now_utc() override { return {}; }
  std::chrono::nanoseconds now_monotonic() override { return {}; }
  void sleep_for(std::chrono::nanoseconds) override {
    ++sleeps;
    if (on_sleep) on_sleep();
  }
  int sleeps = 0;
  std::function<void()> on_sleep;
};

class SourcePlanTest : public testing::Test {
 protected:
  void SetUp() override {
    top = disk.open("").value();
    ASSERT_TRUE(top->make_directory("data", 0700));
    data = top->open_directory("data").value();
    ASSERT_TRUE(support::make_fake_cluster(*data));
    control.block_size_bytes = support::kFakePageSize;
    control.relation_segment_blocks = 131072;
    control.server_major = 15;
    control.catalog_version = 202209061;
  }

  Result<std::unique_ptr<SourceTree>> open_source() {
    return SourceTree::open(
        "/data", [this](const std::string& path) { return disk.open(path.substr(1)); }, control);
  }

  // The plan of what is there now.
  SourcePlan plan() {
    source = open_source().value();
    return plan_source(*source, control, {}).value();
  }

  void put(const std::string& path, const std::string& content = "x") {
    const Status written = write_file(*data, path, content);
    ASSERT_TRUE(written) << path;
  }

  static std::vector<std::string> paths(const SourcePlan& plan) {
    std::vector<std::string> result;
    for (const PlannedFile& file : plan.files) result.push_back(file.path);
    return result;
  }
  static std::vector<std::string> directories(const SourcePlan& plan) {
    std::vector<std::string> result;
    for (const PlannedDirectory& directory : plan.directories) result.push_back(directory.path);
    return result;
  }

  io::SimDisk disk;
  std::unique_ptr<io::Directory> top;
  std::unique_ptr<io::Directory> data;
  postgres::ControlFile control;
  std::unique_ptr<SourceTree> source;
};

TEST_F(SourcePlanTest, FilesComeInTreeOrderWithoutTheControlFile) {
  EXPECT_THAT(paths(plan()), ElementsAre("PG_VERSION", "base/1/1259", "base/1/1259_fsm",
                                         "base/1/PG_VERSION", "base/5/16384", "base/5/PG_VERSION",
                                         "global/1262", "pg_xact/0000", "postgresql.conf"));
}

TEST_F(SourcePlanTest, RelationsKnowTheirFirstBlock) {
  put("base/5/16384.2");
  for (const PlannedFile& file : plan().files) {
    if (file.path == "base/5/16384.2") {
      EXPECT_TRUE(file.relation);
      EXPECT_EQ(file.first_block, 2U * 131072);
    }
    if (file.path == "PG_VERSION") {
      EXPECT_FALSE(file.relation);
    }
  }
}

TEST_F(SourcePlanTest, ContentOfRuntimeDirectoriesIsLeftOutAndTheyAreKept) {
  for (const char* directory : {"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify",
                                "pg_serial", "pg_snapshots", "pg_subtrans"}) {
    put(std::string(directory) + "/left-behind");
  }
  const SourcePlan planned = plan();
  for (const std::string& path : paths(planned))
    EXPECT_EQ(path.find("left-behind"), std::string::npos) << path;
  EXPECT_THAT(directories(planned), Contains("pg_replslot"));
  EXPECT_THAT(directories(planned), Contains("pg_notify"));
}

TEST_F(SourcePlanTest, WalIsLeftOutAndItsDirectoriesAreKept) {
  const SourcePlan planned = plan();
  EXPECT_THAT(paths(planned),
              Not(Contains("pg_wal/" + std::string(support::kFakeCheckpointSegment))));
  EXPECT_THAT(directories(planned), Contains("pg_wal"));
  EXPECT_THAT(directories(planned), Contains("pg_wal/archive_status"));
}

TEST_F(SourcePlanTest, StrangeDirectoryInWalIsLeftOut) {
  ASSERT_TRUE(data->make_directory("pg_wal/lost+found", 0700));
  EXPECT_THAT(directories(plan()), Not(Contains("pg_wal/lost+found")));
}

TEST_F(SourcePlanTest, TemporaryAndServerOwnedNamesAreLeftOut) {
  ASSERT_TRUE(data->make_directory("base/pgsql_tmp", 0700));
  for (const char* path :
       {"postmaster.pid", "postmaster.opts", "backup_label", "backup_label.old", "tablespace_map",
        "tablespace_map.old", "backup_manifest", "postgresql.auto.conf.tmp", "current_logfiles.tmp",
        "base/5/pg_internal.init", "base/5/pg_internal.init.123", "base/5/t3_16390",
        "base/5/t3_16390_fsm.1", "base/pgsql_tmp/pgsql_tmp1.0"}) {
    put(path);
  }
  EXPECT_EQ(paths(plan()).size(), 9U);
}

TEST_F(SourcePlanTest, UnloggedRelationKeepsOnlyItsInitFork) {
  for (const char* path : {"base/5/20000", "base/5/20000.1", "base/5/20000_fsm", "base/5/20000_vm",
                           "base/5/20000_init"}) {
    put(path);
  }
  const std::vector<std::string> planned = paths(plan());
  EXPECT_THAT(planned, Contains("base/5/20000_init"));
  EXPECT_EQ(std::ranges::count_if(
                planned, [](const std::string& p) { return p.starts_with("base/5/20000"); }),
            1);
}

TEST_F(SourcePlanTest, SameNumberInAnotherDatabaseIsNotUnlogged) {
  put("base/5/20000_init");
  put("base/1/20000");
  EXPECT_THAT(paths(plan()), Contains("base/1/20000"));
}

TEST_F(SourcePlanTest, LinkedTablespaceIsReadThroughItsTarget) {
  ASSERT_TRUE(top->make_directory("space", 0700));
  ASSERT_TRUE(top->make_directory("space/PG_15_202209061", 0700));
  ASSERT_TRUE(top->make_directory("space/PG_15_202209061/5", 0700));
  ASSERT_TRUE(write_file(*top, "space/PG_15_202209061/5/30000", "x"));
  ASSERT_TRUE(data->make_link("/space", "pg_tblspc/16500"));
  const SourcePlan planned = plan();
  EXPECT_THAT(paths(planned), Contains("pg_tblspc/16500/PG_15_202209061/5/30000"));
  ASSERT_EQ(source->tablespaces().size(), 1U);
  EXPECT_EQ(source->tablespaces()[0], (postgres::TablespaceFact{16500, "/space", false}));
}

TEST_F(SourcePlanTest, OtherVersionsInATablespaceAreLeftOut) {
  ASSERT_TRUE(top->make_directory("space", 0700));
  ASSERT_TRUE(top->make_directory("space/PG_14_202107181", 0700));
  ASSERT_TRUE(write_file(*top, "space/PG_14_202107181/old", "x"));
  ASSERT_TRUE(top->make_directory("space/PG_15_202209061", 0700));
  ASSERT_TRUE(data->make_link("/space", "pg_tblspc/16500"));
  const SourcePlan planned = plan();
  EXPECT_THAT(directories(planned), Contains("pg_tblspc/16500/PG_15_202209061"));
  EXPECT_THAT(directories(planned), Not(Contains("pg_tblspc/16500/PG_14_202107181")));
}

TEST_F(SourcePlanTest, RelativeTablespaceLinkStartsAtItsDirectory) {
  ASSERT_TRUE(top->make_directory("space", 0700));
  ASSERT_TRUE(data->make_link("../../space", "pg_tblspc/16500"));
  // The simulated disk does not resolve "..": what matters is the path that is asked for.
  std::string asked;
  const auto opened = SourceTree::open(
      "/data",
      [&](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
        if (path != "/data") {
          asked = path;
          return disk.open("space");
        }
        return disk.open("data");
      },
      control);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(asked.ends_with("/pg_tblspc/../../space")) << asked;
}

TEST_F(SourcePlanTest, InPlaceTablespaceIsReadWhereItIs) {
  ASSERT_TRUE(data->make_directory("pg_tblspc/16501", 0700));
  ASSERT_TRUE(data->make_directory("pg_tblspc/16501/PG_15_202209061", 0700));
  ASSERT_TRUE(data->make_directory("pg_tblspc/16501/PG_15_202209061/5", 0700));
  put("pg_tblspc/16501/PG_15_202209061/5/30001");
  EXPECT_THAT(paths(plan()), Contains("pg_tblspc/16501/PG_15_202209061/5/30001"));
  EXPECT_TRUE(source->tablespaces()[0].in_place);
}

TEST_F(SourcePlanTest, TablespaceLinkThatLeadsNowhereFails) {
  ASSERT_TRUE(data->make_link("/nowhere", "pg_tblspc/16500"));
  const auto opened = open_source();
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message().find("16500"), std::string::npos);
}

TEST_F(SourcePlanTest, TwoLinksToOneDirectoryCopyItOnce) {
  ASSERT_TRUE(top->make_directory("space", 0700));
  ASSERT_TRUE(top->make_directory("space/PG_15_202209061", 0700));
  ASSERT_TRUE(write_file(*top, "space/PG_15_202209061/x", "x"));
  ASSERT_TRUE(data->make_link("/space", "pg_tblspc/16500"));
  ASSERT_TRUE(data->make_link("/space", "pg_tblspc/16501"));
  const SourcePlan planned = plan();
  EXPECT_EQ(
      std::ranges::count_if(paths(planned), [](const std::string& p) { return p.ends_with("/x"); }),
      1);
  EXPECT_EQ(planned.warnings.size(), 1U);
}

TEST_F(SourcePlanTest, LinkedWalDirectoryBecomesADirectory) {
  ASSERT_TRUE(data->remove_file("pg_wal/" + std::string(support::kFakeCheckpointSegment)));
  ASSERT_TRUE(data->remove_directory("pg_wal/archive_status"));
  ASSERT_TRUE(data->remove_directory("pg_wal"));
  ASSERT_TRUE(top->make_directory("wal", 0700));
  ASSERT_TRUE(top->make_directory("wal/archive_status", 0700));
  ASSERT_TRUE(data->make_link("/wal", "pg_wal"));
  const SourcePlan planned = plan();
  EXPECT_THAT(directories(planned), Contains("pg_wal"));
  EXPECT_THAT(directories(planned), Contains("pg_wal/archive_status"));
  EXPECT_TRUE(planned.links.empty());
}

TEST_F(SourcePlanTest, OtherLinksAreRecordedWithAWarning) {
  ASSERT_TRUE(data->make_link("/etc/postgresql.conf", "pg_ident.conf"));
  const SourcePlan planned = plan();
  ASSERT_EQ(planned.links.size(), 1U);
  EXPECT_EQ(planned.links[0].path, "pg_ident.conf");
  EXPECT_EQ(planned.links[0].target, "/etc/postgresql.conf");
  EXPECT_EQ(planned.warnings.size(), 1U);
}

TEST_F(SourcePlanTest, SizesAddUp) {
  const SourcePlan planned = plan();
  std::uint64_t bytes = 0;
  for (const PlannedFile& file : planned.files) bytes += file.size_hint_bytes;
  EXPECT_EQ(planned.bytes, bytes);
  EXPECT_GE(bytes, 47U * support::kFakePageSize);
}

TEST_F(SourcePlanTest, StopRequestEndsTheScan) {
  std::stop_source stop;
  stop.request_stop();
  source = open_source().value();
  const auto planned = plan_source(*source, control, stop.get_token());
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().code(), ErrorCode::interrupted);
}

TEST_F(SourcePlanTest, DatabaseWithoutItsMapFailsUnlessItCameOrWentMeanwhile) {
  put("base/1/pg_filenode.map");
  const SourcePlan planned = plan();
  const postgres::DatabasePlace whole{1, postgres::kDefaultTablespace};
  const postgres::DatabasePlace broken{5, postgres::kDefaultTablespace};
  EXPECT_TRUE(check_databases(planned, *source, {whole}, {whole}));
  EXPECT_TRUE(check_databases(planned, *source, {whole, broken}, {whole}));
  EXPECT_TRUE(check_databases(planned, *source, {whole}, {whole, broken}));
  const Status status = check_databases(planned, *source, {whole, broken}, {whole, broken});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::server_state);
  EXPECT_NE(status.error().message().find("base/5/pg_filenode.map"), std::string::npos);
  // In a tablespace that was not planned at all.
  EXPECT_FALSE(check_databases(planned, *source, {{1, 16500}}, {{1, 16500}}));
}

TEST_F(SourcePlanTest, DatabaseFileGoneWithItsDirectoryIsFine) {
  source = open_source().value();
  SimClock clock;
  EXPECT_TRUE(check_vanished_directories(*source, {"base/777/pg_filenode.map"}, clock));
  EXPECT_EQ(clock.sleeps, 0);
}

TEST_F(SourcePlanTest, DatabaseDirectoryMayTakeAMomentToGo) {
  ASSERT_TRUE(data->make_directory("base/777", 0700));
  source = open_source().value();
  SimClock clock;
  clock.on_sleep = [&] {
    if (clock.sleeps == 3) {
      ASSERT_TRUE(data->remove_directory("base/777"));
    }
  };
  EXPECT_TRUE(check_vanished_directories(*source, {"base/777/pg_filenode.map"}, clock));
  EXPECT_EQ(clock.sleeps, 3);
}

TEST_F(SourcePlanTest, DatabaseFileGoneFromADirectoryThatStaysFails) {
  source = open_source().value();
  SimClock clock;
  const Status status = check_vanished_directories(*source, {"base/5/pg_filenode.map"}, clock);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::server_state);
  EXPECT_NE(status.error().message().find("base/5/pg_filenode.map"), std::string::npos);
}

}  // namespace
}  // namespace haul::backup
