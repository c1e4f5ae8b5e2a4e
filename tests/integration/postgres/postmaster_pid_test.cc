#include "engine/postgres/postmaster_pid.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "engine/postgres/control_file.h"
#include "io/posix_directory.h"
#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

class PostmasterPidTest : public RunningServer {
 protected:
  void SetUp() override {
    RunningServer::SetUp();
    directory_ = io::open_posix_directory(server_->data_directory()).value();
  }

  std::unique_ptr<io::Directory> directory_;
  SystemProcessProbe probe_;
};

TEST_F(PostmasterPidTest, FileOfARunningServerLeadsToIt) {
  const auto file = read_postmaster_pid(*directory_);
  ASSERT_TRUE(succeeded(file));
  EXPECT_EQ(file->pid, server_->postmaster_pid());
  EXPECT_EQ(file->data_directory, server_->data_directory());
  EXPECT_TRUE(file->has_shared_memory);
  ConnectionOptions options;
  options.host = file->connect_host();
  options.port = std::to_string(file->port);
  options.user = "postgres";
  EXPECT_TRUE(succeeded(PgConnection::open(options)));
}

TEST_F(PostmasterPidTest, PresenceFollowsTheServer) {
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::running);
  EXPECT_TRUE(probe_.shared_memory_in_use(read_postmaster_pid(*directory_).value()));
  ASSERT_TRUE(server_->stop());
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::not_running);
}

TEST_F(PostmasterPidTest, FileLeftByADeadServerMeansNotRunning) {
  const std::string path = server_->data_directory() + "/postmaster.pid";
  const std::string left = server_->data_directory() + "/left";
  std::filesystem::copy_file(path, left);
  ASSERT_TRUE(server_->stop());
  std::filesystem::rename(left, path);
  EXPECT_EQ(server_presence(*directory_, probe_).value(), ServerPresence::not_running);
}

TEST_F(PostmasterPidTest, ControlFileOfARunningServerIsRead) {
  SystemClock clock;
  const auto image = read_control_file(*directory_, clock);
  ASSERT_TRUE(succeeded(image));
  EXPECT_EQ(image->parsed.state, DatabaseState::in_production);
  EXPECT_EQ(std::to_string(image->parsed.system_identifier),
            query("SELECT system_identifier FROM pg_control_system()"));
  EXPECT_EQ(std::to_string(image->parsed.server_major * 10000),
            std::to_string(std::stoi(query("SHOW server_version_num")) / 10000 * 10000));
}

}  // namespace
}  // namespace haul::postgres
