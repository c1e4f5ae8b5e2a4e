// What things are called by content: page digests, chunk ids, digests of WAL.
//
// A page digest is the keyed BLAKE3-256 of the page; its first 8 bytes are the page's tag. A chunk
// id is the keyed BLAKE3-256 (another derived key) over the chunk's kind, page size, length and its
// page digests, so one pass over the bytes yields both. Different kinds never share an id.
//
// Units:    sizes are bytes; a chunk is 1 to 128 pages, only the last may be short.
// Memory:   callers bring the digest array.
// Threads:  immutable after construction, shared by all.
// Format:   docs/format.md, "Identities".
#pragma once

#include <cstdint>
#include <span>

#include "compress/digest.h"
#include "engine/repository/format.h"

namespace haul::repository {

using compress::Digest;

using ChunkId = Digest;

enum class ChunkKind : std::uint8_t {
  data = 1,       // pages of a file
  map_leaf = 2,   // where 512 pages of a file lie
  map_node = 3,   // the leaves of a file
  tree_leaf = 4,  // directory entries
  tree_node = 5,  // the leaves of a tree
};

// True for a byte that names a kind.
bool is_chunk_kind(std::uint8_t value);
// Data chunks lie in other packs than all the rest.
inline bool is_metadata(ChunkKind kind) { return kind != ChunkKind::data; }

// The number of pages that `size_bytes` take.
inline std::uint64_t page_count(std::uint64_t size_bytes, std::uint32_t page_size_bytes) {
  return (size_bytes + page_size_bytes - 1) / page_size_bytes;
}

class Identity {
 public:
  explicit Identity(const compress::DigestKey& id_key);

  Digest page_digest(ByteSpan page) const;
  // Fills one digest per page of `chunk`; asserts that `digests` has exactly page_count elements.
  void page_digests(ByteSpan chunk, std::uint32_t page_size_bytes, std::span<Digest> digests) const;
  ChunkId chunk_id(ChunkKind kind, std::uint32_t page_size_bytes, std::uint64_t size_bytes,
                   std::span<const Digest> digests) const;
  // Both steps, for readers that only compare the id.
  ChunkId chunk_id_of(ChunkKind kind, std::uint32_t page_size_bytes, ByteSpan chunk) const;
  // Of the content of a WAL object, whole.
  Digest wal_digest(ByteSpan content) const;

 private:
  compress::DigestKey page_key_;
  compress::DigestKey chunk_key_;
  compress::DigestKey wal_key_;
};

}  // namespace haul::repository
