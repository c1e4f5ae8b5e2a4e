// An empty repository in memory with one cluster, and words for putting things into it.
//
// Threads:  one owner at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/repository/chunk_writer.h"
#include "engine/repository/index_run.h"
#include "engine/repository/pack_writer.h"
#include "engine/repository/repository.h"
#include "io/object_store.h"
#include "tests/support/file_content.h"

namespace haul::repository::testing {

using support::code_of;

inline const std::string kLease = "20261123T020222Z-F";
inline const std::string kOtherLease = "20261123T030000Z-F";

// A chunk of metadata or data with all that goes with it.
struct TestChunk {
  ChunkKind kind = ChunkKind::data;
  std::uint32_t page_size_bytes = 1024;
  std::string bytes;
  std::vector<Digest> digests;
  ChunkId id;
};

class RepositoryFixture {
 public:
  // Wraps the store in memory, to watch or to break it.
  using Wrap = std::function<std::unique_ptr<io::ObjectStore>(io::ObjectStore&)>;

  RepositoryFixture() : RepositoryFixture(Wrap()) {}
  explicit RepositoryFixture(const Wrap& wrap);

  // Chunks of 8 pages, packs of 16 KiB.
  Cluster cluster;
  SeededRandom random{1};

  io::ObjectStore& store() const { return *cluster.store; }
  std::vector<std::byte> get(const std::string& key) const;
  // Puts these bytes in the place of the object's.
  void overwrite(const std::string& key, ByteSpan bytes) const;
  // Flips a bit of one byte.
  void damage(const std::string& key, std::size_t offset) const;

  TestChunk chunk(std::string bytes, ChunkKind kind = ChunkKind::data,
                  std::uint32_t page_size_bytes = 1024) const;
  // Writes one pack, every chunk stored as it is.
  FinishedPack write_pack(const std::vector<TestChunk>& chunks, const std::string& lease = kLease);
  // Writes a run that lists these packs.
  void write_run(const RunRef& ref, const std::vector<FinishedPack>& packs,
                 std::vector<RunRef> superseded = {}) const;

 private:
  std::unique_ptr<Repository> repository_;
  std::unique_ptr<io::ObjectStore> wrapped_;
};

EncodedChunk encoded(const TestChunk& chunk);

}  // namespace haul::repository::testing
