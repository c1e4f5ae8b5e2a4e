// Chunk writer and reader: what is stored once, in which order it becomes durable, and how a copy
// stands in for another.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/pack_opener.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLease;
using testing::kOtherLease;
using testing::RepositoryFixture;
using testing::TestChunk;

struct ChunkStoreFixture : RepositoryFixture {
  using RepositoryFixture::RepositoryFixture;

  Findings findings;
  std::unique_ptr<Index> index;
  std::unique_ptr<ChunkWriter> writer;
  std::unique_ptr<PackStream> data;
  std::unique_ptr<PackStream> metadata;
  std::unique_ptr<ChunkEncoder> encoder;

  // Begins a backup under this lease.
  void begin(const std::string& lease = kLease, compress::CodecChoice codec = {}) {
    index = Index::open(cluster, findings).value();
    HAUL_ASSERT(index->load_packs_without_run().has_value());
    writer = std::make_unique<ChunkWriter>(cluster, *index, lease, random);
    data = std::make_unique<PackStream>(*writer);
    metadata = std::make_unique<PackStream>(*writer);
    encoder = std::make_unique<ChunkEncoder>(ChunkEncoder::open(*writer, codec).value());
  }
  Status put(const TestChunk& chunk) {
    return encoder->store(
        {chunk.kind, chunk.page_size_bytes, bytes_of(chunk.bytes), chunk.digests, chunk.id}, *data);
  }
  Status finish() {
    HAUL_TRY(data->close());
    HAUL_TRY(metadata->close());
    return writer->finish();
  }
  Result<ChunkBytes> read(const TestChunk& chunk, std::uint32_t size_max_bytes = kChunkBytesMax) {
    const auto fresh = Index::open(cluster, findings).value();
    return ChunkReader(cluster, *fresh, findings).read(chunk.kind, chunk.id, size_max_bytes);
  }
};

TEST(ChunkWriter, StoredChunkIsReadBack) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(5'000, 1));
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
}

