// Layouts and events of real clusters that have cost other tools data (see the table in the
// folder's README).

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;

// A server of the test's own, a repository, and the way there and back.
class Traps : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(workshop.pghaul("init --repo " + workshop.path("repo")).status, 0);
  }

  void serve(const std::vector<std::string>& settings = {}) {
    support::PgServerOptions options;
    options.settings = settings;
    server = PgServer::create(options).value();
    ASSERT_TRUE(server->start());
  }

  std::string data(const std::string& name) const { return server->data_directory() + "/" + name; }
  Outcome backup(const std::string& more = "") const {
    return workshop.pghaul(format("backup --repo {} -D {} -c fast --json {}", workshop.path("repo"),
                                  server->data_directory(), more));
  }
  Outcome restore(const std::string& more = "") const {
    return workshop.pghaul(
        format("restore --repo {} -D {} {}", workshop.path("repo"), workshop.path("target"), more));
  }
  // Restores and starts; what `query` answers there.
  std::string restored_answer(const std::string& query, const std::string& more = "") {
    const Outcome outcome = restore(more);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    auto restored = PgServer::adopt(workshop.path("target")).value();
    const auto judged = restored->run({"pg_verifybackup", workshop.path("target")});
    EXPECT_TRUE(judged) << judged.error().message();
    const Status started = restored->start();
    EXPECT_TRUE(started) << started.error().message();
    auto answer = restored->query(query);
    EXPECT_TRUE(answer) << answer.error().message();
    const Status checked = restored->check_relations();
    EXPECT_TRUE(checked) << checked.error().message();
    return answer.value_or("");
  }

  // What pg_checksums has to say about the restored, stopped cluster; empty when nothing.
  std::string restored_checksum_failures() const {
    const auto checked = server->run({"pg_checksums", "--check", workshop.path("target")});
    return checked ? "" : checked.error().message();
  }

  Workshop workshop;
  std::unique_ptr<PgServer> server;
};

TEST_F(Traps, LinkedWalDirectoryBecomesADirectory) {
  serve();
  ASSERT_TRUE(server->stop());
  const std::string elsewhere = server->make_directory("wal-elsewhere").value();
  ASSERT_EQ(workshop
                .shell_as_server(format("mv {0}/* {1}/ && rmdir {0} && ln -s {1} {0}",
                                        data("pg_wal"), elsewhere))
                .status,
            0);
  ASSERT_TRUE(server->start());
  ASSERT_TRUE(server->query("CREATE TABLE t AS SELECT generate_series(1, 1000) n"));
  ASSERT_EQ(backup().status, 0);
  EXPECT_EQ(restored_answer("SELECT count(*) FROM t"), "1000");
  EXPECT_FALSE(std::filesystem::is_symlink(workshop.path("target/pg_wal")));
}

TEST_F(Traps, LinkedConfigurationComesBackAsAFile) {
  serve();
  ASSERT_EQ(workshop
                .shell_as_server(format("mv {0} {1} && ln -s {1} {0}", data("postgresql.conf"),
                                        workshop.path("real.conf")))
                .status,
            0);
  ASSERT_TRUE(server->restart());
  ASSERT_EQ(backup().status, 0);
  EXPECT_EQ(restored_answer("SHOW shared_buffers"), "32MB");
  EXPECT_TRUE(std::filesystem::is_regular_file(workshop.path("target/postgresql.conf")));
  EXPECT_FALSE(std::filesystem::is_symlink(workshop.path("target/postgresql.conf")));
}

