// Errors and short transfers that come from the kernel, through a FUSE file system: what io_uring
// and pread really answer.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/faults/mounts.h"
#include "tests/integration/faults/scene.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;

std::uint64_t points() { return full_run() ? 100 : 6; }

class FaultyFileSystem : public SceneTest<FaultyFileSystem> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting takes root";
    SceneTest::SetUp();
    scene().copy_first_repository(repository());
  }

  std::string repository() const { return scene().path("repo"); }
  std::string data() const { return scene().server().data_directory(); }
  std::string backup(const std::string& repository, const std::string& data) const {
    return format("backup --offline --json --repo {} -D {}", repository, data);
  }
  std::string restore(const std::string& repository, const std::string& target) const {
    return scene().restore_command(repository, target);
  }
  // As with faults: ended after a minute.
  Outcome run(const std::string& arguments, std::uint64_t number) const {
    return scene().run_with_faults("", on_backend(arguments, number));
  }
  // How often an operation reaches the view when nothing fails, on both back ends. A few less:
  // what is read beside the transfers is not always the same.
  std::uint64_t calls(const std::string& directory, const std::string& operation,
                      const std::function<std::string(const std::string&)>& command) {
    std::uint64_t least = UINT64_MAX;
    for (const std::uint64_t number : {0U, 1U}) {
      FaultFileSystem view(scene().workshop(), directory, "");
      EXPECT_EQ(run(command(view.path()), number).status, 0);
      least = std::min(least, view.unmount().at(operation));
      clean_up();
    }
    return least - least / 20;
  }
  // Before the next of several runs.
  void clean_up() {
    scene().copy_first_repository(repository());
    scene().remove(scene().path("target"));
    scene().remove(scene().path("space") + "/target");
  }
  std::string empty_directory() {
    scene().remove(scene().path("space"));
    EXPECT_EQ(scene().workshop().shell_as_server("mkdir " + scene().path("space")).status, 0);
    return scene().path("space");
  }
  std::string relation() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data() + "/base")) {
      // The largest is the table of random rows' TOAST table.
      if (entry.is_regular_file() && entry.file_size() > 4'000'000) {
        return entry.path().string().substr(data().size());
      }
    }
    ADD_FAILURE() << "no large relation";
    return "";
  }

  void expect_failure(const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 14) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("Input/output error"));
    expect_one_error(outcome);
  }
  void expect_only_the_first_backup() {
    EXPECT_EQ(scene().backups(repository()), std::vector<std::string>{scene().first_backup()});
    scene().expect_sound(repository());
  }
};

// A page that cannot be read is no page that can be left out.
TEST_F(FaultyFileSystem, UnreadablePagesOfTheSourceFailTheBackup) {
  const std::string file = relation();
  for (const std::uint64_t number : {0U, 1U}) {
    SCOPED_TRACE(on_backend("", number));
    FaultFileSystem view(scene().workshop(), data(), format("read:2+:eio@{}", file));
    const Outcome outcome = run(backup(repository(), view.path()), number);
    expect_failure(outcome);
    EXPECT_THAT(outcome.err, HasSubstr(file));
    EXPECT_GT(view.unmount().at("injected"), 0U);
    expect_only_the_first_backup();
  }
  scene().expect_next_backup(repository(), scene().backup_command(repository()));
}

TEST_F(FaultyFileSystem, AnyReadOfTheSourceThatFailsFailsTheBackup) {
  const std::uint64_t reads =
      calls(data(), "read", [&](const std::string& view) { return backup(repository(), view); });
  scene().copy_first_repository(repository());
  std::uint64_t number = 0;
  for (const std::uint64_t call : spread(reads, points())) {
    SCOPED_TRACE(on_backend(format("read {} of {}", call, reads), number));
    // And all that follow: what fails once can be the end of a short read, which is continued.
    FaultFileSystem view(scene().workshop(), data(), format("read:{}+:eio", call));
    expect_failure(run(backup(repository(), view.path()), number++));
    EXPECT_GT(view.unmount().at("injected"), 0U);
    expect_only_the_first_backup();
    if (HasFailure()) break;
  }
}

