// What only the ring on io_uring does: its answers to what the kernel answers, its set-up where the
// kernel refuses something. What every ring does is in tests/conformance/ring_test.cc.

#include "io/internal/uring_ring.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "io/internal/posix_file.h"
#include "io/posix_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io::internal {
namespace {

using support::code_of;
using support::pattern;
using ::testing::AnyOf;

constexpr std::size_t kPage = kDirectAlignment;

// Answers with each of `script` once, in place of what the kernel said, then with the truth.
class Script {
 public:
  explicit Script(std::vector<int> script) : script_(std::move(script)) {}

  UringHooks hooks() {
    UringHooks hooks;
    hooks.on_result = [this](int result) {
      const std::size_t call = requests_++;
      return call < script_.size() ? script_[call] : result;
    };
    return hooks;
  }
  std::size_t requests() const { return requests_; }

 private:
  const std::vector<int> script_;
  std::size_t requests_ = 0;
};

class UringRingTest : public ::testing::Test {
 protected:
  UringRingTest() : root_(open_posix_directory(top_.path()).take()), memory_(16 * kPage) {}

  std::unique_ptr<File> file_of(std::string_view content, Caching caching = Caching::buffered) {
    EXPECT_TRUE(support::write_file(*root_, "a", content));
    return root_->open_for_update("a", caching).take();
  }
  void remove() { EXPECT_TRUE(root_->remove_file("a")); }
  std::string content() { return support::read_file(*root_, "a").value(); }
  std::string path() const { return top_.path_of("a"); }
  MutableByteSpan memory() { return memory_.bytes(); }

