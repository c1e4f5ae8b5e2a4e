#include "compress/codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include <lz4.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/format.h"

namespace haul::compress {
namespace {

// 256 KiB: a frame never refers further back, so whoever decodes a stream of it needs no more.
constexpr int kZstdWindowLogMax = 18;
constexpr int kZstdWindowLogMin = 10;

// Every frame begins with the magic number and a frame header descriptor of 0: no checksum (packs
// carry their own), no dictionary, no content size (the footer has it), so one window byte follows.
constexpr std::array<std::uint8_t, 5> kZstdFrameStart{0x28, 0xB5, 0x2F, 0xFD, 0x00};

Error unknown_codec(Codec codec) {
  return Error(ErrorCode::usage, format("unknown codec {}", static_cast<unsigned>(codec)));
}

Status check(CodecChoice choice) {
  if (!codec_from_byte(static_cast<std::uint8_t>(choice.codec))) return unknown_codec(choice.codec);
  const int level_max = choice.codec == Codec::zstd ? ZSTD_maxCLevel() : 0;
  if (choice.level >= 0 && choice.level <= level_max) return ok();
  return Error(ErrorCode::usage,
               format("codec {} has no level {}", to_string(choice.codec), choice.level));
}

Error corrupt(Codec codec, ByteSpan stored, std::size_t raw_size_bytes, std::string_view why) {
  return Error(ErrorCode::corrupt, format("{} bytes do not decode by {} to {} bytes: {}",
                                          stored.size(), to_string(codec), raw_size_bytes, why));
}

// What the library itself does not insist on: exactly one frame of our own form. Skippable frames,
// formats of zstd before 1.0 and several frames in a row would decode as well.
const char* zstd_frame_defect(ByteSpan stored) {
  if (stored.size() <= kZstdFrameStart.size() ||
      std::memcmp(stored.data(), kZstdFrameStart.data(), kZstdFrameStart.size()) != 0) {
    return "not a frame of the expected form";
  }
  // Window_Descriptor (RFC 8878, 3.1.1.1.2): exponent in the upper 5 bits, eighths in the lower 3.
  constexpr unsigned kWindowMax = (kZstdWindowLogMax - kZstdWindowLogMin) << 3;
  if (std::to_integer<unsigned>(stored[kZstdFrameStart.size()]) > kWindowMax) {
    return "window too large";
  }
  const std::size_t frame_size = ZSTD_findFrameCompressedSize(stored.data(), stored.size());
  if (ZSTD_isError(frame_size)) return ZSTD_getErrorName(frame_size);
  return frame_size == stored.size() ? nullptr : "bytes after the frame";
}

Status copy(ByteSpan stored, MutableByteSpan raw) {
  if (stored.size() != raw.size()) {
    return corrupt(Codec::none, stored, raw.size(), "sizes differ");
  }
  copy_bytes(stored, raw);
  return ok();
}

Status decompress_lz4(ByteSpan stored, MutableByteSpan raw) {
  const int size = LZ4_decompress_safe(
      reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(raw.data()),
      static_cast<int>(stored.size()), static_cast<int>(raw.size()));
  if (size < 0) return corrupt(Codec::lz4, stored, raw.size(), "malformed block");
  if (static_cast<std::size_t>(size) != raw.size()) {
    return corrupt(Codec::lz4, stored, raw.size(), format("only {} came out", size));
  }
  return ok();
}

Status decompress_zstd(ZSTD_DCtx& context, ByteSpan stored, MutableByteSpan raw) {
  if (const char* defect = zstd_frame_defect(stored)) {
    return corrupt(Codec::zstd, stored, raw.size(), defect);
  }
  const std::size_t size =
      ZSTD_decompressDCtx(&context, raw.data(), raw.size(), stored.data(), stored.size());
  if (ZSTD_isError(size)) {
    return corrupt(Codec::zstd, stored, raw.size(), ZSTD_getErrorName(size));
  }
  if (size != raw.size()) {
    return corrupt(Codec::zstd, stored, raw.size(), format("only {} came out", size));
  }
  return ok();
}

}  // namespace

Result<CodecChoice> parse_codec_choice(std::string_view text) {
  if (text == "none") return CodecChoice{Codec::none, 0};
  if (text == "lz4") return CodecChoice{Codec::lz4, 0};
  if (text == "zstd") return CodecChoice{Codec::zstd, 0};
  constexpr std::string_view kZstdLevel = "zstd:";
  if (text.starts_with(kZstdLevel)) {
    const std::string_view digits = text.substr(kZstdLevel.size());
    int level = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    const bool whole = error == std::errc{} && end == digits.data() + digits.size();
    if (whole && level >= 1 && level <= ZSTD_maxCLevel()) return CodecChoice{Codec::zstd, level};
  }
  return Error(
      ErrorCode::usage, format("unknown compression \"{}\"", text),
      format("Use none, lz4, zstd or zstd:LEVEL with a level from 1 to {}.", ZSTD_maxCLevel()));
}

std::string to_string(CodecChoice choice) {
  if (choice.level == 0) return to_string(choice.codec);
  return format("{}:{}", to_string(choice.codec), choice.level);
}

const char* to_string(Codec codec) {
  switch (codec) {
    case Codec::none: return "none";
    case Codec::lz4: return "lz4";
    case Codec::zstd: return "zstd";
  }
  return "unknown";
}

Result<Codec> codec_from_byte(std::uint8_t value) {
  switch (value) {
    case 0: return Codec::none;
    case 1: return Codec::lz4;
    case 2: return Codec::zstd;
    default: return Error(ErrorCode::unsupported, format("unknown codec {}", value));
  }
}

std::size_t compressed_size_max(std::size_t raw_size_bytes) {
  HAUL_ASSERT(raw_size_bytes <= kRawSizeMaxBytes);
  const auto lz4 = static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw_size_bytes)));
  return std::max(lz4, ZSTD_compressBound(raw_size_bytes));
}

