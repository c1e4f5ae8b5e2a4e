#include "engine/restore/place_batch.h"

namespace haul::restore {

postgres::Crc32cPiece PlacedLeaf::crc() const {
  postgres::Crc32cPiece whole;
  for (const postgres::Crc32cPiece& extent : extents) whole = postgres::combine(whole, extent);
  return whole;
}

Status place_chunk(const ChunkUse& use, ByteSpan chunk, PlacedLeaf& leaf) {
  HAUL_TRY(copy_chunk(use, chunk, leaf.bytes));
  for (const ChunkTarget& target : use.targets) {
    leaf.extents[target.extent] = {
        postgres::crc32c(leaf.bytes.subspan(target.offset, target.size_bytes)), target.size_bytes};
  }
  return ok();
}

void Batch::clear() {
  used_bytes = 0;
  leaves.clear();
  chunks.clear();
  reads.clear();
}

}  // namespace haul::restore
