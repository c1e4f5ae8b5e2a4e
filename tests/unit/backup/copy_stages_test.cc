// The stages of the copy one by one: batches, the workers' part, the collector.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/backup/collector.h"
#include "engine/backup/copy_batch.h"
#include "engine/backup/region_work.h"
#include "engine/repository/repository.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/manual_clock.h"

namespace haul::backup {
namespace {

using repository::ChunkId;
using State = CopiedRegion::State;
using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

constexpr std::uint32_t kPage = support::kFakePageSize;
constexpr std::uint32_t kChunkPages = 8;
constexpr std::size_t kRegion = std::size_t{kPage} * kChunkPages;

class CopyStages : public testing::Test {
 protected:
  void SetUp() override {
    auto store = io::make_posix_object_store(disk.open("").value(), {});
    ASSERT_TRUE(repository::Repository::init(*store, {kChunkPages, 1U << 20}, random, clock));
    repository.emplace(repository::Repository::open(std::move(store)).value());
    cluster.emplace(repository->cluster("main").value());
    source = disk.open("").value();
    begin();
  }

  // A writer with stages around it, as a backup begins with.
  void begin() {
    index = repository::Index::open(*cluster, findings).value();
    const std::string lease = "20261123T02022" + std::to_string(backups++) + "Z-F";
    writer.emplace(*cluster, *index, lease, random);
    data.emplace(*writer, repository::PackStream::WhenFull::hand_out);
    metadata.emplace(*writer);
    PageCheckContext pages;
    pages.page_size_bytes = kPage;
    pages.checksums = true;
    work.emplace(RegionWork::open(*writer, {}, pages, 1).value());
    Collector::Context context;
    context.writer = &*writer;
    context.data = &*data;
    context.metadata = &*metadata;
    context.finish_pack = [this](repository::PackWriter pack) {
      ++packs_handed_out;
      return writer->finish_pack(std::move(pack));
    };
    context.add_entry = [this](const repository::TreeEntry& entry) -> Status {
      entries.push_back(entry);
      return ok();
    };
    context.progress = &progress;
    collector.emplace(context, repository::ChunkEncoder::open(*writer, {}).value());
  }
  void end() {
    ASSERT_TRUE(data->close());
    ASSERT_TRUE(metadata->close());
    ASSERT_TRUE(writer->finish());
  }

  std::shared_ptr<CopiedFile> file(const std::string& path, const std::string& content) {
    if (!source->info(path)) {
      EXPECT_TRUE(support::write_file(*source, path, content));
    }
    auto made = std::make_shared<CopiedFile>();
    made->planned.path = path;
    made->planned.relation = true;
    made->entry.path = path;
    made->entry.size_bytes = content.size();
    made->entry.page_size_bytes = kPage;
    made->shape = {content.size(), kPage, kChunkPages};
    made->file = source->open_file(path, io::Caching::buffered).value();
    made->leaf_ids.resize(made->shape.leaves());
    made->leaves_left = made->shape.leaves();
    return made;
  }
  // Puts a region with this content into a batch, as if it had been read.
  void fill(CopyBatch& batch, const std::shared_ptr<CopiedFile>& from, std::uint64_t number,
            const std::string& content) {
    const auto size = from->shape.region_size(number);
    CopiedRegion& region = batch.add_region(from, number, size);
    std::memcpy(region.bytes.data(), content.data() + number * kRegion, size);
  }
  // Through all stages.
  void copy(CopyBatch& batch) {
    ASSERT_TRUE(work->digest(0, batch));
    if (collector->look_up(batch).value()) {
      ASSERT_TRUE(work->encode(0, batch));
    }
    ASSERT_TRUE(collector->store(batch));
  }
  static std::vector<State> states(const CopyBatch& batch) {
    std::vector<State> all;
    for (const CopiedRegion& region : batch.regions) all.push_back(region.state);
    return all;
  }

