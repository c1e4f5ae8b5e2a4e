#include "engine/restore/batch_planner.h"

#include <algorithm>

#include "base/format.h"

namespace haul::restore {

using repository::FileMapReader;
using repository::MapLeaf;
using repository::StoredChunk;
using repository::TreeEntry;

namespace {

// Smaller files go through the page cache: a direct write each would wait for the device.
constexpr std::uint64_t kLargeSizeMinBytes = 1 << 20;
constexpr std::size_t kSmallFilesMax = 512;
// Small files start at cache lines of the batch's memory.
constexpr std::size_t kSmallFileAlignment = 64;
// What is read for nothing costs less than another request.
constexpr std::uint64_t kGapMaxBytes = 64 * 1024;

std::uint64_t rounded_up(std::uint64_t size_bytes, std::uint64_t alignment) {
  return (size_bytes + alignment - 1) / alignment * alignment;
}

Error interrupted() { return {ErrorCode::interrupted, "interrupted"}; }

// Sorts the chunks by where they lie and joins those that lie near each other.
void make_reads(Batch& batch, std::size_t read_bytes_max) {
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
        end - last->offset <= read_bytes_max) {
      last->size_bytes = std::max(last->size_bytes, end - last->offset);
      last->end_chunk = i + 1;
      continue;
    }
    const std::uint64_t offset = begin / io::kDirectAlignment * io::kDirectAlignment;
    batch.reads.push_back({chunk.pack, offset, end - offset, i, i + 1});
  }
}

}  // namespace

Status BatchPlanner::run() {
  HAUL_TRY(for_each_file(*context_.chunks, *context_.plan,
                         [this](const TreeEntry& entry) { return place(entry); }));
  if (batch_ != nullptr) hand_on();
  return ok();
}

Status BatchPlanner::place(const TreeEntry& entry) {
  if (context_.stop.stop_requested()) return interrupted();
  auto file = std::make_shared<PlacedFile>();
  file->number = files_++;
  file->path = entry.path;
  file->mode = entry.mode;
  file->size_bytes = entry.size_bytes;
  const FileMapReader map = HAUL_TRY(FileMapReader::open(*context_.chunks, entry));
  const std::uint64_t leaves = std::max<std::uint64_t>(map.shape().leaves(), 1);
  file->leaves.resize(leaves);
  file->leaves_left = leaves;
  const bool is_small = leaves == 1 && entry.size_bytes < kLargeSizeMinBytes;
  return is_small ? place_small(file, map) : place_large(file, map);
}

Status BatchPlanner::take_free_batch(Batch::Kind kind) {
  const auto batch = context_.free->pop();
  if (!batch) return interrupted();
  batch_ = *batch;
  batch_->kind = kind;
  return ok();
}

Status BatchPlanner::place_small(const std::shared_ptr<PlacedFile>& file,
                                 const FileMapReader& map) {
  MapLeaf leaf;
  if (file->size_bytes > 0) {
    auto read = map.read_leaf(0);
    if (!read) {
      HAUL_TRY(context_.losses->note(*file, std::move(read).take_error()));
      context_.leaf_done(file, file->size_bytes);
      return ok();
    }
    leaf = std::move(read).take();
  }
  const std::uint64_t room = rounded_up(file->size_bytes, kSmallFileAlignment);
  if (batch_ != nullptr && (batch_->leaves.size() == kSmallFilesMax ||
                            batch_->memory.size_bytes() - batch_->used_bytes < room)) {
    hand_on();
  }
  if (batch_ == nullptr) HAUL_TRY(take_free_batch(Batch::Kind::small_files));
  PlacedLeaf placed;
  placed.file = file;
  return add_leaf(std::move(placed), leaf,
                  {file->size_bytes, map.shape().page_size_bytes, map.shape().chunk_pages});
}

