// Backups that take from WAL what has changed: when they refuse, and what the audit finds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/incremental/compare_trees.h"
#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {
namespace {

using support::PgServer;
using support::PgServerOptions;
using testing::HasSubstr;

class ChangesFromWal : public testing::Test {
 protected:
  void start(PgServerOptions::Checksums checksums, const std::vector<std::string>& settings = {}) {
    ASSERT_EQ(workshop_.pghaul("init --repo " + repository()).status, 0);
    PgServerOptions options;
    options.checksums = checksums;
    options.wal_segment_size_mb = 1;
    options.settings = {"autovacuum = off", "archive_mode = on",
                        format("archive_command = '{} wal push --repo {} --batch 16 %p'",
                               workshop_.path("pghaul"), repository())};
    options.settings.insert(options.settings.end(), settings.begin(), settings.end());
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_TRUE(server_->start());
    query("CREATE TABLE t AS SELECT g n, md5(g::text) v FROM generate_series(1, 20000) g");
    query("CREATE TABLE untouched AS SELECT * FROM t");
    query("VACUUM t, untouched");
  }

  std::string repository() const { return workshop_.path("repo"); }
  std::string query(const std::string& sql) const {
    const auto answer = server_->query(sql);
    EXPECT_TRUE(answer) << answer.error().message();
    return answer.value_or("");
  }
  void change() const { query("UPDATE t SET v = md5(v) WHERE n % 500 = 1"); }
  void restart_with(const std::vector<std::string>& settings) const {
    ASSERT_TRUE(server_->configure(settings));
    ASSERT_TRUE(server_->restart());
  }

  Outcome back_up_from(const PgServer& server, const std::string& options) const {
    return workshop_.pghaul(
        format("backup --repo {} -D {} -d '{}' -c fast --json -q --wal include {}", repository(),
               server.data_directory(), server.conninfo(), options));
  }
  Outcome back_up(const std::string& options) const { return back_up_from(*server_, options); }
  void expect_backup(const std::string& options, const std::string& changes) const {
    const Outcome outcome = back_up(options);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json_of(outcome).string_at("changes").value_or(""), changes) << outcome.err;
  }
  // The newest backup is, page by page, what the server has on disk.
  void expect_restored_as_it_is() const {
    const std::string restored = workshop_.path("restored");
    ASSERT_EQ(workshop_.pghaul(format("restore latest -q --repo {} -D {}", repository(), restored))
                  .status,
              0);
    EXPECT_THAT(compare_trees(server_->data_directory(), restored), testing::IsEmpty());
  }
  std::size_t backups() const {
    const Json json = json_of(workshop_.pghaul("info --json --repo " + repository()));
    return (*json.array_at("backups"))->size();
  }
  // Refused by one line and a hint, and nothing has come of it.
  void expect_refused(const std::string& condition, const std::string& words) const {
    const std::size_t before = backups();
    const Outcome outcome = back_up("--changes wal");
    EXPECT_EQ(outcome.status, 15) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("(condition " + condition + ")"));
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_THAT(outcome.err, HasSubstr("HINT:  --changes scan"));
    EXPECT_EQ(backups(), before);
  }
  // Of a page of a table, behind the server's back.
  void overwrite(const std::string& table, int block) const {
    const std::string file =
        server_->data_directory() + "/" + query(format("SELECT pg_relation_filepath('{}')", table));
    ASSERT_TRUE(server_->stop());
    const Outcome done = workshop_.shell_as_server(
        format("touch -r {0} {0}.time && printf tampered | dd of={0} bs=1 seek={1} conv=notrunc "
               "status=none && touch -r {0}.time {0} && rm {0}.time",
               file, block * 8192 + 8000));
    ASSERT_EQ(done.status, 0) << done.err;
    ASSERT_TRUE(server_->start());
  }

  Workshop workshop_;
  std::unique_ptr<PgServer> server_;
};

