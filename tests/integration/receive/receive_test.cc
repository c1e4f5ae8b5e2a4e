// pghaul wal receive on a real server: what it reports as flushed is stored, whatever happens.

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "tests/integration/receive/streamed_cluster.h"

namespace haul::integration {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;
using support::PgServer;
using ::testing::HasSubstr;

std::uint64_t number_of(Lsn lsn) { return lsn.value / kSegmentBytes; }
Lsn segment_start(Lsn lsn) { return {lsn.value - lsn.value % kSegmentBytes}; }

std::string next_segment(const PgServer& server) {
  return server.query("SELECT pg_walfile_name(pg_switch_wal())").value();
}

TEST(Receive, WhatTheServerWritesIsStoredWithinTheInterval) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  ASSERT_TRUE(cluster.server().pgbench_initialize(1));
  const Lsn end = cluster.catch_up(*session);
  EXPECT_GT(number_of(end), number_of(begin) + 5);
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
  // Of the last segment there is a tail, which is no segment.
  const std::string last = postgres::to_name({TimelineId{1}, number_of(end)}, kSegmentBytes);
  EXPECT_GE(cluster.stored(last).size(), end.value % kSegmentBytes);
  EXPECT_EQ(
      cluster.workshop()
          .pghaul(format("wal get {} {} {}", cluster.place(), last, cluster.workshop().path("x")))
          .status,
      1);
}

TEST(Receive, SigtermFlushesReportsAndEndsSoon) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver("--flush-interval 60s");
  cluster.wait_until_streaming(*session);
  ASSERT_TRUE(cluster.server().query("CREATE TABLE t AS SELECT generate_series(1, 100)"));
  const Lsn end = StreamedCluster::flushed(*session);
  sleep_ms(300);
  const auto before = SteadyClock::now();
  const Outcome outcome = cluster.stop_receiver();
  EXPECT_LT(SteadyClock::now() - before, std::chrono::seconds{5});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  const Json report = json_of(outcome);
  const Lsn durable = parse_lsn(report.string_at("durable_lsn").value()).value();
  EXPECT_GE(durable, end);
  EXPECT_EQ(cluster.stored_fault(segment_start(end), durable), "");
  // The slot was told.
  EXPECT_TRUE(eventually([&] {
    return cluster.server().query("SELECT restart_lsn FROM pg_replication_slots").value() ==
           to_string(durable);
  }));
}

TEST(Receive, KillsUnderLoadLoseNothingThatWasReported) {
  StreamedCluster cluster;
  ASSERT_TRUE(cluster.server().pgbench_initialize(1));
  const auto session = cluster.session();
  const int kills = full_receive_run() ? 50 : 6;
  const std::jthread load([&] { cluster.run_load(kills * 3 / 2 + 4); });
  std::srand(static_cast<unsigned>(::getpid()));
  Lsn checked = segment_start(StreamedCluster::flushed(*session));
  Lsn begin{UINT64_MAX};
  for (int kill = 0; kill < kills; ++kill) {
    SCOPED_TRACE(kill);
    cluster.start_receiver(kill % 2 == 0 ? "--synchronous" : "--flush-interval 50ms");
    cluster.wait_until_streaming(*session);
    Lsn reported = *StreamedCluster::reported(*session);
    if (begin.value == UINT64_MAX) begin = checked = reported;
    const auto until = SteadyClock::now() + milliseconds{200 + std::rand() % 800};
    while (SteadyClock::now() < until) {
      reported = StreamedCluster::reported(*session).value_or(reported);
    }
    cluster.kill_receiver();
    ASSERT_EQ(cluster.stored_fault(checked, reported), "");
    EXPECT_GT(reported, checked);
    checked = reported;
  }
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const Lsn end = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
  const Outcome list = cluster.workshop().pghaul(format("wal list {}", cluster.place()));
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_EQ(list.out.find("missing"), std::string::npos) << list.out;
}

TEST(Receive, GoesOnAfterTheServerWasRestartedOrCrashed) {
  StreamedCluster cluster;
  cluster.start_receiver();
  auto session = cluster.session();
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  for (const PgServer::StopMode mode : {PgServer::StopMode::fast, PgServer::StopMode::immediate}) {
    ASSERT_TRUE(cluster.server().pgbench_initialize(1));
    session.reset();
    ASSERT_TRUE(cluster.server().stop(mode));
    ASSERT_TRUE(cluster.server().start());
    session = cluster.session();
    cluster.wait_until_streaming(*session);
  }
  const Lsn end = cluster.catch_up(*session);
  const Outcome outcome = cluster.stop_receiver();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("trying again"));
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
}

