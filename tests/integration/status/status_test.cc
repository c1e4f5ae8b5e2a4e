// status on real servers under load: what it says would be lost is what was not stored yet.

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/types.h"
#include "tests/integration/receive/streamed_cluster.h"
#include "tests/integration/recovery/archiving_server.h"

namespace haul::integration {
namespace {

using ::testing::HasSubstr;

// Long enough to be told from the noise; with PGHAUL_TEST_FULL as long as a stall would be.
int stall_seconds() { return std::getenv("PGHAUL_TEST_FULL") != nullptr ? 30 : 6; }

double lost_seconds(const Json& status) {
  return static_cast<double>(status.find("rpo")->int_at("lost_ms").value()) / 1000;
}

class ArchivedStatus : public testing::Test {
 protected:
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    cluster_ = ArchivingServer::make(options);
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(server().pgbench_initialize(1));
    ASSERT_EQ(cluster_->back_up("--wal archive").status, 0);
  }

  support::PgServer& server() const { return cluster_->server(); }
  Outcome status(const std::string& options) const {
    return cluster_->workshop().pghaul(format("status --repo {} -d '{}' {}", cluster_->repository(),
                                              server().conninfo(), options));
  }
  Lsn position(const std::string& sql) const {
    return parse_lsn(server().query("SELECT " + sql).value()).value();
  }
  void archive_with(const std::string& command) const {
    ASSERT_TRUE(server().query(command.empty()
                                   ? "ALTER SYSTEM RESET archive_command"
                                   : format("ALTER SYSTEM SET archive_command = '{}'", command)));
    ASSERT_TRUE(server().query("SELECT pg_reload_conf()"));
  }

  std::unique_ptr<ArchivingServer> cluster_;
};

TEST_F(ArchivedStatus, IdleServerLosesNothingOnceItsSegmentIsArchived) {
  cluster_->archive_segment();
  const Outcome outcome = status("--json");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  const Json json = json_of(outcome);
  EXPECT_TRUE(json.bool_at("good").value());
  EXPECT_EQ(json.find("rpo")->uint_at("lost_bytes").value(), 0U) << outcome.out;
  EXPECT_EQ(json.find("rpo")->int_at("lost_ms").value(), 0);
  EXPECT_THAT(status("").out, HasSubstr("nothing would be lost"));
}

TEST_F(ArchivedStatus, ArchiverThatStandsStillShowsAsWhatWouldBeLost) {
  ASSERT_TRUE(server().run_pgbench(2, 2));
  cluster_->archive_segment();
  archive_with("false");
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(server().run_pgbench(2, stall_seconds()));
  const Lsn written = position("pg_current_wal_flush_lsn()");
  const Outcome outcome = status(format("--json --max-rpo {}s", stall_seconds() / 2));
  const std::chrono::duration<double> stalled = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(outcome.status, 6) << outcome.err;
  const Json json = json_of(outcome);
  EXPECT_FALSE(json.bool_at("good").value());
  EXPECT_THAT(json.find("breaches")->elements().front().as_string().value(), HasSubstr("RPO"));
  // The last commit that was archived came shortly before the archiver stopped.
  EXPECT_GE(lost_seconds(json), stall_seconds() - 1);
  EXPECT_LE(lost_seconds(json), stalled.count() + 4);
  const Lsn durable = parse_lsn(json.find("rpo")->string_at("durable_lsn").value()).value();
  const std::uint64_t lost = json.find("rpo")->uint_at("lost_bytes").value();
  EXPECT_GE(durable.value + lost, written.value);
  EXPECT_LT(durable.value + lost, written.value + (1 << 20));
  EXPECT_GT(lost, 100'000U);

  archive_with("");
  cluster_->archive_segment();
  EXPECT_TRUE(eventually(
      [&] { return json_of(status("--json")).find("rpo")->uint_at("lost_bytes").value() == 0; }));
  EXPECT_EQ(status("--max-rpo 10s --max-age 1h").status, 0);
}

TEST_F(ArchivedStatus, ServerThatCannotBeAskedIsNoFailure) {
  ASSERT_TRUE(server().stop());
  const Outcome outcome = status("--json");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json json = json_of(outcome);
  EXPECT_TRUE(json.find("rpo")->find("lost_bytes")->is_null());
  EXPECT_GT(json.find("rpo")->int_at("lost_ms").value(), 0);
  EXPECT_NE(json.string_at("server_failure").value(), "");
}

TEST_F(ArchivedStatus, AnotherServerIsNotTakenForIt) {
  const auto other = support::PgServer::create({}).value();
  ASSERT_TRUE(other->start());
  const Outcome outcome = cluster_->workshop().pghaul(
      format("status --json --repo {} -d '{}'", cluster_->repository(), other->conninfo()));
  EXPECT_THAT(json_of(outcome).string_at("server_failure").value(), HasSubstr("another one"));
  EXPECT_TRUE(json_of(outcome).find("rpo")->find("lost_bytes")->is_null());
}

TEST_F(ArchivedStatus, MissingSegmentIsNamedAndBreaksTheStatus) {
  ASSERT_TRUE(server().run_pgbench(1, 1));
  cluster_->archive_segment();
  const std::string lost = cluster_->archive_segment();
  ASSERT_TRUE(server().query("CREATE TABLE later AS SELECT 1"));
  cluster_->archive_segment();
  const Outcome removed =
      cluster_->workshop().shell(format("find {} -name {} -delete", cluster_->repository(), lost));
  ASSERT_EQ(removed.status, 0);
  const Outcome outcome = status("--json");
  EXPECT_EQ(outcome.status, 6);
  const Json json = json_of(outcome);
  ASSERT_EQ(json.find("gaps")->elements().size(), 1U);
  EXPECT_EQ(json.find("gaps")->elements().front().string_at("first").value(), lost);
  EXPECT_THAT(outcome.out, HasSubstr(lost + " is missing"));
}

TEST_F(ArchivedStatus, VerificationsAreTold) {
  EXPECT_EQ(json_of(status("--json")).find("verification")->find("last")->is_null(), true);
  EXPECT_EQ(status("--max-unread 1h").status, 0);
  for (const char* shard : {"1/2", "2/2"}) {
    const Outcome verified = cluster_->workshop().pghaul(
        format("verify --data --shard {} --repo {}", shard, cluster_->repository()));
    ASSERT_EQ(verified.status, 0) << verified.err;
  }
  const Json json = json_of(status("--json"));
  EXPECT_EQ(json.find("verification")->uint_at("never_read_bytes").value(), 0U);
  EXPECT_FALSE(json.find("verification")->find("last_data")->is_null());
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_EQ(status("--max-unread 1s").status, 6);
}

TEST_F(ArchivedStatus, MonitoringGetsWhatItKnows) {
  const std::string file = cluster_->workshop().path("pghaul.prom");
  Outcome outcome = status("--nagios --max-age 1h --prometheus " + file);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("PGHAUL OK - main: newest backup"));
  EXPECT_THAT(outcome.out, HasSubstr("| age="));
  const std::string text = support::read_whole_file(file).value();
  EXPECT_THAT(text, HasSubstr("pghaul_cluster_status{cluster=\"main\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE pghaul_backup_since_last_completion_seconds gauge\n"));
  outcome = status("--nagios --max-age 0s --prometheus " + file);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.out, HasSubstr("PGHAUL CRITICAL - main: age of the newest backup"));
  EXPECT_THAT(support::read_whole_file(file).value(),
              HasSubstr("pghaul_cluster_status{cluster=\"main\"} 1\n"));
  outcome = cluster_->workshop().pghaul("status --nagios --repo /nonexistent");
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.out, HasSubstr("PGHAUL UNKNOWN - "));
}

