// The archiver of a server: how it is set up, how far it came, and a way to give it something to
// do.
//
// Threads:  functions over a connection of the caller's.
// Errors:   permission (the role may not ask), server_state (an answer that makes no sense, or the
//           server's own error).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {

struct ArchiverState {
  enum class Mode : std::uint8_t { off, on, always } mode = Mode::off;
  std::string command;        // archive_command, or the library that takes its place
  std::string last_archived;  // names; empty: none since the server's statistics began
  std::string last_failed;    // the same; later than last_archived if it counts
};

Result<ArchiverState> archiver_state(PgConnection& connection);

// Ends the segment that is being written, after a record of ours, without which a server that did
// nothing would end none. The segment is then the archiver's. For a primary.
Result<WalSegment> switch_segment(PgConnection& connection, std::uint32_t segment_size_bytes);

}  // namespace haul::postgres
