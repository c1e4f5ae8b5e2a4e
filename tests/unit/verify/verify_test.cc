#include "engine/verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/repository/pack_reader.h"
#include "io/fault_directory.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/unit/verify/verify_fixture.h"

namespace haul::verify {
namespace {

using support::FileTree;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Depth = VerifyOptions::Depth;

constexpr Depth kDepths[] = {Depth::structure, Depth::data};

FileTree two_files() {
  return {{"base/1/1259", support::pattern(30'000, 1)},
          {"base/1/2619", support::pattern(70'000, 2)}};
}

// The pack that holds the first chunk of a file of pattern(…, seed).
std::string pack_of_data(const DamagedRepository& repository, std::string_view content) {
  for (const std::string& key : repository.keys_with("/packs/")) {
    if (repository.get(key).contains(content.substr(0, 64))) return key;
  }
  return "";
}

void flip(DamagedRepository& repository, const std::string& key, std::size_t offset) {
  std::string bytes = repository.get(key);
  bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
  repository.put(key, bytes);
}

TEST(Verify, EmptyRepositoryIsSound) {
  DamagedRepository repository;
  for (const Depth depth : kDepths) {
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_TRUE(report.sound());
    EXPECT_EQ(report.backups, 0U);
    EXPECT_EQ(report.packs, 0U);
  }
}

TEST(Verify, SoundRepositoryIsCounted) {
  DamagedRepository repository;
  repository.back_up(support::shaped_files(1));
  repository.back_up(support::changed_files(support::shaped_files(1), 2));
  const VerifyReport report = repository.verify().value();
  EXPECT_THAT(report.damage, IsEmpty());
  EXPECT_THAT(report.affected, IsEmpty());
  EXPECT_EQ(report.backups, 2U);
  EXPECT_EQ(report.packs, repository.keys_with("/packs/").size());
  EXPECT_GT(report.chunks, 10U);
  std::uint64_t pack_bytes = 0;
  for (const std::string& key : repository.keys_with("/packs/")) {
    pack_bytes += repository.get(key).size();
  }
  EXPECT_EQ(report.bytes_read, pack_bytes);
  EXPECT_EQ(repository.progress.bytes_done, pack_bytes);
  EXPECT_EQ(repository.progress.bytes_total, pack_bytes);
  EXPECT_EQ(report.unreferenced_packs, 0U);
}

TEST(Verify, StructureReadsNoData) {
  DamagedRepository repository;
  repository.back_up(two_files());
  const VerifyReport report = repository.verify(Depth::structure).value();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.chunks, 0U);
  EXPECT_EQ(report.bytes_read, 0U);
}

TEST(Verify, SeveralWorkersFindTheSame) {
  DamagedRepository repository;
  repository.back_up(support::shaped_files(1));
  for (const std::string& key : repository.keys_with("/packs/")) flip(repository, key, 200);
  const auto alone = repository.verify().value();
  repository.options.workers = 4;
  const auto together = repository.verify().value();
  EXPECT_EQ(alone.damage, together.damage);
  EXPECT_EQ(alone.bytes_read, together.bytes_read);
}

TEST(Verify, LeavingsOfAKilledBackupAreHarmless) {
  DamagedRepository repository;
  repository.back_up(two_files());
  const std::size_t before = repository.keys_with("/packs/").size();
  repository.leave_killed_backup({{"base/1/1260", support::pattern(40'000, 9)}});
  const VerifyReport report = repository.verify().value();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.unreferenced_packs, repository.keys_with("/packs/").size() - before);
  EXPECT_GT(report.unreferenced_packs, 0U);
}

TEST(Verify, MissingPackNamesTheFileThatItTakes) {
  for (const Depth depth : kDepths) {
    DamagedRepository repository;
    const FileTree tree = two_files();
    const std::string id = repository.back_up(tree);
    const std::string pack = pack_of_data(repository, tree.at("base/1/1259"));
    repository.remove(pack);
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_TRUE(mentions(report.damage, pack + ": missing"));
    ASSERT_THAT(report.affected, SizeIs(1));
    EXPECT_EQ(report.affected[0].backup, id);
    EXPECT_EQ(report.affected[0].loss, AffectedBackup::Loss::files);
    EXPECT_TRUE(mentions(report.affected[0].lost_files, "base/1/1259"));
    EXPECT_EQ(report.affected[0].lost_file_count, report.affected[0].lost_files.size());
  }
}

TEST(Verify, FileOfASoundPackIsNotLost) {
  DamagedRepository repository;
  // Incompressible and larger than a pack, so that the files lie in different ones.
  const FileTree tree = {{"a", support::pattern(20'000, 1)}, {"b", support::pattern(20'000, 2)}};
  repository.back_up(tree);
  repository.remove(pack_of_data(repository, tree.at("a")));
  const VerifyReport report = repository.verify(Depth::structure).value();
  ASSERT_THAT(report.affected, SizeIs(1));
  EXPECT_TRUE(mentions(report.affected[0].lost_files, "a"));
  EXPECT_FALSE(mentions(report.affected[0].lost_files, "b"));
}

TEST(Verify, TruncatedPackIsDamagedAndKeepsWhatItStillYields) {
  for (const Depth depth : kDepths) {
    DamagedRepository repository;
    const FileTree tree = {{"first", support::pattern(3'000, 1)},
                           {"second", support::pattern(3'000, 2)}};
    repository.back_up(tree);
    const std::string pack = pack_of_data(repository, tree.at("second"));
    ASSERT_EQ(pack, pack_of_data(repository, tree.at("first")));
    const std::string bytes = repository.get(pack);
    // In the middle of the second file's only chunk.
    repository.put(pack, bytes.substr(0, bytes.find(tree.at("second").substr(0, 64)) + 100));
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_FALSE(report.sound());
    ASSERT_THAT(report.affected, SizeIs(1));
    EXPECT_THAT(report.affected[0].lost_files, ElementsAre("second"));
  }
}

TEST(Verify, ExtendedPackIsDamaged) {
  for (const Depth depth : kDepths) {
    DamagedRepository repository;
    repository.back_up(two_files());
    const std::string pack = repository.keys_with("/packs/").front();
    repository.put(pack, repository.get(pack) + std::string(1, '\0'));
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_TRUE(mentions(report.damage, pack));
    // The frames still lead to every chunk.
    EXPECT_THAT(report.affected, IsEmpty());
  }
}

TEST(Verify, SwappedPacksAreDamaged) {
  DamagedRepository repository;
  repository.back_up({{"a", support::pattern(20'000, 1)}, {"b", support::pattern(20'000, 2)}});
  const std::vector<std::string> packs = repository.keys_with("/packs/");
  ASSERT_GE(packs.size(), 2U);
  const std::string first = repository.get(packs[0]);
  repository.put(packs[0], repository.get(packs[1]));
  repository.put(packs[1], first);
  const VerifyReport report = repository.verify().value();
  EXPECT_TRUE(mentions(report.damage, packs[0]));
  EXPECT_TRUE(mentions(report.damage, packs[1]));
  EXPECT_THAT(report.affected, SizeIs(1));
}

TEST(Verify, DamagedChunkTouchesEveryBackupThatSharesIt) {
  DamagedRepository repository;
  const FileTree tree = two_files();
  const std::string first = repository.back_up(tree);
  FileTree more = tree;
  more["base/1/3000"] = support::pattern(5'000, 3);
  const std::string second = repository.back_up(more);
  const std::string pack = pack_of_data(repository, tree.at("base/1/1259"));
  flip(repository, pack, repository.get(pack).find(tree.at("base/1/1259").substr(0, 64)) + 10);

  const VerifyReport report = repository.verify().value();
  ASSERT_THAT(report.affected, SizeIs(2));
  EXPECT_EQ(report.affected[0].backup, first);
  EXPECT_EQ(report.affected[1].backup, second);
  EXPECT_THAT(report.affected[0].lost_files, ElementsAre("base/1/1259"));
  EXPECT_THAT(report.affected[1].lost_files, ElementsAre("base/1/1259"));
  // Structure reads no data, and so does not see it.
  EXPECT_TRUE(repository.verify(Depth::structure).value().sound());
}

TEST(Verify, ChunkWithAnotherSoundCopyIsNotLost) {
  DamagedRepository repository;
  const FileTree tree = two_files();
  repository.back_up(tree);
  const std::string pack = pack_of_data(repository, tree.at("base/1/1259"));
  // Without its pack listed by a run, the next backup stores the chunk again.
  const std::string bytes = repository.get(pack);
  repository.remove(pack);
  repository.back_up(tree);
  repository.put(pack, bytes);
  ASSERT_TRUE(repository.verify().value().sound());

  flip(repository, pack, bytes.find(tree.at("base/1/1259").substr(0, 64)) + 10);
  const VerifyReport report = repository.verify().value();
  EXPECT_FALSE(report.sound());
  EXPECT_THAT(report.affected, IsEmpty());
}

TEST(Verify, DamagedFooterIsDamageThatTakesNoFile) {
  DamagedRepository repository;
  repository.back_up(two_files());
  const std::string pack = repository.keys_with("/packs/").front();
  flip(repository, pack, repository.get(pack).size() - 1);
  const VerifyReport report = repository.verify().value();
  EXPECT_TRUE(mentions(report.damage, "footer checksum does not match"));
  EXPECT_THAT(report.affected, IsEmpty());
}

TEST(Verify, DamagedSnapshotTakesEverythingOfItsBackupAndNothingElse) {
  for (const Depth depth : kDepths) {
    DamagedRepository repository;
    const std::string first = repository.back_up(two_files());
    repository.back_up({{"c", support::pattern(100, 3)}});
    flip(repository, repository.cluster().layout.snapshot(first), 60);
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_TRUE(mentions(report.damage, "/snapshots/" + first));
    ASSERT_THAT(report.affected, SizeIs(1));
    EXPECT_EQ(report.affected[0].backup, first);
    EXPECT_EQ(report.affected[0].loss, AffectedBackup::Loss::everything);
    EXPECT_EQ(report.backups, 2U);
    // What only the damaged one may refer to is not called unreferenced.
    EXPECT_EQ(report.unreferenced_packs, 0U);
  }
}

TEST(Verify, SnapshotWithoutValidFactsIsDamaged) {
  DamagedRepository repository;
  const std::string id =
      repository.workload().back_up(repository.repository(), two_files()).value();
  const VerifyReport report = repository.verify(Depth::structure).value();
  EXPECT_TRUE(mentions(report.damage, "/snapshots/" + id));
  EXPECT_THAT(report.affected, SizeIs(1));
}

TEST(Verify, SwappedSnapshotsAreDamaged) {
  DamagedRepository repository;
  const std::string first = repository.cluster().layout.snapshot(repository.back_up(two_files()));
  const std::string second =
      repository.cluster().layout.snapshot(repository.back_up({{"c", "content"}}));
  const std::string bytes = repository.get(first);
  repository.put(first, repository.get(second));
  repository.put(second, bytes);
  EXPECT_THAT(repository.verify(Depth::structure).value().affected, SizeIs(2));
}

TEST(Verify, DamagedTreeLeafLosesFilesThatCannotBeNamed) {
  DamagedRepository repository;
  const FileTree tree = {{"a", "content of a"}, {"b", "content of b"}};
  const std::string id = repository.back_up(tree);
  const repository::Snapshot snapshot = repository::read_snapshot(repository.cluster(), id).value();
  // The pack of the tree's only leaf.
  for (const std::string& key : repository.keys_with("/packs/")) {
    const auto ref = repository.cluster().layout.parse_pack(key).value();
    const auto pack = repository::PackReader::open(repository.cluster(), ref).value();
    for (const repository::PackedChunk& chunk : pack.chunks()) {
      if (chunk.id == snapshot.tree.id) flip(repository, key, chunk.offset + 5);
    }
  }
  for (const Depth depth : kDepths) {
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_FALSE(report.sound());
    ASSERT_THAT(report.affected, SizeIs(1));
    EXPECT_EQ(report.affected[0].lost_file_count, tree.size());
    EXPECT_THAT(report.affected[0].lost_files, IsEmpty());
  }
}

TEST(Verify, DamagedMapNamesItsFile) {
  DamagedRepository repository;
  const FileTree tree = {{"mapped", support::pattern(70'000, 1)}, {"small", "content"}};
  repository.back_up(tree);
  for (const std::string& key : repository.keys_with("/packs/")) {
    const auto ref = repository.cluster().layout.parse_pack(key).value();
    const auto pack = repository::PackReader::open(repository.cluster(), ref).value();
    for (const repository::PackedChunk& chunk : pack.chunks()) {
      if (chunk.kind == repository::ChunkKind::map_leaf) flip(repository, key, chunk.offset + 5);
    }
  }
  for (const Depth depth : kDepths) {
    const VerifyReport report = repository.verify(depth).value();
    ASSERT_THAT(report.affected, SizeIs(1));
    EXPECT_THAT(report.affected[0].lost_files, ElementsAre("mapped"));
  }
}

TEST(Verify, MissingIndexRunIsDamageThatTakesNoFile) {
  DamagedRepository repository;
  repository.back_up(two_files());
  const std::string pack = repository.keys_with("/packs/").front();
  repository.remove(repository.keys_with("/index/").front());
  for (const Depth depth : kDepths) {
    const VerifyReport report = repository.verify(depth).value();
    EXPECT_TRUE(mentions(report.damage, pack));
    EXPECT_THAT(report.affected, IsEmpty());
  }
}

TEST(Verify, DamagedIndexRunIsDamageThatTakesNoFile) {
  // In the directory, and in a block.
  for (const double place : {0.1, 0.9}) {
    DamagedRepository repository;
    repository.back_up(two_files());
    const std::string run = repository.keys_with("/index/").front();
    const auto size = static_cast<double>(repository.get(run).size());
    flip(repository, run, static_cast<std::size_t>(size * place));
    for (const Depth depth : kDepths) {
      const VerifyReport report = repository.verify(depth).value();
      EXPECT_TRUE(mentions(report.damage, run));
      EXPECT_THAT(report.affected, IsEmpty());
    }
  }
}

TEST(Verify, PackThatOnlyARunNamesMustBeThere) {
  DamagedRepository repository;
  const std::string id = repository.back_up(two_files());
  repository.remove(repository.cluster().layout.snapshot(id));
  const std::string pack = repository.keys_with("/packs/").front();
  repository.remove(pack);
  const VerifyReport report = repository.verify(Depth::structure).value();
  EXPECT_THAT(report.damage, ElementsAre(pack + ": missing"));
  EXPECT_THAT(report.affected, IsEmpty());
}

TEST(Verify, PackThatOnlyARunNamesMustHaveItsSize) {
  DamagedRepository repository;
  const std::string id = repository.back_up(two_files());
  repository.remove(repository.cluster().layout.snapshot(id));
  const std::string pack = repository.keys_with("/packs/").front();
  repository.put(pack, repository.get(pack) + "x");
  const VerifyReport report = repository.verify(Depth::structure).value();
  ASSERT_THAT(report.damage, SizeIs(1));
  EXPECT_TRUE(mentions(report.damage, " bytes instead of "));
}

TEST(Verify, DamagedLeaseIsDamage) {
  DamagedRepository repository;
  repository.leave_killed_backup(two_files());
  const std::string lease = repository.keys_with("/leases/").front();
  flip(repository, lease, 55);
  EXPECT_TRUE(mentions(repository.verify(Depth::structure).value().damage, lease));
}

TEST(Verify, ForeignObjectsAreNamed) {
  for (const std::string key :
       {"stray", "clusters/stray", "clusters/.hidden/packs/x", "clusters/main/packs/short",
        "clusters/main/index/20261123T020222Z-F-01", "clusters/main/index/x",
        "clusters/main/snapshots/x", "clusters/main/leases/x", "clusters/main/gc/1"}) {
    DamagedRepository repository;
    repository.put(key, "?");
    EXPECT_TRUE(mentions(repository.verify(Depth::structure).value().damage, key)) << key;
  }
}

TEST(Verify, ObjectsOfAnotherClusterAreItsOwn) {
  DamagedRepository repository;
  repository.put("clusters/other/packs/whatever", "?");
  EXPECT_TRUE(repository.verify().value().sound());
  repository.options.cluster = "other";
  EXPECT_FALSE(repository.verify().value().sound());
}

TEST(Verify, SecondPackOfTheSameNameIsDamage) {
  DamagedRepository repository;
  repository.back_up(two_files());
  const std::string key = repository.keys_with("/packs/").front();
  auto ref = repository.cluster().layout.parse_pack(key).value();
  ref.lease = "20200101T000000Z-F";
  repository.put(repository.cluster().layout.pack(ref), repository.get(key));
  EXPECT_TRUE(mentions(repository.verify(Depth::structure).value().damage, "the same name"));
}

TEST(Verify, ObjectsOfAnotherRepositoryAreDamage) {
  DamagedRepository stranger(2);
  stranger.back_up(two_files());
  stranger.leave_killed_backup({{"base/1/1", support::pattern(2'000, 5)}});
  DamagedRepository repository(1);
  for (const std::string& key : stranger.keys_with("clusters/")) {
    DamagedRepository empty(1);
    empty.put(key, stranger.get(key));
    EXPECT_FALSE(empty.verify().value().sound()) << key;
  }
}

TEST(Verify, NamedBackupIsJudgedByItsOwnPacks) {
  DamagedRepository repository;
  const FileTree first = {{"a", support::pattern(20'000, 1)}};
  const FileTree second = {{"b", support::pattern(20'000, 2)}};
  const std::string sound = repository.back_up(first);
  const std::string damaged = repository.back_up(second);
  const std::string pack = pack_of_data(repository, second.at("b"));
  flip(repository, pack, repository.get(pack).find(second.at("b").substr(0, 64)) + 3);

  repository.options.backups = {sound};
  const VerifyReport report = repository.verify().value();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.backups, 1U);
  EXPECT_LT(report.packs, repository.keys_with("/packs/").size());
  repository.options.backups = {damaged};
  EXPECT_FALSE(repository.verify().value().sound());
}

TEST(Verify, UnknownBackupIsNotFound) {
  DamagedRepository repository;
  repository.back_up(two_files());
  repository.options.backups = {"20200101T000000Z-F"};
  EXPECT_EQ(repository.verify().error().code(), ErrorCode::not_found);
}

TEST(Verify, InvalidClusterNameIsUsage) {
  DamagedRepository repository;
  repository.options.cluster = "../x";
  EXPECT_EQ(repository.verify().error().code(), ErrorCode::usage);
}

TEST(Verify, VanishedRepositoryIsIoAndNotDamage) {
  DamagedRepository repository;
  repository.back_up(two_files());
  for (const std::string& key : repository.keys_with("/packs/")) repository.remove(key);
  repository.remove("config");
  const auto report = repository.verify();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::io);
}

TEST(Verify, RequestToStopInterrupts) {
  DamagedRepository repository;
  repository.back_up(two_files());
  repository.stop.request_stop();
  for (const Depth depth : kDepths) {
    EXPECT_EQ(repository.verify(depth).error().code(), ErrorCode::interrupted);
  }
}

// Of every kind of read once, at every place.
TEST(Verify, FailureToReadEndsTheVerification) {
  io::SimDisk disk;
  support::Workload workload(1);
  std::uint64_t calls = 0;
  {
    const auto store = io::make_posix_object_store(disk.open("").value(), {});
    ASSERT_TRUE(workload.init(*store));
    const auto made =
        repository::Repository::open(io::make_posix_object_store(disk.open("").value(), {}));
    ASSERT_TRUE(made);
    ASSERT_TRUE(workload.back_up(*made, two_files()));
  }
  SystemClock clock;
  SilentLog log;
  const auto verify_with = [&](const std::string& plan_text) -> Result<VerifyReport> {
    const auto plan = io::parse_fault_plan(plan_text).value();
    const auto opened = HAUL_TRY(repository::Repository::open(
        io::make_posix_object_store(io::make_fault_directory(disk.open("").value(), plan), {})));
    VerifyEnvironment environment;
    environment.repository = &opened;
    environment.clock = &clock;
    environment.log = &log;
    VerifyOptions options;
    options.depth = Depth::data;
    options.workers = 1;
    auto report = run_verify(options, environment);
    calls = plan->calls(plan_text.substr(0, plan_text.find(':')));
    return report;
  };
  for (const std::string operation : {"read", "open", "list"}) {
    ASSERT_TRUE(verify_with(operation + ":1000000:eio"));
    const std::uint64_t all = calls;
    ASSERT_GT(all, 2U);
    for (std::uint64_t call = 1; call <= all; ++call) {
      const auto report = verify_with(operation + ":" + std::to_string(call) + ":eio");
      ASSERT_FALSE(report) << operation << " " << call;
      EXPECT_EQ(report.error().code(), ErrorCode::io) << operation << " " << call;
    }
  }
}

}  // namespace
}  // namespace haul::verify
