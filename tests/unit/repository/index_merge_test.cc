#include "engine/repository/index_merge.h"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLease;
using testing::kOtherLease;
using ::testing::Not;
using testing::RepositoryFixture;
using testing::TestChunk;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

// Objects that can be opened and, once the device has failed, not read.
class FailingStore final : public support::ForwardingStore {
 public:
  FailingStore(io::ObjectStore& inner, const bool& failed)
      : ForwardingStore(inner), failed_(failed) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    return std::make_unique<Reader>(HAUL_TRY(inner().open(key)), failed_);
  }

 private:
  class Reader final : public io::ObjectReader {
   public:
    Reader(std::unique_ptr<io::ObjectReader> inner, const bool& failed)
        : inner_(std::move(inner)), failed_(failed) {}
    std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
    Status read_at(std::uint64_t offset, MutableByteSpan into) override {
      if (failed_) return Error(ErrorCode::io, "the device failed");
      return inner_->read_at(offset, into);
    }

   private:
    const std::unique_ptr<io::ObjectReader> inner_;
    const bool& failed_;
  };

  const bool& failed_;
};

using Places = std::map<ChunkId, std::pair<PackRef, std::uint32_t>>;

Places places_of(const IndexRunContent& content) {
  Places places;
  for (const RunEntry& entry : content.entries) {
    places[entry.id] = {content.packs.at(entry.pack).ref, entry.ordinal};
  }
  return places;
}

// Runs that lie in a repository, and the content of the one that is about to join them. Classes
// begin at 0, 4, 32 and 256 entries.
struct Merge : RepositoryFixture {
  Merge() {
    failing = std::make_unique<FailingStore>(store(), device_failed);
    cluster.store = failing.get();
  }

  bool device_failed = false;
  std::unique_ptr<FailingStore> failing;
  std::vector<std::unique_ptr<IndexRun>> runs;
  std::set<RunRef> listed;
  IndexRunContent content;

  IndexedPack new_pack(std::uint32_t chunks) {
    IndexedPack pack{{kLease, {}}, 1'000, chunks};
    HAUL_ASSERT(random.fill(pack.ref.name.bytes).has_value());
    return pack;
  }
  // One pack of so many new chunks.
  IndexRunContent content_of(std::uint32_t entries) {
    IndexRunContent made;
    made.packs.push_back(new_pack(entries));
    for (std::uint32_t i = 0; i < entries; ++i) {
      RunEntry entry{{}, 0, i};
      HAUL_ASSERT(random.fill(entry.id.bytes).has_value());
      made.entries.push_back(entry);
    }
    return made;
  }
  RunRef next_ref() const { return {kLease, static_cast<std::uint32_t>(runs.size()) + 1}; }
  RunRef add(const IndexRunContent& made) {
    const RunRef ref = next_ref();
    const std::string key = cluster.layout.run(ref);
    overwrite(key, encode_index_run(made, cluster.repository, key));
    runs.push_back(std::make_unique<IndexRun>(IndexRun::open(cluster, ref).value()));
    listed.insert(ref);
    return ref;
  }
  std::vector<RunRef> add_runs(std::size_t count, std::uint32_t entries) {
    std::vector<RunRef> refs;
    for (std::size_t i = 0; i < count; ++i) refs.push_back(add(content_of(entries)));
    return refs;
  }
  // Its last block; what is open is still as it was.
  void damage_last_block_of(std::unique_ptr<IndexRun>& run) const {
    const RunRef ref = run->ref();
    const std::string key = cluster.layout.run(ref);
    damage(key, get(key).size() - 1);
    run = std::make_unique<IndexRun>(IndexRun::open(cluster, ref).value());
  }
  void merge() { ASSERT_TRUE(merge_runs(runs, listed, content)); }
};

// The superseded runs' chunks, as the runs place them, and those that were there before.
void expect_holds(const Merge& merge, IndexRunContent before,
                  const std::vector<RunRef>& superseded) {
  Places expected = places_of(before);
  std::set<PackRef> packs;
  for (const IndexedPack& pack : before.packs) packs.insert(pack.ref);
  for (const auto& run : merge.runs) {
    if (!run || std::ranges::find(superseded, run->ref()) == superseded.end()) continue;
    for (std::size_t block = 0; block < run->blocks(); ++block) {
      const std::vector<RunEntry> entries = run->read_block(block).value();
      for (const RunEntry& entry : entries) {
        expected[entry.id] = {run->packs()[entry.pack].ref, entry.ordinal};
      }
    }
    for (const IndexedPack& pack : run->packs()) packs.insert(pack.ref);
  }
  EXPECT_TRUE(places_of(merge.content) == expected);
  EXPECT_EQ(merge.content.packs.size(), packs.size()) << "each pack once";
  EXPECT_THAT(merge.content.superseded, UnorderedElementsAreArray(superseded));
}

TEST(IndexMerge, FewerThanEightRunsOfAClassStayApart) {
  Merge merge;
  merge.add_runs(6, 3);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, {});
}

