#include "tests/integration/faults/scene.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

namespace fs = std::filesystem;
using support::PgServer;

namespace {

// Rows of random bytes, which no codec makes smaller: what is stored comes in many packs.
constexpr const char* kRandomRows = R"(
  CREATE TABLE {} AS SELECT n, decode(string_agg(md5(random()::text), ''), 'hex') AS bytes
    FROM generate_series(1, {}) n, generate_series(1, 4000) GROUP BY n)";

std::string described(const fs::directory_entry& entry) {
  struct stat status{};
  EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0) << entry.path();
  std::string text = format("{:o} {}:{} ", status.st_mode, status.st_uid, status.st_gid);
  if (entry.is_symlink()) return text + fs::read_symlink(entry.path()).string();
  if (entry.is_regular_file()) text += support::read_whole_file(entry.path()).value_or("?");
  return text;
}

}  // namespace

Tree tree_of(const std::string& directory) {
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() == "backup_manifest") continue;
    tree.emplace(fs::relative(entry.path(), directory), described(entry));
  }
  return tree;
}

std::string tree_difference(const Tree& expected, const Tree& actual) {
  for (const auto& [path, content] : expected) {
    const auto found = actual.find(path);
    if (found == actual.end()) return path + " is missing";
    if (found->second != content) return path + " differs";
  }
  for (const auto& [path, content] : actual) {
    if (!expected.contains(path)) return path + " should not be there";
  }
  return "";
}

bool full_run() { return std::getenv("PGHAUL_TEST_FULL") != nullptr; }

