// What goes wrong for a user, and what pghaul makes of it: one clear error, the exit status of the
// table, nothing half-committed, earlier backups intact.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/random.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;

bool full_run() { return std::getenv("PGHAUL_TEST_FULL") != nullptr; }

// A small server and a repository with one backup, made once; each test gets a copy of the
// repository.
class Failures : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = PgServer::create({});
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_TRUE(server_->start());
    ASSERT_TRUE(server_->query(
        "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n"));
    workshop_ = std::make_unique<Workshop>();
    ASSERT_EQ(workshop_->pghaul("init --repo " + workshop_->path("first")).status, 0);
    const Outcome backup =
        workshop_->pghaul(format("backup --repo {} -D {} -c fast --json", workshop_->path("first"),
                                 server_->data_directory()));
    ASSERT_EQ(backup.status, 0) << backup.err;
    first_ = json_of(backup).string_at("backup").value();
    ASSERT_EQ(workshop_
                  ->pghaul(format("restore --repo {} -D {}", workshop_->path("first"),
                                  workshop_->path("reference")))
                  .status,
              0);
  }
  static void TearDownTestSuite() {
    server_.reset();
    workshop_.reset();
  }

  void SetUp() override {
    ASSERT_FALSE(first_.empty());
    repo_ = workshop_->path("repo");
    ASSERT_EQ(
        workshop_->shell_as_server(format("cp -a {} {}", workshop_->path("first"), repo_)).status,
        0);
  }
  void TearDown() override {
    workshop_->shell_as_server(format("rm -rf {} {}", repo_, workshop_->path("target")));
  }

  std::string backup_command(const std::string& more = "") const {
    return format("backup --repo {} -D {} -c fast {}", repo_, server_->data_directory(), more);
  }
  std::string restore_command() const {
    return format("restore --repo {} -D {}", repo_, workshop_->path("target"));
  }

  // One error line and, where asked for, a hint; the status; and the repository as it was.
  void expect_failure(const Outcome& outcome, int status, const std::string& words) const {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(words));
    std::size_t errors = 0;
    for (std::size_t at = outcome.err.find("pghaul: error: "); at != std::string::npos;
         at = outcome.err.find("pghaul: error: ", at + 1)) {
      ++errors;
    }
    EXPECT_EQ(errors, 1U) << outcome.err;
  }
  void expect_only_the_first_backup() const {
    const Json info = json_of(workshop_->pghaul(format("info --json --repo {}", repo_)));
    const Json::Array& backups = *info.array_at("backups").value();
    ASSERT_EQ(backups.size(), 1U);
    EXPECT_EQ(backups[0].string_at("backup").value(), first_);
    const Outcome verify = workshop_->pghaul(format("verify --data --repo {}", repo_));
    EXPECT_EQ(verify.status, 0) << verify.out << verify.err;
    expect_first_restores();
  }
  // Files that differ by nature: the manifest has the time of the restore.
  bool target_equals_reference() const {
    return workshop_
               ->shell_as_server(format("diff -r -x backup_manifest {} {}",
                                        workshop_->path("reference"), workshop_->path("target")))
               .status == 0;
  }
  void expect_first_restores() const {
    workshop_->shell_as_server("rm -rf " + workshop_->path("target"));
    const Outcome restore = workshop_->pghaul(
        format("restore {} --repo {} -D {}", first_, repo_, workshop_->path("target")));
    EXPECT_EQ(restore.status, 0) << restore.err;
    EXPECT_TRUE(target_equals_reference());
  }

  static std::unique_ptr<PgServer> server_;
  static std::unique_ptr<Workshop> workshop_;
  static std::string first_;
  std::string repo_;
};

std::unique_ptr<PgServer> Failures::server_;
std::unique_ptr<Workshop> Failures::workshop_;
std::string Failures::first_;

TEST_F(Failures, DirectoryThatIsNoDataDirectory) {
  expect_failure(workshop_->pghaul(format("backup --repo {} -D {} -h {} -p 54321", repo_,
                                          workshop_->path(""), server_->socket_directory())),
                 15, "not a usable data directory");
  expect_only_the_first_backup();
}

TEST_F(Failures, DirectoryOfAnotherServer) {
  auto other = PgServer::create({}).value();
  expect_failure(workshop_->pghaul(format("backup --repo {} -D {} -h {} -p 54321", repo_,
                                          other->data_directory(), server_->socket_directory())),
                 15, "the server is system");
  expect_only_the_first_backup();
}

TEST_F(Failures, CopyOfTheServersOwnDirectory) {
  ASSERT_EQ(workshop_
                ->shell_as_server(
                    format("cp -a {} {}", server_->data_directory(), workshop_->path("target")))
                .status,
            0);
  expect_failure(workshop_->pghaul(format("backup --repo {} -D {} -h {} -p 54321", repo_,
                                          workshop_->path("target"), server_->socket_directory())),
                 15, "the server runs on");
  expect_only_the_first_backup();
}