TEST(IndexMerge, EighthRunTakesOverTheOtherSeven) {
  Merge merge;
  const std::vector<RunRef> refs = merge.add_runs(7, 3);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  EXPECT_EQ(merge.content.entries.size(), 24U);
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, MergedContentMakesARunThatFindsEveryChunk) {
  Merge merge;
  std::vector<IndexRunContent> contents;
  for (int i = 0; i < 7; ++i) merge.add(contents.emplace_back(merge.content_of(3)));
  contents.push_back(merge.content = merge.content_of(3));
  merge.merge();
  merge.add(merge.content);
  const IndexRun& merged = *merge.runs.back();
  EXPECT_EQ(merged.entries(), 24U);
  for (const IndexRunContent& content : contents) {
    for (const RunEntry& entry : content.entries) {
      const auto found = merged.find(entry.id).value();
      ASSERT_TRUE(found);
      EXPECT_EQ(merged.packs()[found->pack], content.packs[entry.pack]);
      EXPECT_EQ(found->ordinal, entry.ordinal);
    }
  }
}

TEST(IndexMerge, ClassesAreEightTimesAsLargeAsTheOneBefore) {
  for (const std::uint32_t first : {4U, 32U, 256U}) {
    Merge larger;
    larger.add_runs(7, first);
    larger.content = larger.content_of(first - 1);
    larger.merge();
    EXPECT_THAT(larger.content.superseded, IsEmpty()) << first;

    Merge alike;
    const std::vector<RunRef> refs = alike.add_runs(7, first * 8 - 1);
    alike.content = alike.content_of(first);
    alike.merge();
    EXPECT_THAT(alike.content.superseded, UnorderedElementsAreArray(refs)) << first;
  }
}

TEST(IndexMerge, SmallerRunsCountToo) {
  Merge merge;
  std::vector<RunRef> refs = merge.add_runs(4, 20);
  for (const RunRef& ref : merge.add_runs(3, 2)) refs.push_back(ref);
  const IndexRunContent before = merge.content = merge.content_of(20);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunOfALargerClassStaysAlone) {
  Merge merge;
  merge.add_runs(1, 300);
  const std::vector<RunRef> refs = merge.add_runs(7, 3);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, refs);
}

// 24 entries come of the first eight.
TEST(IndexMerge, NextClassIsMergedWhenItIsFullInTurn) {
  Merge merge;
  std::vector<RunRef> refs = merge.add_runs(7, 20);
  for (const RunRef& ref : merge.add_runs(7, 3)) refs.push_back(ref);
  for (const RunRef& ref : merge.add_runs(7, 150)) refs.push_back(ref);
  merge.add_runs(6, 2'000);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, NextClassIsLeftWhenItIsNotFull) {
  Merge merge;
  merge.add_runs(6, 20);
  const std::vector<RunRef> refs = merge.add_runs(7, 3);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunsThatAreNoMoreDoNotCount) {
  Merge merge;
  merge.add_runs(7, 3);
  merge.runs[3].reset();
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, {});
}

