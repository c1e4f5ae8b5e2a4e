// Where a receiver goes on: behind what is stored without a gap, whatever it did before.
//
// Units:    positions are bytes in the WAL stream; the result is the start of a segment.
// Threads:  functions over values.
#pragma once

#include "engine/wal/wal_inventory.h"

namespace haul::wal {

struct ResumePoint {
  TimelineId timeline;
  Lsn position;

  bool operator==(const ResumePoint&) const = default;
};

// What is known when a stream is about to begin.
struct ResumeFacts {
  const WalInventory* inventory = nullptr;
  // From where on the server promises its WAL.
  Lsn kept;
  std::uint32_t segment_size_bytes = 0;
};

// On the server's own lineage. The segment that the server keeps its WAL from is taken for granted
// when it is stored, and all that follows it; when it is not, what lies before it decides, so that
// no gap is left between them. With nothing stored before it the stream begins with that segment.
ResumePoint resume_point(const TimelineHistory& lineage, const ResumeFacts& facts);

}  // namespace haul::wal