struct Compressor::Context {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  CodecChoice choice;
  std::unique_ptr<LZ4_stream_t> lz4;      // with Codec::lz4
  std::unique_ptr<ZSTD_CCtx, Free> zstd;  // with Codec::zstd

  void open_zstd();
  std::size_t compress(ByteSpan raw, MutableByteSpan into);
};

void Compressor::Context::open_zstd() {
  zstd.reset(ZSTD_createCCtx());
  HAUL_ASSERT(zstd != nullptr);  // Out of memory, which ends the program everywhere.
  const std::array<std::pair<ZSTD_cParameter, int>, 5> parameters{{
      {ZSTD_c_compressionLevel, choice.level},
      {ZSTD_c_windowLog, kZstdWindowLogMax},
      {ZSTD_c_contentSizeFlag, 0},
      {ZSTD_c_checksumFlag, 0},
      {ZSTD_c_dictIDFlag, 0},
  }};
  for (const auto& [parameter, value] : parameters) {
    HAUL_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd.get(), parameter, value)));
  }
}

// The compressed size in `into`.
std::size_t Compressor::Context::compress(ByteSpan raw, MutableByteSpan into) {
  if (choice.codec == Codec::lz4) {
    const int size = LZ4_compress_fast_extState(
        lz4.get(), reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(into.data()),
        static_cast<int>(raw.size()), static_cast<int>(into.size()), 1);
    HAUL_ASSERT(size > 0);
    return static_cast<std::size_t>(size);
  }
  const std::size_t size =
      ZSTD_compress2(zstd.get(), into.data(), into.size(), raw.data(), raw.size());
  // The output fits and the parameters were accepted: only memory could be missing.
  HAUL_ASSERT(!ZSTD_isError(size));
  return size;
}

Compressor::Compressor(std::unique_ptr<Context> context) : context_(std::move(context)) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

Result<Compressor> Compressor::open(CodecChoice choice) {
  HAUL_TRY(check(choice));
  auto context = std::make_unique<Context>();
  context->choice = choice;
  if (choice.codec == Codec::lz4) context->lz4 = std::make_unique<LZ4_stream_t>();
  if (choice.codec == Codec::zstd) context->open_zstd();
  return Compressor(std::move(context));
}

Result<Compressed> Compressor::compress(ByteSpan raw, MutableByteSpan into) {
  if (raw.size() > kRawSizeMaxBytes) {
    return Error(ErrorCode::usage, format("cannot compress {} bytes at once", raw.size()));
  }
  const Compressed as_it_is{Codec::none, raw};
  if (context_->choice.codec == Codec::none) return as_it_is;
  const std::size_t size_max = compressed_size_max(raw.size());
  HAUL_ASSERT(into.size() >= size_max);
  // Decoding costs time on every restore, for ever; saving less than a sixteenth is not worth it.
  const std::size_t size = context_->compress(raw, into.first(size_max));
  if (size >= raw.size() || raw.size() - size < raw.size() / 16) return as_it_is;
  return Compressed{context_->choice.codec, into.first(size)};
}

struct Decompressor::Context {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  std::unique_ptr<ZSTD_DCtx, Free> zstd{ZSTD_createDCtx()};
};

Decompressor::Decompressor() : context_(std::make_unique<Context>()) {
  HAUL_ASSERT(context_->zstd != nullptr);  // Out of memory, which ends the program everywhere.
}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

Status Decompressor::decompress(Codec codec, ByteSpan stored, MutableByteSpan raw) {
  // Sizes come from disk; the limit also keeps them within the int that LZ4 takes.
  if (raw.size() > kRawSizeMaxBytes || stored.size() > kRawSizeMaxBytes) {
    return corrupt(codec, stored, raw.size(), "size out of range");
  }
  switch (codec) {
    case Codec::none: return copy(stored, raw);
    case Codec::lz4: return decompress_lz4(stored, raw);
    case Codec::zstd: return decompress_zstd(*context_->zstd, stored, raw);
  }
  return unknown_codec(codec);
}

}  // namespace haul::compress
