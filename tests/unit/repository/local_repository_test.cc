#include "engine/repository/local_repository.h"

#include <functional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "io/fault_directory.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/manual_clock.h"

namespace haul::repository {
namespace {

using support::code_of;
using support::names_in;
using support::read_file;
using support::write_file;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Paths are absolute; "/there" exists and is empty.
struct Machine {
  io::SimDisk disk;
  std::unique_ptr<io::Directory> top = disk.open("").value();
  SeededRandom random{1};
  support::ManualClock clock;

  Machine() { HAUL_ASSERT(top->make_directory("there", 0755).has_value()); }

  LocalDirectoryOpener opener() {
    return [this](const std::string& path) { return disk.open(path.substr(1)); };
  }
  // Everything is reached through one plan of faults.
  LocalDirectoryOpener faulty(const std::string& rules) {
    std::shared_ptr<io::FaultPlan> plan = io::parse_fault_plan(rules).value();
    return [this, plan](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
      return io::make_fault_directory(HAUL_TRY(disk.open(path.substr(1))), plan);
    };
  }
  Result<Repository> init(const LocalDirectoryOpener& open, const std::string& path) {
    return init_local_repository(open, {path, LocalOwner::process, {}}, random, clock);
  }
  std::vector<std::string> names(const std::string& path) { return names_in(*top, path).value(); }
};

// A clock that lets something else happen between two steps of an init: config bears its time.
class InterruptedClock final : public Clock {
 public:
  explicit InterruptedClock(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}
  UtcTime now_utc() override {
    if (meanwhile_) std::exchange(meanwhile_, nullptr)();
    return {};
  }
  std::chrono::nanoseconds now_monotonic() override { return {}; }
  void sleep_for(std::chrono::nanoseconds) override {}

 private:
  std::function<void()> meanwhile_;
};

TEST(LocalRepositoryInit, MakesItsDirectoryOrTakesAnEmptyOne) {
  Machine machine;
  ASSERT_TRUE(machine.init(machine.opener(), "/there"));
  ASSERT_TRUE(machine.init(machine.opener(), "/new"));
  EXPECT_TRUE(open_local_repository(machine.opener(), "/there", LocalOwner::process));
  EXPECT_TRUE(open_local_repository(machine.opener(), "/new", LocalOwner::process));
  EXPECT_EQ(machine.top->info("new")->mode, 0700U);
}

TEST(LocalRepositoryInit, OverAnythingTouchesNothing) {
  Machine machine;
  ASSERT_TRUE(machine.init(machine.opener(), "/new"));
  ASSERT_TRUE(write_file(*machine.top, "there/file", "x"));
  EXPECT_EQ(code_of(machine.init(machine.opener(), "/new")), ErrorCode::already_exists);
  EXPECT_EQ(code_of(machine.init(machine.opener(), "/there")), ErrorCode::usage);
  EXPECT_THAT(machine.names("there"), ElementsAre("file"));
}

TEST(LocalRepositoryInit, FailureAnywhereLeavesNothing) {
  for (const std::string path : {"/there", "/new"}) {
    int failures = 0;
    for (int call = 1;; ++call) {
      Machine machine;
      // Undoing works with the faulty directory as well: only that one call fails.
      const auto made =
          machine.init(machine.faulty("any:" + std::to_string(call) + ":enospc"), path);
      if (made) break;
      ++failures;
      if (path == "/there") {
        EXPECT_THAT(machine.names("there"), IsEmpty()) << call;
      } else {
        EXPECT_THAT(machine.names(""), ElementsAre("there")) << call;
      }
    }
    EXPECT_GT(failures, 10) << path;
  }
}

// What is left to do for an init that found the directory empty, too.
void finish_racing_init(Machine& machine) {
  const auto store = io::make_posix_object_store(machine.disk.open("there").value(), {});
  SeededRandom random(2);
  HAUL_ASSERT(Repository::init(*store, {}, random, machine.clock).has_value());
}

// An init of "/there" whose `call`-th operation fails, and that another one overtakes.
struct Overtaken {
  enum class When { before_it_looks_into_the_store, before_it_puts_its_config };

  Result<Repository> init(std::uint64_t call, When when) {
    const LocalDirectoryOpener faulty = machine.faulty(format("any:{}:eio", call));
    int opened = 0;
    const auto open = [&](const std::string& path) {
      if (++opened == 2 && when == When::before_it_looks_into_the_store)
        finish_racing_init(machine);
      return faulty(path);
    };
    InterruptedClock clock([&] {
      if (when == When::before_it_puts_its_config) finish_racing_init(machine);
    });
    return init_local_repository(open, {"/there", LocalOwner::process, {}}, machine.random, clock);
  }

  Machine machine;
};

TEST(LocalRepositoryInit, ThatFailsLeavesWhatARacingOneMade) {
  for (const auto when : {Overtaken::When::before_it_looks_into_the_store,
                          Overtaken::When::before_it_puts_its_config}) {
    int overtaken = 0;
    for (std::uint64_t call = 1;; ++call) {
      Overtaken loser;
      const auto made = loser.init(call, when);
      ASSERT_FALSE(made) << call;
      if (loser.machine.top->info("there/config")) {
        ++overtaken;
        EXPECT_TRUE(open_local_repository(loser.machine.opener(), "/there", LocalOwner::process))
            << call;
      }
      if (made.error().code() == ErrorCode::already_exists) break;
      EXPECT_EQ(made.error().code(), ErrorCode::io);
    }
    EXPECT_GT(overtaken, 2);
  }
}

}  // namespace
}  // namespace haul::repository
