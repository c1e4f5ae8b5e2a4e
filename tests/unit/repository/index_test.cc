#include "engine/repository/index.h"

#include <array>
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
using testing::RepositoryFixture;
using testing::TestChunk;
using ::testing::UnorderedElementsAre;

struct IndexFixture : RepositoryFixture {
  using RepositoryFixture::RepositoryFixture;

  std::vector<TestChunk> chunks{chunk(pattern(2'000, 1)), chunk(pattern(3'000, 2))};
  Findings findings;

  std::unique_ptr<Index> open() { return Index::open(cluster, findings).value(); }
};

TEST(Index, EmptyClusterFindsNothing) {
  IndexFixture fixture;
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), IsEmpty());
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(Index, ChunkOfARunIsFoundWithItsOrdinal) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{pack.ref, 1}));
  EXPECT_EQ(index->find_dedup_target(fixture.chunks[1].id).value(), (ChunkLocation{pack.ref, 1}));
  EXPECT_EQ(index->listed_size(pack.ref), pack.size_bytes);
}

TEST(Index, EveryCopyIsFoundTheNewestRunsFirst) {
  IndexFixture fixture;
  const FinishedPack older = fixture.write_pack(fixture.chunks);
  const FinishedPack newer = fixture.write_pack({fixture.chunks[1]}, kOtherLease);
  fixture.write_run({kLease, 1}, {older});
  fixture.write_run({kOtherLease, 1}, {newer});
  EXPECT_THAT(fixture.open()->find(fixture.chunks[1].id).value(),
              ElementsAre(ChunkLocation{newer.ref, 0}, ChunkLocation{older.ref, 1}));
}

TEST(Index, PackWithoutARunIsFoundThroughItsFooter) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{pack.ref, 1}));
  EXPECT_TRUE(index->is_without_run(pack.ref));
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(Index, PackWithoutARunIsNoDedupTargetUntilItIsLoaded) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  const auto index = fixture.open();
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  ASSERT_TRUE(index->load_packs_without_run());
  EXPECT_EQ(index->find_dedup_target(fixture.chunks[0].id).value(), (ChunkLocation{pack.ref, 0}));
}

TEST(Index, PackWithADamagedFooterIsReadButNoDedupTarget) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.damage(fixture.cluster.layout.pack(pack.ref), pack.size_bytes - 1);
  const auto index = fixture.open();
  ASSERT_TRUE(index->load_packs_without_run());
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), ElementsAre(ChunkLocation{pack.ref, 0}));
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("footer checksum")));
}

// A walk that cannot decode a chunk keeps its place under the zero id, which is nobody's.
TEST(Index, ChunkThatDoesNotDecodeIsNotFoundUnderTheZeroId) {
  IndexFixture fixture;
  auto compressor = compress::Compressor::open({compress::Codec::lz4, 0}).value();
  const TestChunk chunk = fixture.chunk(std::string(4'000, 'x'));
  std::vector<std::byte> memory(compress::compressed_size_max(chunk.bytes.size()));
  const auto compressed = compressor.compress(bytes_of(chunk.bytes), memory).value();
  EncodedChunk encoded = testing::encoded(chunk);
  encoded.codec = compressed.codec;
  encoded.stored = compressed.bytes;
  PackWriter writer = PackWriter::open(fixture.cluster, kLease, fixture.random).value();
  ASSERT_TRUE(writer.append(encoded));
  const FinishedPack pack = writer.finish().value();
  const std::string key = fixture.cluster.layout.pack(pack.ref);
  fixture.damage(key, kPackHeaderBytes + kChunkFrameBytes);
  fixture.damage(key, pack.size_bytes - 1);

  const auto index = fixture.open();
  ASSERT_TRUE(index->load_packs_without_run());
  ASSERT_TRUE(index->is_without_run(pack.ref));
  EXPECT_THAT(index->find(ChunkId{}).value(), IsEmpty());
}

TEST(Index, PackThatCannotBeReadIsAFinding) {
  IndexFixture fixture;
  ASSERT_TRUE(fixture.store().put_if_absent(fixture.cluster.layout.pack({kLease, {}}),
                                            bytes_of("no pack")));
  EXPECT_THAT(fixture.open()->find(fixture.chunks[0].id).value(), IsEmpty());
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("cannot be a pack")));
}

