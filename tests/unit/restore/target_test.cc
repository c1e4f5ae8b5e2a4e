#include "engine/restore/target.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using support::code_of;
using support::write_file;

const std::string kHomeOfAUser = std::string("/home/") + "somebody";

class LayoutTest : public testing::Test {
 protected:
  LayoutTest() {
    options_.target = "/data/pg";
    facts_.tablespaces = {{16385, "/one", false}, {16386, "/two", false}};
  }
  std::optional<ErrorCode> code() { return code_of(make_layout(options_, facts_)); }
  std::string hint() { return make_layout(options_, facts_).error().hint(); }

  RestoreOptions options_;
  postgres::BackupFacts facts_;
};

TEST_F(LayoutTest, PathsAreTidied) {
  options_.target = "//data/./pg//";
  options_.mappings = {{"/one/", "/x//y/"}};
  const TargetLayout layout = make_layout(options_, facts_).value();
  EXPECT_EQ(layout.data_directory, "/data/pg");
  EXPECT_EQ(layout.tablespaces[0].to, "/x/y");
  EXPECT_EQ(layout.tablespaces[1].to, "/two");
}

TEST_F(LayoutTest, RelativeTargetIsUsage) {
  options_.target = "data/pg";
  EXPECT_EQ(code(), ErrorCode::usage);
}

TEST_F(LayoutTest, TargetWithDotsIsUsage) {
  options_.target = "/data/../etc";
  EXPECT_EQ(code(), ErrorCode::usage);
}

TEST_F(LayoutTest, PlacesOfTheSystemAreUsage) {
  const std::vector<std::string> places = {"/",     "/etc",  "/var",       "/var/lib/",
                                           "/root", "/home", kHomeOfAUser, "/tmp"};
  for (const std::string& path : places) {
    options_.target = path;
    EXPECT_EQ(code(), ErrorCode::usage) << path;
  }
}

TEST_F(LayoutTest, DirectoryBeneathAHomeIsFine) {
  options_.target = kHomeOfAUser + "/pg";
  EXPECT_EQ(code(), std::nullopt);
}

TEST_F(LayoutTest, UnsuitedTablespaceTargetIsUsage) {
  options_.mappings = {{"/one", "/etc"}};
  EXPECT_EQ(code(), ErrorCode::usage);
}

TEST_F(LayoutTest, UnknownOldIsUsageAndNamesWhatThereIs) {
  options_.mappings = {{"/three", "/x"}};
  EXPECT_EQ(code(), ErrorCode::usage);
  EXPECT_EQ(hint(), "tablespaces of the backup: /one /two");
}

TEST_F(LayoutTest, MappingWithoutTablespacesSaysSo) {
  facts_.tablespaces.clear();
  options_.mappings = {{"/three", "/x"}};
  EXPECT_EQ(hint(), "the backup has no tablespaces outside of its data directory");
}

TEST_F(LayoutTest, TablespaceBeneathTheDataDirectoryIsUsage) {
  options_.mappings = {{"/one", "/data/pg/one"}};
  EXPECT_EQ(code(), ErrorCode::usage);
  EXPECT_EQ(hint(), "choose another place: -T /one=NEW");
}

TEST_F(LayoutTest, DataDirectoryBeneathATablespaceIsUsage) {
  options_.mappings = {{"/one", "/data"}};
  EXPECT_EQ(code(), ErrorCode::usage);
}

TEST_F(LayoutTest, SharedPrefixIsNoSharedPlace) {
  options_.mappings = {{"/one", "/data/pg1"}, {"/two", "/data/pg10"}};
  EXPECT_EQ(code(), std::nullopt);
}

TEST_F(LayoutTest, OneTablespaceBeneathAnotherIsUsage) {
  facts_.tablespaces[1].location = "/one/two";
  EXPECT_EQ(code(), ErrorCode::usage);
  EXPECT_EQ(hint(), "choose another place: -T /one/two=NEW");
}

TEST_F(LayoutTest, RelativeRecordedPlaceStartsAtItsLink) {
  facts_.data_directory = "/old/pg";
  facts_.tablespaces[0].location = "../../space";
  const TargetLayout layout = make_layout(options_, facts_).value();
  EXPECT_EQ(layout.tablespaces[0].from, "/old/space");
  EXPECT_EQ(layout.tablespaces[0].to, "/old/space");
}

TEST_F(LayoutTest, RecordedPlaceOfNothingIsCorrupt) {
  facts_.tablespaces[0].location = "";
  EXPECT_EQ(code(), ErrorCode::corrupt);
}

