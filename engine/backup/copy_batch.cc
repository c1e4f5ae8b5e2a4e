#include "engine/backup/copy_batch.h"

#include <algorithm>

#include "base/assert.h"
#include "compress/codec.h"

namespace haul::backup {

namespace {

// Above what any codec adds to a chunk of its own.
constexpr std::size_t kChunkEncodingReserveBytes = 256;

}  // namespace

CopyBatch::CopyBatch(std::size_t page_size_bytes)
    : memory_(std::max(kBatchBytesMin, page_size_bytes * repository::kLeafPages)),
      page_size_bytes_(page_size_bytes) {
  // Each leaf may end with a page of its own beside the whole ones, each page be a chunk.
  const std::size_t pages_max = memory_.size_bytes() / page_size_bytes + kBatchFilesMax;
  const std::size_t chunks_max =
      memory_.size_bytes() / (page_size_bytes * repository::kChunkPagesMin) + 2 * kBatchFilesMax;
  encoded_bytes_ =
      compress::compressed_size_max(memory_.size_bytes()) + chunks_max * kChunkEncodingReserveBytes;
  encoded_ = std::make_unique_for_overwrite<std::byte[]>(encoded_bytes_);
  digests_.resize(2 * pages_max);
  leaves.reserve(kBatchFilesMax);
}

void CopyBatch::clear() {
  used_bytes_ = used_gathered_bytes_ = used_encoded_bytes_ = used_digests_ = 0;
  next_read = reads_left = 0;
  leaves.clear();
  chunks.clear();
  reads.clear();
}

CopiedLeaf& CopyBatch::add_leaf(std::shared_ptr<CopiedFile> file, std::uint64_t number) {
  const auto size_bytes = static_cast<std::size_t>(file->shape.leaf_size(number));
  HAUL_ASSERT(takes(size_bytes));
  CopiedLeaf& leaf = leaves.emplace_back();
  leaf.file = std::move(file);
  leaf.number = number;
  leaf.bytes = memory_.bytes().subspan(used_bytes_, size_bytes);
  used_bytes_ += io::whole_blocks(size_bytes);
  leaf.digests = digests_of_gathered(leaf.pages());
  return leaf;
}

void CopyBatch::plan_reads(std::size_t size_max_bytes) {
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const CopiedLeaf& leaf = leaves[i];
    const MutableByteSpan all(leaf.bytes.data(), io::whole_blocks(leaf.bytes.size()));
    for (std::size_t begin = 0; begin < all.size(); begin += size_max_bytes) {
      reads.push_back({i, leaf.offset() + begin,
                       all.subspan(begin, std::min(size_max_bytes, all.size() - begin))});
    }
  }
  reads_left = reads.size();
}

MutableByteSpan CopyBatch::gathering_room(std::size_t size_bytes) {
  if (!gathered_) gathered_ = std::make_unique_for_overwrite<std::byte[]>(memory_.size_bytes());
  HAUL_ASSERT(size_bytes <= memory_.size_bytes() - used_gathered_bytes_);
  const MutableByteSpan room(gathered_.get() + used_gathered_bytes_, size_bytes);
  used_gathered_bytes_ += size_bytes;
  return room;
}

std::span<repository::Digest> CopyBatch::digests_of_gathered(std::size_t pages) {
  HAUL_ASSERT(pages <= digests_.size() - used_digests_);
  const std::span<repository::Digest> room = std::span(digests_).subspan(used_digests_, pages);
  used_digests_ += pages;
  return room;
}

}  // namespace haul::backup
