#include "compress/codec.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "base/random.h"

namespace haul::compress {
namespace {

TEST(ParseCodecChoice, KnowsTheDocumentedNames) {
  EXPECT_EQ(parse_codec_choice("none").value(), (CodecChoice{Codec::none, 0}));
  EXPECT_EQ(parse_codec_choice("lz4").value(), (CodecChoice{Codec::lz4, 0}));
  EXPECT_EQ(parse_codec_choice("zstd").value(), (CodecChoice{Codec::zstd, 0}));
  EXPECT_EQ(parse_codec_choice("zstd:1").value(), (CodecChoice{Codec::zstd, 1}));
  EXPECT_EQ(parse_codec_choice("zstd:19").value(), (CodecChoice{Codec::zstd, 19}));
  EXPECT_EQ(parse_codec_choice("zstd:22").value(), (CodecChoice{Codec::zstd, 22}));
}

TEST(ParseCodecChoice, AnythingElseIsUsageWithAHint) {
  for (const char* text :
       {"", "LZ4", "gzip", "none:0", "lz4:1", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd:+3",
        "zstd: 3", "zstd:3 ", "zstd:3x", "zstd:99999999999999999999", " zstd", "zstd3"}) {
    const Result<CodecChoice> choice = parse_codec_choice(text);
    ASSERT_FALSE(choice) << text;
    EXPECT_EQ(choice.error().code(), ErrorCode::usage) << text;
    EXPECT_EQ(choice.error().message(), format("unknown compression \"{}\"", text));
    EXPECT_EQ(choice.error().hint(),
              "Use none, lz4, zstd or zstd:LEVEL with a level from 1 to 22.");
  }
}

TEST(CodecChoice, PrintsAsItParses) {
  for (const char* text : {"none", "lz4", "zstd", "zstd:1", "zstd:22"}) {
    EXPECT_EQ(to_string(parse_codec_choice(text).value()), text);
  }
}

TEST(CodecFromByte, KnowsTheStoredNumbers) {
  EXPECT_EQ(codec_from_byte(0).value(), Codec::none);
  EXPECT_EQ(codec_from_byte(1).value(), Codec::lz4);
  EXPECT_EQ(codec_from_byte(2).value(), Codec::zstd);
}

TEST(CodecFromByte, AnotherNumberIsUnsupported) {
  for (int value = 3; value < 256; ++value) {
    const Result<Codec> codec = codec_from_byte(static_cast<std::uint8_t>(value));
    ASSERT_FALSE(codec) << value;
    EXPECT_EQ(codec.error().code(), ErrorCode::unsupported);
    EXPECT_EQ(codec.error().message(), format("unknown codec {}", value));
  }
}

TEST(Codec, EveryEnumeratorHasAName) {
  EXPECT_STREQ(to_string(Codec::none), "none");
  EXPECT_STREQ(to_string(Codec::lz4), "lz4");
  EXPECT_STREQ(to_string(Codec::zstd), "zstd");
  EXPECT_STREQ(to_string(static_cast<Codec>(7)), "unknown");
}

TEST(Compressor, RefusesALevelTheCodecDoesNotHave) {
  for (const CodecChoice choice : {CodecChoice{Codec::none, 1}, CodecChoice{Codec::lz4, 1},
                                   CodecChoice{Codec::zstd, 23}, CodecChoice{Codec::zstd, -1}}) {
    const Result<Compressor> compressor = Compressor::open(choice);
    ASSERT_FALSE(compressor) << to_string(choice);
    EXPECT_EQ(compressor.error().code(), ErrorCode::usage);
    EXPECT_EQ(compressor.error().message(),
              format("codec {} has no level {}", to_string(choice.codec), choice.level));
  }
}

TEST(Compressor, RefusesAnUnknownCodec) {
  const Result<Compressor> compressor = Compressor::open({static_cast<Codec>(7), 0});
  ASSERT_FALSE(compressor);
  EXPECT_EQ(compressor.error().code(), ErrorCode::usage);
  EXPECT_EQ(compressor.error().message(), "unknown codec 7");
}

TEST(Compressor, RefusesMoreThanTheLimit) {
  Compressor compressor = Compressor::open({Codec::lz4, 0}).take();
  std::byte one{};
  // Never read: the size alone decides.
  const Result<Compressed> compressed =
      compressor.compress(ByteSpan(&one, kRawSizeMaxBytes + 1), MutableByteSpan(&one, 1));
  ASSERT_FALSE(compressed);
  EXPECT_EQ(compressed.error().code(), ErrorCode::usage);
  EXPECT_EQ(compressed.error().message(), "cannot compress 2113929217 bytes at once");
}

TEST(CompressorDeathTest, TooLittleOutputMemoryIsABug) {
  Compressor compressor = Compressor::open({Codec::lz4, 0}).take();
  const std::vector<std::byte> raw(8192);
  std::vector<std::byte> into(compressed_size_max(raw.size()) - 1);
  EXPECT_DEATH((void)compressor.compress(raw, into), "size_max");
}

// Rows of words: compresses about as well as a table's page.
std::vector<std::byte> text_like(std::size_t size_bytes, std::uint64_t seed) {
  static constexpr std::string_view kWords[] = {"order ", "customer ", "paid ",
                                                "2024-",  "open ",     "0000000000"};
  SeededRandom random(seed);
  std::string text;
  while (text.size() < size_bytes) {
    text += kWords[random.next() % std::size(kWords)];
    text += static_cast<char>('a' + random.next() % 26);
  }
  const ByteSpan bytes = bytes_of(text).first(size_bytes);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> random_bytes(std::size_t size_bytes, std::uint64_t seed) {
  std::vector<std::byte> bytes(size_bytes);
  EXPECT_TRUE(SeededRandom(seed).fill(bytes));
  return bytes;
}

struct Stored {
  Codec codec;
  std::vector<std::byte> bytes;
};

Stored compress_with(Compressor& compressor, ByteSpan raw) {
  std::vector<std::byte> into(compressed_size_max(raw.size()));
  const Compressed compressed = compressor.compress(raw, into).value();
  return {compressed.codec, {compressed.bytes.begin(), compressed.bytes.end()}};
}

Stored compress_as(std::string_view choice, ByteSpan raw) {
  Compressor compressor = Compressor::open(parse_codec_choice(choice).value()).take();
  return compress_with(compressor, raw);
}

constexpr const char* kChoices[] = {"none", "lz4", "zstd", "zstd:1", "zstd:9", "zstd:22"};
constexpr std::size_t kSizes[] = {0, 1, 2, 15, 16, 17, 255, 8191, 8192, 8193, 262144, 1048576};

TEST(Codecs, RoundTripEveryKindOfInputAtEverySize) {
  Decompressor decompressor;
  for (const char* choice : kChoices) {
    Compressor compressor = Compressor::open(parse_codec_choice(choice).value()).take();
    for (const std::size_t size : kSizes) {
      for (const auto& raw :
           {std::vector<std::byte>(size), text_like(size, 1), random_bytes(size, 2)}) {
        const Stored stored = compress_with(compressor, raw);
        std::vector<std::byte> decoded(size, std::byte{0xAA});
        const Status status = decompressor.decompress(stored.codec, stored.bytes, decoded);
        ASSERT_TRUE(status) << choice << ", " << size << ": " << status.error().message();
        ASSERT_EQ(decoded, raw) << choice << ", " << size;
      }
    }
  }
}

TEST(Compressor, TellsTheCodecItUsed) {
  const std::vector<std::byte> raw = text_like(8192, 1);
  EXPECT_EQ(compress_as("none", raw).codec, Codec::none);
  EXPECT_EQ(compress_as("lz4", raw).codec, Codec::lz4);
  EXPECT_EQ(compress_as("zstd", raw).codec, Codec::zstd);
}

TEST(Compressor, AHigherLevelCompressesMore) {
  const std::vector<std::byte> raw = text_like(262144, 1);
  EXPECT_LT(compress_as("zstd:19", raw).bytes.size(), compress_as("zstd:1", raw).bytes.size());
}

TEST(Compressor, LevelZeroIsTheLibrarysDefault) {
  const std::vector<std::byte> raw = text_like(262144, 1);
  EXPECT_EQ(compress_as("zstd", raw).bytes, compress_as("zstd:3", raw).bytes);
}

TEST(Compressor, IncompressibleInputComesBackAsItIs) {
  for (const char* choice : {"lz4", "zstd"}) {
    Compressor compressor = Compressor::open(parse_codec_choice(choice).value()).take();
    for (const std::size_t size : {0U, 1U, 8192U, 262144U}) {
      const std::vector<std::byte> raw = random_bytes(size, 4);
      std::vector<std::byte> into(compressed_size_max(size));
      const Compressed compressed = compressor.compress(raw, into).value();
      EXPECT_EQ(compressed.codec, Codec::none) << choice << ", " << size;
      EXPECT_EQ(compressed.bytes.data(), raw.data()) << choice << ", " << size;
      EXPECT_EQ(compressed.bytes.size(), size) << choice << ", " << size;
    }
  }
}

TEST(Compressor, SavingASixteenthIsTheLeastThatPays) {
  // Random bytes with a growing run of zeros: the first result that counts as compressed saves at
  // least 1/16, the last that does not saves less.
  for (const char* choice : {"lz4", "zstd"}) {
    std::size_t smallest_saving = 8192;
    for (std::size_t zeros = 0; zeros < 1024; ++zeros) {
      std::vector<std::byte> raw = random_bytes(8192, 5);
      std::fill_n(raw.begin() + 4000, zeros, std::byte{0});
      const Stored stored = compress_as(choice, raw);
      if (stored.codec == Codec::none) continue;
      smallest_saving = std::min(smallest_saving, 8192 - stored.bytes.size());
    }
    EXPECT_EQ(smallest_saving, 512U) << choice;
  }
}

TEST(Compressor, SmallInputThatSavesNothingComesBackAsItIs) {
  // Below 16 bytes a sixteenth is less than one byte, and nothing saved must not count as enough:
  // LZ4 turns these 13 bytes (a literal, a match of 4, 8 literals) into 13.
  std::vector<std::byte> raw(13);
  for (std::size_t i = 5; i < raw.size(); ++i) raw[i] = static_cast<std::byte>(i * 17);
  EXPECT_EQ(compress_as("lz4", raw).codec, Codec::none);
  raw[5] = std::byte{0};  // a match of 5
  EXPECT_EQ(compress_as("lz4", raw).bytes.size(), 12U);
}

TEST(Compressor, OneContextYieldsTheSameAsAFreshOne) {
  for (const char* choice : kChoices) {
    Compressor reused = Compressor::open(parse_codec_choice(choice).value()).take();
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const std::vector<std::byte> raw = text_like(8192 * (seed + 1), seed);
      EXPECT_EQ(compress_with(reused, raw).bytes, compress_as(choice, raw).bytes) << choice;
    }
  }
}

TEST(Compressor, MovesWithItsContext) {
  const std::vector<std::byte> raw = text_like(8192, 1);
  Compressor first = Compressor::open({Codec::zstd, 0}).take();
  Compressor second(std::move(first));
  Compressor third = Compressor::open({Codec::lz4, 0}).take();
  third = std::move(second);
  EXPECT_EQ(compress_with(third, raw).bytes, compress_as("zstd", raw).bytes);
}

TEST(CompressedSizeMax, CoversWhatEveryCodecNeedsForIncompressibleInput) {
  for (const std::size_t size : {0U, 1U, 100U, 8192U, 262144U}) {
    EXPECT_GT(compressed_size_max(size), size + size / 256);
  }
}

TEST(CompressedSizeMaxDeathTest, MoreThanTheLimitIsABug) {
  EXPECT_GT(compressed_size_max(kRawSizeMaxBytes), kRawSizeMaxBytes);
  EXPECT_DEATH((void)compressed_size_max(kRawSizeMaxBytes + 1), "kRawSizeMaxBytes");
}

}  // namespace
}  // namespace haul::compress
