// Losing the primary: a standby is promoted and streams on, or everything is lost but the
// repository.

#include <signal.h>

#include <atomic>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "tests/integration/receive/streamed_cluster.h"

namespace haul::integration {
namespace {

using support::PgServer;
using ::testing::HasSubstr;

constexpr TimelineId kOne{1};
constexpr TimelineId kTwo{2};

// Of a running server; its directory lies in that server's and goes with it.
std::unique_ptr<PgServer> make_standby(PgServer& primary, const std::string& settings = "") {
  const std::string directory = primary.make_directory("standby").value();
  EXPECT_TRUE(primary.run({"pg_basebackup", "-d", primary.conninfo(), "-D", directory, "-R", "-X",
                           "stream", "-c", "fast"}));
  std::ofstream(directory + "/postgresql.auto.conf", std::ios::app) << settings;
  auto standby = PgServer::adopt(directory).value();
  EXPECT_TRUE(standby->start());
  return standby;
}

void expect_both_timelines(StreamedCluster& cluster, PgServer& promoted, Lsn begin, Lsn end) {
  const std::string wal = promoted.data_directory() + "/pg_wal";
  const std::string history = support::read_whole_file(wal + "/00000002.history").value();
  const std::string point = history.substr(history.find('\t') + 1);
  const Lsn switched = parse_lsn(point.substr(0, point.find('\t'))).value();
  const std::uint64_t number = switched.value / kSegmentBytes;
  EXPECT_EQ(cluster.stored_fault(kOne, begin, {number * kSegmentBytes}, wal), "");
  EXPECT_EQ(cluster.stored_fault(kTwo, {number * kSegmentBytes}, end, wal), "");
  const std::string got = cluster.workshop().path("got");
  const auto get = [&](const std::string& name) {
    return cluster.workshop().pghaul(format("wal get {} {} {}", cluster.place(), name, got)).status;
  };
  EXPECT_EQ(get("00000002.history"), 0);
  EXPECT_EQ(support::read_whole_file(got).value(), history);
  // The segment in which timeline 1 was left is never whole.
  EXPECT_EQ(get(postgres::to_name({kOne, number}, kSegmentBytes)), 1);
}

TEST(Failover, AReceiverOfAStandbyFollowsItsPromotion) {
  StreamedCluster cluster;
  PgServer& primary = cluster.server();
  const auto standby = make_standby(primary);
  const auto session = StreamedCluster::session(standby->conninfo());
  cluster.start_receiver_from(standby->conninfo());
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  ASSERT_TRUE(primary.pgbench_initialize(1));
  const auto primary_session = cluster.session();
  const Lsn sent = StreamedCluster::flushed(*primary_session);
  EXPECT_TRUE(
      eventually([&] { return StreamedCluster::reported(*session).value_or(Lsn{}) >= sent; }));
  ASSERT_TRUE(standby->query("SELECT pg_promote()"));
  ASSERT_TRUE(standby->query("CREATE TABLE after AS SELECT generate_series(1, 1000)"));
  const Lsn end = cluster.catch_up(*session);
  const std::string left = postgres::to_name({kOne, sent.value / kSegmentBytes}, kSegmentBytes);
  EXPECT_GE(cluster.stored(left).size(), sent.value % kSegmentBytes);
  const Outcome outcome = cluster.stop_receiver();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_of(outcome).uint_at("timeline").value(), 2U);
  expect_both_timelines(cluster, *standby, begin, end);
}

TEST(Failover, AReceiverGoesOnWithThePromotedStandby) {
  StreamedCluster cluster;
  PgServer& primary = cluster.server();
  const auto standby = make_standby(primary);
  auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  ASSERT_TRUE(primary.pgbench_initialize(1));
  const Lsn sent = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  session = StreamedCluster::session(standby->conninfo());
  EXPECT_TRUE(eventually([&] { return StreamedCluster::flushed(*session) >= sent; }));
  ASSERT_TRUE(primary.stop(PgServer::StopMode::immediate));
  ASSERT_TRUE(standby->query("SELECT pg_promote()"));
  ASSERT_TRUE(standby->query("CREATE TABLE after AS SELECT generate_series(1, 1000)"));
  cluster.start_receiver_from(standby->conninfo());
  cluster.wait_until_streaming(*session);
  const Lsn end = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  expect_both_timelines(cluster, *standby, begin, end);
}

TEST(Failover, SynchronousLosesNoConfirmedRowWhenPrimaryAndReceiverAreKilled) {
  StreamedCluster cluster;
  PgServer& primary = cluster.server();
  ASSERT_TRUE(primary.query("CREATE TABLE ledger (n int PRIMARY KEY, filler text)"));
  auto session = cluster.session();
  cluster.start_receiver("--synchronous");
  cluster.wait_until_streaming(*session);
  const Outcome backup = cluster.workshop().pghaul(
      format("backup {} -d '{}' -c fast --wal include", cluster.place(), primary.conninfo()));
  ASSERT_EQ(backup.status, 0) << backup.err;
  ASSERT_TRUE(primary.query("ALTER SYSTEM SET synchronous_standby_names = 'pghaul'"));
  ASSERT_TRUE(primary.query("SELECT pg_reload_conf()"));
  ASSERT_TRUE(eventually([&] {
    return primary.query("SELECT sync_state FROM pg_stat_replication").value() == "sync";
  }));
  std::atomic<int> confirmed = 0;
  std::jthread writer([&] {
    const auto connection = cluster.session();
    for (int n = 1; connection->query("INSERT INTO public.ledger SELECT $1::int, repeat('x', 2000)",
                                      {format("{}", n)});
         ++n) {
      confirmed = n;
    }
  });
  EXPECT_TRUE(eventually([&] { return confirmed > 300; }));
  session.reset();
  ::kill(static_cast<pid_t>(primary.postmaster_pid()), SIGKILL);
  cluster.kill_receiver();
  writer.join();
  const std::string target = cluster.workshop().path("target");
  const Outcome restore = cluster.workshop().pghaul(
      format("restore latest {} -D {} --target latest", cluster.place(), target));
  ASSERT_EQ(restore.status, 0) << restore.err;
  const auto restored = PgServer::adopt(target).value();
  ASSERT_TRUE(restored->start());
  ASSERT_TRUE(eventually([&] {
    return restored->query("SELECT pg_is_in_recovery()").value_or("t") == "f";
  })) << support::read_whole_file(restored->log_file()).value_or("");
  const int rows = std::stoi(restored->query("SELECT count(*) FROM ledger").value());
  EXPECT_GE(rows, confirmed);
  EXPECT_EQ(restored->query("SELECT max(n) FROM ledger").value(), format("{}", rows));
}

// Nobody but the promoted standby has archived anything.
TEST(Failover, TheOldTimelineIsRestoredToItsEndFromItsPartialSegment) {
  StreamedCluster cluster;
  PgServer& primary = cluster.server();
  const auto standby =
      make_standby(primary, format("archive_mode = always\narchive_command = '{} wal push {} %p'\n",
                                   cluster.workshop().path("pghaul"), cluster.place()));
  const Outcome backup = cluster.workshop().pghaul(
      format("backup {} -d '{}' -c fast --wal include", cluster.place(), primary.conninfo()));
  ASSERT_EQ(backup.status, 0) << backup.err;
  ASSERT_TRUE(primary.query("SELECT pg_switch_wal()"));
  ASSERT_TRUE(primary.query("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n"));
  const auto session = cluster.session();
  const Lsn written = StreamedCluster::flushed(*session);
  ASSERT_TRUE(eventually([&] {
    return standby->query(format("SELECT pg_last_wal_replay_lsn() >= '{}'", to_string(written)))
               .value_or("") == "t";
  }));
  ASSERT_TRUE(primary.stop(PgServer::StopMode::immediate));
  ASSERT_TRUE(standby->query("SELECT pg_promote()"));
  ASSERT_TRUE(standby->query("INSERT INTO kept VALUES (0)"));
  ASSERT_TRUE(standby->query("SELECT pg_switch_wal()"));
  const std::string partial =
      postgres::to_name({kOne, written.value / kSegmentBytes}, kSegmentBytes) + ".partial";
  ASSERT_TRUE(eventually([&] {
    return cluster.workshop().pghaul(format("wal list {}", cluster.place())).out.find(partial) !=
           std::string::npos;
  }));
  for (const auto& [timeline, rows] : {std::pair("1", "1000"), std::pair("2", "1001")}) {
    const std::string target = cluster.workshop().path(format("target-{}", timeline));
    const Outcome restore =
        cluster.workshop().pghaul(format("restore latest {} -D {} --target latest "
                                         "--target-timeline {}",
                                         cluster.place(), target, timeline));
    ASSERT_EQ(restore.status, 0) << restore.err;
    const auto restored = PgServer::adopt(target).value();
    ASSERT_TRUE(restored->start());
    ASSERT_TRUE(eventually(
        [&] { return restored->query("SELECT pg_is_in_recovery()").value_or("t") == "f"; }));
    EXPECT_EQ(restored->query("SELECT count(*) FROM kept").value(), rows);
    ASSERT_TRUE(restored->stop());
  }
}

}  // namespace
}  // namespace haul::integration
