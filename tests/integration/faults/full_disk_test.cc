// A disk that becomes full at any byte: of the repository during a backup, of the target during a
// restore.

#include <unistd.h>

#include <filesystem>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/faults/mounts.h"
#include "tests/integration/faults/scene.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;

std::uint64_t positions() { return full_run() ? 100 : 20; }

// Two backups of one state differ by some pages in what they write: which chunks share a block of
// metadata depends on the order in which they were read. Closer to the end a disk may suffice.
constexpr std::uint64_t kBackupVariationBytes = 64 * 1024;

void expect_full_disk(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 14) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("No space left"));
  expect_one_error(outcome);
}

class FullDisk : public SceneTest<FullDisk> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting takes root";
    SceneTest::SetUp();
  }

  void expect_only_the_first_backup(const std::string& repository) {
    EXPECT_EQ(scene().backups(repository), std::vector<std::string>{scene().first_backup()});
    scene().expect_sound(repository);
  }
  void expect_unfinished(const std::string& target) {
    EXPECT_FALSE(std::filesystem::exists(target + "/global/pg_control"));
  }
};

TEST_F(FullDisk, OfTheRepositoryFailsTheBackupAndKeepsTheOthers) {
  const SmallFileSystem small(scene().workshop(), "small");
  const std::string repository = small.path("repo");
  scene().copy_first_repository(repository);
  const std::uint64_t before = small.used_bytes();
  ASSERT_EQ(scene().workshop().pghaul(scene().backup_command(repository)).status, 0);
  const std::uint64_t needed = small.used_bytes() - before - kBackupVariationBytes;
  std::uint64_t number = 0;
  for (const std::uint64_t position : spread(needed, positions())) {
    SCOPED_TRACE(on_backend(format("{} of {} bytes", position, needed), number));
    small.leave_plenty();
    scene().copy_first_repository(repository);
    small.leave_bytes(position - 1);
    const std::string command = scene().backup_command(repository);
    expect_full_disk(scene().workshop().pghaul(on_backend(command, number)));
    expect_only_the_first_backup(repository);
    small.leave_plenty();
    scene().expect_next_backup(repository, command);
    if (++number % 10 == 0) scene().expect_backups_restore(repository);
    if (HasFailure()) break;
  }
}

TEST_F(FullDisk, OfTheTargetFailsTheRestoreAndLeavesNothingThatStarts) {
  const SmallFileSystem small(scene().workshop(), "small");
  const std::string target = small.path("target");
  const std::string command = scene().restore_command(scene().first_repository(), target);
  ASSERT_EQ(scene().workshop().pghaul(command).status, 0);
  const std::uint64_t needed = small.used_bytes();
  std::uint64_t number = 0;
  for (const std::uint64_t position : spread(needed, positions())) {
    SCOPED_TRACE(on_backend(format("{} of {} bytes", position, needed), number));
    scene().remove(target);
    small.leave_bytes(position - 1);
    expect_full_disk(scene().workshop().pghaul(on_backend(command, number)));
    expect_unfinished(target);
    small.leave_plenty();
    scene().remove(target);
    EXPECT_EQ(scene().workshop().pghaul(command).status, 0);
    EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target)), "");
    ++number;
    if (HasFailure()) break;
  }
  scene().expect_sound(scene().first_repository());
}

// To the byte: a write is taken in part, and only then is there no room.
TEST_F(FullDisk, OfTheRepositoryInTheMiddleOfAWriteFailsTheBackup) {
  const std::string repository = scene().path("repo");
  scene().copy_first_repository(repository);
  FaultFileSystem counting(scene().workshop(), repository, "");
  ASSERT_EQ(scene().workshop().pghaul(scene().backup_command(counting.path())).status, 0);
  const std::uint64_t needed = counting.unmount().at("written_bytes") - kBackupVariationBytes;
  std::uint64_t number = 0;
  for (const std::uint64_t position : spread(needed, positions() / 4)) {
    SCOPED_TRACE(on_backend(format("{} of {} bytes", position, needed), number));
    scene().copy_first_repository(repository);
    FaultFileSystem full(scene().workshop(), repository, format("space:{}", position - 1));
    expect_full_disk(
        scene().workshop().pghaul(on_backend(scene().backup_command(full.path()), number)));
    EXPECT_GT(full.unmount().at("injected"), 0U);
    expect_only_the_first_backup(repository);
    scene().expect_next_backup(repository, scene().backup_command(repository));
    ++number;
    if (HasFailure()) break;
  }
}

TEST_F(FullDisk, OfTheTargetInTheMiddleOfAWriteFailsTheRestore) {
  const std::string directory = scene().path("space");
  const auto make_empty = [&] {
    scene().remove(directory);
    EXPECT_EQ(scene().workshop().shell_as_server("mkdir " + directory).status, 0);
  };
  const auto command = [&](const FaultFileSystem& view) {
    return scene().restore_command(scene().first_repository(), view.path() + "/target");
  };
  make_empty();
  FaultFileSystem counting(scene().workshop(), directory, "");
  ASSERT_EQ(scene().workshop().pghaul(command(counting)).status, 0);
  const std::uint64_t needed = counting.unmount().at("written_bytes");
  std::uint64_t number = 0;
  for (const std::uint64_t position : spread(needed, positions() / 4)) {
    SCOPED_TRACE(on_backend(format("{} of {} bytes", position, needed), number));
    make_empty();
    FaultFileSystem full(scene().workshop(), directory, format("space:{}", position - 1));
    expect_full_disk(scene().workshop().pghaul(on_backend(command(full), number)));
    EXPECT_GT(full.unmount().at("injected"), 0U);
    expect_unfinished(directory + "/target");
    ++number;
    if (HasFailure()) break;
  }
  scene().expect_restores(scene().first_repository(), scene().first_backup(), scene().first_tree());
}

}  // namespace
}  // namespace haul::integration
