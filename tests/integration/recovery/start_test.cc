// restore --start: whose server it is, what is told of it, and what is left when it cannot start.

#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/recovery/archiving_server.h"

namespace haul::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// A backup that has its WAL in the archive, and 1,000 rows behind it.
class Start : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    archiving_ = ArchivingServer::make(options);
    ASSERT_NE(archiving_, nullptr);
    ASSERT_TRUE(archiving_->server().query("CREATE TABLE t (n int)"));
    backup_ = archiving_->backup_name("--wal archive");
    ASSERT_TRUE(archiving_->server().query("INSERT INTO t SELECT generate_series(1, 1000)"));
    archiving_->archive_segment();
  }
  static void TearDownTestSuite() { archiving_.reset(); }

  void SetUp() override {
    ASSERT_NE(archiving_, nullptr);
    ASSERT_NE(backup_, "");
  }
  void TearDown() override { archiving_->discard("restored"); }

  static Outcome restore_as_root(const std::string& options) {
    return archiving_->workshop().shell("exec " + archiving_->restore_command("restored", options));
  }
  static std::string restored() { return archiving_->directory("restored"); }
  static std::string users_of_server_processes() {
    return archiving_->workshop()
        .shell(format("pid=$(head -n 1 {}/postmaster.pid) && "
                      "for p in $pid $(pgrep -P $pid); do stat -c %U /proc/$p; done | sort -u",
                      restored()))
        .out;
  }
  // Every process of a server has its data directory as the working directory.
  static std::string processes_in(const std::string& directory) {
    return archiving_->workshop()
        .shell(format("for p in /proc/[0-9]*; do "
                      "[ \"$(readlink $p/cwd)\" != {} ] || tr '\\0' ' ' < $p/cmdline; done",
                      directory))
        .out;
  }
  // The server has replayed everything, and restore has told how long what took.
  static void expect_ready(const Outcome& outcome) {
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const Json report = json_of(outcome);
    EXPECT_EQ(report.string_at("server").value_or(""), "ready");
    for (const char* time : {"plan_ms", "copy_ms", "sync_ms", "replay_ms", "first_query_ms"}) {
      EXPECT_TRUE(report.uint_at(time)) << time;
    }
    EXPECT_GT(report.uint_at("replay_ms").value_or(0), 0U);
    EXPECT_NE(processes_in(restored()), "");
    EXPECT_EQ(archiving_->query("SELECT count(*) FROM t"), "1000");
    EXPECT_EQ(archiving_->query("SELECT pg_is_in_recovery()"), "f");
  }
  // One error, the server's own words, and no process.
  static void expect_no_start(const Outcome& outcome, const std::string& words) {
    EXPECT_EQ(outcome.status, 15) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 2) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("pghaul: error: "), HasSubstr(restored()),
                                   HasSubstr("\nHINT:  the end of its log: "), HasSubstr(words)));
    EXPECT_EQ(processes_in(restored()), "");
    EXPECT_NE(archiving_->workshop().shell(format("test -e {}/postmaster.pid", restored())).status,
              0);
  }
  // A backup of a cluster whose configuration no server takes.
  static std::string backup_with(const std::string& setting) {
    const std::string file = archiving_->server().data_directory() + "/postgresql.conf";
    const Workshop& workshop = archiving_->workshop();
    EXPECT_EQ(workshop.shell_as_server(format("cp -p {0} {0}.kept", file)).status, 0);
    EXPECT_TRUE(archiving_->server().configure({setting}));
    std::string name = archiving_->backup_name("--wal archive");
    EXPECT_EQ(workshop.shell_as_server(format("mv {0}.kept {0}", file)).status, 0);
    return name;
  }

  static std::unique_ptr<ArchivingServer> archiving_;
  static std::string backup_;
};

std::unique_ptr<ArchivingServer> Start::archiving_;
std::string Start::backup_;

TEST_F(Start, ServersUserStartsItAndTimesAreTold) {
  expect_ready(archiving_->restore("restored", backup_ + " --start"));
}

TEST_F(Start, RootStartsItForTheOwnerOfItsFiles) {
  if (::geteuid() != 0) GTEST_SKIP() << "takes root";
  expect_ready(restore_as_root(backup_ + " --start"));
  EXPECT_EQ(users_of_server_processes(), "postgres\n");
  const Outcome strangers =
      archiving_->workshop().shell(format("find {} ! -user postgres", restored()));
  EXPECT_EQ(strangers.out, "") << strangers.err;
}

TEST_F(Start, SettingThatNoServerTakesIsToldInTheServersWords) {
  const std::string backup = backup_with("shared_buffers = nonsense");
  expect_no_start(archiving_->restore("restored", backup + " --start"),
                  "invalid value for parameter \"shared_buffers\": \"nonsense\"");
}

TEST_F(Start, RootLeavesNothingRunningEither) {
  if (::geteuid() != 0) GTEST_SKIP() << "takes root";
  const std::string backup = backup_with("shared_preload_libraries = 'no_such_library'");
  expect_no_start(restore_as_root(backup + " --start"), "no_such_library");
}

// It starts, and finds out as it recovers that its settings do not do.
TEST_F(Start, RecoveryThatFailsLeavesNothingRunning) {
  const std::string backup = backup_with("max_connections = 10");
  expect_no_start(archiving_->restore("restored", backup + " --start"),
                  support::pg_major() >= 14
                      ? "recovery aborted because of insufficient parameter settings"
                      : "hot standby is not possible because max_connections = 10");
}

// The manifest names the WAL that the backup needs. It is in the archive; brought to where the tool
// looks for it, the tool finds everything.
TEST_F(Start, VerifyBackupFindsTheWalOnceItIsDelivered) {
  const Workshop& workshop = archiving_->workshop();
  const Outcome outcome = archiving_->restore("restored", backup_ + " --target immediate");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string verify = support::pg_bin_directory() + "/pg_verifybackup ";
  EXPECT_EQ(workshop.shell_as_server(verify + "-n " + restored()).status, 0);
  EXPECT_NE(workshop.shell_as_server(verify + restored()).status, 0);
  const Outcome delivered = workshop.shell_as_server(
      format("for name in $(find {0}/clusters -type f -name '00000001*' -printf '%f\\n'); do "
             "{1} wal get --repo {0} --prefetch 0 $name {2}/pg_wal/$name || exit 1; done",
             archiving_->repository(), workshop.path("pghaul"), restored()));
  ASSERT_EQ(delivered.status, 0) << delivered.err;
  const Outcome verified = workshop.shell_as_server(verify + restored());
  EXPECT_EQ(verified.status, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("backup successfully verified"));
}

}  // namespace
}  // namespace haul::integration
