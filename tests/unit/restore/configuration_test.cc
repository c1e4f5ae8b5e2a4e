#include "engine/restore/configuration.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/restore/target.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

constexpr std::string_view kCommentedOut =
    "# commented out by pghaul restore, it names a place of the original cluster:\n#";

std::string parsed(std::string_view line) {
  SettingLine setting;
  if (!parse_setting_line(line, setting)) return "(none)";
  return setting.name + "=" + setting.value;
}

TEST(SettingLine, QuotedAndBareValuesAreRead) {
  EXPECT_EQ(parsed("port = 5432"), "port=5432");
  EXPECT_EQ(parsed("  Port\t5432  # why"), "port=5432");
  EXPECT_EQ(parsed("port=5432# why"), "port=5432");
  EXPECT_EQ(parsed("hba_file = '/a b#c'  # why"), "hba_file=/a b#c");
  EXPECT_EQ(parsed("a.b = 'it''s'"), "a.b=it's");
  EXPECT_EQ(parsed("a = 'it\\'s'"), "a=it's");
  EXPECT_EQ(parsed("include_dir 'conf.d'"), "include_dir=conf.d");
  EXPECT_EQ(parsed("a = ''"), "a=");
  EXPECT_EQ(parsed("port = 5432\r"), "port=5432");
}

TEST(SettingLine, AnythingElseSetsNothing) {
  for (const char* line : {"", "   ", "# port = 1", "= 1", "'x'", "port", "port =", "a = 'open"}) {
    EXPECT_EQ(parsed(line), "(none)") << line;
  }
}

TEST(QuoteSetting, QuotesAndBackslashesAreDoubled) {
  EXPECT_EQ(quote_setting("it's \\ here"), "'it''s \\\\ here'");
  SettingLine setting;
  ASSERT_TRUE(parse_setting_line("a = " + quote_setting("it's \\ here"), setting));
  EXPECT_EQ(setting.value, "it's \\ here");
}

class ConfigurationTest : public testing::Test {
 protected:
  ConfigurationTest() { backup_.data_directory(); }

