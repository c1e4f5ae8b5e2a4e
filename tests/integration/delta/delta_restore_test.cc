// restore --delta: a cluster that went on after its backup, was damaged, or holds a restore that
// was cut off, becomes what a plain restore makes elsewhere.

#include <chrono>
#include <filesystem>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/faults/scene.h"
#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {
namespace {

namespace fs = std::filesystem;
using support::PgServer;
using testing::HasSubstr;

// What was there when the backup was made.
constexpr const char* kBefore = R"(
  CREATE TABLE kept AS SELECT n, md5(n::text) AS text FROM generate_series(1, 60000) n;
  CREATE INDEX ON kept (n);
  CREATE TABLE dropped AS SELECT n FROM generate_series(1, 20000) n;
  CREATE TABLE emptied AS SELECT n FROM generate_series(1, 20000) n;
  CREATE TABLE moved TABLESPACE space AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
  CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) n)";

// What happens to it afterwards.
constexpr const char* kAfter = R"(
  UPDATE kept SET text = 'later' WHERE n % 50 = 0;
  DELETE FROM kept WHERE n > 59000;
  DROP TABLE dropped;
  TRUNCATE emptied;
  CREATE TABLE created AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n;
  INSERT INTO moved SELECT n, 'more' FROM generate_series(1, 30000) n;
  VACUUM FULL kept;
  REINDEX TABLE kept;
  CHECKPOINT)";

class DeltaRestore : public testing::Test {
 protected:
  void SetUp() override {
    auto made = PgServer::create();
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    space_ = server_->make_directory("space").value();
    ASSERT_TRUE(server_->start());
    run("CREATE DATABASE doomed");
    run(format("CREATE TABLESPACE space LOCATION '{}'", space_));
    run(kBefore);
    ASSERT_EQ(pghaul(format("init --repo {}", path("repo"))).status, 0);
    const Outcome backup = pghaul(format("backup --repo {} -D {} -c fast --json -q", path("repo"),
                                         server_->data_directory()));
    ASSERT_EQ(backup.status, 0) << backup.err;
    const Outcome plain = pghaul(format("restore --repo {} -D {} -T {}={} --json -q", path("repo"),
                                        path("plain"), space_, path("plain-space")));
    ASSERT_EQ(plain.status, 0) << plain.err;
    plain_ = json_of(plain);
  }

  void run(const std::string& sql, const std::string& dbname = "postgres") {
    const auto done = server_->query(sql, dbname);
    ASSERT_TRUE(done) << done.error().message();
  }
  // Statement by statement, for what runs in no transaction.
  void run_each(std::string_view statements) {
    while (!statements.empty()) {
      const std::size_t end = std::min(statements.find(';'), statements.size() - 1) + 1;
      run(std::string(statements.substr(0, end)));
      statements.remove_prefix(end);
    }
  }
  void go_on() {
    run_each(kAfter);
    run("DROP DATABASE doomed");
    run("CREATE DATABASE born");
    run("CREATE TABLE t AS SELECT n FROM generate_series(1, 5000) n", "born");
    newer_space_ = server_->make_directory("newer").value();
    run(format("CREATE TABLESPACE newer LOCATION '{}'", newer_space_));
    run("ALTER TABLE emptied SET TABLESPACE newer");
  }

  std::string path(const std::string& name) const { return workshop_.path(name); }
  Outcome pghaul(const std::string& arguments) const { return workshop_.pghaul(arguments); }
  std::string delta_command(const std::string& more = "") const {
    return format("restore --delta --repo {} -D {} --json -q {}", path("repo"),
                  server_->data_directory(), more);
  }
  Json restore_delta() {
    const Outcome outcome = pghaul(delta_command());
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(outcome);
  }

  // But for what names the places of tablespaces.
  static Tree comparable(const std::string& directory) {
    Tree tree = tree_of(directory);
    tree.erase("tablespace_map");
    // Links go by where they lead to.
    std::erase_if(tree, [](const auto& entry) { return entry.first.starts_with("../"); });
    return tree;
  }
  void expect_as_plain() {
    EXPECT_EQ(tree_difference(comparable(path("plain")), comparable(server_->data_directory())),
              "");
    EXPECT_EQ(tree_difference(tree_of(path("plain-space")), tree_of(space_)), "");
    EXPECT_EQ(
        fs::read_symlink(fs::directory_iterator(server_->data_directory() + "/pg_tblspc")->path())
            .string(),
        space_);
    const auto verified = server_->run({"pg_verifybackup", server_->data_directory()});
    EXPECT_TRUE(verified) << verified.error().message();
  }
  void expect_runs() {
    const Status started = server_->start();
    ASSERT_TRUE(started) << started.error().message();
    EXPECT_EQ(server_->query("SELECT count(*), count(*) FILTER (WHERE text = 'later') FROM kept")
                  .value_or(""),
              "60000|0");
    EXPECT_EQ(server_->query("SELECT (SELECT count(*) FROM dropped), (SELECT count(*) FROM moved)")
                  .value_or(""),
              "20000|20000");
    EXPECT_EQ(server_
                  ->query("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database "
                          "WHERE NOT datistemplate")
                  .value_or(""),
              "doomed,postgres");
    const Status checked = server_->check_relations();
    EXPECT_TRUE(checked) << checked.error().message();
    ASSERT_TRUE(server_->stop());
  }

  const Workshop workshop_;
  std::unique_ptr<PgServer> server_;
  std::string space_;
  std::string newer_space_;
  Json plain_;
};

