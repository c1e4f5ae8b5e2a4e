#include "engine/repository/pack_format.h"

#include <bit>
#include <limits>

#include "base/format.h"

namespace haul::repository {

namespace {

constexpr std::string_view kTrailerMagic = "PGHLFOOT";
constexpr std::size_t kFrameChecksumOffset = 12;
constexpr std::size_t kTrailerChecksumOffset = 48;

Error corrupt(const std::string& key, std::string_view what) {
  return Error(ErrorCode::corrupt, format("{}: {}", key, what));
}

std::uint64_t short_checksum(ByteSpan bytes) {
  const compress::Checksum sum = compress::checksum(bytes);
  ByteReader in(sum.bytes);
  return in.u64();
}

void write_shape(ByteWriter& out, const PackedChunk& chunk) {
  HAUL_ASSERT(std::has_single_bit(chunk.page_size_bytes));
  out.u32(chunk.stored_bytes);
  out.u32(chunk.raw_bytes);
  out.u8(static_cast<std::uint8_t>(chunk.codec));
  out.u8(static_cast<std::uint8_t>(chunk.kind));
  out.u8(static_cast<std::uint8_t>(std::countr_zero(chunk.page_size_bytes)));
  out.u8(0);
}

bool raw_size_fits(const PackedChunk& chunk) {
  if (chunk.raw_bytes == 0) return false;
  if (!is_metadata(chunk.kind)) return chunk.pages() <= kChunkPagesMax;
  return chunk.page_size_bytes == kMetadataPageSize && chunk.raw_bytes <= kMetadataChunkBytesMax;
}

// Sizes, codec and kind, each checked before anything relies on it.
Result<PackedChunk> read_shape(ByteReader& in, const std::string& key) {
  PackedChunk chunk;
  chunk.stored_bytes = in.u32();
  chunk.raw_bytes = in.u32();
  const std::uint8_t codec = in.u8();
  const std::uint8_t kind = in.u8();
  const std::uint8_t page_size_log2 = in.u8();
  in.zeros(1);
  if (!in.ok() || !is_chunk_kind(kind) || page_size_log2 < 10 || page_size_log2 > 15) {
    return corrupt(key, "a chunk's description is not valid");
  }
  chunk.codec = HAUL_TRY(compress::codec_from_byte(codec));
  chunk.kind = static_cast<ChunkKind>(kind);
  chunk.page_size_bytes = 1U << page_size_log2;
  const bool stored_fits = chunk.codec == compress::Codec::none
                               ? chunk.stored_bytes == chunk.raw_bytes
                               : chunk.stored_bytes > 0 && chunk.stored_bytes < chunk.raw_bytes;
  if (!raw_size_fits(chunk) || !stored_fits) return corrupt(key, "a chunk's sizes are not valid");
  return chunk;
}

compress::Checksum footer_checksum(const PackName& name, ByteSpan covered) {
  compress::Checksummer sum;
  sum.update(name.bytes).update(covered);
  return sum.finish();
}

}  // namespace

std::vector<std::byte> encode_pack_header(const RepositoryId& repository, const PackName& name) {
  ByteWriter out;
  write_object_header(out, ObjectKind::pack, repository);
  out.bytes(name.bytes);
  out.bytes(compress::checksum(out.view()).bytes);
  HAUL_ASSERT(out.size() == kPackHeaderBytes);
  return std::move(out).take();
}

Status check_pack_header(ByteSpan header, const RepositoryId& repository, const PackName& name,
                         const std::string& key) {
  ByteReader in(header);
  const RepositoryId stored_repository = HAUL_TRY(read_object_header(in, ObjectKind::pack, key));
  const PackName stored_name{in.array<32>()};
  const compress::Checksum expected = compress::checksum(header.first(in.position()));
  const compress::Checksum stored{in.array<16>()};
  if (!in.ok() || stored != expected) return corrupt(key, "header checksum does not match");
  if (stored_repository != repository) return corrupt(key, "belongs to another repository");
  if (stored_name != name) return corrupt(key, "bears another pack's name");
  return ok();
}

std::vector<std::byte> encode_chunk_frame(const PackedChunk& chunk) {
  ByteWriter out;
  write_shape(out, chunk);
  out.u64(short_checksum(out.view()));
  HAUL_ASSERT(out.size() == kChunkFrameBytes);
  return std::move(out).take();
}

Result<PackedChunk> parse_chunk_frame(ByteSpan frame, const std::string& key) {
  if (frame.size() != kChunkFrameBytes) return corrupt(key, "a chunk frame is cut off");
  ByteReader in(frame);
  auto chunk = read_shape(in, key);
  if (in.u64() != short_checksum(frame.first(kFrameChecksumOffset))) {
    return corrupt(key, "a chunk frame's checksum does not match");
  }
  return chunk;
}

std::vector<std::byte> encode_pack_footer(const PackFooter& footer, const PackName& name) {
  ByteWriter out;
  std::uint64_t tags = 0;
  for (const PackedChunk& chunk : footer.chunks) {
    const std::size_t start = out.size();
    out.bytes(chunk.id.bytes);
    out.u64(chunk.offset);
    write_shape(out, chunk);
    HAUL_ASSERT(out.size() - start == kFooterEntryBytes);
    HAUL_ASSERT(chunk.tags.size() == chunk.pages());
    tags += chunk.tags.size();
  }
  HAUL_ASSERT(tags <= std::numeric_limits<std::uint32_t>::max());
  for (const PackedChunk& chunk : footer.chunks) {
    for (const std::uint64_t tag : chunk.tags) out.u64(tag);
  }
  const std::uint64_t pack_bytes = footer.footer_offset + out.size() + kPackTrailerBytes;
  out.bytes(bytes_of(kTrailerMagic));
  out.u64(footer.footer_offset);
  out.u64(pack_bytes);
  out.u32(static_cast<std::uint32_t>(footer.chunks.size()));
  out.u32(static_cast<std::uint32_t>(tags));
  out.bytes(footer.data_checksum.bytes);
  out.bytes(footer_checksum(name, out.view()).bytes);
  return std::move(out).take();
}

Result<PackTrailer> parse_pack_trailer(ByteSpan trailer, std::uint64_t pack_bytes,
                                       const std::string& key) {
  if (trailer.size() != kPackTrailerBytes || pack_bytes < kPackBytesMin) {
    return corrupt(key, "the trailer is cut off");
  }
  ByteReader in(trailer);
  const ByteSpan magic = in.bytes(kTrailerMagic.size());
  PackTrailer result;
  result.footer_offset = in.u64();
  result.pack_bytes = in.u64();
  result.chunks = in.u32();
  result.tags = in.u32();
  result.data_checksum = compress::Checksum{in.array<16>()};
  if (text_of(magic) != kTrailerMagic || result.pack_bytes != pack_bytes) {
    return corrupt(key, "the trailer is damaged or the pack was cut");
  }
  const std::uint64_t footer_bytes =
      std::uint64_t{result.chunks} * kFooterEntryBytes + std::uint64_t{result.tags} * 8;
  const bool fits = result.footer_offset >= kPackHeaderBytes &&
                    result.footer_offset <= pack_bytes - kPackTrailerBytes &&
                    pack_bytes - kPackTrailerBytes - result.footer_offset == footer_bytes;
  if (!fits) return corrupt(key, "the trailer's sizes do not fit the pack");
  return result;
}

Result<PackFooter> parse_pack_footer(ByteSpan tail, const PackTrailer& trailer,
                                     const PackName& name, const std::string& key) {
  HAUL_ASSERT(tail.size() == trailer.pack_bytes - trailer.footer_offset);
  const ByteSpan covered = tail.first(tail.size() - (kPackTrailerBytes - kTrailerChecksumOffset));
  ByteReader stored_sum(tail.subspan(covered.size()));
  if (footer_checksum(name, covered) != compress::Checksum{stored_sum.array<16>()}) {
    return corrupt(key, "footer checksum does not match");
  }
  ByteReader in(tail);
  PackFooter footer;
  footer.footer_offset = trailer.footer_offset;
  footer.data_checksum = trailer.data_checksum;
  footer.chunks.reserve(trailer.chunks);
  std::uint64_t end = kPackHeaderBytes;  // of the chunks so far
  std::uint64_t tags = 0;
  for (std::uint32_t i = 0; i < trailer.chunks; ++i) {
    const ChunkId id{in.array<32>()};
    const std::uint64_t offset = in.u64();
    PackedChunk chunk = HAUL_TRY(read_shape(in, key));
    chunk.id = id;
    chunk.offset = offset;
    // One after another without a gap: a footer can neither hide bytes nor point outside.
    if (offset != end + kChunkFrameBytes || offset > footer.footer_offset ||
        chunk.stored_bytes > footer.footer_offset - offset) {
      return corrupt(key, "a chunk does not follow the one before it");
    }
    end = offset + chunk.stored_bytes;
    tags += chunk.pages();
    footer.chunks.push_back(std::move(chunk));
  }
  if (end != footer.footer_offset)
    return corrupt(key, "bytes before the footer belong to no chunk");
  if (tags != trailer.tags) return corrupt(key, "the page tags do not fit the chunks");
  for (PackedChunk& chunk : footer.chunks) {
    chunk.tags.resize(chunk.pages());
    for (std::uint64_t& tag : chunk.tags) tag = in.u64();
  }
  return footer;
}

}  // namespace haul::repository
