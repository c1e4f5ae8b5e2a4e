#include "engine/backup/collector.h"

#include <utility>

namespace haul::backup {

using State = CopiedRegion::State;

Result<bool> Collector::look_up(CopyBatch& batch) {
  bool some_are_new = false;
  for (CopiedRegion& region : batch.regions) {
    if (region.state != State::maybe_stored) continue;
    const auto found = HAUL_TRY(context_.writer->find(region.id));
    if (found) {
      context_.writer->note_reference(*found, region.digests.size());
      region.state = State::stored;
    } else {
      region.state = State::to_encode;
      some_are_new = true;
    }
  }
  return some_are_new;
}

Status Collector::store(CopyBatch& batch) {
  for (CopiedRegion& region : batch.regions) {
    if (region.state == State::encoded) HAUL_TRY(store_chunk(region));
    if (region.state == State::hole) hole_bytes_ += region.bytes.size();
    context_.progress->bytes_done += region.bytes.size();
    HAUL_TRY(place(region));
  }
  return ok();
}

Status Collector::store_chunk(const CopiedRegion& region) {
  repository::ChunkWriter& writer = *context_.writer;
  // The same content may have come by in another batch meanwhile.
  if (writer.may_hold(region.id)) {
    if (const auto found = HAUL_TRY(writer.find(region.id))) {
      writer.note_reference(*found, region.digests.size());
      return ok();
    }
  }
  const repository::PackRef pack = HAUL_TRY(context_.data->append(region.chunk));
  writer.note_reference(pack, region.digests.size());
  context_.progress->stored_bytes += region.chunk.stored.size();
  if (auto full = context_.data->take_full()) {
    HAUL_TRY(context_.finish_pack(*std::move(full)));
  }
  return ok();
}

Status Collector::place(const CopiedRegion& region) {
  CopiedFile& file = *region.file;
  const std::uint64_t regions_per_leaf = repository::kLeafPages / file.shape.chunk_pages;
  const std::uint64_t leaf = region.number / regions_per_leaf;
  CopiedFile::OpenLeaf& open = file.open_leaves[leaf];
  if (open.regions.empty()) {
    const std::uint64_t bytes = file.shape.leaf_size(leaf);
    open.regions.resize((bytes + file.shape.region_bytes() - 1) / file.shape.region_bytes());
    open.regions_left = open.regions.size();
  }
  open.regions[region.number % regions_per_leaf] = region.id;
  return --open.regions_left == 0 ? finish_leaf(file, leaf) : ok();
}

Status Collector::finish_leaf(CopiedFile& file, std::uint64_t leaf) {
  auto open = file.open_leaves.extract(leaf);
  if (file.shape.inlined()) {
    file.entry.content = repository::ContentKind::inlined;
    file.entry.ids = std::move(open.mapped().regions);
  } else {
    file.leaf_ids[leaf] = HAUL_TRY(repository::store_leaf(open.mapped().regions, file.shape, leaf,
                                                          encoder_, *context_.metadata));
  }
  if (--file.leaves_left > 0) return ok();
  if (!file.shape.inlined()) {
    HAUL_TRY(
        repository::finish_map(std::move(file.leaf_ids), file.entry, encoder_, *context_.metadata));
  }
  return finish_file(file);
}

Status Collector::take_empty_file(CopiedFile& file) { return finish_file(file); }

Status Collector::finish_file(CopiedFile& file) {
  HAUL_TRY(file.file->finish());
  return context_.add_entry(file.entry);
}

}  // namespace haul::backup
