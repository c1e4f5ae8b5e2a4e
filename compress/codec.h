// Chunk compression: LZ4, zstd by level, or none.
//
// Units:    sizes are bytes.
// Memory:   a Compressor owns its library context, reused over chunks; a zstd window never exceeds
//           256 KiB, so that decoding needs no more than the chunk. Callers bring the output
//           memory.
// Threads:  one owner at a time.
// Errors:   usage (unknown codec or level, more than kRawSizeMaxBytes), corrupt (input that does
//           not decode to exactly the declared size). A decoder never writes past the declared
//           size, whatever the input.
// Format:   docs/format.md, "Codecs".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace haul::compress {

enum class Codec : std::uint8_t { none = 0, lz4 = 1, zstd = 2 };

// The codec and, for zstd, its level; what -Z takes: "none", "lz4", "zstd", "zstd:LEVEL".
struct CodecChoice {
  Codec codec = Codec::lz4;
  int level = 0;  // 0: the library's default

  bool operator==(const CodecChoice&) const = default;
};

Result<CodecChoice> parse_codec_choice(std::string_view text);
std::string to_string(CodecChoice choice);
const char* to_string(Codec codec);
// A byte from disk; `unsupported` when it names none.
Result<Codec> codec_from_byte(std::uint8_t value);

// What one call takes and gives at most: LZ4's own limit, far above any chunk.
inline constexpr std::size_t kRawSizeMaxBytes = 0x7E000000;

// The most bytes that compressing `raw_size_bytes` can take under any codec.
std::size_t compressed_size_max(std::size_t raw_size_bytes);

struct Compressed {
  Codec codec = Codec::none;  // none where compression did not pay
  ByteSpan bytes;             // into the caller's memory, or the input itself where codec is none
};

class Compressor {
 public:
  static Result<Compressor> open(CodecChoice choice);
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  // `into` has at least compressed_size_max(raw.size()) bytes. Incompressible input (saving less
  // than 1/16) comes back as it is.
  Result<Compressed> compress(ByteSpan raw, MutableByteSpan into);

 private:
  struct Context;
  explicit Compressor(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  // Fills `raw` exactly, or fails; then the content of `raw` is unspecified. Input must be what a
  // Compressor writes: a zstd frame with a larger window, a checksum, a dictionary or anything
  // after it is corrupt.
  Status decompress(Codec codec, ByteSpan stored, MutableByteSpan raw);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace haul::compress
