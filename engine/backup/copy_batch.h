// What travels through the copy: a batch of regions that were read together.
//
// A batch is the unit of every stage (read -> digest -> look up -> encode -> store) and the only
// thing that bounds the memory of a copy: there is a fixed number of them. One batch holds
// consecutive regions of a large file, or several small files, or the end of the one and the
// beginning of the other.
//
// Units:    sizes and offsets are bytes.
// Memory:   kBatchBytes of what was read, about as much for what is encoded.
// Threads:  a batch has one owner at a time; a CopiedFile belongs to the reader until it is
//           finished opening, its map state to the collector.
// Errors:   none of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/backup/source_plan.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/file_map.h"
#include "io/aligned_buffer.h"

namespace haul::backup {

// One read: large enough for the device, small enough to spread a segment over all workers.
inline constexpr std::size_t kBatchBytes = 1024 * 1024;
// Files that one batch may touch: what bounds the open files of a copy.
inline constexpr std::size_t kBatchFilesMax = 16;

struct CopiedFile {
  PlannedFile planned;
  repository::TreeEntry entry;
  repository::FileShape shape;
  std::unique_ptr<io::File> file;

  // The collector's: chunk ids as they come to be known.
  struct OpenLeaf {
    std::vector<repository::ChunkId> regions;
    std::size_t regions_left = 0;
  };
  std::unordered_map<std::uint64_t, OpenLeaf> open_leaves;
  std::vector<repository::ChunkId> leaf_ids;
  std::uint64_t leaves_left = 0;
};

// One region of one file.
struct CopiedRegion {
  std::shared_ptr<CopiedFile> file;
  std::uint64_t number = 0;  // in the file
  MutableByteSpan bytes;     // in the batch's memory
  std::span<repository::Digest> digests;

  // The state after each stage: what is not yet known to be stored has to be encoded.
  enum class State { read, hole, maybe_stored, stored, to_encode, encoded } state = State::read;
  repository::ChunkId id;
  repository::EncodedChunk chunk;  // encoded: borrows from the batch

  std::uint64_t offset() const { return number * file->shape.region_bytes(); }
};

struct CopyBatch {
  // `region_bytes` is what a whole region takes; `page_bytes` the cluster's page.
  CopyBatch(std::size_t region_bytes, std::size_t page_bytes);

  // Consecutive regions of one file that one operation reads.
  struct Read {
    std::size_t first_region = 0;
    std::size_t regions = 0;
    MutableByteSpan bytes;  // rounded up to whole blocks, as direct reads demand
  };

  // Ready to be filled anew.
  void clear();
  std::size_t room_bytes() const { return memory.size_bytes() - used_bytes; }
  std::size_t files() const { return reads.size(); }
  MutableByteSpan encoding_room() { return MutableByteSpan(encoded).subspan(used_encoded_bytes); }
  // Appends a region of `size_bytes`, which fit into the room.
  CopiedRegion& add_region(std::shared_ptr<CopiedFile> file, std::uint64_t number,
                           std::size_t size_bytes);

  io::AlignedBuffer memory;
  std::size_t used_bytes = 0;
  std::vector<std::byte> encoded;  // all regions can be encoded into it one after another
  std::size_t used_encoded_bytes = 0;
  std::vector<repository::Digest> digests;
  std::size_t used_digests = 0;
  std::size_t page_bytes = 0;

  std::vector<CopiedRegion> regions;
  std::vector<Read> reads;
  std::size_t reads_left = 0;
};

}  // namespace haul::backup
