#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/pack_reader.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::ElementsAre;
using testing::encoded;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLease;
using testing::RepositoryFixture;
using testing::TestChunk;

struct PackFixture : RepositoryFixture {
  std::vector<TestChunk> chunks{chunk(pattern(3'000, 1)), chunk(pattern(8'192, 2)),
                                chunk("leaf", ChunkKind::tree_leaf, kMetadataPageSize)};
  FinishedPack pack = write_pack(chunks);
  std::string key = cluster.layout.pack(pack.ref);

  PackReader open() const { return PackReader::open(cluster, pack.ref).value(); }
  std::vector<std::string> find_damage() const { return open().find_damage().value(); }
  std::string read(const PackReader& reader, std::size_t ordinal) const {
    std::string bytes(reader.chunks()[ordinal].raw_bytes, '\0');
    compress::Decompressor decompressor;
    HAUL_ASSERT(reader.read_chunk(ordinal, decompressor, std::as_writable_bytes(std::span(bytes)))
                    .has_value());
    return bytes;
  }
  std::size_t footer_offset() const {
    return get(key).size() - kPackTrailerBytes - 3 * 52 - 12 * 8;
  }
  // Rewrites the trailer's checksum, so that what the footer says is all that is wrong.
  void seal_footer() const {
    std::vector<std::byte> bytes = get(key);
    compress::Checksummer sum;
    const std::size_t end = bytes.size() - 16;
    sum.update(pack.ref.name.bytes)
        .update(ByteSpan(bytes).subspan(footer_offset(), end - footer_offset()));
    std::ranges::copy(sum.finish().bytes, bytes.begin() + static_cast<std::ptrdiff_t>(end));
    overwrite(key, bytes);
  }
  void set_footer_byte(std::size_t offset, std::uint8_t value) const {
    std::vector<std::byte> bytes = get(key);
    bytes.at(footer_offset() + offset) = std::byte{value};
    overwrite(key, bytes);
    seal_footer();
  }
};

TEST(Pack, ChunksComeBackInOrder) {
  const PackFixture fixture;
  const PackReader reader = fixture.open();
  ASSERT_EQ(reader.chunks().size(), 3U);
  EXPECT_EQ(reader.source(), PackReader::Source::footer);
  EXPECT_THAT(reader.footer_damage(), IsEmpty());
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reader.chunks()[i].id, fixture.chunks[i].id);
    EXPECT_EQ(reader.chunks()[i].kind, fixture.chunks[i].kind);
    EXPECT_EQ(fixture.read(reader, i), fixture.chunks[i].bytes);
  }
}

TEST(Pack, FinishedPackStatesSizeAndChunks) {
  const PackFixture fixture;
  EXPECT_EQ(fixture.pack.size_bytes, fixture.get(fixture.key).size());
  EXPECT_THAT(fixture.pack.chunks,
              ElementsAre(fixture.chunks[0].id, fixture.chunks[1].id, fixture.chunks[2].id));
  EXPECT_EQ(fixture.pack.ref.lease, kLease);
}

TEST(Pack, TagsAreThoseOfThePages) {
  const PackFixture fixture;
  EXPECT_THAT(fixture.open().chunks()[0].tags,
              ElementsAre(fixture.chunks[0].digests[0].tag(), fixture.chunks[0].digests[1].tag(),
                          fixture.chunks[0].digests[2].tag()));
}

