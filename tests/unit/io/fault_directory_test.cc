// What a fault plan says and does.

#include "io/fault_directory.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "io/posix_directory.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io {
namespace {

using support::code_of;
using support::read_file;
using support::write_file;
using support::write_temporary;

// A real directory, bare and behind a plan.
class FaultDirectoryTest : public ::testing::Test {
 protected:
  FaultDirectoryTest() : bare_(open_posix_directory(top_.path()).take()) {}

  std::unique_ptr<Directory> with_plan(std::string_view text) {
    plan_ = parse_fault_plan(text).take();
    return make_fault_directory(open_posix_directory(top_.path()).take(), plan_);
  }
  Directory& bare() { return *bare_; }
  FaultPlan& plan() { return *plan_; }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<Directory> bare_;
  std::shared_ptr<FaultPlan> plan_;
};

TEST(ParseFaultPlan, RulesAreAccepted) {
  for (const char* text :
       {"", "publish:3:kill_after", "write:100:enospc", "any:1+:eio,mutate:*:kill_before",
        "read:2:flip", "any:1:flip", "read:1:short", "write:1+:short", "mutate:1:short",
        "sync_directory:1:stop_before", "close:1:eacces", "list:1:enoent", "open:1:sleep_0",
        "open_directory:18446744073709551615:sleep_250"}) {
    EXPECT_TRUE(parse_fault_plan(text)) << text;
  }
}

TEST(ParseFaultPlan, EverythingElseIsUsage) {
  for (const char* text : {"publish",
                           "publish:1",
                           "fsync:1:eio",
                           ":1:eio",
                           "sync::eio",
                           "sync:0:eio",
                           "sync:-1:eio",
                           "sync:1x:eio",
                           "sync:+:eio",
                           "sync:99999999999999999999:eio",
                           "sync:1:",
                           "sync:1:enodev",
                           "sync:1:eio:",
                           "sync:1:eio,",
                           ",",
                           "sync:1:sleep_",
                           "sync:1:sleep_x",
                           "sync:1:sleep_-1",
                           "publish:1:flip",
                           "write:1:flip",
                           "sync:1:short",
                           " sync:1:eio"}) {
    const auto plan = parse_fault_plan(text);
    ASSERT_EQ(code_of(plan), ErrorCode::usage) << text;
  }
}

TEST(ParseFaultPlan, MessageNamesTheRule) {
  EXPECT_THAT(parse_fault_plan("sync:1:eio,boo:1:eio").error().message(),
              ::testing::HasSubstr("'boo:1:eio'"));
}

TEST_F(FaultDirectoryTest, ErrorsComeWithTheirCodes) {
  const auto faulty = with_plan(
      "make_directory:1:eio,make_directory:2:enospc,make_directory:3:eacces,"
      "make_directory:4:enoent");
  EXPECT_EQ(code_of(faulty->make_directory("a", 0700)), ErrorCode::io);
  EXPECT_EQ(code_of(faulty->make_directory("a", 0700)), ErrorCode::no_space);
  EXPECT_EQ(code_of(faulty->make_directory("a", 0700)), ErrorCode::permission);
  EXPECT_EQ(code_of(faulty->make_directory("a", 0700)), ErrorCode::not_found);
  EXPECT_EQ(code_of(bare().info("a")), ErrorCode::not_found) << "it was not carried out";
  EXPECT_TRUE(faulty->make_directory("a", 0700));
  EXPECT_EQ(plan().calls("make_directory"), 5U);
}

TEST_F(FaultDirectoryTest, OpenEndedRuleGoesOn) {
  const auto faulty = with_plan("make_directory:2+:eio");
  EXPECT_TRUE(faulty->make_directory("a", 0700));
  EXPECT_FALSE(faulty->make_directory("b", 0700));
  EXPECT_FALSE(faulty->make_directory("b", 0700));
}

TEST_F(FaultDirectoryTest, EveryOperationIsCountedUnderItsName) {
  const auto faulty = with_plan("");
  const auto file = write_temporary(*faulty, "x").take();  // make_directory, create, write
  ASSERT_TRUE(file->resize(2));
  ASSERT_TRUE(file->preallocate(2));
  ASSERT_TRUE(file->set_mode(0600));
  ASSERT_TRUE(file->set_owner(::geteuid(), ::getegid()));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(file->end_direct());
  ASSERT_TRUE(faulty->publish(*file, "a"));
  ASSERT_TRUE(file->finish());
  ASSERT_TRUE(faulty->publish_over(*write_temporary(*faulty, "y").take(), "a"));
  ASSERT_EQ(read_file(*faulty, "a").value(), "y");  // open, info, read
  ASSERT_TRUE(faulty->open_for_update("a", Caching::buffered));
  ASSERT_TRUE(faulty->create_file("b", 0600, Caching::buffered));
  ASSERT_TRUE(faulty->info("a"));
  ASSERT_TRUE(faulty->list(""));
  ASSERT_TRUE(faulty->make_link("a", "l"));
  ASSERT_TRUE(faulty->read_link("l"));
  ASSERT_TRUE(faulty->set_mode("a", 0600));
  ASSERT_TRUE(faulty->set_owner("a", ::geteuid(), ::getegid()));
  ASSERT_TRUE(faulty->remove_file("a"));
  ASSERT_TRUE(faulty->remove_directory("tmp"));
  ASSERT_TRUE(faulty->sync_directory(""));
  ASSERT_TRUE(faulty->open_directory(""));
  const std::vector<std::pair<const char*, std::uint64_t>> expected = {
      {"open", 2},           {"open_directory", 1},
      {"create", 3},         {"publish", 1},
      {"publish_over", 1},   {"info", 2},
      {"list", 1},           {"read_link", 1},
      {"make_directory", 2}, {"make_link", 1},
      {"set_mode", 2},       {"set_owner", 2},
      {"remove_file", 1},    {"remove_directory", 1},
      {"sync_directory", 1}, {"read", 1},
      {"write", 2},          {"resize", 1},
      {"preallocate", 1},    {"sync", 1},
      {"close", 1},          {"any", 29},
      {"mutate", 21},
  };
  for (const auto& [operation, calls] : expected) {
    EXPECT_EQ(plan().calls(operation), calls) << operation;
  }
}

TEST_F(FaultDirectoryTest, AnyAndMutateHaveCountersOfTheirOwn) {
  const auto faulty = with_plan("mutate:2:eio");
  ASSERT_TRUE(faulty->make_directory("a", 0700));
  ASSERT_TRUE(faulty->list(""));
  ASSERT_TRUE(faulty->info("a"));
  EXPECT_FALSE(faulty->remove_directory("a"));
  const auto any = with_plan("any:3:eio");
  ASSERT_TRUE(any->list(""));
  ASSERT_TRUE(any->info("a"));
  EXPECT_FALSE(any->remove_directory("a"));
}

TEST_F(FaultDirectoryTest, ReadsAreNoMutation) {
  const auto faulty = with_plan("mutate:*:eio");
  ASSERT_TRUE(write_file(bare(), "a", "hello"));
  EXPECT_EQ(read_file(*faulty, "a").value(), "hello");
  EXPECT_TRUE(faulty->list(""));
}

TEST_F(FaultDirectoryTest, DirectoriesBeneathShareThePlan) {
  const auto faulty = with_plan("make_directory:2:eio");
  ASSERT_TRUE(faulty->make_directory("a", 0700));
  EXPECT_FALSE(faulty->open_directory("a").take()->make_directory("b", 0700));
}

TEST_F(FaultDirectoryTest, FaultBeneathIsNoFaultOfThePlan) {
  const auto faulty = with_plan("");
  EXPECT_EQ(code_of(faulty->open_file("no", Caching::buffered)), ErrorCode::not_found);
  EXPECT_EQ(code_of(faulty->open_directory("no")), ErrorCode::not_found);
}

TEST_F(FaultDirectoryTest, FileOperationsFail) {
  const auto faulty = with_plan(
      "read:1:eio,write:1:enospc,resize:1:eio,preallocate:1:enospc,set_mode:1:eacces,"
      "set_owner:1:eacces,info:1:eio,sync:1:eio,close:1:eio");
  const auto file = faulty->create_file("a", 0600, Caching::buffered).take();
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(code_of(file->read_at(0, bytes)), ErrorCode::io);
  EXPECT_EQ(code_of(file->write_at(0, bytes)), ErrorCode::no_space);
  EXPECT_EQ(code_of(file->resize(1)), ErrorCode::io);
  EXPECT_EQ(code_of(file->preallocate(1)), ErrorCode::no_space);
  EXPECT_EQ(code_of(file->set_mode(0600)), ErrorCode::permission);
  EXPECT_EQ(code_of(file->set_owner(1, 1)), ErrorCode::permission);
  EXPECT_EQ(code_of(file->info()), ErrorCode::io);
  EXPECT_EQ(code_of(file->sync()), ErrorCode::io);
  EXPECT_EQ(code_of(file->finish()), ErrorCode::io);
  EXPECT_EQ(bare().info("a")->size_bytes, 0U);
}

TEST_F(FaultDirectoryTest, FlippedReadDiffersInOneBit) {
  const std::string content = support::pattern(1000, 1);
  ASSERT_TRUE(write_file(bare(), "a", content));
  const auto file = with_plan("read:2:flip")->open_file("a", Caching::buffered).take();
  std::string first(1000, '\0');
  std::string second(1000, '\0');
  ASSERT_EQ(file->read_at(0, std::as_writable_bytes(std::span(first))).value(), 1000U);
  ASSERT_EQ(file->read_at(0, std::as_writable_bytes(std::span(second))).value(), 1000U);
  EXPECT_EQ(first, content);
  int bits = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    bits += std::popcount(static_cast<unsigned char>(content[i] ^ second[i]));
  }
  EXPECT_EQ(bits, 1);
}

