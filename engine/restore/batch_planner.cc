#include "engine/restore/batch_planner.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace haul::restore {

using repository::FileMapReader;
using repository::MapLeaf;
using repository::TreeEntry;

namespace {

constexpr std::size_t kSmallFilesMax = 512;
// Small files start at cache lines of the batch's memory.
constexpr std::size_t kSmallFileAlignment = 64;

std::uint64_t rounded_up(std::uint64_t size_bytes, std::uint64_t alignment) {
  return (size_bytes + alignment - 1) / alignment * alignment;
}

Error interrupted() { return {ErrorCode::interrupted, "interrupted"}; }

}  // namespace

Status BatchPlanner::run() {
  HAUL_TRY(for_each_file(*context_.chunks, *context_.plan,
                         [this](const TreeEntry& entry) { return place(entry); }));
  for (Batch** batch : {&small_files_, &large_files_}) {
    if (*batch != nullptr) hand_on(*batch);
  }
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

Status BatchPlanner::make_room(Batch*& batch, Batch::Kind kind, std::uint64_t size_bytes,
                               bool is_compared) {
  const std::size_t leaves_max =
      kind == Batch::Kind::small_files ? kSmallFilesMax : kLeavesPerBatch;
  if (batch != nullptr &&
      (batch->leaves.size() == leaves_max || batch->is_compared != is_compared ||
       batch->memory.size_bytes() - batch->used_bytes < size_bytes)) {
    hand_on(batch);
  }
  if (batch != nullptr) return ok();
  const auto free = context_.free->pop();
  if (!free) return interrupted();
  batch = *free;
  batch->kind = kind;
  batch->is_compared = is_compared;
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
  HAUL_TRY(make_room(small_files_, Batch::Kind::small_files,
                     rounded_up(file->size_bytes, kSmallFileAlignment), context_.is_delta));
  PlacedLeaf placed;
  placed.file = file;
  return add_leaf(*small_files_, std::move(placed), std::move(leaf),
                  {file->size_bytes, map.shape().page_size_bytes, map.shape().chunk_pages});
}

Status BatchPlanner::place_large(const std::shared_ptr<PlacedFile>& file,
                                 const FileMapReader& map) {
  HAUL_TRY(open_large(*file));
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    if (context_.stop.stop_requested()) return interrupted();
    HAUL_TRY(place_leaf_of_large(file, map, leaf));
  }
  return ok();
}

// What is there is brought to its size at once, so that what it lacks are holes.
Status BatchPlanner::open_large(PlacedFile& file) {
  const bool is_survey = context_.losses->is_survey();
  if (context_.is_delta) {
    file.file = HAUL_TRY(
        context_.target->open_earlier(file.path, file.mode, io::Caching::direct,
                                      is_survey ? Target::Access::look : Target::Access::update));
    if (file.file != nullptr) file.earlier_bytes = HAUL_TRY(file.file->info()).size_bytes;
  }
  if (is_survey) return ok();
  if (file.file == nullptr) {
    file.file = HAUL_TRY(context_.target->create_file(file.path, file.mode, io::Caching::direct));
  }
  // Writes within the size of a file need not wait for each other.
  return file.earlier_bytes == file.size_bytes ? ok() : file.file->resize(file.size_bytes);
}

Status BatchPlanner::place_leaf_of_large(const std::shared_ptr<PlacedFile>& file,
                                         const FileMapReader& map, std::uint64_t leaf) {
  const LeafShape shape = leaf_shape(map.shape(), leaf);
  auto read = map.read_leaf(leaf);
  if (!read) HAUL_TRY(context_.losses->note(*file, std::move(read).take_error()));
  const std::uint64_t offset = leaf * map.shape().leaf_bytes();
  // A file that ended before has holes there now.
  const bool is_on_disk = file->earlier_bytes.value_or(0) > offset;
  if (!read || (read->chunks.empty() && !is_on_disk)) {
    file->leaves[leaf] = crc32c_of_zeros(shape.size_bytes);
    context_.leaf_done(file, shape.size_bytes);
    return ok();
  }
  HAUL_TRY(make_room(large_files_, Batch::Kind::large_files, io::whole_blocks(shape.size_bytes),
                     is_on_disk));
  PlacedLeaf placed;
  placed.file = file;
  placed.number = leaf;
  placed.offset = offset;
  return add_leaf(*large_files_, std::move(placed), std::move(read).take(), shape);
}

Status BatchPlanner::add_leaf(Batch& batch, PlacedLeaf leaf, MapLeaf map, const LeafShape& shape) {
  const bool is_direct = batch.kind == Batch::Kind::large_files;
  leaf.size_bytes = shape.size_bytes;
  leaf.bytes = batch.memory.bytes().subspan(
      batch.used_bytes, is_direct ? io::whole_blocks(shape.size_bytes) : shape.size_bytes);
  std::ranges::fill(leaf.bytes.subspan(shape.size_bytes), std::byte{0});
  leaf.extents.resize(map.extents.size());
  leaf.written = written_ranges(map, shape);
  leaf.shape = shape;
  batch.used_bytes +=
      is_direct ? leaf.bytes.size() : rounded_up(shape.size_bytes, kSmallFileAlignment);
  std::vector<ChunkUse> uses;
  if (batch.is_compared) {
    leaf.map = std::move(map);
  } else {
    fill_holes(map, shape, leaf.bytes.first(shape.size_bytes), leaf.extents);
    uses = chunk_uses(map, shape);
  }
  const std::size_t number = batch.leaves.size();
  batch.leaves.push_back(std::move(leaf));
  for (ChunkUse& use : uses) {
    HAUL_TRY(locator_.add(batch, number, std::move(use), shape.chunk_bytes()));
  }
  return ok();
}

void BatchPlanner::hand_on(Batch*& filled) {
  Batch* const batch = std::exchange(filled, nullptr);
  if (batch->is_compared) {
    context_.unread(batch);
    return;
  }
  locator_.make_reads(*batch);
  context_.planned(batch);
}

}  // namespace haul::restore
