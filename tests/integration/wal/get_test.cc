// A server recovers with pghaul as its restore_command. Whatever keeps a segment from it, it never
// takes that for the end of the archive.

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/types.h"
#include "engine/postgres/wal_segment.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint32_t kSegmentBytes = 1U << 20;

class WalGet : public testing::Test {
 protected:
  // A backup at 1,000 rows, and WAL of 5,000 more in the archive.
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    options.settings = {"archive_mode = on", format("archive_command = '{} wal push --repo {} %p'",
                                                    workshop_.path("pghaul"), repo_)};
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_EQ(workshop_.pghaul("init --repo " + repo_).status, 0);
    ASSERT_TRUE(server_->start());
    ASSERT_TRUE(
        server_->query("CREATE TABLE t AS SELECT n, repeat('x', 1000) "
                       "FROM generate_series(1, 1000) n"));
    const Outcome backup = workshop_.pghaul(
        format("backup --repo {} -D {} -c fast -q", repo_, server_->data_directory()));
    ASSERT_EQ(backup.status, 0) << backup.err;
    ASSERT_TRUE(
        server_->query("INSERT INTO t SELECT n, repeat('y', 1000) "
                       "FROM generate_series(1001, 6000) n"));
    const auto now = parse_lsn(server_->query("SELECT pg_current_wal_lsn()").value_or(""));
    ASSERT_TRUE(now);
    middle_ = postgres::to_name({TimelineId{1}, now->value / kSegmentBytes - 2}, kSegmentBytes);
    const std::string last = server_->query("SELECT pg_walfile_name(pg_switch_wal())").value_or("");
    for (int i = 0; i < 600 && archived() < last; ++i) workshop_.shell("sleep 0.1");
    ASSERT_GE(archived(), last);
    ASSERT_TRUE(server_->stop());
  }

  std::string archived() const {
    return server_->query("SELECT last_archived_wal FROM pg_stat_archiver").value_or("");
  }
  // In the repository, of the segment in the middle of what recovery needs.
  std::string object() const {
    const Outcome found = workshop_.shell(format("find {} -name {}", repo_, middle_));
    return found.out.substr(0, found.out.find('\n'));
  }
  void as_server(const std::string& command) const {
    const Outcome outcome = workshop_.shell_as_server(command);
    ASSERT_EQ(outcome.status, 0) << command << ": " << outcome.err;
  }

  // A fresh restore that recovers from the archive.
  std::string restore(const std::string& options) {
    const std::string target = workshop_.path(format("target{}", ++targets_));
    const Outcome restored =
        workshop_.pghaul(format("restore --repo {} -D {} --target immediate -q", repo_, target));
    EXPECT_EQ(restored.status, 0) << restored.err;
    as_server(
        format("rm -f {0}/recovery.signal {0}/standby.signal && touch {0}/recovery.signal && "
               ": > {0}/postgresql.auto.conf && "
               "cat >> {0}/postgresql.auto.conf <<'EOF'\n"
               "archive_mode = off\n"
               "restore_command = '{1} wal get --repo {2} {3} %f %p'\nEOF\n",
               target, workshop_.path("pghaul"), repo_, options));
    return target;
  }
  // The same, with this in the place of restore_command.
  std::string restore_by_script(const std::string& script) {
    const std::string target = restore("");
    const std::string path = workshop_.path("restore_command");
    as_server(
        format("cat > {0} <<'EOF'\n#!/bin/sh\n{1}\n"
               "exec {2} wal get --repo {3} \"$1\" \"$2\"\nEOF\n"
               "chmod 755 {0} && cat >> {4}/postgresql.auto.conf <<'EOF'\n"
               "restore_command = '{0} %f %p'\nwal_retrieve_retry_interval = '100ms'\nEOF\n",
               path, script, workshop_.path("pghaul"), repo_, target));
    return target;
  }
  // A standby that is in the midst of it.
  std::unique_ptr<PgServer> start_standby(const std::string& target) {
    as_server(format("mv {0}/recovery.signal {0}/standby.signal", target));
    auto adopted = PgServer::adopt(target);
    EXPECT_TRUE(adopted) << adopted.error().message();
    if (!adopted) return nullptr;
    const Status started = (*adopted)->start();
    EXPECT_TRUE(started) << started.error().message();
    return started ? std::move(adopted).take() : nullptr;
  }
  static std::string rows(const PgServer& server) {
    return server.query("SELECT count(*) FROM t").value_or("?");
  }
  template <typename Condition>
  void wait_until(const Condition& condition) {
    for (int i = 0; i < 600 && !condition(); ++i) workshop_.shell("sleep 0.05");
    EXPECT_TRUE(condition());
  }
  std::string control(const std::string& target) const {
    const auto text = server_->run({"pg_controldata", "-D", target});
    return text ? *text : text.error().message();
  }
  // Starts the server, which must not get to the end of its recovery.
  void expect_no_promotion(const std::string& target) {
    auto adopted = PgServer::adopt(target);
    ASSERT_TRUE(adopted) << adopted.error().message();
    static_cast<void>((*adopted)->start());
    for (int i = 0; i < 50 && (*adopted)->is_running(); ++i) workshop_.shell("sleep 0.1");
    static_cast<void>((*adopted)->stop(PgServer::StopMode::immediate));
    EXPECT_THAT(control(target), HasSubstr("Latest checkpoint's TimeLineID:       1\n"));
    EXPECT_EQ(workshop_.shell(format("test -e {}/recovery.signal", target)).status, 0);
    EXPECT_EQ(workshop_.shell(format("ls {}/pg_wal/*.history", target)).status, 2);
  }
  void expect_whole_recovery(const std::string& target) {
    auto adopted = PgServer::adopt(target);
    ASSERT_TRUE(adopted) << adopted.error().message();
    const Status started = (*adopted)->start();
    ASSERT_TRUE(started) << started.error().message();
    for (int i = 0; i < 300; ++i) {
      if ((*adopted)->query("SELECT pg_is_in_recovery()").value_or("t") == "f") break;
      workshop_.shell("sleep 0.1");
    }
    EXPECT_EQ((*adopted)->query("SELECT count(*) || ' ' || max(n) FROM t").value_or("?"),
              "6000 6000");
    EXPECT_TRUE((*adopted)->stop());
  }

  Workshop workshop_;
  const std::string repo_ = workshop_.path("repo");
  std::unique_ptr<PgServer> server_;
  std::string middle_;
  int targets_ = 0;
};