TEST(Pack, WriterCountsWhatThePackWillTake) {
  RepositoryFixture fixture;
  PackWriter writer = PackWriter::open(fixture.cluster, kLease, fixture.random).value();
  EXPECT_EQ(writer.size_bytes(), kPackBytesMin);
  EXPECT_EQ(writer.append(encoded(fixture.chunk(pattern(1'500, 1)))).value(), 0U);
  EXPECT_EQ(writer.append(encoded(fixture.chunk(pattern(10, 2)))).value(), 1U);
  const std::uint64_t announced = writer.size_bytes();
  EXPECT_EQ(announced, kPackBytesMin + 1'510 + 2 * (kChunkFrameBytes + kFooterEntryBytes) + 3 * 8);
  EXPECT_EQ(writer.finish().value().size_bytes, announced);
}

TEST(Pack, WithoutChunksIsSound) {
  RepositoryFixture fixture;
  const FinishedPack pack = fixture.write_pack({});
  EXPECT_EQ(pack.size_bytes, kPackBytesMin);
  const PackReader reader = PackReader::open(fixture.cluster, pack.ref).value();
  EXPECT_THAT(reader.chunks(), IsEmpty());
  EXPECT_THAT(reader.find_damage().value(), IsEmpty());
}

TEST(Pack, SoundPackHasNoFindings) { EXPECT_THAT(PackFixture().find_damage(), IsEmpty()); }

TEST(Pack, AbsentIsNotFound) {
  const RepositoryFixture fixture;
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, {kLease, {}})), ErrorCode::not_found);
}

TEST(Pack, TooShortToBeOneIsCorrupt) {
  const PackFixture fixture;
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  bytes.resize(kPackBytesMin - 1);
  fixture.overwrite(fixture.key, bytes);
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, fixture.pack.ref)), ErrorCode::corrupt);
}

// A store with one object that claims a size.
class SizedStore final : public support::ForwardingStore {
 public:
  SizedStore(io::ObjectStore& inner, std::uint64_t size_bytes)
      : ForwardingStore(inner), size_bytes_(size_bytes) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string&) override {
    return std::make_unique<Sized>(size_bytes_);
  }

 private:
  class Sized final : public io::ObjectReader {
   public:
    explicit Sized(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}
    std::uint64_t size_bytes() const override { return size_bytes_; }
    Status read_at(std::uint64_t, MutableByteSpan) override {
      return Error(ErrorCode::io, "this was read");
    }

   private:
    const std::uint64_t size_bytes_;
  };

  const std::uint64_t size_bytes_;
};

TEST(Pack, TooLongToBeOneIsCorruptBeforeAnythingIsRead) {
  const RepositoryFixture fixture([](io::ObjectStore& inner) {
    return std::make_unique<SizedStore>(inner, kPackBytesMax + 1);
  });
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, {kLease, {}})), ErrorCode::corrupt);
}

TEST(Pack, ThatTheStoreCannotReadIsNoDamage) {
  const RepositoryFixture fixture(
      [](io::ObjectStore& inner) { return std::make_unique<SizedStore>(inner, kPackBytesMax); });
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, {kLease, {}})), ErrorCode::io);
}

TEST(Pack, OfAnotherRepositoryIsFound) {
  PackFixture fixture;
  fixture.cluster.repository.bytes[0] ^= std::byte{1};
  EXPECT_THAT(fixture.find_damage(), ElementsAre(HasSubstr("belongs to another repository")));
}

TEST(Pack, OfAnotherRepositoryWithoutAFooterIsRefused) {
  PackFixture fixture;
  fixture.damage(fixture.key, fixture.footer_offset());
  fixture.cluster.repository.bytes[0] ^= std::byte{1};
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, fixture.pack.ref)), ErrorCode::corrupt);
}

TEST(Pack, UnderAnotherNameIsRefused) {
  const PackFixture fixture;
  const PackRef moved{kLease, {}};
  ASSERT_TRUE(
      fixture.store().put_if_absent(fixture.cluster.layout.pack(moved), fixture.get(fixture.key)));
  const auto opened = PackReader::open(fixture.cluster, moved);
  ASSERT_EQ(code_of(opened), ErrorCode::corrupt);
  EXPECT_THAT(opened.error().message(), HasSubstr("bears another pack's name"));
}

TEST(Pack, DamagedFooterIsReplacedByTheFrames) {
  const PackFixture fixture;
  fixture.damage(fixture.key, fixture.footer_offset() + 3);
  const PackReader reader = fixture.open();
  EXPECT_EQ(reader.source(), PackReader::Source::frames);
  EXPECT_THAT(reader.footer_damage(), HasSubstr("footer checksum does not match"));
  ASSERT_EQ(reader.chunks().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reader.chunks()[i].id, fixture.chunks[i].id);
    EXPECT_EQ(fixture.read(reader, i), fixture.chunks[i].bytes);
    EXPECT_EQ(reader.chunks()[i].tags.size(), fixture.chunks[i].digests.size());
  }
  EXPECT_THAT(fixture.find_damage(), ElementsAre(HasSubstr("footer checksum does not match")));
}