  io::SimDisk disk;
  support::ManualClock clock;
  SeededRandom random{7};
  std::optional<repository::Repository> repository;
  std::optional<repository::Cluster> cluster;
  std::unique_ptr<io::Directory> source;
  repository::Findings findings;
  std::unique_ptr<repository::Index> index;
  std::optional<repository::ChunkWriter> writer;
  std::optional<repository::PackStream> data;
  std::optional<repository::PackStream> metadata;
  std::optional<RegionWork> work;
  std::optional<Collector> collector;
  BackupProgress progress;
  std::vector<repository::TreeEntry> entries;
  int backups = 0;
  int packs_handed_out = 0;
};

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  EXPECT_TRUE(SeededRandom(seed).fill({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
  return bytes;
}

TEST_F(CopyStages, ConsecutiveRegionsOfAFileAreOneRead) {
  const std::string content = noise(4 * kRegion, 1);
  const auto from = file("1", content);
  CopyBatch batch(kRegion, kPage);
  for (std::uint64_t i = 0; i < 3; ++i) batch.add_region(from, i, kRegion);
  ASSERT_THAT(batch.reads, SizeIs(1));
  EXPECT_EQ(batch.reads[0].regions, 3U);
  EXPECT_EQ(batch.reads[0].bytes.size(), 3 * kRegion);
  EXPECT_EQ(batch.room_bytes(), kBatchBytes - 3 * kRegion);
  batch.clear();
  EXPECT_EQ(batch.room_bytes(), kBatchBytes);
  EXPECT_THAT(batch.reads, SizeIs(0));
}

TEST_F(CopyStages, RegionsThatDoNotFollowEachOtherAreReadApart) {
  const auto from = file("1", noise(4 * kRegion, 1));
  const auto other = file("2", noise(kRegion, 2));
  CopyBatch batch(kRegion, kPage);
  batch.add_region(from, 0, kRegion);
  batch.add_region(from, 2, kRegion);
  batch.add_region(other, 0, kRegion);
  EXPECT_EQ(batch.files(), 3U);
}

// Direct reads begin at whole blocks: the region after a short one does too.
TEST_F(CopyStages, EveryReadIsAligned) {
  CopyBatch batch(kRegion, kPage);
  const std::vector<std::size_t> sizes = {1, kPage, 4097, kRegion, 17};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    batch.add_region(file(std::to_string(i), noise(sizes[i], i)), 0, sizes[i]);
  }
  for (const CopyBatch::Read& read : batch.reads) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.bytes.data()) % io::kDirectAlignment, 0U);
    EXPECT_EQ(read.bytes.size() % io::kDirectAlignment, 0U);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(batch.regions[i].bytes.size(), sizes[i]);
    EXPECT_EQ(batch.regions[i].digests.size(), (sizes[i] + kPage - 1) / kPage);
  }
}

TEST_F(CopyStages, RegionLargerThanABatchMakesTheBatchLarger) {
  const CopyBatch batch(4 * kBatchBytes, kPage);
  EXPECT_EQ(batch.room_bytes(), 4 * kBatchBytes);
}

TEST_F(CopyStages, FullBatchOfIncompressibleRegionsIsEncoded) {
  const std::string content = noise(kBatchBytes, 3);
  const auto from = file("1", content);
  CopyBatch batch(kRegion, kPage);
  for (std::uint64_t i = 0; i < kBatchBytes / kRegion; ++i) fill(batch, from, i, content);
  ASSERT_TRUE(work->digest(0, batch));
  EXPECT_THAT(states(batch), Each(State::encoded));
}

TEST_F(CopyStages, ZerosAreAHoleAndNotStored) {
  const std::string content = std::string(kRegion, '\0') + noise(kRegion, 4);
  const auto from = file("1", content);
  CopyBatch batch(kRegion, kPage);
  fill(batch, from, 0, content);
  fill(batch, from, 1, content);
  copy(batch);
  EXPECT_THAT(states(batch), ElementsAre(State::hole, State::encoded));
  EXPECT_EQ(collector->hole_bytes(), kRegion);
  EXPECT_EQ(writer->statistics().chunks_stored, 1U);
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_TRUE(entries[0].ids[0].is_zero());
  EXPECT_FALSE(entries[0].ids[1].is_zero());
}

TEST_F(CopyStages, OneContentInTwoBatchesAtOnceIsStoredOnce) {
  const std::string content = noise(kRegion, 5);
  CopyBatch first(kRegion, kPage);
  CopyBatch second(kRegion, kPage);
  fill(first, file("1", content), 0, content);
  fill(second, file("2", content), 0, content);
  // Neither knows of the other when it is digested.
  ASSERT_TRUE(work->digest(0, first));
  ASSERT_TRUE(work->digest(0, second));
  EXPECT_THAT(states(second), ElementsAre(State::encoded));
  ASSERT_TRUE(collector->store(first));
  ASSERT_TRUE(collector->store(second));
  EXPECT_EQ(writer->statistics().chunks_stored, 1U);
  EXPECT_EQ(entries[0].ids, entries[1].ids);
  end();
  const repository::PackTable& table = writer->pack_table();
  ASSERT_THAT(table, SizeIs(1));
  EXPECT_EQ(table.begin()->second.chunk_references, 2U);
  EXPECT_EQ(table.begin()->second.live_pages, 2U * kChunkPages);
}

