// SIGKILL, anywhere: nothing that was there is lost, nothing half-done counts, and the next run
// needs no help.
//
// A line that fails names the kill and the seed; PGHAUL_TEST_SEED repeats its random times.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <iostream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/random.h"
#include "tests/integration/faults/scene.h"

namespace haul::integration {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr int kKilled = 128 + SIGKILL;
// So many in a row before the next run succeeds.
constexpr std::uint64_t kChain = 5;

std::uint64_t kills() { return full_run() ? 200 : 20; }

struct KillPoint {
  std::string operation;
  std::uint64_t number = 0;
  std::string when;

  std::string text() const { return format("{}:{}:kill_{}", operation, number, when); }

  // Threads meet by chance: a run may end before the last operations of another.
  KillPoint earlier() const { return {operation, number / 2 + 1, when}; }
};

// Half of the kills, evenly spread over what the command does: half of these before and after
// things that change something, the others at anything.
std::deque<KillPoint> kill_points(const Scene& scene, const std::string& command) {
  const auto operations = scene.operations_of(command);
  std::deque<KillPoint> points;
  for (const char* operation : {"mutate", "any"}) {
    for (const std::uint64_t number : spread(operations.at(operation), kills() / 4)) {
      points.push_back({operation, number, points.size() / 2 % 2 == 0 ? "before" : "after"});
    }
  }
  return points;
}

// Runs the command once for each point, and once more earlier for each that it does not reach.
// `check` has the number of runs before.
template <typename Prepare, typename Check>
void kill_at_each(const Scene& scene, const std::string& command, const Prepare& prepare,
                  const Check& check) {
  std::deque<KillPoint> points = kill_points(scene, command);
  std::uint64_t killed = 0;
  for (std::uint64_t number = 0; !points.empty() && number < kills(); ++number) {
    const KillPoint point = points.front();
    points.pop_front();
    SCOPED_TRACE(on_backend(point.text(), number));
    prepare(number);
    const Outcome outcome = scene.run_with_faults(point.text(), on_backend(command, number));
    ASSERT_TRUE(outcome.status == kKilled || outcome.status == 0) << outcome.status << outcome.err;
    if (outcome.status == kKilled)
      ++killed;
    else
      points.push_back(point.earlier());
    check(number);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(killed, kills() / 2);
  std::cout << format("{} kills at fault points\n", killed);
}

// Starts the command and kills it at a time that is as likely as any other of its run.
class RandomKills {
 public:
  RandomKills(const Scene& scene, std::uint64_t seed) : scene_(scene), random_(seed) {}

  // One run to its end tells how long that takes.
  void measure(const std::string& command) {
    const auto begin = steady_clock::now();
    const Outcome outcome = scene_.workshop().pghaul(command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    duration_ = std::chrono::duration_cast<microseconds>(steady_clock::now() - begin);
  }

  // False when it was done before.
  bool kill_once(const std::string& command) {
    const pid_t process = scene_.workshop().start_pghaul(command);
    const auto length = static_cast<std::uint64_t>(std::max<std::int64_t>(duration_.count(), 1));
    std::this_thread::sleep_for(microseconds(random_.next() % length));
    ::kill(process, SIGKILL);
    const Outcome outcome = scene_.workshop().wait_for(process);
    EXPECT_TRUE(outcome.status == kKilled || outcome.status == 0) << outcome.err;
    return outcome.status == kKilled;
  }

 private:
  const Scene& scene_;
  SeededRandom random_;
  microseconds duration_{0};
};

class KilledBackups : public SceneTest<KilledBackups> {
 protected:
  std::string repository() const { return scene().path("repo"); }

  // The repository after a kill, and the next run on a copy of it, so that a chain can go on.
  void check(std::uint64_t number, const std::string& next_command) {
    scene().expect_sound(repository());
    const std::string copy = scene().path("next");
    scene().remove(copy);
    ASSERT_EQ(scene().workshop().shell(format("cp -a {} {}", repository(), copy)).status, 0);
    stored_bytes_of_next_ = scene().expect_next_backup(copy, next_command + " --repo " + copy);
    if (number % kChain == kChain - 1) scene().expect_sound(copy);
  }

  std::uint64_t stored_bytes_of_next_ = 0;
};

TEST_F(KilledBackups, ShortBeforeTheCommitHaveTheirPacksUsed) {
  const std::string command =
      format("backup --offline --json -D {}", scene().server().data_directory());
  const std::string here = " --repo " + repository();
  scene().copy_first_repository(repository());
  // The last object is the snapshot, and before it the index run is published.
  const std::uint64_t objects = scene().operations_of(command + here).at("publish");
  scene().copy_first_repository(repository());
  const Outcome outcome =
      scene().run_with_faults(format("publish:{}:kill_before", objects - 1), command + here);
  ASSERT_EQ(outcome.status, kKilled) << outcome.err;
  EXPECT_EQ(scene().backups(repository()).size(), 1U);
  check(kChain - 1, command);
  EXPECT_LT(stored_bytes_of_next_ * 2, scene().stored_bytes_of_second());
}

TEST_F(KilledBackups, AtAnyOperationLoseNothing) {
  const std::string command =
      format("backup --offline --json -D {}", scene().server().data_directory());
  const std::string here = " --repo " + repository();
  scene().copy_first_repository(repository());
  kill_at_each(
      scene(), command + here,
      [&](std::uint64_t number) {
        if (number % kChain == 0) scene().copy_first_repository(repository());
      },
      [&](std::uint64_t number) {
        check(number, command);
        if (number % kChain == kChain - 1) scene().expect_backups_restore(repository());
      });
}

class KilledOnlineBackups : public KilledBackups {
 protected:
  void SetUp() override {
    KilledBackups::SetUp();
    ASSERT_TRUE(scene().server().start());
  }
  void TearDown() override {
    EXPECT_TRUE(scene().server().stop());
    KilledBackups::TearDown();
  }
};

TEST_F(KilledOnlineBackups, AtAnyTimeLoseNothing) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(format("seed {}", seed));
  const std::string command =
      format("backup -c fast --json -D {}", scene().server().data_directory());
  const std::string here = " --repo " + repository();
  RandomKills random(scene(), seed);
  scene().copy_first_repository(repository());
  random.measure(command + here);
  std::uint64_t killed = 0;
  for (std::uint64_t run = 0; killed < kills() / 2 && run < 2 * kills(); ++run) {
    SCOPED_TRACE(format("run {}", run));
    if (killed % kChain == 0) scene().copy_first_repository(repository());
    if (!random.kill_once(on_backend(command + here, run))) {
      scene().copy_first_repository(repository());
      continue;
    }
    check(killed, command);
    if (killed % kChain == kChain - 1) {
      scene().expect_restores(repository(), scene().first_backup(), scene().first_tree());
    }
    scene().expect_no_session();
    ++killed;
    if (HasFailure()) break;
  }
  EXPECT_EQ(killed, kills() / 2);
  std::cout << format("{} kills at random times, seed {}\n", killed, seed);
}

class KilledRestores : public SceneTest<KilledRestores> {
 protected:
  std::string target() const { return scene().path("target"); }
  std::string command() const {
    return scene().restore_command(scene().first_repository(), target());
  }

  bool is_finished() const { return std::filesystem::exists(target() + "/global/pg_control"); }
  bool is_begun() const {
    return std::filesystem::exists(target()) && !std::filesystem::is_empty(target());
  }

  // No server starts on what was left, and no restore takes it for an empty directory.
  void expect_unusable() {
    const Outcome server = scene().workshop().shell_as_server(
        format("exec timeout 20 {}/postgres -D {} -p 54321 -c unix_socket_directories={} -c "
               "listen_addresses=",
               support::pg_bin_directory(), target(), scene().path("")));
    EXPECT_NE(server.status, 0);
    EXPECT_NE(server.status, 124) << "the server ran: " << server.err;
    const Outcome again = scene().workshop().pghaul(command());
    EXPECT_EQ(again.status, 2) << again.err;
    EXPECT_THAT(again.err, HasSubstr("holds a restore that did not finish"));
    expect_one_error(again);
  }

  // Killed once, wherever.
  void check(std::uint64_t number) {
    if (is_finished()) {
      // All that was missing is the exit status.
      EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target())), "");
    } else if (is_begun()) {
      expect_unusable();
    }
    if (number % kChain == kChain - 1) {
      scene().expect_restores(scene().first_repository(), scene().first_backup(),
                              scene().first_tree());
    }
  }
};

