// Every command from its words to what it prints and returns.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/file_content.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/exit_status.h"

namespace haul::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class Commands : public testing::Test {
 protected:
  void SetUp() override { pghaul.make_cluster_and_repository(); }

  Program pghaul;
};

TEST(ProgramWithoutCommand, IsUsage) {
  Program pghaul;
  const Outcome outcome = pghaul({});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_EQ(outcome.err,
            "pghaul: error: no command was given\nHINT:  pghaul --help lists the commands\n");
  EXPECT_THAT(outcome.out, IsEmpty());
}

TEST(Help, GoesToStandardOutput) {
  Program pghaul;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"-?"},
                                                {"help"},
                                                {"backup", "-?"},
                                                {"restore", "--help"},
                                                {"backup", "--nonsense", "--help"}}) {
    const Outcome outcome = pghaul(words);
    EXPECT_EQ(outcome.status, kDone);
    EXPECT_THAT(outcome.out, HasSubstr("Usage:"));
    EXPECT_THAT(outcome.err, IsEmpty());
  }
}

TEST(Version, IsPrinted) {
  Program pghaul;
  EXPECT_THAT(pghaul({"--version"}).out, StartsWith("pghaul 0."));
  EXPECT_EQ(pghaul({"-V"}).out, pghaul({"--version"}).out);
}

