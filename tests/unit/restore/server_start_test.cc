#include "engine/restore/server_start.h"

#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/crc32c.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using testing::HasSubstr;
using Action = RecoveryTarget::Action;

constexpr std::int64_t kPid = 4711;

// Answers as a script has it, and keeps what was asked.
class FakeRunner final : public ProgramRunner {
 public:
  Result<ProgramOutcome> run(const std::vector<std::string>& command, std::stop_token) override {
    commands.push_back(command);
    const std::string& name = command.front();
    if (name.ends_with("pg_ctl")) return command.at(1) == "start" ? start() : other(command);
    ++queries;
    return query(command.back());
  }

  std::function<Result<ProgramOutcome>()> start = [] { return ProgramOutcome{0, ""}; };
  std::function<Result<ProgramOutcome>(const std::vector<std::string>&)> other = [](const auto&) {
    return ProgramOutcome{0, ""};
  };
  std::function<Result<ProgramOutcome>(const std::string& sql)> query = [](const std::string&) {
    return ProgramOutcome{0, "f\n"};
  };
  int queries = 0;
  std::vector<std::vector<std::string>> commands;
};

// A clock that goes on by a step whenever somebody sleeps, and says how often that was.
class Waiting final : public Clock {
 public:
  Waiting(std::chrono::nanoseconds step, std::function<void(int slept)> then)
      : step_(step), then_(std::move(then)) {}
  UtcTime now_utc() override { return {}; }
  std::chrono::nanoseconds now_monotonic() override { return step_ * slept_; }
  void sleep_for(std::chrono::nanoseconds) override { then_(++slept_); }

 private:
  const std::chrono::nanoseconds step_;
  const std::function<void(int slept)> then_;
  int slept_ = 0;
};

class ServerStartTest : public testing::Test {
 protected:
  ServerStartTest() {
    directory_ = target_.top()->open_directory("data").value();
    EXPECT_TRUE(directory_->make_directory("global", 0700));
    write("global/pg_control", support::fake_control_file());
    processes_.running_pid = kPid;
    start_.data_directory = "/data";
    start_.server_major = 15;
    start_.programs = "/pg/bin";
    start_.replayed = Lsn{0x3000140};
  }

  void write(const std::string& path, const std::string& content) {
    if (directory_->info(path)) {
      ASSERT_TRUE(directory_->remove_file(path));
    }
    const auto file = directory_->create_file(path, 0600, io::Caching::buffered).value();
    ASSERT_TRUE(file->write_at(0, bytes_of(content)));
    ASSERT_TRUE(file->finish());
  }
  void status(const std::string& word) {
    write("postmaster.pid", format("{}\n/data\n1\n5433\n/run/s\n\n  1 2\n{:<8}\n", kPid, word));
  }
  // pg_control as a server leaves it that shut down at its target.
  void shut_down_in_recovery() {
    std::string content = support::fake_control_file();
    content[16] = 2;  // DB_SHUTDOWNED_IN_RECOVERY
    const std::uint32_t crc = postgres::crc32c(bytes_of(content).first(288));
    std::memcpy(content.data() + 288, &crc, sizeof crc);
    ASSERT_TRUE(postgres::parse_control_file(bytes_of(content)));
    write("global/pg_control", content);
  }
  void to_target(Action action) {
    start_.target.kind = RecoveryTarget::Kind::lsn;
    start_.target.action = action;
  }
  Result<ServerReport> run() {
    return start_server(start_,
                        {&runner_, directory_.get(), &processes_, &clock_, stop_.get_token()});
  }
  ServerOutcome outcome() { return run().value().outcome; }
  std::string failure() {
    const auto report = run();
    if (report) return "started";
    EXPECT_EQ(report.error().code(), ErrorCode::server_state);
    return report.error().message() + "|" + report.error().hint();
  }

  SimTarget target_;
  std::unique_ptr<io::Directory> directory_;
  FakeRunner runner_;
  FakeProcesses processes_;
  support::ManualClock clock_;
  std::stop_source stop_;
  ServerStart start_;
};

TEST_F(ServerStartTest, ServerThatIsReadyHasEndedItsRecovery) {
  status("ready");
  EXPECT_EQ(outcome(), ServerOutcome::ready);
  ASSERT_EQ(runner_.commands.size(), 3U);
  EXPECT_THAT(runner_.commands[0],
              testing::ElementsAre("/pg/bin/pg_ctl", "start", "-D", "/data", "-s", "-w", "-t",
                                   "604800", "-l", "/data/pghaul-start.log"));
  EXPECT_THAT(runner_.commands[1],
              testing::ElementsAre("/pg/bin/psql", "-X", "-A", "-t", "-q", "-w", "-p", "5433", "-h",
                                   "/run/s", "-d", "postgres", "-c", "SELECT pg_is_in_recovery()"));
}

