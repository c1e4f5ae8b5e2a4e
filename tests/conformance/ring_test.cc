// What every Ring does, whatever carries it.

#include "io/ring.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "io/fault_directory.h"
#include "io/fault_ring.h"
#include "io/internal/uring_ring.h"
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

using io::AlignedBuffer;
using io::kDirectAlignment;
using std::chrono::nanoseconds;

constexpr std::size_t kCapacity = 8;
constexpr std::size_t kMemorySizeBytes = 256 * kDirectAlignment;

struct RingKind {
  std::string name;
  // `memory` outlives the ring.
  std::unique_ptr<Ring> (*make)(MutableByteSpan memory);
};
void PrintTo(const RingKind& kind, std::ostream* out) { *out << kind.name; }

class RingConformance : public ::testing::TestWithParam<RingKind> {
 protected:
  RingConformance()
      : root_(io::open_posix_directory(top_.path()).take()),
        memory_(kMemorySizeBytes),
        ring_(GetParam().make(memory_.bytes())) {}

  io::Directory& root() { return *root_; }
  // Aligned, and registered where the kind of ring does that.
  MutableByteSpan memory() { return memory_.bytes(); }
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
  AlignedBuffer memory_;
  std::unique_ptr<Ring> ring_;
};

// RLIMIT_FSIZE for one test: writes past it are cut short, then fail with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t limit_bytes) : signal_before_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = limit_bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, signal_before_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*signal_before_)(int);
  rlimit before_{};
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
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a ring has threads, the kernel's or its own
  const auto overfill = [&] {
    const std::unique_ptr<Ring> own = GetParam().make(memory());
    for (std::size_t i = 0; i <= kCapacity; ++i) own->submit(write(*file, 0, span_of(text), i));
  };
  EXPECT_DEATH(overfill(), "assertion failed");
}

TEST_P(RingConformance, WaitingForNothingIsBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a ring has threads, the kernel's or its own
  EXPECT_DEATH(std::ignore = GetParam().make(memory())->wait(), "assertion failed");
}

TEST_P(RingConformance, DirectTransfersOfAlignedMemoryGoThrough) {
  const std::string content = pattern(kMemorySizeBytes, 5);
  std::ranges::copy(bytes_of(content), memory().begin());
  const auto file = root().create_file("a", 0600, Caching::direct).take();
  EXPECT_EQ(run(write(*file, kDirectAlignment, memory(), 1)).value(), kMemorySizeBytes);
  std::ranges::fill(memory(), std::byte{0});
  EXPECT_EQ(run(read(*file, kDirectAlignment, memory(), 2)).value(), kMemorySizeBytes);
  EXPECT_EQ(text_of(memory()), content);
}

TEST_P(RingConformance, DirectReadIsShortAtAnUnalignedEnd) {
  const std::string content = pattern(3 * kDirectAlignment + 100, 6);
  ASSERT_TRUE(support::write_file(root(), "a", content));
  const auto file = root().open_file("a", Caching::direct).take();
  EXPECT_EQ(run(read(*file, 0, memory(), 1)).value(), content.size());
  EXPECT_EQ(text_of(memory().first(content.size())), content);
  EXPECT_EQ(run(read(*file, 4 * kDirectAlignment, memory(), 2)).value(), 0U);
}

TEST_P(RingConformance, MemoryThatIsNotAlignedWorksBuffered) {
  const std::string content = pattern(30'000, 7);
  ASSERT_TRUE(support::write_file(root(), "a", content));
  const auto file = root().open_file("a", Caching::buffered).take();
  const MutableByteSpan odd = memory().subspan(3, 20'001);
  EXPECT_EQ(run(read(*file, 7, odd, 1)).value(), odd.size());
  EXPECT_EQ(text_of(odd), content.substr(7, odd.size()));
}

TEST_P(RingConformance, EmptyTransferCompletes) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  EXPECT_EQ(run(write(*file, 100, {}, 1)).value(), 0U);
  EXPECT_EQ(run(read(*file, 0, {}, 2)).value(), 0U);
  EXPECT_EQ(file->info()->size_bytes, 0U);
}

TEST_P(RingConformance, WritePastTheSizeLimitFailsAndLeavesWhatFits) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  std::string content = pattern(6 * kDirectAlignment, 8);
  const FileSizeLimit limit(3 * kDirectAlignment);
  EXPECT_EQ(code_of(run(write(*file, 0, span_of(content), 1))), ErrorCode::no_space);
  EXPECT_EQ(file->info()->size_bytes, 3 * kDirectAlignment);
  EXPECT_EQ(support::read_file(root(), "a").value(), content.substr(0, 3 * kDirectAlignment));
}

TEST_P(RingConformance, ReadErrorNamesTheFile) {
  const auto process = io::open_posix_directory("/proc/self").take();
  const auto file = process->open_file("mem", Caching::buffered).take();
  std::string into(10, '\0');
  // Nothing is mapped at address 0.
  const Result<std::size_t> outcome = run(read(*file, 0, span_of(into), 1));
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message(), ::testing::StartsWith("cannot read /proc/self/mem"));
  EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("at offset 0: "));
}

TEST_P(RingConformance, WaitOfIdleRingEndsWithItsTimeout) {
  EXPECT_TRUE(ring().wait(nanoseconds(0)).empty());
  EXPECT_TRUE(ring().wait(nanoseconds(1000)).empty());
}

TEST_P(RingConformance, WaitWithoutTimeLeftLosesNothing) {
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(5, '\0');
  ring().submit(read(*file, 0, span_of(into), 9));
  std::span<RingCompletion> completions;
  while (completions.empty()) {
    EXPECT_EQ(ring().in_flight(), 1U);
    completions = ring().wait(nanoseconds(0));
  }
  EXPECT_EQ(completions[0].tag, 9U);
  EXPECT_EQ(into, "hello");
}