TEST_F(ChangesFromWal, FirstBackupIsFullAndTheNextReadsLittle) {
  start(PgServerOptions::Checksums::on);
  workshop_.shell("sleep 3");  // what was written just before is read whole
  expect_backup("--changes wal", "scan");
  change();
  const Outcome outcome = back_up("--changes wal --audit 0");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = json_of(outcome);
  EXPECT_EQ(json.string_at("changes").value_or(""), "wal");
  EXPECT_LT(json.uint_at("read_bytes").value_or(0), json.uint_at("source_bytes").value_or(0) / 2);
}

// The first is all zeros.
TEST_F(ChangesFromWal, RelationOfTwoFiles) {
  start(PgServerOptions::Checksums::on);
  query("CREATE TABLE large (n bigint, v text)");
  const std::string file =
      server_->data_directory() + "/" + query("SELECT pg_relation_filepath('large')");
  ASSERT_TRUE(server_->stop());
  ASSERT_EQ(workshop_.shell_as_server("truncate -s 1G " + file).status, 0);
  ASSERT_TRUE(server_->start());
  query("INSERT INTO large SELECT g, md5(g::text) FROM generate_series(1, 200000) g");
  expect_backup("", "scan");
  query("UPDATE large SET v = md5(v) WHERE n % 5000 = 1");
  expect_backup("--changes wal --audit 0", "wal");
  expect_restored_as_it_is();
  EXPECT_NE(query("SELECT count(*) FROM large WHERE ctid >= '(131072,0)'"), "0");
}

// As after a crash that lost the WAL of what was inserted behind a truncation: zeros, of which
// nothing tells but that the relation was cut off there.
TEST_F(ChangesFromWal, WhatGrewAgainBehindATruncationIsNotTheParents) {
  start(PgServerOptions::Checksums::on);
  // Empty pages that no record names any more when they are cut off.
  query("DELETE FROM t WHERE ctid > '(20,0)'");
  query("VACUUM (TRUNCATE off) t");
  expect_backup("", "scan");
  query("VACUUM t");
  const std::string file =
      server_->data_directory() + "/" + query("SELECT pg_relation_filepath('t')");
  ASSERT_EQ(query("SELECT pg_relation_size('t') <= 21 * 8192"), "t");
  ASSERT_TRUE(server_->stop());
  ASSERT_EQ(workshop_.shell_as_server(format("truncate -s {} {}", 40 * 8192, file)).status, 0);
  ASSERT_TRUE(server_->start());
  expect_backup("--changes wal --audit 0", "wal");
  expect_restored_as_it_is();
}

TEST_F(ChangesFromWal, DatabaseThatWasMadeAnewUnderTheSameOid) {
  start(PgServerOptions::Checksums::on);
  if (support::pg_major() < 15) GTEST_SKIP() << "before PostgreSQL 15 nobody chooses an oid";
  query("CREATE DATABASE again OID 70000");
  ASSERT_TRUE(server_->query("CREATE TABLE mark AS SELECT 1 n", "again"));
  query("CHECKPOINT");
  workshop_.shell("sleep 3");
  expect_backup("--changes wal", "scan");
  query("DROP DATABASE again");
  query("CREATE DATABASE again OID 70000 STRATEGY file_copy");
  query("CHECKPOINT");
  expect_backup("--changes wal", "wal");
  expect_restored_as_it_is();
}

// Most relations that are written by images alone are new, and all of them is read; this one is
// not.
TEST_F(ChangesFromWal, PageThatOnlyAnImageTellsOf) {
  start(PgServerOptions::Checksums::on);
  if (query("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_surgery'") == "0") {
    GTEST_SKIP() << "PostgreSQL 13 has no pg_surgery";
  }
  query("CREATE EXTENSION pg_surgery");
  workshop_.shell("sleep 3");
  expect_backup("--changes wal", "scan");
  query("SELECT heap_force_freeze('untouched', ARRAY['(7, 1)'::tid])");
  query("CHECKPOINT");
  expect_backup("--changes wal", "wal");
  expect_restored_as_it_is();
}