TEST(Init, MakesARepository) {
  Program pghaul;
  const Outcome outcome = pghaul({"init", "--repo", "/repo"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("created in /repo"));
  EXPECT_EQ(pghaul.top()->info("repo").value().mode, 0700U);
  EXPECT_THAT(pghaul.on_repository({"info"}).out, HasSubstr("cluster main has no backups"));
}

TEST(Init, TakesAnEmptyDirectory) {
  Program pghaul;
  ASSERT_TRUE(pghaul.top()->make_directory("repo", 0700));
  EXPECT_EQ(pghaul.on_repository({"init"}).status, kDone);
}

TEST(Init, ParametersArePrintedAsJson) {
  Program pghaul;
  const Outcome outcome =
      pghaul.on_repository({"init", "--json", "--chunk-pages", "16", "--pack-size", "2048"});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_EQ(outcome.json().uint_at("chunk_pages").value(), 16U);
  EXPECT_EQ(outcome.json().uint_at("pack_size_bytes").value(), 2U << 20);
}

TEST(Init, ExistingRepositoryIsUsageAndStays) {
  Program pghaul;
  ASSERT_EQ(pghaul.on_repository({"init"}).status, kDone);
  const Outcome outcome = pghaul.on_repository({"init"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("/repo is a repository already"));
  EXPECT_EQ(pghaul.on_repository({"info"}).status, kDone);
}

TEST(Init, DirectoryThatIsNotEmptyIsUsageAndStays) {
  Program pghaul;
  ASSERT_TRUE(pghaul.top()->make_directory("repo", 0700));
  ASSERT_TRUE(support::write_file(*pghaul.top(), "repo/mine", "x"));
  EXPECT_EQ(pghaul.on_repository({"init"}).status, kUsage);
  EXPECT_TRUE(pghaul.top()->info("repo/mine"));
}

TEST(Init, MissingParentIsUsage) {
  Program pghaul;
  EXPECT_EQ(pghaul({"init", "--repo", "/no/such/place"}).status, kUsage);
}

TEST(Init, WrongParametersAreUsageAndLeaveNothing) {
  Program pghaul;
  for (const std::string option :
       {"--chunk-pages=33", "--chunk-pages=x", "--pack-size=1k", "--pack-size=big"}) {
    const Outcome outcome = pghaul.on_repository({"init", option});
    EXPECT_EQ(outcome.status, kUsage) << option;
    EXPECT_FALSE(pghaul.top()->info("repo")) << option;
  }
}

// Whatever fails, nothing stays: neither in a directory that was there nor one that was made.
TEST(Init, FailureAtAnyStepLeavesNothing) {
  for (const bool existing : {false, true}) {
    std::uint64_t failures = 0;
    for (std::uint64_t step = 1;; ++step) {
      Program pghaul;
      if (existing) {
        ASSERT_TRUE(pghaul.top()->make_directory("repo", 0700));
      }
      pghaul.platform.faults =
          io::parse_fault_plan("mutate:" + std::to_string(step) + ":enospc").value();
      const Outcome outcome = pghaul.on_repository({"init"});
      if (pghaul.platform.faults->calls("mutate") < step) break;
      pghaul.platform.faults = nullptr;
      // Closing a file that was synced, or removing the probe's remains, may fail without harm.
      if (outcome.status == kDone) continue;
      ++failures;
      EXPECT_EQ(outcome.status, kStorage) << outcome.err;
      EXPECT_EQ(pghaul.top()->info("repo").has_value(), existing) << step;
      if (existing) {
        EXPECT_THAT(support::names_in(*pghaul.top(), "repo").value(), IsEmpty()) << step;
      }
    }
    EXPECT_GT(failures, 5U);
  }
}

TEST(Init, DirectoryThatCannotBeOpenedLeavesNothing) {
  std::uint64_t failures = 0;
  for (std::uint64_t open = 1;; ++open, ++failures) {
    Program pghaul;
    pghaul.platform.failing_open = open;
    const Outcome outcome = pghaul.on_repository({"init"});
    if (pghaul.platform.opens < open) break;
    EXPECT_EQ(outcome.status, kStorage) << open;
    EXPECT_FALSE(pghaul.top()->info("repo")) << open;
  }
  EXPECT_GE(failures, 4U);
}

TEST_F(Commands, BackupSaysWhatItDid) {
  const Outcome outcome = pghaul.on_repository({"backup", "--offline", "-D", "/data"});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, testing::MatchesRegex("backup [0-9]{8}T[0-9]{6}Z-F done: .* in 0:0., "
                                                 "stored .* KiB, WAL 0/3.*\\.\\.0/3.* \\(1\\)\n"));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(Commands, BackupPrintsJson) {
  const Outcome outcome =
      pghaul.on_repository({"backup", "--offline", "-D", "/data", "--json", "-l", "mine"});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  const Json json = outcome.json();
  EXPECT_EQ(json.uint_at("schema").value(), 1U);
  EXPECT_EQ(json.string_at("label").value(), "mine");
  EXPECT_EQ(json.string_at("cluster").value(), "main");
  EXPECT_FALSE(json.bool_at("online").value());
}

TEST_F(Commands, QuietBackupPrintsNothing) {
  const Outcome outcome = pghaul.on_repository({"backup", "--offline", "-D", "/data", "--quiet"});
  EXPECT_EQ(outcome.status, kDone);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(Commands, DryBackupStoresNothing) {
  const Outcome outcome = pghaul.on_repository({"backup", "--offline", "-D", "/data", "--dry-run"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("would back up /data as cluster main: "));
  EXPECT_THAT(pghaul.objects("clusters/"), IsEmpty());
  const Outcome json =
      pghaul.on_repository({"backup", "--offline", "-D", "/data", "--dry-run", "--json"});
  EXPECT_GT(json.json().uint_at("planned_files").value(), 5U);
}

TEST_F(Commands, BackupOfBadPagesEndsWithThree) {
  // The last byte of a catalog's first page.
  pghaul.flip_byte("data/base/1/1259", 8191);
  const Outcome outcome = pghaul.on_repository({"backup", "--offline", "-D", "/data"});
  EXPECT_EQ(outcome.status, kBadSourcePages) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(", 1 page checksum failure, WAL"));
  EXPECT_THAT(outcome.err,
              HasSubstr("pghaul: warning: page checksum failure in base/1/1259, block 0"));
  EXPECT_THAT(pghaul.on_repository({"info", "latest"}).out, HasSubstr("base/1/1259, block 0"));
}

TEST_F(Commands, BackupOptionsAreChecked) {
  for (const std::string option :
       {"--checkpoint=slow", "--wal=none", "--archive-timeout=soon", "--compress=gzip", "--jobs=0",
        "--jobs=-1", "--label=a\nb", "--offline=maybe", "--rate=0", "--rate=fast", "--io=aio"}) {
    const Outcome outcome = pghaul.on_repository({"backup", "-D", "/data", option});
    EXPECT_EQ(outcome.status, kUsage) << option;
    EXPECT_THAT(outcome.err, StartsWith("pghaul: error: ")) << option;
  }
}

TEST_F(Commands, BackupWithARateGivesWay) {
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data"}).status, kDone);
  EXPECT_FALSE(pghaul.platform.gives_way);
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data", "-r", "1G"}).status, kDone);
  EXPECT_TRUE(pghaul.platform.gives_way);
}

TEST_F(Commands, PasswordOnTheCommandLineIsRefused) {
  const Outcome outcome =
      pghaul.on_repository({"backup", "-d", "host=/nowhere password=sesame dbname=postgres"});
  EXPECT_EQ(outcome.status, kUsage) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("sesame")));
}

TEST_F(Commands, UnreachableServerIsFifteen) {
  const Outcome outcome = pghaul.on_repository({"backup", "-h", "/nowhere", "-D", "/data"});
  EXPECT_EQ(outcome.status, kServer) << outcome.err;
}

TEST_F(Commands, WrongDataDirectoryIsFifteen) {
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/missing"}).status, kServer);
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/repo"}).status, kServer);
}

TEST_F(Commands, FullRepositoryIsFourteenAndCommitsNothing) {
  pghaul.platform.faults = io::parse_fault_plan("publish:4+:enospc").value();
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data"}).status, kStorage);
  pghaul.platform.faults = nullptr;
  EXPECT_THAT(pghaul.objects("/snapshots/"), IsEmpty());
}

TEST_F(Commands, ForbiddenRepositoryIsThirteen) {
  pghaul.platform.faults = io::parse_fault_plan("create:*:eacces").value();
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data"}).status, kPermission);
}

TEST_F(Commands, InterruptedBackupCommitsNothing) {
  pghaul.stop.request_stop();
  EXPECT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data"}).status, kInterrupted);
  EXPECT_THAT(pghaul.objects("/snapshots/"), IsEmpty());
}

TEST_F(Commands, AbsentRepositoryIsTen) {
  for (const std::string command : {"backup", "info", "verify"}) {
    const Outcome outcome = pghaul({command, "--repo", "/missing"});
    EXPECT_EQ(outcome.status, kNoRepository) << command;
    EXPECT_THAT(outcome.err, HasSubstr("\nHINT:  create one with pghaul init")) << command;
  }
  EXPECT_EQ(pghaul({"restore", "--repo=/data", "-D", "/x"}).status, kNoRepository);
}

TEST_F(Commands, DamagedConfigIsFive) {
  pghaul.flip_byte("repo/config", 60);
  EXPECT_EQ(pghaul.on_repository({"info"}).status, kDamaged);
}

TEST_F(Commands, RepositoryMustBeNamed) {
  const Outcome outcome = pghaul({"info"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--repo was not given"));
  EXPECT_THAT(outcome.err, HasSubstr("PGHAUL_REPO"));
}

TEST_F(Commands, InfoListsBackups) {
  const std::string first = pghaul.back_up();
  const std::string second = pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"info"});
  ASSERT_EQ(outcome.status, kDone);
  EXPECT_LT(outcome.out.find(first), outcome.out.find(second));
  const Json json = pghaul.on_repository({"info", "--json"}).json();
  const Json::Array backups = *json.array_at("backups").value();
  ASSERT_THAT(backups, SizeIs(2));
  EXPECT_EQ(backups[0].string_at("backup").value(), first);
  EXPECT_EQ(backups[0].string_at("kind").value(), "full");
  EXPECT_EQ(backups[1].string_at("kind").value(), "overlaid");
}

TEST_F(Commands, InfoListsTheOthersBesideADamagedOne) {
  const std::string damaged = pghaul.back_up();
  const std::string sound = pghaul.back_up();
  pghaul.flip_byte("repo/clusters/main/snapshots/" + damaged, 70);
  const Outcome outcome = pghaul.on_repository({"info"});
  EXPECT_EQ(outcome.status, kDamaged);
  EXPECT_THAT(outcome.out, HasSubstr(sound));
  EXPECT_THAT(outcome.out, Not(HasSubstr(damaged)));
  EXPECT_THAT(outcome.err, HasSubstr(damaged));
}

TEST_F(Commands, InfoDescribesABackup) {
  const std::string id = pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"info", id});
  EXPECT_EQ(outcome.status, kDone);
  EXPECT_THAT(outcome.out, HasSubstr("full, offline"));
  EXPECT_THAT(outcome.out, HasSubstr("/data"));
  EXPECT_EQ(pghaul.on_repository({"info", "latest", "--json"}).json().string_at("backup").value(),
            id);
}