TEST_F(KilledRestores, AtAnyOperationNeverLookLikeACluster) {
  kill_at_each(
      scene(), command(), [&](std::uint64_t) { scene().remove(target()); },
      [&](std::uint64_t number) { check(number); });
  scene().expect_sound(scene().first_repository());
}

TEST_F(KilledRestores, AtAnyTimeNeverLookLikeACluster) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(format("seed {}", seed));
  RandomKills random(scene(), seed);
  scene().remove(target());
  random.measure(command());
  std::uint64_t killed = 0;
  for (std::uint64_t run = 0; killed < kills() / 2 && run < 2 * kills(); ++run) {
    SCOPED_TRACE(format("run {}", run));
    scene().remove(target());
    if (!random.kill_once(on_backend(command(), run))) continue;
    check(killed);
    ++killed;
    if (HasFailure()) break;
  }
  EXPECT_EQ(killed, kills() / 2);
  scene().expect_sound(scene().first_repository());
  std::cout << format("{} kills at random times, seed {}\n", killed, seed);
}

// A delta restore of the first backup over the second state.
class KilledDeltaRestores : public SceneTest<KilledDeltaRestores> {
 protected:
  std::string target() const { return scene().path("target"); }
  std::string command() const {
    return scene().restore_command(scene().first_repository(), target()) + " --delta";
  }

