// Appends compressed chunks to one pack and closes it with its footer.
//
// Units:    sizes are bytes.
// Memory:   the footer of the pack being written, plus what the object writer buffers.
// Threads:  one owner at a time; may move between threads.
// Errors:   io, no_space, permission; already_exists never (names are random).
// Format:   docs/format.md, "Packs".
#pragma once

#include <memory>

#include "base/random.h"
#include "engine/repository/cluster.h"
#include "engine/repository/pack_format.h"
#include "io/object_store.h"

namespace haul::repository {

// A chunk ready to be stored. Borrows; valid during the call it is passed to.
struct EncodedChunk {
  ChunkId id;
  ChunkKind kind = ChunkKind::data;
  compress::Codec codec = compress::Codec::none;
  std::uint32_t page_size_bytes = 0;
  std::uint32_t raw_bytes = 0;
  ByteSpan stored;
  std::span<const Digest> digests;  // one per page
};

// A pack that is complete and visible, not yet durable under its name.
struct FinishedPack {
  PackRef ref;
  std::uint64_t size_bytes = 0;
  std::vector<ChunkId> chunks;  // by ordinal
};

class PackWriter {
 public:
  // Draws a name and begins the object under `lease`.
  static Result<PackWriter> open(const Cluster& cluster, const std::string& lease, Random& random);

  // Returns the chunk's ordinal.
  Result<std::uint32_t> append(const EncodedChunk& chunk);
  // What the pack would take if it were finished now.
  std::uint64_t size_bytes() const { return offset_ + footer_bytes_ + kPackTrailerBytes; }
  std::size_t chunks() const { return footer_.chunks.size(); }
  const PackRef& ref() const { return ref_; }

  // Writes the footer, syncs, publishes. The writer is spent whatever the answer.
  Result<FinishedPack> finish();

 private:
  PackWriter(std::unique_ptr<io::ObjectWriter> object, PackRef ref)
      : object_(std::move(object)), ref_(std::move(ref)) {}
  Status write(ByteSpan bytes);

  std::unique_ptr<io::ObjectWriter> object_;
  PackRef ref_;
  PackFooter footer_;
  compress::Checksummer data_checksum_;
  std::uint64_t offset_ = 0;
  std::uint64_t footer_bytes_ = 0;
};

}  // namespace haul::repository
