// What a decoder does with input that no Compressor wrote.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include "base/random.h"
#include "compress/codec.h"

namespace haul::compress {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kGuardBytes = 64;
constexpr std::byte kGuard{0xC3};

// The outcome of decoding into memory with guard bytes behind it, which must survive.
struct Outcome {
  Status status;
  Bytes raw;
};

Outcome decode(Codec codec, ByteSpan stored, std::size_t raw_size_bytes) {
  static Decompressor decompressor;
  Bytes memory(raw_size_bytes + kGuardBytes, kGuard);
  const MutableByteSpan raw = MutableByteSpan(memory).first(raw_size_bytes);
  Status status = decompressor.decompress(codec, stored, raw);
  EXPECT_TRUE(std::all_of(memory.end() - kGuardBytes, memory.end(), [](std::byte byte) {
    return byte == kGuard;
  })) << "written past the declared size";
  memory.resize(raw_size_bytes);
  return {std::move(status), std::move(memory)};
}

// Expects `corrupt` with a message that ends in `why`.
void expect_corrupt(const Outcome& outcome, const std::string& why) {
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
  EXPECT_THAT(outcome.status.error().message(), testing::EndsWith(": " + why));
}

// Half zeros, half a repeated sentence with a counter: compresses well under every codec.
Bytes sample_page(std::uint64_t seed = 1) {
  Bytes page(kPageBytes);
  SeededRandom random(seed);
  for (std::size_t i = kPageBytes / 2; i < kPageBytes; ++i) {
    page[i] = i % 7 == 0 ? static_cast<std::byte>(random.next()) : static_cast<std::byte>(i % 7);
  }
  return page;
}

Bytes compress_as(Codec codec, ByteSpan raw) {
  Compressor compressor = Compressor::open({codec, 0}).take();
  Bytes into(compressed_size_max(raw.size()));
  const Compressed compressed = compressor.compress(raw, into).value();
  EXPECT_EQ(compressed.codec, codec);
  return {compressed.bytes.begin(), compressed.bytes.end()};
}

Bytes concatenated(const Bytes& first, const Bytes& second) {
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

// A frame as the library writes it with `parameter` set to `value` on top of our own parameters.
Bytes foreign_frame(ZSTD_cParameter parameter, int value, ByteSpan raw) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, parameter, value);
  Bytes frame(ZSTD_compressBound(raw.size()));
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), raw.data(), raw.size()));
  ZSTD_freeCCtx(context);
  return frame;
}

TEST(Decompressor, DecodesAtTheSizesThatMatter) {
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    for (const std::size_t size : {8192U, 262144U}) {
      const Bytes raw(size, std::byte{7});
      const Outcome outcome = decode(codec, compress_as(codec, raw), size);
      ASSERT_TRUE(outcome.status) << to_string(codec) << ", " << size;
      EXPECT_EQ(outcome.raw, raw);
    }
  }
}

TEST(Decompressor, UncompressedBytesAreCopied) {
  EXPECT_EQ(decode(Codec::none, sample_page(), kPageBytes).raw, sample_page());
  EXPECT_TRUE(decode(Codec::none, {}, 0).status);
}

TEST(Decompressor, UncompressedBytesOfAnotherSizeAreCorrupt) {
  const Outcome outcome = decode(Codec::none, sample_page(), kPageBytes + 1);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
  EXPECT_EQ(outcome.status.error().message(),
            "8192 bytes do not decode by none to 8193 bytes: sizes differ");
  expect_corrupt(decode(Codec::none, sample_page(), kPageBytes - 1), "sizes differ");
  expect_corrupt(decode(Codec::none, sample_page(), 0), "sizes differ");
}

TEST(Decompressor, AnUnknownCodecIsUsage) {
  const Outcome outcome = decode(static_cast<Codec>(7), sample_page(), kPageBytes);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code(), ErrorCode::usage);
  EXPECT_EQ(outcome.status.error().message(), "unknown codec 7");
}