TEST(IndexMerge, WhatARunHasSupersededAndIsStillListedIsSupersededToo) {
  Merge merge;
  const RunRef listed{kOtherLease, 3};
  const RunRef removed{kOtherLease, 4};
  merge.listed.insert(listed);
  std::vector<RunRef> refs = merge.add_runs(6, 3);
  IndexRunContent superseding = merge.content_of(3);
  superseding.superseded = {removed, listed};
  refs.push_back(merge.add(superseding));
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  refs.push_back(listed);
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunThatStaysDoesNotGiveAwayWhatItHasSuperseded) {
  Merge merge;
  const RunRef listed{kOtherLease, 3};
  merge.listed.insert(listed);
  IndexRunContent superseding = merge.content_of(300);
  superseding.superseded = {listed};
  merge.add(superseding);
  merge.add_runs(7, 3);
  merge.content = merge.content_of(3);
  merge.merge();
  EXPECT_THAT(merge.content.superseded, Not(Contains(listed)));
}

// Seven runs of which the fourth is this one; the other six.
std::vector<RunRef> add_seven(Merge& merge, const IndexRunContent& fourth) {
  std::vector<RunRef> refs = merge.add_runs(3, 3);
  merge.add(fourth);
  for (const RunRef& ref : merge.add_runs(3, 3)) refs.push_back(ref);
  return refs;
}

TEST(IndexMerge, RunWithACopyInAnotherPackStaysAsItIs) {
  Merge merge;
  merge.content = merge.content_of(3);
  std::ranges::sort(merge.content.entries, std::ranges::greater{}, &RunEntry::id);
  const IndexRunContent before = merge.content;
  // At the same ordinal.
  const RunEntry& copied = before.entries.back();
  IndexRunContent other = merge.content_of(3);
  other.entries[copied.ordinal].id = copied.id;
  const std::vector<RunRef> refs = add_seven(merge, other);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunWithACopyInTheSamePackStaysAsItIs) {
  Merge merge;
  merge.content = merge.content_of(3);
  merge.content.packs[0].chunks = 4;
  const IndexRunContent before = merge.content;
  IndexRunContent other = before;
  other.entries[1].ordinal = 3;
  const std::vector<RunRef> refs = add_seven(merge, other);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunWithACopyOfWhatAnotherRunHeldStaysAsItIs) {
  Merge merge;
  std::vector<RunRef> refs = merge.add_runs(5, 3);
  const IndexRunContent first = merge.content_of(3);
  refs.push_back(merge.add(first));
  IndexRunContent second = merge.content_of(3);
  second.entries[0].id = first.entries[2].id;
  merge.add(second);
  const IndexRunContent before = merge.content = merge.content_of(3);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, RunThatKnowsAPackWithAnotherSizeStaysAsItIs) {
  for (const bool other_size : {true, false}) {
    Merge merge;
    const IndexRunContent before = merge.content = merge.content_of(3);
    IndexRunContent other = merge.content_of(3);
    IndexedPack pack = before.packs[0];
    pack.size_bytes += other_size ? 1 : 0;
    pack.chunks += other_size ? 0 : 1;
    other.packs.push_back(pack);
    const std::vector<RunRef> refs = add_seven(merge, other);
    merge.merge();
    expect_holds(merge, before, refs);
    EXPECT_EQ(merge.content.packs[0], before.packs[0]);
  }
}

TEST(IndexMerge, EntryThatBothHaveIsFine) {
  Merge merge;
  const IndexRunContent before = merge.content = merge.content_of(3);
  // The pack that both know is the second of this one.
  IndexRunContent other = merge.content_of(2);
  other.packs.push_back(before.packs[0]);
  other.entries.push_back({before.entries[2].id, 1, before.entries[2].ordinal});
  std::vector<RunRef> refs = add_seven(merge, other);
  refs.push_back(merge.runs[3]->ref());
  merge.merge();
  expect_holds(merge, before, refs);
  merge.add(merge.content);
  EXPECT_EQ(merge.runs.back()->entries(), 3U + 6 * 3 + 2);
}

// The first of its two blocks is sound.
TEST(IndexMerge, RunWithADamagedBlockStaysAsItIs) {
  Merge merge;
  std::vector<RunRef> refs = merge.add_runs(3, 300);
  merge.add(merge.content_of(410));
  merge.damage_last_block_of(merge.runs.back());
  // These are larger, so that they come after it.
  for (const RunRef& ref : merge.add_runs(3, 450)) refs.push_back(ref);
  const IndexRunContent before = merge.content = merge.content_of(300);
  merge.merge();
  expect_holds(merge, before, refs);
}

