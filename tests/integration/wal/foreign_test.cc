// What does not belong into a cluster's archive does not get in: another cluster's WAL, and files
// that are not what their names say. New clusters that never ran have all that is needed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kFirstSegment = "000000010000000000000001";
constexpr const char* kSecondSegment = "000000010000000000000002";

class ForeignWal : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    own_ = make_cluster();
    other_ = make_cluster();
  }
  static void TearDownTestSuite() {
    own_.reset();
    other_.reset();
  }
  static std::unique_ptr<PgServer> make_cluster() {
    auto made = PgServer::create();
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(made).take() : nullptr;
  }

  void SetUp() override {
    ASSERT_NE(own_, nullptr);
    ASSERT_NE(other_, nullptr);
    ASSERT_EQ(workshop_.pghaul("init --repo " + repo_).status, 0);
  }

  Outcome push(const std::string& path) const {
    return workshop_.pghaul(format("wal push --repo {} {}", repo_, path));
  }
  Outcome back_up(const PgServer& server) const {
    return workshop_.pghaul(
        format("backup --offline -q --repo {} -D {}", repo_, server.data_directory()));
  }
  static std::string segment_of(const PgServer& server) {
    return format("{}/pg_wal/{}", server.data_directory(), kFirstSegment);
  }
  // A file of this name, made from the own cluster's first segment.
  std::string made_from_segment(const std::string& command, const std::string& name) const {
    const std::string path = workshop_.path(name);
    const Outcome made =
        workshop_.shell_as_server(format("{} {} > {}", command, segment_of(*own_), path));
    EXPECT_EQ(made.status, 0) << made.err;
    return path;
  }
  // Everything that the repository holds.
  std::string contents() const {
    return workshop_.shell(format("find {} -type f -exec sha256sum {{}} + | sort", repo_)).out;
  }
  // Refused as something that is wrong with the server, in one line; nothing gets in.
  void expect_refused(const std::string& path, const std::string& error) const {
    const std::string before = contents();
    const Outcome outcome = push(path);
    EXPECT_EQ(outcome.status, 15) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("pghaul: error: "), HasSubstr(error)));
    EXPECT_EQ(contents(), before);
  }

  Workshop workshop_;
  const std::string repo_ = workshop_.path("repo");
  static std::unique_ptr<PgServer> own_;
  static std::unique_ptr<PgServer> other_;
};

std::unique_ptr<PgServer> ForeignWal::own_;
std::unique_ptr<PgServer> ForeignWal::other_;

TEST_F(ForeignWal, OfAnotherClusterIsRefusedWhereThereIsWal) {
  ASSERT_EQ(push(segment_of(*own_)).status, 0);
  expect_refused(segment_of(*other_), "cluster main belongs to system identifier ");
}

TEST_F(ForeignWal, OfAnotherClusterIsRefusedWhereThereAreBackups) {
  ASSERT_EQ(back_up(*own_).status, 0);
  expect_refused(segment_of(*other_), "cluster main belongs to system identifier ");
}

// The other way round: the name belongs to the cluster whose WAL came first.
TEST_F(ForeignWal, KeepsTheNameFromAnotherClustersBackup) {
  ASSERT_EQ(push(segment_of(*own_)).status, 0);
  const Outcome backup = back_up(*other_);
  EXPECT_EQ(backup.status, 15) << backup.err;
  EXPECT_THAT(backup.err,
              AllOf(StartsWith("pghaul: error: cluster main belongs to system identifier "),
                    HasSubstr("\nHINT:  "), HasSubstr("--cluster")));
  EXPECT_THAT(workshop_.pghaul("info --repo " + repo_).out, HasSubstr("no backups"));
  EXPECT_EQ(back_up(*own_).status, 0);
}

TEST_F(ForeignWal, UnderTheDirectoryOfAnotherClusterIsRefused) {
  ASSERT_EQ(workshop_
                .shell_as_server(format("cp {} {}/pg_wal/{}", segment_of(*other_),
                                        own_->data_directory(), kSecondSegment))
                .status,
            0);
  const std::string path = format("{}/pg_wal/{}", own_->data_directory(), kSecondSegment);
  expect_refused(path, "begins at 0/1000000 instead of 0/2000000");
  ASSERT_EQ(workshop_.shell_as_server(format("rm {}", path)).status, 0);
}

TEST_F(ForeignWal, RenamedSegmentIsRefused) {
  expect_refused(made_from_segment("cat", kSecondSegment),
                 "begins at 0/1000000 instead of 0/2000000");
}

TEST_F(ForeignWal, TruncatedSegmentIsRefused) {
  expect_refused(made_from_segment("head -c 1000000", kFirstSegment),
                 "has 1000000 bytes, made for segments of 16777216");
  expect_refused(made_from_segment("head -c 0", kFirstSegment), "0 bytes are no segment");
}

// It has its size, and yet pages are missing in its middle.
TEST_F(ForeignWal, SegmentWithAHoleIsRefused) {
  const std::string path = made_from_segment("cat", kFirstSegment);
  ASSERT_EQ(workshop_
                .shell_as_server(
                    format("dd if=/dev/zero of={} bs=8192 seek=3 count=2 conv=notrunc", path))
                .status,
            0);
  expect_refused(path, "a page that follows one that is missing");
}

}  // namespace
}  // namespace haul::integration
