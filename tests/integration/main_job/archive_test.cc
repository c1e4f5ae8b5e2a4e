// How a backup's WAL gets into the repository: by the server's archive_command where that leads
// here, else copied.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;

class ArchivedBackup : public testing::Test {
 protected:
  // The server knows no archive_command before a test sets one.
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    options.settings = {"archive_mode = on"};
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_TRUE(server_->start());
    ASSERT_TRUE(server_->query("CREATE TABLE t AS SELECT generate_series(1, 10000) n"));
    ASSERT_EQ(workshop_.pghaul("init --repo " + repo_).status, 0);
  }

  void set_archive_command(const std::string& command) {
    ASSERT_TRUE(server_->query(format("ALTER SYSTEM SET archive_command = '{}'", command)));
    ASSERT_TRUE(server_->query("SELECT pg_reload_conf()"));
  }
  void archive_into(const std::string& repo) {
    set_archive_command(format("{} wal push --repo {} %p", workshop_.path("pghaul"), repo));
  }
  Outcome back_up(const std::string& options) {
    return workshop_.pghaul(format("backup --repo {} -D {} -c fast --json -q {}", repo_,
                                   server_->data_directory(), options));
  }
  // The backup's own facts, as info tells them.
  bool has_its_wal(const Outcome& backup) {
    const std::string name = json_of(backup).string_at("backup").value_or("none");
    return json_of(workshop_.pghaul(format("info {} --repo {} --json", name, repo_)))
        .bool_at("wal_included")
        .value();
  }

  Workshop workshop_;
  const std::string repo_ = workshop_.path("repo");
  std::unique_ptr<PgServer> server_;
};

TEST_F(ArchivedBackup, LeavesItsWalToAnArchiveThatLeadsHere) {
  archive_into(repo_);
  const Outcome backup = back_up("");
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_FALSE(has_its_wal(backup));
  EXPECT_EQ(workshop_.pghaul("verify --data --repo " + repo_).status, 0);
}

TEST_F(ArchivedBackup, CopiesItsWalWhereTheArchiveLeadsElsewhere) {
  set_archive_command("true");
  ASSERT_TRUE(server_->query("SELECT pg_switch_wal()"));
  for (int i = 0; i < 300; ++i) {
    if (server_->query("SELECT last_archived_wal FROM pg_stat_archiver").value_or("") != "") break;
    workshop_.shell("sleep 0.1");
  }
  // What was archived last is not here: nothing needs to be waited for.
  const Outcome backup = back_up("--archive-timeout 1h");
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_TRUE(has_its_wal(backup));
}

TEST_F(ArchivedBackup, CopiesItsWalWhereNothingArrives) {
  set_archive_command("false");
  const Outcome backup = back_up("--archive-timeout 500ms");
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_TRUE(has_its_wal(backup));
}

TEST_F(ArchivedBackup, CopiesItsWalWhereTheRoleMayNotSwitch) {
  archive_into(repo_);
  ASSERT_TRUE(server_->query("CREATE ROLE careful LOGIN REPLICATION"));
  ASSERT_TRUE(server_->query("GRANT pg_read_all_settings TO careful"));
  const std::string functions = support::pg_major() >= 15
                                    ? "pg_backup_start, pg_backup_stop"
                                    : "pg_start_backup, pg_stop_backup(boolean, boolean)";
  ASSERT_TRUE(server_->query(format("GRANT EXECUTE ON FUNCTION {} TO careful", functions)));
  const Outcome backup = back_up("-U careful --archive-timeout 1h");
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_TRUE(has_its_wal(backup));

  ASSERT_TRUE(server_->query("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO careful"));
  const Outcome archived = back_up("-U careful");
  ASSERT_EQ(archived.status, 0) << archived.err;
  EXPECT_FALSE(has_its_wal(archived));
}

TEST_F(ArchivedBackup, CopiesItsWalWhenAsked) {
  archive_into(repo_);
  const Outcome backup = back_up("--wal include");
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_TRUE(has_its_wal(backup));
}

TEST_F(ArchivedBackup, FailsWithNothingCommittedWhenItsWalDoesNotArrive) {
  set_archive_command("false");
  const Outcome backup = back_up("--wal archive --archive-timeout 2s");
  EXPECT_EQ(backup.status, 15) << backup.err;
  EXPECT_THAT(backup.err, HasSubstr("did not arrive in the repository within 2 s"));
  EXPECT_THAT(backup.err, HasSubstr("HINT: "));
  EXPECT_THAT(workshop_.pghaul("info --repo " + repo_).out, HasSubstr("no backups"));
  // The server is out of backup mode.
  EXPECT_EQ(
      server_->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul'")
          .value_or(""),
      "0");
}

TEST_F(ArchivedBackup, DamagedWalIsNoWal) {
  archive_into(repo_);
  ASSERT_EQ(back_up("").status, 0);
  // Whatever comes from now on is damaged before it has its name.
  const std::string system =
      server_->query("SELECT system_identifier FROM pg_control_system()").value();
  set_archive_command(
      format("cp /etc/passwd {}/clusters/main/wal/{}/00000001/$(echo %f | cut -c 1-16)/%f", repo_,
             system));
  const Outcome backup = back_up("--wal archive --archive-timeout 10s");
  EXPECT_EQ(backup.status, 5) << backup.err;
  EXPECT_THAT(backup.err, HasSubstr("the archived "));
}

TEST_F(ArchivedBackup, InterruptionEndsTheWait) {
  set_archive_command("false");
  const pid_t process = workshop_.start_pghaul(
      format("backup --repo {} -D {} -c fast -q --wal archive --archive-timeout 1h", repo_,
             server_->data_directory()));
  // The first segment ends with the backup.
  for (int i = 0; i < 300; ++i) {
    if (server_->query("SELECT failed_count FROM pg_stat_archiver").value_or("0") != "0") break;
    workshop_.shell("sleep 0.1");
  }
  ASSERT_EQ(::kill(process, SIGTERM), 0);
  EXPECT_EQ(workshop_.wait_for(process).status, 143);
}

}  // namespace
}  // namespace haul::integration
