#include "engine/backup/source_plan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/tree.h"
#include "io/fault_directory.h"
#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"

namespace haul::backup {
namespace {

using support::code_of;
using support::write_file;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
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

// Everything that was planned, in the order in which it came.
struct SourcePlan : public PlanSink {
  std::vector<PlannedDirectory> directories;
  std::vector<PlannedFile> files;
  std::vector<PlannedLink> links;
  std::vector<std::string> order;
  SourceSummary summary;
  // Called with every file's path; its failure is the sink's.
  std::function<Status(const std::string&)> on_file = [](const std::string&) { return ok(); };

  Status directory(PlannedDirectory directory) override {
    order.push_back(directory.path);
    directories.push_back(std::move(directory));
    return ok();
  }
  Status file(PlannedFile file) override {
    order.push_back(file.path);
    files.push_back(std::move(file));
    return on_file(files.back().path);
  }
  Status link(PlannedLink link) override {
    order.push_back(link.path);
    links.push_back(std::move(link));
    return ok();
  }
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

  // The same through a plan of faults.
  Result<std::unique_ptr<SourceTree>> open_source(const std::shared_ptr<io::FaultPlan>& plan) {
    return SourceTree::open(
        "/data",
        [&](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
          return io::make_fault_directory(HAUL_TRY(disk.open(path.substr(1))), plan);
        },
        control);
  }

