// What every Ring does, whatever carries it.

#include "io/ring.h"

#include <map>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/fault_directory.h"
#include "io/posix_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::conformance {
namespace {

using io::Caching;
using io::Ring;
using io::RingCompletion;
using io::RingOperation;
using support::code_of;
using support::pattern;

constexpr std::size_t kCapacity = 8;

struct RingKind {
  std::string name;
  std::unique_ptr<Ring> (*make)();
};
void PrintTo(const RingKind& kind, std::ostream* out) { *out << kind.name; }

class RingConformance : public ::testing::TestWithParam<RingKind> {
 protected:
  RingConformance()
      : root_(io::open_posix_directory(top_.path()).take()), ring_(GetParam().make()) {}

  io::Directory& root() { return *root_; }
  Ring& ring() { return *ring_; }
  void end_ring() { ring_.reset(); }

  // The only operation in flight, carried out.
  Result<std::size_t> run(const RingOperation& operation) {
    ring().submit(operation);
    const std::span<RingCompletion> completions = ring().wait();
    EXPECT_EQ(completions.size(), 1U);
    EXPECT_EQ(completions[0].tag, operation.tag);
    return completions[0].outcome;
  }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<io::Directory> root_;
  std::unique_ptr<Ring> ring_;
};

// A write does not change what it writes from, but an operation has one span for both directions.
MutableByteSpan span_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

RingOperation read(io::File& file, std::uint64_t offset, MutableByteSpan into, std::uint64_t tag) {
  return {RingOperation::Kind::read, &file, offset, into, tag};
}
RingOperation write(io::File& file, std::uint64_t offset, MutableByteSpan from, std::uint64_t tag) {
  return {RingOperation::Kind::write, &file, offset, from, tag};
}

TEST_P(RingConformance, FreshRingIsEmpty) {
  EXPECT_EQ(ring().capacity(), kCapacity);
  EXPECT_EQ(ring().in_flight(), 0U);
  EXPECT_FALSE(ring().backend().empty());
}

TEST_P(RingConformance, WriteAndReadTransferTheBytes) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  std::string content = pattern(10000, 1);
  EXPECT_EQ(run(write(*file, 5, span_of(content), 1)).value(), content.size());
  std::string into(content.size(), '\0');
  EXPECT_EQ(run(read(*file, 5, span_of(into), 2)).value(), content.size());
  EXPECT_EQ(into, content);
}

TEST_P(RingConformance, ReadIsShortAtTheEndOfTheFile) {
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(10, '\0');
  EXPECT_EQ(run(read(*file, 2, span_of(into), 1)).value(), 3U);
  EXPECT_EQ(run(read(*file, 5, span_of(into), 2)).value(), 0U);
}

TEST_P(RingConformance, SyncCompletes) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  EXPECT_EQ(run({RingOperation::Kind::sync, file.get(), 0, {}, 7}).value(), 0U);
}

TEST_P(RingConformance, FailureComesBackInItsOwnCompletion) {
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto good = root().open_for_update("a", Caching::buffered).take();
  const auto read_only = root().open_file("a", Caching::buffered).take();
  std::string text = "HE";
  ring().submit(write(*read_only, 0, span_of(text), 1));
  ring().submit(write(*good, 0, span_of(text), 2));
  std::map<std::uint64_t, bool> succeeded;
  while (ring().in_flight() > 0) {
    for (const RingCompletion& completion : ring().wait()) {
      succeeded[completion.tag] = completion.outcome.has_value();
    }
  }
  EXPECT_THAT(succeeded, ::testing::ElementsAre(std::pair(1U, false), std::pair(2U, true)));
}

TEST_P(RingConformance, FailedSyncComesBack) {
  const auto plan = io::parse_fault_plan("sync:1:eio,write:1:enospc,read:1:eacces").take();
  const auto faulty = io::make_fault_directory(root().open_directory("").take(), plan);
  const auto file = faulty->create_file("a", 0600, Caching::buffered).take();
  std::string text = "x";
  EXPECT_EQ(code_of(run({RingOperation::Kind::sync, file.get(), 0, {}, 1})), ErrorCode::io);
  EXPECT_EQ(code_of(run(write(*file, 0, span_of(text), 2))), ErrorCode::no_space);
  EXPECT_EQ(code_of(run(read(*file, 0, span_of(text), 3))), ErrorCode::permission);
}

TEST_P(RingConformance, NoCompletionIsLost) {
  constexpr std::size_t kBlocks = 2000;
  constexpr std::size_t kBlockSizeBytes = 512;
  const std::string content = pattern(kBlocks * kBlockSizeBytes, 3);
  ASSERT_TRUE(support::write_file(root(), "a", content));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(content.size(), '\0');
  std::multiset<std::uint64_t> tags;
  std::size_t submitted = 0;
  while (tags.size() < kBlocks) {
    while (submitted < kBlocks && ring().in_flight() < ring().capacity()) {
      const std::size_t at = submitted * kBlockSizeBytes;
      ring().submit(read(*file, at, span_of(into).subspan(at, kBlockSizeBytes), submitted));
      ++submitted;
    }
    const std::size_t before = ring().in_flight();
    const std::span<RingCompletion> completions = ring().wait();
    ASSERT_FALSE(completions.empty());
    EXPECT_EQ(ring().in_flight(), before - completions.size());
    for (const RingCompletion& completion : completions) {
      EXPECT_EQ(completion.outcome.value(), kBlockSizeBytes);
      tags.insert(completion.tag);
    }
  }
  EXPECT_EQ(std::set(tags.begin(), tags.end()).size(), kBlocks);
  EXPECT_EQ(*tags.rbegin(), kBlocks - 1);
  EXPECT_EQ(ring().in_flight(), 0U);
  EXPECT_EQ(into, content);
}

TEST_P(RingConformance, DestructionWaitsForWhatIsInFlight) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  std::string content = pattern(kCapacity * 4096, 4);
  for (std::size_t i = 0; i < kCapacity; ++i) {
    ring().submit(write(*file, i * 4096, span_of(content).subspan(i * 4096, 4096), i));
  }
  end_ring();
  EXPECT_EQ(support::read_file(root(), "a").value(), content);
}

TEST_P(RingConformance, DestructionOfIdleRingReturns) {
  end_ring();
  SUCCEED();
}

TEST_P(RingConformance, SubmittingToFullRingIsBug) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  std::string text = "x";
  end_ring();  // its threads would not live in the child that dies
  const auto overfill = [&] {
    const std::unique_ptr<Ring> own = GetParam().make();
    for (std::size_t i = 0; i <= kCapacity; ++i) own->submit(write(*file, 0, span_of(text), i));
  };
  EXPECT_DEATH(overfill(), "assertion failed");
}

TEST_P(RingConformance, WaitingForNothingIsBug) {
  end_ring();  // its threads would not live in the child that dies
  EXPECT_DEATH(std::ignore = GetParam().make()->wait(), "assertion failed");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, RingConformance,
    ::testing::Values(RingKind{"OneThread", [] { return io::make_thread_ring(kCapacity, 1); }},
                      RingKind{"FourThreads", [] { return io::make_thread_ring(kCapacity, 4); }}),
    [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace haul::conformance
