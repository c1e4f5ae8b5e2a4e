#include "engine/postgres/postmaster_pid.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "io/sim_directory.h"

namespace haul::postgres {
namespace {

const std::string kFile =
    "4711\n/var/lib/data\n1764000000\n5433\n/run/postgresql\n*\n  5433001     32768\nready   \n";

bool is_corrupt(const std::string& text) {
  const auto parsed = parse_postmaster_pid(text);
  return !parsed && parsed.error().code() == ErrorCode::corrupt;
}

TEST(PostmasterPid, EveryLineIsRead) {
  const PostmasterPid file = parse_postmaster_pid(kFile).value();
  EXPECT_EQ(file.pid, 4711);
  EXPECT_FALSE(file.standalone);
  EXPECT_EQ(file.data_directory, "/var/lib/data");
  EXPECT_EQ(file.start_time_s, 1764000000);
  EXPECT_EQ(file.port, 5433);
  EXPECT_EQ(file.socket_directory, "/run/postgresql");
  EXPECT_EQ(file.listen_address, "*");
  EXPECT_TRUE(file.has_shared_memory);
  EXPECT_EQ(file.shared_memory_key, 5433001U);
  EXPECT_EQ(file.shared_memory_id, 32768U);
  EXPECT_EQ(file.status, "ready");
}

TEST(PostmasterPid, StatusOfEightLettersIsRead) {
  EXPECT_EQ(parse_postmaster_pid("1\n/d\n1\n5432\n/s\n\n  1 2\nstarting\n")->status, "starting");
  EXPECT_EQ(parse_postmaster_pid("1\n/d\n1\n5432\n/s\n\n  1 2\nstandby \n")->status, "standby");
}

TEST(PostmasterPid, StartingServerLacksTheLastLines) {
  const PostmasterPid file =
      parse_postmaster_pid("4711\n/var/lib/data\n1764000000\n5433\n").value();
  EXPECT_EQ(file.port, 5433);
  EXPECT_EQ(file.socket_directory, "");
  EXPECT_FALSE(file.has_shared_memory);
  EXPECT_EQ(file.status, "");
}

TEST(PostmasterPid, SingleUserBackendHasANegativePid) {
  const PostmasterPid file = parse_postmaster_pid("-4711\n/var/lib/data\n1\n0\n").value();
  EXPECT_TRUE(file.standalone);
  EXPECT_EQ(file.pid, 4711);
}

TEST(PostmasterPid, MalformedLinesAreCorrupt) {
  EXPECT_TRUE(is_corrupt(""));
  EXPECT_TRUE(is_corrupt("0\n/d\n1\n5432\n"));
  EXPECT_TRUE(is_corrupt("x\n/d\n1\n5432\n"));
  EXPECT_TRUE(is_corrupt("-9223372036854775808\n/d\n1\n5432\n"));
  EXPECT_TRUE(is_corrupt("4711\n"));
  EXPECT_TRUE(is_corrupt("4711\nd\n1\n5432\n"));
  EXPECT_TRUE(is_corrupt("4711\n/d\n\n5432\n"));
  EXPECT_TRUE(is_corrupt("4711\n/d\n1\n\n"));
  EXPECT_TRUE(is_corrupt("4711\n/d\n1\n65536\n"));
  EXPECT_TRUE(is_corrupt("4711\n/d\n1\n5432\n/s\n\n5433001\n"));
  EXPECT_TRUE(is_corrupt("4711\n/d\n1\n5432\n/s\n\nx 1\n"));
}

TEST(PostmasterPid, SocketIsPreferredToTheAddress) {
  PostmasterPid file;
  EXPECT_EQ(file.connect_host(), "");
  file.listen_address = "10.0.0.1";
  EXPECT_EQ(file.connect_host(), "10.0.0.1");
  file.listen_address = "*";
  EXPECT_EQ(file.connect_host(), "localhost");
  file.socket_directory = "/run";
  EXPECT_EQ(file.connect_host(), "/run");
}

struct FixedProbe final : ProcessProbe {
  bool is_alive = false;
  Answer works_here = Answer::unknown;
  bool in_use = false;

  bool alive(std::int64_t pid) override {
    EXPECT_EQ(pid, 4711);
    return is_alive;
  }
  Answer works_in(std::int64_t, std::uint64_t, std::uint64_t) override { return works_here; }
  bool shared_memory_in_use(const PostmasterPid&) override { return in_use; }
};

class ServerPresenceTest : public ::testing::Test {
 protected:
  ServerPresenceTest() : directory_(disk_.open("").value()) {}

  void write(const std::string& text) {
    const auto file = directory_->create_file("postmaster.pid", 0600, io::Caching::buffered);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(0, bytes_of(text)));
  }

  io::SimDisk disk_;
  std::unique_ptr<io::Directory> directory_;
  FixedProbe probe_;
};

TEST_F(ServerPresenceTest, WithoutFileNothingRuns) {
  probe_.is_alive = true;
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::not_running);
}

TEST_F(ServerPresenceTest, LiveProcessMeansRunning) {
  write(kFile);
  probe_.is_alive = true;
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::running);
  probe_.works_here = ProcessProbe::Answer::yes;
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::running);
}

TEST_F(ServerPresenceTest, ProcessThatWorksElsewhereHasReusedTheId) {
  write(kFile);
  probe_.is_alive = true;
  probe_.works_here = ProcessProbe::Answer::no;
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::not_running);
}

TEST_F(ServerPresenceTest, DeadProcessMeansNotRunning) {
  write(kFile);
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::not_running);
}

TEST_F(ServerPresenceTest, SharedMemoryInUseMeansRunning) {
  write(kFile);
  probe_.in_use = true;
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::running);
}

TEST_F(ServerPresenceTest, MalformedFileIsAnError) {
  write("nonsense");
  const auto presence = server_presence(*directory_, probe_);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().code(), ErrorCode::corrupt);
}

TEST(SystemProcessProbe, KnowsThisProcess) {
  SystemProcessProbe probe;
  struct stat here = {};
  ASSERT_EQ(::stat(".", &here), 0);
  EXPECT_TRUE(probe.alive(::getpid()));
  EXPECT_EQ(probe.works_in(::getpid(), here.st_dev, here.st_ino), ProcessProbe::Answer::yes);
  EXPECT_EQ(probe.works_in(::getpid(), here.st_dev, here.st_ino + 1), ProcessProbe::Answer::no);
}

TEST(SystemProcessProbe, ExitedChildNobodyCollectedIsNotAlive) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(0);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  SystemProcessProbe probe;
  EXPECT_FALSE(probe.alive(child));
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(probe.alive(child));
}

TEST(SystemProcessProbe, ImpossibleProcessesAreNotAlive) {
  SystemProcessProbe probe;
  EXPECT_FALSE(probe.alive(0));
  EXPECT_FALSE(probe.alive(-1));
  EXPECT_FALSE(probe.alive(std::int64_t{1} << 40));
  EXPECT_EQ(probe.works_in(std::int64_t{1} << 40, 1, 1), ProcessProbe::Answer::unknown);
}

TEST(SystemProcessProbe, AbsentSegmentIsNotInUse) {
  SystemProcessProbe probe;
  PostmasterPid file;
  EXPECT_FALSE(probe.shared_memory_in_use(file));
  file.has_shared_memory = true;
  file.shared_memory_id = 0x7FFFFFFF;
  EXPECT_FALSE(probe.shared_memory_in_use(file));
  file.shared_memory_id = std::uint64_t{1} << 40;
  EXPECT_FALSE(probe.shared_memory_in_use(file));
}

}  // namespace
}  // namespace haul::postgres
