// What info tells of what a backup has changed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/backup_changes.h"
#include "tools/pghaul/exit_status.h"

namespace haul::cli {
namespace {

using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr std::uint64_t kPage = support::kFakePageSize;

class InfoDifferences : public testing::Test {
 protected:
  void SetUp() override { pghaul.make_cluster_and_repository(); }
  void put(const std::string& path, const std::string& content) {
    const auto data = pghaul.platform.disk.open("data").value();
    if (data->info(path)) {
      ASSERT_TRUE(data->remove_file(path));
    }
    ASSERT_TRUE(support::write_file(*data, path, content));
  }
  // Something happens in between; the first one's name.
  std::string back_up_twice() {
    std::string relation = support::fake_relation(100, 0, 1);
    put("base/5/16385", relation);
    put("base/5/16386", support::fake_relation(3, 0, 2));
    const std::string first = pghaul.back_up();
    relation.replace(support::kFakePageSize * 7, support::kFakePageSize,
                     support::fake_page(7, 9, 9));
    relation.replace(support::kFakePageSize * 70, support::kFakePageSize,
                     support::fake_page(70, 9, 9));
    put("base/5/16385", relation);
    put("base/1/16400", support::fake_relation(5, 0, 3));
    put("global/16401", support::fake_relation(1, 0, 4));
    put("pg_xact/0001", "x");
    const auto data = pghaul.platform.disk.open("data").value();
    EXPECT_TRUE(data->remove_file("base/5/16386"));
    pghaul.back_up();
    return first;
  }
  Program pghaul;
};

TEST_F(InfoDifferences, AreToldByDatabaseAndByFile) {
  const std::string first = back_up_twice();
  const Json json = pghaul.on_repository({"info", "latest", "--differences", "--json"}).json();
  const Json changes = *json.find("differences");
  EXPECT_EQ(changes.string_at("parent").value(), first);
  const Json::Array files = *changes.array_at("files").value();
  std::vector<std::string> lines;
  for (const Json& file : files) {
    lines.push_back(format("{} {} {}", file.string_at("path").value(),
                           file.string_at("change").value(),
                           file.uint_at("changed_bytes").value() / kPage));
  }
  EXPECT_THAT(lines,
              ElementsAre("base/1/16400 added 5", "base/5/16385 changed 2", "global/16401 added 1",
                          "pg_xact/0001 added 1", "base/5/16386 removed 0"));
  const Json::Array databases = *changes.array_at("databases").value();
  ASSERT_THAT(databases, SizeIs(4));
  EXPECT_TRUE(databases[0].find("oid")->is_null());
  EXPECT_EQ(databases[1].uint_at("oid").value(), 0U);
  EXPECT_EQ(databases[2].uint_at("oid").value(), 1U);
  EXPECT_EQ(databases[3].uint_at("oid").value(), 5U);
  EXPECT_EQ(databases[3].uint_at("files_changed").value(), 1U);
  EXPECT_EQ(databases[3].uint_at("files_removed").value(), 1U);
  EXPECT_EQ(databases[3].uint_at("changed_bytes").value(), 2 * kPage);
  // Two pages lie in a chunk of their own; 16 chunks of 8 pages have one page too many.
  const Json maps = *json.find("maps");
  EXPECT_EQ(maps.uint_at("gathered_pages").value(), 2U);
  EXPECT_EQ(maps.uint_at("chunk_pages").value(), maps.uint_at("pages").value() + 2);
}

TEST_F(InfoDifferences, AreTablesInText) {
  const std::string first = back_up_twice();
  const std::string text = pghaul.on_repository({"info", "latest", "--differences"}).out;
  EXPECT_THAT(text, HasSubstr("chunks per leaf"));
  EXPECT_THAT(text, ContainsRegex("database 5 +16.0 KiB +1 +0 +1"));
  EXPECT_THAT(text, ContainsRegex("shared +8.0 KiB"));
  EXPECT_THAT(text, ContainsRegex("base/5/16385 +16.0 KiB +800.0 KiB +changed"));
  EXPECT_THAT(text, ContainsRegex("parent +" + first));
  EXPECT_THAT(pghaul.on_repository({"info", "latest"}).out, Not(HasSubstr("base/5/16385")));
}

TEST_F(InfoDifferences, AreNoneWithoutAParent) {
  const std::string first = pghaul.back_up();
  EXPECT_THAT(pghaul.on_repository({"info", first, "--differences"}).out,
              HasSubstr("has no parent"));
  EXPECT_TRUE(pghaul.on_repository({"info", first, "--differences", "--json"})
                  .json()
                  .find("differences")
                  ->is_null());
  pghaul.back_up();
  EXPECT_THAT(pghaul.on_repository({"info", "latest", "--differences"}).out,
              HasSubstr("nothing has changed since " + first));
  ASSERT_TRUE(pghaul.top()->remove_file("repo/clusters/main/snapshots/" + first));
  EXPECT_THAT(pghaul.on_repository({"info", "latest", "--differences"}).out,
              HasSubstr("its parent " + first + " cannot be had any more"));
}

TEST_F(InfoDifferences, NameAtMostTwentyFilesInText) {
  pghaul.back_up();
  for (std::uint32_t i = 1; i <= 45; ++i) {
    put(format("base/5/{}", 20000 + i), support::fake_relation(i, 0, 1));
  }
  pghaul.back_up();
  const std::string text = pghaul.on_repository({"info", "latest", "--differences"}).out;
  EXPECT_THAT(text, HasSubstr("base/5/20045 "));
  EXPECT_THAT(text, HasSubstr("base/5/20026 "));
  EXPECT_THAT(text, Not(HasSubstr("base/5/20025 ")));
  const Json json = pghaul.on_repository({"info", "latest", "--differences", "--json"}).json();
  EXPECT_THAT(*json.find("differences")->array_at("files").value(), SizeIs(45));
}

TEST_F(InfoDifferences, AreOfOneBackup) {
  pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"info", "--differences"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--differences is about one backup"));
}

TEST(DatabaseOf, IsTheDirectorysOid) {
  const auto of = [](const std::string& path) {
    repository::TreeEntry entry;
    entry.path = path;
    return database_of(entry);
  };
  EXPECT_EQ(of("base/5/1259"), 5U);
  EXPECT_EQ(of("base/5/PG_VERSION"), 5U);
  EXPECT_EQ(of("pg_tblspc/16390/PG_15_202209061/16400/2_fsm"), 16400U);
  EXPECT_EQ(of("global/1262"), 0U);
  for (const char* path : {"PG_VERSION", "base/pgsql_tmp/x", "base/5", "pg_xact/0000", "base/5x/1",
                           "base/99999999999/1", "pg_tblspc/16390"}) {
    EXPECT_EQ(of(path), std::nullopt) << path;
  }
}

TEST_F(InfoDifferences, ListTellsWhatWasReadAndChanged) {
  pghaul.back_up();
  put("base/5/16385", support::fake_relation(4, 0, 1));
  pghaul.back_up();
  const std::string text = pghaul.on_repository({"info"}).out;
  EXPECT_THAT(text, ContainsRegex("size +read +changed +stored"));
  const Json json = pghaul.on_repository({"info", "--json"}).json();
  const Json::Array backups = *json.array_at("backups").value();
  EXPECT_EQ(backups[1].uint_at("changed_bytes").value(), 4 * kPage);
  EXPECT_THAT(pghaul.on_repository({"info", "latest"}).out,
              ContainsRegex("changed +32.0 KiB of .* read"));
}

}  // namespace
}  // namespace haul::cli
