#include "engine/backup/copy_batch.h"

#include <algorithm>

#include "base/assert.h"
#include "compress/codec.h"

namespace haul::backup {

namespace {

// Above what any codec adds to a chunk of its own.
constexpr std::size_t kChunkEncodingReserveBytes = 256;
// A device reads so much more in the time that another operation takes it.
constexpr std::size_t kGapBytesMax = 8 * 1024;

// Pages between two runs that lie near each other, and whole blocks of pages that are smaller.
void fill_gaps(repository::PageSet& pages, std::size_t count, std::size_t page_size_bytes) {
  const std::size_t per_block = std::max<std::size_t>(1, io::kDirectAlignment / page_size_bytes);
  for (std::size_t page = 0; page < count && per_block > 1; ++page) {
    if (!pages[page]) continue;
    const std::size_t first = page / per_block * per_block;
    for (std::size_t i = first; i < std::min(first + per_block, count); ++i) pages.set(i);
  }
  const std::size_t gap_max = kGapBytesMax / page_size_bytes;
  std::size_t gap = gap_max + 1;  // pages since the last one that is read
  for (std::size_t page = 0; page < count; ++page) {
    if (!pages[page]) {
      ++gap;
      continue;
    }
    if (gap <= gap_max) {
      for (std::size_t i = page - gap; i < page; ++i) pages.set(i);
    }
    gap = 0;
  }
}

}  // namespace

std::vector<bool> kept_leaves(const PlannedFile& planned, const repository::FileShape& shape) {
  if (!planned.selection || planned.parent == nullptr) return {};
  const repository::FileShape& before = planned.parent->shape();
  if (before.page_size_bytes != shape.page_size_bytes) return {};
  std::vector<bool> kept(shape.leaves());
  for (std::uint64_t leaf = 0; leaf < std::min(shape.leaves(), before.leaves()); ++leaf) {
    if (shape.leaf_size(leaf) != before.leaf_size(leaf)) continue;
    const std::uint32_t pages = shape.leaf_pages(leaf);
    kept[leaf] = planned.selection->named(leaf, pages).none() &&
                 planned.selection->audited(leaf, pages).none();
  }
  return kept;
}

void CopiedFile::begin_leaves() {
  leaf_ids.resize(shape.leaves());
  leaves_kept = kept_leaves(planned, shape);
  leaves_left = shape.leaves() - static_cast<std::uint64_t>(std::ranges::count(leaves_kept, true));
}

void select_pages(CopiedLeaf& leaf, const FileSelection& selection, std::uint32_t chunk_pages,
                  const ChangePace& pace) {
  const std::uint32_t pages = leaf.pages();
  const repository::ParentLeaf& parent = *leaf.parent;
  repository::PageSet named = selection.named(leaf.number, pages);
  std::vector<repository::PageFate> fates(pages);
  for (std::uint32_t page = 0; page < pages; ++page) {
    // A short page at the end of either file is not the page it was.
    const bool whole =
        std::uint64_t{page + 1} * leaf.file->shape.page_size_bytes <= leaf.bytes.size();
    if (page >= parent.pages.size() || !parent.is_usable(page) || !whole) named.set(page);
    if (named[page]) fates[page] = repository::PageFate::changed;
  }
  leaf.may_differ = named;
  leaf.read = named | selection.audited(leaf.number, pages);
  // A region that has become longer or shorter has another digest, which takes all of its pages.
  const auto common = static_cast<std::uint32_t>(std::min<std::size_t>(pages, parent.pages.size()));
  if (pages != parent.pages.size()) {
    const std::uint32_t first = common / chunk_pages * chunk_pages;
    for (std::uint32_t page = first; page < std::min(first + chunk_pages, pages); ++page) {
      leaf.read.set(page);
    }
  }
  if (named.any()) {
    leaf.read |= repository::pages_to_move(parent, fates, chunk_pages, pace.of(named.count()));
  }
}

std::uint64_t CopiedLeaf::read_cached_pages() {
  const std::size_t page_bytes = file->shape.page_size_bytes;
  std::uint64_t read_bytes = 0;
  const auto read_run = [&](std::size_t first, std::size_t end) {
    const std::size_t begin = first * page_bytes;
    const std::size_t size = std::min(end * page_bytes, bytes.size()) - begin;
    if (!file->file->read_cached(offset() + begin, bytes.subspan(begin, size))) return false;
    for (std::size_t page = first; page < end; ++page) cached.set(page);
    read_bytes += size;
    return true;
  };
  for_each_run(read, pages(), [&](std::size_t first, std::size_t end) {
    if (read_run(first, end) || end - first == 1) return;
    for (std::size_t page = first; page < end; ++page) read_run(page, page + 1);
  });
  return read_bytes;
}

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
  for (std::uint32_t page = 0; page < leaf.pages(); ++page) leaf.read.set(page);
  leaf.may_differ = leaf.read;
  return leaf;
}

void CopyBatch::plan_reads(std::size_t size_max_bytes) {
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    CopiedLeaf& leaf = leaves[i];
    repository::PageSet missing = leaf.read & ~leaf.cached;
    fill_gaps(missing, leaf.pages(), page_size_bytes_);
    leaf.read |= missing;
    for_each_run(missing, leaf.pages(), [&](std::size_t first, std::size_t end) {
      const std::size_t run_end = std::min(end * page_size_bytes_, leaf.bytes.size());
      for (std::size_t begin = first * page_size_bytes_; begin < run_end; begin += size_max_bytes) {
        const std::size_t size = io::whole_blocks(std::min(size_max_bytes, run_end - begin));
        reads.push_back({i, leaf.offset() + begin, {leaf.bytes.data() + begin, size}});
      }
    });
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