TEST_F(Commands, UnknownBackupIsFour) {
  for (const std::string name : {"20200101T000000Z-F", "latest", "../../config", "x"}) {
    EXPECT_EQ(pghaul.on_repository({"info", name}).status, kNoBackup) << name;
    EXPECT_EQ(pghaul.on_repository({"ls", name}).status, kNoBackup) << name;
    EXPECT_EQ(pghaul.on_repository({"cat", name, "PG_VERSION"}).status, kNoBackup) << name;
    EXPECT_EQ(pghaul.on_repository({"restore", name, "-D", "/x"}).status, kNoBackup) << name;
    EXPECT_EQ(pghaul.on_repository({"verify", name}).status, kNoBackup) << name;
  }
}

TEST_F(Commands, SeveralClustersAreAmbiguous) {
  pghaul.back_up();
  ASSERT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data", "--cluster=b"}).status, 0);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"info"},
                                                {"ls", "latest"},
                                                {"backup", "--offline", "-D", "/data"},
                                                {"restore", "-D", "/x"},
                                                {"verify", "latest"}}) {
    const Outcome outcome = pghaul.on_repository(words);
    EXPECT_EQ(outcome.status, kUsage) << words[0];
    EXPECT_THAT(outcome.err, HasSubstr("choose one with --cluster: b, main")) << words[0];
  }
  EXPECT_EQ(pghaul.on_repository({"info", "--cluster=b"}).status, kDone);
}