TEST(Decompressor, SizesBeyondTheLimitAreCorruptAndNotTouched) {
  Decompressor decompressor;
  std::byte one{};
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    const Status too_large_raw = decompressor.decompress(
        codec, ByteSpan(&one, 1), MutableByteSpan(&one, kRawSizeMaxBytes + 1));
    ASSERT_FALSE(too_large_raw);
    EXPECT_THAT(too_large_raw.error().message(), testing::EndsWith(": size out of range"));
    const Status too_large_stored = decompressor.decompress(
        codec, ByteSpan(&one, kRawSizeMaxBytes + 1), MutableByteSpan(&one, 1));
    ASSERT_FALSE(too_large_stored);
    EXPECT_THAT(too_large_stored.error().message(), testing::EndsWith(": size out of range"));
  }
}

TEST(Decompressor, ShortOutputIsCorrupt) {
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    expect_corrupt(decode(codec, compress_as(codec, sample_page()), kPageBytes + 1),
                   "only 8192 came out");
  }
}

TEST(Decompressor, ADeclaredSizeTooSmallIsCorrupt) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPageBytes - 1}) {
    expect_corrupt(decode(Codec::lz4, compress_as(Codec::lz4, sample_page()), size),
                   "malformed block");
    expect_corrupt(decode(Codec::zstd, compress_as(Codec::zstd, sample_page()), size),
                   "Destination buffer is too small");
  }
}

TEST(Decompressor, ABombIsCutOffAtTheDeclaredSize) {
  const Bytes zeros(64 << 20);
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    const Bytes bomb = compress_as(codec, zeros);
    EXPECT_LT(bomb.size(), zeros.size() / 200);
    const Outcome outcome = decode(codec, bomb, kPageBytes);
    ASSERT_FALSE(outcome.status);
    EXPECT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
  }
}

TEST(Decompressor, EveryTruncationIsCorrupt) {
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    const Bytes stored = compress_as(codec, sample_page());
    for (std::size_t size = 0; size < stored.size(); ++size) {
      const Outcome outcome = decode(codec, ByteSpan(stored).first(size), kPageBytes);
      ASSERT_FALSE(outcome.status) << to_string(codec) << " cut to " << size;
      EXPECT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
    }
  }
}

TEST(Decompressor, TrailingBytesAreCorrupt) {
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    const Bytes stored = compress_as(codec, sample_page());
    for (const std::size_t extra : {1U, 4U, 100U}) {
      const Outcome outcome = decode(codec, concatenated(stored, Bytes(extra)), kPageBytes);
      ASSERT_FALSE(outcome.status) << to_string(codec) << " with " << extra << " more";
      EXPECT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
    }
  }
}

TEST(ZstdDecoder, SeveralFramesAreCorruptThoughTheLibraryTakesThem) {
  const Bytes frame = compress_as(Codec::zstd, sample_page());
  const Bytes both = concatenated(frame, frame);
  Bytes raw(2 * kPageBytes);
  ASSERT_EQ(ZSTD_decompress(raw.data(), raw.size(), both.data(), both.size()), raw.size());
  expect_corrupt(decode(Codec::zstd, both, 2 * kPageBytes), "bytes after the frame");
}

TEST(ZstdDecoder, SkippableFramesAreCorruptThoughTheLibraryTakesThem) {
  const Bytes skippable{std::byte{0x50}, std::byte{0x2A}, std::byte{0x4D}, std::byte{0x18},
                        std::byte{4},    std::byte{0},    std::byte{0},    std::byte{0},
                        std::byte{1},    std::byte{2},    std::byte{3},    std::byte{4}};
  std::byte nothing{};
  ASSERT_EQ(ZSTD_decompress(&nothing, 0, skippable.data(), skippable.size()), 0U);
  expect_corrupt(decode(Codec::zstd, skippable, 0), "not a frame of the expected form");

  const Bytes frame = compress_as(Codec::zstd, sample_page());
  expect_corrupt(decode(Codec::zstd, concatenated(skippable, frame), kPageBytes),
                 "not a frame of the expected form");
  expect_corrupt(decode(Codec::zstd, concatenated(frame, skippable), kPageBytes),
                 "bytes after the frame");
}

