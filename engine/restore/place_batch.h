// What travels through a restore: a batch of leaves that are put together in one piece of memory.
//
// A batch holds some leaves of large files, or many small files whole: what was stored together is
// then read together, chunks of neighbouring leaves too. There is a fixed number of batches, and of
// buffers for what is read of packs: they alone bound the memory of a restore.
//
// Units:    sizes and offsets are bytes.
// Threads:  a batch has one owner at a time (planner, transfer, finisher), but for its chunks, each
//           of which one thread decodes into its own part of the memory; the members that threads
//           share are atomic.
// Errors:   none of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/crc32c.h"
#include "engine/repository/chunk_reader.h"
#include "engine/restore/leaf.h"
#include "engine/restore/leaf_comparison.h"
#include "io/aligned_buffer.h"
#include "io/file.h"

namespace haul::restore {

// Of large files, in a batch.
inline constexpr std::size_t kLeavesPerBatch = 4;
// Smaller files are written through the page cache: a direct write each would wait for the device.
inline constexpr std::uint64_t kLargeSizeMinBytes = 1 << 20;

struct PlacedFile {
  std::size_t number = 0;  // among the files of the plan
  std::string path;
  std::uint32_t mode = 0;
  std::uint64_t size_bytes = 0;
  // Null: created once its bytes are there (small), or never (nothing is written any more).
  std::unique_ptr<io::File> file;
  // How long it was before this restore; nothing: it was not there, or is of no use.
  std::optional<std::uint64_t> earlier_bytes;
  std::vector<postgres::Crc32cPiece> leaves;   // the CRC of each
  std::atomic<std::uint64_t> leaves_left = 0;  // that are not yet written
  std::atomic<bool> is_lost = false;
};

struct PlacedLeaf {
  std::shared_ptr<PlacedFile> file;
  std::uint64_t number = 0;  // in the file
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size_bytes = 0;
  MutableByteSpan bytes;                       // of a large file: zeros up to kDirectAlignment
  std::vector<postgres::Crc32cPiece> extents;  // the CRC of each
  std::vector<ByteRange> written;              // what is no hole, or differs from what is on disk
  LeafShape shape;

  // Of a leaf that is compared with what is on disk.
  repository::MapLeaf map;
  std::optional<LeafComparison> comparison;
  bool is_unreadable = false;                  // on disk
  std::optional<postgres::Crc32cPiece> whole;  // instead of `extents`
  std::uint64_t kept_bytes = 0;

  postgres::Crc32cPiece crc() const;
};

// Copies what the leaf draws from a chunk; `corrupt` when the chunk is too short for it.
Status place_chunk(const ChunkUse& use, ByteSpan chunk, PlacedLeaf& leaf);

// A chunk that has to be read and decoded.
struct PlacedChunk {
  std::size_t leaf = 0;  // in the batch
  ChunkUse use;
  std::uint32_t size_max_bytes = 0;
  // Where the ring finds it; without `pack` only ChunkReader::read() may.
  std::optional<repository::StoredChunk> stored;
  std::shared_ptr<io::File> pack;
};

// Chunks that lie near each other in a pack are read together.
struct PackRead {
  std::shared_ptr<io::File> pack;
  std::uint64_t offset = 0;  // aligned, as is the size
  std::size_t size_bytes = 0;
  std::size_t first_chunk = 0;  // in the batch
  std::size_t end_chunk = 0;
};

struct ReadBuffer {
  explicit ReadBuffer(std::size_t size_bytes) : memory(size_bytes) {}

  io::AlignedBuffer memory;
  std::atomic<std::size_t> users = 0;  // tasks that still decode from it
};

struct Batch {
  explicit Batch(std::size_t size_bytes) : memory(size_bytes) {}

  enum class Kind { small_files, large_files } kind = Kind::small_files;
  io::AlignedBuffer memory;
  std::size_t used_bytes = 0;
  std::vector<PlacedLeaf> leaves;
  std::vector<PlacedChunk> chunks;
  std::vector<PackRead> reads;
  std::atomic<std::size_t> chunks_left = 0;  // that are not yet in their places
  std::size_t writes_left = 0;               // the transfer's
  bool is_compared = false;                  // with what is on disk, before chunks are located
  std::size_t disk_reads_left = 0;           // the transfer's; of a leaf on disk

  // All bytes of the leaves that were compared are there: takes their CRC.
  void finish_compared();
  // Ready for other leaves.
  void clear();
};

}  // namespace haul::restore
