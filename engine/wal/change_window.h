// What has changed between two positions of a lineage: the changes of its segments, merged.
//
// Where the changes of a segment are kept beside it they are taken from there; else the segment is
// read, and what was found is kept if the segment is archived. The newest WAL, which is not
// archived yet, comes from the server's pg_wal. Of the segments in which the window begins and ends
// no less is taken than what is in the window.
//
// Nothing is told of a window of which anything is missing: each segment has to begin where the one
// before it ends.
//
// Units:    positions are Lsn.
// Memory:   that of the changes; per worker those of one segment and 2 MiB; 32 bytes per segment.
// Threads:  blocks its caller, which is one of the workers.
// Errors:   server_state (a part of the window is not to be had), corrupt and unsupported (WAL that
// cannot be read), usage, interrupted, those of store and directory.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/postgres/wal_changes.h"
#include "engine/wal/lineage_source.h"

namespace haul::wal {

struct ChangeWindowRequest {
  WalRoute route;
  // Records begin at both, the window ends before `to`. Both lie on the lineage.
  Lsn from;
  Lsn to;
  std::size_t workers = 1;
  std::stop_token stop;
};

struct ChangeWindow {
  postgres::ChangedBlocks blocks;
  // Of the window alone, ascending.
  std::vector<postgres::WalEvent> events;

  std::uint64_t segments = 0;
  // Of these, those whose changes were known before; the others were read.
  std::uint64_t segments_known = 0;
  std::uint64_t bytes_read = 0;
  // Kept changes that could not be used, one line each; their segments were read again.
  std::vector<std::string> damage;
};

Result<ChangeWindow> find_changes(const ChangeWindowRequest& request);

// Finds what the segments from `from` on change that are archived, and whose successors are, and
// keeps it: find_changes() has less to read then, once it is known where the window ends. Does not
// look at `to` and the server's pg_wal.
Status keep_archived_changes(ChangeWindowRequest request);

}  // namespace haul::wal