// It says "ready" as soon as it takes someone in, in the middle of its recovery.
TEST_F(ServerStartTest, HotStandbyOnTheWayIsWaitedFor) {
  status("ready");
  bool is_in_recovery = true;
  runner_.query = [&](const std::string&) {
    return ProgramOutcome{0, is_in_recovery ? "t\n" : "f\n"};
  };
  Waiting clock(std::chrono::seconds(1), [&](int slept) { is_in_recovery = slept < 5; });
  const auto report = start_server(start_, {&runner_, directory_.get(), &processes_, &clock, {}});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->outcome, ServerOutcome::ready);
  EXPECT_EQ(report->replay_time, std::chrono::seconds(5));
}

TEST_F(ServerStartTest, ServerWithoutHotStandbyIsNotAskedBeforeItIsReady) {
  status("standby");
  Waiting clock(std::chrono::seconds(1), [&](int slept) {
    EXPECT_EQ(runner_.queries, 0);
    if (slept == 3) status("ready");
  });
  const auto report = start_server(start_, {&runner_, directory_.get(), &processes_, &clock, {}});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->outcome, ServerOutcome::ready);
}

TEST_F(ServerStartTest, ServerThatGoesBackIntoRecoveryIsNoSuccess) {
  status("ready");
  runner_.query = [&](const std::string&) {
    return ProgramOutcome{0, runner_.queries == 1 ? "f\n" : "t\n"};
  };
  EXPECT_THAT(failure(), HasSubstr("said \"t\" when asked whether it is in recovery"));
}

TEST_F(ServerStartTest, PauseCountsAtTheTargetOnly) {
  to_target(Action::pause);
  status("ready");
  std::string replayed = "0/3000140";
  runner_.query = [&](const std::string& sql) {
    return ProgramOutcome{0, sql.contains("pause_state") ? "t|" + replayed + "\n" : "t\n"};
  };
  EXPECT_EQ(outcome(), ServerOutcome::paused);
  replayed = "0/3000138";
  EXPECT_THAT(failure(), HasSubstr("has paused at 0/3000138, before its target"));
}

TEST_F(ServerStartTest, Release13IsAskedInItsOwnWay) {
  to_target(Action::pause);
  start_.server_major = 13;
  status("ready");
  runner_.query = [&](const std::string& sql) {
    return ProgramOutcome{0, sql.contains("pg_is_wal_replay_paused()") ? "t|0/3000140\n" : "t\n"};
  };
  EXPECT_EQ(outcome(), ServerOutcome::paused);
}

TEST_F(ServerStartTest, ShutdownAtTheTargetIsReadFromTheControlFile) {
  for (const Action action : {Action::shutdown, Action::pause}) {
    write("global/pg_control", support::fake_control_file());
    to_target(action);
    runner_.start = [&] {
      shut_down_in_recovery();
      return ProgramOutcome{1, "pg_ctl: could not start server\n"};
    };
    EXPECT_EQ(outcome(), ServerOutcome::shut_down);
    EXPECT_EQ(runner_.queries, 0);
  }
}

TEST_F(ServerStartTest, ControlFileThatWasSoBeforeIsNoSuccess) {
  to_target(Action::shutdown);
  shut_down_in_recovery();
  runner_.start = [] { return ProgramOutcome{1, "pg_ctl: could not start server\n"}; };
  EXPECT_THAT(failure(), HasSubstr("the server in /data ended|"));
}

TEST_F(ServerStartTest, ServerThatEndedFailsWithTheEndOfItsLogs) {
  runner_.start = [] { return ProgramOutcome{1, "pg_ctl: could not start server\n"}; };
  write("pghaul-start.log", std::string(5000, '.') + "FATAL:  no\n");
  write("current_logfiles", "stderr log.csv\n");
  write("log.csv", "the collector's\n");
  const std::string text = failure();
  EXPECT_THAT(text, HasSubstr("the server in /data ended|the end of its log:\n"));
  EXPECT_THAT(text, HasSubstr("FATAL:  no\nthe collector's\npg_ctl: could not start server"));
  EXPECT_LT(text.size(), 3000U);
}

TEST_F(ServerStartTest, StandbyHasArrivedWhenItTakesQueries) {
  start_.target.role = RecoveryTarget::Role::standby;
  status("ready");
  runner_.query = [](const std::string&) { return ProgramOutcome{0, "t\n"}; };
  EXPECT_EQ(outcome(), ServerOutcome::standby);
  runner_.query = [](const std::string&) { return ProgramOutcome{0, "f\n"}; };
  EXPECT_THAT(failure(), HasSubstr("is no standby"));
}

TEST_F(ServerStartTest, StandbyThatNobodyCanAskHasArrivedAsWell) {
  start_.target.role = RecoveryTarget::Role::standby;
  status("standby");
  EXPECT_EQ(outcome(), ServerOutcome::standby);
  EXPECT_EQ(runner_.queries, 0);
}

