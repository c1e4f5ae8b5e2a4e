// How much of each pack a backup refers to: gc's live set, the structure check and the blast radius
// of damage.
//
// Counted once per reference (a chunk table's entry in a leaf, an inlined id, a child of a node),
// so that a table can be kept from a parent's by subtracting the leaves that went and adding those
// that came.
//
// Memory:   one entry per pack.
// Threads:  one owner at a time.
// Errors:   corrupt.
// Format:   docs/format.md, "Snapshots".
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "engine/repository/cluster.h"

namespace haul::repository {

struct PackUse {
  std::uint64_t size_bytes = 0;
  std::uint64_t chunk_references = 0;
  std::uint64_t live_pages = 0;

  bool operator==(const PackUse&) const = default;
};

using PackTable = std::map<PackRef, PackUse>;

// In the order of the leases that wrote them, which is that of time.
std::vector<PackRef> packs_of(const PackTable& table);

void write_pack_table(ByteWriter& out, const PackTable& table);
Result<PackTable> read_pack_table(ByteReader& in);

}  // namespace haul::repository