TEST(IndexMerge, DeviceThatFailsIsAnError) {
  Merge merge;
  merge.add_runs(7, 3);
  merge.content = merge.content_of(3);
  merge.device_failed = true;
  EXPECT_EQ(code_of(merge_runs(merge.runs, merge.listed, merge.content)), ErrorCode::io);
}

TEST(IndexMerge, NothingIsReadOfRunsThatStayApart) {
  Merge merge;
  merge.add_runs(6, 3);
  merge.add_runs(7, 300);
  merge.content = merge.content_of(3);
  merge.device_failed = true;
  EXPECT_TRUE(merge_runs(merge.runs, merge.listed, merge.content));
}

TEST(IndexMerge, EndsBeforeTheContentIsTooLarge) {
  Merge merge;
  const auto ten_less = static_cast<std::uint32_t>(kMergedEntriesMax - 10);
  merge.content.packs.push_back(merge.new_pack(ten_less));
  merge.content.entries.reserve(ten_less);
  for (std::uint32_t i = 0; i < ten_less; ++i) {
    ByteWriter id;
    id.u32(i);
    RunEntry entry{{}, 0, i};
    std::ranges::copy(id.view(), entry.id.bytes.begin());
    merge.content.entries.push_back(entry);
  }
  const std::vector<RunRef> refs = merge.add_runs(2, 4);
  const RunRef fits = merge.add_runs(1, 2)[0];
  merge.add_runs(5, 5);
  merge.merge();
  EXPECT_EQ(merge.content.entries.size(), kMergedEntriesMax);
  EXPECT_THAT(merge.content.superseded, UnorderedElementsAre(fits, refs[0], refs[1]));
}

// Backups of one new chunk each.
struct SmallBackups : RepositoryFixture {
  Findings findings;
  std::vector<TestChunk> chunks;
  std::unique_ptr<Index> index;  // of the last one

  static std::string lease(std::size_t number) {
    return format("20261123T02{:02}{:02}Z-I", number / 60, number % 60);
  }
  static RunRef run(std::size_t number) { return {lease(number), 1}; }
  void back_up(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const TestChunk& chunk = chunks.emplace_back(this->chunk(pattern(64, chunks.size())));
      index = Index::open(cluster, findings).value();
      ChunkWriter writer(cluster, *index, lease(chunks.size()), random);
      PackStream stream(writer);
      ChunkEncoder encoder = ChunkEncoder::open(writer, {}).value();
      HAUL_ASSERT(encoder
                      .store({chunk.kind, chunk.page_size_bytes, bytes_of(chunk.bytes),
                              chunk.digests, chunk.id},
                             stream)
                      .has_value());
      HAUL_ASSERT(stream.close().has_value());
      HAUL_ASSERT(writer.finish().has_value());
    }
  }
};

std::size_t runs_in_use(const Index& index) {
  return static_cast<std::size_t>(
      std::ranges::count_if(index.runs(), [](const auto& run) { return run != nullptr; }));
}

// Everything that was backed up is found once, through a run.
void expect_found_in_runs(const SmallBackups& backups, Index& index) {
  ASSERT_TRUE(index.load_packs_without_run());
  for (std::size_t i = 0; i < backups.chunks.size(); ++i) {
    const auto found = index.find(backups.chunks[i].id).value();
    ASSERT_EQ(found.size(), 1U) << i;
    EXPECT_EQ(found[0].pack.lease, backups.lease(i + 1));
    EXPECT_FALSE(index.is_without_run(found[0].pack));
    EXPECT_EQ(index.find_dedup_target(backups.chunks[i].id).value(), found[0]);
  }
  EXPECT_THAT(backups.findings.lines(), IsEmpty());
}

TEST(SmallBackups, LeaveFewRuns) {
  SmallBackups backups;
  backups.back_up(100);
  const auto index = Index::open(backups.cluster, backups.findings).value();
  // 64 + 4 * 8 + 4
  EXPECT_EQ(runs_in_use(*index), 9U);
  expect_found_in_runs(backups, *index);
}