TEST_F(Commands, OnlyClusterNeedsNoName) {
  ASSERT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data", "--cluster=b"}).status, 0);
  const std::string second = pghaul.back_up();
  EXPECT_THAT(pghaul.objects("clusters/b/snapshots/" + second), SizeIs(1));
}

TEST_F(Commands, InvalidClusterNameIsUsage) {
  EXPECT_EQ(pghaul.on_repository({"info", "--cluster=../x"}).status, kUsage);
}

TEST_F(Commands, LsListsEverythingOrWhatIsAsked) {
  pghaul.back_up();
  const Outcome all = pghaul.on_repository({"ls", "latest"});
  ASSERT_EQ(all.status, kDone);
  EXPECT_THAT(all.out, HasSubstr(" PG_VERSION\n"));
  EXPECT_THAT(all.out, HasSubstr("drwx------"));
  const Outcome part = pghaul.on_repository({"ls", "latest", "base/1/"});
  EXPECT_THAT(part.out, HasSubstr(" base/1/1259\n"));
  EXPECT_THAT(part.out, Not(HasSubstr(" PG_VERSION")));
  const Outcome one = pghaul.on_repository({"ls", "latest", "base/1/1259", "--json"});
  const Json::Array entries = *one.json().array_at("entries").value();
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].string_at("path").value(), "base/1/1259");
  EXPECT_EQ(entries[0].string_at("kind").value(), "file");
  EXPECT_GE(entries[0].uint_at("size_bytes").value(), 8192U);
}

TEST_F(Commands, LsOfAPathThatOnlyBeginsAlikeIsFour) {
  pghaul.back_up();
  EXPECT_EQ(pghaul.on_repository({"ls", "latest", "base/1/12"}).status, kNoBackup);
}