TEST(Receive, AServerThatEndsHasItsLastBytesStored) {
  StreamedCluster cluster;
  auto session = cluster.session();
  cluster.start_receiver("--flush-interval 60s");
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  ASSERT_TRUE(cluster.server().query("CREATE TABLE t AS SELECT generate_series(1, 100)"));
  session.reset();
  ASSERT_TRUE(cluster.server().stop());
  const Outcome outcome = cluster.stop_receiver();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Lsn end = parse_lsn(json_of(outcome).string_at("durable_lsn").value()).value();
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
  const std::string control =
      cluster.server().run({"pg_controldata", cluster.server().data_directory()}).value();
  // The checkpoint of the shutdown, the last record of all, lies before the end.
  const std::string label = "Latest checkpoint location:";
  const std::string rest = control.substr(control.find(label) + label.size());
  const std::string location =
      rest.substr(rest.find_first_not_of(' '), rest.find('\n') - rest.find_first_not_of(' '));
  EXPECT_LT(parse_lsn(location).value(), end) << location;
}

TEST(Receive, TheArchiverStoresTheSameSegmentsMeanwhile) {
  StreamedCluster cluster({"wal_keep_size = '8GB'", "archive_mode = on", "archive_command = ''"});
  const auto session = cluster.session();
  ASSERT_TRUE(
      cluster.server().configure({format("archive_command = '{} wal push {} %p'",
                                         cluster.workshop().path("pghaul"), cluster.place())}));
  ASSERT_TRUE(cluster.server().query("SELECT pg_reload_conf()"));
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  ASSERT_TRUE(cluster.server().pgbench_initialize(1));
  const std::string last = next_segment(cluster.server());
  EXPECT_TRUE(eventually([&] {
    return cluster.server().query("SELECT last_archived_wal FROM pg_stat_archiver").value() >= last;
  }));
  const Lsn end = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  EXPECT_EQ(cluster.server().query("SELECT failed_count FROM pg_stat_archiver").value(), "0");
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
}

TEST(Receive, AnotherClusterIsRefused) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  auto other = PgServer::create().value();
  ASSERT_TRUE(other->start());
  cluster.start_receiver_from(other->conninfo());
  const Outcome outcome = cluster.wait_for_receiver();
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("belongs to system identifier"));
  // It asks nothing more of that server.
  EXPECT_EQ(other->query("SELECT count(*) FROM pg_replication_slots").value(), "0");
}

TEST(Receive, AServerThatIsNotThereIsStatus15) {
  StreamedCluster cluster;
  cluster.start_receiver_from("host=/nonexistent");
  EXPECT_EQ(cluster.wait_for_receiver().status, 15);
}

TEST(Receive, WalThatWentWithTheSlotIsNamed) {
  StreamedCluster cluster({"wal_keep_size = 0"});
  const auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const Lsn end = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  ASSERT_TRUE(cluster.server().query("SELECT pg_drop_replication_slot('pghaul')"));
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(cluster.server().query("SELECT pg_switch_wal()"));
    ASSERT_TRUE(cluster.server().query("CREATE TABLE IF NOT EXISTS t(i int); CHECKPOINT"));
    ASSERT_TRUE(cluster.server().query("INSERT INTO t VALUES (1)"));
  }
  cluster.start_receiver();
  const Outcome outcome = cluster.wait_for_receiver();
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no more WAL from " + to_string(segment_start(end))));
  EXPECT_THAT(outcome.err, HasSubstr("HINT:"));
}

TEST(Receive, ASlotThatWasDroppedIsMadeAgainWhileTheWalIsThere) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver("--slot mine");
  cluster.wait_until_streaming(*session);
  const Lsn begin = *StreamedCluster::reported(*session);
  EXPECT_EQ(cluster.stop_receiver().status, 0);
  EXPECT_EQ(cluster.server().query("SELECT slot_name FROM pg_replication_slots").value(), "mine");
  ASSERT_TRUE(cluster.server().query("SELECT pg_drop_replication_slot('mine')"));
  ASSERT_TRUE(cluster.server().pgbench_initialize(1));
  ASSERT_TRUE(cluster.server().query("CHECKPOINT"));
  cluster.start_receiver("--slot mine");
  cluster.wait_until_streaming(*session);
  const Lsn end = cluster.catch_up(*session);
  EXPECT_EQ(cluster.stored_fault(begin, end), "");
}

