#include "engine/backup/copy_batch.h"

#include <algorithm>

#include "base/assert.h"
#include "compress/codec.h"

namespace haul::backup {

namespace {

// Above what any codec adds to a region of its own.
constexpr std::size_t kRegionEncodingReserveBytes = 256;

}  // namespace

CopyBatch::CopyBatch(std::size_t region_bytes, std::size_t page_size_bytes)
    : memory(std::max(kBatchBytes, region_bytes)), page_bytes(page_size_bytes) {
  // Each file may end with a region of its own beside the whole ones.
  const std::size_t regions_max = memory.size_bytes() / region_bytes + kBatchFilesMax;
  encoded.resize(compress::compressed_size_max(memory.size_bytes()) +
                 regions_max * kRegionEncodingReserveBytes);
  digests.resize(memory.size_bytes() / page_bytes + kBatchFilesMax);
  regions.reserve(regions_max);
  reads.reserve(kBatchFilesMax);
}

void CopyBatch::clear() {
  used_bytes = used_encoded_bytes = used_digests = reads_left = 0;
  regions.clear();
  reads.clear();
}

CopiedRegion& CopyBatch::add_region(std::shared_ptr<CopiedFile> file, std::uint64_t number,
                                    std::size_t size_bytes) {
  const MutableByteSpan read = memory.bytes().subspan(used_bytes, io::whole_blocks(size_bytes));
  if (reads.empty() || regions.back().file != file || regions.back().number + 1 != number) {
    HAUL_ASSERT(reads.size() < kBatchFilesMax);
    reads.push_back({regions.size(), 0, read.first(0)});
  }
  Read& last = reads.back();
  last.bytes = {last.bytes.data(), last.bytes.size() + read.size()};
  ++last.regions;
  used_bytes += read.size();

  CopiedRegion& region = regions.emplace_back();
  region.file = std::move(file);
  region.number = number;
  region.bytes = read.first(size_bytes);
  const std::size_t pages = (size_bytes + page_bytes - 1) / page_bytes;
  region.digests = std::span(digests).subspan(used_digests, pages);
  used_digests += pages;
  return region;
}

}  // namespace haul::backup