// A pack is a dedup target only with the size that its run states, seen in the listing.
TEST(Index, PackOfAnotherSizeThanItsRunSaysIsNoDedupTarget) {
  IndexFixture fixture;
  FinishedPack pack = fixture.write_pack(fixture.chunks);
  pack.size_bytes += 1;
  fixture.write_run({kLease, 1}, {pack});
  const auto index = fixture.open();
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), ElementsAre(ChunkLocation{pack.ref, 0}));
}

TEST(Index, PackThatWasNotListedIsNoDedupTarget) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  ASSERT_TRUE(fixture.store().remove(fixture.cluster.layout.pack(pack.ref)));
  const auto index = fixture.open();
  EXPECT_FALSE(index->listed_size(pack.ref));
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
}

TEST(Index, PackUnderAnotherLeaseThanItsRunSaysIsNoDedupTargetOfThatRun) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  const PackRef moved{kOtherLease, pack.ref.name};
  const std::string key = fixture.cluster.layout.pack(pack.ref);
  ASSERT_TRUE(fixture.store().put_if_absent(fixture.cluster.layout.pack(moved), fixture.get(key)));
  ASSERT_TRUE(fixture.store().remove(key));
  const auto index = fixture.open();
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  ASSERT_TRUE(index->load_packs_without_run());
  EXPECT_EQ(index->find_dedup_target(fixture.chunks[0].id).value(), (ChunkLocation{moved, 0}));
}

TEST(Index, DamagedRunIsAFindingAndItsPacksAreFoundThroughTheirFooters) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  fixture.damage(fixture.cluster.layout.run({kLease, 1}), 100);
  const auto index = fixture.open();
  EXPECT_THAT(index->runs(), IsEmpty());
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{pack.ref, 1}));
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("directory checksum")));
}

TEST(Index, DamagedBlockIsAFindingAndItsPacksAreFoundThroughTheirFooters) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  const std::string run = fixture.cluster.layout.run({kLease, 1});
  fixture.damage(run, fixture.get(run).size() - 1);
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), ElementsAre(ChunkLocation{pack.ref, 0}));
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("block 0 is damaged")));
  EXPECT_EQ(index->runs()[0], nullptr);
}

TEST(Index, DamagedBlockMakesABackupStoreTheChunkAgain) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  const std::string run = fixture.cluster.layout.run({kLease, 1});
  fixture.damage(run, fixture.get(run).size() - 1);
  EXPECT_FALSE(fixture.open()->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("block 0 is damaged")));
}

TEST(Index, ForeignNamesAreFindings) {
  IndexFixture fixture;
  ASSERT_TRUE(fixture.store().put_if_absent(fixture.cluster.layout.packs() + "/x", bytes_of("x")));
  ASSERT_TRUE(fixture.store().put_if_absent(fixture.cluster.layout.index() + "/x", bytes_of("x")));
  fixture.open();
  EXPECT_THAT(fixture.findings.lines(),
              UnorderedElementsAre("clusters/main/packs/x: not a pack's name",
                                   "clusters/main/index/x: not an index run's name"));
}

TEST(Index, OnePackNameUnderTwoLeasesIsAFinding) {
  IndexFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  ASSERT_TRUE(
      fixture.store().put_if_absent(fixture.cluster.layout.pack({kOtherLease, pack.ref.name}),
                                    fixture.get(fixture.cluster.layout.pack(pack.ref))));
  fixture.open();
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("another pack bears this name")));
}

TEST(Index, AddedRunIsSearchedAndItsPacksCountAsListed) {
  IndexFixture fixture;
  const auto index = fixture.open();
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  ASSERT_TRUE(index->add_run({kLease, 1}));
  EXPECT_EQ(index->find_dedup_target(fixture.chunks[0].id).value(), (ChunkLocation{pack.ref, 0}));
}

