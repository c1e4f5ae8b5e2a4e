#include "engine/repository/identity.h"

#include <array>

#include "base/assert.h"

namespace haul::repository {

bool is_chunk_kind(std::uint8_t value) { return value >= 1 && value <= 5; }

Identity::Identity(const compress::DigestKey& id_key)
    : page_key_(id_key.derive("pghaul 2026 repository v1 page digest")),
      chunk_key_(id_key.derive("pghaul 2026 repository v1 chunk id")),
      wal_key_(id_key.derive("pghaul 2026 repository v1 wal content")) {}

Digest Identity::page_digest(ByteSpan page) const {
  return compress::keyed_digest(page_key_, page);
}

Digest Identity::wal_digest(ByteSpan content) const {
  return compress::keyed_digest(wal_key_, content);
}

void Identity::page_digests(ByteSpan chunk, std::uint32_t page_size_bytes,
                            std::span<Digest> digests) const {
  HAUL_ASSERT(digests.size() == page_count(chunk.size(), page_size_bytes));
  for (std::size_t i = 0; i < digests.size(); ++i) {
    const std::size_t start = i * page_size_bytes;
    digests[i] = page_digest(
        chunk.subspan(start, std::min<std::size_t>(page_size_bytes, chunk.size() - start)));
  }
}

ChunkId Identity::chunk_id(ChunkKind kind, std::uint32_t page_size_bytes, std::uint64_t size_bytes,
                           std::span<const Digest> digests) const {
  ByteWriter domain;
  domain.u8(static_cast<std::uint8_t>(kind));
  domain.zeros(3);
  domain.u32(page_size_bytes);
  domain.u64(size_bytes);
  compress::KeyedHasher hasher(chunk_key_);
  hasher.update(domain.view()).update(std::as_bytes(digests));
  return hasher.finish();
}

ChunkId Identity::chunk_id_of(ChunkKind kind, std::uint32_t page_size_bytes, ByteSpan chunk) const {
  std::vector<Digest> digests(page_count(chunk.size(), page_size_bytes));
  page_digests(chunk, page_size_bytes, digests);
  return chunk_id(kind, page_size_bytes, chunk.size(), digests);
}

}  // namespace haul::repository
