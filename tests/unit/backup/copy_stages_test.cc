// The stages of the copy one by one: batches, the workers' part, the collector.

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/backup/collector.h"
#include "engine/backup/copy_batch.h"
#include "engine/backup/leaf_work.h"
#include "engine/repository/repository.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/manual_clock.h"
#include "tests/support/refusing_file.h"
#include "tests/support/stored_content.h"

namespace haul::backup {
namespace {

using State = CopiedChunk::State;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t kPage = support::kFakePageSize;
constexpr std::uint32_t kChunkPages = 8;
constexpr std::size_t kRegion = std::size_t{kPage} * kChunkPages;
constexpr std::size_t kLeaf = std::size_t{kPage} * repository::kLeafPages;

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
    const std::string lease = format("20261123T0202{:02}Z-F", backups++);
    writer.emplace(*cluster, *index, lease, random);
    data.emplace(*writer, repository::PackStream::WhenFull::hand_out);
    delta.emplace(*writer, repository::PackStream::WhenFull::hand_out);
    metadata.emplace(*writer);
    PageCheckContext pages;
    pages.page_size_bytes = kPage;
    pages.checksums = true;
    work.emplace(LeafWork::open(*writer, {}, pages, 1, pace).value());
    Collector::Context context;
    context.writer = &*writer;
    context.data = &*data;
    context.delta = &*delta;
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
    ASSERT_TRUE(delta->close());
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
    made->begin_leaves();
    return made;
  }
  // Puts a leaf with this content into a batch, as if it had been read.
  static void fill(CopyBatch& batch, const std::shared_ptr<CopiedFile>& from, std::uint64_t number,
                   const std::string& content) {
    const CopiedLeaf& leaf = batch.add_leaf(from, number);
    std::memcpy(leaf.bytes.data(), content.data() + number * kLeaf, leaf.bytes.size());
  }
  // A file of one leaf through all stages; its entry.
  repository::TreeEntry copy_file(const std::string& path, const std::string& content) {
    CopyBatch batch(kPage);
    fill(batch, file(path, content), 0, content);
    copy(batch);
    return entries.back();
  }
  // What a later backup finds of it.
  std::optional<repository::ParentLeaf> leaf_of(const repository::TreeEntry& entry,
                                                std::uint64_t number = 0) {
    repository::ChunkReader chunks(*cluster, *index, findings);
    return repository::ParentMap::open(chunks, *index, entry).value()->read_leaf(number).value();
  }
  // The next backup of a file that has this content now, leaf by leaf; its entry.
  repository::TreeEntry copy_over(const repository::TreeEntry& before, const std::string& content) {
    end();
    begin();
    const auto to = file(before.path, content);
    for (std::uint64_t number = 0; number < to->shape.leaves(); ++number) {
      over.clear();
      fill(over, to, number, content);
      const repository::FileShape shape{before.size_bytes, kPage, kChunkPages};
      if (number < shape.leaves()) over.leaves[0].parent = leaf_of(before, number);
      copy(over);
    }
    EXPECT_THAT(findings.lines(), IsEmpty());
    return entries.back();
  }
  // The same of one leaf of which these pages are read: of all others there is garbage.
  repository::TreeEntry copy_read(const repository::TreeEntry& before, const std::string& content,
                                  const repository::PageSet& read) {
    end();
    begin();
    const auto to = file(before.path, content);
    over.clear();
    std::string garbled = content;
    for (std::size_t page = 0; page < content.size() / kPage; ++page) {
      if (!read[page]) garbled.replace(page * kPage, kPage, std::string(kPage, '?'));
    }
    fill(over, to, 0, garbled);
    over.leaves[0].parent = leaf_of(before);
    over.leaves[0].read = over.leaves[0].may_differ = read;
    copy(over);
    return entries.back();
  }
  // A page changes and is backed up; then `over` holds the same content, as it was read for the
  // next backup. The entry with the changed page.
  repository::TreeEntry overlay_again(const repository::TreeEntry& before, std::string& content) {
    content[3 * kPage] ^= 1;
    repository::TreeEntry entry = copy_over(before, content);
    end();
    begin();
    over.clear();
    fill(over, file(before.path, content), 0, content);
    over.leaves[0].parent = leaf_of(entry);
    return entry;
  }
  std::string read_back(const repository::TreeEntry& entry) {
    repository::ChunkReader chunks(*cluster, *index, findings);
    return support::read_stored_file(chunks, entry).value();
  }
  std::uint64_t changed_pages() const { return collector->totals().changed_bytes / kPage; }
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
    for (const CopiedChunk& chunk : batch.chunks) all.push_back(chunk.state);
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
  std::optional<repository::PackStream> delta;
  std::optional<repository::PackStream> metadata;
  ChangePace pace{0, 0};
  std::optional<LeafWork> work;
  std::optional<Collector> collector;
  BackupProgress progress;
  CopyBatch over{kPage};  // of the last leaf that copy_over() copied
  std::vector<repository::TreeEntry> entries;
  int backups = 0;
  int packs_handed_out = 0;
};

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  EXPECT_TRUE(SeededRandom(seed).fill({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
  return bytes;
}

TEST_F(CopyStages, ReadsCoverEveryLeafAndAreAligned) {
  CopyBatch batch(kPage);
  const std::vector<std::size_t> sizes = {1, kPage, 4097, kLeaf / 2, 17};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    batch.add_leaf(file(std::to_string(i), noise(sizes[i], i)), 0);
  }
  batch.plan_reads(kLeaf / 8);
  EXPECT_EQ(batch.reads_left, 4U + 4U);
  std::vector<std::size_t> read(sizes.size());
  for (const CopyBatch::Read& each : batch.reads) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(each.bytes.data()) % io::kDirectAlignment, 0U);
    EXPECT_EQ(each.bytes.size() % io::kDirectAlignment, 0U);
    EXPECT_EQ(each.offset, read[each.leaf]);
    read[each.leaf] += each.bytes.size();
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(read[i], io::whole_blocks(sizes[i]));
    EXPECT_EQ(batch.leaves[i].bytes.size(), sizes[i]);
    EXPECT_EQ(batch.leaves[i].digests.size(), (sizes[i] + kPage - 1) / kPage);
  }
}