TEST_F(Failures, AnotherServersSystemIdentifierUnderTheSameName) {
  auto other = PgServer::create({}).value();
  ASSERT_TRUE(other->start());
  expect_failure(workshop_->pghaul(format("backup --repo {} --cluster main -D {}", repo_,
                                          other->data_directory())),
                 15, "holds backups of system");
  expect_only_the_first_backup();
}

TEST_F(Failures, ServerThatDoesNotRun) {
  auto other = PgServer::create({}).value();
  expect_failure(workshop_->pghaul(format("backup --repo {} -D {} -h {}", repo_,
                                          other->data_directory(), other->socket_directory())),
                 15, "cannot connect");
  expect_only_the_first_backup();
}

TEST_F(Failures, RepositoryThatIsNotThere) {
  expect_failure(workshop_->pghaul(format("backup --repo {} -D {}", workshop_->path("nowhere"),
                                          server_->data_directory())),
                 10, "not a repository");
  EXPECT_FALSE(std::filesystem::exists(workshop_->path("nowhere")));
}

TEST_F(Failures, RepositoryThatVanishesMidway) {
  const std::string away = workshop_->path("away");
  const Outcome outcome = workshop_->shell_as_server(
      format("PGHAUL_FAULTS=create:3:sleep_4000 {} {} -Z none & sleep 2; mv {} {}; wait $!",
             workshop_->path("pghaul_faulty"), backup_command("--cluster again"), repo_, away));
  EXPECT_EQ(outcome.status, 14) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("is gone"));
  ASSERT_EQ(workshop_->shell_as_server(format("rm -rf {}; mv {} {}", repo_, away, repo_)).status,
            0);
  const Json info =
      json_of(workshop_->pghaul(format("info --json --cluster main --repo {}", repo_)));
  EXPECT_EQ(info.array_at("backups").value()->size(), 1U);
}

TEST_F(Failures, RepositoryThatMayNotBeReadOrWritten) {
  ASSERT_EQ(workshop_->shell_as_server("chmod 0500 " + repo_ + "/clusters/main/leases").status, 0);
  if (::geteuid() == 0) {
    expect_failure(workshop_->pghaul(backup_command()), 13, "Permission denied");
  }
  ASSERT_EQ(workshop_->shell_as_server("chmod 0700 " + repo_ + "/clusters/main/leases").status, 0);
  expect_only_the_first_backup();
  ASSERT_EQ(workshop_->shell_as_server("chmod 0000 " + repo_ + "/config").status, 0);
  if (::geteuid() == 0) {
    expect_failure(workshop_->pghaul(format("info --repo {}", repo_)), 13, "Permission denied");
  }
}

TEST_F(Failures, TargetThatMayNotBeWritten) {
  if (::geteuid() != 0) return;  // the owner of everything else
  ASSERT_EQ(workshop_->shell("mkdir -m 0755 " + workshop_->path("root-owned")).status, 0);
  expect_failure(workshop_->pghaul(format("restore --repo {} -D {}", repo_,
                                          workshop_->path("root-owned/target"))),
                 13, "Permission denied");
  workshop_->shell("rmdir " + workshop_->path("root-owned"));
}

TEST_F(Failures, TargetsThatAreRefused) {
  ASSERT_EQ(
      workshop_->shell_as_server(format("mkdir {0} && touch {0}/file", workshop_->path("target")))
          .status,
      0);
  expect_failure(workshop_->pghaul(restore_command()), 2, "is not empty");
  EXPECT_TRUE(std::filesystem::exists(workshop_->path("target/file")));
  const Outcome running =
      workshop_->pghaul(format("restore --repo {} -D {}", repo_, server_->data_directory()));
  expect_failure(running, 15, "server runs");
}

TEST_F(Failures, NamesThatDoNotExist) {
  expect_failure(workshop_->pghaul(format("restore 20200101T000000Z-F --repo {} -D {}", repo_,
                                          workshop_->path("target"))),
                 4, "no backup");
  expect_failure(workshop_->pghaul(restore_command() + " -T /not/there=/x"), 2, "no tablespace at");
  expect_failure(workshop_->pghaul("frobnicate"), 2, "frobnicate");
  expect_failure(workshop_->pghaul(backup_command("--frobnicate")), 2, "--frobnicate");
}

