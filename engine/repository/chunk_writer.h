// Stores chunks: looks each up first, packs what is new, writes index runs, keeps the pack table.
//
// Durability order, kept here and nowhere else: packs are synced and published one by one; before
// an index run names them their directory is made durable; finish() makes everything durable that a
// snapshot will refer to, packs of other backups included.
//
// Units:    sizes are bytes.
// Memory:   48 bytes per chunk stored since the last index run (128 packs), the open packs'
//           footers.
// Threads:  ChunkWriter and PackStream from any thread, appends to one stream one after another; a
//           ChunkEncoder has one owner.
// Errors:   io, no_space, permission; after a failure the writer is only fit to be destroyed.
// Format:   docs/format.md, "Commit order".
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/random.h"
#include "compress/codec.h"
#include "engine/repository/index.h"
#include "engine/repository/pack_table.h"
#include "engine/repository/pack_writer.h"

namespace haul::repository {

struct ChunkWriterStatistics {
  std::uint64_t chunks_stored = 0;
  std::uint64_t raw_bytes_stored = 0;
  std::uint64_t stored_bytes = 0;  // of packs and index runs, as they lie in the repository
  std::uint64_t chunks_found = 0;  // were there already
  std::uint64_t packs = 0;
  std::uint64_t index_runs = 0;
};

class ChunkWriter {
 public:
  static constexpr std::size_t kPacksPerRun = 128;

  // `index` was opened after the lease `lease` was created; both, and `random`, outlive the writer.
  ChunkWriter(const Cluster& cluster, Index& index, std::string lease, Random& random);
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;

  const Cluster& cluster() const { return cluster_; }

  // The pack that holds the chunk already, of this backup or an earlier one.
  Result<std::optional<PackRef>> find(const ChunkId& id);
  // Counts a reference in the pack table.
  void note_reference(const PackRef& pack, std::uint64_t pages);

  // Everything durable; call once, after every stream has been closed.
  Status finish();

  // Valid after finish().
  const PackTable& pack_table() const { return pack_table_; }
  ChunkWriterStatistics statistics() const;

 private:
  friend class PackStream;

  // Where a fresh chunk lies; its run is not written yet.
  struct Fresh {
    std::shared_ptr<const PackRef> pack;
  };

  void chunk_appended(const EncodedChunk& chunk, const std::shared_ptr<const PackRef>& pack);
  Status pack_finished(FinishedPack pack);
  Status write_run();
  Status adopt_packs();

  const Cluster cluster_;
  Index* const index_;
  const std::string lease_;
  Random* const random_;

  mutable std::mutex mutex_;  // guards everything below
  std::unordered_map<ChunkId, Fresh> fresh_;
  std::vector<FinishedPack> unindexed_;
  std::map<PackName, std::uint64_t> own_pack_sizes_;
  PackTable pack_table_;
  ChunkWriterStatistics statistics_;
  std::uint32_t runs_written_ = 0;
};

// A sequence of packs filled one after another. Data and metadata go to different streams.
class PackStream {
 public:
  explicit PackStream(ChunkWriter& writer) : writer_(&writer) {}

  // Appends a chunk that find() did not know and returns its pack.
  Result<PackRef> append(const EncodedChunk& chunk);
  // Finishes the open pack.
  Status close();

 private:
  Status close_locked();

  ChunkWriter* writer_;
  std::mutex mutex_;  // guards pack_, ref_
  std::optional<PackWriter> pack_;
  std::shared_ptr<const PackRef> ref_;
};

// What was encoded has to yield the source again: a fault of the codec, the memory or the processor
// must not be stored as truth. `scratch` is resized to the source's size.
Status check_encoding(const compress::Compressed& encoded, ByteSpan source,
                      compress::Decompressor& decompressor, std::vector<std::byte>& scratch);

// Compresses, proves by decoding that what will be stored yields the source, and stores unless it
// is there already. One per thread.
class ChunkEncoder {
 public:
  static Result<ChunkEncoder> open(ChunkWriter& writer, compress::CodecChoice codec);

  const Cluster& cluster() const { return writer_->cluster(); }

  struct Source {
    ChunkKind kind = ChunkKind::data;
    std::uint32_t page_size_bytes = 0;
    ByteSpan bytes;
    std::span<const Digest> digests;  // one per page
    ChunkId id;
  };
  // Stores the chunk through `stream` and counts the reference.
  Status store(const Source& source, PackStream& stream);
  // The same for metadata: digests and id are computed here. Returns the id.
  Result<ChunkId> store_metadata(ChunkKind kind, ByteSpan bytes, PackStream& stream);

 private:
  ChunkEncoder(ChunkWriter& writer, compress::Compressor compressor)
      : writer_(&writer), compressor_(std::move(compressor)) {}

  ChunkWriter* writer_;
  compress::Compressor compressor_;
  compress::Decompressor decompressor_;
  std::vector<std::byte> compressed_;
  std::vector<std::byte> decoded_;
};

}  // namespace haul::repository
