#include "engine/restore/chunk_locator.h"

#include <algorithm>

namespace haul::restore {

using repository::ChunkId;
using repository::StoredChunk;

namespace {

// What is read for nothing costs less than another request.
constexpr std::uint64_t kGapMaxBytes = 64 * 1024;

}  // namespace

Status ChunkLocator::add(Batch& batch, std::size_t leaf, ChunkUse use,
                         std::uint32_t size_max_bytes) {
  auto stored = context_.chunks->find(use.id, size_max_bytes);
  if (!stored) {
    return context_.losses->note(*batch.leaves[leaf].file, std::move(stored).take_error());
  }
  return add_found(batch, leaf, std::move(use), size_max_bytes, *std::move(stored));
}

Status ChunkLocator::add_found(Batch& batch, std::size_t leaf, ChunkUse use,
                               std::uint32_t size_max_bytes, std::optional<StoredChunk> stored) {
  PlacedChunk chunk{leaf, std::move(use), size_max_bytes, std::move(stored), {}};
  if (chunk.stored) {
    auto pack = pack_file(*chunk.stored);
    if (pack) {
      chunk.pack = std::move(pack).take();
    } else {
      // Another copy may do.
      context_.findings->add(pack.error().message());
    }
  }
  batch.chunks.push_back(std::move(chunk));
  return ok();
}

// Sorts the chunks by where they lie and joins those that lie near each other.
void ChunkLocator::make_reads(Batch& batch) const {
  batch.chunks_left = batch.chunks.size();
  std::ranges::sort(batch.chunks, {}, [](const PlacedChunk& chunk) {
    return std::pair(chunk.pack.get(), chunk.pack ? chunk.stored->chunk().offset : 0);
  });
  for (std::size_t i = 0; i < batch.chunks.size(); ++i) {
    const PlacedChunk& chunk = batch.chunks[i];
    if (!chunk.pack) continue;
    const std::uint64_t begin = chunk.stored->chunk().offset;
    const std::uint64_t end = io::whole_blocks(begin + chunk.stored->chunk().stored_bytes);
    PackRead* const last = batch.reads.empty() ? nullptr : &batch.reads.back();
    if (last != nullptr && last->pack == chunk.pack &&
        begin <= last->offset + last->size_bytes + kGapMaxBytes &&
        end - last->offset <= context_.read_bytes_max) {
      last->size_bytes = std::max(last->size_bytes, end - last->offset);
      last->end_chunk = i + 1;
      continue;
    }
    const std::uint64_t offset = begin / io::kDirectAlignment * io::kDirectAlignment;
    batch.reads.push_back({chunk.pack, offset, end - offset, i, i + 1});
  }
}

Result<std::shared_ptr<io::File>> ChunkLocator::pack_file(const StoredChunk& stored) {
  const auto found = std::ranges::find(packs_, stored.pack, &PackFile::first);
  if (found != packs_.end()) {
    packs_.splice(packs_.begin(), packs_, found);
    return packs_.front().second;
  }
  packs_.emplace_front(stored.pack, HAUL_TRY(stored.pack->open_file()));
  if (packs_.size() > kPacksMax) packs_.pop_back();
  return packs_.front().second;
}

}  // namespace haul::restore