TEST(Index, AddedRunThatIsNotThereIsNotFound) {
  IndexFixture fixture;
  EXPECT_EQ(code_of(fixture.open()->add_run({kLease, 1})), ErrorCode::not_found);
}

TEST(Index, AddedRunTakesThePlaceOfThoseItSupersedes) {
  IndexFixture fixture;
  const FinishedPack first = fixture.write_pack({fixture.chunks[0]});
  const FinishedPack second = fixture.write_pack({fixture.chunks[1]});
  fixture.write_run({kLease, 1}, {first});
  fixture.write_run({kLease, 2}, {second});
  const auto index = fixture.open();
  fixture.write_run({kOtherLease, 1}, {first}, {{kLease, 1}, {kLease, 7}});
  ASSERT_TRUE(index->add_run({kOtherLease, 1}));
  ASSERT_EQ(index->runs().size(), 3U);
  EXPECT_EQ(index->runs()[0], nullptr);
  EXPECT_NE(index->runs()[1], nullptr);
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), ElementsAre(ChunkLocation{first.ref, 0}));
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{second.ref, 0}));
}

TEST(Index, WhatAnAddedRunHasSupersededIsSupersededByTheRunThatTakesItOver) {
  IndexFixture fixture;
  const auto index = fixture.open();
  const auto add = [&](std::uint32_t number, std::vector<RunRef> superseded) {
    const FinishedPack pack = fixture.write_pack({fixture.chunk(pattern(100, number))});
    fixture.write_run({kLease, number}, {pack}, std::move(superseded));
    ASSERT_TRUE(index->add_run({kLease, number}));
  };
  add(1, {});
  add(2, {{kLease, 1}});
  for (std::uint32_t number = 3; number <= 8; ++number) add(number, {});
  IndexRunContent content;
  ASSERT_TRUE(index->merge_into(content));
  EXPECT_EQ(content.entries.size(), 7U);
  EXPECT_EQ(content.superseded.size(), 8U);
  EXPECT_THAT(content.superseded, Contains(RunRef{kLease, 1}));
}

// It holds what an older run holds, of which not every pack is there any more.
TEST(Index, PackThatWasNotListedIsNoDedupTargetOfAnAddedRunEither) {
  IndexFixture fixture;
  const FinishedPack lost = fixture.write_pack({fixture.chunks[0]});
  const FinishedPack other = fixture.write_pack({fixture.chunk(pattern(100, 3))});
  fixture.write_run({kLease, 1}, {lost, other});
  ASSERT_TRUE(fixture.store().remove(fixture.cluster.layout.pack(lost.ref)));
  const auto index = fixture.open();
  ASSERT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  const FinishedPack own = fixture.write_pack({fixture.chunks[1]}, kOtherLease);
  fixture.write_run({kOtherLease, 1}, {own, lost, other}, {{kLease, 1}});
  ASSERT_TRUE(index->add_run({kOtherLease, 1}));
  EXPECT_FALSE(index->listed_size(lost.ref));
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_EQ(index->find_dedup_target(fixture.chunks[1].id).value(), (ChunkLocation{own.ref, 0}));
}

// Runs 1 to 3, each of which holds what the ones before it hold.
struct SupersededFixture : IndexFixture {
  std::vector<FinishedPack> packs{write_pack({chunks[0]}), write_pack({chunks[1]}),
                                  write_pack({chunk(pattern(100, 3))})};

  SupersededFixture() {
    write_run({kLease, 1}, {packs[0]});
    write_run({kLease, 2}, {packs[0], packs[1]}, {{kLease, 1}});
    write_run({kLease, 3}, packs, {{kLease, 1}, {kLease, 2}});
  }
  void damage_run(std::uint32_t number) const { damage(cluster.layout.run({kLease, number}), 100); }
};