TEST(Pack, CutBehindItsChunksIsReadByTheFrames) {
  const PackFixture fixture;
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  bytes.resize(fixture.footer_offset() + 5);
  fixture.overwrite(fixture.key, bytes);
  const PackReader reader = fixture.open();
  EXPECT_EQ(reader.source(), PackReader::Source::frames);
  EXPECT_EQ(reader.chunks().size(), 3U);
}

TEST(Pack, CutInsideAChunkYieldsTheChunksBefore) {
  const PackFixture fixture;
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  bytes.resize(kPackHeaderBytes + kChunkFrameBytes + 3'000 + kChunkFrameBytes + 100);
  fixture.overwrite(fixture.key, bytes);
  const PackReader reader = fixture.open();
  ASSERT_EQ(reader.chunks().size(), 1U);
  EXPECT_EQ(fixture.read(reader, 0), fixture.chunks[0].bytes);
}

TEST(Pack, DamagedFooterAndFrameYieldTheChunksBefore) {
  const PackFixture fixture;
  fixture.damage(fixture.key, fixture.footer_offset());
  fixture.damage(fixture.key, kPackHeaderBytes + kChunkFrameBytes + 3'000);
  EXPECT_EQ(fixture.open().chunks().size(), 1U);
}

TEST(Pack, WalkKeepsThePlaceOfAChunkThatDoesNotDecode) {
  RepositoryFixture fixture;
  auto compressor = compress::Compressor::open({compress::Codec::zstd, 1}).value();
  const TestChunk packed = fixture.chunk(std::string(4'000, 'x'));
  std::vector<std::byte> memory(compress::compressed_size_max(packed.bytes.size()));
  const auto compressed = compressor.compress(bytes_of(packed.bytes), memory).value();
  EncodedChunk first = encoded(packed);
  first.codec = compressed.codec;
  first.stored = compressed.bytes;
  const TestChunk second = fixture.chunk(pattern(2'000, 1));
  PackWriter writer = PackWriter::open(fixture.cluster, kLease, fixture.random).value();
  ASSERT_TRUE(writer.append(first));
  ASSERT_TRUE(writer.append(encoded(second)));
  const FinishedPack pack = writer.finish().value();
  const std::string key = fixture.cluster.layout.pack(pack.ref);
  fixture.damage(key, kPackHeaderBytes + kChunkFrameBytes);
  fixture.damage(key, pack.size_bytes - 1);

  const PackReader reader = PackReader::open(fixture.cluster, pack.ref).value();
  ASSERT_EQ(reader.chunks().size(), 2U);
  EXPECT_TRUE(reader.chunks()[0].id.is_zero());
  EXPECT_EQ(reader.chunks()[1].id, second.id);
}

TEST(Pack, DamagedHeaderDoesNotKeepFromReading) {
  const PackFixture fixture;
  fixture.damage(fixture.key, kObjectHeaderBytes);
  EXPECT_EQ(fixture.read(fixture.open(), 1), fixture.chunks[1].bytes);
  EXPECT_THAT(fixture.find_damage(), ElementsAre(HasSubstr("header checksum does not match"),
                                                 HasSubstr("data checksum does not match")));
}

TEST(Pack, DamagedChunkIsCorruptWhenItIsReadAndTheOthersAreNot) {
  const PackFixture fixture;
  fixture.damage(fixture.key, kPackHeaderBytes + kChunkFrameBytes + 7);
  const PackReader reader = fixture.open();
  std::vector<std::byte> raw(3'000);
  compress::Decompressor decompressor;
  const Status read = reader.read_chunk(0, decompressor, raw);
  ASSERT_EQ(code_of(read), ErrorCode::corrupt);
  EXPECT_THAT(read.error().message(), HasSubstr(fixture.key));
  EXPECT_EQ(fixture.read(reader, 1), fixture.chunks[1].bytes);
  EXPECT_THAT(reader.find_damage().value(), ElementsAre(HasSubstr("data checksum does not match"),
                                                        HasSubstr("chunk 0 is not what its id")));
}

TEST(Pack, DamagedFrameDoesNotKeepFromReading) {
  const PackFixture fixture;
  fixture.damage(fixture.key, kPackHeaderBytes + 2);
  EXPECT_EQ(fixture.read(fixture.open(), 0), fixture.chunks[0].bytes);
  EXPECT_THAT(fixture.find_damage(),
              ElementsAre(HasSubstr("data checksum does not match"), HasSubstr("frame")));
}

// Chunk 0 has pages of 1024, 1024 and 952 bytes, chunk 1 eight of 1024.
struct PartsFixture : PackFixture {
  using Parts = std::vector<PackReader::Part>;

  PackReader reader = open();
  std::vector<std::byte> raw;  // what was decoded last

  std::uint64_t offset_of(std::size_t ordinal, std::uint64_t at) const {
    return reader.chunks()[ordinal].offset + at;
  }
  void damage_chunk(std::size_t ordinal, std::uint64_t at) const {
    damage(key, offset_of(ordinal, at));
  }
  Status decode(std::size_t ordinal, const Parts& parts) {
    const PackedChunk& chunk = reader.chunks()[ordinal];
    const std::vector<std::byte> bytes = get(key);
    raw.assign(chunk.raw_bytes, std::byte{0});
    compress::Decompressor decompressor;
    return reader.decode_parts(ordinal, ByteSpan(bytes).subspan(chunk.offset, chunk.stored_bytes),
                               decompressor, raw, parts);
  }
  // What is wrong with it; empty when nothing is.
  std::string complaint(std::size_t ordinal, const Parts& parts) {
    const Status decoded = decode(ordinal, parts);
    if (decoded) return "";
    EXPECT_EQ(code_of(decoded), ErrorCode::corrupt);
    EXPECT_THAT(decoded.error().message(), HasSubstr(key));
    return decoded.error().message();
  }
};

TEST(PackParts, OfASoundChunkAreDecoded) {
  PartsFixture fixture;
  EXPECT_EQ(fixture.complaint(1, {{0, 2'048}, {7'168, 1'024}}), "");
  EXPECT_EQ(text_of(fixture.raw), fixture.chunks[1].bytes);
  EXPECT_EQ(fixture.complaint(1, {{0, 8'192}}), "");
  EXPECT_EQ(fixture.complaint(1, {}), "");
}

TEST(PackParts, DamagedPageOfOneIsCorrupt) {
  for (const std::uint64_t at : {2'048U, 3'000U, 4'095U}) {
    PartsFixture fixture;
    fixture.damage_chunk(1, at);
    const std::size_t page = at / 1'024;
    EXPECT_THAT(fixture.complaint(1, {{2'048, 2'048}}),
                HasSubstr(format("page {} of chunk 1 is not what its tag says", page)));
    EXPECT_THAT(fixture.complaint(1, {{0, 1'024}, {1'024 * page, 1'024}}),
                HasSubstr(format("page {} of chunk 1", page)));
  }
}

TEST(PackParts, DamagedPageThatIsNotWantedDoesNotMatter) {
  PartsFixture fixture;
  for (const std::uint64_t at : {2'047U, 4'096U, 8'191U}) fixture.damage_chunk(1, at);
  EXPECT_EQ(fixture.complaint(1, {{2'048, 2'048}, {5'120, 1'024}}), "");
  const std::string raw(text_of(fixture.raw));
  EXPECT_EQ(raw.substr(2'048, 2'048), fixture.chunks[1].bytes.substr(2'048, 2'048));
  EXPECT_EQ(raw.substr(5'120, 1'024), fixture.chunks[1].bytes.substr(5'120, 1'024));
}

TEST(PackParts, PageInThePlaceOfAnotherIsCorrupt) {
  PartsFixture fixture;
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(fixture.offset_of(1, 0));
  std::copy(first, first + 1'024, first + 1'024);
  fixture.overwrite(fixture.key, bytes);
  EXPECT_EQ(fixture.complaint(1, {{0, 1'024}}), "");
  EXPECT_THAT(fixture.complaint(1, {{1'024, 1'024}}), HasSubstr("page 1 of chunk 1"));
}

TEST(PackParts, ShortLastPageIsVerifiedAsFarAsItReaches) {
  PartsFixture fixture;
  EXPECT_EQ(fixture.complaint(0, {{2'048, 952}}), "");
  EXPECT_EQ(fixture.complaint(0, {{1'024, 1'976}}), "");
  fixture.damage_chunk(0, 2'999);
  EXPECT_THAT(fixture.complaint(0, {{2'048, 952}}), HasSubstr("page 2 of chunk 0"));
  EXPECT_THAT(fixture.complaint(0, {{1'024, 1'976}}), HasSubstr("page 2 of chunk 0"));
  EXPECT_EQ(fixture.complaint(0, {{1'024, 1'024}}), "");
}

TEST(PackParts, OneThatReachesBeyondTheChunkIsCorrupt) {
  PartsFixture fixture;
  const PackReader::Part beyond[] = {{0, 3'001}, {2'048, 953},        {3'072, 0},
                                     {3'072, 1}, {1'024, UINT64_MAX}, {UINT64_MAX - 1'023, 1'024}};
  for (const PackReader::Part& part : beyond) {
    EXPECT_THAT(fixture.complaint(0, {part}), HasSubstr("chunk 0 is too short")) << part.offset;
    EXPECT_THAT(fixture.complaint(0, {{0, 1'024}, part}), HasSubstr("chunk 0 is too short"));
  }
}

TEST(PackParts, OfAChunkThatDoesNotDecodeAreCorrupt) {
  RepositoryFixture fixture;
  auto compressor = compress::Compressor::open({compress::Codec::zstd, 1}).value();
  const TestChunk packed = fixture.chunk(std::string(4'096, 'x'));
  std::vector<std::byte> memory(compress::compressed_size_max(packed.bytes.size()));
  const auto compressed = compressor.compress(bytes_of(packed.bytes), memory).value();
  EncodedChunk chunk = encoded(packed);
  chunk.codec = compressed.codec;
  chunk.stored = compressed.bytes;
  PackWriter writer = PackWriter::open(fixture.cluster, kLease, fixture.random).value();
  ASSERT_TRUE(writer.append(chunk));
  const PackReader reader = PackReader::open(fixture.cluster, writer.finish().value().ref).value();
  std::vector<std::byte> raw(4'096);
  compress::Decompressor decompressor;
  const PackReader::Part parts[] = {{1'024, 1'024}};
  std::vector<std::byte> stored(compressed.bytes.begin(), compressed.bytes.end());
  EXPECT_TRUE(reader.decode_parts(0, stored, decompressor, raw, parts));
  EXPECT_EQ(text_of(raw), packed.bytes);
  stored[0] ^= std::byte{1};
  const Status decoded = reader.decode_parts(0, stored, decompressor, raw, parts);
  ASSERT_EQ(code_of(decoded), ErrorCode::corrupt);
  EXPECT_THAT(decoded.error().message(), HasSubstr("chunk 0"));
}

// A footer is bound to its pack by the name in its checksum; these have a good checksum and say
// what cannot be. Offsets are within the first entry: id 0, offset 32, stored 40, raw 44, codec 48,
// kind 49, page size 50, reserved 51.
class HostileFooter : public ::testing::TestWithParam<std::pair<std::size_t, std::uint8_t>> {};

TEST_P(HostileFooter, IsFoundAndTheFramesAreUsed) {
  const PackFixture fixture;
  fixture.set_footer_byte(GetParam().first, GetParam().second);
  const PackReader reader = fixture.open();
  EXPECT_EQ(reader.source(), PackReader::Source::frames);
  EXPECT_EQ(reader.chunks().size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(
    Entries, HostileFooter,
    ::testing::Values(std::pair{32, 99},      // begins a byte early
                      std::pair{32, 101},     // begins a byte late: the byte before belongs to none
                      std::pair{39, 255},     // begins far outside
                      std::pair{43, 127},     // stored bytes reach outside
                      std::pair{40, 0},       // stored and raw length differ without a codec
                      std::pair{47, 1},       // decodes to more than any chunk may
                      std::pair{49, 0},       // no kind
                      std::pair{49, 6},       // no kind
                      std::pair{49, 2},       // metadata in pages of another size
                      std::pair{50, 9},       // page size below the least
                      std::pair{50, 16},      // page size above the largest
                      std::pair{50, 13},      // another number of pages than there are tags
                      std::pair{51, 1},       // reserved
                      std::pair{52 + 32, 0},  // the second chunk overlaps the first
                      std::pair{3 * 52 + 12 * 8 + 8, 0},    // trailer: footer offset
                      std::pair{3 * 52 + 12 * 8 + 16, 0},   // trailer: pack size
                      std::pair{3 * 52 + 12 * 8 + 24, 2},   // trailer: number of chunks
                      std::pair{3 * 52 + 12 * 8 + 28, 11},  // trailer: number of tags
                      std::pair{3 * 52 + 12 * 8 + 31, 255}));

// The last chunk is 4 bytes long; its entry is the third.
TEST(PackFooter, ThatLeavesBytesBehindTheLastChunkOutIsFound) {
  const PackFixture fixture;
  fixture.set_footer_byte(2 * 52 + 40, 3);
  fixture.set_footer_byte(2 * 52 + 44, 3);
  const PackReader reader = fixture.open();
  EXPECT_THAT(reader.footer_damage(), HasSubstr("belong to no chunk"));
}

TEST(PackFooter, ThatLeavesBytesBeforeAChunkOutIsFound) {
  const PackFixture fixture;
  const std::uint64_t offset = fixture.open().chunks()[2].offset;
  fixture.set_footer_byte(2 * 52 + 32, static_cast<std::uint8_t>(offset + 1));
  fixture.set_footer_byte(2 * 52 + 40, 3);
  fixture.set_footer_byte(2 * 52 + 44, 3);
  const PackReader reader = fixture.open();
  EXPECT_THAT(reader.footer_damage(), HasSubstr("does not follow the one before it"));
}

TEST(PackFooter, OfAnUnknownCodecIsUnsupported) {
  const PackFixture fixture;
  fixture.set_footer_byte(48, 9);
  EXPECT_EQ(code_of(PackReader::open(fixture.cluster, fixture.pack.ref)), ErrorCode::unsupported);
}

TEST(PackFooter, ThatNamesAnotherIdIsFound) {
  const PackFixture fixture;
  fixture.set_footer_byte(0, 1);
  EXPECT_THAT(fixture.find_damage(), ElementsAre(HasSubstr("chunk 0 is not what its id")));
}

TEST(PackFooter, ThatStatesAnotherTagIsFound) {
  const PackFixture fixture;
  fixture.set_footer_byte(3 * 52, 1);
  EXPECT_THAT(fixture.find_damage(), ElementsAre(HasSubstr("a page tag of chunk 0 is wrong")));
}

TEST(PackFooter, ThatDisagreesWithAFrameIsFound) {
  // Both are valid by themselves: the frame says tree_node, the footer tree_leaf.
  const PackFixture fixture;
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  const PackReader before = fixture.open();
  PackedChunk chunk = before.chunks()[2];
  chunk.kind = ChunkKind::tree_node;
  std::ranges::copy(encode_chunk_frame(chunk),
                    bytes.begin() + static_cast<std::ptrdiff_t>(chunk.offset - kChunkFrameBytes));
  fixture.overwrite(fixture.key, bytes);
  EXPECT_THAT(fixture.find_damage(),
              ElementsAre(HasSubstr("data checksum does not match"),
                          HasSubstr("frame and footer disagree on chunk 2")));
}

PackedChunk shape(std::uint32_t raw_bytes, std::uint32_t page_size_bytes, ChunkKind kind) {
  PackedChunk chunk;
  chunk.raw_bytes = raw_bytes;
  chunk.stored_bytes = raw_bytes;
  chunk.page_size_bytes = page_size_bytes;
  chunk.kind = kind;
  return chunk;
}

TEST(ChunkFrame, LargestChunksAreAcceptedAndLargerOnesAreNot) {
  const auto accepted = [](const PackedChunk& chunk) {
    return parse_chunk_frame(encode_chunk_frame(chunk), "key").has_value();
  };
  EXPECT_TRUE(accepted(shape(kChunkBytesMax, kPageSizeMax, ChunkKind::data)));
  EXPECT_FALSE(accepted(shape(kChunkBytesMax + 1, kPageSizeMax, ChunkKind::data)));
  EXPECT_TRUE(accepted(shape(128 * 1024, 1024, ChunkKind::data)));
  EXPECT_FALSE(accepted(shape(128 * 1024 + 1, 1024, ChunkKind::data)));
  EXPECT_TRUE(accepted(shape(kMetadataChunkBytesMax, kMetadataPageSize, ChunkKind::map_node)));
  EXPECT_FALSE(accepted(shape(kMetadataChunkBytesMax + 1, kMetadataPageSize, ChunkKind::map_node)));
  EXPECT_FALSE(accepted(shape(1024, 1024, ChunkKind::map_node)));
}

TEST(ChunkFrame, EncodedChunkThatIsNotShorterIsCorrupt) {
  PackedChunk chunk = shape(1'000, 1024, ChunkKind::data);
  chunk.codec = compress::Codec::lz4;
  EXPECT_EQ(code_of(parse_chunk_frame(encode_chunk_frame(chunk), "key")), ErrorCode::corrupt);
  chunk.stored_bytes = 0;
  EXPECT_EQ(code_of(parse_chunk_frame(encode_chunk_frame(chunk), "key")), ErrorCode::corrupt);
  chunk.stored_bytes = 999;
  EXPECT_TRUE(parse_chunk_frame(encode_chunk_frame(chunk), "key"));
}

TEST(ChunkFrame, EmptyChunkIsCorrupt) {
  EXPECT_EQ(code_of(parse_chunk_frame(encode_chunk_frame(shape(0, 1024, ChunkKind::data)), "key")),
            ErrorCode::corrupt);
}

TEST(ChunkFrame, EveryChangedByteIsCorruptOrUnsupported) {
  const auto sound = encode_chunk_frame(shape(1'000, 1024, ChunkKind::data));
  ASSERT_TRUE(parse_chunk_frame(sound, "key"));
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto damaged = sound;
    damaged[i] ^= std::byte{1};
    EXPECT_FALSE(parse_chunk_frame(damaged, "key")) << i;
  }
}

TEST(ChunkFrame, CutIsCorrupt) {
  auto frame = encode_chunk_frame(shape(1'000, 1024, ChunkKind::data));
  frame.pop_back();
  EXPECT_EQ(code_of(parse_chunk_frame(frame, "key")), ErrorCode::corrupt);
}

TEST(PackTrailer, OfAPackShorterThanAnyIsCorrupt) {
  const PackFixture fixture;
  const std::vector<std::byte> bytes = fixture.get(fixture.key);
  const ByteSpan trailer = ByteSpan(bytes).last(kPackTrailerBytes);
  ASSERT_TRUE(parse_pack_trailer(trailer, bytes.size(), "key"));
  EXPECT_EQ(code_of(parse_pack_trailer(trailer, 10, "key")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(parse_pack_trailer(trailer.first(63), bytes.size(), "key")),
            ErrorCode::corrupt);
}

// 10 bytes less the trailer's 64, in arithmetic that wraps around.
TEST(PackTrailer, SizesThatFitOnlyByWrappingAroundAreCorrupt) {
  ByteWriter out;
  out.bytes(bytes_of("PGHLFOOT"));
  out.u64(UINT64_MAX - 53);
  out.u64(10);
  out.zeros(kPackTrailerBytes - out.size());
  EXPECT_EQ(code_of(parse_pack_trailer(out.view(), 10, "key")), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::repository
