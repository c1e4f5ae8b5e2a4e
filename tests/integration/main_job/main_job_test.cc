// The main job: back up a busy cluster, restore it, have PostgreSQL's own tools agree.

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/types.h"
#include "tests/integration/main_job/busy_cluster.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::uint64_t lsn_at(const Json& json, std::string_view key) {
  const auto lsn = parse_lsn(json.string_at(key).value_or(""));
  return lsn ? lsn->value : 0;
}

// One server for all tests; every test has a repository of its own.
class MainJob : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = make_busy_cluster();
    ASSERT_TRUE(made) << made.error().message();
    source_ = std::move(made).take();
    workshop_ = std::make_unique<Workshop>();
  }
  static void TearDownTestSuite() {
    source_.reset();
    workshop_.reset();
  }

  void SetUp() override {
    ASSERT_TRUE(source_);
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    home_ = replaced(name, "/", "_");
    ASSERT_EQ(workshop_->shell_as_server("mkdir " + path("")).status, 0);
    ASSERT_EQ(workshop_->pghaul("init --repo " + path("repo")).status, 0);
  }
  void TearDown() override { workshop_->shell_as_server("rm -rf " + path("")); }

  std::string path(const std::string& name) const { return workshop_->path(home_ + "/" + name); }
  std::string backup_command(const std::string& codec) const {
    return format("backup --repo {} -D {} -c fast --json -q -Z {}", path("repo"),
                  source_->data_directory(), codec);
  }
  std::string restore_command(const std::string& target) const {
    return format("restore --repo {} -D {} -T {}={}", path("repo"), path(target),
                  source_->data_directory() + "/../elsewhere", path(target + "-space"));
  }

  // Restores, lets PostgreSQL's tools judge, starts, compares with the source as it was when the
  // load ended.
  void restore_and_compare(const Json& backup, const std::vector<LedgerEntry>& ledger);

  static std::unique_ptr<PgServer> source_;
  static std::unique_ptr<Workshop> workshop_;
  std::string home_;
};

std::unique_ptr<PgServer> MainJob::source_;
std::unique_ptr<Workshop> MainJob::workshop_;

void expect_success(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err << outcome.out;
}

void MainJob::restore_and_compare(const Json& backup, const std::vector<LedgerEntry>& ledger) {
  const std::string old_space =
      source_
          ->query(
              "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'elsewhere'")
          .value();
  const std::string new_space = path("restored-space");
  expect_success(workshop_->pghaul(format("restore --repo {} -D {} -T {}={}", path("repo"),
                                          path("restored"), old_space, new_space)));
  EXPECT_THAT(workshop_->shell_as_server("readlink " + path("restored/pg_tblspc") + "/*").out,
              HasSubstr(new_space));

  auto restored = PgServer::adopt(path("restored")).value();
  const auto manifest = restored->run({"pg_verifybackup", "-n", path("restored")});
  EXPECT_TRUE(manifest) << manifest.error().message();
  const auto with_wal = restored->run({"pg_verifybackup", path("restored")});
  EXPECT_TRUE(with_wal) << with_wal.error().message();

  const Status started = restored->start();
  ASSERT_TRUE(started) << started.error().message();
  EXPECT_EQ(restored->query("SELECT pg_is_in_recovery()").value(), "f");
  EXPECT_EQ(static_contents(*restored).value(), static_contents(*source_).value());
  EXPECT_EQ(ledger_fault(*restored, ledger, lsn_at(backup, "stop_lsn")), "");
  EXPECT_EQ(replaced(schema(*restored).value(), new_space, old_space), schema(*source_).value());
  EXPECT_EQ(restored->query("SELECT count(*) FROM unlogged").value(), "0");
  EXPECT_EQ(restored
                ->query("SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT "
                        "sum(bbalance) FROM pgbench_branches) "
                        "AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM "
                        "pgbench_history)")
                .value_or(""),
            "t");
  const Status checked = restored->check_relations();
  EXPECT_TRUE(checked) << checked.error().message();
  ASSERT_TRUE(restored->stop());
  const auto checksums = restored->run({"pg_checksums", "--check", path("restored")});
  EXPECT_TRUE(checksums) << checksums.error().message();
}

