// What a File on a descriptor does when the system call fails or stops half way.

#include "io/internal/posix_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "io/internal/posix_calls.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io::internal {
namespace {

using support::code_of;
using support::pattern;

PosixFile file_on(const char* path, int flags) {
  return {UniqueFd(::open(path, flags | O_CLOEXEC, 0600)), path, Caching::buffered};
}

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

// A direct read that ended inside a block cannot go on from there when the file has grown since.
TEST(PosixFile, DirectReadOfGrowingFileNeverFails) {
  constexpr std::size_t kPieceSizeBytes = 100;
  constexpr std::size_t kPieces = 20'000;
  const support::TemporaryDirectory top;
  PosixFile writer = file_on(top.path_of("a").c_str(), O_RDWR | O_CREAT);
  PosixFile reader(UniqueFd(::open(top.path_of("a").c_str(), O_RDONLY | O_CLOEXEC)), "a",
                   Caching::direct);
  std::atomic<bool> is_done = false;
  std::jthread growth([&] {
    const std::string piece(kPieceSizeBytes, 'x');
    for (std::size_t i = 0; i < kPieces; ++i) {
      EXPECT_TRUE(writer.write_at(i * kPieceSizeBytes, bytes_of(piece)));
    }
    is_done = true;
  });
  AlignedBuffer buffer(1U << 20);
  std::size_t end = 0;
  while (!is_done) {
    const std::size_t start = end / kDirectAlignment * kDirectAlignment;
    const Result<std::size_t> count = reader.read_at(start, buffer.bytes());
    ASSERT_TRUE(count) << count.error().message();
    ASSERT_GE(start + *count, end);
    end = start + *count;
    EXPECT_EQ(std::ranges::count(buffer.bytes().first(*count), std::byte{'x'}),
              static_cast<std::ptrdiff_t>(*count));
  }
}

TEST(PosixFile, ShortDirectWriteWithoutProgressIsNoSpace) {
  // tmpfs has direct mode without its rules, so that a limit can end a write inside a block.
  char path[] = "/dev/shm/haul-test-XXXXXX";
  UniqueFd fd(::mkstemp(path));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::unlink(path), 0);
  PosixFile file(std::move(fd), path, Caching::direct);
  const AlignedBuffer buffer(8192);
  const FileSizeLimit limit(5000);
  const Status written = file.write_at(0, buffer.bytes());
  ASSERT_EQ(code_of(written), ErrorCode::no_space);
  EXPECT_THAT(written.error().message(), ::testing::HasSubstr("at offset 5000"));
}

TEST(PosixFile, FullDeviceIsNoSpace) {
  PosixFile file = file_on("/dev/full", O_WRONLY);
  const Status written = file.write_at(8192, bytes_of("x"));
  ASSERT_EQ(code_of(written), ErrorCode::no_space);
  EXPECT_THAT(written.error().message(), ::testing::HasSubstr("/dev/full at offset 8192"));
}

TEST(PosixFile, ShortWriteIsContinuedAndItsErrorReported) {
  const support::TemporaryDirectory top;
  PosixFile file = file_on(top.path_of("a").c_str(), O_RDWR | O_CREAT);
  const std::string content = pattern(8192, 1);
  {
    const FileSizeLimit limit(5000);
    const Status written = file.write_at(0, bytes_of(content));
    ASSERT_EQ(code_of(written), ErrorCode::no_space);
    EXPECT_THAT(written.error().message(), ::testing::HasSubstr("at offset 5000"));
  }
  EXPECT_EQ(file.info()->size_bytes, 5000U);
}

TEST(PosixFile, ReadOfWriteOnlyFileFailsNamingTheOffset) {
  const support::TemporaryDirectory top;
  PosixFile file = file_on(top.path_of("a").c_str(), O_WRONLY | O_CREAT);
  std::array<std::byte, 1> into{};
  const Result<std::size_t> count = file.read_at(77, into);
  ASSERT_EQ(code_of(count), ErrorCode::io);
  EXPECT_THAT(count.error().message(), ::testing::HasSubstr("at offset 77"));
}

TEST(PosixFile, ResizeBeyondTheLimitIsNoSpace) {
  const support::TemporaryDirectory top;
  PosixFile file = file_on(top.path_of("a").c_str(), O_WRONLY | O_CREAT);
  const FileSizeLimit limit(5000);
  EXPECT_EQ(code_of(file.resize(6000)), ErrorCode::no_space);
}

TEST(PosixFile, PreallocatingMoreThanAnyDeviceHasIsNoSpace) {
  const support::TemporaryDirectory top;
  PosixFile file = file_on(top.path_of("a").c_str(), O_WRONLY | O_CREAT);
  EXPECT_EQ(code_of(file.preallocate(1ULL << 62)), ErrorCode::no_space);
}