TEST_F(ChangesFromWal, ChangeThatNoWalTellsOfEndsTheBackupAndIsRemembered) {
  start(PgServerOptions::Checksums::off, {"wal_log_hints = on"});
  expect_backup("", "scan");
  overwrite("untouched", 3);
  const Outcome outcome = back_up("--changes wal --audit 100%");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("block 3 of base/"));
  EXPECT_THAT(outcome.err, HasSubstr("\nHINT:  "));
  EXPECT_EQ(backups(), 1U);
  // Until all was read, WAL is not believed, and the user is told.
  const Outcome next = back_up("--changes wal");
  ASSERT_EQ(next.status, 0) << next.err;
  EXPECT_EQ(json_of(next).string_at("changes").value_or(""), "scan");
  EXPECT_THAT(next.err, HasSubstr("(condition 7)"));
  EXPECT_GT(json_of(next).uint_at("changed_bytes").value_or(0), 0U);
  expect_backup("--changes wal --audit 100%", "wal");
}

// The time says that something has written to it: all of it is read, whatever the audit takes.
TEST_F(ChangesFromWal, FileThatWasWrittenToIsReadWhole) {
  start(PgServerOptions::Checksums::off, {"wal_log_hints = on"});
  query("CHECKPOINT");
  expect_backup("", "scan");
  const std::string file = query("SELECT pg_relation_filepath('untouched')");
  workshop_.shell("sleep 3");
  overwrite("untouched", 3);
  workshop_.shell_as_server("touch " + server_->data_directory() + "/" + file);
  const Outcome outcome = back_up("--changes wal --audit 0");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("block 3 of " + file));
}

TEST_F(ChangesFromWal, ChecksumsThatWereSwitchedAreRefused) {
  start(PgServerOptions::Checksums::on, {"wal_log_hints = on"});
  expect_backup("", "scan");
  ASSERT_TRUE(server_->stop());
  ASSERT_TRUE(server_->run({"pg_checksums", "--disable", "-D", server_->data_directory()}));
  ASSERT_TRUE(server_->start());
  expect_refused("4", "data checksums were on");
}

TEST_F(ChangesFromWal, HintsThatAreNotLoggedAreRefused) {
  start(PgServerOptions::Checksums::off);
  expect_backup("", "scan");
  expect_refused("4", "wal_log_hints has to be on");
}

TEST_F(ChangesFromWal, HintsThatWereNotLoggedForAWhileAreRefused) {
  start(PgServerOptions::Checksums::off, {"wal_log_hints = on"});
  expect_backup("", "scan");
  restart_with({"wal_log_hints = off"});
  change();
  restart_with({"wal_log_hints = on"});
  expect_refused("4", "wal_log_hints was off from");
  expect_backup("--changes scan", "scan");
  expect_backup("--changes wal", "wal");
}

TEST_F(ChangesFromWal, MinimalWalForAWhileIsRefused) {
  start(PgServerOptions::Checksums::on);
  expect_backup("", "scan");
  restart_with({"wal_level = minimal", "max_wal_senders = 0", "archive_mode = off"});
  change();
  restart_with({"wal_level = replica", "max_wal_senders = 10", "archive_mode = on"});
  expect_refused("4", "wal_level was minimal from");
}

TEST_F(ChangesFromWal, OfflineParentIsRefused) {
  start(PgServerOptions::Checksums::on);
  ASSERT_TRUE(server_->stop());
  ASSERT_EQ(workshop_
                .pghaul(format("backup --offline -q --repo {} -D {}", repository(),
                               server_->data_directory()))
                .status,
            0);
  ASSERT_TRUE(server_->start());
  expect_refused("1", "offline");
}

