#include "engine/restore/plan.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using repository::TreeEntry;
using support::code_of;

class PlanTest : public testing::Test {
 protected:
  RestorePlan plan() {
    index_ = repository::Index::open(repository_.cluster(), findings_).value();
    chunks_.emplace(repository_.cluster(), *index_, findings_);
    return make_plan(*chunks_, read_backup(repository_.cluster(), std::string(kBackup)).value())
        .value();
  }
  Result<std::vector<std::string>> files_of(const RestorePlan& plan) {
    std::vector<std::string> paths;
    HAUL_TRY(for_each_file(*chunks_, plan, [&](const TreeEntry& entry) -> Status {
      paths.push_back(entry.path);
      return ok();
    }));
    return paths;
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
  repository::Findings findings_;
  std::unique_ptr<repository::Index> index_;
  std::optional<repository::ChunkReader> chunks_;
};

TEST_F(PlanTest, FilesAreThoseThatAreRestoredButPgControl) {
  backup_.data_directory()
      .file("base/5/2", "x")
      .file("base/5/10", "y")
      .file("standby.signal", "")
      .file("postmaster.pid", "1")
      .link("log", "/var/log")
      .configuration("/etc/pg/pg_hba.conf", "hba_file", "local all all peer\n")
      .commit();
  const RestorePlan made = plan();
  EXPECT_EQ(made.files, 3U);
  EXPECT_EQ(files_of(made).value(),
            (std::vector<std::string>{"PG_VERSION", "base/5/2", "base/5/10"}));
}

TEST_F(PlanTest, KnownFilesAreThoseThatOthersAskFor) {
  backup_.online().data_directory().file("base/5/2", "x").file("postgresql.conf", "").commit();
  const RestorePlan made = plan();
  EXPECT_TRUE(made.has_file("PG_VERSION"));
  EXPECT_TRUE(made.has_file("postgresql.conf"));
  EXPECT_TRUE(made.has_file("pg_wal/000000010000000000000003"));
  EXPECT_EQ(made.known_files.size(), 4U);
}

TEST_F(PlanTest, LargestLeafAndPageAreKnown) {
  backup_.data_directory().paged_file("base/5/2", std::string(700'000, 'x')).commit();
  const RestorePlan made = plan();
  EXPECT_EQ(made.leaf_bytes_max, 512U * 1024);
  EXPECT_EQ(made.page_size_bytes_max, 8192U);
}

TEST_F(PlanTest, FewerFilesThanPlannedAreCorrupt) {
  backup_.data_directory().file("base/5/2", "x").commit();
  RestorePlan made = plan();
  ++made.files;
  EXPECT_EQ(code_of(files_of(made)), ErrorCode::corrupt);
}

TEST_F(PlanTest, MoreFilesThanPlannedAreCorruptAndNotVisited) {
  backup_.data_directory().file("base/5/2", "x").commit();
  RestorePlan made = plan();
  made.files = 1;
  std::size_t visited = 0;
  EXPECT_EQ(code_of(for_each_file(*chunks_, made,
                                  [&](const TreeEntry&) -> Status {
                                    ++visited;
                                    return ok();
                                  })),
            ErrorCode::corrupt);
  EXPECT_EQ(visited, 1U);
}

TEST_F(PlanTest, FailureOfAVisitEndsTheWalk) {
  backup_.data_directory().commit();
  const RestorePlan made = plan();
  EXPECT_EQ(code_of(for_each_file(
                *chunks_, made,
                [](const TreeEntry&) -> Status { return Error(ErrorCode::no_space, "full"); })),
            ErrorCode::no_space);
}

}  // namespace
}  // namespace haul::restore
