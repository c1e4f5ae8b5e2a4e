// A kernel, or a container's profile, that refuses io_uring to the whole program.

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/faults/scene.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;

class WithoutUring : public SceneTest<WithoutUring> {
 protected:
  void SetUp() override {
    SceneTest::SetUp();
    scene().copy_first_repository(repository());
    std::filesystem::copy_file(HAUL_WITHOUT_URING, launcher(),
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(launcher(), std::filesystem::perms(0755));
  }

  std::string repository() const { return scene().path("repo"); }
  std::string launcher() const { return scene().path("without_uring"); }
  Outcome run(const std::string& arguments) const {
    return scene().workshop().shell_as_server(
        format("exec {} {} {}", launcher(), scene().path("pghaul"), arguments));
  }
  std::string backend_of(const Outcome& outcome) const {
    return json_of(outcome).string_at("io_backend").value_or("");
  }
};

// Otherwise the other tests would prove nothing.
TEST_F(WithoutUring, IsNotTheUsualCase) {
  const Outcome outcome = scene().workshop().pghaul(scene().backup_command(repository()));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(backend_of(outcome), HasSubstr("uring"));
}

TEST_F(WithoutUring, ThreadsTakeOverAndSaySo) {
  const Outcome backup = run(scene().backup_command(repository()));
  ASSERT_EQ(backup.status, 0) << backup.err;
  EXPECT_EQ(backend_of(backup), "threads");
  EXPECT_EQ(run("verify --data --repo " + repository()).status, 0);
  const std::string target = scene().path("target");
  const Outcome restored = run(scene().restore_command(repository(), target));
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(tree_difference(scene().first_tree(), tree_of(target)), "");
  scene().remove(target);
  scene().expect_backups_restore(repository());
}

TEST_F(WithoutUring, AskedForByNameItIsOneClearError) {
  const std::string target = scene().path("target");
  for (const std::string& command :
       {scene().backup_command(repository()), scene().restore_command(repository(), target)}) {
    const Outcome outcome = run(command + " --io uring");
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("io_uring is not available: Operation not permitted"));
    EXPECT_THAT(outcome.err, HasSubstr("HINT:"));
    expect_one_error(outcome);
  }
  EXPECT_EQ(scene().backups(repository()).size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(target + "/global/pg_control"));
}

}  // namespace
}  // namespace haul::integration
