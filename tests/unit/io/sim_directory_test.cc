// What a crash of the simulated machine keeps, loses and tears. What every Directory does is in
// tests/conformance.

#include "io/sim_directory.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "tests/support/file_content.h"

namespace haul::io {
namespace {

using support::code_of;
using support::names_in;
using support::pattern;
using support::read_file;
using support::write_file;
using support::write_temporary;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kSeeds = 300;
const std::string kAbsent = "(absent)";

std::unique_ptr<Directory> top_of(SimDisk& disk) { return disk.open("").take(); }

Status write_synced(Directory& root, std::string_view path, std::string_view content) {
  const auto file = HAUL_TRY(root.create_file(path, 0600, Caching::buffered));
  HAUL_TRY(file->write_at(0, bytes_of(content)));
  return file->sync();
}

// What `look` sees after `act` and a crash, over many seeds.
std::set<std::string> outcomes(const std::function<void(Directory&)>& act,
                               const std::function<std::string(Directory&)>& look) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimDisk disk;
    act(*top_of(disk));
    disk.crash(seed);
    seen.insert(look(*top_of(disk)));
  }
  return seen;
}

std::function<std::string(Directory&)> content_of(const std::string& path) {
  return [path](Directory& root) { return read_file(root, path).value_or(kAbsent); };
}

std::string names_at_top(Directory& root) {
  std::string names;
  for (const std::string& name : names_in(root, "").take()) names += name + " ";
  return names;
}

TEST(SimDisk, SyncedFileWithSyncedNameSurvives) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", "hello"));
        ASSERT_TRUE(root.sync_directory(""));
      },
      content_of("a"));
  EXPECT_THAT(seen, ElementsAre("hello"));
}

TEST(SimDisk, FileSyncDoesNotKeepTheName) {
  const auto seen = outcomes([](Directory& root) { ASSERT_TRUE(write_synced(root, "a", "hello")); },
                             content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre(kAbsent, "hello"));
}

TEST(SimDisk, NameSyncDoesNotKeepTheContent) {
  const std::string content = pattern(2048, 1);
  const auto seen = outcomes(
      [&](Directory& root) {
        ASSERT_TRUE(write_file(root, "a", content));
        ASSERT_TRUE(root.sync_directory(""));
      },
      content_of("a"));
  EXPECT_THAT(seen, Contains(content));
  EXPECT_THAT(seen, Contains(""));
  EXPECT_THAT(seen, Not(Contains(kAbsent)));
  EXPECT_GT(seen.size(), 10U) << "torn in many ways";
}

TEST(SimDisk, OverwriteIsTornAtSectorsOnly) {
  const std::string before(2048, 'b');
  const std::string after(2048, 'a');
  const auto seen = outcomes(
      [&](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", before));
        ASSERT_TRUE(root.sync_directory(""));
        ASSERT_TRUE(
            root.open_for_update("a", Caching::buffered).take()->write_at(0, bytes_of(after)));
      },
      content_of("a"));
  EXPECT_GE(seen.size(), 12U) << "of the 16 combinations of four sectors";
  for (const std::string& content : seen) {
    ASSERT_EQ(content.size(), 2048U);
    for (std::size_t at = 0; at < content.size(); at += 512) {
      EXPECT_EQ(content.substr(at, 512), std::string(512, content[at]));
    }
  }
}

TEST(SimDisk, LostSizeAndLostBytesAreIndependent) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", ""));
        ASSERT_TRUE(root.sync_directory(""));
        ASSERT_TRUE(
            root.open_for_update("a", Caching::buffered).take()->write_at(0, bytes_of("x")));
      },
      content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre("", "x", std::string(1, '\0'), "\xA5"));
}

TEST(SimDisk, UnsyncedResizeIsKeptOrLost) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", "hello"));
        ASSERT_TRUE(root.sync_directory(""));
        ASSERT_TRUE(root.open_for_update("a", Caching::buffered).take()->resize(2));
      },
      content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre("hello", "he"));
}

TEST(SimDisk, UnsyncedNamesSurviveInAnyCombination) {
  const auto seen = outcomes(
      [](Directory& root) {
        for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(write_file(root, name, ""));
      },
      names_at_top);
  EXPECT_EQ(seen.size(), 8U);
}