TEST_F(FaultDirectoryTest, FlippedReadOfNothingIsFine) {
  ASSERT_TRUE(write_file(bare(), "a", ""));
  const auto file = with_plan("read:1:flip")->open_file("a", Caching::buffered).take();
  std::array<std::byte, 4> into{};
  EXPECT_EQ(file->read_at(0, into).value(), 0U);
}

TEST_F(FaultDirectoryTest, ShortReadEndsHalfWay) {
  ASSERT_TRUE(write_file(bare(), "a", "abcdef"));
  const auto file = with_plan("read:1:short")->open_file("a", Caching::buffered).take();
  std::array<std::byte, 6> into{};
  EXPECT_EQ(file->read_at(0, into).value(), 3U);
  EXPECT_EQ(file->read_at(0, into).value(), 6U);
}

TEST_F(FaultDirectoryTest, ShortWriteStopsHalfWayWithAnError) {
  const auto file = with_plan("write:1:short")->create_file("a", 0600, Caching::buffered).take();
  EXPECT_EQ(code_of(file->write_at(0, bytes_of("abcdef"))), ErrorCode::io);
  EXPECT_EQ(read_file(bare(), "a").value(), "abc");
}

TEST_F(FaultDirectoryTest, ShortWriteOfDirectFileStaysAligned) {
  SimDisk disk;  // strict about alignment
  const auto faulty =
      make_fault_directory(disk.open("").take(), parse_fault_plan("write:1:short").take());
  const auto file = faulty->create_file("a", 0600, Caching::direct).take();
  EXPECT_EQ(code_of(file->write_at(0, AlignedBuffer(3 * kDirectAlignment).bytes())), ErrorCode::io);
  EXPECT_EQ(file->info()->size_bytes, kDirectAlignment);
}