  // One operation on a ring of its own.
  static Result<std::size_t> run(const RingOperation& operation, UringHooks hooks) {
    const auto ring = open_uring_ring({}, std::move(hooks)).take();
    ring->submit(operation);
    return ring->wait()[0].outcome;
  }
  Result<std::size_t> read(File& file, std::size_t size_bytes, UringHooks hooks) {
    return run({RingOperation::Kind::read, &file, 0, memory().first(size_bytes)}, std::move(hooks));
  }
  Result<std::size_t> write(File& file, std::string_view text, UringHooks hooks) {
    std::ranges::copy(bytes_of(text), memory().begin());
    return run({RingOperation::Kind::write, &file, 0, memory().first(text.size())},
               std::move(hooks));
  }
  static Result<std::size_t> sync(File& file, UringHooks hooks) {
    return run({RingOperation::Kind::sync, &file, 0, {}}, std::move(hooks));
  }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<Directory> root_;
  AlignedBuffer memory_;
};

TEST_F(UringRingTest, InterruptedTransferIsRepeated) {
  const auto file = file_of("hello");
  Script script({-EINTR, -EAGAIN});
  EXPECT_EQ(read(*file, 5, script.hooks()).value(), 5U);
  EXPECT_EQ(text_of(memory().first(5)), "hello");
  EXPECT_EQ(script.requests(), 3U);
  Script other({-EAGAIN, -EINTR});
  EXPECT_EQ(write(*file, "HELLO", other.hooks()).value(), 5U);
  EXPECT_EQ(content(), "HELLO");
}

TEST_F(UringRingTest, FailedReadNamesFileAndOffset) {
  const auto file = file_of("hello");
  Script script({2, -EIO});
  const Result<std::size_t> outcome = read(*file, 5, script.hooks());
  EXPECT_EQ(code_of(outcome), ErrorCode::io);
  EXPECT_EQ(outcome.error().message(),
            "cannot read " + path() + " at offset 2: Input/output error");
}

TEST_F(UringRingTest, FailedWriteNamesFileAndOffset) {
  const auto file = file_of("");
  Script script({3, -ENOSPC});
  const Result<std::size_t> outcome = write(*file, "hello", script.hooks());
  EXPECT_EQ(code_of(outcome), ErrorCode::no_space);
  EXPECT_EQ(outcome.error().message(),
            "cannot write " + path() + " at offset 3: No space left on device");
}

TEST_F(UringRingTest, CanceledRequestIsFailure) {
  const auto file = file_of("hello");
  Script script({-ECANCELED});
  EXPECT_EQ(code_of(read(*file, 5, script.hooks())), ErrorCode::io);
  EXPECT_EQ(script.requests(), 1U);
}

TEST_F(UringRingTest, ShortReadGoesOnWhereItStopped) {
  const std::string text = pattern(3 * kPage, 1);
  const auto file = file_of(text);
  Script script({100, 1});
  EXPECT_EQ(read(*file, text.size(), script.hooks()).value(), text.size());
  EXPECT_EQ(text_of(memory().first(text.size())), text);
  EXPECT_EQ(script.requests(), 3U);
}

TEST_F(UringRingTest, DirectReadGoesOnAtTheBlockItStoppedIn) {
  const std::string text = pattern(3 * kPage, 2);
  const auto file = file_of(text, Caching::direct);
  Script script({kPage + 100});
  EXPECT_EQ(read(*file, text.size(), script.hooks()).value(), text.size());
  EXPECT_EQ(text_of(memory().first(text.size())), text);
  EXPECT_EQ(script.requests(), 2U);
}

TEST_F(UringRingTest, DirectReadThatComesNoFurtherIsAtTheEnd) {
  const auto file = file_of(pattern(3 * kPage, 2), Caching::direct);
  // The second request starts at the block again, and again ends in the midst of it.
  Script script({kPage + 100, 100});
  EXPECT_EQ(read(*file, 3 * kPage, script.hooks()).value(), kPage + 100);
  EXPECT_EQ(script.requests(), 2U);
}

TEST_F(UringRingTest, ShortWriteGoesOnWhereItStopped) {
  const std::string text = pattern(3 * kPage, 3);
  const auto file = file_of("");
  Script script({100, 1});
  EXPECT_EQ(write(*file, text, script.hooks()).value(), text.size());
  EXPECT_EQ(content(), text);
  EXPECT_EQ(script.requests(), 3U);
}

TEST_F(UringRingTest, DirectWriteGoesOnAtTheBlockItStoppedIn) {
  const std::string text = pattern(3 * kPage, 4);
  const auto file = file_of("", Caching::direct);
  Script script({kPage + 100});
  EXPECT_EQ(write(*file, text, script.hooks()).value(), text.size());
  EXPECT_EQ(content(), text);
  EXPECT_EQ(script.requests(), 2U);
}

TEST_F(UringRingTest, WriteThatComesNoFurtherIsNoSpace) {
  const auto file = file_of("");
  Script script({2, 0});
  const Result<std::size_t> outcome = write(*file, "hello", script.hooks());
  EXPECT_EQ(code_of(outcome), ErrorCode::no_space);
  EXPECT_EQ(outcome.error().message(),
            "cannot write " + path() + " at offset 2: No space left on device");
}

TEST_F(UringRingTest, RequestsKeepToTheTransferLimit) {
  const std::string text = pattern(3 * kPage, 5);
  const auto file = file_of(text);
  Script script({});
  UringHooks hooks = script.hooks();
  hooks.transfer_max_bytes = kPage;
  EXPECT_EQ(read(*file, text.size(), hooks).value(), text.size());
  EXPECT_EQ(script.requests(), 3U);
}

TEST_F(UringRingTest, FailedSyncIsNeverRepeated) {
  const auto file = file_of("hello");
  Script script({-EIO});
  EXPECT_EQ(code_of(sync(*file, script.hooks())), ErrorCode::io);
  Script again({});
  const Result<std::size_t> outcome = sync(*file, again.hooks());
  EXPECT_EQ(code_of(outcome), ErrorCode::io);
  EXPECT_EQ(outcome.error().message(), "cannot sync " + path() + ": Input/output error");
  EXPECT_EQ(again.requests(), 0U);
  EXPECT_EQ(code_of(file->sync()), ErrorCode::io);
}

TEST_F(UringRingTest, InterruptedSyncIsFailure) {
  for (const int result : {-EINTR, -EAGAIN, -ECANCELED}) {
    const auto file = file_of("hello", Caching::buffered);
    Script script({result});
    EXPECT_FALSE(sync(*file, script.hooks()));
    EXPECT_EQ(script.requests(), 1U);
    EXPECT_FALSE(file->sync());
    remove();
  }
}

TEST_F(UringRingTest, FileThatFailedToSyncIsNotSyncedByTheRing) {
  PosixFile file(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), "null", Caching::buffered);
  EXPECT_FALSE(file.sync());  // not a file that can be synced
  Script script({});
  EXPECT_FALSE(sync(file, script.hooks()));
  EXPECT_EQ(script.requests(), 0U);
}

TEST(UringRing, SetupFallsBackToWhatOlderKernelsKnow) {
  std::vector<unsigned> tried;
  UringHooks hooks;
  hooks.refuse_setup = [&](unsigned flags) {
    tried.push_back(flags);
    return flags == 0 ? 0 : EINVAL;
  };
  const auto ring = open_uring_ring({}, hooks);
  ASSERT_TRUE(ring);
  EXPECT_EQ(tried.size(), 3U);
  (*ring)->wake();
  EXPECT_TRUE((*ring)->wait({}, Ring::Idle::allowed).empty());
}