TEST_F(ServerStartTest, ServerThatCannotBeAskedIsAFailure) {
  status("ready");
  runner_.query = [](const std::string&) {
    return ProgramOutcome{2, "psql: error:\npassword needed\n"};
  };
  EXPECT_THAT(failure(),
              HasSubstr("runs, but cannot be asked: psql: error: password needed|psql, run by"));
}

// Its sessions end before it does.
TEST_F(ServerStartTest, ServerThatFailsWhileItIsAskedFailsWithItsLog) {
  status("ready");
  write("pghaul-start.log",
        "FATAL:  recovery ended before configured recovery target was reached\n");
  runner_.query = [&](const std::string&) {
    processes_.running_pid = 0;
    return ProgramOutcome{2, "psql: error: FATAL:  terminating connection\n"};
  };
  EXPECT_THAT(failure(), HasSubstr("ended|the end of its log:\nFATAL:  recovery ended before"));
}

TEST_F(ServerStartTest, ServerThatIsToShutDownIsNotAsked) {
  to_target(Action::shutdown);
  status("ready");
  Waiting clock(std::chrono::seconds(1), [&](int) {
    processes_.running_pid = 0;
    shut_down_in_recovery();
  });
  const auto report = start_server(start_, {&runner_, directory_.get(), &processes_, &clock, {}});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->outcome, ServerOutcome::shut_down);
  EXPECT_EQ(runner_.queries, 0);
}

TEST_F(ServerStartTest, ReplayWithoutAnEndIsGivenUp) {
  status("starting");
  Waiting clock(std::chrono::hours(1), [](int) {});
  const auto report = start_server(start_, {&runner_, directory_.get(), &processes_, &clock, {}});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::server_state);
  EXPECT_THAT(report.error().message(), HasSubstr("has not ended its recovery in time"));
}

TEST_F(ServerStartTest, InterruptionStopsTheServerAgain) {
  status("standby");
  stop_.request_stop();
  const auto report = run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::interrupted);
  EXPECT_EQ(runner_.commands.back().at(1), "stop");
}

TEST(ServerPrograms, ReleaseHasToBeTheRightOne) {
  FakeRunner runner;
  runner.other = [](const std::vector<std::string>& command) -> Result<ProgramOutcome> {
    if (command.front() == "/usr/lib/postgresql/15/bin/pg_ctl") {
      return ProgramOutcome{0, "pg_ctl (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"};
    }
    if (command.front() == "pg_ctl") return ProgramOutcome{0, "pg_ctl (PostgreSQL) 17beta1\n"};
    return Error(ErrorCode::not_found, "no such file");
  };
  EXPECT_EQ(find_server_programs(runner, "", 15).value(), "/usr/lib/postgresql/15/bin");
  EXPECT_EQ(find_server_programs(runner, "", 17).value(), "");
  EXPECT_EQ(find_server_programs(runner, "/usr/lib/postgresql/15/bin", 15).value(),
            "/usr/lib/postgresql/15/bin");
  const auto other = find_server_programs(runner, "/usr/lib/postgresql/15/bin", 16);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::usage);
  EXPECT_THAT(other.error().message(), HasSubstr("no programs of PostgreSQL 16"));
  EXPECT_FALSE(find_server_programs(runner, "", 14));
}

TEST(SystemPrograms, OutputAndStatusComeBack) {
  SystemProgramRunner runner({});
  const auto outcome = runner.run({"sh", "-c", "echo out; echo err >&2; pwd; exit 7"}, {});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status, 7);
  EXPECT_EQ(outcome->output, "out\nerr\n/\n");
}

TEST(SystemPrograms, OnlyTheEndOfMuchOutputIsKept) {
  SystemProgramRunner runner({});
  const auto outcome =
      runner.run({"sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo end"}, {});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output.size(), ProgramOutcome::kOutputBytesMax);
  EXPECT_TRUE(outcome->output.ends_with("xend\n"));
}

TEST(SystemPrograms, ProgramThatIsNotThereIsAnError) {
  SystemProgramRunner runner({});
  const auto outcome = runner.run({"/no/such/program"}, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::not_found);
}

TEST(SystemPrograms, DeathBySignalIsAStatusOfItsOwn) {
  SystemProgramRunner runner({});
  EXPECT_EQ(runner.run({"sh", "-c", "kill -9 $$"}, {})->status, 128 + 9);
}

TEST(SystemPrograms, WhatAProgramLeftRunningIsNotWaitedFor) {
  SystemProgramRunner runner({});
  const auto outcome = runner.run({"sh", "-c", "sleep 30 & echo $!"}, {});
  ASSERT_TRUE(outcome);
  ASSERT_TRUE(runner.run({"sh", "-c", "kill " + outcome->output}, {}));
}

TEST(SystemPrograms, StopEndsTheProgram) {
  SystemProgramRunner runner({});
  std::stop_source stop;
  stop.request_stop();
  const auto outcome = runner.run({"sleep", "30"}, stop.get_token());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::interrupted);
}

}  // namespace
}  // namespace haul::restore
