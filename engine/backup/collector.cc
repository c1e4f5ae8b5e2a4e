#include "engine/backup/collector.h"

#include <utility>

namespace haul::backup {

using State = CopiedChunk::State;

Result<bool> Collector::look_up(CopyBatch& batch) {
  bool some_are_new = false;
  for (CopiedChunk& chunk : batch.chunks) {
    if (chunk.state != State::maybe_stored) continue;
    if (const auto found = HAUL_TRY(context_.writer->find(chunk.id))) {
      chunk.pack = *found;
      chunk.state = State::stored;
    } else {
      chunk.state = State::to_encode;
      some_are_new = true;
    }
  }
  return some_are_new;
}

Status Collector::store(CopyBatch& batch) {
  for (CopiedChunk& chunk : batch.chunks) {
    if (chunk.state == State::encoded) HAUL_TRY(store_chunk(chunk));
  }
  for (CopiedLeaf& leaf : batch.leaves) HAUL_TRY(store_leaf(batch, leaf));
  return ok();
}

Status Collector::store_chunk(CopiedChunk& chunk) {
  // The same content may have come by in another batch meanwhile.
  if (context_.writer->may_hold(chunk.id)) {
    if (const auto found = HAUL_TRY(context_.writer->find(chunk.id))) {
      chunk.pack = *found;
      return ok();
    }
  }
  repository::PackStream& stream = chunk.gathered ? *context_.delta : *context_.data;
  chunk.pack = HAUL_TRY(stream.append(chunk.chunk));
  context_.progress->stored_bytes += chunk.chunk.stored.size();
  if (auto full = stream.take_full()) HAUL_TRY(context_.finish_pack(*std::move(full)));
  return ok();
}

Status Collector::store_leaf(const CopyBatch& batch, CopiedLeaf& leaf) {
  CopiedFile& file = *leaf.file;
  note_references(batch, leaf);
  context_.progress->bytes_done += leaf.bytes.size();
  totals_.hole_bytes += repository::hole_bytes(leaf.made.map, leaf.bytes.size(), file.shape);
  totals_.suspects.add(file.planned.path, file.planned.first_block + leaf.first_page(),
                       leaf.suspects);
  totals_.changed_bytes += std::uint64_t{leaf.changed_pages} * file.shape.page_size_bytes;
  const auto plain =
      file.shape.inlined() ? repository::plain_regions(leaf.made.map, file.shape) : std::nullopt;
  if (plain) {
    file.entry.content = repository::ContentKind::inlined;
    file.entry.ids = *plain;
  } else {
    file.leaf_ids[leaf.number] =
        HAUL_TRY(repository::store_leaf(leaf.made.map, encoder_, *context_.metadata));
  }
  if (--file.leaves_left > 0) return ok();
  if (!plain) HAUL_TRY(finish_map(file));
  return finish_file(file);
}

Status Collector::finish_map(CopiedFile& file) {
  for (std::uint64_t leaf = 0; leaf < file.leaf_ids.size(); ++leaf) {
    if (file.keeps(leaf)) file.leaf_ids[leaf] = HAUL_TRY(file.planned.parent->leaf_id(leaf));
  }
  return repository::finish_map(std::move(file.leaf_ids), file.entry, encoder_, *context_.metadata);
}

void Collector::note_references(const CopyBatch& batch, const CopiedLeaf& leaf) {
  for (const repository::NewLeaf::Origin& origin : leaf.made.origins) {
    const repository::PackRef& pack = origin.is_new
                                          ? batch.chunks[leaf.first_chunk + origin.number].pack
                                          : leaf.parent->chunks[origin.number].pack;
    context_.writer->note_reference(pack, origin.pages);
  }
}

Status Collector::take_unread_file(CopiedFile& file) {
  if (file.shape.size_bytes > 0) {
    // A map over the same leaves, or with fewer of them.
    const repository::TreeEntry& before = file.planned.parent->entry();
    if (before.size_bytes == file.shape.size_bytes) {
      file.entry.content = before.content;
      file.entry.ids = before.ids;
    } else {
      HAUL_TRY(finish_map(file));
    }
  }
  return finish_file(file);
}

Status Collector::finish_file(CopiedFile& file) {
  HAUL_TRY(file.file->finish());
  return context_.add_entry(file.entry);
}

}  // namespace haul::backup
