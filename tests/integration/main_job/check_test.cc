// check tells whether backups would work and WAL arrives, and names what is in the way: one error
// line, a hint, and an exit status by which a script can tell what kind of trouble it is.

#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// One server for all tests. Each has a repository of its own, and the server archives nothing
// before a test says how.
class Check : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    options.settings = {"archive_mode = on", "include_if_exists = 'test.conf'"};
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_TRUE(server_->start());
    ASSERT_TRUE(server_->query("CREATE ROLE nobody LOGIN"));
    ASSERT_TRUE(server_->query("CREATE ROLE careful LOGIN REPLICATION IN ROLE pg_monitor"));
    ASSERT_TRUE(
        server_->query("GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), "
                       "pg_backup_stop(boolean) TO careful"));
  }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    ASSERT_EQ(workshop_.pghaul("init --repo " + repo_).status, 0);
    archive_by("");
    // Repositories of other tests got what was archived so far.
    ASSERT_TRUE(server_->query("SELECT pg_stat_reset_shared('archiver')"));
  }

  void archive_by(const std::string& command) const {
    ASSERT_TRUE(server_->query(format("ALTER SYSTEM SET archive_command = '{}'", command)));
    ASSERT_TRUE(server_->query("SELECT pg_reload_conf()"));
  }
  std::string push_into(const std::string& repo) const {
    return format("{} wal push --repo {} %p", workshop_.path("pghaul"), repo);
  }
  // Nothing that was finished before is left for the archiver, nor remembered by it.
  void forget_what_was_finished() const {
    archive_by("true");
    const std::string segment =
        server_->query("SELECT pg_walfile_name(pg_switch_wal())").value_or("?");
    const std::string left =
        format("SELECT coalesce(max(last_archived_wal), '') < '{}' FROM pg_stat_archiver", segment);
    for (int i = 0; i < 600 && server_->query(left).value_or("t") == "t"; ++i) {
      workshop_.shell("sleep 0.1");
    }
    ASSERT_EQ(server_->query(left).value_or("?"), "f");
    archive_by("");
    ASSERT_TRUE(server_->query("SELECT pg_stat_reset_shared('archiver')"));
  }
  // With these settings, until the next time.
  void restart_with(const std::vector<std::string>& settings) const {
    const std::string path = server_->data_directory() + "/test.conf";
    std::ofstream file(path, std::ios::trunc);
    for (const std::string& setting : settings) file << setting << '\n';
    file.close();
    ASSERT_EQ(workshop_.shell("chmod 644 " + path).status, 0);
    ASSERT_TRUE(server_->restart());
  }
  Outcome check(const std::string& options) const {
    return workshop_.pghaul(
        format("check --repo {} -D {} {}", repo_, server_->data_directory(), options));
  }
  // The error line, and the hint's.
  void expect_trouble(const Outcome& outcome, int status, const std::string& error,
                      const std::string& hint) const {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 2) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("pghaul: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(error));
    EXPECT_THAT(outcome.err.substr(outcome.err.find('\n') + 1),
                AllOf(StartsWith("HINT:  "), HasSubstr(hint)));
    EXPECT_EQ(workshop_.shell(format("ls {}/clusters/*/leases", repo_)).out, "");
  }

  Workshop workshop_;
  const std::string repo_ = workshop_.path("repo");
  static std::unique_ptr<PgServer> server_;
};

std::unique_ptr<PgServer> Check::server_;