TEST_F(Traps, TablespacesInPlaceWithOneNameBeginningLikeTheOther) {
  serve({"allow_in_place_tablespaces = on"});
  const std::string one = server->make_directory("space").value();
  const std::string two = server->make_directory("space2").value();
  ASSERT_TRUE(server->query(format("CREATE TABLESPACE one LOCATION '{}'", one)));
  ASSERT_TRUE(server->query(format("CREATE TABLESPACE two LOCATION '{}'", two)));
  ASSERT_TRUE(server->query("CREATE TABLESPACE inside LOCATION ''"));
  for (const char* space : {"one", "two", "inside"}) {
    ASSERT_TRUE(server->query(
        format("CREATE TABLE t_{0} TABLESPACE {0} AS SELECT generate_series(1, 1000) n", space)));
  }
  ASSERT_EQ(backup().status, 0);
  EXPECT_EQ(restored_answer("SELECT (SELECT count(*) FROM t_one) + (SELECT count(*) FROM t_two) + "
                            "(SELECT count(*) FROM t_inside)",
                            format("-T {}={} -T {}={}", one, workshop.path("moved"), two,
                                   workshop.path("moved2"))),
            "3000");
  EXPECT_TRUE(std::filesystem::exists(workshop.path("moved2")));
}

TEST_F(Traps, SpecialFilesAreSkippedAndNothingHangs) {
  serve();
  ASSERT_EQ(workshop.shell_as_server("mkfifo " + data("a-fifo") + " " + data("base/a-fifo")).status,
            0);
  const Outcome outcome = backup();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("a-fifo"));
  EXPECT_EQ(restored_answer("SELECT 1"), "1");
  EXPECT_FALSE(std::filesystem::exists(workshop.path("target/a-fifo")));
}

TEST_F(Traps, MissingFilenodeMapOfADatabaseFailsTheBackup) {
  serve();
  ASSERT_TRUE(server->query("CREATE DATABASE other"));
  ASSERT_TRUE(server->query("CHECKPOINT"));
  const std::string map =
      data(format("base/{}/pg_filenode.map",
                  server->query("SELECT oid FROM pg_database WHERE datname = 'other'").value()));
  ASSERT_EQ(workshop.shell_as_server(format("mv {0} {0}.away", map)).status, 0);
  const Outcome outcome = backup();
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("pg_filenode.map"));
  ASSERT_EQ(workshop.shell_as_server(format("mv {0}.away {0}", map)).status, 0);
  EXPECT_EQ(backup().status, 0);
}