TEST(PosixFile, FailedSyncFailsForever) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  // fsync of a pipe is refused; afterwards the descriptor is made one whose fsync succeeds.
  PosixFile file(UniqueFd(ends[1]), "pipe", Caching::buffered);
  EXPECT_EQ(code_of(file.sync()), ErrorCode::io);
  const support::TemporaryDirectory top;
  const UniqueFd good(::open(top.path_of("a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_GE(::dup3(good.get(), ends[1], O_CLOEXEC), 0);
  EXPECT_EQ(code_of(file.sync()), ErrorCode::io);
}

TEST(PosixFile, FinishReportsFailureOfCloseWithTheName) {
  PosixFile file = file_on("/dev/null", O_RDONLY);
  ::close(*file.descriptor());
  const Status finished = file.finish();
  ASSERT_EQ(code_of(finished), ErrorCode::io);
  EXPECT_THAT(finished.error().message(), ::testing::HasSubstr("/dev/null"));
}

TEST(PosixFile, NonBlockingModeEndsWithOpening) {
  const PosixFile file = file_on("/dev/null", O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(::fcntl(*file.descriptor(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(PosixFile, DirectModeIsOnAndEnds) {
  const support::TemporaryDirectory top;
  PosixFile file(UniqueFd(::open(top.path_of("a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
                 "a", Caching::direct);
  EXPECT_NE(::fcntl(*file.descriptor(), F_GETFL) & O_DIRECT, 0);
  ASSERT_TRUE(file.end_direct());
  EXPECT_EQ(::fcntl(*file.descriptor(), F_GETFL) & O_DIRECT, 0);
}

TEST(PosixFile, WhereDirectModeIsRefusedTheFileIsBuffered) {
  // /proc files have no direct mode.
  PosixFile file(UniqueFd(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)), "stat",
                 Caching::direct);
  std::array<std::byte, 3> into{};
  EXPECT_EQ(file.read_at(1, into).value(), 3U);
  EXPECT_TRUE(file.end_direct());
}

class CachedReadTest : public testing::TestWithParam<Caching> {
 protected:
  static constexpr std::size_t kPage = 8192;

  CachedReadTest() {
    HAUL_ASSERT(::posix_fadvise(writer_.get(), 0, 0, POSIX_FADV_RANDOM) == 0);
    HAUL_ASSERT(::pwrite(writer_.get(), content_.data(), content_.size(), 0) ==
                static_cast<ssize_t>(content_.size()));
    HAUL_ASSERT(::fsync(writer_.get()) == 0);
  }

  void SetUp() override {
    if (!is_in_page_cache(writer_.get(), 0, kPage)) {
      GTEST_SKIP() << "this kernel does not say what the page cache has";
    }
    HAUL_ASSERT(::posix_fadvise(writer_.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
    ASSERT_FALSE(is_in_page_cache(writer_.get(), 0, kPage));
  }

  void bring_into_cache(std::size_t page) {
    std::array<std::byte, kPage> bytes;
    HAUL_ASSERT(::pread(writer_.get(), bytes.data(), kPage, static_cast<off_t>(page * kPage)) ==
                static_cast<ssize_t>(kPage));
  }
  // What was read of some pages.
  std::optional<std::string> read_cached(std::size_t page, std::size_t pages) {
    const MutableByteSpan into = buffer_.bytes().first(pages * kPage);
    if (!file_.read_cached(page * kPage, into)) return std::nullopt;
    return std::string(text_of(into));
  }
  std::string content(std::size_t page, std::size_t pages) const {
    return content_.substr(page * kPage, pages * kPage);
  }

  const support::TemporaryDirectory top_;
  const std::string content_ = pattern(8 * kPage + 100, 3);
  const UniqueFd writer_{::open(top_.path_of("a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  PosixFile file_{UniqueFd(::open(top_.path_of("a").c_str(), O_RDONLY | O_CLOEXEC)), "a",
                  GetParam()};
  AlignedBuffer buffer_{4 * kPage};
};

TEST_P(CachedReadTest, WhatIsInThePageCacheIsReadAndNothingElse) {
  EXPECT_EQ(read_cached(2, 1), std::nullopt);
  bring_into_cache(2);
  EXPECT_EQ(read_cached(2, 1), content(2, 1));
  EXPECT_EQ(read_cached(1, 2), std::nullopt);
  EXPECT_EQ(read_cached(2, 2), std::nullopt);
  bring_into_cache(3);
  EXPECT_EQ(read_cached(2, 2), content(2, 2));
}

TEST_P(CachedReadTest, NothingIsFetchedForIt) {
  EXPECT_EQ(read_cached(4, 2), std::nullopt);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(is_in_page_cache(writer_.get(), 4 * kPage, 4096));
}

TEST_P(CachedReadTest, WhatIsBeyondTheEndIsNotThere) {
  bring_into_cache(7);
  EXPECT_EQ(read_cached(7, 2), std::nullopt);
  EXPECT_EQ(read_cached(9, 1), std::nullopt);
}

TEST_P(CachedReadTest, ItIsTheOpenFileThatIsReadWhateverItsNameSays) {
  bring_into_cache(0);
  ASSERT_EQ(::unlink(top_.path_of("a").c_str()), 0);
  const UniqueFd other(::open(top_.path_of("a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(read_cached(0, 1), content(0, 1));
}

INSTANTIATE_TEST_SUITE_P(All, CachedReadTest, testing::Values(Caching::direct, Caching::buffered),
                         [](const auto& tested) {
                           return tested.param == Caching::direct ? "Direct" : "Buffered";
                         });

}  // namespace
}  // namespace haul::io::internal