TEST(Receive, ASecondReceiverWaitsForTheSlot) {
  StreamedCluster cluster;
  const auto session = cluster.session();
  cluster.start_receiver();
  cluster.wait_until_streaming(*session);
  const pid_t second = cluster.workshop().start(
      format("exec {} wal receive {} -d '{}'", cluster.workshop().path("pghaul"), cluster.place(),
             cluster.server().conninfo()),
      "second");
  const std::string log = cluster.workshop().path("output/second.err");
  EXPECT_TRUE(eventually([&] {
    return support::read_whole_file(log).value_or("").find("is active") != std::string::npos;
  }));
  cluster.kill_receiver();
  cluster.wait_until_streaming(*session);
  ::kill(second, SIGTERM);
  EXPECT_EQ(cluster.workshop().wait_for(second, "second").status, 0);
}

TEST(Receive, AFailingRepositoryEndsItAndNothingBeyondIsReported) {
  for (const char* faults : {"sync:12+:eio", "write:12+:enospc", "sync_directory:9+:eio"}) {
    SCOPED_TRACE(faults);
    StreamedCluster cluster;
    const auto session = cluster.session();
    const Lsn begin = segment_start(StreamedCluster::flushed(*session));
    Lsn reported;
    std::jthread load([&](const std::stop_token& stop) {
      const auto writer = cluster.session();
      EXPECT_TRUE(writer->query("CREATE TABLE public.t (x text)"));
      while (!stop.stop_requested()) {
        EXPECT_TRUE(writer->query("INSERT INTO public.t SELECT repeat('x', 1000)"));
        reported = std::max(reported, StreamedCluster::reported(*writer).value_or(Lsn{}));
      }
    });
    const Outcome outcome = cluster.workshop().pghaul_with_faults(
        faults, format("wal receive {} -d '{}' --flush-interval 20ms", cluster.place(),
                       cluster.server().conninfo()));
    load.request_stop();
    load.join();
    EXPECT_EQ(outcome.status, 14) << outcome.err;
    ASSERT_TRUE(reported.valid());
    EXPECT_EQ(cluster.stored_fault(std::max(begin, segment_start(reported)), reported), "");
    // The next one goes on where that one ended.
    cluster.start_receiver();
    cluster.wait_until_streaming(*session);
    const Lsn end = cluster.catch_up(*session);
    EXPECT_EQ(cluster.stop_receiver().status, 0);
    EXPECT_EQ(cluster.stored_fault(segment_start(reported), end), "");
  }
}

// Datagrams as systemd gets them.
class ServiceManager {
 public:
  explicit ServiceManager(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    timeval patience{60, 0};
    EXPECT_EQ(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }
  ~ServiceManager() { ::close(socket_); }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Reads until a line with this prefix comes; false after a minute.
  bool hears(const std::string& prefix) {
    char buffer[1024];
    for (;;) {
      const ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
      if (size <= 0) return false;
      const std::string text = "\n" + std::string(buffer, static_cast<std::size_t>(size));
      if (text.find("\n" + prefix) != std::string::npos) return true;
    }
  }

 private:
  int socket_;
};

TEST(Receive, TellsTheServiceManager) {
  StreamedCluster cluster;
  ServiceManager manager(cluster.workshop().path("notify"));
  const pid_t receiver = cluster.workshop().start(
      format("NOTIFY_SOCKET={} WATCHDOG_USEC=400000 exec {} wal receive {} -d '{}'",
             cluster.workshop().path("notify"), cluster.workshop().path("pghaul"), cluster.place(),
             cluster.server().conninfo()),
      "service");
  EXPECT_TRUE(manager.hears("READY=1"));
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  ::kill(receiver, SIGTERM);
  EXPECT_TRUE(manager.hears("STOPPING=1"));
  EXPECT_EQ(cluster.workshop().wait_for(receiver, "service").status, 0);
}

}  // namespace
}  // namespace haul::integration
