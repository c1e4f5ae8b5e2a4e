// This machine's own calls.

#include "engine/wal/host.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::wal {
namespace {

using support::code_of;
using support::TemporaryDirectory;

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(LocalHost, MovesAFileOverAnother) {
  const TemporaryDirectory directory;
  const std::string from = directory.path() + "/from";
  const std::string to = directory.path() + "/to";
  std::ofstream(from) << "new";
  std::ofstream(to) << "old";
  const auto host = make_local_host();
  ASSERT_TRUE(host->move_file(from, to));
  EXPECT_EQ(read_text(to), "new");
  EXPECT_EQ(code_of(host->move_file(from, to)), ErrorCode::not_found);
}

TEST(LocalHost, LockIsSeenByOthersUntilItsHolderEnds) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/lock";
  const auto other = make_local_host();
  EXPECT_EQ(other->is_locked(path).value(), false);
  {
    const auto holder = make_local_host();
    EXPECT_EQ(holder->lock(path).value(), true);
    EXPECT_EQ(other->is_locked(path).value(), true);
    EXPECT_EQ(other->lock(path).value(), false);
  }
  EXPECT_EQ(other->is_locked(path).value(), false);
  EXPECT_EQ(other->lock(path).value(), true);
}

TEST(LocalHost, LockWhereThereIsNoDirectoryIsNotFound) {
  const auto host = make_local_host();
  EXPECT_EQ(code_of(host->lock("/no/such/place/lock")), ErrorCode::not_found);
  EXPECT_EQ(code_of(host->is_locked("/no/such/place/lock")), ErrorCode::not_found);
}

// This program, started by the test below, tells what it finds itself with.
TEST(DetachedProbe, Reports) {
  const char* path = std::getenv("HAUL_DETACHED_PROBE");
  if (path == nullptr) GTEST_SKIP() << "started by another test only";
  std::ofstream report(path);
  report << (getsid(0) == getpid() ? "own session" : "session of another") << '\n';
  report << std::filesystem::current_path().string() << '\n';
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  report << (sigismember(&blocked, SIGTERM) != 0 ? "SIGTERM blocked" : "nothing blocked") << '\n';
  report << (fcntl(std::atoi(std::getenv("HAUL_DETACHED_FD")), F_GETFD) < 0 ? "closed" : "open")
         << '\n';
  for (const char* standard : {"0", "1", "2"}) {
    report << std::filesystem::read_symlink(std::string("/proc/self/fd/") + standard).string()
           << '\n';
  }
}

TEST(LocalHost, DetachedProcessHasNothingOfItsStarter) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/report";
  const int inherited = fcntl(STDOUT_FILENO, F_DUPFD, 50);
  ASSERT_GE(inherited, 50);
  setenv("HAUL_DETACHED_PROBE", path.c_str(), 1);
  setenv("HAUL_DETACHED_FD", std::to_string(inherited).c_str(), 1);
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &some, &before);
  ASSERT_TRUE(make_local_host()->start_detached({"--gtest_filter=DetachedProbe.Reports"}));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  unsetenv("HAUL_DETACHED_PROBE");
  close(inherited);
  int status = 0;
  ASSERT_GT(waitpid(-1, &status, 0), 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_text(path),
            "own session\n/\nnothing blocked\nclosed\n/dev/null\n/dev/null\n/dev/null\n");
}

}  // namespace
}  // namespace haul::wal
