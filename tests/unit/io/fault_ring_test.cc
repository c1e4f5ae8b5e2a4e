// What a plan does to the operations of a ring. That an empty plan changes nothing is in
// tests/conformance/ring_test.cc.

#include "io/fault_ring.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "io/posix_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io {
namespace {

using support::code_of;

class FaultRingTest : public ::testing::Test {
 protected:
  FaultRingTest()
      : root_(open_posix_directory(top_.path()).take()), memory_(4 * kDirectAlignment) {}

  // The file "a" behind the faults of the plan, and a ring with the same plan.
  void use(std::string_view plan, std::string_view content = "hello") {
    plan_ = parse_fault_plan(plan).take();
    EXPECT_TRUE(support::write_file(*root_, "a", content));
    faulty_ = make_fault_directory(open_posix_directory(top_.path()).take(), plan_);
    file_ = faulty_->open_for_update("a", Caching::buffered).take();
    ring_ = make_fault_rings(open_ring, plan_)({.capacity = 8}).take();
  }
  Ring& ring() { return *ring_; }
  File& file() { return *file_; }
  Directory& faulty() { return *faulty_; }
  Directory& root() { return *root_; }
  FaultPlan& plan() { return *plan_; }
  std::shared_ptr<FaultPlan> shared_plan() { return plan_; }
  std::string path() const { return top_.path_of("a"); }
  std::string content() { return support::read_file(*root_, "a").value(); }
  MutableByteSpan memory() { return memory_.bytes(); }

  RingOperation read(std::size_t size_bytes) {
    return {RingOperation::Kind::read, file_.get(), 0, memory().first(size_bytes), 1};
  }
  RingOperation write(std::string_view text) {
    std::ranges::copy(bytes_of(text), memory().begin());
    return {RingOperation::Kind::write, file_.get(), 0, memory().first(text.size()), 2};
  }
  RingOperation sync() { return {RingOperation::Kind::sync, file_.get(), 0, {}, 3}; }

