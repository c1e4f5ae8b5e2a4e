// The repository in tests/golden/repository-v1 was written once and is never written again: every
// later program reads it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/repository/local_repository.h"
#include "engine/repository/pack_reader.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/repository_check.h"
#include "tests/support/repository_workload.h"

namespace haul::repository {
namespace {

using support::FileTree;
using support::Workload;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::filesystem::path golden_directory() {
  const std::string here = __FILE__;
  return here.substr(0, here.rfind("unit/repository/")) + "golden/repository-v1";
}

// Bytes that do not compress, by a generator that stands here so that nothing else can change it.
std::string noise(std::size_t size_bytes, std::uint32_t state) {
  std::string text;
  while (text.size() < size_bytes) {
    state = state * 1'664'525U + 1'013'904'223U;
    text += static_cast<char>(state >> 24U);
  }
  return text;
}

// What each of the three backups holds, in the order they were made: with codec none, LZ4, zstd.
// The last one has so many files that its tree takes more than one leaf.
std::vector<FileTree> golden_trees() {
  FileTree first;
  first["PG_VERSION"] = "15\n";
  first["empty"] = "";
  first["base/1/1259"] = noise(1'500, 1);
  first["base/1/16384"] = std::string(600'000, '\0');
  first["base/1/16384"].replace(0, 900, std::string(900, 'a'));
  first["base/1/16384"].replace(599'000, 800, std::string(800, 'z'));
  FileTree second = first;
  second["base/1/16384"].replace(300'000, 5'000, std::string(5'000, 'b'));
  second["base/1/16385"] = std::string(40'000, 'c') + noise(300, 2);
  FileTree third = second;
  third.erase("base/1/1259");
  third["base/1/16385"] += std::string(9'000, 'd');
  FileTree fourth = third;
  for (int file = 0; file < 600; ++file) fourth["base/1/" + std::to_string(20'000 + file)] = "";
  return {first, second, third, fourth};
}

const char* const kGoldenCodecs[] = {"none", "lz4", "zstd:3", "zstd:3"};

std::unique_ptr<io::ObjectStore> golden_store() {
  auto store = support::make_memory_object_store();
  const std::filesystem::path top = golden_directory();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::string key = std::filesystem::relative(entry.path(), top).string();
    HAUL_ASSERT(store->put_if_absent(key, bytes_of(bytes)).has_value());
  }
  return store;
}

struct Golden {
  Repository repository = Repository::open(golden_store()).value();
  Cluster cluster = support::workload_cluster(repository);
};

TEST(GoldenRepository, OpensWithItsIdAndParameters) {
  const Golden golden;
  EXPECT_EQ(to_string(golden.repository.id()), "91bfe905e5dc46b863f4f7c7f9f626c3");
  EXPECT_EQ(golden.repository.parameters(), support::kWorkloadParameters);
  EXPECT_THAT(golden.repository.clusters().value(), ElementsAre("main"));
}

TEST(GoldenRepository, EveryBackupReadsBack) {
  const Golden golden;
  const std::vector<std::string> ids = list_snapshots(golden.cluster).value();
  EXPECT_THAT(ids, ElementsAre("20261123T020322Z-F", "20261123T020422Z-F", "20261123T020522Z-F",
                               "20261123T020622Z-F"));
  const std::vector<FileTree> trees = golden_trees();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto back = support::read_back(golden.cluster, ids[i]);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, trees[i]) << ids[i];
  }
}

// As a program on another machine finds it: in a directory, through the store for directories.
TEST(GoldenRepository, ReadsBackFromItsDirectory) {
  const Repository repository =
      open_local_repository(open_local_directory, golden_directory().string(), LocalOwner::process)
          .value();
  const Cluster cluster = repository.cluster(support::kWorkloadCluster).value();
  const std::vector<std::string> ids = list_snapshots(cluster).value();
  const std::vector<FileTree> trees = golden_trees();
  ASSERT_EQ(ids.size(), trees.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto back = support::read_back(cluster, ids[i]);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, trees[i]) << ids[i];
  }
}

// A golden repository that left something out would promise less than it seems to.
TEST(GoldenRepository, HasChunksOfEveryKindAndCodec) {
  const Golden golden;
  std::set<ChunkKind> kinds;
  std::set<compress::Codec> codecs;
  const std::vector<io::ObjectInfo> objects =
      golden.cluster.store->list(golden.cluster.layout.packs()).value();
  for (const io::ObjectInfo& object : objects) {
    const PackRef ref = golden.cluster.layout.parse_pack(object.key).value();
    const PackReader pack = PackReader::open(golden.cluster, ref).value();
    for (const PackedChunk& chunk : pack.chunks()) {
      kinds.insert(chunk.kind);
      codecs.insert(chunk.codec);
    }
  }
  EXPECT_THAT(kinds, ElementsAre(ChunkKind::data, ChunkKind::map_leaf, ChunkKind::map_node,
                                 ChunkKind::tree_leaf, ChunkKind::tree_node));
  EXPECT_THAT(codecs,
              ElementsAre(compress::Codec::none, compress::Codec::lz4, compress::Codec::zstd));
}

// The same files are the same chunks for every later program.
TEST(GoldenRepository, TreesHaveTheIdsTheyWereGiven) {
  const Golden golden;
  const std::vector<std::string> ids = list_snapshots(golden.cluster).value();
  std::vector<std::string> roots;
  for (const std::string& id : ids) {
    roots.push_back(to_hex(read_snapshot(golden.cluster, id).value().tree.id.bytes));
  }
  EXPECT_THAT(roots,
              ElementsAre("e34b777d1ac52c7ae6ee24dde19a3fcc066525f8aefdd5d67888b3a5715ba445",
                          "e6f3cbd024b5d86b17f99877a27195cf754ae773796424ea21c717ce01edbf15",
                          "c9dd600a4564443ada4aee70e8f97fee037701c3fac56fe3d0a01244eca96049",
                          "6be51b26f2b28787b2f6f85cbeb5e02d7eefe8bdde3b7db6b53da21b157013de"));
}

TEST(GoldenRepository, HasNoFindings) {
  EXPECT_THAT(support::check_everything(Golden().cluster), IsEmpty());
}

TEST(GoldenRepository, TakesAnotherBackupThatReusesItsChunks) {
  const Golden golden;
  Workload workload(99);
  const FileTree tree = golden_trees().back();
  const auto id = workload.back_up(golden.repository, tree);
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(workload.statistics().chunks_stored, 0U);
  EXPECT_EQ(support::read_back(golden.cluster, *id).value(), tree);
}

void write_files(io::ObjectStore& store, const std::filesystem::path& top) {
  const std::vector<io::ObjectInfo> objects = store.list("").value();
  for (const io::ObjectInfo& object : objects) {
    const std::filesystem::path path = top / object.key;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file << text_of(store.get(object.key, 1 << 24).value());
    ASSERT_TRUE(file.good());
  }
}

// How it was made. PGHAUL_WRITE_GOLDEN names a directory that does not exist yet: a new version of
// the format gets one of its own, and the old ones stay.
TEST(GoldenRepository, IsWrittenWhereAsked) {
  const char* directory = std::getenv("PGHAUL_WRITE_GOLDEN");
  if (directory == nullptr) GTEST_SKIP() << "PGHAUL_WRITE_GOLDEN is not set";
  ASSERT_FALSE(std::filesystem::exists(directory));
  auto made = support::make_memory_object_store();
  io::ObjectStore& store = *made;
  ASSERT_TRUE(Workload(20261123).init(store));
  const Repository repository = Repository::open(std::move(made)).value();
  const std::vector<FileTree> trees = golden_trees();
  for (std::size_t i = 0; i < trees.size(); ++i) {
    support::WorkloadOptions options;
    options.codec = compress::parse_codec_choice(kGoldenCodecs[i]).value();
    Workload workload(i + 1, options);
    workload.clock().advance(std::chrono::seconds(60 * i));
    ASSERT_TRUE(workload.back_up(repository, trees[i]));
  }
  // A lease whose holder was killed.
  support::ManualClock clock;
  clock.advance(std::chrono::hours(1));
  ASSERT_TRUE(Lease::create_for_backup(support::workload_cluster(repository), 'F',
                                       {"backup", "host", "boot", 1}, clock));
  write_files(store, directory);
}

}  // namespace
}  // namespace haul::repository
