// Restores to moments, and what must not be restored to.

#include <chrono>
#include <cstdlib>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/format.h"
#include "engine/restore/recovery_target.h"
#include "tests/integration/recovery/ledger.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;

std::string time_text(std::int64_t microseconds) {
  return restore::to_target_time(UtcTime{microseconds});
}

// As the server logs it: without zeros at the end of the fraction.
std::string logged_time(std::string text) {
  const std::size_t zone = text.rfind('+');
  std::string zoned = text.substr(zone);
  text.resize(zone);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text + zoned;
}

// A moment, the rows that there are at it, and how it is asked for.
struct Moment {
  std::string options;
  std::uint32_t timeline = 0;
  std::size_t rows = 0;
};

class Moments {
 public:
  Moments(const LedgerHistory& history, std::uint64_t seed) : history_(history), random_(seed) {}

  Moment next() {
    Moment moment;
    moment.timeline = static_cast<std::uint32_t>(1 + pick(3));
    const TimelineRows& timeline = history_.timelines().at(moment.timeline);
    // Of a row that has one before it, behind the first backup, and one behind it.
    const std::size_t row =
        history_.first_rows() + 1 + pick(timeline.rows.size() - history_.first_rows() - 3);
    moment.options = format("--target-timeline {} ", moment.timeline);
    switch (pick(6)) {
      case 0:
      case 1: at_time(timeline, row, moment); break;
      case 2: at_transaction(timeline, row, moment); break;
      case 3: at_position(timeline, row, moment); break;
      case 4: at_restore_point(timeline, moment); break;
      default: at_an_end(timeline, moment); break;
    }
    return moment;
  }

 private:
  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  bool is_exclusive(Moment& moment) {
    const bool exclusive = pick(2) == 1;
    if (exclusive) moment.options += " --target-exclusive";
    return exclusive;
  }

  void at_time(const TimelineRows& timeline, std::size_t row, Moment& moment) {
    const std::int64_t time = timeline.rows[row].time_us + static_cast<std::int64_t>(pick(3)) - 1;
    moment.options += format("--target-time '{}'", time_text(time));
    const bool exclusive = is_exclusive(moment);
    for (const LedgerRow& one : timeline.rows) {
      if (exclusive ? one.time_us < time : one.time_us <= time) ++moment.rows;
    }
  }
  void at_transaction(const TimelineRows& timeline, std::size_t row, Moment& moment) {
    moment.options += format("--target-xid {}", timeline.rows[row].xid);
    moment.rows = is_exclusive(moment) ? row : row + 1;
  }
  void at_position(const TimelineRows& timeline, std::size_t row, Moment& moment) {
    moment.options += format("--target-lsn {}", timeline.rows[row].lsn);
    is_exclusive(moment);
    moment.rows = row;
  }
  void at_restore_point(const TimelineRows& timeline, Moment& moment) {
    auto point = timeline.restore_points.begin();
    std::advance(point, static_cast<std::ptrdiff_t>(pick(timeline.restore_points.size())));
    moment.options += "--target-name " + shell_quoted(point->first);
    moment.rows = point->second;
  }
  void at_an_end(const TimelineRows& timeline, Moment& moment) {
    if (pick(2) == 0) {
      moment.rows = timeline.rows.size();
      moment.options += "--target latest";
    } else {
      moment.rows = moment.timeline == 1 ? history_.first_rows() : history_.second_rows();
      moment.options += "--target immediate";
    }
  }

  const LedgerHistory& history_;
  std::mt19937_64 random_;
};

class Recovery : public testing::Test {
 protected:
  static void SetUpTestSuite() { history_ = LedgerHistory::make(); }
  static void TearDownTestSuite() { history_.reset(); }

  void SetUp() override { ASSERT_EQ(history_->timelines().size(), 3U) << "no history was made"; }
  void TearDown() override { history_->discard("restored"); }

  // The ledger is this timeline's first rows, and nothing else.
  void expect_rows(std::uint32_t timeline, std::size_t count) {
    std::string expected;
    for (std::size_t i = 0; i < count; ++i) {
      expected += (i == 0 ? "" : ",") + history_->timelines().at(timeline).rows.at(i).hash;
    }
    EXPECT_EQ(history_->query("SELECT count(*) FROM ledger"), std::to_string(count));
    EXPECT_EQ(history_->query("SELECT string_agg(hash, ',' ORDER BY number) FROM ledger"),
              expected);
    EXPECT_EQ(
        history_->query("SELECT count(*) FROM (SELECT previous, lag(hash, 1, '') OVER (ORDER BY "
                        "number) AS before FROM ledger) chain WHERE previous <> before"),
        "0");
  }