TEST_F(ChangesFromWal, MissingSegmentIsRefused) {
  start(PgServerOptions::Checksums::on, {"min_wal_size = 2MB", "max_wal_size = 2MB"});
  expect_backup("", "scan");
  std::string lost;
  for (int i = 0; i < 8; ++i) {
    change();
    const std::string name = query("SELECT pg_walfile_name(pg_switch_wal())");
    if (i == 2) lost = name;
    query("CHECKPOINT");
  }
  for (int i = 0; i < 100; ++i) {
    if (query(format("SELECT last_archived_wal > '{}' FROM pg_stat_archiver", lost)) == "t") break;
    workshop_.shell("sleep 0.1");
  }
  query("CHECKPOINT");
  workshop_.shell_as_server(format("rm -f {}/pg_wal/{}", server_->data_directory(), lost));
  ASSERT_NE(workshop_.shell(format("find {} -name '{}*' -delete -print", repository(), lost)).out,
            "");
  expect_refused("1", lost);
}

// A parent that was made on a history that this one has left before the parent's end.
TEST_F(ChangesFromWal, ParentOnAnotherHistoryIsRefused) {
  start(PgServerOptions::Checksums::on);
  expect_backup("", "scan");
  query("SELECT pg_switch_wal()");
  change();
  expect_backup("--changes wal", "wal");
  ASSERT_TRUE(server_->stop());
  const Json info = json_of(workshop_.pghaul("info --json --repo " + repository()));
  const std::string first = (**info.array_at("backups"))[0].string_at("backup").value();
  // In place, so that it is the same directory.
  const Outcome restored = workshop_.pghaul(
      format("restore {} --delta --target immediate --take-over -q --repo {} -D {}", first,
             repository(), server_->data_directory()));
  ASSERT_EQ(restored.status, 0) << restored.err;
  ASSERT_TRUE(server_->start());
  for (int i = 0; i < 100 && query("SELECT pg_is_in_recovery()") == "t"; ++i) {
    workshop_.shell("sleep 0.1");
  }
  query("CHECKPOINT");
  for (int i = 0; i < 20; ++i) {
    change();
    query("SELECT pg_switch_wal()");
  }
  expect_refused("2", "is not on the history");
}

TEST_F(ChangesFromWal, ParentFromAnotherDirectoryMeansReadingEverything) {
  start(PgServerOptions::Checksums::on);
  expect_backup("", "scan");
  ASSERT_EQ(workshop_
                .pghaul(format("restore latest -q --repo {} -D {}", repository(),
                               workshop_.path("clone")))
                .status,
            0);
  ASSERT_TRUE(server_->stop());
  auto clone = PgServer::adopt(workshop_.path("clone")).value();
  ASSERT_TRUE(clone->start());
  const Outcome outcome = back_up_from(*clone, "--changes wal");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_of(outcome).string_at("changes").value_or(""), "scan");
  EXPECT_THAT(outcome.err, HasSubstr("(condition 3)"));
  ASSERT_TRUE(clone->stop());
}

TEST_F(ChangesFromWal, LostPackIsRefusedAndMadeUpForByAScan) {
  start(PgServerOptions::Checksums::on);
  expect_backup("", "scan");
  ASSERT_NE(workshop_
                .shell(format("find {}/clusters/main/packs -type f -printf '%s %p\\n' | sort -n | "
                              "tail -n 1 | cut -d' ' -f2 | xargs -I% sh -c 'rm % && echo %'",
                              repository()))
                .out,
            "");
  const Outcome outcome = back_up("--changes wal");
  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("HINT:  --changes scan stores anew"));
  EXPECT_EQ(backups(), 1U);
  expect_backup("--changes scan", "scan");
  EXPECT_EQ(workshop_
                .pghaul(format("restore latest -q --repo {} -D {}", repository(),
                               workshop_.path("restored")))
                .status,
            0);
}

}  // namespace
}  // namespace haul::integration