TEST_F(CopyStages, ContentOfAnEarlierBackupIsFoundAndNotEncoded) {
  const std::string content = noise(kRegion, 6);
  CopyBatch batch(kRegion, kPage);
  fill(batch, file("1", content), 0, content);
  copy(batch);
  end();
  begin();
  batch.clear();
  fill(batch, file("1", content), 0, content);
  ASSERT_TRUE(work->digest(0, batch));
  EXPECT_THAT(states(batch), ElementsAre(State::maybe_stored));
  EXPECT_FALSE(collector->look_up(batch).value());
  EXPECT_THAT(states(batch), ElementsAre(State::stored));
  ASSERT_TRUE(collector->store(batch));
  end();
  EXPECT_EQ(writer->statistics().chunks_stored, 0U);
  EXPECT_EQ(writer->pack_table().begin()->second.chunk_references, 1U);
}

// A filter may say "perhaps" of what is not there.
TEST_F(CopyStages, ContentThatIsNotFoundAfterAllIsEncodedAndStored) {
  const std::string content = noise(2 * kRegion, 7);
  const auto from = file("1", content);
  CopyBatch batch(kRegion, kPage);
  fill(batch, from, 0, content);
  fill(batch, from, 1, content);
  ASSERT_TRUE(work->digest(0, batch));
  batch.regions[0].state = State::maybe_stored;
  EXPECT_TRUE(collector->look_up(batch).value());
  EXPECT_THAT(states(batch), ElementsAre(State::to_encode, State::encoded));
  ASSERT_TRUE(work->encode(0, batch));
  EXPECT_THAT(states(batch), Each(State::encoded));
  ASSERT_TRUE(collector->store(batch));
  EXPECT_EQ(writer->statistics().chunks_stored, 2U);
}

TEST_F(CopyStages, LeavesAreFinishedInWhateverOrderTheirRegionsCome) {
  constexpr std::size_t kRegionsPerLeaf = repository::kLeafPages / kChunkPages;
  const std::string content = noise((kRegionsPerLeaf + 2) * kRegion, 8);
  const auto from = file("1", content);
  for (std::uint64_t i = from->shape.regions(); i-- > 0;) {
    EXPECT_THAT(entries, SizeIs(0));
    CopyBatch batch(kRegion, kPage);
    fill(batch, from, i, content);
    copy(batch);
  }
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].content, repository::ContentKind::map);
  EXPECT_TRUE(from->open_leaves.empty());
  EXPECT_EQ(progress.bytes_done, content.size());
}

TEST_F(CopyStages, FullPacksAreHandedOut) {
  const std::string content = noise(3 << 20, 9);  // packs are 1 MiB
  const auto from = file("1", content);
  for (std::uint64_t i = 0; i < from->shape.regions(); ++i) {
    CopyBatch batch(kRegion, kPage);
    fill(batch, from, i, content);
    copy(batch);
  }
  EXPECT_GE(packs_handed_out, 2);
  end();
  EXPECT_EQ(writer->statistics().chunks_stored, from->shape.regions() + 1);  // and the map's leaf
}

TEST_F(CopyStages, WrongPageMakesABatchSuspect) {
  std::string content = support::fake_relation(kChunkPages, 0, 1);
  const auto from = file("1", content);
  CopyBatch batch(kRegion, kPage);
  fill(batch, from, 0, content);
  EXPECT_FALSE(work->has_suspects(batch));
  content[5 * kPage + 4000] ^= 1;
  batch.clear();
  fill(batch, from, 0, content);
  EXPECT_TRUE(work->has_suspects(batch));
  from->planned.relation = false;
  EXPECT_FALSE(work->has_suspects(batch));
}

TEST_F(CopyStages, EmptyFileIsAnEntryWithoutContent) {
  const auto from = file("1", "");
  ASSERT_TRUE(collector->take_empty_file(*from));
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].content, repository::ContentKind::none);
}

}  // namespace
}  // namespace haul::backup
