#include "engine/repository/identity.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::repository {
namespace {

Identity identity_of(std::uint8_t seed) {
  std::array<std::byte, 32> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(seed + i);
  return Identity(compress::DigestKey(key));
}

// Computed once; a change of any of them makes every repository unreadable.
TEST(Identity, KnownPageDigest) {
  EXPECT_EQ(to_hex(identity_of(0).page_digest(bytes_of("page")).bytes),
            "ee91411bf3e1090c9e9b001741cc16801f80897fc8ce98d27806ca3cb5c9a98c");
}

TEST(Identity, KnownChunkId) {
  const std::string chunk(2'500, 'x');
  EXPECT_EQ(to_hex(identity_of(0).chunk_id_of(ChunkKind::data, 1024, bytes_of(chunk)).bytes),
            "941c7c265b015dc67b97ee5836d6944d183e9383d346318827616c4c69f0a36b");
}

TEST(Identity, PageDigestsAreThoseOfThePages) {
  const Identity identity = identity_of(0);
  const std::string chunk = support::pattern(2'500, 1);
  std::vector<Digest> digests(3);
  identity.page_digests(bytes_of(chunk), 1024, digests);
  EXPECT_EQ(digests[0], identity.page_digest(bytes_of(chunk).first(1024)));
  EXPECT_EQ(digests[1], identity.page_digest(bytes_of(chunk).subspan(1024, 1024)));
  EXPECT_EQ(digests[2], identity.page_digest(bytes_of(chunk).subspan(2048)));
}

TEST(Identity, BothWaysToAChunkIdAgree) {
  const Identity identity = identity_of(0);
  const std::string chunk = support::pattern(2'500, 1);
  std::vector<Digest> digests(3);
  identity.page_digests(bytes_of(chunk), 1024, digests);
  EXPECT_EQ(identity.chunk_id(ChunkKind::data, 1024, chunk.size(), digests),
            identity.chunk_id_of(ChunkKind::data, 1024, bytes_of(chunk)));
}

TEST(Identity, EveryInputSeparatesIds) {
  const std::string chunk(4'096, 'x');
  std::set<ChunkId> ids;
  for (const std::uint8_t key : {std::uint8_t{0}, std::uint8_t{1}}) {
    const Identity identity = identity_of(key);
    for (const ChunkKind kind : {ChunkKind::data, ChunkKind::map_leaf, ChunkKind::map_node,
                                 ChunkKind::tree_leaf, ChunkKind::tree_node}) {
      for (const std::uint32_t page_size : {1024U, 2048U, 4096U, 8192U}) {
        for (const std::size_t size : {std::size_t{4'095}, std::size_t{4'096}}) {
          ids.insert(identity.chunk_id_of(kind, page_size, bytes_of(chunk).first(size)));
        }
      }
    }
  }
  EXPECT_EQ(ids.size(), 2U * 5U * 4U * 2U);
}

TEST(Identity, PageDigestIsNoChunkId) {
  // Even where a chunk's own input could be given as a page.
  const Identity identity = identity_of(0);
  const Digest page = identity.page_digest(bytes_of("page"));
  ByteWriter domain;
  domain.u8(1);
  domain.zeros(3);
  domain.u32(1024);
  domain.u64(4);
  domain.bytes(page.bytes);
  EXPECT_NE(identity.page_digest(domain.view()),
            identity.chunk_id_of(ChunkKind::data, 1024, bytes_of("page")));
}

TEST(Identity, OrderOfPagesMatters) {
  const Identity identity = identity_of(0);
  const std::string ab = std::string(1024, 'a') + std::string(1024, 'b');
  const std::string ba = std::string(1024, 'b') + std::string(1024, 'a');
  EXPECT_NE(identity.chunk_id_of(ChunkKind::data, 1024, bytes_of(ab)),
            identity.chunk_id_of(ChunkKind::data, 1024, bytes_of(ba)));
}

TEST(ChunkKindByte, OneToFiveNameAKind) {
  EXPECT_FALSE(is_chunk_kind(0));
  for (std::uint8_t kind = 1; kind <= 5; ++kind) EXPECT_TRUE(is_chunk_kind(kind));
  EXPECT_FALSE(is_chunk_kind(6));
  EXPECT_FALSE(is_chunk_kind(255));
}

TEST(ChunkKind, OnlyDataIsNoMetadata) {
  EXPECT_FALSE(is_metadata(ChunkKind::data));
  EXPECT_TRUE(is_metadata(ChunkKind::map_leaf));
  EXPECT_TRUE(is_metadata(ChunkKind::tree_node));
}

TEST(PageCount, CountsAShortPageAsOne) {
  EXPECT_EQ(page_count(0, 8192), 0U);
  EXPECT_EQ(page_count(1, 8192), 1U);
  EXPECT_EQ(page_count(8192, 8192), 1U);
  EXPECT_EQ(page_count(8193, 8192), 2U);
}

}  // namespace
}  // namespace haul::repository