std::uint64_t test_seed() {
  const char* given = std::getenv("PGHAUL_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

std::vector<std::uint64_t> spread(std::uint64_t total, std::uint64_t count) {
  count = std::min(total, count);
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < count; ++i) {
    // From the first to the last.
    numbers.push_back(count == 1 ? (total + 1) / 2 : 1 + i * (total - 1) / (count - 1));
  }
  return numbers;
}

std::string on_backend(const std::string& command, std::uint64_t number) {
  return format("{} --io {}", command, number % 2 == 0 ? "uring" : "threads");
}

void expect_one_error(const Outcome& outcome) {
  constexpr std::string_view kError = "pghaul: error: ";
  std::size_t errors = 0;
  for (std::size_t at = outcome.err.find(kError); at != std::string::npos;
       at = outcome.err.find(kError, at + 1)) {
    ++errors;
  }
  EXPECT_EQ(errors, 1U) << outcome.err;
}

Scene::Scene() {
  make_states();
  if (!testing::Test::HasFatalFailure()) make_backups();
}

Scene::~Scene() = default;

void Scene::make_states() {
  support::PgServerOptions options;
  options.wal_segment_size_mb = 1;
  options.settings = {"autovacuum = off", "max_wal_size = 8MB", "min_wal_size = 2MB"};
  auto made = PgServer::create(options);
  ASSERT_TRUE(made) << made.error().message();
  server_ = std::move(made).take();
  ASSERT_TRUE(server_->start());
  // Smaller by a third.
  ASSERT_TRUE(
      server_->query("UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'"));
  ASSERT_TRUE(server_->query("DROP DATABASE template0"));
  ASSERT_TRUE(server_->query(format(kRandomRows, "kept", 120)));
  ASSERT_TRUE(server_->stop());
  const Outcome copied = workshop_.shell_as_server(
      format("cp -a {} {}", server_->data_directory(), path("first-state")));
  ASSERT_EQ(copied.status, 0) << copied.err;
  ASSERT_TRUE(server_->start());
  ASSERT_TRUE(server_->query(format(kRandomRows, "added", 80)));
  ASSERT_TRUE(server_->stop());
}

void Scene::make_backups() {
  const auto init = [this](const std::string& repository) {
    const Outcome made = workshop_.pghaul(format("init --pack-size 2MiB --repo {}", repository));
    EXPECT_EQ(made.status, 0) << made.err;
  };
  const auto back_up = [this](const std::string& repository, const std::string& state) {
    const Outcome outcome =
        workshop_.pghaul(format("backup --offline --json --repo {} -D {}", repository, state));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(outcome);
  };
  const auto restored = [this](const std::string& repository, const std::string& backup) {
    const Outcome outcome = workshop_.pghaul(
        format("restore {} --repo {} -D {}", backup, repository, path("restored")));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return tree_of(path("restored"));
  };
  init(first_repository());
  const Json first = back_up(first_repository(), path("first-state"));
  const std::string first_backup = first.string_at("backup").value_or("");
  first_tree_ = restored(first_repository(), first_backup);
  {
    // The tree that all others are compared with is a cluster that works.
    auto server = PgServer::adopt(path("restored")).value();
    EXPECT_TRUE(server->start());
    EXPECT_EQ(server->query("SELECT count(*) FROM kept").value_or(""), "120");
  }
  remove(path("restored"));
  init(path("full"));
  const Json full = back_up(path("full"), server_->data_directory());
  stored_bytes_of_full_ = full.uint_at("stored_bytes").value_or(0);
  remove(path("full"));
  copy_first_repository(path("second"));
  const Json second = back_up(path("second"), server_->data_directory());
  stored_bytes_of_second_ = second.uint_at("stored_bytes").value_or(0);
  second_tree_ = restored(path("second"), second.string_at("backup").value_or(""));
  remove(path("restored"));
  remove(path("second"));
  // Otherwise "less than a full backup" would say nothing.
  EXPECT_LT(stored_bytes_of_second_ * 2, stored_bytes_of_full_);
  EXPECT_NE(tree_difference(first_tree_, second_tree_), "");
  if (!testing::Test::HasFailure()) first_backup_ = first_backup;
}

void Scene::copy_first_repository(const std::string& to) const {
  remove(to);
  const Outcome copied = workshop_.shell_as_server(format("cp -a {} {}", first_repository(), to));
  EXPECT_EQ(copied.status, 0) << copied.err;
}

void Scene::remove(const std::string& directory) const {
  EXPECT_EQ(workshop_.shell("rm -rf " + directory).status, 0);
}

std::string Scene::backup_command(const std::string& repository) const {
  return format("backup --offline --json --repo {} -D {}", repository, server_->data_directory());
}

std::string Scene::restore_command(const std::string& repository, const std::string& target) const {
  return format("restore {} --repo {} -D {}", first_backup_, repository, target);
}

Outcome Scene::run_with_faults(const std::string& faults, const std::string& arguments) const {
  return workshop_.shell_as_server(
      format("PGHAUL_FAULTS='{}' PGHAUL_FAULT_COUNTS={} exec timeout -k 5 60 {} {}", faults,
             path("counts"), path("pghaul_faulty"), arguments));
}

std::map<std::string, std::uint64_t> Scene::operations_of(const std::string& arguments) const {
  const Outcome outcome = run_with_faults("", arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return operations_of_last_run();
}

std::map<std::string, std::uint64_t> Scene::operations_of_last_run() const {
  std::map<std::string, std::uint64_t> operations;
  std::istringstream lines(support::read_whole_file(path("counts")).value_or(""));
  std::string name;
  for (std::uint64_t count = 0; lines >> name >> count;) operations[name] = count;
  return operations;
}

std::vector<std::string> Scene::backups(const std::string& repository) const {
  const Outcome outcome = workshop_.pghaul(format("info --json --repo {}", repository));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::string> names;
  const Json info = json_of(outcome);
  const auto listed = info.array_at("backups");
  EXPECT_TRUE(listed) << outcome.out;
  if (!listed) return names;
  for (const Json& backup : **listed) names.push_back(backup.string_at("backup").value_or(""));
  return names;
}

void Scene::expect_sound(const std::string& repository) const {
  const Outcome verify = workshop_.pghaul(format("verify --data --repo {}", repository));
  EXPECT_EQ(verify.status, 0) << verify.out << verify.err;
}

void Scene::expect_restores(const std::string& repository, const std::string& backup,
                            const Tree& expected) const {
  const std::string target = path("check");
  remove(target);
  const Outcome outcome =
      workshop_.pghaul(format("restore {} --repo {} -D {}", backup, repository, target));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  if (outcome.status != 0) return;
  EXPECT_EQ(tree_difference(expected, tree_of(target)), "") << backup;
  remove(target);
}

void Scene::expect_backups_restore(const std::string& repository) const {
  const std::vector<std::string> names = backups(repository);
  EXPECT_EQ(std::ranges::count(names, first_backup_), 1);
  for (const std::string& name : names) {
    expect_restores(repository, name, name == first_backup_ ? first_tree_ : second_tree_);
  }
}

std::uint64_t Scene::expect_next_backup(const std::string& repository,
                                        const std::string& command) const {
  const Outcome next = workshop_.pghaul(command);
  EXPECT_EQ(next.status, 0) << next.err;
  if (next.status != 0) return 0;
  const Json report = json_of(next);
  const std::uint64_t stored = report.uint_at("stored_bytes").value_or(UINT64_MAX);
  EXPECT_LT(stored * 2, stored_bytes_of_full_);
  const std::vector<std::string> names = backups(repository);
  EXPECT_EQ(std::ranges::count(names, report.string_at("backup").value_or("")), 1);
  EXPECT_EQ(std::ranges::count(names, first_backup_), 1);
  return stored;
}

void Scene::expect_no_processes() const {
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    const fs::path program = fs::read_symlink(process.path() / "exe", ignored);
    EXPECT_FALSE(program.string().starts_with(path("pghaul"))) << process.path();
  }
}

// The server notices that a connection is closed when it next reads from it.
void Scene::expect_no_session() const {
  const char* const sessions =
      "SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul') + "
      "(SELECT count(*) FROM pg_replication_slots)";
  for (int i = 0; i < 100 && server_->query(sessions).value_or("") != "0"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(server_->query(sessions).value_or("no answer"), "0");
}

}  // namespace haul::integration