TEST(SmallBackups, EachRunIsSupersededByTheLastOneThatHoldsIt) {
  SmallBackups backups;
  backups.back_up(64);
  const auto index = Index::open(backups.cluster, backups.findings).value();
  ASSERT_EQ(runs_in_use(*index), 1U);
  std::vector<RunRef> others;
  for (std::size_t i = 1; i < 64; ++i) others.push_back(backups.run(i));
  EXPECT_THAT(index->runs()[0]->superseded(), UnorderedElementsAreArray(others));
}

TEST(SmallBackups, RunsThatAreTakenOverLeaveTheIndexOfTheBackupAsWell) {
  SmallBackups backups;
  backups.back_up(7);
  EXPECT_EQ(runs_in_use(*backups.index), 7U);
  backups.back_up(1);
  EXPECT_EQ(runs_in_use(*backups.index), 1U);
  expect_found_in_runs(backups, *backups.index);
}

TEST(SmallBackups, RunThatIsLostMakesThoseItTookOverCountAgain) {
  SmallBackups backups;
  backups.back_up(16);
  const std::string key = backups.cluster.layout.run(backups.run(16));
  backups.damage(key, 100);
  const auto index = Index::open(backups.cluster, backups.findings).value();
  // The one of the first eight backups, and seven.
  EXPECT_EQ(runs_in_use(*index), 8U);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(index->find(backups.chunks[i].id).value().size(), 1U) << i;
  }
  for (std::size_t i = 0; i < 15; ++i) {
    EXPECT_TRUE(index->find_dedup_target(backups.chunks[i].id).value()) << i;
  }
  EXPECT_THAT(backups.findings.lines(), ElementsAre(HasSubstr(key)));
}

TEST(SmallBackups, DamagedBlockOfARunThatTookOverOthersLosesNothing) {
  SmallBackups backups;
  backups.back_up(8);
  const std::string key = backups.cluster.layout.run(backups.run(8));
  backups.damage(key, backups.get(key).size() - 1);
  const auto index = Index::open(backups.cluster, backups.findings).value();
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(index->find(backups.chunks[i].id).value().size(), 1U) << i;
  }
  EXPECT_THAT(backups.findings.lines(), ElementsAre(HasSubstr("block 0 is damaged")));
}

// The backup's first run takes over the seven that are there, and with them what they say of it.
TEST(SmallBackups, PackThatIsLostIsNotReliedUponOnceItsRunIsTakenOver) {
  SmallBackups backups;
  backups.back_up(7);
  const TestChunk& lost = backups.chunks[2];
  const PackRef pack = backups.index->find(backups.chunks[2].id).value().at(0).pack;
  ASSERT_TRUE(backups.store().remove(backups.cluster.layout.pack(pack)));
  backups.cluster.parameters.pack_size_bytes = 1;  // every chunk fills a pack
  const auto index = Index::open(backups.cluster, backups.findings).value();
  ChunkWriter writer(backups.cluster, *index, backups.lease(8), backups.random);
  ASSERT_FALSE(writer.find(lost.id).value());
  PackStream stream(writer);
  for (std::size_t i = 0; i < ChunkWriter::kPacksPerRun; ++i) {
    ASSERT_TRUE(stream.append(testing::encoded(backups.chunk(pattern(64, 100 + i)))));
  }
  ASSERT_EQ(writer.statistics().index_runs, 1U);
  EXPECT_FALSE(writer.find(lost.id).value());
}

TEST(SmallBackups, DeviceThatFailsWhileRunsAreMergedFailsTheBackup) {
  SmallBackups backups;
  backups.back_up(7);
  bool failed = false;
  FailingStore failing(*backups.cluster.store, failed);
  backups.cluster.store = &failing;
  const auto index = Index::open(backups.cluster, backups.findings).value();
  ChunkWriter writer(backups.cluster, *index, backups.lease(8), backups.random);
  PackStream stream(writer);
  ASSERT_TRUE(stream.append(testing::encoded(backups.chunk(pattern(64, 8)))));
  ASSERT_TRUE(stream.close());
  failed = true;
  EXPECT_EQ(code_of(writer.finish()), ErrorCode::io);
  EXPECT_EQ(backups.store().list(backups.cluster.layout.index()).value().size(), 7U)
      << "no run is written";
}

}  // namespace
}  // namespace haul::repository