TEST(SimDisk, SomeCrashesLoseEverythingAndSomeNothing) {
  const auto seen = outcomes(
      [](Directory& root) {
        for (int i = 0; i < 30; ++i) ASSERT_TRUE(write_file(root, std::to_string(i), "hello"));
      },
      [](Directory& root) {
        std::size_t whole = 0;
        const std::vector<std::string> names = names_in(root, "").take();
        for (const std::string& name : names) whole += read_file(root, name).value() == "hello";
        return std::to_string(whole);
      });
  EXPECT_THAT(seen, Contains("0"));
  EXPECT_THAT(seen, Contains("30"));
}

TEST(SimDisk, UnsyncedRemovalIsKeptOrLost) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", "hello"));
        ASSERT_TRUE(root.sync_directory(""));
        ASSERT_TRUE(root.remove_file("a"));
      },
      content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre("hello", kAbsent));
}

TEST(SimDisk, UnsyncedReplacementLeavesOldOrNew) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", "old"));
        ASSERT_TRUE(root.sync_directory(""));
        const auto file = write_temporary(root, "new").take();
        ASSERT_TRUE(file->sync());
        ASSERT_TRUE(root.publish_over(*file, "a"));
      },
      content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre("old", "new"));
}

TEST(SimDisk, NameReachesAnyOfItsStates) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(write_synced(root, "a", "first"));
        ASSERT_TRUE(root.remove_file("a"));
        ASSERT_TRUE(write_synced(root, "a", "second"));
      },
      content_of("a"));
  EXPECT_THAT(seen, UnorderedElementsAre(kAbsent, "first", "second"));
}

TEST(SimDisk, DirectoryWithoutSyncedNameTakesItsFilesAlong) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(root.make_directory("d", 0700));
        ASSERT_TRUE(write_synced(root, "d/a", "hello"));
        ASSERT_TRUE(root.sync_directory("d"));
      },
      content_of("d/a"));
  EXPECT_THAT(seen, UnorderedElementsAre(kAbsent, "hello"));
}

TEST(SimDisk, UnsyncedModeIsKeptOrLost) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(root.make_directory("d", 0700));
        ASSERT_TRUE(root.sync_directory(""));
        ASSERT_TRUE(root.set_mode("d", 0750));
        ASSERT_TRUE(root.make_directory("e", 0700));
        ASSERT_TRUE(root.set_mode("e", 0750));
        ASSERT_TRUE(root.sync_directory("e"));
        ASSERT_TRUE(root.sync_directory(""));
      },
      [](Directory& root) {
        EXPECT_EQ(root.info("e")->mode, 0750U);
        return std::to_string(root.info("d")->mode);
      });
  EXPECT_THAT(seen, UnorderedElementsAre(std::to_string(0700), std::to_string(0750)));
}

TEST(SimDisk, SymlinkSurvivesWithItsTarget) {
  const auto seen = outcomes(
      [](Directory& root) {
        ASSERT_TRUE(root.make_link("target", "l"));
        ASSERT_TRUE(root.sync_directory(""));
      },
      [](Directory& root) { return root.read_link("l").value(); });
  EXPECT_THAT(seen, ElementsAre("target"));
}

TEST(SimDisk, SameSeedGivesTheSameWorld) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::set<std::string> seen;
    for (int repetition = 0; repetition < 2; ++repetition) {
      SimDisk disk;
      const auto root = top_of(disk);
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(write_file(*root, std::to_string(i), pattern(2000, 1)));
      }
      disk.crash(seed);
      std::string world;
      for (const std::string& name : names_in(*top_of(disk), "").take()) {
        world += name + "=" + read_file(*top_of(disk), name).value() + ";";
      }
      seen.insert(world);
    }
    EXPECT_EQ(seen.size(), 1U) << seed;
  }
}

TEST(SimDisk, WhatSurvivedOneCrashSurvivesTheNext) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk;
    ASSERT_TRUE(write_file(*top_of(disk), "a", pattern(2000, 1)));
    disk.crash(seed);
    const std::string first = content_of("a")(*top_of(disk));
    disk.crash(seed + 1);
    EXPECT_EQ(content_of("a")(*top_of(disk)), first);
  }
}