TEST(Index, SupersededRunsAreNotOpened) {
  SupersededFixture fixture;
  fixture.damage_run(1);
  fixture.damage_run(2);
  const auto index = fixture.open();
  ASSERT_EQ(index->runs().size(), 1U);
  EXPECT_EQ(index->runs()[0]->ref().number, 3U);
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(),
              ElementsAre(ChunkLocation{fixture.packs[0].ref, 0}));
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(Index, RunsCountAgainWhenTheOneThatSupersedesThemIsDamaged) {
  SupersededFixture fixture;
  fixture.damage_run(3);
  const auto index = fixture.open();
  ASSERT_EQ(index->runs().size(), 1U);
  EXPECT_EQ(index->runs()[0]->ref().number, 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(index->find_dedup_target(fixture.chunks[i].id).value(),
              (ChunkLocation{fixture.packs[i].ref, 0}));
  }
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("directory checksum")));
}

TEST(Index, OldestRunCountsAgainWhenEveryOtherIsDamaged) {
  SupersededFixture fixture;
  fixture.damage_run(2);
  fixture.damage_run(3);
  const auto index = fixture.open();
  ASSERT_EQ(index->runs().size(), 1U);
  EXPECT_TRUE(index->find_dedup_target(fixture.chunks[0].id).value());
  EXPECT_FALSE(index->find_dedup_target(fixture.chunks[1].id).value());
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(),
              ElementsAre(ChunkLocation{fixture.packs[1].ref, 0}));
}

// A store whose objects can be listed and opened but not read: the device fails, nothing is
// damaged.
class FailingStore final : public support::ForwardingStore {
 public:
  FailingStore(io::ObjectStore& inner, std::string part)
      : ForwardingStore(inner), part_(std::move(part)) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    if (key.find(part_) != std::string::npos) return Error(ErrorCode::io, "the device failed");
    return inner().open(key);
  }
  Result<std::vector<io::ObjectInfo>> list(const std::string& prefix) override {
    if (prefix.ends_with(part_)) return Error(ErrorCode::io, "the device failed");
    return inner().list(prefix);
  }

 private:
  const std::string part_;
};

TEST(Index, DeviceThatFailsIsAnErrorAndNoFinding) {
  for (const std::string part : {"/packs", "/index", "/index/"}) {
    IndexFixture fixture;
    fixture.write_run({kLease, 1}, {fixture.write_pack(fixture.chunks)});
    FailingStore failing(fixture.store(), part);
    fixture.cluster.store = &failing;
    EXPECT_EQ(code_of(Index::open(fixture.cluster, fixture.findings)), ErrorCode::io) << part;
    EXPECT_THAT(fixture.findings.lines(), IsEmpty());
  }
}

TEST(Index, DeviceThatFailsWhileFootersAreReadIsAnError) {
  IndexFixture fixture;
  fixture.write_pack(fixture.chunks);
  FailingStore failing(fixture.store(), "/packs/");
  fixture.cluster.store = &failing;
  const auto index = fixture.open();
  EXPECT_EQ(code_of(index->find(fixture.chunks[0].id)), ErrorCode::io);
  EXPECT_EQ(code_of(index->load_packs_without_run()), ErrorCode::io) << "it is tried again";
}

// Counts what is asked of packs, and reads of runs.
class CountingStore final : public support::ForwardingStore {
 public:
  struct Counts {
    int pack_lists = 0;
    int pack_opens = 0;
    int reads = 0;
  };

  CountingStore(io::ObjectStore& inner, Counts& counts) : ForwardingStore(inner), counts_(counts) {}

  Result<std::vector<io::ObjectInfo>> list(const std::string& prefix) override {
    if (prefix.ends_with("/packs")) ++counts_.pack_lists;
    return inner().list(prefix);
  }
  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    if (key.find("/packs/") != std::string::npos) {
      ++counts_.pack_opens;
      return inner().open(key);
    }
    return std::make_unique<Reader>(HAUL_TRY(inner().open(key)), counts_);
  }

 private:
  class Reader final : public io::ObjectReader {
   public:
    Reader(std::unique_ptr<io::ObjectReader> inner, Counts& counts)
        : inner_(std::move(inner)), counts_(counts) {}
    std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
    Status read_at(std::uint64_t offset, MutableByteSpan into) override {
      ++counts_.reads;
      return inner_->read_at(offset, into);
    }

   private:
    const std::unique_ptr<io::ObjectReader> inner_;
    Counts& counts_;
  };

  Counts& counts_;
};

