// wal push, wal get and wal list, from their words to what the server makes of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/exit_status.h"

namespace haul::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kSegment(support::kFakeCheckpointSegment);
const std::string kPath = "/data/pg_wal/" + kSegment;
const std::string kTarget = "/data/pg_wal/RECOVERYXLOG";

class WalCommands : public testing::Test {
 protected:
  void SetUp() override { pghaul.make_cluster_and_repository(); }

  Outcome push(const std::string& path = kPath) {
    return pghaul.on_repository({"wal", "push", path});
  }
  Outcome get(const std::string& name = kSegment) {
    return pghaul.on_repository({"wal", "get", name, kTarget});
  }
  void write(const std::string& path, std::string_view content) {
    static_cast<void>(pghaul.top()->remove_file(path));
    ASSERT_TRUE(support::write_file(*pghaul.top(), path, content));
  }
  bool delivered() { return pghaul.top()->info(kTarget.substr(1)).has_value(); }
  std::string repository_id() {
    return pghaul.on_repository({"info", "--json"}).json().string_at("repository").value();
  }

  Program pghaul;
};

TEST_F(WalCommands, SegmentGoesInSilentlyAndComesBack) {
  const Outcome pushed = push();
  EXPECT_EQ(pushed.status, kDone) << pushed.err;
  EXPECT_THAT(pushed.out + pushed.err, IsEmpty());
  const Outcome got = get();
  EXPECT_EQ(got.status, kDone) << got.err;
  EXPECT_THAT(got.out + got.err, IsEmpty());
  EXPECT_EQ(support::read_file(*pghaul.top(), kTarget.substr(1)).value(),
            support::fake_wal_segment(3));
}

TEST_F(WalCommands, VerboseSaysWhatWasDone) {
  EXPECT_THAT(pghaul.on_repository({"wal", "push", "-v", kPath}).err,
              HasSubstr("archived " + kSegment));
  EXPECT_THAT(pghaul.on_repository({"wal", "push", "-v", kPath}).err,
              HasSubstr(kSegment + " was archived before"));
  EXPECT_THAT(pghaul.on_repository({"wal", "get", "-v", "00000002.history", kTarget}).err,
              HasSubstr("00000002.history is not in the archive"));
}

// As the server calls them, from its data directory.
TEST_F(WalCommands, RelativePathsBeginAtTheWorkingDirectory) {
  ASSERT_TRUE(pghaul.top()->make_directory("here", 0700));
  ASSERT_TRUE(pghaul.top()->make_directory("here/pg_wal", 0700));
  write("here/pg_wal/" + kSegment, support::fake_wal_segment(3));
  EXPECT_EQ(push("pg_wal/" + kSegment).status, kDone);
  EXPECT_EQ(pghaul.on_repository({"wal", "get", kSegment, "pg_wal/RECOVERYXLOG"}).status, kDone);
  EXPECT_TRUE(pghaul.top()->info("here/pg_wal/RECOVERYXLOG"));
}

TEST_F(WalCommands, FailuresOfPushHaveTheStatusOfTheirKind) {
  EXPECT_EQ(push("/data/pg_wal/nonsense").status, kUsage);
  EXPECT_EQ(push("/data/pg_wal/000000010000000000000009").status, kServer);
  write("data/pg_wal/000000010000000000000004", support::fake_wal_segment(3));
  EXPECT_EQ(push("/data/pg_wal/000000010000000000000004").status, kServer);
  write("data/pg_wal/000000010000000000000004", support::fake_wal_segment(4, 77));
  EXPECT_EQ(push("/data/pg_wal/000000010000000000000004").status, kServer);
  ASSERT_EQ(push().status, kDone);
  std::string other = support::fake_wal_segment(3);
  other[100] = 'x';
  write(kPath.substr(1), other);
  EXPECT_EQ(push().status, kFailed);
  pghaul.flip_byte("repo/" + pghaul.objects("/wal/").at(0), 1000);
  EXPECT_EQ(push().status, kDamaged);
}