  // What the plan said of the stop is what the server did.
  void expect_log_to_agree(const Json& plan) {
    const std::string log = history_->log("restored");
    const std::string stop = plan.find("stop")->is_string() ? plan.string_at("stop").value() : "";
    const std::string lsn = stop.empty() ? "" : plan.string_at("stop_lsn").value();
    const std::size_t transaction = stop.find(" of transaction ");
    if (stop.empty()) {
      EXPECT_THAT(log, testing::Not(HasSubstr("recovery stopping"))) << stop;
    } else if (stop.contains("the backup is consistent")) {
      EXPECT_THAT(log, HasSubstr("recovery stopping after reaching consistency"));
    } else if (transaction != std::string::npos) {
      const std::size_t at = stop.find(" at ", transaction);
      const std::string time = stop.substr(at + 4, stop.rfind(" (") - at - 4);
      EXPECT_THAT(log, HasSubstr(format("recovery stopping {}, time {}", stop.substr(0, at),
                                        logged_time(time))));
    } else if (stop.starts_with("at restore point ")) {
      const std::size_t end = stop.rfind("\", ");
      const std::string time = stop.substr(end + 3, stop.rfind(" (") - end - 3);
      EXPECT_THAT(log, HasSubstr(format("recovery stopping {}, time {}", stop.substr(0, end + 1),
                                        logged_time(time))));
    } else {
      EXPECT_THAT(log, HasSubstr(format("recovery stopping {} WAL location (LSN) \"{}\"",
                                        stop.substr(0, stop.find(' ')), lsn)));
    }
    if (plan.find("last_time")->is_string()) {
      EXPECT_THAT(log, HasSubstr("last completed transaction was at log time " +
                                 logged_time(plan.string_at("last_time").value())));
    }
  }

  void restore_to(const Moment& moment) {
    SCOPED_TRACE(moment.options);
    const Outcome outcome = history_->restore("restored", "--start " + moment.options);
    ASSERT_EQ(outcome.status, 0) << outcome.err << history_->log("restored");
    expect_rows(moment.timeline, moment.rows);
    const Json json = json_of(outcome);
    EXPECT_EQ(json.string_at("server").value_or(""), "ready");
    ASSERT_NE(json.find("recovery"), nullptr);
    expect_log_to_agree(*json.find("recovery"));
    EXPECT_EQ(history_->query("SELECT pg_is_in_recovery()"), "f");
    EXPECT_EQ(history_->query("SHOW archive_mode"), "off");
    history_->discard("restored");
  }

  // Refused with this status, and nothing was touched.
  std::string refused(const std::string& options, int status) {
    const Outcome outcome = history_->restore("restored", options);
    EXPECT_EQ(outcome.status, status) << options << '\n' << outcome.err;
    EXPECT_NE(history_->workshop().shell("test -e " + history_->directory("restored")).status, 0)
        << options;
    return outcome.err;
  }

  static std::unique_ptr<LedgerHistory> history_;
};

std::unique_ptr<LedgerHistory> Recovery::history_;

TEST_F(Recovery, RandomMomentsHoldExactlyTheirRows) {
  const char* given = std::getenv("PGHAUL_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  const int count = std::getenv("PGHAUL_TEST_FULL") != nullptr ? 200 : 12;
  SCOPED_TRACE(format("PGHAUL_TEST_SEED={}", seed));
  Moments moments(*history_, seed);
  for (int i = 0; i < count && !HasFatalFailure(); ++i) restore_to(moments.next());
}

TEST_F(Recovery, MicrosecondsAroundACommitAreTold) {
  const LedgerRow& row = history_->timelines().at(3).rows.at(90);
  for (const auto& [offset, bound, rows] :
       {std::tuple(-1, "", 90U), std::tuple(0, "", 91U), std::tuple(0, " --target-exclusive", 90U),
        std::tuple(1, " --target-exclusive", 91U)}) {
    restore_to({format("--target-time '{}'{}", time_text(row.time_us + offset), bound), 3, rows});
  }
}

TEST_F(Recovery, RowsThatWereDeletedComeBackFromTheMomentBefore) {
  // The deletion follows the restore point, in the transaction before row 51.
  const TimelineRows& timeline = history_->timelines().at(1);
  const std::int64_t before = timeline.rows.at(49).time_us;
  const Outcome outcome = history_->restore(
      "restored", format("--target-timeline 1 --target-time '{}' --start", time_text(before)));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(history_->query("SELECT count(*), count(DISTINCT content) FROM orders"), "1000|1000");
  expect_rows(1, 50);
  history_->discard("restored");
  const Outcome after = history_->restore(
      "restored", format("--target-timeline 1 --target-xid {} --start", timeline.rows.at(50).xid));
  ASSERT_EQ(after.status, 0) << after.err;
  EXPECT_EQ(history_->query("SELECT count(*) FROM orders"), "0");
}

TEST_F(Recovery, NewestBackupBeforeTheTargetIsChosen) {
  const TimelineRows& timeline = history_->timelines().at(3);
  for (const auto& [row, backup] : {std::pair(20U, 0U), std::pair(100U, 1U)}) {
    const Outcome outcome = history_->restore(
        "restored", format("--dry-run --target-time '{}'", time_text(timeline.rows[row].time_us)));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json_of(outcome).string_at("backup").value_or(""), history_->backups().at(backup));
  }
}