TEST_F(WalGet, ServerRecoversToTheEndOfTheArchive) { expect_whole_recovery(restore("")); }

// The process that looks ahead holds neither the server's log pipe nor its end back.
TEST_F(WalGet, NothingIsLeftOfLookingAhead) {
  const std::string target = restore("--prefetch 4");
  expect_whole_recovery(target);
  const std::string ahead = "pgrep -f '[w]al prefetch .*" + target + "/pg_wal'";
  for (int i = 0; i < 100 && workshop_.shell(ahead).status == 0; ++i) workshop_.shell("sleep 0.1");
  EXPECT_EQ(workshop_.shell(ahead).out, "");
  const Outcome spool = workshop_.shell("ls " + target + "/pg_wal/pghaul-spool/*");
  EXPECT_EQ(spool.out, "lock\n") << spool.err;
}

TEST_F(WalGet, WithoutLookingAheadItRecoversAsWell) {
  const std::string target = restore("--prefetch 0");
  expect_whole_recovery(target);
  EXPECT_NE(workshop_.shell("test -e " + target + "/pg_wal/pghaul-spool").status, 0);
}

TEST_F(WalGet, WhateverKeepsASegmentAwayIsNotTheEndOfTheArchive) {
  const std::string path = object();
  ASSERT_NE(path, "");
  struct Trouble {
    const char* name;
    std::string make;
    std::string mend;
  };
  const Trouble troubles[] = {
      {"corrupt",
       format("cp {0} {0}.kept && printf X | dd of={0} bs=1 seek=3000 conv=notrunc", path),
       format("mv {0}.kept {0}", path)},
      {"truncated", format("cp {0} {0}.kept && truncate -s 5000 {0}", path),
       format("mv {0}.kept {0}", path)},
      {"empty", format("cp {0} {0}.kept && : > {0}", path), format("mv {0}.kept {0}", path)},
      {"unreadable", format("chmod 0 {}", path), format("chmod 600 {}", path)},
      {"a directory of another one", format("chmod 0 {}", path.substr(0, path.rfind('/'))),
       format("chmod 700 {}", path.substr(0, path.rfind('/')))},
      {"unmounted", format("mv {0} {0}.away && mkdir {0}", repo_),
       format("rmdir {0} && mv {0}.away {0}", repo_)},
      {"gone", format("mv {0} {0}.away", repo_), format("mv {0}.away {0}", repo_)},
      {"another repository",
       format("mv {0} {0}.away && {1} init --repo {0}", repo_, workshop_.path("pghaul")),
       format("rm -rf {0} && mv {0}.away {0}", repo_)}};
  for (const Trouble& trouble : troubles) {
    SCOPED_TRACE(trouble.name);
    const std::string target = restore("");
    as_server(trouble.make);
    const Outcome got = workshop_.pghaul(
        format("wal get --repo {} {} {}/pg_wal/RECOVERYXLOG", repo_, middle_, target));
    EXPECT_EQ(got.status, 126) << got.err;
    EXPECT_EQ(workshop_.shell(format("test -e {}/pg_wal/RECOVERYXLOG", target)).status, 1);
    expect_no_promotion(target);
    as_server(trouble.mend);
    expect_whole_recovery(target);
  }
}

