// What travels through the copy: a batch of leaves that were read together.
//
// A batch is the unit of every stage (look up the parent -> read -> digest -> look up chunks ->
// encode -> store) and the only thing that bounds the memory of a copy: there is a fixed number of
// them. One batch holds a leaf of a large file (512 pages, as maps have them), or several small
// files, or the end of the one and the beginning of the other.
//
// Units:    sizes and offsets are bytes; pages are numbered within their leaf.
// Memory:   a leaf's worth (4 MiB) of what was read, about as much for what is encoded, and where
//           changed pages are gathered, as much again.
// Threads:  a batch has one owner at a time; a CopiedFile belongs to the reader until it is
//           finished opening, its map state to the collector.
// Errors:   none of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/backup/change_pace.h"
#include "engine/backup/source_plan.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/file_map.h"
#include "engine/repository/overlay.h"
#include "io/aligned_buffer.h"

namespace haul::backup {

inline constexpr std::size_t kBatchBytesMin = 4 * 1024 * 1024;
// One read: large enough for the device, small enough for others to come in between.
inline constexpr std::size_t kReadBytesMax = 1024 * 1024;
inline constexpr std::size_t kLimitedReadBytesMax = 256 * 1024;  // where there is a rate limit
// Files that one batch may touch: what bounds the open files of a copy.
inline constexpr std::size_t kBatchFilesMax = 48;

struct CopiedFile {
  PlannedFile planned;
  repository::TreeEntry entry;
  repository::FileShape shape;
  std::unique_ptr<io::File> file;

  // The collector's: leaves as they come to be known.
  std::vector<repository::ChunkId> leaf_ids;
  std::vector<bool> leaves_kept;  // as the parent has them; empty: none
  std::uint64_t leaves_left = 0;

  bool keeps(std::uint64_t leaf) const { return !leaves_kept.empty() && leaves_kept[leaf]; }
  // Decides which leaves are read, once `shape` is known.
  void begin_leaves();
};

// Which leaves of a file of this shape are taken from the parent without reading anything of them;
// empty: none.
std::vector<bool> kept_leaves(const PlannedFile& planned, const repository::FileShape& shape);

// One leaf of one file.
struct CopiedLeaf {
  std::shared_ptr<CopiedFile> file;
  std::uint64_t number = 0;    // in the file
  MutableByteSpan bytes;       // in the batch's memory; of pages that are not read, anything
  repository::PageSet read;    // whose bytes are there, once reads are planned
  repository::PageSet cached;  // of these, once read_cached_pages() had them
  // Of these, pages that may differ from the parent's; any other one has to be the same.
  repository::PageSet may_differ;
  std::span<repository::Digest> digests;  // of the pages that were read
  std::optional<repository::ParentLeaf> parent;

  repository::PageSet suspects;  // are not the same, and do not say why
  repository::NewLeaf made;
  // Its chunks among those of the batch.
  std::size_t first_chunk = 0;
  std::uint32_t changed_pages = 0;

  std::uint64_t offset() const { return number * file->shape.leaf_bytes(); }
  std::uint32_t first_page() const {
    return static_cast<std::uint32_t>(number * repository::kLeafPages);
  }
  std::uint32_t pages() const { return file->shape.leaf_pages(number); }

  // Reads those of the pages to read that the page cache has; so many bytes. For leaves of which
  // few pages are read: what has changed the server has just written, and single pages cost a
  // device more than their bytes.
  std::uint64_t read_cached_pages();
};

// Pages that are stored together, unless they are there already.
struct CopiedChunk {
  ByteSpan bytes;  // where they were read, or gathered
  std::span<const repository::Digest> digests;
  std::uint32_t page_size_bytes = 0;
  bool gathered = false;

  // The state after each stage: what is not yet known to be stored has to be encoded.
  enum class State { maybe_stored, stored, to_encode, encoded } state = State::to_encode;
  repository::ChunkId id;
  repository::EncodedChunk chunk;  // encoded: borrows from the batch
  repository::PackRef pack;        // stored
};

// Of a leaf whose parent's leaf is at hand: the pages that have to be read, and which may differ.
void select_pages(CopiedLeaf& leaf, const FileSelection& selection, std::uint32_t chunk_pages,
                  const ChangePace& pace);

class CopyBatch {
 public:
  // A batch takes a leaf of a file with such pages at least.
  explicit CopyBatch(std::size_t page_size_bytes);

  // One operation.
  struct Read {
    std::size_t leaf = 0;
    std::uint64_t offset = 0;  // in the file
    MutableByteSpan bytes;     // whole blocks, as direct reads demand
  };

  // Ready to be filled anew.
  void clear();
  std::size_t room_bytes() const { return memory_.size_bytes() - used_bytes_; }
  // Room for another leaf of that size.
  bool takes(std::size_t size_bytes) const {
    return leaves.size() < kBatchFilesMax && io::whole_blocks(size_bytes) <= room_bytes();
  }
  MutableByteSpan memory() { return memory_.bytes(); }
  // Appends a leaf that takes() fits.
  CopiedLeaf& add_leaf(std::shared_ptr<CopiedFile> file, std::uint64_t number);
  // Plans reads of the pages that are to be read of every leaf and were not, none larger than
  // `size_max_bytes`. Gaps that cost more to leave out than to read are read as well.
  void plan_reads(std::size_t size_max_bytes);

  // Memory for pages that are stored together and do not lie together; of all leaves no more than
  // they have pages.
  MutableByteSpan gathering_room(std::size_t size_bytes);
  std::span<repository::Digest> digests_of_gathered(std::size_t pages);
  MutableByteSpan encoding_room() {
    return {encoded_.get() + used_encoded_bytes_, encoded_bytes_ - used_encoded_bytes_};
  }
  void use_encoding_room(std::size_t size_bytes) { used_encoded_bytes_ += size_bytes; }

  std::vector<CopiedLeaf> leaves;
  std::vector<CopiedChunk> chunks;
  std::vector<Read> reads;
  std::size_t next_read = 0;  // the first that was not submitted
  std::size_t reads_left = 0;

 private:
  io::AlignedBuffer memory_;
  std::size_t used_bytes_ = 0;
  std::unique_ptr<std::byte[]> gathered_;  // made when it is first needed
  std::size_t used_gathered_bytes_ = 0;
  // All chunks can be encoded into it one after another.
  std::unique_ptr<std::byte[]> encoded_;
  std::size_t encoded_bytes_ = 0;
  std::size_t used_encoded_bytes_ = 0;
  // By page read, then by page gathered.
  std::vector<repository::Digest> digests_;
  std::size_t used_digests_ = 0;
  std::size_t page_size_bytes_ = 0;
};

// Calls `visit(first, end)` for every run of pages of a set that has `count`.
template <typename Visit>
void for_each_run(const repository::PageSet& pages, std::size_t count, Visit visit) {
  for (std::size_t first = 0; first < count; ++first) {
    if (!pages[first]) continue;
    std::size_t end = first + 1;
    while (end < count && pages[end]) ++end;
    visit(first, end);
    first = end;
  }
}

}  // namespace haul::backup
