#include "tests/integration/receive/streamed_cluster.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/tail.h"
#include "engine/wal/wal_archive.h"

namespace haul::integration {

bool full_receive_run() { return std::getenv("PGHAUL_TEST_FULL") != nullptr; }

void sleep_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds});
}

StreamedCluster::StreamedCluster(const std::vector<std::string>& settings) {
  support::PgServerOptions options;
  options.wal_segment_size_mb = 1;
  options.settings = settings;
  options.settings.emplace_back("max_wal_senders = 10");
  options.settings.emplace_back("min_wal_size = '2MB'");
  options.settings.emplace_back("max_wal_size = '64MB'");
  server_ = support::PgServer::create(options).value();
  HAUL_ASSERT(server_->start().has_value());
  EXPECT_EQ(workshop_.pghaul(format("init --repo {}", repository())).status, 0);
}

StreamedCluster::~StreamedCluster() {
  if (receiver_ != 0) kill_receiver();
}

std::string StreamedCluster::place() const {
  return format("--repo {} --cluster main", repository());
}

void StreamedCluster::start_receiver(const std::string& options) {
  start_receiver_from(server_->conninfo(), options);
}

void StreamedCluster::start_receiver_from(const std::string& conninfo, const std::string& options) {
  HAUL_ASSERT(receiver_ == 0);
  receiver_ = workshop_.start_pghaul(
      format("wal receive {} -d '{}' --json {}", place(), conninfo, options));
}

void StreamedCluster::wait_until_streaming(postgres::PgConnection& session) {
  EXPECT_TRUE(eventually([&] { return reported(session).has_value(); }));
}

void StreamedCluster::kill_receiver() {
  ::kill(receiver_, SIGKILL);
  EXPECT_EQ(wait_for_receiver().status, 128 + SIGKILL);
}

Outcome StreamedCluster::stop_receiver() {
  ::kill(receiver_, SIGTERM);
  return wait_for_receiver();
}

Outcome StreamedCluster::wait_for_receiver() {
  return workshop_.wait_for(std::exchange(receiver_, 0));
}

std::unique_ptr<postgres::PgConnection> StreamedCluster::session(const std::string& conninfo) {
  postgres::ConnectionOptions options;
  options.conninfo = conninfo;
  return postgres::PgConnection::open(options).value();
}

std::optional<Lsn> StreamedCluster::reported(postgres::PgConnection& session) {
  const auto row = session.query_row(
      "SELECT max(flush_lsn) FROM pg_stat_replication WHERE application_name = 'pghaul'");
  EXPECT_TRUE(row) << row.error().message();
  if (!row || !row->front()) return std::nullopt;
  return parse_lsn(*row->front());
}

Lsn StreamedCluster::flushed(postgres::PgConnection& session) {
  return parse_lsn(session
                       .query_value("SELECT CASE WHEN pg_is_in_recovery()"
                                    " THEN pg_last_wal_receive_lsn()"
                                    " ELSE pg_current_wal_flush_lsn() END")
                       .value())
      .value();
}

Lsn StreamedCluster::catch_up(postgres::PgConnection& session) {
  const Lsn end = flushed(session);
  EXPECT_TRUE(eventually([&] { return reported(session).value_or(Lsn{}) >= end; }))
      << to_string(reported(session).value_or(Lsn{})) << " of " << to_string(end);
  return end;
}

void StreamedCluster::run_load(int seconds) const { EXPECT_TRUE(server_->run_pgbench(4, seconds)); }

std::uint64_t StreamedCluster::system_identifier() const {
  return std::stoull(server_->query("SELECT system_identifier FROM pg_control_system()").value());
}

std::string StreamedCluster::stored(const std::string& segment) const {
  const auto opened =
      repository::open_local_repository(repository::open_local_directory, repository(),
                                        repository::LocalOwner::process)
          .value();
  const repository::Cluster cluster = opened.cluster("main").value();
  const std::uint64_t system = wal::bound_system(cluster).value().value();
  const wal::WalName name = wal::parse_wal_name(segment).value();
  const auto whole = wal::WalArchive(cluster, system).get(name);
  if (whole) return std::string(text_of(*whole));
  EXPECT_EQ(whole.error().code(), ErrorCode::not_found) << whole.error().message();
  const auto tail = wal::read_tail(cluster, system, name);
  if (tail) return std::string(text_of(tail->bytes));
  EXPECT_EQ(tail.error().code(), ErrorCode::not_found) << tail.error().message();
  return "";
}

std::string StreamedCluster::stored_fault(TimelineId timeline, Lsn begin, Lsn end,
                                          const std::string& wal_directory) const {
  if (begin >= end) return "";
  const std::uint64_t last = (end.value - 1) / kSegmentBytes;
  for (std::uint64_t number = begin.value / kSegmentBytes; number <= last; ++number) {
    const std::string name = postgres::to_name({timeline, number}, kSegmentBytes);
    const std::uint64_t start = number * kSegmentBytes;
    const std::size_t needed = std::min<std::uint64_t>(kSegmentBytes, end.value - start);
    const std::string content = stored(name);
    if (content.size() < needed) {
      return format("{}: {} bytes stored, {} needed", name, content.size(), needed);
    }
    const auto original = support::read_whole_file(wal_directory + "/" + name);
    if (!original) return original.error().message();
    if (content.substr(0, needed) != original->substr(0, needed)) {
      return format("{}: differs from the server's", name);
    }
  }
  return "";
}

}  // namespace haul::integration