TEST(ChunkWriter, ChunkIsStoredOnceWithinABackup) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(5'000, 1));
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  const ChunkWriterStatistics statistics = fixture.writer->statistics();
  EXPECT_EQ(statistics.chunks_stored, 1U);
  EXPECT_EQ(statistics.chunks_found, 1U);
  EXPECT_EQ(statistics.raw_bytes_stored, 5'000U);
  EXPECT_EQ(statistics.packs, 1U);
}

TEST(ChunkWriter, ChunkOfAnEarlierBackupIsNotStoredAgain) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(5'000, 1));
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  fixture.begin(kOtherLease);
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(fixture.writer->statistics().chunks_stored, 0U);
  ASSERT_EQ(fixture.writer->pack_table().size(), 1U);
  EXPECT_EQ(fixture.writer->pack_table().begin()->first.lease, kLease);
}

TEST(ChunkWriter, PackTableCountsEveryReferenceAndItsPages) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(5'000, 1));
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.put(fixture.chunk(pattern(1'000, 2))));
  ASSERT_TRUE(fixture.finish());
  ASSERT_EQ(fixture.writer->pack_table().size(), 1U);
  const auto& [pack, use] = *fixture.writer->pack_table().begin();
  EXPECT_EQ(use.chunk_references, 3U);
  EXPECT_EQ(use.live_pages, 5U + 5U + 1U);
  EXPECT_EQ(use.size_bytes, fixture.get(fixture.cluster.layout.pack(pack)).size());
}

TEST(ChunkWriter, PackTableHasTheSizeOfAnAdoptedPack) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(5'000, 1));
  const FinishedPack pack = fixture.write_pack({chunk}, kOtherLease);
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(fixture.writer->pack_table().at(pack.ref).size_bytes, pack.size_bytes);
}

TEST(ChunkWriter, StoredBytesAreThoseOfPacksAndRuns) {
  ChunkStoreFixture fixture;
  fixture.begin();
  ASSERT_TRUE(fixture.put(fixture.chunk(pattern(5'000, 1))));
  ASSERT_TRUE(
      fixture.encoder->store_metadata(ChunkKind::tree_leaf, bytes_of("leaf"), *fixture.metadata));
  ASSERT_TRUE(fixture.finish());
  std::uint64_t total = 0;
  const auto objects = fixture.store().list(fixture.cluster.layout.root()).value();
  for (const io::ObjectInfo& object : objects) total += object.size_bytes;
  EXPECT_EQ(fixture.writer->statistics().stored_bytes, total);
  EXPECT_EQ(fixture.writer->statistics().packs, 2U);
}

TEST(ChunkWriter, PackIsClosedOnceItIsFull) {
  ChunkStoreFixture fixture;
  fixture.begin();
  for (std::uint64_t i = 0; i < 9; ++i) {
    ASSERT_TRUE(fixture.put(fixture.chunk(pattern(5'000, i))));
  }
  ASSERT_TRUE(fixture.finish());
  // Three chunks of 5000 bytes stay below 16 KiB, the fourth goes past it.
  EXPECT_EQ(fixture.writer->statistics().packs, 3U);
}

TEST(ChunkWriter, RunIsWrittenEvery128Packs) {
  ChunkStoreFixture fixture;
  fixture.cluster.parameters.pack_size_bytes = 1;  // every chunk fills a pack
  fixture.begin();
  std::vector<TestChunk> chunks;
  for (std::uint64_t i = 0; i < 257; ++i) chunks.push_back(fixture.chunk(pattern(64, i)));
  for (std::size_t i = 0; i < 127; ++i) ASSERT_TRUE(fixture.put(chunks[i]));
  EXPECT_EQ(fixture.writer->statistics().index_runs, 0U);
  ASSERT_TRUE(fixture.put(chunks[127]));
  EXPECT_EQ(fixture.writer->statistics().index_runs, 1U);
  for (std::size_t i = 128; i < 257; ++i) ASSERT_TRUE(fixture.put(chunks[i]));
  EXPECT_EQ(fixture.writer->statistics().index_runs, 2U);
  // Found in the runs that were written meanwhile as well as among what no run has yet.
  for (const TestChunk& chunk : chunks) ASSERT_TRUE(fixture.writer->find(chunk.id).value());
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(fixture.writer->statistics().index_runs, 3U);
  EXPECT_EQ(fixture.writer->statistics().packs, 257U);

  const auto index = Index::open(fixture.cluster, fixture.findings).value();
  ASSERT_EQ(index->runs().size(), 3U);
  EXPECT_EQ(index->runs()[0]->packs().size(), 128U);
  EXPECT_EQ(index->runs()[2]->packs().size(), 1U);
  for (const TestChunk& chunk : chunks) {
    ASSERT_EQ(index->find(chunk.id).value().size(), 1U);
  }
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(ChunkWriter, WithoutChunksWritesNothing) {
  ChunkStoreFixture fixture;
  fixture.begin();
  ASSERT_TRUE(fixture.finish());
  EXPECT_THAT(fixture.store().list(fixture.cluster.layout.root()).value(), IsEmpty());
}

// Writes down what reaches the store and what is made durable.
class RecordingStore final : public support::ForwardingStore {
 public:
  RecordingStore(io::ObjectStore& inner, std::vector<std::string>& events)
      : ForwardingStore(inner), events_(events) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    events_.push_back("put " + key);
    return inner().put_if_absent(key, bytes);
  }
  Status make_durable(const std::string& prefix) override {
    events_.push_back("sync " + prefix);
    return inner().make_durable(prefix);
  }

 private:
  std::vector<std::string>& events_;
};

struct RecordedFixture : ChunkStoreFixture {
  RecordedFixture()
      : ChunkStoreFixture([this](io::ObjectStore& inner) {
          return std::make_unique<RecordingStore>(inner, events);
        }) {}

  std::vector<std::string> events;
};

TEST(ChunkWriterDurability, PacksAreDurableBeforeTheRunThatNamesThem) {
  RecordedFixture fixture;
  fixture.begin();
  ASSERT_TRUE(fixture.put(fixture.chunk(pattern(100, 1))));
  ASSERT_TRUE(fixture.finish());
  EXPECT_THAT(fixture.events, ElementsAre("sync clusters/main/packs/20261123T020222Z-F",
                                          "put clusters/main/index/20261123T020222Z-F-1",
                                          "sync clusters/main/index"));
}

TEST(ChunkWriterDurability, AdoptedPacksAndTheirRunsAreMadeDurable) {
  RecordedFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(100, 1));
  fixture.write_run({kOtherLease, 1}, {fixture.write_pack({chunk}, kOtherLease)});
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  fixture.events.clear();
  ASSERT_TRUE(fixture.finish());
  EXPECT_THAT(fixture.events, ElementsAre("sync clusters/main/packs/20261123T030000Z-F",
                                          "sync clusters/main/index"));
}

TEST(ChunkWriterDurability, AdoptedPackWithoutARunIsListedInOursOnceItIsDurable) {
  RecordedFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(100, 1));
  const FinishedPack pack = fixture.write_pack({chunk}, kOtherLease);
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  fixture.events.clear();
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(fixture.events.front(), "sync clusters/main/packs/20261123T030000Z-F");
  EXPECT_EQ(fixture.events.back(), "sync clusters/main/index");
  const IndexRun run = IndexRun::open(fixture.cluster, {kLease, 1}).value();
  ASSERT_EQ(run.packs().size(), 1U);
  EXPECT_EQ(run.packs()[0].ref, pack.ref);
  EXPECT_TRUE(run.find(chunk.id).value());
}

TEST(ChunkWriterDurability, NothingIsSyncedForPacksThatAreNotReferredTo) {
  RecordedFixture fixture;
  fixture.write_pack({fixture.chunk(pattern(100, 1))}, kOtherLease);
  fixture.begin();
  ASSERT_TRUE(fixture.finish());
  EXPECT_THAT(fixture.events, IsEmpty());
}

// Fails one kind of operation on keys that contain a part.
class FailingStore final : public support::ForwardingStore {
 public:
  enum class What { put, create, commit, sync };

  FailingStore(io::ObjectStore& inner, What what, std::string part)
      : ForwardingStore(inner), what_(what), part_(std::move(part)) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(check(What::put, key));
    return inner().put_if_absent(key, bytes);
  }
  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& key) override {
    HAUL_TRY(check(What::create, key));
    auto writer = HAUL_TRY(inner().create(key));
    if (!check(What::commit, key)) return std::make_unique<FailingWriter>(std::move(writer));
    return writer;
  }
  Status make_durable(const std::string& prefix) override {
    HAUL_TRY(check(What::sync, prefix));
    return inner().make_durable(prefix);
  }

 private:
  class FailingWriter final : public io::ObjectWriter {
   public:
    explicit FailingWriter(std::unique_ptr<io::ObjectWriter> inner) : inner_(std::move(inner)) {}
    Status append(ByteSpan bytes) override { return inner_->append(bytes); }
    Status commit() override { return Error(ErrorCode::no_space, "the disk is full"); }

   private:
    const std::unique_ptr<io::ObjectWriter> inner_;
  };

  Status check(What what, const std::string& key) const {
    if (what != what_ || key.find(part_) == std::string::npos) return ok();
    return Error(ErrorCode::no_space, "the disk is full");
  }

  const What what_;
  const std::string part_;
};

class ChunkWriterFailure
    : public ::testing::TestWithParam<std::pair<FailingStore::What, std::string>> {};

TEST_P(ChunkWriterFailure, IsReportedAndNothingIsCalledDone) {
  ChunkStoreFixture fixture([](io::ObjectStore& inner) {
    return std::make_unique<FailingStore>(inner, GetParam().first, GetParam().second);
  });
  fixture.begin();
  const Status stored = fixture.put(fixture.chunk(pattern(100, 1)));
  if (stored) {
    EXPECT_EQ(code_of(fixture.finish()), ErrorCode::no_space);
  } else {
    EXPECT_EQ(code_of(stored), ErrorCode::no_space);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Steps, ChunkWriterFailure,
    ::testing::Values(std::pair{FailingStore::What::create, std::string("/packs/")},
                      std::pair{FailingStore::What::commit, std::string("/packs/")},
                      std::pair{FailingStore::What::sync, std::string("/packs/")},
                      std::pair{FailingStore::What::put, std::string("/index/")},
                      std::pair{FailingStore::What::sync, std::string("/index")}));

TEST(ChunkWriterFailureToAdopt, IsReported) {
  ChunkStoreFixture fixture([](io::ObjectStore& inner) {
    return std::make_unique<FailingStore>(inner, FailingStore::What::sync, kOtherLease);
  });
  const TestChunk chunk = fixture.chunk(pattern(100, 1));
  fixture.write_run({kOtherLease, 1}, {fixture.write_pack({chunk}, kOtherLease)});
  fixture.begin();
  ASSERT_TRUE(fixture.put(chunk));
  EXPECT_EQ(code_of(fixture.finish()), ErrorCode::no_space);
}

TEST(ChunkEncoder, CompressibleChunkIsStoredSmallerAndReadBack) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(std::string(8'000, 'x'));
  fixture.begin(kLease, {compress::Codec::zstd, 3});
  ASSERT_TRUE(fixture.put(chunk));
  ASSERT_TRUE(fixture.finish());
  EXPECT_LT(fixture.writer->pack_table().begin()->second.size_bytes, 500U);
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
}

TEST(ChunkEncoder, MetadataGetsTheIdOfItsKind) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk("leaf", ChunkKind::tree_leaf, kMetadataPageSize);
  fixture.begin();
  EXPECT_EQ(
      fixture.encoder->store_metadata(ChunkKind::tree_leaf, bytes_of("leaf"), *fixture.metadata)
          .value(),
      chunk.id);
  ASSERT_TRUE(fixture.finish());
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), "leaf");
}

TEST(ChunkEncoderDeathTest, MetadataBeyondTheLimitIsABug) {
  ChunkStoreFixture fixture;
  fixture.begin();
  const std::string bytes(kMetadataChunkBytesMax + 1, 'x');
  EXPECT_DEATH(static_cast<void>(fixture.encoder->store_metadata(
                   ChunkKind::tree_leaf, bytes_of(bytes), *fixture.metadata)),
               "kMetadataChunkBytesMax");
}

struct EncodingCheck {
  // Repeats, so that it compresses, but not so soon that another match would do as well.
  std::string source = pattern(1'000, 1) + pattern(1'000, 1) + pattern(1'000, 1);
  std::vector<std::byte> memory =
      std::vector<std::byte>(compress::compressed_size_max(source.size()));
  std::vector<std::byte> scratch;
  compress::Decompressor decompressor;
  compress::Compressed encoded = compress::Compressor::open({compress::Codec::lz4, 0})
                                     .value()
                                     .compress(bytes_of(source), memory)
                                     .value();

  Status check(ByteSpan against) { return check_encoding(encoded, against, decompressor, scratch); }
};

TEST(EncodingCheck, EncodedSourcePasses) {
  EncodingCheck encoding;
  ASSERT_EQ(encoding.encoded.codec, compress::Codec::lz4);
  EXPECT_TRUE(encoding.check(bytes_of(encoding.source)));
}

TEST(EncodingCheck, AnyOtherSourceIsRefused) {
  EncodingCheck encoding;
  std::string other = encoding.source;
  other[2'999] = 'y';
  const Status checked = encoding.check(bytes_of(other));
  ASSERT_EQ(code_of(checked), ErrorCode::io);
  EXPECT_THAT(checked.error().hint(), HasSubstr("memory"));
}

// A few bits of an LZ4 block can change without changing what it decodes to.
TEST(EncodingCheck, FlippedBitOfTheEncodedBytesIsRefusedUnlessItDecodesToTheSource) {
  EncodingCheck encoding;
  std::size_t refused = 0;
  for (std::size_t i = 0; i < encoding.encoded.bytes.size(); ++i) {
    encoding.memory[i] ^= std::byte{4};
    const Status checked = encoding.check(bytes_of(encoding.source));
    encoding.memory[i] ^= std::byte{4};
    if (checked) {
      ASSERT_EQ(text_of(encoding.scratch), encoding.source) << i;
    } else {
      ASSERT_EQ(code_of(checked), ErrorCode::io);
      ++refused;
    }
  }
  EXPECT_GE(refused + 2, encoding.encoded.bytes.size());
}

TEST(EncodingCheck, UnencodedSourceNeedsNoProof) {
  EncodingCheck encoding;
  encoding.encoded = {compress::Codec::none, bytes_of(encoding.source)};
  EXPECT_TRUE(encoding.check(bytes_of(encoding.source)));
  EXPECT_THAT(encoding.scratch, IsEmpty());
}

TEST(EncodingCheck, UnencodedCopyThatDiffersIsRefused) {
  EncodingCheck encoding;
  const std::string copy(3'000, 'y');
  encoding.encoded = {compress::Codec::none, bytes_of(copy)};
  EXPECT_EQ(code_of(encoding.check(bytes_of(encoding.source))), ErrorCode::io);
}

TEST(ChunkReader, UnknownChunkIsCorruptAndSaysSo) {
  ChunkStoreFixture fixture;
  const auto read = fixture.read(fixture.chunk(pattern(100, 1)));
  ASSERT_EQ(code_of(read), ErrorCode::corrupt);
  EXPECT_THAT(read.error().message(), HasSubstr("no pack holds it"));
}

TEST(ChunkReader, AnotherCopyStandsInForADamagedOne) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack sound = fixture.write_pack({chunk});
  const FinishedPack damaged = fixture.write_pack({chunk}, kOtherLease);
  fixture.write_run({kLease, 1}, {sound});
  fixture.write_run({kOtherLease, 1}, {damaged});
  const std::string key = fixture.cluster.layout.pack(damaged.ref);
  fixture.damage(key, kPackHeaderBytes + kChunkFrameBytes);
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr(key)));
}

TEST(ChunkReader, CopyInAPackWithoutARunStandsInForADamagedOne) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack damaged = fixture.write_pack({chunk});
  fixture.write_run({kLease, 1}, {damaged});
  fixture.write_pack({chunk}, kOtherLease);
  fixture.damage(fixture.cluster.layout.pack(damaged.ref), kPackHeaderBytes + kChunkFrameBytes);
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
}

TEST(ChunkReader, MissingPackIsNamedInTheFailure) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack pack = fixture.write_pack({chunk});
  fixture.write_run({kLease, 1}, {pack});
  const std::string key = fixture.cluster.layout.pack(pack.ref);
  ASSERT_TRUE(fixture.store().remove(key));
  const auto read = fixture.read(chunk);
  ASSERT_EQ(code_of(read), ErrorCode::corrupt);
  EXPECT_THAT(read.error().message(), HasSubstr(key));
}

TEST(ChunkReader, EveryDamagedCopyIsNamedInTheFailure) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  std::vector<std::string> keys;
  for (const std::string& lease : {kLease, kOtherLease}) {
    const FinishedPack pack = fixture.write_pack({chunk}, lease);
    fixture.write_run({lease, 1}, {pack});
    keys.push_back(fixture.cluster.layout.pack(pack.ref));
    fixture.damage(keys.back(), kPackHeaderBytes + kChunkFrameBytes);
  }
  const auto read = fixture.read(chunk);
  ASSERT_EQ(code_of(read), ErrorCode::corrupt);
  for (const std::string& key : keys) EXPECT_THAT(read.error().message(), HasSubstr(key));
}

// Of every read at one place it spoils the first.
class SpoilingStore final : public support::ForwardingStore {
 public:
  SpoilingStore(io::ObjectStore& inner, std::uint64_t offset)
      : ForwardingStore(inner), offset_(offset) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    return std::make_unique<SpoilingReader>(HAUL_TRY(inner().open(key)), offset_);
  }

 private:
  class SpoilingReader final : public io::ObjectReader {
   public:
    SpoilingReader(std::unique_ptr<io::ObjectReader> inner, std::uint64_t offset)
        : inner_(std::move(inner)), offset_(offset) {}
    std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
    Status read_at(std::uint64_t offset, MutableByteSpan into) override {
      HAUL_TRY(inner_->read_at(offset, into));
      if (offset == offset_ && !std::exchange(spoiled_, true)) into[0] ^= std::byte{1};
      return ok();
    }

   private:
    const std::unique_ptr<io::ObjectReader> inner_;
    const std::uint64_t offset_;
    bool spoiled_ = false;
  };

  const std::uint64_t offset_;
};

TEST(ChunkReader, ReadsAgainWhatCameBackWrong) {
  ChunkStoreFixture fixture([](io::ObjectStore& inner) {
    return std::make_unique<SpoilingStore>(inner, kPackHeaderBytes + kChunkFrameBytes);
  });
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  fixture.write_run({kLease, 1}, {fixture.write_pack({chunk})});
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
  EXPECT_EQ(fixture.findings.lines().size(), 1U);  // it is told all the same
}

TEST(ChunkReader, WrongOrdinalOfARunIsMadeUpForByThePack) {
  ChunkStoreFixture fixture;
  const TestChunk first = fixture.chunk(pattern(2'000, 1));
  const TestChunk second = fixture.chunk(pattern(2'000, 2));
  FinishedPack pack = fixture.write_pack({first, second});
  std::swap(pack.chunks[0], pack.chunks[1]);
  fixture.write_run({kLease, 1}, {pack});
  EXPECT_EQ(text_of(*fixture.read(second).value()), second.bytes);
}

TEST(ChunkReader, PackThatDoesNotHoldWhatItsRunSaysIsCorrupt) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  FinishedPack pack = fixture.write_pack({fixture.chunk(pattern(2'000, 2))});
  pack.chunks[0] = chunk.id;
  fixture.write_run({kLease, 1}, {pack});
  const auto read = fixture.read(chunk);
  ASSERT_EQ(code_of(read), ErrorCode::corrupt);
  EXPECT_THAT(read.error().message(), HasSubstr("the chunk is not in this pack"));
}

TEST(ChunkReader, ChunkOfAnotherKindOrBeyondTheLimitIsCorrupt) {
  ChunkStoreFixture fixture;
  TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  fixture.write_run({kLease, 1}, {fixture.write_pack({chunk})});
  EXPECT_TRUE(fixture.read(chunk, 2'000));
  EXPECT_EQ(code_of(fixture.read(chunk, 1'999)), ErrorCode::corrupt);
  chunk.kind = ChunkKind::tree_leaf;
  EXPECT_EQ(code_of(fixture.read(chunk)), ErrorCode::corrupt);
}

// Objects under some keys cannot be opened.
class UnreadableStore final : public support::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  std::set<std::string> failing;
  std::chrono::milliseconds delay{0};
  std::atomic<std::size_t> opened = 0;

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    ++opened;
    std::this_thread::sleep_for(delay);
    if (failing.contains(key)) return Error(ErrorCode::io, "cannot read " + key);
    return inner().open(key);
  }
};

struct FailingPacks : ChunkStoreFixture {
  FailingPacks()
      : ChunkStoreFixture(
            [](io::ObjectStore& inner) { return std::make_unique<UnreadableStore>(inner); }) {}

  void fail(const FinishedPack& pack) {
    dynamic_cast<UnreadableStore&>(store()).failing.insert(cluster.layout.pack(pack.ref));
  }
};

TEST(ChunkReader, AnotherCopyStandsInForOneThatCannotBeRead) {
  FailingPacks fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack sound = fixture.write_pack({chunk});
  const FinishedPack failing = fixture.write_pack({chunk}, kOtherLease);
  fixture.write_run({kLease, 1}, {sound});
  fixture.write_run({kOtherLease, 1}, {failing});
  fixture.fail(failing);
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("cannot read")));
}

TEST(ChunkReader, CopyThatCannotBeReadIsNotCalledLost) {
  FailingPacks fixture;
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack failing = fixture.write_pack({chunk});
  const FinishedPack damaged = fixture.write_pack({chunk}, kOtherLease);
  fixture.write_run({kLease, 1}, {failing});
  fixture.write_run({kOtherLease, 1}, {damaged});
  fixture.damage(fixture.cluster.layout.pack(damaged.ref), kPackHeaderBytes + kChunkFrameBytes);
  fixture.fail(failing);
  EXPECT_EQ(code_of(fixture.read(chunk)), ErrorCode::io);
}

// Two packs that a run lists, the second with the chunks of the first and one more.
struct FoundChunks : FailingPacks {
  FoundChunks() {
    first = write_pack({chunks[0], chunks[1]});
    second = write_pack({chunks[0], chunks[1], chunks[2]}, kOtherLease);
    write_run({kLease, 1}, {first});
    write_run({kOtherLease, 1}, {second});
    fresh = Index::open(cluster, findings).value();
    reader.emplace(cluster, *fresh, findings);
  }
  std::optional<StoredChunk> find(const TestChunk& chunk) {
    return reader->find(chunk.id, 8 * 1024).value();
  }

  const std::array<TestChunk, 3> chunks{chunk(pattern(2'000, 1)), chunk(pattern(2'000, 2)),
                                        chunk(pattern(2'000, 3))};
  FinishedPack first;
  FinishedPack second;
  std::unique_ptr<Index> fresh;
  std::optional<ChunkReader> reader;
};

TEST(ChunkReaderFind, TellsWhereAChunkLies) {
  FoundChunks fixture;
  const auto found = fixture.find(fixture.chunks[2]);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pack->ref(), fixture.second.ref);
  EXPECT_EQ(found->ordinal, 2U);
  EXPECT_EQ(found->chunk().id, fixture.chunks[2].id);
}

TEST(ChunkReaderFind, PackThatIsOpenIsPreferred) {
  FoundChunks fixture;
  fixture.reader->open_ahead(fixture.first.ref);
  const auto found = fixture.find(fixture.chunks[1]);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pack->ref(), fixture.first.ref);
  EXPECT_EQ(found->ordinal, 1U);
  EXPECT_EQ(fixture.find(fixture.chunks[2])->pack->ref(), fixture.second.ref);
  EXPECT_EQ(fixture.find(fixture.chunks[0])->pack->ref(), fixture.first.ref);
}

TEST(ChunkReaderFind, ChunkOfAnOpenPackNeedsNoIndex) {
  ChunkStoreFixture fixture;
  const auto empty = Index::open(fixture.cluster, fixture.findings).value();
  ASSERT_TRUE(empty->load_packs_without_run());
  const TestChunk chunk = fixture.chunk(pattern(2'000, 1));
  const FinishedPack pack = fixture.write_pack({chunk});
  ChunkReader reader(fixture.cluster, *empty, fixture.findings);
  EXPECT_FALSE(reader.find(chunk.id, 8 * 1024).value().has_value());
  reader.open_ahead(pack.ref);
  EXPECT_EQ(reader.find(chunk.id, 8 * 1024).value()->pack->ref(), pack.ref);
  EXPECT_EQ(text_of(*reader.read(chunk.kind, chunk.id, 8 * 1024).value()), chunk.bytes);
}

TEST(ChunkReaderFind, PackThatCannotBeOpenedAheadIsMetAgain) {
  FoundChunks fixture;
  fixture.fail(fixture.second);
  fixture.reader->open_ahead(fixture.second.ref);
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
  EXPECT_FALSE(fixture.find(fixture.chunks[2]).has_value());
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("cannot read")));
}

TEST(ChunkReaderFind, PackThatCannotBeReadIsPassedOverAndReported) {
  FoundChunks fixture;
  fixture.fail(fixture.second);
  EXPECT_EQ(fixture.find(fixture.chunks[0])->pack->ref(), fixture.first.ref);
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("cannot read")));
}

TEST(ChunkReaderFind, ChunkNobodyHasOrOfAnotherSizeIsNotFound) {
  FoundChunks fixture;
  EXPECT_FALSE(fixture.find(fixture.chunk(pattern(100, 9))).has_value());
  EXPECT_FALSE(fixture.reader->find(fixture.chunks[0].id, 1'000).value().has_value());
  EXPECT_TRUE(fixture.find(fixture.chunks[0]).has_value());
  EXPECT_FALSE(fixture.reader->find(fixture.chunks[0].id, 1'000).value().has_value());
}

// Until so many of the chunks are found in a pack that is open; false: not within ten seconds.
bool are_opened(ChunkReader& reader, const std::vector<TestChunk>& chunks, std::size_t count) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  const auto is_open = [&](const TestChunk& chunk) {
    return reader.find(chunk.id, kChunkBytesMax).value().has_value();
  };
  while (std::cmp_less(std::ranges::count_if(chunks, is_open), count)) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct PacksToOpen : FailingPacks {
  explicit PacksToOpen(std::size_t count) {
    empty = Index::open(cluster, findings).value();
    HAUL_ASSERT(empty->load_packs_without_run());
    for (std::size_t i = 0; i < count; ++i) {
      chunks.push_back(chunk(pattern(100, i)));
      packs.push_back(write_pack({chunks.back()}));
      refs.push_back(packs.back().ref);
    }
    reader.emplace(cluster, *empty, findings);
  }

  std::unique_ptr<Index> empty;
  std::vector<TestChunk> chunks;
  std::vector<FinishedPack> packs;
  std::vector<PackRef> refs;
  std::optional<ChunkReader> reader;
};

TEST(PackOpener, OpensWhatItIsGiven) {
  PacksToOpen fixture(20);
  const PackOpener opener(*fixture.reader, fixture.refs);
  EXPECT_TRUE(are_opened(*fixture.reader, fixture.chunks, fixture.chunks.size()));
}

TEST(PackOpener, PassesOverWhatCannotBeOpened) {
  PacksToOpen fixture(20);
  fixture.fail(fixture.packs[3]);
  const PackOpener opener(*fixture.reader, fixture.refs);
  fixture.chunks.erase(fixture.chunks.begin() + 3);
  EXPECT_TRUE(are_opened(*fixture.reader, fixture.chunks, fixture.chunks.size()));
  EXPECT_THAT(fixture.findings.lines(), IsEmpty());
}

TEST(PackOpener, OpensTheLastOnesAndLeavesRoomForOthers) {
  PacksToOpen fixture(ChunkReader::kOpenPacksMax / 2 + 20);
  const PackOpener opener(*fixture.reader, fixture.refs);
  const TestChunk first = fixture.chunks[0];
  fixture.chunks.erase(fixture.chunks.begin(), fixture.chunks.begin() + 20);
  // Some are left out where there was just room for what other threads were opening.
  EXPECT_TRUE(are_opened(*fixture.reader, fixture.chunks, ChunkReader::kOpenPacksMax / 2 - 40));
  EXPECT_FALSE(fixture.reader->find(first.id, kChunkBytesMax).value().has_value());
}

TEST(PackOpener, LeavesOffWhenItIsDestroyed) {
  PacksToOpen fixture(100);
  auto& packs = dynamic_cast<UnreadableStore&>(fixture.store());
  packs.opened = 0;
  packs.delay = std::chrono::milliseconds(20);
  {
    const PackOpener opener(*fixture.reader, fixture.refs);
  }
  EXPECT_LT(packs.opened, 100U);
}

TEST(ChunkReader, MorePacksThanItKeepsOpenAreAllRead) {
  ChunkStoreFixture fixture;
  std::vector<TestChunk> chunks;
  std::vector<FinishedPack> packs;
  for (std::uint64_t i = 0; i < ChunkReader::kOpenPacksMax + 6; ++i) {
    chunks.push_back(fixture.chunk(pattern(100, i)));
    packs.push_back(fixture.write_pack({chunks.back()}));
  }
  fixture.write_run({kLease, 1}, packs);
  const auto index = Index::open(fixture.cluster, fixture.findings).value();
  ChunkReader reader(fixture.cluster, *index, fixture.findings);
  for (int round = 0; round < 2; ++round) {
    for (const TestChunk& chunk : chunks) {
      ASSERT_EQ(text_of(*reader.read(chunk.kind, chunk.id, 100).value()), chunk.bytes);
    }
  }
}

TEST(ChunkReader, DamagedFooterIsAFindingAndTheChunkIsRead) {
  ChunkStoreFixture fixture;
  const TestChunk chunk = fixture.chunk(pattern(100, 1));
  const FinishedPack pack = fixture.write_pack({chunk});
  fixture.write_run({kLease, 1}, {pack});
  fixture.damage(fixture.cluster.layout.pack(pack.ref), pack.size_bytes - 1);
  EXPECT_EQ(text_of(*fixture.read(chunk).value()), chunk.bytes);
  EXPECT_THAT(fixture.findings.lines(), ElementsAre(HasSubstr("footer checksum")));
}

}  // namespace
}  // namespace haul::repository