Status BatchPlanner::place_large(const std::shared_ptr<PlacedFile>& file,
                                 const FileMapReader& map) {
  if (!context_.losses->is_survey()) {
    file->file =
        HAUL_TRY(context_.target->create_file(file->path, file->mode, io::Caching::direct));
    // Writes within the size of a file need not wait for each other.
    HAUL_TRY(file->file->resize(file->size_bytes));
  }
  // The small files of before wait meanwhile.
  Batch* const small_files = std::exchange(batch_, nullptr);
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    if (context_.stop.stop_requested()) return interrupted();
    HAUL_TRY(place_leaf_of_large(file, map, leaf));
  }
  batch_ = small_files;
  return ok();
}

Status BatchPlanner::place_leaf_of_large(const std::shared_ptr<PlacedFile>& file,
                                         const FileMapReader& map, std::uint64_t leaf) {
  const LeafShape shape = leaf_shape(map.shape(), leaf);
  auto read = map.read_leaf(leaf);
  if (!read) HAUL_TRY(context_.losses->note(*file, std::move(read).take_error()));
  if (!read || read->chunks.empty()) {
    file->leaves[leaf] = crc32c_of_zeros(shape.size_bytes);
    context_.leaf_done(file, shape.size_bytes);
    return ok();
  }
  HAUL_TRY(take_free_batch(Batch::Kind::leaf_of_large_file));
  PlacedLeaf placed;
  placed.file = file;
  placed.number = leaf;
  placed.offset = leaf * map.shape().leaf_bytes();
  HAUL_TRY(add_leaf(std::move(placed), *read, shape));
  hand_on();
  return ok();
}

Status BatchPlanner::add_leaf(PlacedLeaf leaf, const MapLeaf& map, const LeafShape& shape) {
  const bool is_direct = batch_->kind == Batch::Kind::leaf_of_large_file;
  leaf.size_bytes = shape.size_bytes;
  leaf.bytes = batch_->memory.bytes().subspan(
      batch_->used_bytes, is_direct ? io::whole_blocks(shape.size_bytes) : shape.size_bytes);
  std::ranges::fill(leaf.bytes.subspan(shape.size_bytes), std::byte{0});
  leaf.extents.resize(map.extents.size());
  leaf.written = written_ranges(map, shape);
  fill_holes(map, shape, leaf.bytes.first(shape.size_bytes), leaf.extents);
  batch_->used_bytes += rounded_up(shape.size_bytes, kSmallFileAlignment);
  batch_->leaves.push_back(std::move(leaf));
  for (ChunkUse& use : chunk_uses(map, shape)) {
    HAUL_TRY(add_chunk(std::move(use), shape.chunk_pages * shape.page_size_bytes));
  }
  return ok();
}

Status BatchPlanner::add_chunk(ChunkUse use, std::uint32_t size_max_bytes) {
  PlacedLeaf& leaf = batch_->leaves.back();
  if (const auto cached = context_.cache->find(use.id)) {
    Status copied = place_chunk(use, *cached, leaf);
    return copied ? ok() : context_.losses->note(*leaf.file, std::move(copied).take_error());
  }
  auto stored = context_.chunks->find(use.id, size_max_bytes, last_stored_);
  if (!stored) return context_.losses->note(*leaf.file, std::move(stored).take_error());
  PlacedChunk chunk{batch_->leaves.size() - 1, std::move(use), size_max_bytes, {}, {}};
  if (*stored) {
    last_stored_ = *stored;
    chunk.stored = *std::move(stored);
    auto pack = pack_file(*chunk.stored);
    if (pack) {
      chunk.pack = std::move(pack).take();
    } else {
      // Another copy may do.
      context_.findings->add(pack.error().message());
    }
  }
  batch_->chunks.push_back(std::move(chunk));
  return ok();
}

void BatchPlanner::hand_on() {
  Batch* const batch = std::exchange(batch_, nullptr);
  batch->chunks_left = batch->chunks.size();
  make_reads(*batch, context_.read_bytes_max);
  context_.planned(batch);
}

Result<std::shared_ptr<io::File>> BatchPlanner::pack_file(const StoredChunk& stored) {
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
