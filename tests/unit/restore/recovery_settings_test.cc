#include "engine/restore/recovery_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/restore/recovery_fixture.h"

namespace haul::restore {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = RecoveryTarget::Kind;

const ArchiveAccess kAccess{"/usr/bin/pghaul", "/backup/pg", "00ff", "main"};

// What sh makes of a command whose words are plain, in single quotes, or escaped by a backslash.
std::vector<std::string> shell_words(std::string_view command) {
  std::vector<std::string> words;
  bool in_word = false;
  bool quoted = false;
  for (std::size_t at = 0; at < command.size(); ++at) {
    const char c = command[at];
    if (!quoted && c == ' ') {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\'') {
      quoted = !quoted;
    } else if (!quoted && c == '\\') {
      words.back() += command[++at];
    } else {
      words.back() += c;
    }
  }
  return words;
}

// What the server hands to sh.
std::string substituted(std::string_view command) {
  std::string result;
  for (std::size_t at = 0; at < command.size(); ++at) {
    if (command[at] != '%') {
      result += command[at];
      continue;
    }
    const char what = command[++at];
    result += what == 'f' ? "SEGMENT" : what == 'p' ? "pg_wal/RECOVERYXLOG" : std::string(1, what);
  }
  return result;
}

TEST(RestoreCommand, PlainWordsStayPlain) {
  EXPECT_EQ(restore_command(kAccess),
            "/usr/bin/pghaul wal get --repo /backup/pg --repo-id 00ff --cluster main %f %p");
}

TEST(RestoreCommand, HostileNamesReachTheProgramAsTheyAre) {
  for (const char* path : {"/with blank", "/it's", "/a'; rm -rf /; '", "/100%", "/%p/%f/%r", "/%%",
                           "/new\nline", "/back\\slash", "/$(id)`id`", "/\"q\"", "/ä€", "/a\tb",
                           "/*?[x]", "/~", "/-x", "/#c", "/\r"}) {
    ArchiveAccess access = kAccess;
    access.repository = path;
    access.program = std::string(path) + "/pghaul";
    const std::string command = restore_command(access);
    EXPECT_THAT(shell_words(substituted(command)),
                ElementsAre(access.program, "wal", "get", "--repo", path, "--repo-id", "00ff",
                            "--cluster", "main", "SEGMENT", "pg_wal/RECOVERYXLOG"));
    // And as a setting it is one line that reads back.
    const std::string quoted = quote_setting(command);
    EXPECT_EQ(quoted.find('\n'), std::string::npos);
    SettingLine setting;
    ASSERT_TRUE(parse_setting_line("restore_command = " + quoted, setting)) << path;
    EXPECT_EQ(setting.value, command);
  }
}

TEST(RestoreCommand, AnyBytesReachTheProgramAsTheyAre) {
  SeededRandom random(7);
  for (int round = 0; round < 2000; ++round) {
    std::array<std::byte, 24> bytes{};
    ASSERT_TRUE(random.fill(bytes));
    std::string path = "/";
    for (const std::byte byte : bytes) {
      constexpr std::string_view kAwkward = "'\\\"% \n%p$`";
      const auto value = static_cast<unsigned char>(byte);
      path += value < 128 ? kAwkward[value % kAwkward.size()] : static_cast<char>(value);
    }
    ArchiveAccess access = kAccess;
    access.repository = path;
    SettingLine setting;
    ASSERT_TRUE(
        parse_setting_line("restore_command = " + quote_setting(restore_command(access)), setting));
    ASSERT_EQ(shell_words(substituted(setting.value)).at(4), path) << round;
  }
}

std::vector<std::string> lines_of(const std::vector<Setting>& settings) {
  std::vector<std::string> lines;
  for (const Setting& setting : settings) {
    if (setting.name != "restore_command") lines.push_back(setting.name + "=" + setting.value);
  }
  return lines;
}

std::vector<std::string> settings_for(const RecoveryTarget& target) {
  return lines_of(recovery_settings(target, TimelineId{3}, kAccess));
}

TEST(RecoverySettings, ExactlyOneTargetIsWritten) {
  RecoveryTarget target;
  EXPECT_THAT(settings_for(target), ElementsAre("recovery_target_timeline=3", "archive_mode=off"));
  target.kind = Kind::latest;
  EXPECT_THAT(settings_for(target), ElementsAre("recovery_target_timeline=3", "archive_mode=off"));
  target.kind = Kind::immediate;
  EXPECT_THAT(settings_for(target),
              ElementsAre("recovery_target=immediate", "recovery_target_inclusive=true",
                          "recovery_target_action=promote", "recovery_target_timeline=3",
                          "archive_mode=off"));
  target.kind = Kind::time;
  target.time = at(0, 5);
  target.bound = RecoveryTarget::Bound::exclusive;
  target.action = RecoveryTarget::Action::pause;
  EXPECT_THAT(settings_for(target),
              ElementsAre("recovery_target_time=2026-11-24 10:00:00.000005+00",
                          "recovery_target_inclusive=false", "recovery_target_action=pause",
                          "recovery_target_timeline=3", "archive_mode=off"));
  target.kind = Kind::lsn;
  target.lsn = Lsn{0x16'B374D848};
  target.action = RecoveryTarget::Action::shutdown;
  EXPECT_THAT(settings_for(target),
              ElementsAre("recovery_target_lsn=16/B374D848", "recovery_target_inclusive=false",
                          "recovery_target_action=shutdown", "recovery_target_timeline=3",
                          "archive_mode=off"));
  target.kind = Kind::xid;
  target.xid = 742;
  EXPECT_EQ(settings_for(target).front(), "recovery_target_xid=742");
  target.kind = Kind::name;
  target.name = "it's";
  EXPECT_EQ(settings_for(target).front(), "recovery_target_name=it's");
}

TEST(RecoverySettings, StandbyFollowsTheLatestTimeline) {
  RecoveryTarget target;
  target.role = RecoveryTarget::Role::standby;
  EXPECT_THAT(settings_for(target),
              ElementsAre("recovery_target_timeline=latest", "archive_mode=off"));
  EXPECT_EQ(signal_file_of(target), "standby.signal");
  EXPECT_EQ(signal_file_of({}), "recovery.signal");
}

TEST(RecoverySettings, ArchivingIsLeftAloneWhenTakenOver) {
  RecoveryTarget target;
  target.archiving = RecoveryTarget::Archiving::take_over;
  EXPECT_THAT(settings_for(target), ElementsAre("recovery_target_timeline=3"));
}

constexpr std::string_view kAutoConf =
    "# Do not edit this file manually!\n"
    "work_mem = '8MB'\n"
    "recovery_target_xid = '7'\n"
    "RECOVERY_TARGET = ''\n"
    "restore_command='cp /a/%f %p'\n"
    "archive_mode = 'on'\n"
    "archive_command = 'x'\n"
    "archive_library = 'y'\n"
    "archive_cleanup_command = 'z'\n"
    "recovery_end_command = 'z'\n"
    "primary_conninfo = 'password=secret'\n"
    "primary_slot_name = 's'\n"
    "promote_trigger_file = 't'\n"
    "recovery_min_apply_delay = 5\n"
    "port = 5433";

TEST(EditAutoConfiguration, WhatHasToDoWithRecoveryGoesAndTheRestStays) {
  std::vector<std::string> warnings;
  EXPECT_EQ(edit_auto_configuration(kAutoConf, {}, {{"a", "it's"}, {"b", "1"}}, warnings),
            "# Do not edit this file manually!\n"
            "work_mem = '8MB'\n"
            "port = 5433\n"
            "# written by pghaul restore\n"
            "a = 'it''s'\n"
            "b = '1'\n");
  EXPECT_EQ(warnings.size(), 12U);
  for (const std::string& warning : warnings) EXPECT_THAT(warning, Not(HasSubstr("secret")));
}

TEST(EditAutoConfiguration, ArchivingStaysWhenTakenOver) {
  RecoveryTarget target;
  target.archiving = RecoveryTarget::Archiving::take_over;
  std::vector<std::string> warnings;
  const std::string edited = edit_auto_configuration(kAutoConf, target, {}, warnings);
  EXPECT_THAT(edited, HasSubstr("archive_mode = 'on'\narchive_command = 'x'\n"));
  EXPECT_THAT(edited, Not(HasSubstr("archive_cleanup_command")));
}

TEST(EditAutoConfiguration, ReplicationStaysForAStandby) {
  RecoveryTarget target;
  target.role = RecoveryTarget::Role::standby;
  std::vector<std::string> warnings;
  const std::string edited = edit_auto_configuration(kAutoConf, target, {}, warnings);
  EXPECT_THAT(edited, HasSubstr("primary_conninfo = 'password=secret'\nprimary_slot_name = 's'\n"
                                "promote_trigger_file = 't'\nrecovery_min_apply_delay = 5\n"));
  EXPECT_THAT(edited, Not(HasSubstr("restore_command='cp")));
}

TEST(EditAutoConfiguration, NothingBecomesTheSettings) {
  std::vector<std::string> warnings;
  EXPECT_EQ(edit_auto_configuration("", {}, {{"a", "b"}}, warnings),
            "# written by pghaul restore\na = 'b'\n");
}

TEST(CommentOutRecovery, OnlyWhatInterferesChanges) {
  std::vector<std::string> warnings;
  EXPECT_EQ(comment_out_recovery("port = 1\r\n recovery_target_time = 'x'  # why\r\n"
                                 "#recovery_target = ''\narchive_mode = on\nrestore_command = ''",
                                 {}, "postgresql.conf", warnings),
            "port = 1\r\n"
            "# commented out by pghaul restore, it has to do with another recovery:\n"
            "# recovery_target_time = 'x'  # why\r\n"
            "#recovery_target = ''\narchive_mode = on\n"
            "# commented out by pghaul restore, it has to do with another recovery:\n"
            "#restore_command = ''");
  EXPECT_THAT(warnings,
              ElementsAre("postgresql.conf: recovery_target_time was set and is commented out",
                          "postgresql.conf: restore_command was set and is commented out"));
}

class RecoveryFilesTest : public testing::Test {
 protected:
  RecoveryFilesTest() { backup_.data_directory(); }

  void plan() {
    backup_.commit();
    const auto cluster = repository_.cluster();
    index_ = repository::Index::open(cluster, findings_).value();
    repository::ChunkReader chunks(cluster, *index_, findings_);
    plan_ = make_plan(chunks, read_backup(cluster, std::string(kBackup)).value()).value();
    files_before_ = plan_.files;
    configuration_ =
        plan_configuration(plan_, chunks, [](const std::string&) { return false; }).value();
    ASSERT_TRUE(plan_recovery_files({{}, {{"a", "b"}}, "/data/pg"}, chunks, plan_, configuration_));
    ASSERT_TRUE(for_each_file(chunks, plan_, [&](const repository::TreeEntry& entry) {
      placed_.push_back(entry.path);
      return ok();
    }));
  }
  std::vector<std::string> rewritten() const {
    std::vector<std::string> paths;
    for (const ConfigurationFile& file : configuration_.rewritten) paths.push_back(file.to);
    return paths;
  }

  TestRepository repository_;
  BackupBuilder backup_{repository_};
  repository::Findings findings_;
  std::unique_ptr<repository::Index> index_;
  RestorePlan plan_;
  std::uint64_t files_before_ = 0;
  ConfigurationPlan configuration_;
  std::vector<std::string> placed_;
};

TEST_F(RecoveryFilesTest, AutoConfigurationIsWrittenAnewWithItsMode) {
  backup_.file("postgresql.auto.conf", "work_mem = 1\n", 0640);
  plan();
  ASSERT_THAT(rewritten(), ElementsAre("postgresql.auto.conf"));
  EXPECT_EQ(configuration_.rewritten[0].mode, 0640U);
  EXPECT_EQ(configuration_.rewritten[0].content,
            "work_mem = 1\n# written by pghaul restore\na = 'b'\n");
  EXPECT_EQ(configuration_.signal_file, "recovery.signal");
  EXPECT_EQ(plan_.files, files_before_ - 1);
  EXPECT_THAT(placed_, ElementsAre("PG_VERSION"));
}

TEST_F(RecoveryFilesTest, AutoConfigurationIsMadeWhereThereIsNone) {
  plan();
  ASSERT_THAT(rewritten(), ElementsAre("postgresql.auto.conf"));
  EXPECT_EQ(configuration_.rewritten[0].mode, 0600U);
  EXPECT_EQ(plan_.files, files_before_);
}

TEST_F(RecoveryFilesTest, FilesOfTheDataDirectoryAreFollowedThroughTheirIncludes) {
  backup_.directory("conf.d").directory("conf.d/deep");
  backup_.file(
      "postgresql.conf",
      "include_dir = 'conf.d'\ninclude 'more.conf'\ninclude_if_exists '/data/pg/abs.conf'\n"
      "include '../out.conf'\ninclude '/etc/x.conf'\n");
  backup_.file("conf.d/1.conf", "recovery_target_xid = 7\ninclude '../third.conf'\n");
  backup_.file("conf.d/2.conf", "port = 1\n");
  backup_.file("conf.d/no.txt", "recovery_target_xid = 7\n");
  backup_.file("conf.d/deep/3.conf", "recovery_target_xid = 7\n");
  backup_.file("more.conf", "restore_command = 'x'\ninclude 'postgresql.conf'\n");
  backup_.file("third.conf", "recovery_target_name = 'x'\n");
  backup_.file("abs.conf", "recovery_target_lsn = '0/1'\n");
  backup_.file("unused.conf", "recovery_target_lsn = '0/1'\n");
  plan();
  EXPECT_THAT(rewritten(), ElementsAre("conf.d/1.conf", "third.conf", "more.conf", "abs.conf",
                                       "postgresql.auto.conf"));
  EXPECT_EQ(configuration_.rewritten[2].content,
            "# commented out by pghaul restore, it has to do with another recovery:\n"
            "#restore_command = 'x'\ninclude 'postgresql.conf'\n");
  EXPECT_EQ(plan_.files, files_before_ - 4);
}

TEST_F(RecoveryFilesTest, FilesFromOutsideAreChangedWhereTheyArePlanned) {
  backup_.configuration("/etc/pg/postgresql.conf", "config_file",
                        "recovery_target_xid = 7\ninclude_dir 'conf.d'\n");
  backup_.configuration("/etc/pg/conf.d/a.conf", "include", "recovery_target_name = 'x'\n");
  plan();
  EXPECT_THAT(rewritten(), ElementsAre("postgresql.auto.conf"));
  ASSERT_EQ(configuration_.files.size(), 2U);
  for (const ConfigurationFile& file : configuration_.files) {
    EXPECT_THAT(file.content, testing::StartsWith("# commented out by pghaul restore")) << file.to;
  }
}

TEST_F(RecoveryFilesTest, FileThatCannotBeReadIsLost) {
  const std::string pack = backup_.new_pack();
  backup_.file("postgresql.auto.conf", std::string(300, 'x')).commit();
  const auto cluster = repository_.cluster();
  index_ = repository::Index::open(cluster, findings_).value();
  repository::ChunkReader chunks(cluster, *index_, findings_);
  plan_ = make_plan(chunks, read_backup(cluster, std::string(kBackup)).value()).value();
  ASSERT_TRUE(repository_.store().remove(pack));
  repository::ChunkReader fresh(cluster, *index_, findings_);
  ASSERT_TRUE(plan_recovery_files({{}, {}, "/data/pg"}, fresh, plan_, configuration_));
  EXPECT_THAT(configuration_.lost_files, ElementsAre("postgresql.auto.conf"));
}

}  // namespace
}  // namespace haul::restore