TEST_F(Commands, CatWritesTheBytes) {
  pghaul.back_up();
  for (const std::string path : {"PG_VERSION", "base/1/1259", "global/pg_control"}) {
    const Outcome outcome = pghaul.on_repository({"cat", "latest", path});
    EXPECT_EQ(outcome.status, kDone) << outcome.err;
    EXPECT_EQ(outcome.out, support::read_file(*pghaul.top(), "data/" + path).value()) << path;
  }
}

TEST_F(Commands, CatOfHolesAndManyChunksWritesTheBytes) {
  std::string content(3 << 20, '\0');
  content.replace(1 << 20, 300'000, support::pattern(300'000, 1));
  content += support::pattern(12'345, 2);
  ASSERT_TRUE(support::write_file(*pghaul.top(), "data/large", content));
  pghaul.back_up();
  EXPECT_TRUE(pghaul.on_repository({"cat", "latest", "large"}).out == content);
}

TEST_F(Commands, CatOfWhatIsNoFileFails) {
  pghaul.back_up();
  EXPECT_EQ(pghaul.on_repository({"cat", "latest", "base"}).status, kUsage);
  EXPECT_EQ(pghaul.on_repository({"cat", "latest", "nothing"}).status, kNoBackup);
}

TEST_F(Commands, CatOfADamagedFileIsFive) {
  pghaul.back_up();
  // Every chunk begins in the first bytes after its frame; the data pack holds several.
  for (const std::string& pack : pghaul.objects("/packs/")) {
    const std::uint64_t size = pghaul.top()->info("repo/" + pack).value().size_bytes;
    for (std::uint64_t offset = 100; offset < size; offset += 10) {
      pghaul.flip_byte("repo/" + pack, offset);
    }
  }
  EXPECT_EQ(pghaul.on_repository({"cat", "latest", "base/1/1259"}).status, kDamaged);
}

TEST_F(Commands, VerifySaysSoundOrWhatIsDamaged) {
  const std::string id = pghaul.back_up();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"verify"}, {"verify", "--data"}, {"verify", id, "--data"}}) {
    const Outcome outcome = pghaul.on_repository(words);
    EXPECT_EQ(outcome.status, kDone) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(": sound\n"));
  }
  const std::string pack = pghaul.objects("/packs/").front();
  ASSERT_TRUE(pghaul.top()->remove_file("repo/" + pack));
  const Outcome outcome = pghaul.on_repository({"verify", "--quiet"});
  EXPECT_EQ(outcome.status, kDamaged);
  EXPECT_THAT(outcome.out, HasSubstr("damage: " + pack + ": missing\n"));
  EXPECT_THAT(outcome.out, HasSubstr("backup " + id + ": "));
  const Json json = pghaul.on_repository({"verify", "--json"}).json();
  EXPECT_FALSE(json.bool_at("sound").value());
}

TEST_F(Commands, VerifyTakesAShardOfTheData) {
  pghaul.back_up();
  std::uint64_t read = 0;
  for (const char* shard : {"--shard=1/2", "--shard=2/2"}) {
    const Json json = pghaul.on_repository({"verify", "--data", shard, "--json"}).json();
    const Json& cluster = json.find("clusters")->elements().front();
    EXPECT_TRUE(cluster.bool_at("recorded").value());
    read += cluster.uint_at("bytes_read").value();
  }
  const Json json = pghaul.on_repository({"verify", "--data", "--json"}).json();
  EXPECT_EQ(json.find("clusters")->elements().front().uint_at("bytes_read").value(), read);
  EXPECT_EQ(pghaul.objects("/records/verification-").size(), 3U);
}