TEST(UringRing, RefusalEndsTheSetup) {
  int tries = 0;
  UringHooks hooks;
  hooks.refuse_setup = [&](unsigned) {
    ++tries;
    return ENOMEM;
  };
  const auto ring = open_uring_ring({}, hooks);
  ASSERT_EQ(code_of(ring), ErrorCode::unsupported);
  EXPECT_EQ(ring.error().message(), "io_uring is not available: Cannot allocate memory");
  EXPECT_EQ(tries, 1);
}

TEST(UringRing, KernelWithoutAnOperationIsUnsupported) {
  std::vector<int> asked;
  UringHooks all;
  all.is_missing = [&](int opcode) {
    asked.push_back(opcode);
    return false;
  };
  ASSERT_TRUE(open_uring_ring({}, all));
  ASSERT_EQ(asked.size(), 6U);
  for (const int missing : asked) {
    UringHooks hooks;
    hooks.is_missing = [&](int opcode) { return opcode == missing; };
    EXPECT_EQ(code_of(open_uring_ring({}, hooks)), ErrorCode::unsupported) << missing;
  }
}

TEST(UringRing, ProcessWithoutDescriptorsIsUnsupported) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto ring = open_uring_ring({});
  const auto other = open_ring({});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(code_of(ring), ErrorCode::unsupported);
  EXPECT_EQ(other.value()->backend(), "threads");
}

// Pages that were registered stay the ring's even when others are mapped at their address, which
// tells a transfer through the registration from a plain one.
TEST(UringRing, TransfersUseTheRegistrationOfTheirBuffer) {
  const support::TemporaryDirectory top;
  const auto root = open_posix_directory(top.path()).take();
  ASSERT_TRUE(support::write_file(*root, "a", std::string(2 * kPage, 'x')));
  const auto file = root->open_for_update("a", Caching::buffered).take();
  const auto map = [](void* at, int flags) {
    return static_cast<std::byte*>(
        ::mmap(at, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
  };
  std::byte* const pages = map(nullptr, 0);
  const std::span memory(pages, 4 * kPage);
  const auto ring =
      open_uring_ring({.buffers = {memory.subspan(2 * kPage, kPage), memory.first(2 * kPage)}})
          .take();
  EXPECT_EQ(ring->backend(), "uring");
  ASSERT_EQ(map(pages, MAP_FIXED), pages);
  const auto arrives_at = [&](std::size_t at, std::size_t size_bytes) {
    ring->submit({RingOperation::Kind::read, file.get(), 0, memory.subspan(at, size_bytes)});
    EXPECT_EQ(ring->wait()[0].outcome.value(), size_bytes);
    return memory[at] == std::byte{'x'};
  };
  EXPECT_FALSE(arrives_at(0, 2 * kPage));
  EXPECT_FALSE(arrives_at(100, kPage));
  EXPECT_FALSE(arrives_at(2 * kPage, kPage));
  EXPECT_TRUE(arrives_at(2 * kPage, kPage + 1));  // past the end of its buffer
  EXPECT_TRUE(arrives_at(kPage, kPage + 1));      // into another one
  EXPECT_TRUE(arrives_at(3 * kPage, kPage));
  // The pages of the registration hold what was read into them.
  ring->submit({RingOperation::Kind::write, file.get(), 4 * kPage, memory.first(1)});
  ASSERT_TRUE(ring->wait()[0].outcome);
  EXPECT_EQ(support::read_file(*root, "a")->back(), 'x');
  ::munmap(pages, 4 * kPage);
}

TEST(UringRing, MoreBuffersThanTheKernelTakesAreRegisteredInPart) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whose locked memory has no limit";
  AlignedBuffer page(kPage);
  const std::vector<MutableByteSpan> buffers(20'000, page.bytes());
  EXPECT_EQ(open_uring_ring({.buffers = buffers}).value()->backend(),
            "uring, 16384 of 20000 buffers registered");
}

TEST(OpenRing, ThreadsAreThereWhenAskedFor) {
  EXPECT_EQ(open_ring({.backend = RingBackend::threads}).value()->backend(), "threads");
}

TEST(OpenRing, AutomaticIsUringWhereTheKernelAllowsIt) {
  EXPECT_EQ(open_ring({}).value()->backend(), "uring");
}

// What `tell` says in a process of its own, whose limits and rights it may ruin.
template <typename Tell>
std::string told_by_child(Tell tell) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = tell();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text(1000, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(ends[0], text.data(), 1000), 0)));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return text;
}