TEST_F(WalGet, MissingSegmentIsOne) {
  const std::string target = restore("");
  const Outcome got = workshop_.pghaul(format("wal get --repo {} {} {}/pg_wal/RECOVERYXLOG", repo_,
                                              "0000000100000000000000FF", target));
  EXPECT_EQ(got.status, 1) << got.err;
  EXPECT_EQ(got.err, "");
}

// The segments that were kept ready are there, the others not: neither is the end of the archive.
TEST_F(WalGet, RepositoryThatGoesAwayDuringReplayIsNotTheEndOfTheArchive) {
  const std::string trap = workshop_.path("trap");
  as_server("touch " + trap);
  const std::string target = restore_by_script(format(
      "test \"$1\" = {0} && mv {1} {1}.used 2>/dev/null && mv {2} {2}.away", middle_, trap, repo_));
  expect_no_promotion(target);
  EXPECT_EQ(workshop_.shell(format("test -d {}/pg_wal/pghaul-spool", target)).status, 0);
  ASSERT_EQ(workshop_.shell_as_server(format("mv {0}.away {0}", repo_)).status, 0);
  expect_whole_recovery(target);
}

// To a standby it is not there yet: it waits, answers, and goes on as soon as it comes, though
// those behind it were kept ready first.
TEST_F(WalGet, LateSegmentIsWaitedForByAStandby) {
  const std::string path = object();
  ASSERT_NE(path, "");
  const std::string asked = workshop_.path("asked");
  const std::string target = restore_by_script(format("echo \"$1\" >> {}", asked));
  as_server(format("mv {} {}", path, workshop_.path("late")));
  const auto standby = start_standby(target);
  ASSERT_NE(standby, nullptr);
  wait_until([&] {
    return std::atoi(workshop_.shell(format("grep -c {} {}", middle_, asked)).out.c_str()) >= 3;
  });
  EXPECT_EQ(standby->query("SELECT pg_is_in_recovery()").value_or("?"), "t");
  EXPECT_NE(rows(*standby), "6000");
  as_server(format("mv {} {}", workshop_.path("late"), path));
  wait_until([&] { return rows(*standby) == "6000"; });
  EXPECT_EQ(standby->query("SELECT pg_is_in_recovery()").value_or("?"), "t");
  EXPECT_EQ(standby->query("SELECT pg_promote()").value_or("?"), "t");
  EXPECT_EQ(rows(*standby), "6000");
}

// It has replayed everything, and waits for more that the repository cannot be asked for any
// longer.
TEST_F(WalGet, StandbyThatLosesTheRepositoryEndsAndIsNotPromoted) {
  const std::string target = restore_by_script("true");
  auto standby = start_standby(target);
  ASSERT_NE(standby, nullptr);
  wait_until([&] { return rows(*standby) == "6000"; });
  as_server(format("mv {0} {0}.away", repo_));
  wait_until([&] { return !standby->is_running(); });
  EXPECT_THAT(support::read_whole_file(standby->log_file()).value_or(""),
              HasSubstr("FATAL:  could not restore file"));
  EXPECT_THAT(control(target), HasSubstr("Latest checkpoint's TimeLineID:       1\n"));
  as_server(format("mv {0}.away {0}", repo_));
  ASSERT_TRUE(standby->start());
  wait_until([&] { return rows(*standby) == "6000"; });
  EXPECT_EQ(standby->query("SELECT pg_is_in_recovery()").value_or("?"), "t");
}

TEST_F(WalGet, RepositoryOfAnotherIdIsRefused) {
  const std::string target = restore("--repo-id 0123456789abcdef0123456789abcdef");
  expect_no_promotion(target);
}

}  // namespace
}  // namespace haul::integration
