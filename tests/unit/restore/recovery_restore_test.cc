// A whole restore to a target, over an archive in memory and a simulated disk.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/restore/recovery_plan.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/recovery_fixture.h"

namespace haul::restore {
namespace {

using testing::HasSubstr;
using testing::Not;

class RecoveryRestoreTest : public testing::Test {
 protected:
  RecoveryRestoreTest() {
    script_.filler();
    span_.start = script_.position();
    script_.filler();
    script_.filler();
    span_.stop = script_.position();
    span_.stop_time = at(1);
    target_lsn_ = script_.commit(700, at(2));
    backup_.data_directory().file("postgresql.conf", "recovery_target_xid = 9\nport = 1\n", 0640);
    backup_.file("postgresql.auto.conf", "archive_mode = on\nwork_mem = 1\n");
    online_between(backup_, span_);
    restore_.environment.program = "/opt/p g/pghaul";
  }
  // With what else replay does.
  void archived() {
    script_.commit(701, at(3));
    archive(repository_, script_);
    backup_.commit();
    restore_.options.recovery.kind = RecoveryTarget::Kind::time;
    restore_.options.recovery.time = at(2);
  }

  TestRepository repository_;
  WalScript script_;
  BackupSpan span_;
  Lsn target_lsn_;
  BackupBuilder backup_{repository_};
  SimTarget target_;
  RestoreRun restore_{repository_, target_};
};

TEST_F(RecoveryRestoreTest, LeavesSettingsAndASignalFile) {
  archived();
  const auto report = restore_();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(target_.read("data/pg/recovery.signal"), "");
  EXPECT_EQ(target_.mode_of("data/pg/recovery.signal"), 0600U);
  EXPECT_FALSE(target_.exists("data/pg/standby.signal"));
  EXPECT_EQ(target_.read("data/pg/postgresql.auto.conf"),
            format("work_mem = 1\n"
                   "# written by pghaul restore\n"
                   "restore_command = '''/opt/p g/pghaul'' wal get --repo {} --repo-id {} "
                   "--cluster main %f %p'\n"
                   "recovery_target_time = '2026-11-24 10:00:02.000000+00'\n"
                   "recovery_target_inclusive = 'true'\n"
                   "recovery_target_action = 'promote'\n"
                   "recovery_target_timeline = '1'\n"
                   "archive_mode = 'off'\n",
                   repository_.store().name(), to_hex(repository_.get().id().bytes)));
  EXPECT_EQ(target_.read("data/pg/postgresql.conf"),
            "# commented out by pghaul restore, it has to do with another recovery:\n"
            "#recovery_target_xid = 9\nport = 1\n");
  EXPECT_EQ(target_.mode_of("data/pg/postgresql.conf"), 0600U);
  EXPECT_TRUE(mentions(report->warnings, "archiving is off in the restored cluster"));
  EXPECT_TRUE(mentions(report->warnings, "postgresql.auto.conf: archive_mode was set"));
  ASSERT_TRUE(report->recovery);
  EXPECT_EQ(report->recovery->survey.stop->transaction->xid, 701U);
  EXPECT_EQ(report->files, 4U);
}

TEST_F(RecoveryRestoreTest, ManifestHasWhatWasWrittenAndNoSignalFile) {
  archived();
  ASSERT_TRUE(restore_());
  const std::string manifest = target_.read("data/pg/backup_manifest").value();
  EXPECT_THAT(manifest, HasSubstr("\"postgresql.conf\", \"Size\": 105"));
  EXPECT_THAT(manifest, HasSubstr("\"postgresql.auto.conf\""));
  EXPECT_THAT(manifest, Not(HasSubstr("recovery.signal")));
}

TEST_F(RecoveryRestoreTest, TakingOverLeavesArchivingOn) {
  archived();
  restore_.options.recovery.archiving = RecoveryTarget::Archiving::take_over;
  const auto report = restore_();
  ASSERT_TRUE(report);
  EXPECT_THAT(target_.read("data/pg/postgresql.auto.conf").value(),
              testing::StartsWith("archive_mode = on\n"));
  EXPECT_FALSE(mentions(report->warnings, "archiving is off"));
}

TEST_F(RecoveryRestoreTest, DryRunTouchesNothing) {
  archived();
  restore_.options.run = RestoreOptions::Run::dry;
  const auto report = restore_();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->recovery);
  EXPECT_FALSE(target_.exists("data/pg"));
}

TEST_F(RecoveryRestoreTest, UnreachableTargetTouchesNothing) {
  archived();
  restore_.options.recovery.time = at(3);
  const auto report = restore_();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::not_found);
  EXPECT_FALSE(target_.exists("data/pg"));
  EXPECT_EQ(restore_.progress.phase, RestoreProgress::Phase::planning);
}