// An index whose packs are listed when they are needed.
struct ReaderFixture : IndexFixture {
  CountingStore::Counts counts;

  ReaderFixture()
      : IndexFixture([this](io::ObjectStore& inner) {
          return std::make_unique<CountingStore>(inner, counts);
        }) {}

  std::unique_ptr<Index> open() {
    auto index = Index::open(cluster, findings, Index::Packs::listed_when_needed).value();
    counts = {};
    return index;
  }
};

TEST(IndexOfAReader, ListsNoPacksForAChunkOfARun) {
  ReaderFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  fixture.write_pack({fixture.chunk(pattern(100, 3))});
  ASSERT_TRUE(Index::open(fixture.cluster, fixture.findings, Index::Packs::listed_when_needed));
  EXPECT_EQ(fixture.counts.pack_lists, 0);
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{pack.ref, 1}));
  EXPECT_EQ(fixture.counts.pack_lists, 0);
  EXPECT_EQ(fixture.counts.pack_opens, 0);
}

TEST(IndexOfAReader, ListsPacksOnceForChunksThatNoRunKnows) {
  ReaderFixture fixture;
  fixture.write_run({kLease, 1}, {fixture.write_pack({fixture.chunks[0]})});
  const FinishedPack loose = fixture.write_pack({fixture.chunks[1]});
  const auto index = fixture.open();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(index->find(fixture.chunks[1].id).value(),
                ElementsAre(ChunkLocation{loose.ref, 0}));
    EXPECT_THAT(index->find(fixture.chunk("x").id).value(), IsEmpty());
  }
  EXPECT_EQ(fixture.counts.pack_lists, 1);
  EXPECT_EQ(fixture.counts.pack_opens, 1) << "no pack that a run lists";
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(IndexOfAReader, FindsThePacksOfADamagedRunThroughTheirFooters) {
  ReaderFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  fixture.damage(fixture.cluster.layout.run({kLease, 1}), 100);
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[1].id).value(), ElementsAre(ChunkLocation{pack.ref, 1}));
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("directory checksum")));
}

// The other run's pack is not opened for it.
TEST(IndexOfAReader, FindsThePacksOfADamagedBlockThroughTheirFooters) {
  ReaderFixture fixture;
  const FinishedPack pack = fixture.write_pack({fixture.chunks[0]});
  fixture.write_run({kLease, 1}, {fixture.write_pack({fixture.chunks[1]})});
  fixture.write_run({kLease, 2}, {pack});
  const std::string run = fixture.cluster.layout.run({kLease, 2});
  fixture.damage(run, fixture.get(run).size() - 1);
  const auto index = fixture.open();
  EXPECT_THAT(index->find(fixture.chunks[0].id).value(), ElementsAre(ChunkLocation{pack.ref, 0}));
  EXPECT_EQ(fixture.counts.pack_lists, 1);
  EXPECT_EQ(fixture.counts.pack_opens, 1);
  EXPECT_EQ(index->runs()[1], nullptr);
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("block 0 is damaged")));
}

TEST(IndexOfAReader, FindsTheCopyOfADamagedBlockBesideThatOfASoundOne) {
  ReaderFixture fixture;
  const FinishedPack older = fixture.write_pack(fixture.chunks);
  const FinishedPack newer = fixture.write_pack({fixture.chunks[1]}, kOtherLease);
  fixture.write_run({kLease, 1}, {older});
  fixture.write_run({kOtherLease, 1}, {newer});
  const std::string run = fixture.cluster.layout.run({kOtherLease, 1});
  fixture.damage(run, fixture.get(run).size() - 1);
  EXPECT_THAT(fixture.open()->find(fixture.chunks[1].id).value(),
              ElementsAre(ChunkLocation{older.ref, 1}, ChunkLocation{newer.ref, 0}));
}