  ConfigurationPlan plan() {
    backup_.commit();
    repository::Findings findings;
    const auto cluster = repository_.cluster();
    const auto index = repository::Index::open(cluster, findings).value();
    repository::ChunkReader chunks(cluster, *index, findings);
    const RestorePlan plan =
        make_plan(chunks, read_backup(cluster, std::string(kBackup)).value()).value();
    return plan_configuration(plan, chunks,
                              [this](const std::string& path) { return present_.contains(path); })
        .value();
  }
  // The main file with this content, restored.
  std::string adapted(std::string_view content) {
    backup_.configuration("/etc/pg/postgresql.conf", "config_file", content);
    result_ = plan();
    EXPECT_EQ(result_.files.front().to, "postgresql.conf");
    return result_.files.front().content;
  }
  std::vector<std::string> destinations() {
    std::vector<std::string> result;
    for (const ConfigurationFile& file : plan().files) result.push_back(file.to);
    return result;
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
  std::set<std::string> present_;
  ConfigurationPlan result_;
};

TEST_F(ConfigurationTest, PlacesOfTheOriginalAreCommentedOut) {
  for (const std::string line : {"data_directory = '/x'", "hba_file='/x'", " IDENT_FILE '/x'",
                                 "external_pid_file = '/x'", "stats_temp_directory = '/x'"}) {
    TestRepository repository;
    BackupBuilder backup(repository);
    backup.data_directory().configuration("/etc/pg/postgresql.conf", "config_file", line + "\n");
    backup.commit();
    SimTarget target;
    const auto report = RestoreRun(repository, target)();
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(target.read("data/pg/postgresql.conf"), std::string(kCommentedOut) + line + "\n");
    EXPECT_TRUE(mentions(report->warnings, "is commented out"));
  }
}

TEST_F(ConfigurationTest, EveryOtherByteStays) {
  const std::string content =
      "# a comment\n\n  port=5433 # why\nstats_temp_directory = 'pg_stat_tmp'\r\ncluster_name = "
      "'15/main'\nlast = 'line without end'";
  EXPECT_EQ(adapted(content), content);
  EXPECT_TRUE(result_.warnings.empty());
}

TEST_F(ConfigurationTest, EmptyFileStaysEmpty) { EXPECT_EQ(adapted(""), ""); }

TEST_F(ConfigurationTest, RelativeIncludeDirectoryIsMadeAlthoughEmpty) {
  EXPECT_EQ(adapted("include_dir = 'conf.d'\n"), "include_dir = 'conf.d'\n");
  EXPECT_EQ(result_.directories, std::vector<std::string>{"conf.d"});
}

TEST_F(ConfigurationTest, IncludeDirectoryOutsideOfTheTargetIsCommentedOut) {
  EXPECT_EQ(adapted("include_dir = '../conf.d'\n"),
            std::string(kCommentedOut) + "include_dir = '../conf.d'\n");
  EXPECT_TRUE(result_.directories.empty());
}

TEST_F(ConfigurationTest, IncludeDirectoryThatIsTheTargetItselfIsCommentedOut) {
  EXPECT_EQ(adapted("include_dir = '.'\n"), std::string(kCommentedOut) + "include_dir = '.'\n");
}

TEST_F(ConfigurationTest, AbsoluteIncludeDirectoryFollowsItsFiles) {
  backup_.configuration("/etc/pg/more/a.conf", "include", "");
  backup_.facts.configuration.insert(backup_.facts.configuration.begin(),
                                     {"/etc/pg/postgresql.conf", "config_file"});
  backup_.configuration("/etc/pg/postgresql.conf", "config_file", "include_dir '/etc/pg/more/'\n");
  backup_.facts.configuration.pop_back();
  result_ = plan();
  EXPECT_EQ(
      result_.files[0].content,
      "# changed by pghaul restore, was:\n#include_dir '/etc/pg/more/'\ninclude_dir 'more'\n");
  EXPECT_EQ(result_.files[1].to, "more/a.conf");
  EXPECT_EQ(result_.directories, std::vector<std::string>{"more"});
}

TEST_F(ConfigurationTest, IncludeDirectoryWhoseFilesGoToTheTopBecomesIncludes) {
  backup_.configuration("/etc/pg/postgresql.conf", "config_file", "include_dir '/srv/pg'\n")
      .configuration("/srv/pg/b.conf", "include", "")
      .configuration("/srv/pg/a.conf", "include", "");
  EXPECT_EQ(plan().files[0].content,
            "# changed by pghaul restore, was:\n#include_dir '/srv/pg'\n"
            "include 'a.conf'\ninclude 'b.conf'\n");
}

TEST_F(ConfigurationTest, AbsoluteIncludeDirectoryThatExistsHereIsLeft) {
  present_ = {"/srv/pg"};
  EXPECT_EQ(adapted("include_dir '/srv/pg'\n"), "include_dir '/srv/pg'\n");
  EXPECT_TRUE(mentions(result_.warnings, "leads out of the data directory"));
}

TEST_F(ConfigurationTest, AbsoluteIncludeDirectoryThatIsAbsentIsCommentedOut) {
  EXPECT_EQ(adapted("include_dir '/srv/pg'\n"),
            std::string(kCommentedOut) + "include_dir '/srv/pg'\n");
}

TEST_F(ConfigurationTest, IncludesFollowTheirFiles) {
  backup_
      .configuration("/etc/pg/postgresql.conf", "config_file",
                     "include 'a.conf'\ninclude '/etc/pg/b/../a.conf'\n"
                     "include_if_exists '/srv/x.d/c.conf'\n")
      .configuration("/etc/pg/a.conf", "include", "")
      .configuration("/srv/x.d/c.conf", "include", "include '/etc/pg/a.conf'\n");
  result_ = plan();
  EXPECT_EQ(result_.files[0].content,
            "include 'a.conf'\n"
            "# changed by pghaul restore, was:\n#include '/etc/pg/b/../a.conf'\ninclude 'a.conf'\n"
            "# changed by pghaul restore, was:\n#include_if_exists '/srv/x.d/c.conf'\n"
            "include_if_exists 'x.d/c.conf'\n");
  EXPECT_EQ(result_.files[2].to, "x.d/c.conf");
  EXPECT_EQ(result_.files[2].content,
            "# changed by pghaul restore, was:\n#include '/etc/pg/a.conf'\ninclude '../a.conf'\n");
}

TEST_F(ConfigurationTest, IncludeOfAFileThatDidNotComeAlongIsCommentedOut) {
  EXPECT_EQ(adapted("include 'a.conf'\n"), std::string(kCommentedOut) + "include 'a.conf'\n");
}

TEST_F(ConfigurationTest, OptionalIncludeMayStay) {
  EXPECT_EQ(adapted("include_if_exists 'a.conf'\n"), "include_if_exists 'a.conf'\n");
  EXPECT_TRUE(result_.warnings.empty());
}

TEST_F(ConfigurationTest, AbsoluteIncludeThatExistsHereIsLeft) {
  present_ = {"/srv/a.conf"};
  EXPECT_EQ(adapted("include '/srv/a.conf'\n"), "include '/srv/a.conf'\n");
  EXPECT_TRUE(mentions(result_.warnings, "leads out of the data directory"));
}

TEST_F(ConfigurationTest, AccessFilesAreNotAdapted) {
  const std::string content = "data_directory = '/x'\n";
  backup_.configuration("/etc/pg/h", "hba_file", content)
      .configuration("/etc/pg/i", "ident_file", content);
  result_ = plan();
  EXPECT_EQ(result_.files[0].to, "pg_hba.conf");
  EXPECT_EQ(result_.files[0].content, content);
  EXPECT_EQ(result_.files[1].to, "pg_ident.conf");
  EXPECT_EQ(result_.files[1].content, content);
}

TEST_F(ConfigurationTest, FileOfTheDataDirectoryIsNotReplaced) {
  backup_.file("pg_hba.conf", "own").configuration("/etc/pg/pg_hba.conf", "hba_file", "other");
  result_ = plan();
  EXPECT_TRUE(result_.files.empty());
  EXPECT_TRUE(mentions(result_.warnings, "the data directory has a pg_hba.conf of its own"));
}

TEST_F(ConfigurationTest, MainFileInTheDataDirectoryIsPointedOut) {
  backup_.file("postgresql.conf", "hba_file = '/etc/pg/pg_hba.conf'\n")
      .configuration("/etc/pg/pg_hba.conf", "hba_file", "x");
  result_ = plan();
  EXPECT_EQ(result_.files.size(), 1U);
  EXPECT_TRUE(mentions(result_.warnings, "postgresql.conf may still name /etc/pg/pg_hba.conf"));
}

TEST_F(ConfigurationTest, SecondFileOfOneNameIsNotRestored) {
  backup_.configuration("/a/x.conf", "include", "1").configuration("/b/x.conf", "include", "2");
  EXPECT_EQ(destinations(), std::vector<std::string>{"x.conf"});
}

TEST_F(ConfigurationTest, NamesOfTheServerAreNotTaken) {
  backup_.facts.configuration = {{"/etc/pg/postgresql.conf", "config_file"}};
  for (const char* path :
       {"/etc/pg/global/pg_control", "/etc/pg/base/5/1", "/etc/pg/pg_wal/x", "/etc/pg/backup_label",
        "/etc/pg/recovery.signal", "/etc/pg/postmaster.pid", "/etc/pg/PG_VERSION",
        "/etc/pg/postgresql.auto.conf", "/etc/pg/base", "/etc/pg/a\nb.conf",
        "/etc/pg/PG_VERSION/x.conf", "/etc/pg/../x.conf"}) {
    backup_.facts.configuration.push_back({path, "include"});
    repository::TreeEntry entry;
    entry.root = repository::TreeRoot::configuration;
    entry.path = std::string_view(path).substr(1);
    // The tree itself refuses this one.
    if (std::string_view(path).find("..") == std::string_view::npos) backup_.entry(entry);
  }
  EXPECT_TRUE(destinations().empty());
  EXPECT_FALSE(is_reserved_name("conf.d/a.conf"));
  EXPECT_FALSE(is_reserved_name("pg_hba.conf"));
}

}  // namespace
}  // namespace haul::restore
