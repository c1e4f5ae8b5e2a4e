// Every operation in turn fails or falls short, at calls spread over a backup and a restore, on
// both back ends: a command that says it is done is right, and one that fails leaves nothing
// half-done.

#include <filesystem>
#include <iostream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/faults/scene.h"

namespace haul::integration {
namespace {

std::uint64_t points_per_fault() { return full_run() ? 8 : 1; }

struct FaultCase {
  const char* operation;
  const char* action;
  // Which statuses may come of it: that of storage, or also that of damage where bytes are missing.
  std::set<int> failures = {14};
};

const std::vector<FaultCase>& errors() {
  static const std::vector<FaultCase> kErrors = {
      {"read", "eio"},
      {"write", "eio"},
      {"write", "short"},
      {"write", "enospc"},
      {"sync", "eio"},
      {"sync_directory", "eio"},
      {"close", "eio"},
      {"create", "eio"},
      {"create", "enospc"},
      {"publish", "eio"},
      {"publish", "enospc"},
      {"preallocate", "eio"},
      {"resize", "eio"},
      {"open", "eio"},
      {"open_directory", "eio"},
      {"info", "eio"},
      {"list", "eio"},
      {"make_directory", "eio"},
      {"make_directory", "enospc"},
      {"remove_file", "eio"},
      {"sync_file_system", "eio"},
      {"set_mode", "eio"},
  };
  return kErrors;
}

// "read:17:eio" for calls spread over those that there are; of an operation that is never called,
// none.
std::vector<std::string> rules_of(const FaultCase& fault,
                                  const std::map<std::string, std::uint64_t>& operations) {
  std::vector<std::string> rules;
  for (const std::uint64_t call : spread(operations.at(fault.operation), points_per_fault())) {
    rules.push_back(format("{}:{}:{}", fault.operation, call, fault.action));
  }
  return rules;
}

class FaultPoints : public SceneTest<FaultPoints> {
 protected:
  std::string repository() const { return scene().path("repo"); }
  std::string target() const { return scene().path("target"); }

  // True when the command succeeded.
  bool expect_truth(const Outcome& outcome, const FaultCase& fault) {
    if (outcome.status == 0) return true;
    EXPECT_TRUE(fault.failures.contains(outcome.status)) << outcome.status << ": " << outcome.err;
    expect_one_error(outcome);
    return false;
  }

  void check_backup(const FaultCase& fault, const std::string& rule, std::uint64_t number) {
    SCOPED_TRACE(on_backend(rule, number));
    scene().copy_first_repository(repository());
    const std::string command = scene().backup_command(repository());
    const bool done =
        expect_truth(scene().run_with_faults(rule, on_backend(command, number)), fault);
    failed_ += done ? 0 : 1;
    scene().expect_sound(repository());
    const std::size_t listed = scene().backups(repository()).size();
    // An error after the commit may leave the backup: then it is whole.
    EXPECT_TRUE(listed == 2 || (!done && listed == 1)) << listed;
    if (listed == 2) scene().expect_backups_restore(repository());
    scene().expect_next_backup(repository(), command);
  }

  void check_restore(const FaultCase& fault, const std::string& rule, std::uint64_t number) {
    SCOPED_TRACE(on_backend(rule, number));
    scene().remove(target());
    const std::string command = scene().restore_command(repository(), target());
    const bool done =
        expect_truth(scene().run_with_faults(rule, on_backend(command, number)), fault);
    failed_ += done ? 0 : 1;
    if (done) {
      EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target())), "");
    } else {
      EXPECT_FALSE(std::filesystem::exists(target() + "/global/pg_control"));
    }
  }

  std::uint64_t failed_ = 0;
};

TEST_F(FaultPoints, OfABackupFailItOrDoNotMatter) {
  scene().copy_first_repository(repository());
  const auto operations = scene().operations_of(scene().backup_command(repository()));
  std::uint64_t number = 0;
  for (const FaultCase& fault : errors()) {
    for (const std::string& rule : rules_of(fault, operations)) {
      check_backup(fault, rule, number++);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(failed_ * 2, number);
  std::cout << format("{} faults, of which {} failed the backup\n", number, failed_);
}

TEST_F(FaultPoints, OfARestoreFailItOrDoNotMatter) {
  scene().copy_first_repository(repository());
  scene().remove(target());
  const auto operations = scene().operations_of(scene().restore_command(repository(), target()));
  std::vector<FaultCase> faults = errors();
  // What comes back wrong or short from the repository is damage, wherever it came from.
  faults.push_back({"read", "short", {5, 14}});
  faults.push_back({"read", "flip", {5, 14}});
  std::uint64_t number = 0;
  for (const FaultCase& fault : faults) {
    for (const std::string& rule : rules_of(fault, operations)) {
      check_restore(fault, rule, number++);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(failed_ * 2, number);
  scene().expect_sound(repository());
  scene().expect_backups_restore(repository());
  std::cout << format("{} faults, of which {} failed the restore\n", number, failed_);
}

// From some call on nothing works any more, not even cleaning up.
TEST_F(FaultPoints, ThatLastFailTheBackupAndLeaveNothingHalfDone) {
  scene().copy_first_repository(repository());
  const auto operations = scene().operations_of(scene().backup_command(repository()));
  std::uint64_t number = 0;
  for (const char* action : {"eio", "enospc"}) {
    for (const std::uint64_t call : spread(operations.at("mutate"), points_per_fault() * 3)) {
      check_backup({"mutate", action}, format("mutate:{}+:{}", call, action), number++);
      if (HasFailure()) return;
    }
  }
}

class OnlineFaultPoints : public FaultPoints {
 protected:
  void SetUp() override {
    FaultPoints::SetUp();
    ASSERT_TRUE(scene().server().start());
  }
  void TearDown() override {
    EXPECT_TRUE(scene().server().stop());
    FaultPoints::TearDown();
  }
};

// The process has ended; so must what it had opened on the server.
TEST_F(OnlineFaultPoints, CloseTheSessionOnTheServer) {
  const std::string command = format("backup -c fast --json --repo {} -D {}", repository(),
                                     scene().server().data_directory());
  scene().copy_first_repository(repository());
  const auto operations = scene().operations_of(command);
  std::uint64_t number = 0;
  for (const char* operation : {"read", "write", "sync", "publish", "create", "sync_directory"}) {
    for (const std::uint64_t call : spread(operations.at(operation), points_per_fault())) {
      const std::string rule = format("{}:{}:eio", operation, call);
      SCOPED_TRACE(rule);
      scene().copy_first_repository(repository());
      const Outcome outcome = scene().run_with_faults(rule, on_backend(command, number++));
      // A running server makes some more or some less to read of each run.
      if (outcome.status == 0) {
        EXPECT_LT(scene().operations_of_last_run().at(operation), call);
        continue;
      }
      EXPECT_EQ(outcome.status, 14) << outcome.err;
      expect_one_error(outcome);
      scene().expect_no_session();
      scene().expect_sound(repository());
      // The last sync of a directory follows the commit.
      const std::size_t listed = scene().backups(repository()).size();
      EXPECT_TRUE(listed == 1 || (listed == 2 && rule.starts_with("sync_directory"))) << listed;
      scene().expect_next_backup(repository(), command);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace haul::integration