// As a browser shows it on a phone and on a screen, in light and in dark.
TEST_F(ArchivedStatus, PageIsShownByABrowser) {
  const Workshop& workshop = cluster_->workshop();
  const std::string page = workshop.path("status.html");
  ASSERT_EQ(status("--html " + page).status, 0);
  if (workshop.shell("command -v chromium").status != 0) GTEST_SKIP() << "there is no chromium";
  const auto browse = [&](const std::string& options) {
    return workshop.shell(
        format("HOME={0} timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-quic "
               "--no-first-run --disable-background-networking --disable-component-update "
               "--disable-sync --hide-scrollbars --user-data-dir={0}/profile {1} file://{2}",
               workshop.path("browser"), options, page));
  };
  const Outcome shown = browse("--dump-dom");
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("<title>pghaul: main</title>"));
  EXPECT_THAT(shown.out, HasSubstr("Moments that can be recovered"));
  std::set<std::string> pictures;
  for (const char* look : {"--window-size=390,844 --blink-settings=preferredColorScheme=1",
                           "--window-size=390,844 --blink-settings=preferredColorScheme=0",
                           "--window-size=1280,900 --blink-settings=preferredColorScheme=1",
                           "--window-size=1280,900 --blink-settings=preferredColorScheme=0"}) {
    const std::string file = workshop.path("shot.png");
    ASSERT_EQ(browse(format("--screenshot={} {}", file, look)).status, 0);
    const std::string picture = support::read_whole_file(file).value();
    EXPECT_THAT(picture, HasSubstr("PNG"));
    EXPECT_GT(picture.size(), 10'000U) << "as good as empty";
    pictures.insert(picture);
  }
  EXPECT_EQ(pictures.size(), 4U);
}

TEST(StreamedStatus, KilledReceiverShowsAsWhatWouldBeLost) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  ASSERT_TRUE(cluster.server().pgbench_initialize(1));
  const Outcome backup = cluster.workshop().pghaul(
      format("backup {} -D {} -c fast -d '{}' --wal include", cluster.place(),
             cluster.server().data_directory(), cluster.server().conninfo()));
  ASSERT_EQ(backup.status, 0) << backup.err;
  const auto status = [&] {
    const Outcome outcome = cluster.workshop().pghaul(
        format("status --json {} -d '{}'", cluster.place(), cluster.server().conninfo()));
    EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
    return json_of(outcome);
  };
  {
    const std::jthread load([&] { cluster.run_load(4); });
    std::this_thread::sleep_for(std::chrono::seconds(2));
    // What the receiver has not made durable yet, and what came while this was asked.
    EXPECT_LT(lost_seconds(status()), 3);
  }
  cluster.kill_receiver();
  const auto began = std::chrono::steady_clock::now();
  cluster.run_load(stall_seconds());
  const Json json = status();
  const std::chrono::duration<double> stalled = std::chrono::steady_clock::now() - began;
  EXPECT_GE(lost_seconds(json), stall_seconds() - 1);
  EXPECT_LE(lost_seconds(json), stalled.count() + 3);
  EXPECT_GT(json.find("rpo")->uint_at("lost_bytes").value(), 100'000U);
}

}  // namespace
}  // namespace haul::integration