TEST_F(FaultDirectoryTest, SleepDelaysAndCarriesOut) {
  const auto faulty = with_plan("make_directory:1:sleep_20");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(faulty->make_directory("a", 0700));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST_F(FaultDirectoryTest, KillBeforeLeavesTheOperationUndone) {
  const auto faulty = with_plan("make_directory:1:kill_before");
  EXPECT_EXIT(std::ignore = faulty->make_directory("a", 0700), ::testing::KilledBySignal(SIGKILL),
              "");
  EXPECT_EQ(code_of(bare().info("a")), ErrorCode::not_found);
}

TEST_F(FaultDirectoryTest, KillAfterLeavesTheOperationDone) {
  const auto faulty = with_plan("make_directory:1:kill_after");
  EXPECT_EXIT(std::ignore = faulty->make_directory("a", 0700), ::testing::KilledBySignal(SIGKILL),
              "");
  EXPECT_TRUE(bare().info("a"));
}

TEST_F(FaultDirectoryTest, KillAfterReachesReadsAndWrites) {
  ASSERT_TRUE(write_file(bare(), "a", "old"));
  const auto faulty = with_plan("write:1:kill_after,read:1:kill_after");
  const auto file = faulty->open_for_update("a", Caching::buffered).take();
  std::array<std::byte, 3> into{};
  EXPECT_EXIT(std::ignore = file->write_at(0, bytes_of("new")), ::testing::KilledBySignal(SIGKILL),
              "");
  EXPECT_EXIT(std::ignore = file->read_at(0, into), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(read_file(bare(), "a").value(), "new");
}

TEST_F(FaultDirectoryTest, StopBeforeWaitsForContinue) {
  const auto faulty = with_plan("make_directory:1:stop_before");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(faulty->make_directory("a", 0700) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(code_of(bare().info("a")), ErrorCode::not_found);
  ASSERT_EQ(::kill(child, SIGCONT), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(bare().info("a"));
}

TEST_F(FaultDirectoryTest, FilesHaveNoDescriptorThatPassesThePlanBy) {
  const auto file = with_plan("")->create_file("a", 0600, Caching::buffered).take();
  EXPECT_EQ(file->descriptor(), std::nullopt);
}

TEST_F(FaultDirectoryTest, UnknownNameIsBug) {
  const auto faulty = with_plan("");
  EXPECT_DEATH(std::ignore = plan().calls("fsync"), "assertion failed");
}

TEST_F(FaultDirectoryTest, FilesOfAnotherDirectoryAreBug) {
  const auto faulty = with_plan("");
  const auto file = write_temporary(bare(), "").take();
  EXPECT_DEATH(std::ignore = faulty->publish(*file, "a"), "assertion failed");
}

}  // namespace
}  // namespace haul::io
