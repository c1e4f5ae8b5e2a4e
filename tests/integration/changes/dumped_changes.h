// What a stretch of WAL changes, by what pg_waldump prints of it: another reading than ours.
//
// Threads:  functions over values.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>

#include "engine/postgres/changed_blocks.h"

namespace haul::integration {

struct DumpedChanges {
  postgres::ChangedBlocks blocks;
  // By the number of the segment in which the records begin.
  std::map<std::uint64_t, postgres::ChangedBlocks> segments;
  Lsn first;  // where the first record begins
  Lsn last;   // where the last one does
  std::size_t records = 0;
  std::set<std::string> kinds;  // of those records that change files otherwise than by blocks
};

// `output` is that of pg_waldump -b, in order.
DumpedChanges parse_dumped_changes(const std::string& output, std::uint32_t segment_size_bytes);

}  // namespace haul::integration
