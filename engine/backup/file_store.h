// Stores one file whose bytes arrive in order: WAL segments, the control file, configuration files.
//
// Units:    sizes are bytes.
// Memory:   one region (256 KiB) and 32 bytes per leaf.
// Threads:  one owner at a time.
// Errors:   those of the chunk writer; asserts that exactly the declared bytes arrive.
#pragma once

#include <vector>

#include "engine/repository/file_map.h"

namespace haul::backup {

// The streams of packs that chunks of a backup go to.
struct ChunkStreams {
  repository::PackStream* data = nullptr;
  repository::PackStream* metadata = nullptr;
};

class FileStore {
 public:
  FileStore(repository::ChunkWriter& writer, repository::ChunkEncoder encoder,
            ChunkStreams streams);

  // `entry` has path, kind, mode, owner, size and page size; content is filled by finish().
  void begin(repository::TreeEntry entry);
  Status append(ByteSpan bytes);
  Result<repository::TreeEntry> finish();
  // Of all files so far, regions of zeros only.
  std::uint64_t hole_bytes() const { return hole_bytes_; }

  // All three for bytes at hand.
  Result<repository::TreeEntry> store(repository::TreeEntry entry, ByteSpan bytes);

 private:
  Status end_region();
  Status end_leaf();

  repository::ChunkWriter* writer_;
  repository::ChunkEncoder encoder_;
  ChunkStreams streams_;
  repository::TreeEntry entry_;
  repository::FileShape shape_;
  std::vector<std::byte> region_;
  std::vector<repository::ChunkId> region_ids_;  // of the current leaf
  std::vector<repository::ChunkId> leaf_ids_;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t hole_bytes_ = 0;
};

// Digests one region and stores it unless it is zeros; returns its chunk id, zero for a hole.
// `digests` is scratch.
Result<repository::ChunkId> store_region(ByteSpan bytes, std::uint32_t page_size_bytes,
                                         repository::ChunkWriter& writer,
                                         repository::ChunkEncoder& encoder,
                                         repository::PackStream& data,
                                         std::vector<repository::Digest>& digests);

}  // namespace haul::backup
