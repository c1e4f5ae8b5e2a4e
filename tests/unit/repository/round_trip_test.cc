// Directories go in and come out identical, whatever store carries them and whatever shape they
// have.
#include <gtest/gtest.h>

#include "engine/repository/repository.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/repository_check.h"
#include "tests/support/repository_workload.h"

namespace haul::repository {
namespace {

using support::FileTree;
using support::Workload;
using support::WorkloadOptions;

Repository open_in_memory(Workload& workload) {
  auto store = support::make_memory_object_store();
  HAUL_ASSERT(workload.init(*store).has_value());
  return Repository::open(std::move(store)).value();
}

TEST(RoundTrip, TreeOfEveryShapeComesBackIdentical) {
  Workload workload(1);
  const Repository repository = open_in_memory(workload);
  const FileTree tree = support::shaped_files(1);
  const auto id = workload.back_up(repository, tree);
  ASSERT_TRUE(id) << id.error().message();

  const auto back = support::read_back(support::workload_cluster(repository), *id);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, tree);
  EXPECT_EQ(support::check_everything(support::workload_cluster(repository)),
            std::vector<std::string>());
}

class RoundTripCodec : public testing::TestWithParam<std::string> {};

TEST_P(RoundTripCodec, TreeComesBackIdentical) {
  WorkloadOptions options;
  options.codec = compress::parse_codec_choice(GetParam()).value();
  Workload workload(2, options);
  const Repository repository = open_in_memory(workload);
  const FileTree tree = support::shaped_files(2);
  const auto id = workload.back_up(repository, tree);
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(support::read_back(support::workload_cluster(repository), *id).value(), tree);
}

INSTANTIATE_TEST_SUITE_P(Codecs, RoundTripCodec,
                         testing::Values("none", "lz4", "zstd:1", "zstd:19"),
                         [](const auto& codec) {
                           std::string name = codec.param;
                           std::erase(name, ':');
                           return name;
                         });

TEST(RoundTrip, PageSizesFromTheSmallestToTheLargestComeBackIdentical) {
  for (const std::uint32_t page_size : {kPageSizeMin, 8192U, kPageSizeMax}) {
    WorkloadOptions options;
    options.page_size_bytes = page_size;
    Workload workload(3, options);
    const Repository repository = open_in_memory(workload);
    const FileTree tree = support::shaped_files(3);
    const auto id = workload.back_up(repository, tree);
    ASSERT_TRUE(id) << id.error().message();
    EXPECT_EQ(support::read_back(support::workload_cluster(repository), *id).value(), tree)
        << page_size;
  }
}

TEST(RoundTrip, EmptyDirectoryComesBackEmpty) {
  Workload workload(4);
  const Repository repository = open_in_memory(workload);
  const auto id = workload.back_up(repository, {});
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_TRUE(support::read_back(support::workload_cluster(repository), *id).value().empty());
}

TEST(RoundTrip, EveryBackupOfAChangingTreeComesBackAsItWas) {
  Workload workload(5);
  const Repository repository = open_in_memory(workload);
  std::map<std::string, FileTree> committed;
  FileTree tree = support::shaped_files(5);
  for (std::uint64_t round = 0; round < 5; ++round) {
    committed[workload.back_up(repository, tree).value()] = tree;
    tree = support::changed_files(std::move(tree), 100 + round);
  }
  const Cluster cluster = support::workload_cluster(repository);
  EXPECT_EQ(list_snapshots(cluster).value().size(), 5U);
  for (const auto& [id, expected] : committed) {
    EXPECT_EQ(support::read_back(cluster, id).value(), expected) << id;
  }
}

TEST(RoundTrip, UnchangedTreeStoresNoChunkAgain) {
  Workload workload(6);
  const Repository repository = open_in_memory(workload);
  const FileTree tree = support::shaped_files(6);
  ASSERT_TRUE(workload.back_up(repository, tree));
  ASSERT_TRUE(workload.back_up(repository, tree));
  EXPECT_EQ(workload.statistics().chunks_stored, 0U);
  EXPECT_EQ(workload.statistics().packs, 0U);
  EXPECT_EQ(workload.statistics().index_runs, 0U);
  EXPECT_EQ(workload.statistics().stored_bytes, 0U);
}

TEST(RoundTrip, ChunksThatAKilledBackupStoredAreUsedAndIndexed) {
  Workload workload(7);
  const Repository repository = open_in_memory(workload);
  const FileTree tree = support::shaped_files(7);
  ASSERT_TRUE(workload.back_up_partly(repository, tree));
  const auto id = workload.back_up(repository, tree);
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(workload.statistics().chunks_stored, 0U);
  EXPECT_EQ(workload.statistics().index_runs, 1U);

  // Every pack that the snapshot refers to is in a run, so that no reader needs footers.
  const Cluster cluster = support::workload_cluster(repository);
  Findings findings;
  const auto index = Index::open(cluster, findings).value();
  ASSERT_TRUE(index->load_packs_without_run());
  const Snapshot snapshot = read_snapshot(cluster, *id).value();
  for (const auto& [pack, use] : snapshot.packs) {
    EXPECT_FALSE(index->is_without_run(pack));
  }
  EXPECT_EQ(support::read_back(cluster, *id).value(), tree);
}

TEST(RoundTrip, PosixStoreOnASimulatedDiskComesBackIdentical) {
  io::SimDisk disk;
  Workload workload(8);
  auto store = io::make_posix_object_store(disk.open("").value(), {});
  ASSERT_TRUE(workload.init(*store));
  const Repository repository = Repository::open(std::move(store)).value();
  const FileTree tree = support::shaped_files(8);
  const auto id = workload.back_up(repository, tree);
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(support::read_back(support::workload_cluster(repository), *id).value(), tree);
  EXPECT_EQ(support::check_everything(support::workload_cluster(repository)),
            std::vector<std::string>());
}

TEST(RoundTrip, PowerLossAfterTheCommitTakesNothing) {
  io::SimDisk disk;
  Workload workload(9);
  const FileTree tree = support::shaped_files(9);
  std::string id;
  {
    auto store = io::make_posix_object_store(disk.open("").value(), {});
    ASSERT_TRUE(workload.init(*store));
    const Repository repository = Repository::open(std::move(store)).value();
    id = workload.back_up(repository, tree).value();
  }
  disk.crash(1);
  const Repository repository =
      Repository::open(io::make_posix_object_store(disk.open("").value(), {})).value();
  EXPECT_EQ(support::read_back(support::workload_cluster(repository), id).value(), tree);
}

}  // namespace
}  // namespace haul::repository