// A file of which the page cache has some pages.
class HalfCachedFile final : public support::RefusingFile {
 public:
  HalfCachedFile(std::string content, std::set<std::size_t> cached)
      : content_(std::move(content)), cached_(std::move(cached)) {}

  bool read_cached(std::uint64_t offset, MutableByteSpan into) override {
    if (offset + into.size() > content_.size()) return false;
    for (std::size_t at = offset; at < offset + into.size(); at += kPage) {
      if (!cached_.contains(at / kPage)) return false;
    }
    std::memcpy(into.data(), content_.data() + offset, into.size());
    return true;
  }

 private:
  const std::string content_;
  const std::set<std::size_t> cached_;
};

TEST_F(CopyStages, WhatThePageCacheHasIsNotReadAgain) {
  const std::string content = noise(kLeaf + 20 * kPage + 100, 2);
  const auto from = file("1", content);
  const std::size_t first = repository::kLeafPages;  // the second leaf's
  from->file = std::make_unique<HalfCachedFile>(
      content, std::set<std::size_t>{first + 1, first + 3, first + 4, first + 20});
  CopyBatch batch(kPage);
  CopiedLeaf& leaf = batch.add_leaf(from, 1);
  std::ranges::fill(leaf.bytes, std::byte{0});
  leaf.read.reset();
  for (const std::size_t page : {1U, 3U, 4U, 5U, 10U, 12U, 20U}) leaf.read.set(page);
  EXPECT_EQ(leaf.read_cached_pages(), 3 * kPage + 100);
  for (const std::size_t page : {1U, 3U, 4U, 20U}) {
    EXPECT_TRUE(leaf.cached[page]) << page;
    const ByteSpan part = leaf.bytes.subspan(
        page * kPage, std::min<std::size_t>(kPage, leaf.bytes.size() - page * kPage));
    EXPECT_EQ(text_of(part), content.substr(kLeaf + page * kPage, part.size())) << page;
  }
  EXPECT_EQ(leaf.cached.count(), 4U);
  batch.plan_reads(kLeaf);
  std::vector<std::pair<std::size_t, std::size_t>> reads;
  for (const CopyBatch::Read& each : batch.reads) {
    reads.emplace_back((each.offset - kLeaf) / kPage, each.bytes.size() / kPage);
  }
  // The gap between 10 and 12 costs less than another read.
  EXPECT_THAT(reads, ElementsAre(std::pair(5, 1), std::pair(10, 3)));
  EXPECT_EQ(batch.reads_left, 2U);
  EXPECT_TRUE(leaf.read[11]);
}