class MainJobWithCodec : public MainJob, public testing::WithParamInterface<const char*> {};

TEST_P(MainJobWithCodec, BusyClusterComesBackWhole) {
  Json backup;
  std::vector<LedgerEntry> ledger;
  {
    Load load(*source_);
    std::this_thread::sleep_for(std::chrono::seconds(2));
    const Outcome outcome = workshop_->pghaul(backup_command(GetParam()));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    backup = json_of(outcome);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    load.stop();
    ledger = load.ledger();
    EXPECT_GT(load.storm_rounds(), 0U);
  }
  EXPECT_EQ(backup.uint_at("bad_page_count").value(), 0U);
  EXPECT_GT(ledger.size(), 100U);
  restore_and_compare(backup, ledger);
  expect_success(workshop_->pghaul(format("verify --data --repo {}", path("repo"))));
}

INSTANTIATE_TEST_SUITE_P(Codecs, MainJobWithCodec, testing::Values("lz4", "zstd", "none"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_F(MainJob, SecondBackupOfAnIdleClusterStoresLessThanOnePercent) {
  ASSERT_TRUE(source_->query("VACUUM FREEZE"));
  ASSERT_TRUE(source_->query("CHECKPOINT"));
  const Json first = json_of(workshop_->pghaul(backup_command("lz4")));
  const Json second = json_of(workshop_->pghaul(backup_command("lz4")));
  const std::uint64_t stored = first.uint_at("stored_bytes").value();
  EXPECT_LT(second.uint_at("stored_bytes").value() * 100, stored);
  RecordProperty("first_stored_bytes", std::to_string(stored));
  RecordProperty("second_stored_bytes", std::to_string(second.uint_at("stored_bytes").value()));
}

TEST_F(MainJob, TablespaceWhosePlaceIsInUseNeedsAMapping) {
  ASSERT_EQ(workshop_->pghaul(backup_command("lz4")).status, 0);
  const Outcome outcome =
      workshop_->pghaul(format("restore --repo {} -D {}", path("repo"), path("restored")));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("-T "));
  EXPECT_FALSE(std::filesystem::exists(path("restored/global/pg_control")));
}

TEST_F(MainJob, LostServerSessionFailsTheBackupAndCommitsNothing) {
  const pid_t backup = workshop_->start_pghaul(backup_command("zstd:19"));
  for (int i = 0; i < 300; ++i) {
    const auto killed = source_->query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = "
        "'pghaul' AND "
        "(query LIKE '%backup_start%' OR query LIKE '%start_backup%')");
    if (killed && *killed != "0") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const Outcome outcome = workshop_->wait_for(backup);
  EXPECT_EQ(outcome.status, 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("pghaul: error: "));
  EXPECT_EQ(json_of(workshop_->pghaul(format("info --json --repo {}", path("repo"))))
                .array_at("backups")
                .value()
                ->size(),
            0U);
}

TEST_F(MainJob, InterruptEndsBackupModeAndCommitsNothing) {
  for (const auto& [signal, status] : {std::pair("INT", 130), std::pair("TERM", 143)}) {
    const pid_t backup = workshop_->start_pghaul(backup_command("zstd:19"));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    workshop_->shell(format("kill -{} {}", signal, backup));
    const Outcome outcome = workshop_->wait_for(backup);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    for (int i = 0; i < 50; ++i) {
      if (source_->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul'")
              .value() == "0")
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    EXPECT_EQ(
        source_->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul'")
            .value(),
        "0");
    EXPECT_EQ(source_->query("SELECT count(*) FROM pg_replication_slots").value(), "0");
  }
  EXPECT_EQ(json_of(workshop_->pghaul(format("info --json --repo {}", path("repo"))))
                .array_at("backups")
                .value()
                ->size(),
            0U);
  expect_success(workshop_->pghaul(format("verify --data --repo {}", path("repo"))));
}

}  // namespace
}  // namespace haul::integration