TEST(ZstdDecoder, AWindowUpTo256KiBIsTheLargestItTakes) {
  Bytes frame = compress_as(Codec::zstd, Bytes(1 << 20, std::byte{7}));
  ASSERT_EQ(frame[5], std::byte{18 - 10} << 3) << "the compressor's own window is 2^18";
  EXPECT_TRUE(decode(Codec::zstd, frame, 1 << 20).status);
  frame[5] = static_cast<std::byte>(((18 - 10) << 3) + 1);  // 2^18 and an eighth
  Bytes raw(1 << 20);
  ASSERT_EQ(ZSTD_decompress(raw.data(), raw.size(), frame.data(), frame.size()), raw.size());
  expect_corrupt(decode(Codec::zstd, frame, 1 << 20), "window too large");
}

TEST(ZstdDecoder, FramesWithAChecksumOrAContentSizeAreNotOurs) {
  const Bytes raw = sample_page();
  EXPECT_TRUE(decode(Codec::zstd, foreign_frame(ZSTD_c_checksumFlag, 0, raw), kPageBytes).status);
  expect_corrupt(decode(Codec::zstd, foreign_frame(ZSTD_c_checksumFlag, 1, raw), kPageBytes),
                 "not a frame of the expected form");
  expect_corrupt(decode(Codec::zstd, foreign_frame(ZSTD_c_contentSizeFlag, 1, raw), kPageBytes),
                 "not a frame of the expected form");
}

TEST(ZstdDecoder, AFrameHeaderWithoutAFrameIsCorrupt) {
  const Bytes frame = compress_as(Codec::zstd, sample_page());
  expect_corrupt(decode(Codec::zstd, ByteSpan(frame).first(5), kPageBytes),
                 "not a frame of the expected form");
  expect_corrupt(decode(Codec::zstd, ByteSpan(frame).first(6), kPageBytes),
                 "Src size is incorrect");
}

// The seeds of the runs below; a failing case prints its own.
class DecoderRobustness : public testing::TestWithParam<Codec> {};

TEST_P(DecoderRobustness, RandomInputNeverHarms) {
  const Bytes frame = compress_as(GetParam(), Bytes(kPageBytes));
  for (std::uint64_t seed = 0; seed < 50000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededRandom random(seed);
    Bytes stored(random.next() % 200);
    ASSERT_TRUE(random.fill(stored));
    if (GetParam() == Codec::zstd && stored.size() > 6) {
      std::copy_n(frame.begin(), 6, stored.begin());  // past the first check
    }
    const Outcome outcome = decode(GetParam(), stored, random.next() % 1000);
    if (!outcome.status) {
      ASSERT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
    }
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(DecoderRobustness, MutatedInputNeverHarms) {
  const Bytes stored = compress_as(GetParam(), sample_page());
  std::size_t refused = 0;
  for (std::uint64_t seed = 0; seed < 50000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededRandom random(seed);
    Bytes mutated = stored;
    for (std::uint64_t changes = 1 + random.next() % 4; changes > 0; --changes) {
      mutated[random.next() % mutated.size()] = static_cast<std::byte>(random.next());
    }
    const Outcome outcome = decode(GetParam(), mutated, kPageBytes);
    if (!outcome.status) {
      ++refused;
      ASSERT_EQ(outcome.status.error().code(), ErrorCode::corrupt);
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(refused, 1000U) << "the mutations hardly touch the structure";
}

TEST_P(DecoderRobustness, DecodesCorrectlyAfterAFailure) {
  const Bytes page = sample_page();
  const Bytes stored = compress_as(GetParam(), page);
  ASSERT_FALSE(decode(GetParam(), ByteSpan(stored).first(stored.size() / 2), kPageBytes).status);
  EXPECT_EQ(decode(GetParam(), stored, kPageBytes).raw, page);
}

INSTANTIATE_TEST_SUITE_P(Codecs, DecoderRobustness, testing::Values(Codec::lz4, Codec::zstd),
                         [](const auto& codec) { return std::string(to_string(codec.param)); });

TEST(Decompressor, MovesWithItsContext) {
  const Bytes page = sample_page();
  const Bytes stored = compress_as(Codec::zstd, page);
  Decompressor first;
  Decompressor second(std::move(first));
  Decompressor third;
  third = std::move(second);
  Bytes raw(kPageBytes);
  ASSERT_TRUE(third.decompress(Codec::zstd, stored, raw));
  EXPECT_EQ(raw, page);
}

}  // namespace
}  // namespace haul::compress