TEST_F(CopyStages, LeafOfWhichThePageCacheHasAllNeedsNoRead) {
  const std::string content = noise(4 * kPage, 2);
  const auto from = file("1", content);
  from->file = std::make_unique<HalfCachedFile>(content, std::set<std::size_t>{0, 1, 2, 3});
  CopyBatch batch(kPage);
  CopiedLeaf& leaf = batch.add_leaf(from, 0);
  EXPECT_EQ(leaf.read_cached_pages(), content.size());
  EXPECT_EQ(text_of(leaf.bytes), content);
  batch.plan_reads(kLeaf);
  EXPECT_THAT(batch.reads, IsEmpty());
  batch.clear();
  EXPECT_TRUE(batch.add_leaf(from, 0).cached.none());
}

TEST_F(CopyStages, BatchTakesWhatFits) {
  CopyBatch batch(kPage);
  const std::size_t room = batch.room_bytes();
  EXPECT_GE(room, kLeaf);
  EXPECT_TRUE(batch.takes(room));
  EXPECT_FALSE(batch.takes(room + 1));
  const auto from = file("1", noise(kLeaf, 1));
  batch.add_leaf(from, 0);
  EXPECT_EQ(batch.room_bytes(), room - kLeaf);
  batch.clear();
  EXPECT_EQ(batch.room_bytes(), room);
  const auto tiny = file("2", "x");
  for (std::size_t i = 0; i < kBatchFilesMax; ++i) batch.add_leaf(tiny, 0);
  EXPECT_FALSE(batch.takes(1));
}

TEST_F(CopyStages, BatchHoldsALeafOfTheLargestPages) {
  CopyBatch batch(32 * 1024);
  EXPECT_TRUE(batch.takes(32 * 1024 * repository::kLeafPages));
}

TEST_F(CopyStages, FullBatchOfIncompressibleRegionsIsEncoded) {
  CopyBatch batch(kPage);
  const std::string content = noise(batch.room_bytes(), 3);
  const auto from = file("1", content);
  for (std::uint64_t i = 0; i < from->shape.leaves(); ++i) fill(batch, from, i, content);
  ASSERT_TRUE(work->digest(0, batch));
  EXPECT_THAT(batch.chunks, SizeIs(content.size() / kRegion));
  EXPECT_THAT(states(batch), Each(State::encoded));
}

TEST_F(CopyStages, ZerosAreAHoleAndNotStored) {
  const std::string content = std::string(kRegion, '\0') + noise(kRegion, 4);
  const repository::TreeEntry entry = copy_file("1", content);
  EXPECT_EQ(collector->totals().hole_bytes, kRegion);
  EXPECT_EQ(collector->totals().changed_bytes, kRegion);
  EXPECT_EQ(writer->statistics().chunks_stored, 1U);
  ASSERT_THAT(entry.ids, SizeIs(2));
  EXPECT_TRUE(entry.ids[0].is_zero());
  EXPECT_FALSE(entry.ids[1].is_zero());
}

