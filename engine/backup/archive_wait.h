// WAL that reaches the repository by the server's archiver: does it come here at all, and is what a
// backup needs there?
//
// Nothing counts as archived before it was read back whole from this repository and found to be
// what its name says.
//
// Memory:   one segment, stored and unpacked.
// Threads:  blocks its caller.
// Errors:   server_state (nothing came in time; says what the server's archiver last did), corrupt
//           (what came is damaged), interrupted, and those of asking.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/wal_archive.h"

namespace haul::backup {

struct ArchiveWait {
  const wal::WalArchive* archive = nullptr;
  std::uint32_t segment_size_bytes = 0;
  Clock* clock = nullptr;
  std::stop_token stop;
  std::chrono::nanoseconds timeout{};
  // Asked again and again; its failure ends the wait.
  std::function<Status()> health;
};

// Until every segment from `first` to `last`, of one timeline, is in the archive, and the history
// of that timeline. The time begins anew with each segment that comes.
Status wait_for_segments(const ArchiveWait& wait, const postgres::WalSegment& first,
                         const postgres::WalSegment& last);

struct Arrival {
  std::string segment;  // that arrived; empty: none did
  std::string reason;   // why not

  bool arrived() const { return !segment.empty(); }
};

// Makes a primary end a segment and sees whether it arrives. Does not wait where the server
// archives nothing, or where its last archived file is not here, or where the role may not end a
// segment.
Result<Arrival> try_archive(const ArchiveWait& wait, postgres::PgConnection& connection);

}  // namespace haul::backup
