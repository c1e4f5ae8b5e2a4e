// What status prints of a cluster that stands so or so, and which thresholds it passes.
#include "tools/pghaul/status_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class StatusReportTest : public testing::Test {
 protected:
  // Two hours after the only backup, 90 seconds after the last commit that is stored.
  StatusReportTest() {
    verify::StatusReport& report = status.report;
    status.cluster = "main";
    report.now = support::ManualClock::kStart;
    verify::StatusBackup backup;
    backup.snapshot.id = "20261123T000000Z-F";
    backup.snapshot.started = before(hours{3});
    backup.snapshot.finished = before(hours{2});
    backup.snapshot.statistics.source_bytes = 4096;
    report.backups.push_back(backup);
    report.newest = 0;
    report.server = verify::ServerPosition{Lsn{0x5000000}, false};
    verify::ExposedWal exposed;
    exposed.durable = Lsn{0x4000000};
    exposed.last_commit = before(seconds{90});
    exposed.bytes = 1 << 24;
    exposed.time = seconds{90};
    report.exposed = exposed;
    report.coverage.stored_bytes = 2048;
    report.coverage.unread_since = before(hours{72});
    report.coverage.last.emplace();
    report.coverage.last->began = before(hours{1});
  }

  UtcTime before(nanoseconds age) const {
    return {support::ManualClock::kStart.microseconds -
            std::chrono::duration_cast<std::chrono::microseconds>(age).count()};
  }
  void judge() { status.breaches = find_breaches(status.report, status.thresholds); }
  std::string text() const {
    std::string all;
    for (const std::string& line : status_lines(status)) all += line + '\n';
    return all;
  }

  ClusterStatus status;
};

TEST_F(StatusReportTest, AgesArePrintedInTheirTwoGreatestUnits) {
  EXPECT_EQ(print_age(nanoseconds{0}), "0 s");
  EXPECT_EQ(print_age(seconds{59}), "59 s");
  EXPECT_EQ(print_age(seconds{174}), "2 min 54 s");
  EXPECT_EQ(print_age(minutes{62}), "1 h 2 min");
  EXPECT_EQ(print_age(hours{47}), "47 h 0 min");
  EXPECT_EQ(print_age(hours{76}), "3 d 4 h");
}

TEST_F(StatusReportTest, WithoutThresholdsNothingIsPassed) {
  judge();
  EXPECT_TRUE(status.good());
}

TEST_F(StatusReportTest, ThresholdsArePassedBeyondThem) {
  status.thresholds = {hours{2}, seconds{90}, hours{72}};
  judge();
  EXPECT_THAT(status.breaches, IsEmpty());
  const nanoseconds less{1};
  status.thresholds = {hours{2} - less, seconds{90} - less, hours{72} - less};
  judge();
  EXPECT_THAT(status.breaches,
              ElementsAre(HasSubstr("age of the newest backup: 2 h 0 min"),
                          HasSubstr("RPO: 1 min 30 s"), HasSubstr("not read for: 3 d 0 h")));
  EXPECT_FALSE(status.good());
}

TEST_F(StatusReportTest, WithoutABackupAnyThresholdIsPassed) {
  status.report = {};
  status.thresholds = {hours{2}, seconds{90}, hours{72}};
  judge();
  EXPECT_THAT(status.breaches, ElementsAre("age of the newest backup: nothing can be recovered",
                                           "RPO: nothing can be recovered"));
}

TEST_F(StatusReportTest, LinesSayHowItStands) {
  EXPECT_EQ(text(),
            "cluster             main, 1 backup\n"
            "newest backup       20261123T000000Z-F, ended 2 h 0 min ago\n"
            "recoverable to      0/4000000, 2026-11-23T02:00:52Z; 16.0 MiB of WAL would be lost, "
            "what was committed in the last 1 min 30 s\n"
            "server              0/5000000\n"
            "verified            every byte within 3 d 0 h; last 2026-11-23T01:02:22Z\n");
}