TEST_F(CopyStages, OneContentInTwoBatchesAtOnceIsStoredOnce) {
  const std::string content = noise(kRegion, 5);
  CopyBatch first(kPage);
  CopyBatch second(kPage);
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
  CopyBatch batch(kPage);
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
  CopyBatch batch(kPage);
  fill(batch, file("1", content), 0, content);
  ASSERT_TRUE(work->digest(0, batch));
  batch.chunks[0].state = State::maybe_stored;
  EXPECT_TRUE(collector->look_up(batch).value());
  EXPECT_THAT(states(batch), ElementsAre(State::to_encode, State::encoded));
  ASSERT_TRUE(work->encode(0, batch));
  EXPECT_THAT(states(batch), Each(State::encoded));
  ASSERT_TRUE(collector->store(batch));
  EXPECT_EQ(writer->statistics().chunks_stored, 2U);
}

TEST_F(CopyStages, LeavesMayComeInAnyOrder) {
  const std::string content = noise(2 * kLeaf + 2 * kRegion, 8);
  const auto from = file("1", content);
  for (std::uint64_t i = from->shape.leaves(); i-- > 0;) {
    EXPECT_THAT(entries, SizeIs(0));
    CopyBatch batch(kPage);
    fill(batch, from, i, content);
    copy(batch);
  }
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].content, repository::ContentKind::map);
  EXPECT_EQ(progress.bytes_done, content.size());
}