TEST_F(LayoutTest, RecordedPlaceRelativeToNowhereIsCorrupt) {
  facts_.data_directory = "pg";
  facts_.tablespaces[0].location = "space";
  EXPECT_EQ(code(), ErrorCode::corrupt);
}

TEST_F(LayoutTest, RecordedPlaceOfTheSystemIsUsage) {
  facts_.tablespaces[0].location = "/etc";
  EXPECT_EQ(code(), ErrorCode::usage);
}

TEST_F(LayoutTest, TablespaceInPlaceHasNoPlaceOfItsOwn) {
  facts_.tablespaces = {{16385, "", true}};
  EXPECT_TRUE(make_layout(options_, facts_)->tablespaces.empty());
}

TEST(TablespaceOf, OnlyNumbersAreTablespaces) {
  EXPECT_EQ(tablespace_of("pg_tblspc/16385/PG_15/1"), 16385U);
  EXPECT_EQ(tablespace_of("pg_tblspc/16385"), 16385U);
  for (const char* path : {"pg_tblspc", "pg_tblspc/", "pg_tblspc/x", "pg_tblspc/1x", "pg_tblspc/01",
                           "pg_tblspc/4294967296", "base/1"}) {
    EXPECT_EQ(tablespace_of(path), std::nullopt) << path;
  }
}

class VacancyTest : public testing::Test {
 protected:
  Status check() {
    return check_vacant({"/data/pg", {{16385, "/recorded", "/data/space"}}}, target_.opener(),
                        processes_);
  }
  void make(std::string_view path) {
    ASSERT_TRUE(target_.top()->make_directory(path, 0700).has_value());
  }

  SimTarget target_;
  FakeProcesses processes_;
};

TEST_F(VacancyTest, AbsentPlacesAreVacant) { EXPECT_TRUE(check().has_value()); }

TEST_F(VacancyTest, EmptyPlacesAreVacant) {
  make("data/pg");
  make("data/space");
  EXPECT_TRUE(check().has_value());
}

TEST_F(VacancyTest, AnythingInTheTargetIsUsage) {
  make("data/pg");
  make("data/pg/lost+found");
  const Status status = check();
  ASSERT_EQ(code_of(status), ErrorCode::usage);
  EXPECT_EQ(status.error().message(), "/data/pg is not empty");
}

TEST_F(VacancyTest, SymbolicLinkInTheTargetIsUsage) {
  make("data/pg");
  ASSERT_TRUE(target_.top()->make_link("/etc", "data/pg/base").has_value());
  EXPECT_EQ(code_of(check()), ErrorCode::usage);
}

TEST_F(VacancyTest, UnfinishedRestoreIsToldApart) {
  make("data/pg");
  ASSERT_TRUE(
      write_file(*target_.top(), "data/pg/" + std::string(kUnfinishedMarker), "").has_value());
  const Status status = check();
  ASSERT_EQ(code_of(status), ErrorCode::usage);
  EXPECT_EQ(status.error().message(), "/data/pg holds a restore that did not finish");
}

TEST_F(VacancyTest, ClusterWithoutControlFileIsAnUnfinishedRestore) {
  make("data/pg");
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/PG_VERSION", "15\n").has_value());
  EXPECT_EQ(check().error().message(), "/data/pg holds a restore that did not finish");
}

TEST_F(VacancyTest, WholeClusterIsJustNotEmpty) {
  make("data/pg");
  make("data/pg/global");
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/PG_VERSION", "15\n").has_value());
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/global/pg_control", "x").has_value());
  EXPECT_EQ(check().error().message(), "/data/pg is not empty");
}

TEST_F(VacancyTest, RunningServerIsServerState) {
  make("data/pg");
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/postmaster.pid",
                         "4711\n/data/pg\n1764000000\n5432\n/tmp\nlocalhost\n")
                  .has_value());
  processes_.running_pid = 4711;
  EXPECT_EQ(code_of(check()), ErrorCode::server_state);
}

TEST_F(VacancyTest, StaleLockFileIsUsage) {
  make("data/pg");
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/postmaster.pid",
                         "4711\n/data/pg\n1764000000\n5432\n/tmp\nlocalhost\n")
                  .has_value());
  EXPECT_EQ(code_of(check()), ErrorCode::usage);
}

TEST_F(VacancyTest, OccupiedTablespaceGivesTheOptionToUse) {
  make("data/space");
  make("data/space/x");
  const Status status = check();
  ASSERT_EQ(code_of(status), ErrorCode::usage);
  EXPECT_EQ(status.error().message(), "tablespace 16385: /data/space is not empty");
  EXPECT_EQ(status.error().hint(), "empty it or restore it elsewhere: -T /recorded=NEW");
}

