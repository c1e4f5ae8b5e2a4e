#include "engine/postgres/backup_session.h"

#include <thread>

#include <gtest/gtest.h>

#include "engine/postgres/backup_label.h"
#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

using std::chrono::milliseconds;

class BackupSessionTest : public RunningServer {
 protected:
  std::unique_ptr<BackupSession> open(const std::string& user = "postgres") {
    auto opened = BackupSession::open(session_options(user));
    EXPECT_TRUE(succeeded(opened));
    return opened ? std::move(opened).take() : nullptr;
  }

  // The process that holds backup mode: it is the older of the two sessions.
  std::string backup_pid() const {
    return query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pghaul'"
        " ORDER BY backend_start LIMIT 1");
  }
};

TEST_F(BackupSessionTest, FactsAreTheServersOwn) {
  const auto session = open();
  const ServerFacts& facts = session->facts();
  EXPECT_EQ(std::to_string(facts.version), query("SHOW server_version_num"));
  EXPECT_EQ(facts.data_directory, server_->data_directory());
  EXPECT_EQ(facts.config_file, server_->data_directory() + "/postgresql.conf");
  EXPECT_EQ(facts.unix_socket_directories, server_->socket_directory());
  EXPECT_EQ(std::to_string(facts.system_identifier),
            query("SELECT system_identifier FROM pg_control_system()"));
  EXPECT_EQ(facts.block_size_bytes, 8192U);
  EXPECT_EQ(facts.wal_segment_size_bytes, 16U << 20);
  EXPECT_EQ(facts.wal_level, WalLevel::replica);
  EXPECT_TRUE(facts.full_page_writes);
  EXPECT_TRUE(facts.data_checksums);
  EXPECT_FALSE(facts.in_recovery);
  EXPECT_EQ(facts.timeline, TimelineId{1});
}

TEST_F(BackupSessionTest, StartAndStopGiveALabelThatFits) {
  const auto session = open();
  const StartResult started = session->start("nightly run", CheckpointMode::fast).value();
  query("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
  EXPECT_TRUE(succeeded(session->health()));
  const StopResult stopped = session->stop().value();
  EXPECT_GT(stopped.stop, started.start);
  EXPECT_EQ(stopped.timeline, started.timeline);
  EXPECT_EQ(stopped.tablespace_map, "");
  const BackupLabel label = parse_backup_label(stopped.backup_label, 16U << 20).value();
  EXPECT_EQ(label.label, "nightly run");
  EXPECT_EQ(label.start, started.start);
  EXPECT_EQ(label.source, BackupLabel::Source::primary);
  EXPECT_TRUE(started.start_time.ends_with("Z")) << started.start_time;
}

TEST_F(BackupSessionTest, StopDoesNotWaitForAFailingArchive) {
  ASSERT_TRUE(server_->configure({"archive_mode = on", "archive_command = 'false'"}));
  ASSERT_TRUE(server_->restart());
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  EXPECT_TRUE(succeeded(session->stop()));
}

TEST_F(BackupSessionTest, TablespacesAreListedAndMapped) {
  const std::string location = server_->make_directory("space one").value();
  query("CREATE TABLESPACE far LOCATION '" + location + "'");
  const auto session = open();
  const auto tablespaces = session->tablespaces().value();
  ASSERT_EQ(tablespaces.size(), 1U);
  EXPECT_EQ(tablespaces[0].name, "far");
  EXPECT_EQ(tablespaces[0].location, location);
  EXPECT_FALSE(tablespaces[0].in_place);
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  const StopResult stopped = session->stop().value();
  const TablespaceMap expected = {{tablespaces[0].oid, location}};
  EXPECT_EQ(parse_tablespace_map(stopped.tablespace_map).value(), expected);
}

TEST_F(BackupSessionTest, InPlaceTablespaceIsRecognised) {
  ASSERT_TRUE(server_->configure({"allow_in_place_tablespaces = on"}));
  ASSERT_TRUE(server_->restart());
  query("CREATE TABLESPACE near LOCATION ''");
  const auto tablespaces = open()->tablespaces().value();
  ASSERT_EQ(tablespaces.size(), 1U);
  EXPECT_TRUE(tablespaces[0].in_place);
  EXPECT_EQ(tablespaces[0].location, "pg_tblspc/" + std::to_string(tablespaces[0].oid));
}

TEST_F(BackupSessionTest, WalPositionAdvances) {
  const auto session = open();
  const Lsn before = session->current_wal_insert_lsn().value();
  query("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
  EXPECT_GT(session->current_wal_insert_lsn().value(), before);
}

TEST_F(BackupSessionTest, TerminatedSessionFailsHealthAndStop) {
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  terminate(backup_pid());
  EXPECT_TRUE(eventually([&] { return !session->health(); }));
  EXPECT_EQ(session->health().error().code(), ErrorCode::server_state);
  const auto stopped = session->stop();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), ErrorCode::server_state);
}

TEST_F(BackupSessionTest, SessionTerminatedJustBeforeStopFailsStop) {
  SessionOptions options = session_options();
  options.ping_interval = std::chrono::seconds(10);  // the pinger will not have noticed
  const auto session = std::move(BackupSession::open(options)).take();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  terminate(backup_pid());
  EXPECT_FALSE(session->stop());
}

TEST_F(BackupSessionTest, LostWatcherFailsHealth) {
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  terminate(
      query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pghaul'"
            " ORDER BY backend_start DESC LIMIT 1"));
  EXPECT_TRUE(eventually([&] { return !session->health(); }));
}