// The same from a block device, which is where io_uring itself is told of it.
TEST_F(FaultyFileSystem, ErrorsOfTheDiskBeneathTheSourceFailTheBackup) {
  const std::string directory = empty_directory();
  DiskImage::make(scene().workshop(), directory + "/image");
  {
    const DiskImage disk(scene().workshop(), directory + "/image");
    EXPECT_EQ(scene().workshop().shell(format("cp -a {} {}", data(), disk.path("data"))).status, 0);
  }
  // Counted in reads of the device: those that come first, and the backup's.
  const auto run_on_disk = [&](const std::string& rules, std::uint64_t number, Outcome* outcome) {
    FaultFileSystem view(scene().workshop(), directory, rules);
    {
      const DiskImage disk(scene().workshop(), view.path() + "/image");
      disk.read_metadata();
      if (outcome != nullptr) *outcome = run(backup(repository(), disk.path("data")), number);
    }
    return view.unmount();
  };
  Outcome outcome;
  const std::uint64_t before = run_on_disk("", 0, nullptr).at("read");
  const std::uint64_t all = run_on_disk("", 0, &outcome).at("read");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  scene().copy_first_repository(repository());
  std::uint64_t number = 0;
  for (const std::uint64_t call : spread((all - before) * 9 / 10, points())) {
    SCOPED_TRACE(on_backend(format("read {} of {}", before + call, all), number));
    const auto counts = run_on_disk(format("read:{}+:eio", before + call), number++, &outcome);
    EXPECT_GT(counts.at("injected"), 0U);
    expect_failure(outcome);
    expect_only_the_first_backup();
    if (HasFailure()) break;
  }
}

TEST_F(FaultyFileSystem, ErrorsOfTheDiskBeneathTheTargetFailTheRestore) {
  const std::string directory = empty_directory();
  DiskImage::make(scene().workshop(), directory + "/image");
  const auto run_on_disk = [&](const std::string& rules, std::uint64_t number) {
    FaultFileSystem view(scene().workshop(), directory, rules);
    Outcome outcome;
    {
      const DiskImage disk(scene().workshop(), view.path() + "/image");
      scene().remove(disk.path("target"));
      outcome = run(restore(repository(), disk.path("target")), number);
      EXPECT_EQ(std::filesystem::exists(disk.path("target/global/pg_control")),
                outcome.status == 0);
    }
    return std::pair(outcome, view.unmount());
  };
  const auto [good, counts] = run_on_disk("", 0);
  ASSERT_EQ(good.status, 0) << good.err;
  std::uint64_t number = 0;
  // What is written at the end is no longer the restore's.
  const std::uint64_t writes = counts.at("write") / 2;
  for (const std::uint64_t call : spread(writes / 2, points() / 2)) {
    const std::string rule = format("write:{}+:eio", writes / 2 + call);
    SCOPED_TRACE(on_backend(rule, number));
    DiskImage::make(scene().workshop(), directory + "/image");
    const auto [outcome, failed] = run_on_disk(rule, number++);
    EXPECT_GT(failed.at("injected"), 0U);
    EXPECT_EQ(outcome.status, 14) << outcome.err;
    expect_one_error(outcome);
    if (HasFailure()) break;
  }
}

TEST_F(FaultyFileSystem, ShortReadsOfTheSourceAreContinued) {
  for (const std::uint64_t number : {0U, 1U}) {
    SCOPED_TRACE(on_backend("", number));
    scene().copy_first_repository(repository());
    FaultFileSystem view(scene().workshop(), data(), "read:3*:short");
    const Outcome outcome = run(backup(repository(), view.path()), number);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_GT(view.unmount().at("injected"), 100U);
    scene().expect_backups_restore(repository());
  }
}

