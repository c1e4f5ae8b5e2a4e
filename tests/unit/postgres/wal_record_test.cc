#include "engine/postgres/wal_record.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/wal_stream.h"

namespace haul::postgres {
namespace {

using support::encode_wal_record;
using support::packed;
using support::WalBlockSpec;
using support::WalBytes;
using support::WalRecordSpec;

constexpr int kMajors[] = {13, 14, 15, 16, 17, 18};
constexpr Lsn kPrevious{0x16'B374D848};
constexpr RelationId kRelation{1663, 5, 16384};

WalBlockSpec block_of(std::uint32_t block) {
  WalBlockSpec spec;
  spec.relation = kRelation;
  spec.block = block;
  return spec;
}

WalBlockSpec block_with_image(ImageCodec codec) {
  WalBlockSpec spec = block_of(7);
  spec.image = std::string(3000, 'i');
  spec.hole_offset = 100;
  spec.hole_size_bytes = 2000;
  spec.image_codec = codec;
  return spec;
}

WalRecordSpec record_of(WalBlockSpec block) {
  WalRecordSpec spec;
  spec.manager = 10;
  spec.blocks = {std::move(block)};
  return spec;
}

// Decodes what the spec encodes to; the record outlives the bytes only as far as the test goes.
struct Decoded {
  explicit Decoded(const WalRecordSpec& spec, int server_major = 15)
      : bytes(encode_wal_record(spec, server_major, kPrevious)),
        status(decode_wal_record(bytes, server_major, record)) {}

  WalBytes bytes;
  WalRecord record;
  Status status;
};

// Bytes after the header, as they are; the length and the checksum are right.
Status decode_parts(const std::string& parts, int server_major = 15) {
  WalRecordSpec spec;
  WalBytes bytes = encode_wal_record(spec, server_major, kPrevious);
  const ByteSpan added = bytes_of(parts);
  bytes.insert(bytes.end(), added.begin(), added.end());
  const auto size_bytes = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &size_bytes, sizeof size_bytes);
  support::seal_wal_record(bytes);
  WalRecord record;
  return decode_wal_record(bytes, server_major, record);
}

void expect_damage(const Status& status, const std::string& word) {
  ASSERT_FALSE(status) << word;
  EXPECT_EQ(status.error().code(), ErrorCode::corrupt);
  EXPECT_NE(status.error().message().find(word), std::string::npos) << status.error().message();
}

std::string block_header(std::uint8_t id, unsigned fork_flags, std::uint16_t data_bytes) {
  return packed(id, static_cast<std::uint8_t>(fork_flags), data_bytes);
}

std::string place() { return packed(std::uint32_t{1663}, std::uint32_t{5}, std::uint32_t{9}); }

// A block with an image whose header says this; as many bytes of image follow.
Status decode_image(std::uint16_t size_bytes, std::uint16_t hole_offset, unsigned info,
                    int server_major = 15) {
  return decode_parts(block_header(0, 0x10, 0) +
                          packed(size_bytes, hole_offset, static_cast<std::uint8_t>(info)) +
                          place() + packed(std::uint32_t{1}) + std::string(size_bytes, 'i'),
                      server_major);
}

TEST(WalRecord, HeaderIsReadFieldByField) {
  WalRecordSpec spec;
  spec.manager = 1;
  spec.info = 0x91;
  spec.xid = 731;
  spec.main_data = "abc";
  for (const int major : kMajors) {
    const Decoded decoded(spec, major);
    ASSERT_TRUE(decoded.status);
    EXPECT_EQ(decoded.record.manager, ResourceManager::transaction);
    EXPECT_EQ(decoded.record.info, 0x91);
    EXPECT_EQ(decoded.record.operation(), 0x90);
    EXPECT_TRUE(decoded.record.changes_files());
    EXPECT_FALSE(decoded.record.is_wal_switch());
    EXPECT_EQ(decoded.record.xid, 731U);
    EXPECT_EQ(decoded.record.previous, kPrevious);
    EXPECT_EQ(decoded.record.size_bytes, 24U + 2 + 3);
    EXPECT_EQ(decoded.record.top_level_xid, 0U);
    EXPECT_EQ(decoded.record.replication_origin, 0U);
    EXPECT_EQ(text_of(decoded.record.main_data), "abc");
    EXPECT_TRUE(decoded.record.blocks().empty());
  }
}

TEST(WalRecord, HeaderAloneIsARecord) {
  const Decoded decoded({});
  ASSERT_TRUE(decoded.status);
  EXPECT_TRUE(decoded.record.main_data.empty());
  EXPECT_FALSE(decoded.record.changes_files());
}

TEST(WalRecord, SwitchIsRecognised) {
  WalRecordSpec spec;
  spec.info = 0x40;
  EXPECT_TRUE(Decoded(spec).record.is_wal_switch());
  spec.manager = 1;
  EXPECT_FALSE(Decoded(spec).record.is_wal_switch());
  spec.manager = 0;
  spec.info = 0x50;
  EXPECT_FALSE(Decoded(spec).record.is_wal_switch());
}

TEST(WalRecord, MainDataOfEveryLengthIsWhole) {
  for (const std::size_t size_bytes : {1U, 255U, 256U, 70000U}) {
    WalRecordSpec spec;
    spec.main_data = std::string(size_bytes, 'm');
    const Decoded decoded(spec);
    ASSERT_TRUE(decoded.status) << size_bytes;
    EXPECT_EQ(text_of(decoded.record.main_data), spec.main_data);
  }
}

TEST(WalRecord, OriginAndTopLevelTransactionAreRead) {
  WalRecordSpec spec;
  spec.origin = 3;
  spec.top_level_xid = 900;
  spec.main_data = "x";
  const Decoded decoded(spec);
  ASSERT_TRUE(decoded.status);
  EXPECT_EQ(decoded.record.replication_origin, 3U);
  EXPECT_EQ(decoded.record.top_level_xid, 900U);
  EXPECT_EQ(text_of(decoded.record.main_data), "x");
}

TEST(WalRecord, DecodingAgainForgetsTheRecordBefore) {
  WalRecordSpec full = record_of(block_of(1));
  full.origin = 3;
  full.top_level_xid = 900;
  full.main_data = "x";
  Decoded decoded(full);
  const WalBytes empty = encode_wal_record({}, 15, kPrevious);
  ASSERT_TRUE(decode_wal_record(empty, 15, decoded.record));
  EXPECT_TRUE(decoded.record.blocks().empty());
  EXPECT_TRUE(decoded.record.main_data.empty());
  EXPECT_EQ(decoded.record.top_level_xid, 0U);
  EXPECT_EQ(decoded.record.replication_origin, 0U);
}

TEST(WalRecord, BlockReferenceIsReadFieldByField) {
  WalBlockSpec block = block_of(77);
  block.id = 2;
  block.fork = Fork::vm;
  block.will_init = true;
  block.data = "data";
  WalRecordSpec spec = record_of(block);
  spec.main_data = "main";
  const Decoded decoded(spec);
  ASSERT_TRUE(decoded.status);
  ASSERT_EQ(decoded.record.blocks().size(), 1U);
  const BlockReference& read = decoded.record.blocks()[0];
  EXPECT_EQ(read.id, 2);
  EXPECT_EQ(read.relation, kRelation);
  EXPECT_EQ(read.block, 77U);
  EXPECT_EQ(read.fork, Fork::vm);
  EXPECT_TRUE(read.will_init);
  EXPECT_FALSE(read.has_image);
  EXPECT_EQ(text_of(read.data), "data");
  EXPECT_EQ(text_of(decoded.record.main_data), "main");
}

TEST(WalRecord, DataFollowsItsBlocksInOrder) {
  WalBlockSpec first = block_of(1);
  first.data = "first";
  WalBlockSpec second = block_with_image(ImageCodec::none);
  second.id = 1;
  second.data = "second";
  WalRecordSpec spec = record_of(first);
  spec.blocks.push_back(second);
  spec.main_data = "main";
  const Decoded decoded(spec);
  ASSERT_TRUE(decoded.status);
  ASSERT_EQ(decoded.record.blocks().size(), 2U);
  EXPECT_FALSE(decoded.record.blocks()[0].will_init);
  EXPECT_EQ(text_of(decoded.record.blocks()[0].data), "first");
  EXPECT_EQ(text_of(decoded.record.blocks()[1].image), second.image);
  EXPECT_EQ(text_of(decoded.record.blocks()[1].data), "second");
  EXPECT_EQ(text_of(decoded.record.main_data), "main");
}

TEST(WalRecord, RelationOfTheBlockBeforeIsTaken) {
  WalBlockSpec second = block_of(2);
  second.id = 3;
  second.same_relation = true;
  WalRecordSpec spec = record_of(block_of(1));
  spec.blocks.push_back(second);
  const Decoded decoded(spec);
  ASSERT_TRUE(decoded.status);
  EXPECT_EQ(decoded.record.blocks()[1].relation, kRelation);
  EXPECT_EQ(decoded.record.blocks()[1].block, 2U);
}

TEST(WalRecord, AsManyBlocksAsThereCanBe) {
  WalRecordSpec spec;
  for (std::uint8_t id = 0; id < kWalBlockReferencesMax; ++id) {
    spec.blocks.push_back(block_of(id + 100U));
    spec.blocks.back().id = id;
  }
  const Decoded decoded(spec);
  ASSERT_TRUE(decoded.status);
  ASSERT_EQ(decoded.record.blocks().size(), 33U);
  EXPECT_EQ(decoded.record.blocks().back().block, 132U);
}

TEST(WalRecord, ImageBitsOfEveryReleaseAreTold) {
  for (const int major : kMajors) {
    for (const bool applied : {true, false}) {
      for (const ImageCodec codec :
           {ImageCodec::none, ImageCodec::pglz, ImageCodec::lz4, ImageCodec::zstd}) {
        if (major < 15 && codec > ImageCodec::pglz) continue;
        WalBlockSpec block = block_with_image(codec);
        block.image_applied = applied;
        const Decoded decoded(record_of(block), major);
        ASSERT_TRUE(decoded.status) << major;
        const BlockReference& read = decoded.record.blocks()[0];
        EXPECT_TRUE(read.has_image);
        EXPECT_EQ(read.image_applied, applied);
        EXPECT_EQ(read.image_codec, codec);
        EXPECT_EQ(text_of(read.image), block.image);
      }
    }
  }
}

TEST(WalRecord, ImageWithoutAHoleIsRead) {
  for (const ImageCodec codec : {ImageCodec::none, ImageCodec::lz4}) {
    WalBlockSpec block = block_with_image(codec);
    block.hole_offset = 0;
    const Decoded decoded(record_of(block));
    ASSERT_TRUE(decoded.status);
    EXPECT_EQ(text_of(decoded.record.blocks()[0].image), block.image);
  }
}

TEST(WalRecord, LargestImageIsReadAndNoLarger) {
  EXPECT_TRUE(decode_image(32768, 0, 0x02));
  expect_damage(decode_image(32769, 0, 0x02), "page image of 32769 bytes");
}

TEST(WalRecord, ImplausibleImagesAreCorrupt) {
  EXPECT_TRUE(decode_image(10, 1, 0x03));
  expect_damage(decode_image(10, 0, 0x03), "page image");      // a hole at 0
  expect_damage(decode_image(10, 1, 0x02), "page image");      // an offset without a hole
  expect_damage(decode_image(0, 0, 0x02), "page image");       // nothing
  expect_damage(decode_image(10, 32769, 0x03), "page image");  // behind the page
  expect_damage(decode_image(10, 0, 0x22), "flags 22");        // an unknown bit
  expect_damage(decode_image(10, 0, 0x08, 14), "flags 08");    // a method of a later release
}

TEST(WalRecord, ImplausibleHoleOfACompressedImageIsCorrupt) {
  const auto with_hole = [](std::uint16_t hole_offset, std::uint16_t hole_bytes) {
    return decode_parts(block_header(0, 0x10, 0) +
                        packed(std::uint16_t{10}, hole_offset, std::uint8_t{0x0B}, hole_bytes) +
                        place() + packed(std::uint32_t{1}) + std::string(10, 'i'));
  };
  EXPECT_TRUE(with_hole(100, 2000));
  EXPECT_TRUE(with_hole(10, 32758));
  expect_damage(with_hole(100, 0), "page image");
  expect_damage(with_hole(9, 32759), "page image");
  expect_damage(with_hole(11, 32758), "page image");
}

TEST(WalRecord, ManagersOfExtensionsCameWith15) {
  WalRecordSpec spec;
  for (const int major : kMajors) {
    spec.manager = 21;
    EXPECT_TRUE(Decoded(spec, major).status);
    spec.manager = 22;
    expect_damage(Decoded(spec, major).status, "resource manager 22");
    spec.manager = 127;
    expect_damage(Decoded(spec, major).status, "resource manager 127");
    spec.manager = 128;
    EXPECT_EQ(Decoded(spec, major).status.has_value(), major >= 15);
    spec.manager = 255;
    EXPECT_EQ(Decoded(spec, major).status.has_value(), major >= 15);
  }
}

TEST(WalRecord, PartsOutOfOrderAreCorrupt) {
  const std::string block = block_header(4, 0, 0) + place() + packed(std::uint32_t{1});
  const std::string same = block_header(4, 0x80, 0) + packed(std::uint32_t{1});
  const std::string lower = block_header(3, 0x80, 0) + packed(std::uint32_t{1});
  expect_damage(decode_parts(block + same), "block reference 4 after 4");
  expect_damage(decode_parts(block + lower), "block reference 3 after 4");
  expect_damage(decode_parts(same), "which there is not");
}

TEST(WalRecord, UnknownPartsAreCorrupt) {
  expect_damage(decode_parts(packed(std::uint8_t{33})), "part 33");
  expect_damage(decode_parts(packed(std::uint8_t{251})), "part 251");
}

TEST(WalRecord, DataFlagAndLengthMustAgree) {
  const std::string rest = place() + packed(std::uint32_t{1});
  expect_damage(decode_parts(block_header(0, 0x20, 0) + rest), "0 bytes of data");
  expect_damage(decode_parts(block_header(0, 0, 1) + rest + "d"), "1 bytes of data");
}

TEST(WalRecord, UnknownForkIsCorrupt) {
  const std::string rest = place() + packed(std::uint32_t{1});
  EXPECT_TRUE(decode_parts(block_header(0, 3, 0) + rest));
  expect_damage(decode_parts(block_header(0, 4, 0) + rest), "fork 4");
}

TEST(WalRecord, EveryPartCutShortIsCorrupt) {
  const std::string image =
      packed(std::uint16_t{9}, std::uint16_t{8}, std::uint8_t{0x0B}, std::uint16_t{7});
  const std::string block = block_header(0, 0x10, 0) + image + place() + packed(std::uint32_t{1});
  for (const std::string& whole :
       {block, packed(std::uint8_t{253}, std::uint16_t{1}),
        packed(std::uint8_t{252}, std::uint32_t{1}), packed(std::uint8_t{254}, std::uint32_t{0}),
        packed(std::uint8_t{255}, std::uint8_t{0})}) {
    for (std::size_t size = 1; size < whole.size(); ++size) {
      expect_damage(decode_parts(whole.substr(0, size)), "ends within its headers");
    }
  }
}

TEST(WalRecord, DataMustBeAsLongAsAnnounced) {
  const std::string announced = packed(std::uint8_t{255}, std::uint8_t{3});
  EXPECT_TRUE(decode_parts(announced + "abc"));
  expect_damage(decode_parts(announced + "ab"), "2 bytes of data instead of 3");
  expect_damage(decode_parts(announced + "abcd"), "4 bytes of data instead of 3");
  expect_damage(decode_parts(packed(std::uint8_t{254}, std::uint32_t{0xFFFFFFFF})),
                "instead of 4294967295");
}

TEST(WalRecord, LengthMustBeThatOfTheBytes) {
  WalBytes bytes = encode_wal_record(record_of(block_of(1)), 15, kPrevious);
  WalRecord record;
  expect_damage(decode_wal_record(ByteSpan(bytes).first(bytes.size() - 1), 15, record), "length");
  bytes.push_back(std::byte{0});
  expect_damage(decode_wal_record(bytes, 15, record), "length");
  expect_damage(decode_wal_record(ByteSpan(bytes).first(23), 15, record), "length 23");
  expect_damage(decode_wal_record({}, 15, record), "length 0");
}

TEST(WalRecord, EveryFlippedBitIsNoticed) {
  WalBlockSpec block = block_with_image(ImageCodec::pglz);
  block.image.resize(20);
  block.data = "d";
  WalRecordSpec spec = record_of(block);
  spec.main_data = "main";
  const WalBytes good = encode_wal_record(spec, 15, kPrevious);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    WalBytes bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    WalRecord record;
    EXPECT_FALSE(decode_wal_record(bytes, 15, record)) << bit;
  }
}

TEST(WalRecord, WrongChecksumIsNamed) {
  WalBytes bytes = encode_wal_record({}, 15, kPrevious);
  bytes[20] ^= std::byte{1};
  WalRecord record;
  expect_damage(decode_wal_record(bytes, 15, record), "checksum");
}

}  // namespace
}  // namespace haul::postgres
