// Placing on a repository of files: what the ring reads and writes, and what happens when it
// cannot.
#include "engine/restore/place.h"

#include <algorithm>
#include <array>
#include <span>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/map.h"
#include "io/fault_directory.h"
#include "io/posix_object_store.h"
#include "tests/support/file_content.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

using repository::ChunkId;
using repository::Extent;
using repository::MapLeaf;
using repository::Repository;
using support::code_of;
using support::pattern;

constexpr std::uint32_t kPage = 1024;

std::unique_ptr<io::ObjectStore> store_on(io::SimDisk& disk) {
  return io::make_posix_object_store(disk.open("").value(), {});
}

class PlaceTest : public testing::Test {
 protected:
  PlaceTest() {
    backup_.data_directory()
        .file("base/5/1", pattern(20'000, 1))
        .file("base/5/2", "")
        .paged_file("base/5/3", pattern(1'200'000, 2))
        .paged_file("base/5/4", std::string(1'500'000, '\0'));
  }

  // The repository is read, and the target written, as these plans have it.
  Result<RestoreReport> restore(std::string_view repository_plan, std::string_view target_plan) {
    repository_plan_ = io::parse_fault_plan(repository_plan).value();
    target_plan_ = io::parse_fault_plan(target_plan).value();
    target_.emplace();
    target_->disk.set_file_system_sync(file_system_sync_);
    auto opened = Repository::open(io::make_posix_object_store(
        io::make_fault_directory(disk_.open("").value(), repository_plan_), {}));
    if (!opened) return std::move(opened).take_error();
    RestoreRun run(repository_, *target_);
    run.options.backup = kBackup;
    run.environment.repository = &*opened;
    run.environment.stop = stop_.get_token();
    run.environment.rings = rings_;
    run.environment.open_directory =
        [this](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
      return io::make_fault_directory(HAUL_TRY(target_->disk.open(path.substr(1))), target_plan_);
    };
    return run();
  }

  bool is_startable() { return target_->exists("data/pg/global/pg_control"); }
  bool is_whole() {
    return std::ranges::all_of(backup_.contents(), [this](const auto& file) {
      return target_->read("data/pg/" + file.first) == file.second;
    });
  }

  // Fails every read of the repository in turn; tells how many restores came to an end.
  std::uint64_t restore_through_each_fault(std::string_view action) {
    HAUL_ASSERT(restore("", "").has_value());
    const std::uint64_t reads = repository_plan_->calls("read");
    std::uint64_t restored = 0;
    for (std::uint64_t read = 1; read <= reads; ++read) {
      const auto report = restore(format("read:{}:{}", read, action), "");
      EXPECT_EQ(report.has_value(), is_startable()) << read;
      EXPECT_TRUE(!report || is_whole()) << read;
      if (report) ++restored;
    }
    return restored;
  }

  io::SimDisk disk_;
  TestRepository repository_{store_on(disk_)};
  BackupBuilder backup_{repository_};
  std::optional<SimTarget> target_;
  std::shared_ptr<io::FaultPlan> repository_plan_;
  std::shared_ptr<io::FaultPlan> target_plan_;
  io::RingFactory rings_;
  io::SimDisk::FileSystemSync file_system_sync_ = io::SimDisk::FileSystemSync::supported;
  std::stop_source stop_;
};

TEST_F(PlaceTest, ThreadsPlaceEveryFileAndTheReportSaysSo) {
  backup_.commit();
  rings_ = io::rings_on(io::RingBackend::threads, io::open_ring);
  const auto report = restore("", "");
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_TRUE(is_whole());
  EXPECT_EQ(report->io_backend, "threads");
}

TEST_F(PlaceTest, WhatTheMachineHasPlacesEveryFile) {
  backup_.commit();
  const auto report = restore("", "");
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_TRUE(is_whole());
  EXPECT_FALSE(report->io_backend.empty());
}

TEST_F(PlaceTest, RingThatCannotBeOpenedIsAnError) {
  backup_.commit();
  rings_ = [](const io::RingOptions&) -> Result<std::unique_ptr<io::Ring>> {
    return Error(ErrorCode::unsupported, "no ring here");
  };
  EXPECT_EQ(code_of(restore("", "")), ErrorCode::unsupported);
  EXPECT_FALSE(is_startable());
}

TEST_F(PlaceTest, StopWhilePlacingInterrupts) {
  backup_.commit();
  rings_ = [this](const io::RingOptions& options) {
    stop_.request_stop();
    return io::open_ring(options);
  };
  EXPECT_EQ(code_of(restore("", "")), ErrorCode::interrupted);
  EXPECT_FALSE(is_startable());
}

TEST_F(PlaceTest, ReadThatFailsOnceIsWorkedAroundOrReported) {
  backup_.commit();
  EXPECT_GT(restore_through_each_fault("eio"), 2U);
}

TEST_F(PlaceTest, ShortReadIsWorkedAroundOrReported) {
  backup_.commit();
  EXPECT_GT(restore_through_each_fault("short"), 2U);
}

TEST_F(PlaceTest, FlippedBitIsWorkedAroundOrReported) {
  backup_.commit();
  EXPECT_GT(restore_through_each_fault("flip"), 2U);
}

TEST_F(PlaceTest, FailureThatWasWorkedAroundIsReported) {
  backup_.commit();
  HAUL_ASSERT(restore("", "").has_value());
  const std::uint64_t reads = repository_plan_->calls("read");
  std::uint64_t reported = 0;
  for (std::uint64_t read = 1; read <= reads; ++read) {
    const auto report = restore(format("read:{}:eio", read), "");
    if (report && mentions(report->findings, "cannot read")) ++reported;
  }
  EXPECT_GT(reported, 2U);
}

TEST_F(PlaceTest, PackThatCannotBeReadAtAllIsAnIoError) {
  backup_.commit();
  HAUL_ASSERT(restore("", "").has_value());
  // Once planning is through, every read fails.
  const std::uint64_t reads = repository_plan_->calls("read");
  EXPECT_EQ(code_of(restore(format("read:{}+:eio", reads / 2), "")), ErrorCode::io);
  EXPECT_FALSE(is_startable());
}

TEST_F(PlaceTest, ChunkOfADamagedPackComesFromAnother) {
  // Neither builder knows what the other stores. The backup's own copy is looked for first: its
  // pack may be open already, and its run is the newer one.
  BackupBuilder earlier(repository_, "20261121T020223Z-F");
  const std::string content = pattern(1'200'000, 9);
  earlier.data_directory();
  earlier.new_pack();
  earlier.paged_file("base/5/5", content).commit();
  const std::string pack = backup_.new_pack();
  backup_.paged_file("base/5/5", content).commit();
  auto object = repository_.store().get(pack, 64 << 20).value();
  for (std::size_t at = object.size() / 4; at < object.size() / 2; at += 100) {
    object[at] ^= std::byte{1};
  }
  ASSERT_TRUE(repository_.store().replace(pack, object).has_value());
  const auto report = restore("", "");
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_TRUE(is_whole());
  EXPECT_TRUE(mentions(report->findings, pack));
}

struct WriteFault {
  const char* name;
  const char* action;
  ErrorCode code;
  io::RingBackend backend;
};

class PlaceWriteTest : public PlaceTest, public testing::WithParamInterface<WriteFault> {};

TEST_P(PlaceWriteTest, FailureOfAnyWriteIsReportedAndNothingStarts) {
  backup_.commit();
  rings_ = io::rings_on(GetParam().backend, io::open_ring);
  ASSERT_TRUE(restore("", "").has_value());
  const std::uint64_t writes = target_plan_->calls("write");
  ASSERT_GT(writes, 6U);
  for (std::uint64_t write = 1; write <= writes; ++write) {
    const auto report = restore("", format("write:{}:{}", write, GetParam().action));
    ASSERT_EQ(code_of(report), GetParam().code) << "write " << write;
    ASSERT_FALSE(is_startable()) << "write " << write;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, PlaceWriteTest,
    testing::Values(WriteFault{"Eio", "eio", ErrorCode::io, io::RingBackend::automatic},
                    WriteFault{"EioThreads", "eio", ErrorCode::io, io::RingBackend::threads},
                    WriteFault{"Enospc", "enospc", ErrorCode::no_space, io::RingBackend::automatic},
                    WriteFault{"EnospcThreads", "enospc", ErrorCode::no_space,
                               io::RingBackend::threads},
                    WriteFault{"Short", "short", ErrorCode::io, io::RingBackend::automatic}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(PlaceTest, FilesAreLeftToTheSyncOfTheirFileSystem) {
  backup_.commit();
  ASSERT_TRUE(restore("", "").has_value());
  EXPECT_EQ(target_plan_->calls("sync_file_system"), 1U);
  EXPECT_LT(target_plan_->calls("sync"), 5U);  // the marker, the manifest, pg_control
}

TEST_F(PlaceTest, EveryFileAndDirectoryIsSyncedWhereTheFileSystemCannotBe) {
  backup_.commit();
  file_system_sync_ = io::SimDisk::FileSystemSync::unsupported;
  ASSERT_TRUE(restore("", "").has_value());
  EXPECT_EQ(target_plan_->calls("sync_file_system"), 0U);
  // The files but pg_control, which the control file and the manifest stand for.
  EXPECT_GE(target_plan_->calls("sync"), backup_.contents().size() + 2);
  EXPECT_GE(target_plan_->calls("sync_directory"), 7U);
}

TEST_F(PlaceTest, FailedSyncOfTheFileSystemIsReportedAndNothingStarts) {
  backup_.commit();
  EXPECT_EQ(code_of(restore("", "sync_file_system:1:eio")), ErrorCode::io);
  EXPECT_FALSE(is_startable());
}

// A file of two leaves whose first regions draw on one chunk in pieces, and else has holes.
class DeltaTest : public PlaceTest {
 protected:
  DeltaTest() { backup_.paged_file("base/5/7", chunk_); }

  // Each region of eight pages as these extents.
  repository::TreeEntry entry_with(const std::vector<std::vector<Extent>>& first_regions) {
    const auto cluster = repository_.cluster();
    std::vector<ChunkId> leaves;
    for (const std::vector<Extent>& first : first_regions) {
      MapLeaf leaf;
      leaf.chunks = {
          cluster.identity->chunk_id_of(repository::ChunkKind::data, kPage, bytes_of(chunk_))};
      leaf.extents = first;
      leaf.region_digests.emplace_back(repository::Digest{{std::byte{1}}});
      for (int region = 1; region < 64; ++region) {
        leaf.extents.push_back({Extent::kHole, 0, 8});
        leaf.region_digests.emplace_back();
      }
      leaves.push_back(backup_.encoder()
                           .store_metadata(repository::ChunkKind::map_leaf,
                                           repository::encode_map_leaf(leaf), backup_.metadata())
                           .value());
    }
    repository::TreeEntry entry;
    entry.path = "base/5/8";
    entry.mode = 0600;
    entry.page_size_bytes = kPage;
    entry.size_bytes = leaves.size() * 512 * kPage;
    HAUL_ASSERT(
        finish_map(std::move(leaves), entry, backup_.encoder(), backup_.metadata()).has_value());
    return entry;
  }

  std::string chunk_ = pattern(8 * kPage, 77);
};

TEST_F(DeltaTest, PartsOfAChunkAreMergedIntoSeveralLeaves) {
  backup_.entry(entry_with({{{0, 4, 4}, {0, 0, 4}}, {{0, 2, 1}, {Extent::kHole, 0, 7}}}));
  backup_.commit();
  const auto report = restore("", "");
  ASSERT_TRUE(report.has_value()) << report.error().message();
  std::string expected(2 * 512 * kPage, '\0');
  expected.replace(0, 4 * kPage, chunk_.substr(4 * kPage));
  expected.replace(4 * kPage, 4 * kPage, chunk_.substr(0, 4 * kPage));
  expected.replace(512 * kPage, kPage, chunk_.substr(2 * kPage, kPage));
  EXPECT_TRUE(target_->read("data/pg/base/5/8") == expected);
  const std::array crc_of_expected{postgres::crc32c(bytes_of(expected))};
  const std::string crc = to_hex(std::as_bytes(std::span(crc_of_expected)));
  EXPECT_NE(target_->read("data/pg/backup_manifest")->find(crc), std::string::npos);
}

TEST_F(DeltaTest, ManyLeavesOfOneChunkAreTheSame) {
  const std::vector<std::vector<Extent>> regions(
      40, std::vector<Extent>{{0, 2, 1}, {Extent::kHole, 0, 7}});
  backup_.entry(entry_with(regions));
  backup_.commit();
  const auto report = restore("", "");
  ASSERT_TRUE(report.has_value()) << report.error().message();
  const std::string restored = target_->read("data/pg/base/5/8").value();
  for (std::size_t leaf = 0; leaf < 40; ++leaf) {
    EXPECT_TRUE(restored.substr(leaf * 512 * kPage, kPage) == chunk_.substr(2 * kPage, kPage));
  }
}

TEST_F(DeltaTest, FileThatDrawsMoreThanAChunkHasIsLost) {
  backup_.paged_file("base/5/9", chunk_.substr(0, 3 * kPage));
  chunk_.resize(3 * kPage);
  backup_.entry(entry_with({{{0, 2, 2}, {Extent::kHole, 0, 6}}}));
  backup_.commit();
  const auto report = restore("", "");
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_NE(report.error().message().find("base/5/8"), std::string::npos);
  EXPECT_FALSE(is_startable());
}

}  // namespace
}  // namespace haul::restore
