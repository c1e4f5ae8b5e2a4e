// A small cluster in two states, a repository with a backup of the first, and what must hold of
// both whatever went wrong while the second was being backed up or the first was being restored.
//
// Threads:  one owner at a time.
// Errors:   what fails here is a failure of the test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

// Path -> mode, owner and content; without the manifest, which has the time of the restore.
using Tree = std::map<std::string, std::string>;

Tree tree_of(const std::string& directory);
// The first path that differs; empty when there is none.
std::string tree_difference(const Tree& expected, const Tree& actual);

bool full_run();
// PGHAUL_TEST_SEED, else a random one; the caller shows it.
std::uint64_t test_seed();
// `count` numbers from 1 to `total`, evenly spread; fewer when there are not as many.
std::vector<std::uint64_t> spread(std::uint64_t total, std::uint64_t count);

// With "--io": the back ends take turns.
std::string on_backend(const std::string& command, std::uint64_t number);

// One line "pghaul: error: ", neither none nor several.
void expect_one_error(const Outcome& outcome);

class Scene {
 public:
  Scene();
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  const Workshop& workshop() const { return workshop_; }
  std::string path(const std::string& name) const { return workshop_.path(name); }
  // Cleanly shut down unless somebody starts it; in its second state.
  support::PgServer& server() { return *server_; }

  // The repository with one backup, of the first state; never written.
  std::string first_repository() const { return path("first"); }
  const std::string& first_backup() const { return first_backup_; }
  // A copy of it in place of what was there.
  void copy_first_repository(const std::string& to) const;
  void remove(const std::string& directory) const;

  // Backs up the second state; restores the backup of the first.
  std::string backup_command(const std::string& repository) const;
  std::string restore_command(const std::string& repository, const std::string& target) const;

  // With faults, ended after a minute: then the status is none of pghaul's.
  Outcome run_with_faults(const std::string& faults, const std::string& arguments) const;
  // How often each operation is called when nothing fails.
  std::map<std::string, std::uint64_t> operations_of(const std::string& arguments) const;
  std::map<std::string, std::uint64_t> operations_of_last_run() const;  // that was not killed

  // What a full backup of the second state stores, and what the backup after the first does.
  std::uint64_t stored_bytes_of_full() const { return stored_bytes_of_full_; }
  std::uint64_t stored_bytes_of_second() const { return stored_bytes_of_second_; }

  const Tree& first_tree() const { return first_tree_; }
  const Tree& second_tree() const { return second_tree_; }

  std::vector<std::string> backups(const std::string& repository) const;
  void expect_sound(const std::string& repository) const;
  // The first backup is there, and every other is one of the second state; all restore identical.
  void expect_backups_restore(const std::string& repository) const;
  // The next run needs no help and stores no more than it would have to; returns what it stored.
  std::uint64_t expect_next_backup(const std::string& repository, const std::string& command) const;
  void expect_restores(const std::string& repository, const std::string& backup,
                       const Tree& expected) const;
  // Nothing of ours still runs, or is still connected to the server.
  void expect_no_processes() const;
  void expect_no_session() const;

 private:
  void make_states();
  void make_backups();

  const Workshop workshop_;
  std::unique_ptr<support::PgServer> server_;
  std::string first_backup_;
  std::uint64_t stored_bytes_of_full_ = 0;
  std::uint64_t stored_bytes_of_second_ = 0;
  Tree first_tree_;
  Tree second_tree_;
};

// A suite with a scene of its own, made once.
template <typename Suite>
class SceneTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { scene_ = std::make_unique<Scene>(); }
  static void TearDownTestSuite() { scene_.reset(); }
  void SetUp() override { ASSERT_FALSE(scene_->first_backup().empty()); }
  void TearDown() override { scene_->expect_no_processes(); }

  static Scene& scene() { return *scene_; }

 private:
  inline static std::unique_ptr<Scene> scene_;
};

}  // namespace haul::integration
