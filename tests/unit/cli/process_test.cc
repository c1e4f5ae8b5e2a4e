// The process around the command line, each time in one of its own.

#include "tools/pghaul/process.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/exit_status.h"
#include "tools/pghaul/interruption.h"

namespace haul::cli {
namespace {

// Blocks until somebody asks to stop.
void wait_for_request(const std::stop_token& token) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, token, [] { return false; });
}

class Process : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

int run_words(std::vector<std::string> words, Platform& platform) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return run_process(static_cast<int>(arguments.size()), arguments.data(), platform);
}

TEST_F(Process, SignalIsARequestToStop) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EXIT(
        {
          const Interruption interruption;
          kill(getpid(), number);
          wait_for_request(interruption.stop_token());
          _exit(interruption.signal_number());
        },
        testing::ExitedWithCode(number), "");
  }
}

TEST_F(Process, SecondSignalEndsItAtOnce) {
  EXPECT_EXIT(
      {
        const Interruption interruption;
        kill(getpid(), SIGINT);
        wait_for_request(interruption.stop_token());
        kill(getpid(), SIGTERM);
        for (;;) pause();
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST_F(Process, WithoutASignalNothingIsRequested) {
  EXPECT_EXIT(
      {
        const Interruption interruption;
        _exit(interruption.signal_number() == 0 && !interruption.stop_token().stop_requested() ? 0
                                                                                               : 1);
      },
      testing::ExitedWithCode(0), "");
}

// Looks at its process from within.
class ProbePlatform final : public PosixPlatform {
 public:
  std::string working_directory() override {
    const mode_t mask = umask(077);
    const bool hardened = prctl(PR_GET_DUMPABLE) == 0 && mask == 077;
    struct sigaction pipe{};
    sigaction(SIGPIPE, nullptr, &pipe);
    _exit(hardened && pipe.sa_handler == SIG_IGN ? 42 : 43);
  }
};

TEST_F(Process, IsHardenedBeforeItDoesAnything) {
  EXPECT_EXIT(
      {
        ProbePlatform platform;
        run_words({"pghaul", "info", "--repo=x"}, platform);
      },
      testing::ExitedWithCode(42), "");
}

class ThrowingPlatform final : public PosixPlatform {
 public:
  std::string working_directory() override { throw std::runtime_error("nobody expects it"); }
};

TEST_F(Process, ExceptionIsAFailureAndNotACrash) {
  EXPECT_EXIT(
      {
        ThrowingPlatform platform;
        _exit(run_words({"pghaul", "info", "--repo=x"}, platform));
      },
      testing::ExitedWithCode(kFailed), "pghaul: error: unexpected failure: nobody expects it");
}

// Asks this process to stop while a repository is opened, and waits until that was taken in.
class SignallingPlatform final : public PosixPlatform {
 public:
  Result<std::unique_ptr<io::Directory>> open_directory(const std::string&) override {
    kill(getpid(), SIGTERM);
    sigset_t pending;
    do {
      sched_yield();
      sigpending(&pending);
    } while (sigismember(&pending, SIGTERM) == 1);
    return Error(ErrorCode::interrupted, "interrupted");
  }
};

TEST_F(Process, ExitStatusIsThatOfTheSignal) {
  EXPECT_EXIT(
      {
        SignallingPlatform platform;
        // Here the command ends whether or not its interruption was noted; mostly it was.
        int status = kInterrupted;
        for (int i = 0; i < 1000 && status == kInterrupted; ++i) {
          status = run_words({"pghaul", "info", "--repo=/x"}, platform);
        }
        _exit(status);
      },
      testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST_F(Process, WithoutArgumentsIsUsage) {
  EXPECT_EXIT(
      {
        PosixPlatform platform;
        _exit(run_process(0, nullptr, platform));
      },
      testing::ExitedWithCode(kUsage), "no command was given");
}

TEST(PosixPlatformTest, ReadsTextAndVariables) {
  PosixPlatform platform;
  EXPECT_TRUE(platform.read_text("/proc/self/comm")->starts_with("cli_unit"));
  EXPECT_EQ(platform.read_text("/no/such/file").error().code(), ErrorCode::not_found);
  EXPECT_FALSE(platform.read_text("/"));
  EXPECT_EQ(platform.variable("PGHAUL_NOT_SET_BY_ANYONE"), std::nullopt);
  EXPECT_TRUE(platform.variable("PATH"));
  EXPECT_TRUE(platform.working_directory().starts_with("/"));
  EXPECT_TRUE(platform.open_directory("/"));
}

}  // namespace
}  // namespace haul::cli