TEST_F(Check, SeesWalArriveAndLeavesNothingBehind) {
  archive_by(push_into(repo_));
  const Outcome outcome = check("--json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json report = json_of(outcome);
  const Json* passed = report.find("passed");
  ASSERT_NE(passed, nullptr);
  ASSERT_EQ(passed->elements().size(), 4U) << outcome.out;
  EXPECT_THAT(passed->elements().back().dump(), HasSubstr("WAL arrives: 0000000100000000000000"));
  EXPECT_THAT(workshop_.pghaul("info --repo " + repo_).out, HasSubstr("no backups"));
  EXPECT_EQ(workshop_.shell(format("ls {}/clusters/main/leases", repo_)).out, "");
}

TEST_F(Check, NamesACommandThatFails) {
  archive_by("false");
  expect_trouble(check("--archive-timeout 1s"), 15, "no WAL arrives: 0000000100000000000000",
                 "archive_command = 'pghaul wal push");
}

TEST_F(Check, NamesACommandThatIsMissing) {
  expect_trouble(check("--archive-timeout 1h"), 15, "no WAL arrives: archive_command is empty",
                 "archive_command = 'pghaul wal push");
}

// At first nothing tells them apart but that nothing comes. Once the server has archived something
// there is nothing to be waited for.
TEST_F(Check, NamesACommandThatPushesElsewhere) {
  const std::string elsewhere = workshop_.path("elsewhere");
  ASSERT_EQ(workshop_.pghaul("init --repo " + elsewhere).status, 0);
  forget_what_was_finished();
  archive_by(push_into(elsewhere));
  expect_trouble(check("--archive-timeout 3s"), 15, "did not arrive in the repository within 3 s",
                 "archive_command = 'pghaul wal push");
  expect_trouble(check("--archive-timeout 1h"), 15,
                 "which the server archived last, is not in the repository",
                 "archive_command = 'pghaul wal push");
  EXPECT_EQ(workshop_.pghaul("wal list --repo " + repo_).status, 0);
}

TEST_F(Check, NamesTheRightThatARoleLacks) {
  expect_trouble(check("-U nobody"), 13, "role nobody may not ", "GRANT ");
}

// It may back up, and yet nothing shows that WAL arrives.
TEST_F(Check, NamesTheRightToEndASegment) {
  archive_by(push_into(repo_));
  expect_trouble(check("-U careful"), 13, "role careful may not execute pg_switch_wal()",
                 "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO ");
  ASSERT_TRUE(server_->query("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO careful"));
  EXPECT_EQ(check("-U careful").status, 0);
}

TEST_F(Check, NamesARepositoryThatIsNotThere) {
  const Outcome outcome =
      workshop_.pghaul(format("check --repo {}/nowhere -D {}", repo_, server_->data_directory()));
  expect_trouble(outcome, 10, repo_ + "/nowhere", "pghaul init");
}

TEST_F(Check, NamesARepositoryThatTakesNothing) {
  ASSERT_EQ(workshop_.shell_as_server("chmod 500 " + repo_).status, 0);
  archive_by(push_into(repo_));
  const Outcome outcome = check("--archive-timeout 1h");
  ASSERT_EQ(workshop_.shell_as_server("chmod 700 " + repo_).status, 0);
  EXPECT_EQ(outcome.status, 13) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(StartsWith("pghaul: error: "), HasSubstr(repo_)));
}

TEST_F(Check, NamesAServerThatIsNotThere) {
  ASSERT_TRUE(server_->stop());
  const Outcome outcome = check("-h " + server_->socket_directory());
  ASSERT_TRUE(server_->start());
  expect_trouble(outcome, 15, server_->socket_directory(), "-D");
}

TEST_F(Check, NamesAWalLevelThatIsTooLow) {
  restart_with({"archive_mode = off", "wal_level = minimal", "max_wal_senders = 0"});
  const Outcome outcome = check("");
  restart_with({});
  expect_trouble(outcome, 15, "wal_level is minimal", "set wal_level = replica");
}

// WAL may come another way; a careful user is told.
TEST_F(Check, WarnsWhereNothingIsArchived) {
  restart_with({"archive_mode = off"});
  const Outcome outcome = check("");
  restart_with({});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("warning: archive_mode is off"));
  EXPECT_THAT(outcome.out, HasSubstr("ok: the repository at "));
  EXPECT_THAT(outcome.out, Not(HasSubstr("WAL arrives")));
}

}  // namespace
}  // namespace haul::integration