TEST_F(WalCommands, PushMakesNoRepository) {
  const Outcome outcome = pghaul({"wal", "push", kPath, "--repo=/nowhere"});
  EXPECT_EQ(outcome.status, kNoRepository);
  EXPECT_FALSE(pghaul.top()->info("nowhere"));
}

TEST_F(WalCommands, StatusOfPushNeverPasses125) {
  pghaul.stop.request_stop();
  EXPECT_EQ(push().status, kFailed);
}

TEST_F(WalCommands, BatchTakesReadySegmentsAlong) {
  write("data/pg_wal/000000010000000000000004", support::fake_wal_segment(4));
  write("data/pg_wal/archive_status/000000010000000000000004.ready", "");
  EXPECT_EQ(pghaul.on_repository({"wal", "push", kPath, "--batch=8"}).status, kDone);
  EXPECT_THAT(pghaul.objects("/wal/"), SizeIs(2));
  EXPECT_EQ(pghaul.on_repository({"wal", "push", kPath, "--batch=x"}).status, kUsage);
}

TEST_F(WalCommands, FileTakenAlongThatFailsIsAWarning) {
  write("data/pg_wal/000000010000000000000004", "damaged");
  write("data/pg_wal/archive_status/000000010000000000000004.ready", "");
  const Outcome outcome = pghaul.on_repository({"wal", "push", kPath, "--batch=8"});
  EXPECT_EQ(outcome.status, kDone);
  EXPECT_THAT(outcome.err, HasSubstr("pghaul: warning: taking further WAL along: "));
}

TEST_F(WalCommands, AbsenceIsOne) {
  ASSERT_EQ(push().status, kDone);
  for (const std::string name : {"000000010000000000000004", "00000002.history"}) {
    const Outcome outcome = get(name);
    EXPECT_EQ(outcome.status, kWalAbsent) << outcome.err;
    EXPECT_THAT(outcome.out + outcome.err, IsEmpty());
    EXPECT_FALSE(delivered());
  }
}

// The server would take anything up to 125 for the end of the archive.
TEST_F(WalCommands, EveryOtherFailureOfGetIs126) {
  ASSERT_EQ(push().status, kDone);
  const std::vector<std::vector<std::string>> lines = {
      {"wal", "get", "--repo=/repo"},
      {"wal", "get", kSegment, "--repo=/repo"},
      {"wal", "get", kSegment, kTarget, "--nonsense", "--repo=/repo"},
      {"wal", "get", kSegment, kTarget},
      {"wal", "get", kSegment, kTarget, "--repo=/nowhere"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "--cluster=mian"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "--cluster=-"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "--config=/no/such/file"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "-v", "-q"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "--repo-id=xyz"},
      {"wal", "get", kSegment, kTarget, "--repo=/repo", "--repo-id=" + std::string(32, 'a')},
      {"wal", "get", "nonsense", kTarget, "--repo=/repo"},
      {"wal", "get", kSegment, "/no/such/place/RECOVERYXLOG", "--repo=/repo"}};
  for (const std::vector<std::string>& words : lines) {
    const Outcome outcome = pghaul(words);
    EXPECT_EQ(outcome.status, kWalNotDelivered) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("pghaul: error: "));
    EXPECT_FALSE(delivered());
  }
}

TEST_F(WalCommands, HelpOfGetIsNoFailure) {
  EXPECT_EQ(pghaul({"wal", "get", "--help"}).status, kDone);
}

TEST_F(WalCommands, DamageIs126) {
  ASSERT_EQ(push().status, kDone);
  pghaul.flip_byte("repo/" + pghaul.objects("/wal/").at(0), 1000);
  EXPECT_EQ(get().status, kWalNotDelivered);
  EXPECT_FALSE(delivered());
}

TEST_F(WalCommands, RepositoryThatIsGoneIs126) {
  ASSERT_EQ(push().status, kDone);
  ASSERT_TRUE(pghaul.top()->remove_file("repo/config"));
  EXPECT_EQ(get("00000002.history").status, kWalNotDelivered);
}