  Result<std::size_t> run(const RingOperation& operation) {
    ring().submit(operation);
    const std::span<RingCompletion> completions = ring().wait();
    EXPECT_EQ(completions.size(), 1U);
    EXPECT_EQ(completions[0].tag, operation.tag);
    EXPECT_EQ(ring().in_flight(), 0U);
    return completions[0].outcome;
  }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<Directory> root_;
  std::shared_ptr<FaultPlan> plan_;
  std::unique_ptr<Directory> faulty_;
  std::unique_ptr<File> file_;
  AlignedBuffer memory_;
  std::unique_ptr<Ring> ring_;
};

// The process that runs `act` is killed.
template <typename Act>
bool kills(Act act) {
  const pid_t child = ::fork();
  if (child == 0) {
    act();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST_F(FaultRingTest, EachOperationCountsOnce) {
  use("");
  ASSERT_TRUE(run(write("HELLO")));
  ASSERT_TRUE(run(read(5)));
  ASSERT_TRUE(run(sync()));
  ASSERT_TRUE(run(read(5)));
  EXPECT_EQ(plan().calls("write"), 1U);
  EXPECT_EQ(plan().calls("read"), 2U);
  EXPECT_EQ(plan().calls("sync"), 1U);
}

TEST_F(FaultRingTest, FileOfAnotherPlanCountsThereToo) {
  use("");
  const auto other = parse_fault_plan("read:1:eio").take();
  const auto directory = make_fault_directory(root().open_directory("").take(), other);
  const auto file = directory->open_file("a", Caching::buffered).take();
  RingOperation operation = read(5);
  operation.file = file.get();
  EXPECT_EQ(code_of(run(operation)), ErrorCode::io);
  EXPECT_EQ(plan().calls("read"), 1U);
  EXPECT_EQ(other->calls("read"), 1U);
}

TEST_F(FaultRingTest, FileWithoutPlanHasTheFaultsOfTheRing) {
  use("read:1:eio");
  const auto file = root().open_file("a", Caching::buffered).take();
  RingOperation operation = read(5);
  operation.file = file.get();
  const Result<std::size_t> outcome = run(operation);
  ASSERT_EQ(code_of(outcome), ErrorCode::io);
  EXPECT_EQ(outcome.error().message(), "cannot read " + path() + ": Input/output error");
  EXPECT_EQ(run(operation).value(), 5U);
}

TEST_F(FaultRingTest, InjectedErrorKeepsTheOperationFromTheDevice) {
  use("write:1:enospc,sync:1:eio");
  const Result<std::size_t> outcome = run(write("HELLO"));
  EXPECT_EQ(code_of(outcome), ErrorCode::no_space);
  EXPECT_EQ(outcome.error().message(), "cannot write " + path() + ": No space left on device");
  EXPECT_EQ(content(), "hello");
  EXPECT_EQ(code_of(run(sync())), ErrorCode::io);
}

TEST_F(FaultRingTest, InjectedErrorLeavesTheOthersAlone) {
  use("write:2:eio");
  std::map<std::uint64_t, std::optional<ErrorCode>> outcomes;
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    RingOperation operation = write("HELLO");
    operation.tag = tag;
    ring().submit(operation);
  }
  EXPECT_EQ(ring().in_flight(), 3U);
  while (ring().in_flight() > 0) {
    for (const RingCompletion& completion : ring().wait()) {
      outcomes[completion.tag] = code_of(completion.outcome);
    }
  }
  EXPECT_THAT(outcomes,
              ::testing::ElementsAre(std::pair(1U, std::nullopt), std::pair(2U, ErrorCode::io),
                                     std::pair(3U, std::nullopt)));
}

TEST_F(FaultRingTest, ShortReadEndsHalfWay) {
  use("read:1:short");
  EXPECT_EQ(run(read(5)).value(), 2U);
  EXPECT_EQ(run(read(5)).value(), 5U);
}

TEST_F(FaultRingTest, ShortWriteWritesHalfAndFails) {
  use("write:1:short");
  const Result<std::size_t> outcome = run(write("HELLO"));
  EXPECT_EQ(outcome.error().message(), "cannot write " + path() + ": Input/output error");
  EXPECT_EQ(content(), "HEllo");
}

TEST_F(FaultRingTest, ShortWriteOfBlocksWritesWholeBlocks) {
  use("write:1:short", std::string(3 * kDirectAlignment, 'x'));
  EXPECT_EQ(code_of(run(write(std::string(3 * kDirectAlignment, 'y')))), ErrorCode::io);
  EXPECT_EQ(content(), std::string(kDirectAlignment, 'y') + std::string(2 * kDirectAlignment, 'x'));
}

TEST_F(FaultRingTest, ShortSyncIsWhole) {
  use("any:2:short");
  EXPECT_TRUE(run(sync()));
}

TEST_F(FaultRingTest, FlippedReadDiffersInOneBit) {
  use("read:2:flip");
  EXPECT_EQ(run(read(5)).value(), 5U);
  EXPECT_EQ(text_of(memory().first(5)), "hello");
  EXPECT_EQ(run(read(5)).value(), 5U);
  EXPECT_EQ(text_of(memory().first(5)), "hemlo");  // the bit of byte 2 mod 5
}

TEST_F(FaultRingTest, ErrorOfTheDeviceComesThrough) {
  use("read:1:short,read:1:flip");
  const auto process = open_posix_directory("/proc/self").take();
  const auto file = process->open_file("mem", Caching::buffered).take();
  RingOperation operation = read(5);
  operation.file = file.get();  // nothing is mapped at address 0
  EXPECT_EQ(code_of(run(operation)), ErrorCode::io);
}

TEST_F(FaultRingTest, KillBeforeComesAtSubmission) {
  use("write:1:kill_before");
  EXPECT_TRUE(kills([&] {
    const auto own = make_fault_rings(open_ring, shared_plan())({.capacity = 8}).take();
    own->submit(write("HELLO"));
  }));
  EXPECT_EQ(content(), "hello");
}

TEST_F(FaultRingTest, KillAfterComesBetweenTheEffectAndItsCompletion) {
  use("write:1:kill_after");
  EXPECT_FALSE(kills([&] {
    const auto own = make_fault_rings(open_ring, shared_plan())({.capacity = 8}).take();
    own->submit(write("HELLO"));
  }));
  EXPECT_TRUE(kills([&] {
    const auto own = make_fault_rings(open_ring, shared_plan())({.capacity = 8}).take();
    own->submit(write("HELLO"));
    std::ignore = own->wait();
  }));
  EXPECT_EQ(content(), "HELLO");
}

TEST_F(FaultRingTest, BackendIsTheInnerOne) {
  use("");
  const auto plan = parse_fault_plan("").take();
  EXPECT_EQ(make_fault_ring(make_thread_ring(1, 1), plan)->backend(), "threads");
}

TEST_F(FaultRingTest, FactoryHandsOnWhatTheInnerOneAnswers) {
  const auto plan = parse_fault_plan("").take();
  const RingFactory factory = make_fault_rings(
      [](const RingOptions&) { return Error(ErrorCode::unsupported, "no rings here"); }, plan);
  EXPECT_EQ(code_of(factory({})), ErrorCode::unsupported);
}

}  // namespace
}  // namespace haul::io