TEST(SimDisk, HandlesFromBeforeTheCrashFail) {
  SimDisk disk;
  const auto root = top_of(disk);
  ASSERT_TRUE(write_synced(*root, "a", "hello"));
  ASSERT_TRUE(root->sync_directory(""));
  const auto file = root->open_for_update("a", Caching::buffered).take();
  disk.crash(1);
  std::array<std::byte, 1> into{};
  EXPECT_EQ(code_of(file->read_at(0, into)), ErrorCode::io);
  EXPECT_EQ(code_of(file->write_at(0, into)), ErrorCode::io);
  EXPECT_EQ(code_of(file->sync()), ErrorCode::io);
  EXPECT_EQ(code_of(root->list("")), ErrorCode::io);
  EXPECT_EQ(code_of(root->info("a")), ErrorCode::io);
  EXPECT_EQ(code_of(root->make_directory("d", 0700)), ErrorCode::io);
  EXPECT_EQ(code_of(root->sync_directory("")), ErrorCode::io);
}

TEST(SimDisk, AfterPowerLossEverythingFailsUntilTheCrash) {
  SimDisk disk;
  const auto root = top_of(disk);
  ASSERT_TRUE(root->make_directory("d", 0700));
  disk.set_fault({2, SimFault::Kind::power_loss, SimFault::Repeat::once});
  EXPECT_EQ(code_of(root->make_directory("e", 0700)), ErrorCode::io);
  EXPECT_TRUE(disk.power_is_lost());
  EXPECT_EQ(code_of(root->list("")), ErrorCode::io);
  EXPECT_EQ(code_of(root->open_directory("d")), ErrorCode::io);
  EXPECT_EQ(code_of(root->read_link("d")), ErrorCode::io);
  EXPECT_EQ(code_of(root->open_file("d", Caching::buffered)), ErrorCode::io);
  disk.crash(1);
  EXPECT_FALSE(disk.power_is_lost());
  EXPECT_TRUE(top_of(disk)->list(""));
}

TEST(SimDisk, OperationCutByPowerMayHaveHappened) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk;
    disk.set_fault({1, SimFault::Kind::power_loss, SimFault::Repeat::once});
    EXPECT_FALSE(top_of(disk)->make_directory("d", 0700));
    disk.crash(seed);
    seen.insert(names_at_top(*top_of(disk)));
  }
  EXPECT_THAT(seen, UnorderedElementsAre("", "d "));
}

TEST(SimDisk, SyncCutByPowerPromisesNothing) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk;
    const auto root = top_of(disk);
    ASSERT_TRUE(root->make_directory("d", 0700));
    disk.set_fault({2, SimFault::Kind::power_loss, SimFault::Repeat::once});
    EXPECT_FALSE(root->sync_directory(""));
    disk.crash(seed);
    seen.insert(names_at_top(*top_of(disk)));
  }
  EXPECT_THAT(seen, UnorderedElementsAre("", "d "));
}

TEST(SimDisk, FaultHitsItsOperationOnce) {
  SimDisk disk;
  disk.set_fault({2, SimFault::Kind::no_space, SimFault::Repeat::once});
  const auto root = top_of(disk);
  EXPECT_TRUE(root->make_directory("a", 0700));
  EXPECT_EQ(code_of(root->make_directory("b", 0700)), ErrorCode::no_space);
  EXPECT_TRUE(root->make_directory("b", 0700));
  EXPECT_EQ(disk.operations(), 3U);
}

TEST(SimDisk, FaultHitsFromThenOn) {
  SimDisk disk;
  disk.set_fault({2, SimFault::Kind::io_error, SimFault::Repeat::from_then_on});
  const auto root = top_of(disk);
  EXPECT_TRUE(root->make_directory("a", 0700));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(code_of(root->make_directory("b", 0700)), ErrorCode::io);
  }
  EXPECT_EQ(code_of(root->sync_directory("")), ErrorCode::io);
}

TEST(SimDisk, ReadsAreNotCounted) {
  SimDisk disk;
  const auto root = top_of(disk);
  ASSERT_TRUE(write_file(*root, "a", "x"));
  const std::uint64_t before = disk.operations();
  ASSERT_TRUE(read_file(*root, "a"));
  ASSERT_TRUE(root->list(""));
  EXPECT_EQ(disk.operations(), before);
}