  Result<SourceSummary> scan(PlanSink& sink, std::stop_token stop = {}) {
    source = open_source().value();
    return plan_source(*source, control, sorting, std::move(stop), sink);
  }
  // The plan of what is there now.
  SourcePlan plan() {
    SourcePlan planned;
    planned.summary = scan(planned).value();
    return planned;
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
  int spools_opened = 0;
  SorterOptions sorting{.spool = [this] {
    ++spools_opened;
    return disk.open("");
  }};
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
        "tablespace_map.old", "backup_manifest", "pghaul-start.log", "postgresql.auto.conf.tmp",
        "current_logfiles.tmp", "base/5/pg_internal.init", "base/5/pg_internal.init.123",
        "base/5/t3_16390", "base/5/t3_16390_fsm.1", "base/pgsql_tmp/pgsql_tmp1.0"}) {
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
  EXPECT_EQ(planned.summary.warnings.size(), 1U);
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
  EXPECT_EQ(planned.summary.warnings.size(), 1U);
}

TEST_F(SourcePlanTest, SizesAddUp) {
  const SourcePlan planned = plan();
  std::uint64_t bytes = 0;
  for (const PlannedFile& file : planned.files) bytes += file.info.size_bytes;
  EXPECT_EQ(planned.summary.bytes, bytes);
  EXPECT_EQ(planned.summary.files, planned.files.size());
  EXPECT_GE(bytes, 47U * support::kFakePageSize);
}

TEST_F(SourcePlanTest, StopRequestEndsTheScan) {
  std::stop_source stop;
  stop.request_stop();
  SourcePlan planned;
  EXPECT_EQ(code_of(scan(planned, stop.get_token())), ErrorCode::interrupted);
  EXPECT_THAT(planned.order, IsEmpty());
}

TEST_F(SourcePlanTest, StopRequestEndsTheScanBetweenFiles) {
  std::stop_source stop;
  SourcePlan planned;
  planned.on_file = [&](const std::string&) {
    stop.request_stop();
    return ok();
  };
  EXPECT_EQ(code_of(scan(planned, stop.get_token())), ErrorCode::interrupted);
  EXPECT_EQ(planned.files.size(), 1U);
}

TEST_F(SourcePlanTest, FailureOfTheSinkEndsTheScan) {
  SourcePlan planned;
  planned.on_file = [](const std::string& path) -> Status {
    if (path != "base/5/16384") return ok();
    return Error(ErrorCode::busy, "the queue is gone");
  };
  EXPECT_EQ(code_of(scan(planned)), ErrorCode::busy);
  EXPECT_EQ(planned.files.back().path, "base/5/16384");
}

TEST_F(SourcePlanTest, OrderIsThatOfTheTree) {
  ASSERT_TRUE(data->make_directory("base/50", 0700));
  ASSERT_TRUE(data->make_directory("a", 0700));
  ASSERT_TRUE(data->make_directory("a.b", 0700));
  for (const char* path : {"base/5/9", "base/5/10", "base/5/10.1", "base/5/10.10", "base/5/10.2",
                           "base/5/10_fsm", "base/50/1", "a/z", "a-", "a.b/1", "a0", "10", "9a"}) {
    put(path);
  }
  const std::vector<std::string> order = plan().order;
  EXPECT_GT(order.size(), 30U);
  for (std::size_t i = 1; i < order.size(); ++i) {
    EXPECT_TRUE(repository::compare_paths(order[i - 1], order[i]) < 0) << order[i];
  }
}

TEST_F(SourcePlanTest, NamesThatDifferInLeadingZerosComeOneAfterTheOther) {
  ASSERT_TRUE(data->make_directory("log", 0700));
  for (const char* directory : {"log/1", "log/01"}) {
    ASSERT_TRUE(data->make_directory(directory, 0700));
    put(std::string(directory) + "/a");
    put(std::string(directory) + "/b");
  }
  std::vector<std::string> order = plan().order;
  std::erase_if(order, [](const std::string& path) { return !path.starts_with("log/"); });
  EXPECT_THAT(order, ElementsAre("log/01", "log/01/a", "log/01/b", "log/1", "log/1/a", "log/1/b"));
  // A tree has them otherwise, which is why its entries are sorted once more.
  EXPECT_TRUE(repository::compare_paths("log/1/a", "log/01/b") < 0);
}

TEST_F(SourcePlanTest, SmallDirectoriesNeedNoSpool) {
  plan();
  EXPECT_EQ(spools_opened, 0);
}

TEST_F(SourcePlanTest, EveryRelationHasItsOwnInitForkDecide) {
  // Between the forks of others, before and after them, and beside names of another kind.
  for (const char* path :
       {"base/5/9_init", "base/5/9", "base/5/10", "base/5/100_init", "base/5/100_vm",
        "base/5/100.1", "base/5/101", "base/5/10a", "base/5/4294967295_init", "base/5/4294967295",
        "base/5/7_init", "base/5/x_init", "base/5/x"}) {
    put(path);
  }
  std::vector<std::string> planned = paths(plan());
  std::erase_if(planned, [](const std::string& path) { return !path.starts_with("base/5/"); });
  EXPECT_THAT(planned,
              ElementsAre("base/5/7_init", "base/5/9_init", "base/5/10", "base/5/10a",
                          "base/5/100_init", "base/5/101", "base/5/16384", "base/5/4294967295_init",
                          "base/5/PG_VERSION", "base/5/x", "base/5/x_init"));
}

TEST_F(SourcePlanTest, LargeDirectoryIsSortedInTheSpool) {
  constexpr int kFiles = 12'000;
  for (int i = 0; i < kFiles; ++i) put(format("base/5/{}", 20'000 + i));
  put("base/5/20000_init");
  sorting.memory_bytes = kSorterMemoryMin;
  const std::vector<std::string> planned = paths(plan());
  EXPECT_EQ(spools_opened, 1);
  EXPECT_EQ(planned.size(), 9U + kFiles);
  EXPECT_THAT(planned, Not(Contains("base/5/20000")));
  for (std::size_t i = 1; i < planned.size(); ++i) {
    EXPECT_TRUE(repository::compare_paths(planned[i - 1], planned[i]) < 0) << planned[i];
  }
}

TEST_F(SourcePlanTest, ManyInitForksAreSortedInTheSpool) {
  constexpr int kInitForks = 24'000;
  for (int i = 0; i < kInitForks; ++i) put(format("base/5/{}_init", 20'000 + i));
  put("base/5/43999");
  put("base/5/44000");
  sorting.memory_bytes = kSorterMemoryMin;
  const std::vector<std::string> planned = paths(plan());
  EXPECT_EQ(spools_opened, 2);
  EXPECT_EQ(planned.size(), 9U + kInitForks + 1);
  EXPECT_THAT(planned, Not(Contains("base/5/43999")));
}

TEST_F(SourcePlanTest, SpoolThatIsMissingDoesNotPassForAVanishedDirectory) {
  for (int i = 0; i < 12'000; ++i) put(format("base/5/{}", 20'000 + i));
  sorting.memory_bytes = kSorterMemoryMin;
  sorting.spool = [this] { return disk.open("no"); };
  SourcePlan planned;
  EXPECT_EQ(code_of(scan(planned)), ErrorCode::not_found);
}

TEST_F(SourcePlanTest, RelationThatVanishesIsLeftOut) {
  put("base/5/20000");
  SourcePlan planned;
  planned.on_file = [&](const std::string& path) {
    return path == "base/5/16384" ? data->remove_file("base/5/20000") : ok();
  };
  ASSERT_TRUE(scan(planned));
  EXPECT_THAT(paths(planned), Contains("base/5/PG_VERSION"));
  EXPECT_THAT(paths(planned), Not(Contains("base/5/20000")));
}

TEST_F(SourcePlanTest, DatabaseFileThatVanishesIsToBeSettled) {
  SourcePlan planned;
  planned.on_file = [&](const std::string& path) {
    return path == "base/5/16384" ? data->remove_file("base/5/PG_VERSION") : ok();
  };
  const auto summary = scan(planned);
  ASSERT_TRUE(summary);
  EXPECT_THAT(summary->vanished_with_directory, ElementsAre("base/5/PG_VERSION"));
  EXPECT_THAT(summary->database_files, ElementsAre("base/1/PG_VERSION"));
}

TEST_F(SourcePlanTest, DatabaseThatVanishesIsLeftOut) {
  ASSERT_TRUE(data->make_directory("base/777", 0700));
  SourcePlan planned;
  planned.on_file = [&](const std::string& path) {
    return path == "base/5/16384" ? data->remove_directory("base/777") : ok();
  };
  ASSERT_TRUE(scan(planned));
  EXPECT_THAT(directories(planned), Not(Contains("base/777")));
}

TEST_F(SourcePlanTest, OtherFileThatVanishesFails) {
  SourcePlan planned;
  planned.on_file = [&](const std::string& path) {
    return path == "global/1262" ? data->remove_file("postgresql.conf") : ok();
  };
  const auto summary = scan(planned);
  ASSERT_EQ(code_of(summary), ErrorCode::not_found);
  EXPECT_NE(summary.error().message().find("postgresql.conf"), std::string::npos);
}

TEST_F(SourcePlanTest, FailureOfTheDeviceEndsTheScan) {
  ASSERT_TRUE(data->make_link("/etc/x", "x.conf"));
  for (const std::string operation : {"list", "info", "read_link"}) {
    for (std::uint64_t call = 1;; ++call) {
      const auto plan = io::parse_fault_plan(format("{}:{}:eio", operation, call)).value();
      auto opened = open_source(plan);
      if (!opened) continue;  // not yet a call of the scan
      source = std::move(opened).take();
      SourcePlan planned;
      const auto summary = plan_source(*source, control, sorting, {}, planned);
      if (plan->calls(operation) < call) {
        EXPECT_TRUE(summary);
        EXPECT_GT(call, operation == "read_link" ? 1U : 8U) << operation;
        break;
      }
      EXPECT_EQ(code_of(summary), ErrorCode::io) << operation << " " << call;
    }
  }
}

TEST_F(SourcePlanTest, DirectoryThatIsGoneWhenItIsListedCountsAsVanished) {
  // Its own look succeeds; only the listing that follows does not find it.
  std::map<std::string, std::uint64_t> listing;
  class Watch final : public SourcePlan {
   public:
    Watch(io::FaultPlan& plan, std::map<std::string, std::uint64_t>& listing)
        : plan_(plan), listing_(listing) {}
    Status directory(PlannedDirectory directory) override {
      listing_[directory.path] = plan_.calls("list");
      return ok();
    }

   private:
    io::FaultPlan& plan_;
    std::map<std::string, std::uint64_t>& listing_;
  };
  const auto counting = io::parse_fault_plan("").value();
  source = open_source(counting).value();
  Watch watch(*counting, listing);
  ASSERT_TRUE(plan_source(*source, control, sorting, {}, watch));

  for (const auto& [path, tolerated] : {std::pair("base/5", true), std::pair("pg_xact", false)}) {
    source = open_source(io::parse_fault_plan(format("list:{}:enoent", listing.at(path))).value())
                 .value();
    SourcePlan planned;
    EXPECT_EQ(code_of(plan_source(*source, control, sorting, {}, planned)),
              tolerated ? std::nullopt : std::optional(ErrorCode::not_found));
    EXPECT_THAT(directories(planned), Not(Contains(path)));
  }
}

TEST_F(SourcePlanTest, DatabaseWithoutItsMapFailsUnlessItCameOrWentMeanwhile) {
  put("base/1/pg_filenode.map");
  const SourcePlan planned = plan();
  const postgres::DatabasePlace whole{1, postgres::kDefaultTablespace};
  const postgres::DatabasePlace broken{5, postgres::kDefaultTablespace};
  EXPECT_TRUE(check_databases(planned.summary, *source, {whole}, {whole}));
  EXPECT_TRUE(check_databases(planned.summary, *source, {whole, broken}, {whole}));
  EXPECT_TRUE(check_databases(planned.summary, *source, {whole}, {whole, broken}));
  const Status status = check_databases(planned.summary, *source, {whole, broken}, {whole, broken});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::server_state);
  EXPECT_NE(status.error().message().find("base/5/pg_filenode.map"), std::string::npos);
  // In a tablespace that was not planned at all.
  EXPECT_FALSE(check_databases(planned.summary, *source, {{1, 16500}}, {{1, 16500}}));
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
