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

// Metadata is little, and does not follow the choice for data.
inline constexpr compress::CodecChoice kMetadataCodec{compress::Codec::zstd, 3};

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

  // False: find() would find nothing. Answered from memory, so that workers need not block for what
  // is new.
  bool may_hold(const ChunkId& id) const;
  // The pack that holds the chunk already, of this backup or an earlier one.
  Result<std::optional<PackRef>> find(const ChunkId& id);
  // Counts all that a backup refers to whose files are taken over without a look. All of these
  // packs are listed.
  void inherit(const PackTable& table);
  // Counts a reference in the pack table.
  void note_reference(const PackRef& pack, std::uint64_t pages);

  // Footer, sync and name of a pack that PackStream::take_full() gave; now and then an index run.
  Status finish_pack(PackWriter pack);
  // Everything durable; call once, after every stream has been closed and every pack finished.
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
  // The caller of these two holds publishing_.
  Status write_run();
  Status adopt_packs();

  const Cluster cluster_;
  Index* const index_;
  const std::string lease_;
  Random* const random_;

  // Held while runs are written, so apart from mutex_, which is never held over I/O. Locked first.
  std::mutex publishing_;  // guards the three below
  std::vector<FinishedPack> unindexed_;
  std::map<PackName, std::uint64_t> own_pack_sizes_;
  std::uint32_t runs_written_ = 0;

  mutable std::mutex mutex_;  // guards everything below
  std::unordered_map<ChunkId, Fresh> fresh_;
  PackTable pack_table_;
  ChunkWriterStatistics statistics_;
};

// A sequence of packs filled one after another. Data and metadata go to different streams.
class PackStream {
 public:
  // What happens to a pack that has its size.
  enum class WhenFull {
    finish,    // append() finishes it, which waits for the device
    hand_out,  // take_full() gives it to the caller, who has it finished elsewhere
  };
  explicit PackStream(ChunkWriter& writer, WhenFull when_full = WhenFull::finish)
      : writer_(&writer), when_full_(when_full) {}

  // Appends a chunk that find() did not know and returns its pack.
  Result<PackRef> append(const EncodedChunk& chunk);
  // The pack that append() has just filled; nothing when it did not fill one.
  std::optional<PackWriter> take_full();
  // Finishes the open pack.
  Status close();

 private:
  Status close_locked();

  ChunkWriter* const writer_;
  const WhenFull when_full_;
  std::mutex mutex_;  // guards everything below
  std::optional<PackWriter> pack_;
  std::optional<PackWriter> full_;
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
  // Stores the chunk through `stream`, unless it is there, and counts the reference.
  Status store(const Source& source, PackStream& stream);
  // Compresses into `into` (compress::compressed_size_max()) and proves it by decoding. Looks
  // nothing up and blocks on nothing. The chunk borrows from `source` and `into`.
  Result<EncodedChunk> encode(const Source& source, MutableByteSpan into);
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