TEST_F(Commands, ShardsThatDoNotExistAreRefused) {
  for (const char* shard :
       {"0/2", "3/2", "1", "1/", "/2", "1/2/3", "1/0", "a/2", "1/10001", "-1/2"}) {
    const Outcome outcome =
        pghaul.on_repository({"verify", "--data", std::string("--shard=") + shard});
    EXPECT_EQ(outcome.status, kUsage) << shard;
    EXPECT_THAT(outcome.err, HasSubstr("no share like 2/7")) << shard;
  }
  const Outcome outcome = pghaul.on_repository({"verify", "--shard=1/2"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("give --data too"));
}

TEST_F(Commands, VerificationThatCannotBeRecordedWarns) {
  pghaul.back_up();
  ASSERT_TRUE(support::write_file(*pghaul.top(), "repo/clusters/main/records", ""));
  const Outcome outcome = pghaul.on_repository({"verify"});
  EXPECT_THAT(outcome.err, HasSubstr("warning: this verification is not recorded: "));
}

TEST_F(Commands, StatusTellsTheNewestBackup) {
  const std::string id = pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"status"});
  EXPECT_EQ(outcome.status, kDone) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr(id));
  EXPECT_EQ(pghaul.on_repository({"status", "--json"})
                .json()
                .find("newest_backup")
                ->string_at("backup")
                .value(),
            id);
  EXPECT_EQ(pghaul.on_repository({"status", "--nagios", "--json"}).status, kUsage);
  EXPECT_EQ(pghaul.on_repository({"status", "--max-age=soon"}).status, kUsage);
}

TEST_F(Commands, StatusWithoutABackupIsABreach) {
  const Outcome outcome = pghaul.on_repository({"status"});
  EXPECT_EQ(outcome.status, kBreached);
  EXPECT_THAT(outcome.out, HasSubstr("problem: cluster main has no backup\n"));
}

TEST_F(Commands, StatusTellsOfADamagedSnapshotAndOfFoundDamage) {
  pghaul.back_up();
  const std::string other = pghaul.back_up();
  pghaul.flip_byte("repo/clusters/main/snapshots/" + other, 70);
  Outcome outcome = pghaul.on_repository({"status"});
  EXPECT_EQ(outcome.status, kBreached);
  EXPECT_THAT(outcome.out, HasSubstr("problem: clusters/main/snapshots/" + other));
  EXPECT_THAT(outcome.out, Not(HasSubstr("found damage")));
  EXPECT_EQ(pghaul.on_repository({"verify"}).status, kDamaged);
  outcome = pghaul.on_repository({"status"});
  EXPECT_THAT(outcome.out, HasSubstr("found damage: 1 findings, 1 backups affected\n"));
}

TEST_F(Commands, VerifyOfADamagedSnapshotSaysThatItCannotBeRestored) {
  const std::string id = pghaul.back_up();
  pghaul.flip_byte("repo/clusters/main/snapshots/" + id, 70);
  EXPECT_THAT(pghaul.on_repository({"verify"}).out,
              HasSubstr("backup " + id + " cannot be restored\n"));
}

TEST_F(Commands, VerifyWithoutNamesTakesEveryCluster) {
  pghaul.back_up();
  ASSERT_EQ(pghaul.on_repository({"backup", "--offline", "-D", "/data", "--cluster=b"}).status, 0);
  EXPECT_EQ(pghaul.on_repository({"verify", "--json"}).json().array_at("clusters").value()->size(),
            2U);
  ASSERT_TRUE(pghaul.top()->remove_file("repo/" + pghaul.objects("clusters/b/packs/").front()));
  EXPECT_EQ(pghaul.on_repository({"verify"}).status, kDamaged);
  EXPECT_EQ(pghaul.on_repository({"verify", "--cluster=main"}).status, kDone);
}

TEST_F(Commands, RestoreBringsEveryFileBack) {
  pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"restore", "-D", "/restored"});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(" done: "));
  for (const std::string path : {"PG_VERSION", "base/1/1259", "global/pg_control"}) {
    EXPECT_EQ(support::read_file(*pghaul.top(), "restored/" + path).value(),
              support::read_file(*pghaul.top(), "data/" + path).value());
  }
}

TEST_F(Commands, RestoreIntoWhatIsNotEmptyIsUsage) {
  pghaul.back_up();
  EXPECT_EQ(pghaul.on_repository({"restore", "-D", "/repo"}).status, kUsage);
}