// Databases, tables and a tablespace that come into being in every phase of a backup.
TEST_F(Traps, ObjectsCreatedAtAnyMomentComeBack) {
  serve({"max_wal_size = 64MB"});
  const std::string space = server->make_directory("late").value();
  std::atomic<bool> stop = false;
  std::int64_t made = 0;
  std::jthread creator([&] {
    ASSERT_TRUE(server->query(format("CREATE TABLESPACE late LOCATION '{}'", space)));
    while (!stop) {
      const std::string name = format("d{}", made);
      const char* strategy = made % 2 == 0 ? "file_copy" : "wal_log";
      if (!server->query(format("CREATE DATABASE {} STRATEGY {}", name, strategy))) break;
      if (!server->query("CREATE TABLE t TABLESPACE late AS SELECT generate_series(1, 100) n",
                         name))
        break;
      ++made;
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  const Outcome outcome = backup();
  const std::int64_t before_end = made;
  stop = true;
  creator.join();
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_TRUE(server->stop());
  // Recovery replays CREATE TABLESPACE at its own place where the backup began before it.
  const std::string mapping = format("-T {}={}", space, workshop.path("moved"));
  const Outcome restored_outcome = restore(mapping);
  ASSERT_EQ(restored_outcome.status, 0) << restored_outcome.err;
  auto restored = PgServer::adopt(workshop.path("target")).value();
  const Status started = restored->start();
  ASSERT_TRUE(started) << started.error().message();
  const std::int64_t present = std::atoll(
      restored->query("SELECT count(*) FROM pg_database WHERE datname LIKE 'd%'").value().c_str());
  EXPECT_GT(present, 0);
  EXPECT_LE(present, before_end + 1);
  for (std::int64_t i = 0; i + 1 < present; ++i) {
    EXPECT_EQ(restored->query("SELECT count(*) FROM t", format("d{}", i)).value_or("none"), "100")
        << i;
  }
}

TEST_F(Traps, RelationsSwitchedBetweenLoggedAndUnloggedComeBackWhole) {
  serve();
  ASSERT_TRUE(server->query("CREATE TABLE t AS SELECT generate_series(1, 5000) n"));
  std::atomic<bool> stop = false;
  std::jthread switcher([&] {
    while (!stop) {
      static_cast<void>(server->query("ALTER TABLE t SET UNLOGGED"));
      static_cast<void>(server->query("ALTER TABLE t SET LOGGED"));
    }
  });
  const int rounds = std::getenv("PGHAUL_TEST_FULL") != nullptr ? 200 : 5;
  for (int round = 0; round < rounds; ++round) {
    const Outcome outcome = backup();
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    ASSERT_EQ(restore().status, 0);
    auto restored = PgServer::adopt(workshop.path("target")).value();
    ASSERT_TRUE(restored->start());
    // As it was at the stop: whole while logged, reset while unlogged.
    const std::string answer = restored
                                   ->query(
                                       "SELECT (SELECT relpersistence FROM pg_class WHERE oid = "
                                       "'t'::regclass) || count(*) FROM t")
                                   .value();
    EXPECT_TRUE(answer == "p5000" || answer == "u0") << answer;
    ASSERT_TRUE(restored->stop());
    workshop.shell_as_server("rm -rf " + workshop.path("target"));
  }
  stop = true;
}

TEST_F(Traps, RootBacksUpAndRestoresForTheServersUser) {
  if (::geteuid() != 0) return;  // there is nobody to act for
  serve();
  ASSERT_EQ(
      workshop
          .shell(format("{} backup --repo {} -D {} -U postgres -c fast", workshop.path("pghaul"),
                        workshop.path("repo"), server->data_directory()))
          .status,
      0);
  EXPECT_EQ(workshop.shell("find " + workshop.path("repo") + " -user root | wc -l").out, "0\n");
  const Outcome restored =
      workshop.shell(format("{} restore --repo {} -D {}", workshop.path("pghaul"),
                            workshop.path("repo"), workshop.path("target")));
  ASSERT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(workshop.shell("find " + workshop.path("target") + " ! -user postgres | wc -l").out,
            "0\n");
  EXPECT_EQ(workshop.shell("find " + workshop.path("target") + " -perm /077 | wc -l").out, "0\n");
  auto server_again = PgServer::adopt(workshop.path("target")).value();
  EXPECT_TRUE(server_again->start());
}

// Every seventh page is torn the first time it is read: none is called damaged, all come back. Then
// real damage: each page is named.
TEST_F(Traps, TornPagesAreReadAgainAndDamagedOnesAreAllNamed) {
  if (::geteuid() != 0) return;  // mounting for another user takes root
  const bool full = std::getenv("PGHAUL_TEST_FULL") != nullptr;
  serve();
  ASSERT_TRUE(server->pgbench_initialize(full ? 600 : 10));
  const std::string relation =
      server->query("SELECT pg_relation_filepath('pgbench_accounts')").value();
  ASSERT_TRUE(server->stop());
  const std::string view = workshop.path("view");
  ASSERT_EQ(workshop.shell_as_server("mkdir " + view).status, 0);
  workshop.shell(format("{} {} {} tear:7 > {} 2>&1 &", HAUL_FAULT_FS, server->data_directory(),
                        view, workshop.path("fault_fs.log")));
  for (int i = 0; i < 100 && !std::filesystem::exists(view + "/PG_VERSION"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const Outcome outcome = workshop.pghaul(
      format("backup --offline --repo {} -D {} --json", workshop.path("repo"), view));
  EXPECT_EQ(workshop.shell("umount " + view).status, 0);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_of(outcome).uint_at("bad_page_count").value(), 0U);
  EXPECT_GE(json_of(outcome).uint_at("pages_reread").value(), full ? 100'000U : 1'000U);
  ASSERT_EQ(restore().status, 0);
  EXPECT_EQ(workshop.shell(format("cmp {} {}", data(relation), workshop.path("target/" + relation)))
                .status,
            0);
  EXPECT_EQ(restored_checksum_failures(), "");

  {
    std::fstream pages(data(relation), std::ios::in | std::ios::out | std::ios::binary);
    for (int block = 0; block < 1000; block += 10) {
      pages.seekg(block * 8192 + 6000);
      const int old = pages.get();
      pages.seekp(block * 8192 + 6000);
      pages.put(static_cast<char>(old ^ 1));
    }
  }
  const Outcome damaged = workshop.pghaul(format("backup --offline --repo {} -D {} --json",
                                                 workshop.path("repo"), server->data_directory()));
  EXPECT_EQ(damaged.status, 3) << damaged.err;
  const Json report = json_of(damaged);
  EXPECT_EQ(report.uint_at("bad_page_count").value(), 100U);
  const Json::Array& named = *report.array_at("bad_pages").value();
  ASSERT_EQ(named.size(), 100U);
  for (std::size_t i = 0; i < named.size(); ++i) {
    EXPECT_EQ(named[i].string_at("path").value(), relation);
    EXPECT_EQ(named[i].uint_at("block").value(), i * 10);
  }
}

// pg_createcluster keeps the configuration under /etc/postgresql.
class DebianCluster : public testing::Test {};

TEST_F(DebianCluster, ConfigurationFromEtcComesAlongAndTheServerStarts) {
  if (::geteuid() != 0) GTEST_SKIP() << "pg_createcluster takes root";
  if (support::pg_bin_directory() != "/usr/lib/postgresql/15/bin") {
    GTEST_SKIP() << "pg_createcluster makes clusters of the system's release";
  }
  const Workshop workshop;
  const std::string name = format("haul{}", ::getpid());
  const std::string drop = format("pg_dropcluster --stop 15 {}", name);
  ASSERT_EQ(workshop
                .shell(format("pg_createcluster 15 {} -d {} -u postgres -- -k -A trust", name,
                              workshop.path("data")))
                .status,
            0);
  EXPECT_EQ(workshop
                .shell(format("sed -i \"s,^unix_socket_directories.*,unix_socket_directories = "
                              "'{}',\" /etc/postgresql/15/{}/postgresql.conf",
                              workshop.path(""), name))
                .status,
            0);
  const Outcome started = workshop.shell(format("pg_ctlcluster 15 {} start", name));
  EXPECT_EQ(started.status, 0) << started.err;
  EXPECT_EQ(workshop.pghaul("init --repo " + workshop.path("repo")).status, 0);
  const Outcome backup = workshop.pghaul(format("backup --repo {} -D {} -c fast --json",
                                                workshop.path("repo"), workshop.path("data")));
  EXPECT_EQ(backup.status, 0) << backup.err;
  EXPECT_THAT(backup.out, HasSubstr("hba_file"));
  const Outcome restored = workshop.pghaul(
      format("restore --repo {} -D {}", workshop.path("repo"), workshop.path("target")));
  EXPECT_EQ(restored.status, 0) << restored.err;
  workshop.shell(drop);
  for (const char* file : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    EXPECT_TRUE(std::filesystem::is_regular_file(workshop.path(std::string("target/") + file)))
        << file;
  }
  auto server = PgServer::adopt(workshop.path("target")).value();
  const auto judged = server->run({"pg_verifybackup", workshop.path("target")});
  EXPECT_TRUE(judged) << judged.error().message();
  const Status running = server->start();
  ASSERT_TRUE(running) << running.error().message();
  EXPECT_EQ(server->query("SHOW data_directory").value(), workshop.path("target"));
  EXPECT_EQ(server->query("SHOW hba_file").value(), workshop.path("target/pg_hba.conf"));
}

}  // namespace
}  // namespace haul::integration