TEST_F(RecoveryRestoreTest, TablespaceThatReplayWouldEmptyTouchesNothing) {
  script_.create_tablespace(16'500, "/data/fast");
  archived();
  ASSERT_TRUE(target_.top()->make_directory("data/fast", 0700));
  ASSERT_TRUE(target_.top()->make_directory("data/fast/PG_15_202209061", 0700));
  const auto report = restore_();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::usage);
  EXPECT_FALSE(target_.exists("data/pg"));
  // It is made behind this one.
  restore_.options.recovery.kind = RecoveryTarget::Kind::lsn;
  restore_.options.recovery.lsn = target_lsn_;
  EXPECT_TRUE(restore_());
}

TEST_F(RecoveryRestoreTest, UnfinishedSegmentLiesWhereTheServerLooksAfterTheArchive) {
  script_.fill_segments(1);
  script_.commit(701, at(3));
  const std::uint64_t last = script_.segments().rbegin()->first;
  archive(repository_, script_, {last});
  archive_tail(repository_, script_);
  backup_.commit();
  restore_.options.recovery.kind = RecoveryTarget::Kind::latest;
  const auto report = restore_();
  ASSERT_TRUE(report) << report.error().message();
  const std::string path = "data/pg/pg_wal/000000010000000000000004";
  EXPECT_EQ(target_.read(path), script_.segments().at(last));
  EXPECT_EQ(target_.mode_of(path), 0600U);
  EXPECT_THAT(target_.read("data/pg/backup_manifest").value(), Not(HasSubstr("pg_wal/")));
  EXPECT_EQ(report->files, 5U);
}

TEST_F(RecoveryRestoreTest, StandbyGetsItsOwnSignal) {
  archived();
  restore_.options.recovery = {};
  restore_.options.recovery.role = RecoveryTarget::Role::standby;
  ASSERT_TRUE(restore_());
  EXPECT_TRUE(target_.exists("data/pg/standby.signal"));
  EXPECT_FALSE(target_.exists("data/pg/recovery.signal"));
}

TEST_F(RecoveryRestoreTest, WithoutAnArchiveNothingOfThisIsWritten) {
  backup_.commit();
  const auto report = restore_();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->recovery);
  EXPECT_FALSE(target_.exists("data/pg/recovery.signal"));
  EXPECT_EQ(target_.read("data/pg/postgresql.auto.conf"), "archive_mode = on\nwork_mem = 1\n");
  EXPECT_EQ(target_.read("data/pg/postgresql.conf"), "recovery_target_xid = 9\nport = 1\n");
}

// Answers as a server does that gets to its target.
class ReadyRunner final : public ProgramRunner {
 public:
  explicit ReadyRunner(SimTarget& target) : target_(target) {}

  Result<ProgramOutcome> run(const std::vector<std::string>& command, std::stop_token) override {
    if (command.at(1) == "--version") return ProgramOutcome{0, "pg_ctl (PostgreSQL) 15.1\n"};
    if (command.at(1) != "start") return ProgramOutcome{0, "f\n"};
    started = true;
    const auto file =
        target_.top()->create_file("data/pg/postmaster.pid", 0600, io::Caching::buffered).value();
    HAUL_ASSERT(file->write_at(0, bytes_of("7\n/data/pg\n1\n5\n/s\n\n  1 2\nready   \n")));
    HAUL_ASSERT(file->finish());
    return ProgramOutcome{0, ""};
  }

  bool started = false;

 private:
  SimTarget& target_;
};

TEST_F(RecoveryRestoreTest, ServerIsStartedAtTheEnd) {
  archived();
  ReadyRunner runner(target_);
  restore_.environment.programs = &runner;
  restore_.processes.running_pid = 7;
  restore_.options.start = RestoreOptions::Start::yes;
  const auto report = restore_();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(runner.started);
  ASSERT_TRUE(report->server);
  EXPECT_EQ(report->server->outcome, ServerOutcome::ready);
  EXPECT_EQ(restore_.progress.phase, RestoreProgress::Phase::replaying);
}

TEST_F(RecoveryRestoreTest, ServerThatCannotBeStartedIsRefusedBeforeAnythingIsTouched) {
  archived();
  restore_.options.start = RestoreOptions::Start::yes;
  class NoPrograms final : public ProgramRunner {
    Result<ProgramOutcome> run(const std::vector<std::string>&, std::stop_token) override {
      return Error(ErrorCode::not_found, "no such file");
    }
  } none;
  restore_.environment.programs = &none;
  const auto report = restore_();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::usage);
  EXPECT_FALSE(target_.exists("data/pg"));
}

}  // namespace
}  // namespace haul::restore