TEST_F(Commands, DryRestoreWritesNothing) {
  pghaul.back_up();
  const Outcome outcome = pghaul.on_repository({"restore", "-D", "/restored", "--dry-run"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("would restore "));
  EXPECT_FALSE(pghaul.top()->info("restored"));
}

TEST_F(Commands, RestoreOptionsAreChecked) {
  pghaul.back_up();
  for (const std::string option :
       {"-T=relative", "--tablespace-mapping=/a", "--owner=no such user", "--owner=root:no such",
        "--target-time=2026-11-24 10:00:00", "--target-lsn=x", "--target-xid=1", "--target-name=",
        "--target=now", "--target-timeline=old", "--target-action=pause", "--target-exclusive"}) {
    const Outcome outcome = pghaul.on_repository({"restore", "-D", "/restored", option});
    EXPECT_EQ(outcome.status, kUsage) << option;
  }
  EXPECT_EQ(pghaul.on_repository({"restore"}).status, kUsage);
}

TEST_F(Commands, OnlyOneTargetCanBeGiven) {
  pghaul.back_up();
  const Outcome outcome = pghaul.on_repository(
      {"restore", "-D", "/restored", "--target-xid=700", "--target-lsn=0/3000100"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--target-lsn and --target-xid exclude each other"));
}

TEST_F(Commands, TargetThatIsNotReachedIsNoBackup) {
  pghaul.back_up();
  for (const std::string target :
       {"--target-time=2999-01-01T00:00:00Z", "--target-lsn=FF/0", "--target-xid=700",
        "--target-name=deed", "--target=latest", "--target-timeline=9"}) {
    const Outcome outcome = pghaul.on_repository({"restore", "-D", "/restored", target});
    EXPECT_EQ(outcome.status, kNoBackup) << target << outcome.err;
    EXPECT_FALSE(pghaul.top()->info("restored"));
  }
}

TEST_F(Commands, RestoreNeverGoesWhereTheConfigurationSaysThatTheServerIs) {
  pghaul.back_up();
  pghaul.platform.texts["/etc/pghaul/pghaul.toml"] = "[cluster.main]\npgdata = \"/elsewhere\"\n";
  const Outcome outcome = pghaul.on_repository({"restore"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--pgdata was not given"));
}

TEST_F(Commands, RepositoryThatVanishesMidwayIsFourteen) {
  pghaul.back_up();
  // The config is read once; everything after it is gone.
  pghaul.platform.faults = io::parse_fault_plan("open:2+:enoent").value();
  const Outcome outcome = pghaul.on_repository({"restore", "-D", "/restored"});
  EXPECT_EQ(outcome.status, kStorage);
  EXPECT_THAT(outcome.err, HasSubstr("repo is gone"));
}

TEST_F(Commands, RootGivesWhatItCreatesToTheOwnerOfTheRepository) {
  ASSERT_TRUE(pghaul.top()->set_owner("repo", 1234, 1235));
  pghaul.platform.owner = repository::LocalOwner::top_directory;
  pghaul.back_up();
  for (const std::string& key : pghaul.objects("clusters/")) {
    EXPECT_EQ(pghaul.top()->info("repo/" + key).value().user, 1234U) << key;
    EXPECT_EQ(pghaul.top()->info("repo/" + key).value().group, 1235U) << key;
  }
}

// A stream that is full after some bytes.
class FullBuffer final : public std::streambuf {
 protected:
  int_type overflow(int_type) override { return traits_type::eof(); }
};

TEST_F(Commands, OutputThatCannotBeWrittenIsAFailure) {
  pghaul.back_up();
  for (const std::vector<std::string>& words : {std::vector<std::string>{"info", "--repo=/repo"},
                                                {"cat", "--repo=/repo", "latest", "PG_VERSION"},
                                                {"ls", "--repo=/repo", "latest", "--json"}}) {
    FullBuffer full;
    std::ostream out(&full);
    std::ostringstream err;
    const int status = run(words, {&out, &err, Streams::Err::file}, pghaul.platform, {});
    EXPECT_EQ(status, kStorage) << words[0];
    EXPECT_THAT(err.str(), HasSubstr("cannot write to standard output")) << words[0];
  }
}

}  // namespace
}  // namespace haul::cli