TEST_F(WalCommands, RepositoryIsTheOneAskedFor) {
  ASSERT_EQ(push().status, kDone);
  EXPECT_EQ(pghaul.on_repository({"wal", "get", kSegment, kTarget, "--repo-id=" + repository_id()})
                .status,
            kDone);
}

TEST_F(WalCommands, InterruptedGetHasTheStatusOfAnInterruption) {
  ASSERT_EQ(push().status, kDone);
  pghaul.stop.request_stop();
  EXPECT_EQ(get().status, kInterrupted);
  EXPECT_FALSE(delivered());
}

TEST_F(WalCommands, ListOfNothingSaysSo) {
  const Outcome outcome = pghaul.on_repository({"wal", "list"});
  EXPECT_EQ(outcome.status, kDone);
  EXPECT_EQ(outcome.out, "cluster main has no archived WAL\n");
}

TEST_F(WalCommands, ListHasRangesGapsHistoriesAndPartialSegments) {
  ASSERT_EQ(push().status, kDone);
  for (const std::uint64_t number : {5U, 6U}) {
    const std::string name = "00000001000000000000000" + std::to_string(number);
    write("data/pg_wal/" + name, support::fake_wal_segment(number));
    ASSERT_EQ(push("/data/pg_wal/" + name).status, kDone);
  }
  write("data/pg_wal/00000002.history", "1\t0/500100\tx\n");
  ASSERT_EQ(push("/data/pg_wal/00000002.history").status, kDone);
  write("data/pg_wal/000000010000000000000007.partial", support::fake_wal_segment(7));
  ASSERT_EQ(push("/data/pg_wal/000000010000000000000007.partial").status, kDone);
  std::string piece = "repo/" + pghaul.objects("/000000010000000000000006").at(0);
  write(piece.replace(piece.size() - 1, 1, "8.00000000-00000400"), "x");
  const Outcome outcome = pghaul.on_repository({"wal", "list"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_EQ(outcome.out,
            "timeline 1\n"
            "  000000010000000000000003 to 000000010000000000000003  0/300000..0/400000  "
            "1 segment\n"
            "  000000010000000000000005 to 000000010000000000000006  0/500000..0/700000  "
            "2 segments\n"
            "  missing: 000000010000000000000004 to 000000010000000000000004  1 segment\n"
            "timeline 2\n"
            "  left timeline 1 at 0/500100\n"
            "tail of 000000010000000000000008  1.0 KiB\n"
            "partial segment 000000010000000000000007.partial\n");
}

TEST_F(WalCommands, DamageInTheListIsSaidAndIs5) {
  ASSERT_EQ(push().status, kDone);
  pghaul.flip_byte("repo/" + pghaul.objects("/wal/").at(0), 40);
  const Outcome outcome = pghaul.on_repository({"wal", "list"});
  EXPECT_EQ(outcome.status, kDamaged);
  EXPECT_THAT(outcome.err, HasSubstr("header is not valid"));
}

TEST_F(WalCommands, VerifyFindsDamagedWal) {
  ASSERT_EQ(push().status, kDone);
  const Outcome sound = pghaul.on_repository({"verify", "--data"});
  EXPECT_EQ(sound.status, kDone) << sound.out;
  EXPECT_THAT(sound.out, HasSubstr("1 WAL file"));
  pghaul.flip_byte("repo/" + pghaul.objects("/wal/").at(0), 170);
  EXPECT_EQ(pghaul.on_repository({"verify"}).status, kDone);
  EXPECT_EQ(pghaul.on_repository({"verify", "--data"}).status, kDamaged);
  pghaul.flip_byte("repo/" + pghaul.objects("/wal/").at(0), 40);
  EXPECT_EQ(pghaul.on_repository({"verify"}).status, kDamaged);
}

TEST_F(WalCommands, HalfACommandIsUsage) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"wal"}, {"wal", "pull"}, {"push"}}) {
    const Outcome outcome = pghaul(words);
    EXPECT_EQ(outcome.status, kUsage);
    EXPECT_THAT(outcome.err, HasSubstr("there is no command"));
  }
}

}  // namespace
}  // namespace haul::cli
