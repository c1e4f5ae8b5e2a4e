// tools/install/backup-role.sql: its grants suffice, and each of them is needed.

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/backup_session.h"
#include "engine/postgres/wal_copier.h"
#include "io/posix_directory.h"
#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

class IgnoringSink final : public WalSink {
 public:
  Status begin_segment(const std::string&, std::uint64_t) override { return ok(); }
  Status append(ByteSpan) override { return ok(); }
  Status finish_segment() override { return ok(); }
  Status take_history(const std::string&, ByteSpan) override { return ok(); }
};

std::string role_script() {
  const std::string here = __FILE__;
  return here.substr(0, here.rfind("tests/integration/")) + "tools/install/backup-role.sql";
}

class BackupRoleTest : public RunningServer {
 protected:
  void SetUp() override {
    RunningServer::SetUp();
    // The server's user need not be able to look into the source tree.
    script_ = server_->make_directory("script").value() + "/backup-role.sql";
    std::ofstream(script_) << support::read_whole_file(role_script()).value();
    run_script();
  }

  void run_script() {
    ASSERT_TRUE(succeeded(server_->run({"psql", "--no-psqlrc", "-q", "-d", server_->conninfo(),
                                        "-v", "role=back up", "-f", script_})));
  }

  SessionOptions role_options() const {
    SessionOptions options = session_options();
    options.connection.user = "back up";
    return options;
  }

  Result<std::unique_ptr<WalCopier>> open_copier() {
    WalCopierOptions options;
    options.connection = role_options().connection;
    wal_directory_ = io::open_posix_directory(server_->data_directory() + "/pg_wal").value();
    return WalCopier::open(options, *wal_directory_, sink_);
  }

  // The refusal of a session once this was taken away.
  Error refusal_after(const std::string& sql) {
    query(sql);
    auto opened = BackupSession::open(role_options());
    EXPECT_FALSE(opened) << sql;
    return opened ? Error(ErrorCode::usage, "opened") : std::move(opened).take_error();
  }

  // Before 15 their functions had other names and another argument.
  static bool has_exclusive_backups() { return support::pg_major() < 15; }

  std::string script_;
  IgnoringSink sink_;
  std::unique_ptr<io::Directory> wal_directory_;
};

TEST_F(BackupRoleTest, GrantsSufficeForABackupWithItsWal) {
  const auto copier = open_copier();
  ASSERT_TRUE(succeeded(copier));
  const auto session = BackupSession::open(role_options());
  ASSERT_TRUE(succeeded(session));
  EXPECT_EQ((*session)->facts().data_directory, server_->data_directory());
  const auto started = (*session)->start("x", CheckpointMode::fast);
  ASSERT_TRUE(succeeded(started));
  ASSERT_TRUE(succeeded((*copier)->start(started->start, started->timeline)));
  EXPECT_TRUE(succeeded((*session)->tablespaces()));
  EXPECT_TRUE(succeeded((*session)->current_wal_insert_lsn()));
  (*copier)->prepare_stop();
  const auto stopped = (*session)->stop();
  ASSERT_TRUE(succeeded(stopped));
  EXPECT_TRUE(succeeded((*copier)->finish(stopped->stop, stopped->timeline)));
}

TEST_F(BackupRoleTest, RoleIsNoSuperuserAndScriptMayRunAgain) {
  run_script();
  EXPECT_EQ(query("SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles"
                  " WHERE rolname = 'back up'"),
            "f");
}

TEST_F(BackupRoleTest, WithoutStartFunctionTheHintGrantsIt) {
  const std::string function = has_exclusive_backups() ? "pg_start_backup(text,boolean,boolean)"
                                                       : "pg_backup_start(text,boolean)";
  const Error error =
      refusal_after(format("REVOKE EXECUTE ON FUNCTION {} FROM \"back up\"", function));
  EXPECT_EQ(error.code(), ErrorCode::permission);
  EXPECT_EQ(error.hint(), format("GRANT EXECUTE ON FUNCTION {} TO \"back up\"", function));
  query(error.hint());
  EXPECT_TRUE(succeeded(BackupSession::open(role_options())));
}

TEST_F(BackupRoleTest, WithoutStopFunctionTheHintGrantsIt) {
  const Error error = refusal_after(format(
      "REVOKE EXECUTE ON FUNCTION {} FROM \"back up\"",
      has_exclusive_backups() ? "pg_stop_backup(boolean,boolean)" : "pg_backup_stop(boolean)"));
  EXPECT_EQ(error.code(), ErrorCode::permission);
  query(error.hint());
  EXPECT_TRUE(succeeded(BackupSession::open(role_options())));
}

TEST_F(BackupRoleTest, WithoutSettingsTheHintGrantsThem) {
  const Error error = refusal_after("REVOKE pg_read_all_settings FROM \"back up\"");
  EXPECT_EQ(error.code(), ErrorCode::permission);
  EXPECT_EQ(error.hint(), "GRANT pg_read_all_settings TO \"back up\"");
  query(error.hint());
  EXPECT_TRUE(succeeded(BackupSession::open(role_options())));
}

TEST_F(BackupRoleTest, WithoutReplicationTheHintGivesIt) {
  query("ALTER ROLE \"back up\" NOREPLICATION");
  const auto opened = open_copier();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::permission);
  EXPECT_EQ(opened.error().hint(), "ALTER ROLE \"back up\" REPLICATION");
  query(opened.error().hint());
  EXPECT_TRUE(succeeded(open_copier()));
}

}  // namespace
}  // namespace haul::postgres