TEST_F(Recovery, UnreachableTargetsAreRefusedAndNothingIsTouched) {
  EXPECT_THAT(refused("--target-time '2999-01-01 00:00:00Z'", 4),
              HasSubstr("cannot be reached: the WAL ends at"));
  EXPECT_THAT(refused("--target-lsn FF/0", 4),
              HasSubstr("HINT:  the first segment that is missing"));
  EXPECT_THAT(refused("--target-xid 4000000000", 4), HasSubstr("transaction 4000000000"));
  EXPECT_THAT(refused("--target-name nowhere", 4), HasSubstr("restore point \"nowhere\""));
  EXPECT_THAT(refused("--target-timeline 9", 4), HasSubstr("timeline 9"));
  EXPECT_THAT(refused("--target-time '2000-01-01 00:00:00Z'", 4), HasSubstr("before the end of"));
  EXPECT_THAT(refused("--target-lsn 0/100", 4), HasSubstr("before the end of"));
  // On the timeline that was left, but not on the newest one.
  EXPECT_THAT(refused("--target-name 'after the fork'", 4), HasSubstr("cannot be reached"));
  EXPECT_THAT(refused("--target-time '2026-11-24 10:00:00'", 2), HasSubstr("time zone"));
  EXPECT_THAT(refused("--target-xid 700 --target-name x", 2), HasSubstr("exclude each other"));
}

TEST_F(Recovery, ToolsOfTheServerFindTheRestoreWhole) {
  const Outcome outcome = history_->restore("restored", "--target immediate");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Outcome verified = history_->workshop().shell_as_server(format(
      "{}/pg_verifybackup -n {}", support::pg_bin_directory(), history_->directory("restored")));
  EXPECT_EQ(verified.status, 0) << verified.err;
  const Outcome modes = history_->workshop().shell(
      format("stat -c %a {}/recovery.signal", history_->directory("restored")));
  EXPECT_EQ(modes.out, "600\n");
}

TEST_F(Recovery, ServerPausesAtTheTarget) {
  const TimelineRows& timeline = history_->timelines().at(3);
  const Outcome outcome = history_->restore(
      "restored", format("--target-xid {} --target-action pause --start", timeline.rows[100].xid));
  ASSERT_EQ(outcome.status, 0) << outcome.err << history_->log("restored");
  EXPECT_EQ(json_of(outcome).string_at("server").value_or(""), "paused");
  expect_rows(3, 101);
  EXPECT_EQ(history_->query("SELECT pg_is_in_recovery()"), "t");
}

TEST_F(Recovery, ServerShutsDownAtTheTarget) {
  const TimelineRows& timeline = history_->timelines().at(3);
  const Outcome outcome = history_->restore(
      "restored",
      format("--target-xid {} --target-action shutdown --start", timeline.rows[100].xid));
  ASSERT_EQ(outcome.status, 0) << outcome.err << history_->log("restored");
  EXPECT_EQ(json_of(outcome).string_at("server").value_or(""), "shut_down");
  EXPECT_THAT(history_->log("restored"), HasSubstr("shutdown at recovery target"));
}

TEST_F(Recovery, StandbyGoesToTheEndAndStaysOne) {
  const Outcome outcome = history_->restore("restored", "--standby --start");
  ASSERT_EQ(outcome.status, 0) << outcome.err << history_->log("restored");
  EXPECT_EQ(json_of(outcome).string_at("server").value_or(""), "standby");
  EXPECT_EQ(history_->query("SELECT pg_is_in_recovery()"), "t");
}

TEST_F(Recovery, ServerThatCannotStartFailsWithItsLog) {
  ASSERT_EQ(history_->restore("restored", "--target immediate --start").status, 0);
  // The port is taken now.
  const Outcome outcome = history_->restore("another", "--target immediate --start");
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("FATAL:"));
  history_->discard("another");
}

TEST_F(Recovery, HostileNamesReachTheArchive) {
  const std::string hostile = history_->workshop().path("it's 100% \"odd\"\n%p \\ $(id)");
  ASSERT_EQ(
      history_->workshop()
          .shell_as_server(format("cp -r {} {}", history_->repository(), shell_quoted(hostile)))
          .status,
      0);
  const TimelineRows& timeline = history_->timelines().at(1);
  const std::string name = "it's 100% \\ \"odd\" %p";
  const Outcome outcome = history_->restore(
      "restored", format("--target-timeline 1 --target-name {} --start", shell_quoted(name)),
      hostile);
  ASSERT_EQ(outcome.status, 0) << outcome.err << history_->log("restored");
  expect_rows(1, timeline.restore_points.at(name));
}

}  // namespace
}  // namespace haul::integration