  void prepare() {
    scene().remove(target());
    const Outcome copied = scene().workshop().shell(
        format("cp -a {} {}", scene().server().data_directory(), target()));
    ASSERT_EQ(copied.status, 0) << copied.err;
    if (before_.empty()) before_ = tree_of(target());
  }

  // But for the marker, and what a kill leaves of a file without a name.
  static Tree without_ours(Tree tree) {
    std::erase_if(tree, [](const auto& entry) {
      return entry.first == "pghaul.restore-unfinished" || entry.first.ends_with(".tmp");
    });
    return tree;
  }

  // Killed once, wherever: whole, untouched, or no cluster; and another run completes it.
  void check() {
    if (std::filesystem::exists(target() + "/global/pg_control")) {
      const Tree tree = without_ours(tree_of(target()));
      EXPECT_TRUE(tree_difference(scene().first_tree(), tree).empty() ||
                  tree_difference(before_, tree).empty())
          << tree_difference(scene().first_tree(), tree);
    } else {
      const Outcome plain =
          scene().workshop().pghaul(scene().restore_command(scene().first_repository(), target()));
      EXPECT_EQ(plain.status, 2) << plain.err;
    }
    const Outcome again = scene().workshop().pghaul(command());
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target())), "");
  }

 private:
  Tree before_;
};

TEST_F(KilledDeltaRestores, AtAnyOperationAreCompletedByAnother) {
  prepare();
  kill_at_each(
      scene(), command(), [&](std::uint64_t) { prepare(); }, [&](std::uint64_t) { check(); });
  scene().expect_sound(scene().first_repository());
}

TEST_F(KilledDeltaRestores, AtAnyTimeAreCompletedByAnother) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(format("seed {}", seed));
  RandomKills random(scene(), seed);
  prepare();
  random.measure(command());
  std::uint64_t killed = 0;
  for (std::uint64_t run = 0; killed < kills() / 2 && run < 2 * kills(); ++run) {
    SCOPED_TRACE(format("run {}", run));
    prepare();
    if (!random.kill_once(on_backend(command(), run))) continue;
    check();
    ++killed;
    if (HasFailure()) break;
  }
  EXPECT_EQ(killed, kills() / 2);
  scene().expect_sound(scene().first_repository());
  std::cout << format("{} kills at random times, seed {}\n", killed, seed);
}

}  // namespace
}  // namespace haul::integration
