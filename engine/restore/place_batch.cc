#include "engine/restore/place_batch.h"

namespace haul::restore {

postgres::Crc32cPiece PlacedLeaf::crc() const {
  if (whole) return *whole;
  postgres::Crc32cPiece combined;
  for (const postgres::Crc32cPiece& extent : extents)
    combined = postgres::combine(combined, extent);
  return combined;
}

Status place_chunk(const ChunkUse& use, ByteSpan chunk, PlacedLeaf& leaf) {
  HAUL_TRY(copy_chunk(use, chunk, leaf.bytes));
  for (const ChunkTarget& target : use.targets) {
    leaf.extents[target.extent] = {
        postgres::crc32c(leaf.bytes.subspan(target.offset, target.size_bytes)), target.size_bytes};
  }
  return ok();
}

void Batch::finish_compared() {
  for (PlacedLeaf& leaf : leaves) {
    if (!leaf.comparison || leaf.whole) continue;
    leaf.whole = {postgres::crc32c(leaf.bytes.first(leaf.size_bytes)), leaf.size_bytes};
  }
}

void Batch::clear() {
  is_compared = false;
  used_bytes = 0;
  leaves.clear();
  chunks.clear();
  reads.clear();
}

}  // namespace haul::restore
