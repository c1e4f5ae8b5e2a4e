// What a leaf on disk has already of what a backup has there, by digests alone.
//
// First region by region: one whose digest the map knows is kept or looked into. Then, for what was
// not decided, page by page, by the tags that the chunks' packs keep.
//
// Units:    sizes and offsets are bytes; pages are numbered within the leaf.
// Memory:   9 bytes per page of the leaf.
// Threads:  functions over values.
// Errors:   none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/repository/identity.h"
#include "engine/restore/leaf.h"

namespace haul::restore {

enum class PageState : std::uint8_t {
  kept,       // as the backup has it
  undecided,  // its region differs, or is not known
  rewritten,
};

struct LeafComparison {
  std::vector<PageState> pages;
  std::vector<std::uint64_t> tags;  // of undecided pages, else 0

  bool is_kept() const;
};

// `leaf` has what is on disk; pages of holes that hold anything become zeros there, to be
// rewritten.
LeafComparison compare_regions(const repository::Identity& identity, const repository::MapLeaf& map,
                               const LeafShape& shape, MutableByteSpan leaf);
// Nothing of the leaf can be read: all of it is rewritten, and `leaf` becomes zeros.
LeafComparison compare_nothing(const repository::MapLeaf& map, MutableByteSpan leaf);

// Whether the chunk has to be looked at for any page.
bool is_drawn_on(const ChunkUse& use, const LeafShape& shape, const LeafComparison& comparison);
// The part of `use` that has to be placed; decides its undecided pages. `chunk_tags` are those of
// the chunk's pages; a page past their end is rewritten.
ChunkUse needed_part(const ChunkUse& use, const LeafShape& shape,
                     std::span<const std::uint64_t> chunk_tags, LeafComparison& comparison);

// Of a comparison in which all is decided: what has to be written, as written_ranges() rounds it.
std::vector<ByteRange> rewritten_ranges(const LeafComparison& comparison, const LeafShape& shape);
std::uint64_t kept_bytes(const LeafComparison& comparison, const LeafShape& shape);

}  // namespace haul::restore