TEST(IndexOfAReader, DeviceThatFailsWhenPacksAreListedIsAnError) {
  for (const bool damaged : {false, true}) {
    IndexFixture fixture;
    fixture.write_run({kLease, 1}, {fixture.write_pack({fixture.chunks[0]})});
    const std::string run = fixture.cluster.layout.run({kLease, 1});
    if (damaged) fixture.damage(run, fixture.get(run).size() - 1);
    FailingStore failing(fixture.store(), "/packs");
    fixture.cluster.store = &failing;
    const auto index =
        Index::open(fixture.cluster, fixture.findings, Index::Packs::listed_when_needed).value();
    const ChunkId& id = fixture.chunks[damaged ? 0 : 1].id;
    EXPECT_EQ(code_of(index->find(id)), ErrorCode::io);
    EXPECT_EQ(code_of(index->find(id)), ErrorCode::io) << "it is tried again";
  }
}

TEST(IndexOfAReader, ReadsABlockOnce) {
  ReaderFixture fixture;
  const FinishedPack pack = fixture.write_pack(fixture.chunks);
  fixture.write_run({kLease, 1}, {pack});
  const auto index = fixture.open();
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_THAT(index->find(fixture.chunks[i % 2].id).value(),
                ElementsAre(ChunkLocation{pack.ref, i % 2}));
  }
  EXPECT_EQ(fixture.counts.reads, 1);
}

// Their blocks bear the same numbers.
TEST(IndexOfAReader, ReadsTheBlocksOfEveryRun) {
  ReaderFixture fixture;
  const FinishedPack older = fixture.write_pack(fixture.chunks);
  const FinishedPack newer = fixture.write_pack({fixture.chunks[1]}, kOtherLease);
  fixture.write_run({kLease, 1}, {older});
  fixture.write_run({kOtherLease, 1}, {newer});
  const auto index = fixture.open();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(index->find(fixture.chunks[1].id).value(),
                ElementsAre(ChunkLocation{newer.ref, 0}, ChunkLocation{older.ref, 1}));
  }
}

// Opens of packs wait until a second thread has asked for a chunk as well.
class RendezvousStore final : public support::ForwardingStore {
 public:
  RendezvousStore(io::ObjectStore& inner, std::atomic<int>& asking)
      : ForwardingStore(inner), asking_(asking) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    if (key.find("/packs/") != std::string::npos) {
      while (asking_.load() < 2) std::this_thread::yield();
    }
    return inner().open(key);
  }

 private:
  std::atomic<int>& asking_;
};

void expect_found_by_two_threads(IndexFixture& fixture) {
  std::atomic<int> asking = 0;
  RendezvousStore store(fixture.store(), asking);
  fixture.cluster.store = &store;
  const auto index = fixture.open();
  std::array<std::size_t, 2> found{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        ++asking;
        found[i] = index->find(fixture.chunks[i].id).value().size();
      });
    }
  }
  EXPECT_THAT(found, ElementsAre(1, 1));
}

TEST(Index, ThreadThatComesWhileFootersAreLoadedWaitsForThem) {
  IndexFixture fixture;
  fixture.write_pack(fixture.chunks);
  expect_found_by_two_threads(fixture);
}

TEST(Index, ThreadThatComesWhileARunIsGivenUpMissesNothing) {
  IndexFixture fixture;
  fixture.write_run({kLease, 1}, {fixture.write_pack(fixture.chunks)});
  const std::string run = fixture.cluster.layout.run({kLease, 1});
  fixture.damage(run, fixture.get(run).size() - 1);
  expect_found_by_two_threads(fixture);
}

TEST(Findings, SameLineIsKeptOnce) {
  Findings findings;
  findings.add("a");
  findings.add("b");
  findings.add("a");
  EXPECT_THAT(findings.lines(), ElementsAre("a", "b"));
  EXPECT_EQ(findings.count(), 2U);
}

TEST(Findings, BeyondTheLimitOnlyCounts) {
  Findings findings;
  for (std::size_t i = 0; i < Findings::kFindingsMax + 5; ++i) findings.add(std::to_string(i));
  EXPECT_EQ(findings.lines().size(), Findings::kFindingsMax);
  EXPECT_EQ(findings.count(), Findings::kFindingsMax + 5);
}

}  // namespace
}  // namespace haul::repository