TEST_F(BackupSessionTest, ImmediateShutdownFailsHealth) {
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  ASSERT_TRUE(server_->stop(support::PgServer::StopMode::immediate));
  EXPECT_TRUE(eventually([&] { return !session->health(); }));
  EXPECT_FALSE(session->stop());
}

TEST_F(BackupSessionTest, AbandonedSessionEndsBackupMode) {
  auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  session.reset();
  EXPECT_TRUE(eventually([&] {
    return query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul'") == "0";
  }));
  // A fast shutdown would wait for nothing, a restart needs no backup_label.
  EXPECT_TRUE(succeeded(server_->restart()));
}

TEST_F(BackupSessionTest, CancelEndsASpreadCheckpoint) {
  ASSERT_TRUE(
      server_->configure({"checkpoint_timeout = 1h", "checkpoint_completion_target = 0.99"}));
  ASSERT_TRUE(server_->restart());
  query("CREATE TABLE t AS SELECT generate_series(1, 300000) AS n");
  const auto session = open();
  std::jthread canceller([&] {
    EXPECT_TRUE(eventually([&] {
      return query(
                 "SELECT count(*) FROM pg_stat_activity WHERE query ~ "
                 "'pg_(backup_start|start_backup)'"
                 " AND state = 'active' AND pid <> pg_backend_pid()") == "1";
    }));
    session->cancel();
  });
  const auto started = session->start("x", CheckpointMode::spread);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::interrupted);
  EXPECT_EQ(session->health().error().code(), ErrorCode::interrupted);
}

TEST_F(BackupSessionTest, LabelThatForgesLinesIsUsage) {
  const auto session = open();
  const auto started = session->start("x\nSTART TIMELINE: 7", CheckpointMode::fast);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::usage);
}

TEST_F(BackupSessionTest, MinimalWalLevelIsRefusedWithAHint) {
  ASSERT_TRUE(server_->configure({"wal_level = minimal", "max_wal_senders = 0"}));
  ASSERT_TRUE(server_->restart());
  const auto opened = BackupSession::open(session_options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::server_state);
  EXPECT_NE(opened.error().hint().find("wal_level = replica"), std::string::npos);
}

class StandbySessionTest : public BackupSessionTest {
 protected:
  void SetUp() override {
    BackupSessionTest::SetUp();
    primary_ = std::move(server_);
    const std::string copy = primary_->make_directory("standby").value();
    ASSERT_TRUE(succeeded(primary_->run({"pg_basebackup", "-D", copy, "-d", primary_->conninfo(),
                                         "-R", "-X", "stream", "-c", "fast"})));
    server_ = support::PgServer::adopt(copy).value();
    ASSERT_TRUE(succeeded(server_->start()));
  }

  void TearDown() override {
    server_.reset();
    primary_.reset();
  }

  std::unique_ptr<support::PgServer> primary_;
};

TEST_F(StandbySessionTest, PromotionFailsHealthAndStop) {
  const auto session = open();
  EXPECT_TRUE(session->facts().in_recovery);
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  EXPECT_TRUE(succeeded(session->health()));
  query("SELECT pg_promote()");
  EXPECT_TRUE(eventually([&] { return !session->health(); }));
  EXPECT_NE(session->health().error().message().find("promoted"), std::string::npos);
  EXPECT_FALSE(session->stop());
}

TEST_F(StandbySessionTest, SessionOpenedRightAfterPromotionStaysHealthy) {
  query("SELECT pg_promote()");
  const auto session = open();
  const auto started = session->start("x", CheckpointMode::fast);
  ASSERT_TRUE(succeeded(started));
  EXPECT_EQ(started->timeline, TimelineId{2});
  const auto stopped = session->stop();
  ASSERT_TRUE(succeeded(stopped));
  EXPECT_EQ(stopped->timeline, TimelineId{2});
}

TEST_F(StandbySessionTest, FullPageWritesOffOnThePrimaryIsRefusedWithAHint) {
  ASSERT_TRUE(primary_->configure({"full_page_writes = off"}));
  ASSERT_TRUE(primary_->restart());
  ASSERT_TRUE(primary_->query("CHECKPOINT"));
  EXPECT_TRUE(eventually([&] {
    query("CHECKPOINT");
    return query("SELECT full_page_writes FROM pg_control_checkpoint()") == "f";
  }));
  const auto opened = BackupSession::open(session_options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::server_state);
  EXPECT_NE(opened.error().hint().find("full_page_writes"), std::string::npos);
}

TEST_F(BackupSessionTest, FullPageWritesOffOnAPrimaryIsNoObstacle) {
  ASSERT_TRUE(server_->configure({"full_page_writes = off"}));
  ASSERT_TRUE(server_->restart());
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  EXPECT_TRUE(succeeded(session->stop()));
}

TEST_F(StandbySessionTest, BackupFromStandbySaysSo) {
  const auto session = open();
  ASSERT_TRUE(succeeded(session->start("x", CheckpointMode::fast)));
  const auto stopped = session->stop();
  ASSERT_TRUE(succeeded(stopped));
  const BackupLabel label = parse_backup_label(stopped->backup_label, 16U << 20).value();
  EXPECT_EQ(label.source, BackupLabel::Source::standby);
}

}  // namespace
}  // namespace haul::postgres