// An ordinary user, so that the limit for locked memory is in force. It is one of each user, so
// nobody else's.
void become_limited(rlim_t locked_max_bytes) {
  const rlimit limit{locked_max_bytes, locked_max_bytes};
  const auto user = static_cast<uid_t>(100'000 + ::getpid());
  const bool done = ::setrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
                    (::getuid() != 0 || (::setgid(user) == 0 && ::setuid(user) == 0));
  if (!done) ::_exit(2);
}

// The back end of a ring with 64 buffers of 16 pages, after a read into each of them.
std::string backend_with_limit(rlim_t locked_max_bytes, RingBackend wanted, File& file) {
  return told_by_child([&]() -> std::string {
    AlignedBuffer memory(64 * 16 * kPage);
    std::vector<MutableByteSpan> buffers;
    for (std::size_t i = 0; i < 64; ++i) {
      buffers.push_back(memory.bytes().subspan(i * 16 * kPage, 16 * kPage));
    }
    become_limited(locked_max_bytes);
    const auto ring = open_ring({.backend = wanted, .buffers = buffers});
    if (!ring) return ring.error().message();
    for (const MutableByteSpan buffer : buffers) {
      (*ring)->submit({RingOperation::Kind::read, &file, 0, buffer.first(5)});
      const std::span<RingCompletion> completions = (*ring)->wait();
      if (completions.size() != 1 || !completions[0].outcome) return "failed";
      if (text_of(buffer.first(5)) != "hello") return "wrong bytes";
    }
    return (*ring)->backend();
  });
}

// From Linux 6.14 on the ring itself counts as locked memory: a few pages, less than a buffer.
constexpr rlim_t kBufferBytes = 16 * kPage;
constexpr rlim_t kRingBytesMax = 15 * kPage;

// Everybody but root shares the limit with whatever else runs as the same user.
bool has_limit_of_its_own() { return ::geteuid() == 0; }

TEST_F(UringRingTest, LimitThatTakesAllBuffersIsNotMentioned) {
  if (!has_limit_of_its_own()) GTEST_SKIP() << "needs root";
  const auto file = file_of("hello");
  EXPECT_EQ(backend_with_limit(64 * kBufferBytes + kRingBytesMax, RingBackend::automatic, *file),
            "uring");
}

TEST_F(UringRingTest, LimitThatTakesSomeBuffersIsReported) {
  if (!has_limit_of_its_own()) GTEST_SKIP() << "needs root";
  const auto file = file_of("hello");
  EXPECT_EQ(backend_with_limit(12 * kBufferBytes + kRingBytesMax, RingBackend::automatic, *file),
            "uring, 12 of 64 buffers registered");
  EXPECT_EQ(backend_with_limit(kBufferBytes + kRingBytesMax, RingBackend::uring, *file),
            "uring, 1 of 64 buffers registered");
  EXPECT_EQ(backend_with_limit(63 * kBufferBytes + kRingBytesMax, RingBackend::uring, *file),
            "uring, 63 of 64 buffers registered");
}

TEST_F(UringRingTest, LimitThatTakesNoBufferIsReported) {
  if (!has_limit_of_its_own()) GTEST_SKIP() << "needs root";
  const auto file = file_of("hello");
  EXPECT_EQ(backend_with_limit(kRingBytesMax, RingBackend::uring, *file), "uring, unregistered");
}

TEST_F(UringRingTest, WithoutLockedMemoryTransfersWorkAllTheSame) {
  const auto file = file_of("hello");
  EXPECT_THAT(backend_with_limit(0, RingBackend::automatic, *file),
              AnyOf("threads", "uring, unregistered"));
  EXPECT_THAT(backend_with_limit(0, RingBackend::uring, *file),
              AnyOf("io_uring is not available: Cannot allocate memory", "uring, unregistered"));
}

// What the profiles of containers do: the system call answers with an error.
void refuse_io_uring(int error_number) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error_number)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  const bool done = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
  if (!done) ::_exit(2);
}

class RefusedUring : public UringRingTest, public ::testing::WithParamInterface<int> {};

TEST_P(RefusedUring, AutomaticIsThreadsThatWork) {
  const auto file = file_of("hello");
  const std::string told = told_by_child([&]() -> std::string {
    refuse_io_uring(GetParam());
    const auto ring = open_ring({}).take();
    ring->submit({RingOperation::Kind::read, file.get(), 0, memory().first(5)});
    if (!ring->wait()[0].outcome) return "failed";
    return ring->backend() + ", " + std::string(text_of(memory().first(5)));
  });
  EXPECT_EQ(told, "threads, hello");
}

TEST_P(RefusedUring, ExplicitUringIsUnsupportedWithTheReason) {
  const std::string told = told_by_child([&]() -> std::string {
    refuse_io_uring(GetParam());
    const auto ring = open_ring({.backend = RingBackend::uring});
    if (ring) return "opened";
    return std::string(to_string(ring.error().code())) + ", " + ring.error().message();
  });
  EXPECT_EQ(told,
            "unsupported, " + error_from_errno(GetParam(), "io_uring is not available").message());
}

INSTANTIATE_TEST_SUITE_P(Reasons, RefusedUring, ::testing::Values(EPERM, ENOSYS));

}  // namespace
}  // namespace haul::io::internal