TEST_P(RingConformance, WaitWithLongTimeoutReturnsWithTheCompletion) {
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(5, '\0');
  ring().submit(read(*file, 0, span_of(into), 9));
  EXPECT_EQ(ring().wait(std::chrono::hours(1)).size(), 1U);
}

TEST_P(RingConformance, WakeBeforeWaitEndsTheNextOne) {
  ring().wake();
  EXPECT_TRUE(ring().wait({}, Ring::Idle::allowed).empty());
}

TEST_P(RingConformance, SeveralWakesCountAsOne) {
  for (int i = 0; i < 5; ++i) ring().wake();
  EXPECT_TRUE(ring().wait({}, Ring::Idle::allowed).empty());
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(5, '\0');
  ring().submit(read(*file, 0, span_of(into), 1));
  EXPECT_EQ(ring().wait().size(), 1U);
}

TEST_P(RingConformance, WakeOfAnotherThreadEndsEachWait) {
  for (int round = 0; round < 50; ++round) {
    std::jthread waker([this] { ring().wake(); });
    EXPECT_TRUE(ring().wait({}, Ring::Idle::allowed).empty());
  }
}

TEST_P(RingConformance, WokenWaitLeavesOperationsInFlight) {
  ASSERT_TRUE(support::write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::string into(5, '\0');
  ring().submit(read(*file, 0, span_of(into), 3));
  ring().wake();
  std::size_t completed = 0;
  while (completed == 0) completed = ring().wait().size();
  EXPECT_EQ(completed, 1U);
  EXPECT_EQ(ring().in_flight(), 0U);
  EXPECT_EQ(into, "hello");
}

// Blocks of one file, each with at most one operation in flight, against what they should hold.
TEST_P(RingConformance, RandomOperationsAgreeWithModel) {
  constexpr std::size_t kBlocks = 32;
  constexpr std::size_t kBlockSizeBytes = 2 * kDirectAlignment;
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto file = root().create_file("a", 0600, Caching::direct).take();
  ASSERT_TRUE(file->resize(kBlocks * kBlockSizeBytes));
  std::vector<std::string> model(kBlocks, std::string(kBlockSizeBytes, '\0'));
  std::vector<std::optional<RingOperation::Kind>> busy(kBlocks);
  const auto bytes_of_block = [&](std::size_t block) {
    return memory().subspan(block * kBlockSizeBytes, kBlockSizeBytes);
  };
  const auto begin = [&](std::size_t block, std::uint64_t step) {
    const bool writes = random() % 2 == 0;
    busy[block] = writes ? RingOperation::Kind::write : RingOperation::Kind::read;
    if (writes) {
      model[block] = pattern(kBlockSizeBytes, step);
      std::ranges::copy(bytes_of(model[block]), bytes_of_block(block).begin());
    } else {
      std::ranges::fill(bytes_of_block(block), std::byte{0xAA});
    }
    ring().submit(
        {*busy[block], file.get(), block * kBlockSizeBytes, bytes_of_block(block), block});
  };
  for (std::uint64_t step = 0; step < 500; ++step) {
    const std::size_t block = random() % kBlocks;
    if (!busy[block] && ring().in_flight() < ring().capacity()) begin(block, step);
    if (ring().in_flight() < ring().capacity() && random() % 3 != 0) continue;
    if (ring().in_flight() == 0) continue;
    for (const RingCompletion& completion : ring().wait()) {
      ASSERT_EQ(completion.outcome.value(), kBlockSizeBytes);
      EXPECT_EQ(text_of(bytes_of_block(completion.tag)), model[completion.tag]);
      busy[completion.tag].reset();
    }
  }
  end_ring();
  std::string content;
  for (const std::string& block : model) content += block;
  EXPECT_EQ(support::read_file(root(), "a").value(), content);
}

std::unique_ptr<Ring> uring(std::vector<MutableByteSpan> buffers, std::size_t transfer_max_bytes) {
  return io::internal::open_uring_ring({.capacity = kCapacity, .buffers = std::move(buffers)},
                                       {.transfer_max_bytes = transfer_max_bytes})
      .take();
}

// Two registered buffers side by side, so that some spans reach from one into the other.
std::vector<MutableByteSpan> halves(MutableByteSpan memory) {
  return {memory.first(memory.size() / 2), memory.subspan(memory.size() / 2)};
}

constexpr std::size_t kNoTransferLimit = 1U << 30;

INSTANTIATE_TEST_SUITE_P(
    Kinds, RingConformance,
    ::testing::Values(
        RingKind{"OneThread", [](MutableByteSpan) { return io::make_thread_ring(kCapacity, 1); }},
        RingKind{"FourThreads", [](MutableByteSpan) { return io::make_thread_ring(kCapacity, 4); }},
        RingKind{"Uring", [](MutableByteSpan) { return uring({}, kNoTransferLimit); }},
        RingKind{"UringRegistered",
                 [](MutableByteSpan memory) { return uring(halves(memory), kNoTransferLimit); }},
        RingKind{"UringInPieces", [](MutableByteSpan) { return uring({}, kDirectAlignment); }},
        RingKind{"UringRegisteredInPieces",
                 [](MutableByteSpan memory) { return uring(halves(memory), kDirectAlignment); }},
        RingKind{"UringWithFaultsOff",
                 [](MutableByteSpan) {
                   return io::make_fault_ring(uring({}, kNoTransferLimit),
                                              io::parse_fault_plan("").take());
                 }}),
    [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace haul::conformance