TEST(SimDisk, EveryFileOperationCanFail) {
  const std::vector<std::function<Status(File&)>> operations = {
      [](File& file) { return file.write_at(0, bytes_of("x")); },
      [](File& file) { return file.resize(1); },
      [](File& file) { return file.preallocate(1); },
      [](File& file) { return file.set_mode(0600); },
      [](File& file) { return file.set_owner(1, 1); },
      [](File& file) { return file.sync(); },
      [](File& file) { return file.finish(); },
  };
  for (const auto& operation : operations) {
    SimDisk disk;
    const auto file = top_of(disk)->create_file("a", 0600, Caching::buffered).take();
    disk.set_fault({2, SimFault::Kind::io_error, SimFault::Repeat::once});
    EXPECT_EQ(code_of(operation(*file)), ErrorCode::io);
  }
}

TEST(SimDisk, ShortWriteLeavesHalfAndFails) {
  SimDisk disk;
  const auto root = top_of(disk);
  const auto file = root->create_file("a", 0600, Caching::buffered).take();
  disk.set_fault({2, SimFault::Kind::short_write, SimFault::Repeat::once});
  EXPECT_EQ(code_of(file->write_at(0, bytes_of("abcd"))), ErrorCode::io);
  EXPECT_EQ(read_file(*root, "a").value(), "ab");
}

TEST(SimDisk, WhatFailedSyncDroppedIsNotSavedByTheNext) {
  SimDisk disk;
  const auto root = top_of(disk);
  const auto file = root->create_file("a", 0600, Caching::buffered).take();
  ASSERT_TRUE(root->sync_directory(""));
  ASSERT_TRUE(file->write_at(0, bytes_of("hello")));
  disk.set_fault({4, SimFault::Kind::io_error, SimFault::Repeat::once});
  ASSERT_FALSE(file->sync());
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(read_file(*root, "a").value(), "hello") << "programs go on seeing it";
  EXPECT_EQ(disk.durable_content("a"), "");
}

TEST(SimDisk, DurableContentNeedsContentNameAndPath) {
  SimDisk disk;
  const auto root = top_of(disk);
  ASSERT_TRUE(root->make_directory("d", 0700));
  ASSERT_TRUE(write_file(*root, "d/a", "hello"));
  EXPECT_EQ(disk.durable_content("d/a"), std::nullopt);
  ASSERT_TRUE(root->open_for_update("d/a", Caching::buffered).take()->sync());
  EXPECT_EQ(disk.durable_content("d/a"), std::nullopt);
  ASSERT_TRUE(root->sync_directory("d"));
  EXPECT_EQ(disk.durable_content("d/a"), std::nullopt);
  ASSERT_TRUE(root->sync_directory(""));
  EXPECT_EQ(disk.durable_content("d/a"), "hello");
  EXPECT_EQ(disk.durable_content("d"), std::nullopt);
  EXPECT_EQ(disk.durable_content("d/b"), std::nullopt);
  ASSERT_TRUE(root->remove_file("d/a"));
  EXPECT_EQ(disk.durable_content("d/a"), std::nullopt);
}

TEST(SimDisk, MisalignedDirectTransferFails) {
  SimDisk disk;
  const auto file = top_of(disk)->create_file("a", 0600, Caching::direct).take();
  AlignedBuffer buffer(8192);
  EXPECT_EQ(code_of(file->write_at(512, buffer.bytes())), ErrorCode::io);
  EXPECT_EQ(code_of(file->write_at(0, buffer.bytes().first(100))), ErrorCode::io);
  EXPECT_EQ(code_of(file->read_at(0, buffer.bytes().subspan(512, 4096))), ErrorCode::io);
  EXPECT_TRUE(file->write_at(0, buffer.bytes()));
}

TEST(SimDisk, OpensDirectoriesBeneathTheTop) {
  SimDisk disk;
  ASSERT_TRUE(top_of(disk)->make_directory("d", 0700));
  EXPECT_EQ(disk.open("d").take()->name(), top_of(disk)->name() + "/d");
  EXPECT_EQ(code_of(disk.open("no")), ErrorCode::not_found);
}

TEST(SimDisk, FilesOfAnotherDiskAreBug) {
  SimDisk disk;
  SimDisk other;
  const auto file = write_temporary(*top_of(other), "").take();
  EXPECT_DEATH(std::ignore = top_of(disk)->publish(*file, "a"), "assertion failed");
}

}  // namespace
}  // namespace haul::io