TEST_F(VacancyTest, TwoNamesOfOneDirectoryAreUsage) {
  make("data/pg");
  // What a bind mount or a link on the way does.
  const DirectoryOpener same = [this](const std::string&) { return target_.disk.open("data/pg"); };
  EXPECT_EQ(code_of(check_vacant({"/data/pg", {{16385, "/x", "/data/space"}}}, same, processes_)),
            ErrorCode::usage);
}

TEST_F(VacancyTest, FailureToOpenIsPassedOn) {
  const DirectoryOpener denied = [](const std::string& path) {
    return Result<std::unique_ptr<io::Directory>>(Error(ErrorCode::permission, path));
  };
  EXPECT_EQ(code_of(check_vacant({"/data/pg", {}}, denied, processes_)), ErrorCode::permission);
}

TEST_F(VacancyTest, FailureToOpenATablespaceIsPassedOn) {
  const DirectoryOpener denied = [this](const std::string& path) {
    if (path == "/data/space") {
      return Result<std::unique_ptr<io::Directory>>(Error(ErrorCode::permission, path));
    }
    return target_.disk.open(path.substr(1));
  };
  EXPECT_EQ(code_of(check_vacant({"/data/pg", {{16385, "/x", "/data/space"}}}, denied, processes_)),
            ErrorCode::permission);
}

class TargetTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Target>> create() {
    return Target::create({"/data/pg", {{16385, "/recorded", "/data/space"}}}, {},
                          target_.opener());
  }

  SimTarget target_;
};

TEST_F(TargetTest, MarkerIsDurableFromTheStart) {
  ASSERT_TRUE(create().has_value());
  EXPECT_TRUE(target_.disk.durable_content("data/pg/" + std::string(kUnfinishedMarker)));
}

TEST_F(TargetTest, PathsLeadToTheRootThatHoldsThem) {
  const auto target = create().value();
  EXPECT_EQ(target->resolve("base/1").path, "base/1");
  EXPECT_EQ(target->resolve("base/1").directory, &target->data_directory());
  EXPECT_EQ(target->resolve("pg_tblspc/16385/PG_15/1").path, "PG_15/1");
  EXPECT_NE(target->resolve("pg_tblspc/16385/PG_15/1").directory, &target->data_directory());
  EXPECT_EQ(target->resolve("pg_tblspc/16385").path, "");
  EXPECT_EQ(target->resolve("pg_tblspc/99").directory, &target->data_directory());
}

TEST_F(TargetTest, FileInTheWayOfARootIsUsage) {
  ASSERT_TRUE(write_file(*target_.top(), "data/pg", "x").has_value());
  const auto target = create();
  ASSERT_EQ(code_of(target), ErrorCode::usage);
  EXPECT_NE(target.error().message().find("is no directory"), std::string::npos);
}

TEST_F(TargetTest, FailureAtATablespaceNamesIt) {
  ASSERT_TRUE(write_file(*target_.top(), "data/space", "x").has_value());
  const auto target = create();
  ASSERT_EQ(code_of(target), ErrorCode::usage);
  EXPECT_TRUE(target.error().message().starts_with("tablespace 16385: "));
}

TEST_F(TargetTest, NothingIsCreatedThroughAPlantedLink) {
  const auto target = create().value();
  ASSERT_TRUE(target_.top()->make_directory("outside", 0700).has_value());
  ASSERT_TRUE(target_.top()->make_link("/outside", "data/pg/base").has_value());
  EXPECT_EQ(code_of(target->make_directory("base/1", 0700)), ErrorCode::usage);
  EXPECT_EQ(code_of(target->create_file("base/1", 0600, io::Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(target->make_directory("base", 0700)), ErrorCode::already_exists);
  EXPECT_TRUE(target_.names("outside").empty());
}

TEST_F(TargetTest, PlantedFileIsNotOverwritten) {
  const auto target = create().value();
  ASSERT_TRUE(write_file(*target_.top(), "data/pg/PG_VERSION", "planted").has_value());
  EXPECT_EQ(code_of(target->write_file("PG_VERSION", 0600, bytes_of("15"))),
            ErrorCode::already_exists);
  EXPECT_EQ(target_.read("data/pg/PG_VERSION"), "planted");
}

TEST_F(TargetTest, RemovedMarkerStaysRemoved) {
  const auto target = create().value();
  ASSERT_TRUE(target->remove_marker().has_value());
  EXPECT_FALSE(target_.disk.durable_content("data/pg/" + std::string(kUnfinishedMarker)));
}

}  // namespace
}  // namespace haul::restore
