#include "engine/restore/batch_comparer.h"

#include <algorithm>
#include <utility>

#include "io/aligned_buffer.h"

namespace haul::restore {

namespace {

// For push_now(), which does not keep to it: batches are few.
constexpr std::size_t kWaitingMax = 1;

void compare_leaf(const repository::Identity& identity, PlacedLeaf& leaf) {
  const MutableByteSpan bytes = leaf.bytes.first(leaf.size_bytes);
  leaf.comparison = leaf.is_unreadable ? compare_nothing(leaf.map, bytes)
                                       : compare_regions(identity, leaf.map, leaf.shape, bytes);
}

}  // namespace

BatchComparer::BatchComparer(const Context& context)
    : context_(context),
      locator_(context_.locator),
      unread_(kWaitingMax, context_.stop),
      compared_(kWaitingMax, context_.stop) {}

void BatchComparer::close() {
  unread_.close();
  compared_.close();
}

Status BatchComparer::run_reader() {
  io::AlignedBuffer aligned(kLargeSizeMinBytes);
  while (const auto batch = unread_.pop()) {
    for (PlacedLeaf& leaf : (*batch)->leaves) {
      if (context_.stop.stop_requested()) return ok();  // whoever stopped says why
      HAUL_TRY(read_small(leaf, aligned.bytes()));
    }
    compare(*batch);
  }
  return ok();
}

Status BatchComparer::read_small(PlacedLeaf& leaf, MutableByteSpan aligned) {
  PlacedFile& placed = *leaf.file;
  const auto access = context_.losses->is_survey() ? Target::Access::look : Target::Access::update;
  const auto file = HAUL_TRY(
      context_.target->open_earlier(placed.path, placed.mode, io::Caching::direct, access));
  if (file == nullptr) return ok();
  placed.earlier_bytes = HAUL_TRY(file->info()).size_bytes;
  const auto read = file->read_at(0, aligned.first(io::whole_blocks(leaf.size_bytes)));
  leaf.is_unreadable = !read;
  const std::size_t size = std::min<std::size_t>(read.value_or(0), leaf.size_bytes);
  std::ranges::copy(aligned.first(size), leaf.bytes.begin());
  std::ranges::fill(leaf.bytes.subspan(size), std::byte{0});
  return ok();
}

void BatchComparer::compare(Batch* batch) {
  context_.arena->run([this, batch](std::size_t) {
    for (PlacedLeaf& leaf : batch->leaves) {
      if (leaf.file->earlier_bytes) compare_leaf(*context_.identity, leaf);
    }
    const bool is_kept = std::ranges::all_of(batch->leaves, [](const PlacedLeaf& leaf) {
      return leaf.comparison && leaf.comparison->is_kept();
    });
    if (!is_kept) {
      compared_.push_now(batch);
      return ok();
    }
    for (PlacedLeaf& leaf : batch->leaves) {
      leaf.written.clear();
      leaf.kept_bytes = leaf.size_bytes;
    }
    batch->finish_compared();
    context_.located(batch);
    return ok();
  });
}

Status BatchComparer::run_locator() {
  while (const auto batch = compared_.pop()) {
    for (std::size_t leaf = 0; leaf < (*batch)->leaves.size(); ++leaf) {
      HAUL_TRY(locate(**batch, leaf));
    }
    locator_.make_reads(**batch);
    if ((*batch)->chunks.empty()) (*batch)->finish_compared();
    context_.located(*batch);
  }
  return ok();
}

Status BatchComparer::locate(Batch& batch, std::size_t number) {
  PlacedLeaf& leaf = batch.leaves[number];
  const LeafShape& shape = leaf.shape;
  if (!leaf.comparison) {  // of a file that is not there
    fill_holes(leaf.map, shape, leaf.bytes.first(leaf.size_bytes), leaf.extents);
  }
  for (ChunkUse& use : chunk_uses(leaf.map, shape)) {
    if (!leaf.comparison) {
      HAUL_TRY(locator_.add(batch, number, std::move(use), shape.chunk_bytes()));
      continue;
    }
    if (!is_drawn_on(use, shape, *leaf.comparison)) continue;
    auto stored = context_.locator.chunks->find(use.id, shape.chunk_bytes());
    if (!stored) {
      HAUL_TRY(context_.losses->note(*leaf.file, std::move(stored).take_error()));
      continue;
    }
    std::span<const std::uint64_t> tags;
    if (*stored) tags = (*stored)->chunk().tags;
    ChunkUse needed = needed_part(use, shape, tags, *leaf.comparison);
    if (needed.targets.empty()) continue;
    HAUL_TRY(locator_.add_found(batch, number, std::move(needed), shape.chunk_bytes(),
                                *std::move(stored)));
  }
  if (leaf.comparison) {
    leaf.written = rewritten_ranges(*leaf.comparison, shape);
    leaf.kept_bytes = kept_bytes(*leaf.comparison, shape);
  }
  return ok();
}

}  // namespace haul::restore
