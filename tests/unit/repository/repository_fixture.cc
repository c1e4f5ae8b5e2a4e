#include "tests/unit/repository/repository_fixture.h"

#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"

namespace haul::repository::testing {

RepositoryFixture::RepositoryFixture(const Wrap& wrap) {
  auto memory = support::make_memory_object_store();
  support::ManualClock clock;
  HAUL_ASSERT(Repository::init(*memory, {8, kPackSizeMin}, random, clock).has_value());
  io::ObjectStore* store = memory.get();
  repository_ = std::make_unique<Repository>(Repository::open(std::move(memory)).value());
  cluster = repository_->cluster("main").value();
  if (wrap) {
    wrapped_ = wrap(*store);
    cluster.store = wrapped_.get();
  }
  cluster.parameters.pack_size_bytes = 16 * 1024;
}

std::vector<std::byte> RepositoryFixture::get(const std::string& key) const {
  return store().get(key, 1ULL << 30).value();
}

void RepositoryFixture::overwrite(const std::string& key, ByteSpan bytes) const {
  HAUL_ASSERT(store().replace(key, bytes).has_value());
}

void RepositoryFixture::damage(const std::string& key, std::size_t offset) const {
  std::vector<std::byte> bytes = get(key);
  bytes.at(offset) ^= std::byte{0x10};
  overwrite(key, bytes);
}

TestChunk RepositoryFixture::chunk(std::string bytes, ChunkKind kind,
                                   std::uint32_t page_size_bytes) const {
  TestChunk chunk{kind, page_size_bytes, std::move(bytes), {}, {}};
  chunk.digests.resize(page_count(chunk.bytes.size(), page_size_bytes));
  const ByteSpan content = bytes_of(chunk.bytes);
  cluster.identity->page_digests(content, page_size_bytes, chunk.digests);
  chunk.id = cluster.identity->chunk_id(kind, page_size_bytes, content.size(), chunk.digests);
  return chunk;
}

EncodedChunk encoded(const TestChunk& chunk) {
  EncodedChunk result;
  result.id = chunk.id;
  result.kind = chunk.kind;
  result.page_size_bytes = chunk.page_size_bytes;
  result.raw_bytes = static_cast<std::uint32_t>(chunk.bytes.size());
  result.stored = bytes_of(chunk.bytes);
  result.digests = chunk.digests;
  return result;
}

FinishedPack RepositoryFixture::write_pack(const std::vector<TestChunk>& chunks,
                                           const std::string& lease) {
  PackWriter writer = PackWriter::open(cluster, lease, random).value();
  for (const TestChunk& chunk : chunks) {
    HAUL_ASSERT(writer.append(encoded(chunk)).has_value());
  }
  return writer.finish().value();
}

void RepositoryFixture::write_run(const RunRef& ref, const std::vector<FinishedPack>& packs,
                                  std::vector<RunRef> superseded) const {
  IndexRunContent content;
  content.superseded = std::move(superseded);
  for (const FinishedPack& pack : packs) {
    const auto number = static_cast<std::uint32_t>(content.packs.size());
    content.packs.push_back(
        {pack.ref, pack.size_bytes, static_cast<std::uint32_t>(pack.chunks.size())});
    std::uint32_t ordinal = 0;
    for (const ChunkId& id : pack.chunks) content.entries.push_back({id, number, ordinal++});
  }
  const std::string key = cluster.layout.run(ref);
  HAUL_ASSERT(store()
                  .put_if_absent(key, encode_index_run(std::move(content), cluster.repository, key))
                  .has_value());
}

}  // namespace haul::repository::testing