TEST_F(StatusReportTest, LinesSayWhatIsWrong) {
  status.report.server.reset();
  status.report.server_failure = "nobody there";
  status.report.exposed->bytes.reset();
  status.report.coverage.never_read_bytes = 1024;
  status.report.gaps = {{"000000010000000000000003", "000000010000000000000004", 2}};
  status.report.problems = {"p"};
  status.breaches = {"b"};
  EXPECT_THAT(text(), HasSubstr("; would be lost: what was committed in the last 1 min 30 s\n"));
  EXPECT_THAT(text(), HasSubstr("server              not asked: nobody there\n"));
  EXPECT_THAT(text(), HasSubstr("verified            1.0 KiB of 2.0 KiB never"));
  EXPECT_THAT(text(), HasSubstr("missing WAL         000000010000000000000003 to "
                                "000000010000000000000004, 2 segments\n"));
  EXPECT_THAT(text(), HasSubstr("problem: p\nthreshold: b\n"));
}

TEST_F(StatusReportTest, WhatIsAllStoredIsSaidSo) {
  status.report.exposed->bytes = 0;
  status.report.exposed->time = seconds{0};
  EXPECT_THAT(text(), HasSubstr("; nothing would be lost\n"));
}

TEST_F(StatusReportTest, PluginLineHasFiguresAndThresholds) {
  status.thresholds = {hours{26}, minutes{5}, {}};
  judge();
  EXPECT_EQ(nagios_line(status),
            "PGHAUL OK - main: newest backup 2 h 0 min ago, RPO 1 min 30 s | age=7200s;;93600;0 "
            "rpo=90s;;300;0 rpo_bytes=16777216B;;;0 unread=259200s;;;0 stored=2048B;;;0");
  status.report.problems = {"a | b"};
  status.breaches = {"c"};
  EXPECT_THAT(nagios_line(status), HasSubstr("PGHAUL CRITICAL - main: a   b; c | age"));
}

TEST_F(StatusReportTest, PluginLineOfNothingIsCritical) {
  status.report = {};
  status.report.problems = {"cluster main has no backup"};
  EXPECT_EQ(nagios_line(status),
            "PGHAUL CRITICAL - main: cluster main has no backup | stored=0B;;;0");
}

TEST_F(StatusReportTest, MetricsHaveTheClusterForALabel) {
  status.cluster = "a\"b\\c";
  const std::string text = prometheus_text(status);
  EXPECT_THAT(text, HasSubstr("# HELP pghaul_rpo_seconds "));
  EXPECT_THAT(text, HasSubstr("# TYPE pghaul_rpo_seconds gauge\n"
                              "pghaul_rpo_seconds{cluster=\"a\\\"b\\\\c\"} 90\n"));
  EXPECT_THAT(text, HasSubstr("pghaul_rpo_bytes{cluster=\"a\\\"b\\\\c\"} 16777216\n"));
  EXPECT_THAT(text, HasSubstr("pghaul_backup_duration_seconds{cluster=\"a\\\"b\\\\c\"} 3600\n"));
  EXPECT_THAT(text, HasSubstr("pghaul_verify_unread_seconds{cluster=\"a\\\"b\\\\c\"} 259200\n"));
}

TEST_F(StatusReportTest, MetricsLeaveOutWhatIsNotKnown) {
  status.report = {};
  const std::string text = prometheus_text(status);
  EXPECT_THAT(text, HasSubstr("pghaul_backups{cluster=\"main\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("pghaul_rpo")));
  EXPECT_THAT(text, Not(HasSubstr("pghaul_backup_since")));
}

TEST_F(StatusReportTest, JsonHasNullsForWhatIsNotKnown) {
  status.report = {};
  const Json json = status_json(status);
  EXPECT_TRUE(json.find("newest_backup")->is_null());
  EXPECT_TRUE(json.find("rpo")->is_null());
  EXPECT_TRUE(json.find("verification")->find("unread_ms")->is_null());
}

}  // namespace
}  // namespace haul::cli