TEST_F(Failures, RoleWithoutTheRightToReplicate) {
  const std::string functions = support::pg_major() >= 15
                                    ? "pg_backup_start, pg_backup_stop"
                                    : "pg_start_backup, pg_stop_backup(bool, bool)";
  ASSERT_TRUE(server_->query(
      format("CREATE ROLE weak LOGIN IN ROLE pg_read_all_settings; GRANT EXECUTE ON FUNCTION {}, "
             "pg_control_system TO weak",
             functions)));
  const Outcome outcome = workshop_->pghaul(backup_command("-U weak"));
  EXPECT_TRUE(outcome.status == 13 || outcome.status == 15) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("REPLICATION"));
  expect_only_the_first_backup();
}

TEST_F(Failures, LowSoftLimitOfOpenFilesIsNone) {
  const Outcome outcome = workshop_->shell_as_server(
      format("ulimit -Sn 40 && {} {}", workshop_->path("pghaul"), backup_command("--type full")));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(Failures, DamagedPagesInTheSourceAreExitStatusThree) {
  auto other = PgServer::create({}).value();
  ASSERT_TRUE(other->start());
  ASSERT_TRUE(other->query(
      "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n; CHECKPOINT"));
  const std::string file =
      other->data_directory() + "/" + other->query("SELECT pg_relation_filepath('t')").value();
  ASSERT_TRUE(other->stop());
  {
    std::fstream relation(file, std::ios::in | std::ios::out | std::ios::binary);
    for (const int block : {3, 100, 200}) {
      relation.seekp(block * 8192 + 4000);
      relation.put('\x7f');
    }
  }
  ASSERT_EQ(workshop_->pghaul(format("init --repo {}", workshop_->path("target"))).status, 0);
  const std::string arguments =
      format("--repo {} -D {} --json", workshop_->path("target"), other->data_directory());
  const Outcome offline = workshop_->pghaul("backup --offline " + arguments);
  EXPECT_EQ(offline.status, 3) << offline.err;
  EXPECT_EQ(json_of(offline).uint_at("bad_page_count").value(), 3U);
  ASSERT_TRUE(other->start());
  const Outcome online = workshop_->pghaul("backup -c fast " + arguments);
  EXPECT_EQ(online.status, 3) << online.err;
  EXPECT_EQ(json_of(online).uint_at("bad_page_count").value(), 3U);
}

// Any damage to any object is found by verify; a restore is identical or names what is lost.
TEST_F(Failures, RandomDamageIsFoundAndNothingWrongIsRestored) {
  const int rounds = full_run() ? 500 : 50;
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(format("seed {}", seed));
  SeededRandom random(seed);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(repo_)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (int round = 0; round < rounds; ++round) {
    const std::string file = files[random.next() % files.size()];
    const std::string saved = workshop_->path("saved");
    std::filesystem::copy_file(file, saved, std::filesystem::copy_options::overwrite_existing);
    const std::uint64_t size = std::filesystem::file_size(file);
    const std::uint64_t at = random.next() % size;
    const std::uint64_t kind = random.next() % 4;
    if (kind == 0) {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(static_cast<std::streamoff>(at));
      const int old = bytes.get();
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(static_cast<char>(old ^ (1 << (random.next() % 8))));
    } else if (kind == 1) {
      std::filesystem::resize_file(file, at);
    } else if (kind == 2) {
      std::filesystem::remove(file);
    } else {
      std::ofstream(file, std::ios::app) << "x";
    }
    const Outcome verify = workshop_->pghaul(format("verify --data --repo {}", repo_));
    // A snapshot that is gone as a whole leaves no trace that could contradict.
    const bool whole_snapshot_gone = kind == 2 && file.find("/snapshots/") != std::string::npos;
    // A config of another version, by the damage, is left to a program that knows it.
    const bool unknown = verify.status == 1 && file.ends_with("/config") &&
                         verify.err.find("is not known to this program") != std::string::npos;
    if (!whole_snapshot_gone) {
      EXPECT_TRUE(verify.status == 5 || verify.status == 10 || unknown)
          << file << " kind " << kind << " at " << at << verify.out << verify.err;
    }
    workshop_->shell_as_server("rm -rf " + workshop_->path("target"));
    const Outcome restore = workshop_->pghaul(
        format("restore {} --repo {} -D {}", first_, repo_, workshop_->path("target")));
    if (restore.status == 0) {
      EXPECT_TRUE(target_equals_reference()) << file << " kind " << kind << " at " << at;
    } else {
      EXPECT_THAT(restore.err, HasSubstr("pghaul: error: "));
      EXPECT_FALSE(std::filesystem::exists(workshop_->path("target/global/pg_control")));
    }
    std::filesystem::copy_file(saved, file, std::filesystem::copy_options::overwrite_existing);
    workshop_->shell(format("chown --reference={} {}; chmod 0600 {}", repo_, file, file));
  }
  EXPECT_EQ(workshop_->pghaul(format("verify --data --repo {}", repo_)).status, 0);
}

}  // namespace
}  // namespace haul::integration
