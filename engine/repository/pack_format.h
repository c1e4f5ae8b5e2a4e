// The parts of a pack: header, chunk frames, footer, trailer.
//
// A pack explains itself twice: the footer lists its chunks, and every chunk is preceded by a
// frame, so that a pack whose footer is damaged can still be walked.
//
// Units:    offsets and sizes are bytes from the start of the pack.
// Memory:   a footer takes about 330 bytes per chunk in memory.
// Errors:   corrupt, unsupported.
// Format:   docs/format.md, "Packs".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compress/checksum.h"
#include "compress/codec.h"
#include "engine/repository/identity.h"
#include "engine/repository/layout.h"

namespace haul::repository {

inline constexpr std::size_t kPackHeaderBytes = kObjectHeaderBytes + 32 + 16;
inline constexpr std::size_t kChunkFrameBytes = 20;
inline constexpr std::size_t kFooterEntryBytes = 52;
inline constexpr std::size_t kPackTrailerBytes = 64;
inline constexpr std::size_t kPackBytesMin = kPackHeaderBytes + kPackTrailerBytes;
// A pack is closed by the chunk that fills it, so that it exceeds its size by less than one chunk
// with all that describes it.
inline constexpr std::uint64_t kPackBytesMax =
    kPackSizeMax + kChunkBytesMax + kChunkFrameBytes + kFooterEntryBytes + 8 * kChunkPagesMax;

// One chunk as it lies in a pack.
struct PackedChunk {
  ChunkId id;
  std::uint64_t offset = 0;  // of the stored bytes, behind the frame
  std::uint32_t stored_bytes = 0;
  std::uint32_t raw_bytes = 0;
  std::uint32_t page_size_bytes = 0;
  compress::Codec codec = compress::Codec::none;
  ChunkKind kind = ChunkKind::data;
  std::vector<std::uint64_t> tags;  // one per page

  std::uint64_t pages() const { return page_count(raw_bytes, page_size_bytes); }
};

struct PackFooter {
  std::uint64_t footer_offset = 0;   // where the chunks end
  compress::Checksum data_checksum;  // of everything before it
  std::vector<PackedChunk> chunks;
};

std::vector<std::byte> encode_pack_header(const RepositoryId& repository, const PackName& name);
Status check_pack_header(ByteSpan header, const RepositoryId& repository, const PackName& name,
                         const std::string& key);

// What precedes a chunk's stored bytes.
std::vector<std::byte> encode_chunk_frame(const PackedChunk& chunk);
// Fills sizes, codec and kind; id, offset and tags are the caller's to find.
Result<PackedChunk> parse_chunk_frame(ByteSpan frame, const std::string& key);

// Footer and trailer, what follows the last chunk.
std::vector<std::byte> encode_pack_footer(const PackFooter& footer, const PackName& name);

struct PackTrailer {
  std::uint64_t footer_offset = 0;
  std::uint64_t pack_bytes = 0;
  std::uint32_t chunks = 0;
  std::uint32_t tags = 0;
  compress::Checksum data_checksum;
};
// The trailer alone, so that the footer can be read; its checksum comes with parse_pack_footer().
Result<PackTrailer> parse_pack_trailer(ByteSpan trailer, std::uint64_t pack_bytes,
                                       const std::string& key);
// `tail` is everything from trailer.footer_offset to the end of the pack.
Result<PackFooter> parse_pack_footer(ByteSpan tail, const PackTrailer& trailer,
                                     const PackName& name, const std::string& key);

}  // namespace haul::repository