TEST_F(DeltaRestore, ClusterThatWentOnComesBack) {
  go_on();
  ASSERT_TRUE(server_->stop());
  const Json report = restore_delta();
  expect_as_plain();
  EXPECT_EQ(report.uint_at("kept_bytes").value() + report.uint_at("rewritten_bytes").value(),
            report.uint_at("bytes").value());
  // Most of a cluster are the catalogs of its templates.
  EXPECT_GT(report.uint_at("kept_bytes").value(), report.uint_at("bytes").value() / 3);
  EXPECT_GT(report.uint_at("removed").value(), 300U) << "the files of a database";
  EXPECT_TRUE(fs::is_empty(newer_space_));
  std::cout << format("kept {}, rewritten {}, removed {}, copy {} ms; plain {} ms\n",
                      report.uint_at("kept_bytes").value(),
                      report.uint_at("rewritten_bytes").value(), report.uint_at("removed").value(),
                      report.uint_at("copy_ms").value(), plain_.uint_at("copy_ms").value());
  expect_runs();
}

TEST_F(DeltaRestore, ClusterThatCrashedComesBack) {
  go_on();
  ASSERT_TRUE(server_->stop(PgServer::StopMode::immediate));
  restore_delta();
  expect_as_plain();
  expect_runs();
}

TEST_F(DeltaRestore, FlippedBytesUnderOldTimesAreRepaired) {
  ASSERT_TRUE(server_->stop());
  restore_delta();
  std::size_t flipped = 0;
  for (const auto& entry : fs::recursive_directory_iterator(server_->data_directory())) {
    if (!entry.is_regular_file() || entry.file_size() < 8192 || ++flipped % 40 != 0) continue;
    const std::string name = entry.path().string();
    const Outcome done = workshop_.shell_as_server(
        format("touch -r {0} {1} && printf X | dd of={0} bs=1 seek={2} conv=notrunc status=none && "
               "touch -r {1} {0}",
               name, path("times"), entry.file_size() / 2));
    ASSERT_EQ(done.status, 0) << done.err;
  }
  ASSERT_GT(flipped, 100U);
  const Json report = restore_delta();
  expect_as_plain();
  EXPECT_GT(report.uint_at("rewritten_bytes").value(), 8192U * (flipped / 40));
  // A page each, pg_control, and configuration.
  EXPECT_LT(report.uint_at("rewritten_bytes").value(), 8192U * (flipped / 40) + 64 * 1024);
  expect_runs();
}

TEST_F(DeltaRestore, NothingIsTouchedWhereAServerRuns) {
  const Outcome outcome = pghaul(delta_command());
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a server runs in"));
  EXPECT_FALSE(fs::exists(server_->data_directory() + "/pghaul.restore-unfinished"));
  EXPECT_EQ(server_->query("SELECT count(*) FROM kept").value_or(""), "60000");
  ASSERT_TRUE(server_->stop());
}

TEST_F(DeltaRestore, AnotherClusterAndOtherDirectoriesAreLeftAsTheyWere) {
  ASSERT_TRUE(server_->stop());
  auto other = PgServer::create().value();
  const Tree before = tree_of(other->data_directory());
  const std::string command =
      format("restore --delta --repo {} -T {}={} -D ", path("repo"), space_, path("nowhere"));
  const Outcome of_other = pghaul(command + other->data_directory());
  EXPECT_EQ(of_other.status, 15) << of_other.err;
  EXPECT_THAT(of_other.err, HasSubstr("belongs to system identifier"));
  EXPECT_EQ(tree_difference(before, tree_of(other->data_directory())), "");

  ASSERT_EQ(
      workshop_.shell_as_server(format("mkdir {0} && echo dear > {0}/letter", path("home"))).status,
      0);
  const Outcome of_home = pghaul(command + path("home"));
  EXPECT_EQ(of_home.status, 2) << of_home.err;
  EXPECT_EQ(tree_of(path("home")).size(), 1U);
  EXPECT_FALSE(fs::exists(path("nowhere")));

  // Without --delta nothing that is there is taken.
  const Outcome plain =
      pghaul(format("restore --repo {} -D {}", path("repo"), server_->data_directory()));
  EXPECT_EQ(plain.status, 2) << plain.err;
}

TEST_F(DeltaRestore, WalThatIsNotArchivedIsNotThrownAway) {
  ASSERT_TRUE(server_->stop());
  const std::string ready =
      server_->data_directory() + "/pg_wal/archive_status/00000001000000000000000A.ready";
  ASSERT_EQ(workshop_.shell_as_server("touch " + ready).status, 0);
  const Tree before = tree_of(server_->data_directory());
  const Outcome outcome = pghaul(delta_command());
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("holds WAL that is not archived yet: "
                                     "00000001000000000000000A\nHINT:  archive them"));
  EXPECT_EQ(tree_difference(before, tree_of(server_->data_directory())), "");
  ASSERT_EQ(workshop_.shell_as_server("rm " + ready).status, 0);
  restore_delta();
  expect_as_plain();
}

TEST_F(DeltaRestore, StartsTheServer) {
  go_on();
  ASSERT_TRUE(server_->stop());
  const Outcome outcome = pghaul(delta_command("--start"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_of(outcome).string_at("server").value_or(""), "ready");
  const Outcome stopped = workshop_.shell_as_server(format(
      "{}/pg_ctl -D {} -m fast -w stop", support::pg_bin_directory(), server_->data_directory()));
  EXPECT_EQ(stopped.status, 0) << stopped.err;
  expect_runs();
}

}  // namespace
}  // namespace haul::integration