TEST_F(CopyStages, FullPacksAreHandedOut) {
  const std::string content = noise(3 << 20, 9);  // packs are 1 MiB
  const auto from = file("1", content);
  for (std::uint64_t i = 0; i < from->shape.leaves(); ++i) {
    CopyBatch batch(kPage);
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
  CopyBatch batch(kPage);
  fill(batch, from, 0, content);
  EXPECT_FALSE(work->has_suspects(batch));
  content[5 * kPage + 4000] ^= 1;
  batch.clear();
  fill(batch, from, 0, content);
  EXPECT_TRUE(work->has_suspects(batch));
  from->planned.relation = false;
  EXPECT_FALSE(work->has_suspects(batch));
}

TEST_F(CopyStages, UnchangedFileHasItsParentsEntryAndNothingToStore) {
  const std::string content = noise(5 * kRegion + 3 * kPage + 100, 10);
  const auto before = copy_file("1", content);
  const auto after = copy_over(before, content);
  EXPECT_EQ(after, before);
  EXPECT_THAT(over.chunks, IsEmpty());
  EXPECT_EQ(changed_pages(), 0U);
  end();
  EXPECT_EQ(writer->statistics().chunks_stored, 0U);
  std::uint64_t live_pages = 0;
  for (const auto& [pack, use] : writer->pack_table()) live_pages += use.live_pages;
  EXPECT_GE(live_pages, 44U);
}

TEST_F(CopyStages, EveryPageInTurnIsFoundToHaveChanged) {
  const std::string content = noise(2 * kRegion + 2 * kPage + 100, 11);
  const auto before = copy_file("1", content);
  end();
  begin();
  for (std::size_t page = 0; page < 19; ++page) {
    std::string changed = content;
    changed[page * kPage + 57] ^= 1;
    CopyBatch one(kPage);
    fill(one, file("1", changed), 0, changed);
    one.leaves[0].parent = leaf_of(before);
    ASSERT_TRUE(work->digest(0, one));
    EXPECT_EQ(one.leaves[0].changed_pages, 1U);
    ASSERT_THAT(one.chunks, SizeIs(1)) << page;
    EXPECT_TRUE(one.chunks[0].gathered);
    EXPECT_EQ(one.chunks[0].bytes.size(), page == 18 ? 100U : kPage);
    EXPECT_EQ(std::memcmp(one.chunks[0].bytes.data(), changed.data() + page * kPage,
                          one.chunks[0].bytes.size()),
              0);
  }
}

TEST_F(CopyStages, GatheredPagesGoToAPackOfTheirOwn) {
  std::string content = noise(2 * kRegion, 12);
  const auto before = copy_file("1", content);
  content[3 * kPage] ^= 1;
  content[9 * kPage] ^= 1;
  std::string other = noise(kRegion, 13);
  const auto after = copy_over(before, content);
  copy_file("2", other);
  end();
  const std::vector<repository::PackUse> packs = [&] {
    std::vector<repository::PackUse> uses;
    for (const auto& [pack, use] : writer->pack_table()) uses.push_back(use);
    return uses;
  }();
  // The parent's, gathered pages, the other file, and the map.
  std::vector<std::uint64_t> live;
  for (const auto& use : packs) live.push_back(use.live_pages);
  EXPECT_THAT(live, testing::UnorderedElementsAre(14, 2, 8, 1));
  EXPECT_TRUE(read_back(after) == content);
}

TEST_F(CopyStages, RegionThatBecameZerosIsAHole) {
  std::string content = noise(2 * kRegion, 14);
  const auto before = copy_file("1", content);
  std::fill_n(content.begin(), kRegion, '\0');
  const auto after = copy_over(before, content);
  EXPECT_EQ(changed_pages(), 0U);
  EXPECT_EQ(collector->totals().hole_bytes, kRegion);
  EXPECT_TRUE(after.ids[0].is_zero());
  EXPECT_EQ(after.ids[1], before.ids[1]);
}

TEST_F(CopyStages, PageThatBecameZerosIsAHoleAndComesBack) {
  const std::string content = noise(2 * kRegion, 15);
  std::string holed = content;
  std::fill_n(holed.begin() + 3 * kPage, kPage, '\0');
  const auto first = copy_file("1", content);
  const auto second = copy_over(first, holed);
  EXPECT_EQ(changed_pages(), 0U);
  EXPECT_EQ(collector->totals().hole_bytes, kPage);
  EXPECT_THAT(over.chunks, IsEmpty());
  const auto third = copy_over(second, holed);
  EXPECT_EQ(third, second);
  const auto fourth = copy_over(third, content);
  EXPECT_EQ(changed_pages(), 1U);
  end();
  EXPECT_TRUE(read_back(second) == holed);
  EXPECT_TRUE(read_back(fourth) == content);
}

TEST_F(CopyStages, ShortLastPageGrowsShrinksAndMoves) {
  const std::string content = noise(3 * kRegion, 16);
  auto entry = copy_file("1", content.substr(0, kRegion + 2 * kPage + 100));
  for (const std::size_t size : std::vector<std::size_t>{
           kRegion + 2 * kPage + 101, kRegion + 2 * kPage + 99, kRegion + 3 * kPage,
           kRegion + 5 * kPage + 1, 2 * kRegion + 7, kRegion - 1, kRegion / 8 + 1, kRegion / 8}) {
    const std::string now = content.substr(0, size);
    entry = copy_over(entry, now);
    EXPECT_LE(changed_pages(), 8U) << size;
    end();
    EXPECT_TRUE(read_back(entry) == now) << size;
    begin();
  }
}

// As a backup leaves it that did not read all of a region.
TEST_F(CopyStages, RegionWithoutADigestIsComparedByTags) {
  std::string content = noise(2 * kRegion, 17);
  auto entry = copy_file("1", content);
  entry = overlay_again(entry, content);
  auto& digests = over.leaves[0].parent->map.region_digests;
  ASSERT_TRUE(digests[0]);
  digests[0].reset();
  copy(over);
  EXPECT_EQ(changed_pages(), 0U);
  EXPECT_EQ(entries.back().ids, entry.ids);  // the digest is known again
}

// The digest says that nothing has changed, and half of it is gone.
TEST_F(CopyStages, PagesOfAChunkThatIsGoneAreStoredAnew) {
  std::string content = noise(2 * kRegion, 18);
  auto entry = copy_file("1", content);
  entry = overlay_again(entry, content);
  repository::ParentLeaf& parent = *over.leaves[0].parent;
  parent.chunks[parent.pages[3].chunk].usable = false;
  ASSERT_TRUE(work->digest(0, over));
  EXPECT_EQ(over.leaves[0].changed_pages, 1U);
  ASSERT_THAT(over.chunks, SizeIs(1));
}

// Equal digests say more than tags.
TEST_F(CopyStages, RandomGenerationsReadBack) {
  SeededRandom dice(19);
  const auto below = [&](std::size_t bound) { return dice.next() % bound; };
  std::string content = noise(kLeaf + 20 * kPage + 33, 20);
  repository::TreeEntry entry;
  entry.path = "1";
  entry.page_size_bytes = kPage;
  entry = copy_over(entry, content);
  std::vector<std::pair<repository::TreeEntry, std::string>> generations;
  for (int generation = 0; generation < 12; ++generation) {
    std::uint64_t touched = 0;
    for (std::size_t i = below(30); i > 0; --i, ++touched) {
      const std::size_t first = below(content.size() / kPage) * kPage;
      content.replace(first, kPage,
                      below(4) == 0 ? std::string(kPage, '\0') : noise(kPage, dice.next()));
    }
    content.resize(below(3) == 0 ? content.size() - below(kRegion) : content.size() + below(kPage));
    entry = copy_over(entry, content);
    generations.emplace_back(entry, content);
  }
  end();
  for (const auto& [stored, expected] : generations) EXPECT_TRUE(read_back(stored) == expected);
}

// Nearly all of a region has changed, and the rest is not at hand: it cannot be stored whole.
TEST_F(CopyStages, RegionThatIsNotAtHandIsNotStoredWhole) {
  std::string content = noise(4 * kRegion, 31);
  const repository::TreeEntry before = copy_file("1", content);
  repository::PageSet read;
  for (std::size_t page = kChunkPages; page + 1 < std::size_t{2} * kChunkPages; ++page) {
    content.replace(page * kPage, kPage, noise(kPage, 100 + page));
    read.set(page);
  }
  const repository::TreeEntry after = copy_read(before, content, read);
  EXPECT_EQ(changed_pages(), kChunkPages - 1U);
  end();
  EXPECT_TRUE(read_back(after) == content);
}

// Pages that were not read stay where they are, whatever becomes of those that were.
TEST_F(CopyStages, RandomGenerationsOfWhichPartsAreReadReadBack) {
  constexpr std::size_t kPages = 200;
  std::string content = noise(kPages * kPage, 32);
  repository::TreeEntry entry = copy_file("1", content);
  std::vector<std::pair<repository::TreeEntry, std::string>> generations;
  std::uint64_t seed = 1000;
  const auto below = [&](std::size_t bound) {
    std::array<std::byte, 1> byte{};
    EXPECT_TRUE(random.fill(byte));
    return std::to_integer<std::size_t>(byte[0]) % bound;
  };
  for (int generation = 0; generation < 40; ++generation) {
    repository::PageSet read;
    const std::size_t changes = 1 + below(120);
    for (std::size_t i = 0; i < changes; ++i) {
      const std::size_t page = below(kPages);
      read.set(page);
      // WAL may name what comes out the same.
      if (below(4) == 0) continue;
      content.replace(page * kPage, kPage,
                      below(6) == 0 ? std::string(kPage, '\0') : noise(kPage, ++seed));
    }
    entry = copy_read(entry, content, read);
    generations.emplace_back(entry, content);
  }
  end();
  for (const auto& [stored, expected] : generations) EXPECT_TRUE(read_back(stored) == expected);
}

TEST_F(CopyStages, EmptyFileIsAnEntryWithoutContent) {
  const auto from = file("1", "");
  ASSERT_TRUE(collector->take_unread_file(*from));
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].content, repository::ContentKind::none);
}

}  // namespace
}  // namespace haul::backup