TEST_F(FaultyFileSystem, AnyWriteOrSyncOfTheRepositoryThatFailsFailsTheBackup) {
  for (const char* operation : {"write", "sync"}) {
    scene().copy_first_repository(repository());
    const std::uint64_t all = calls(repository(), operation,
                                    [&](const std::string& view) { return backup(view, data()); });
    std::uint64_t number = 0;
    for (const std::uint64_t call : spread(all, points() / 2)) {
      SCOPED_TRACE(on_backend(format("{} {} of {}", operation, call, all), number));
      scene().copy_first_repository(repository());
      FaultFileSystem view(scene().workshop(), repository(), format("{}:{}+:eio", operation, call));
      expect_failure(run(backup(view.path(), data()), number++));
      EXPECT_GT(view.unmount().at("injected"), 0U);
      scene().expect_sound(repository());
      // A directory that cannot be synced after the commit leaves the backup: then it is whole.
      if (scene().backups(repository()).size() != 1) scene().expect_backups_restore(repository());
      scene().expect_next_backup(repository(), scene().backup_command(repository()));
      if (HasFailure()) return;
    }
  }
}

TEST_F(FaultyFileSystem, ShortWritesOfTheRepositoryAreContinued) {
  for (const std::uint64_t number : {0U, 1U}) {
    SCOPED_TRACE(on_backend("", number));
    scene().copy_first_repository(repository());
    FaultFileSystem view(scene().workshop(), repository(), "write:2*:short,read:2*:short");
    const Outcome outcome = run(backup(view.path(), data()), number);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_GT(view.unmount().at("injected"), 10U);
    scene().expect_sound(repository());
    scene().expect_backups_restore(repository());
  }
}

// What fails once may be read again; what goes on failing is missing.
TEST_F(FaultyFileSystem, ReadsOfTheRepositoryThatFailNeverRestoreAnythingElse) {
  const std::string target = scene().path("target");
  scene().remove(target);
  const std::uint64_t reads =
      calls(repository(), "read", [&](const std::string& view) { return restore(view, target); });
  std::uint64_t number = 0;
  for (const char* repeat : {"", "+"}) {
    for (const std::uint64_t call : spread(reads, points() / 2)) {
      const std::string rule = format("read:{}{}:eio", call, repeat);
      SCOPED_TRACE(on_backend(format("{} of {}", rule, reads), number));
      scene().remove(target);
      FaultFileSystem view(scene().workshop(), repository(), rule);
      const Outcome outcome = run(restore(view.path(), target), number++);
      EXPECT_GT(view.unmount().at("injected"), 0U);
      if (outcome.status == 0) {
        EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target)), "");
      } else {
        EXPECT_EQ(outcome.status, 14) << outcome.err;
        expect_one_error(outcome);
        EXPECT_FALSE(std::filesystem::exists(target + "/global/pg_control"));
      }
      if (HasFailure()) return;
    }
  }
  expect_only_the_first_backup();
}

TEST_F(FaultyFileSystem, AnyWriteOrSyncOfTheTargetThatFailsFailsTheRestore) {
  for (const char* operation : {"write", "sync"}) {
    const std::uint64_t all = calls(empty_directory(), operation, [&](const std::string& view) {
      return restore(repository(), view + "/target");
    });
    std::uint64_t number = 0;
    for (const std::uint64_t call : spread(all, points() / 2)) {
      SCOPED_TRACE(on_backend(format("{} {} of {}", operation, call, all), number));
      const std::string directory = empty_directory();
      FaultFileSystem view(scene().workshop(), directory, format("{}:{}+:eio", operation, call));
      expect_failure(run(restore(repository(), view.path() + "/target"), number++));
      EXPECT_GT(view.unmount().at("injected"), 0U);
      EXPECT_FALSE(std::filesystem::exists(directory + "/target/global/pg_control"));
      if (HasFailure()) return;
    }
  }
}

TEST_F(FaultyFileSystem, ShortTransfersOfTheRestoreAreContinued) {
  for (const std::uint64_t number : {0U, 1U}) {
    SCOPED_TRACE(on_backend("", number));
    const std::string target = scene().path("target");
    scene().remove(target);
    {
      const FaultFileSystem view(scene().workshop(), repository(), "read:2*:short");
      EXPECT_EQ(run(restore(view.path(), target), number).status, 0);
    }
    EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target)), "");
    const std::string directory = empty_directory();
    {
      const FaultFileSystem view(scene().workshop(), directory, "write:2*:short");
      EXPECT_EQ(run(restore(repository(), view.path() + "/target"), number).status, 0);
    }
    EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(directory + "/target")), "");
  }
}

}  // namespace
}  // namespace haul::integration
