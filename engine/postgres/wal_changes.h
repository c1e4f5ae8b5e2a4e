// What a stretch of WAL changes in the files of relations, and which settings applied meanwhile.
//
// As PostgreSQL's own summariser (17 and later) has it: the blocks that records refer to; forks
// that are created, truncated or dropped; databases that are created or dropped. The free space map
// is left out, since not all that changes it is logged: it has to be read whole each time. So has a
// visibility map in which anything at all was truncated.
//
// A record that may change files in a way that is not known here is an error, never passed over.
//
// Memory:   that of ChangedBlocks, and some 32 bytes per event.
// Threads:  functions over values.
// Errors:   corrupt (a record whose content does not fit its kind), unsupported (a record of a kind
// that these releases do not have).
// Format:   PostgreSQL's walsummarizer.c, 13 to 18.
#pragma once

#include <variant>
#include <vector>

#include "base/result.h"
#include "engine/postgres/changed_blocks.h"
#include "engine/postgres/wal_facts.h"

namespace haul::postgres {

struct TimelineBegin {
  TimelineId timeline;
  TimelineId previous;

  bool operator==(const TimelineBegin&) const = default;
};

struct TablespaceChange {
  enum class Kind : std::uint8_t { created, dropped };

  std::uint32_t tablespace = 0;
  Kind kind = Kind::created;

  bool operator==(const TablespaceChange&) const = default;
};

// What is not about single relations.
struct WalEvent {
  Lsn lsn;  // where its record begins
  std::variant<ParameterChange, FullPageWritesChange, TimelineBegin, TablespaceChange> what;

  bool operator==(const WalEvent&) const = default;
};

struct WalChanges {
  ChangedBlocks blocks;
  std::vector<WalEvent> events;  // in the order of WAL

  bool operator==(const WalChanges&) const = default;
};

// Adds what the record changes. `server_major` must be 13 to 18. After a failure `changes` is of no
// use.
Status add_changes(const WalRecord& record, int server_major, WalChanges& changes);

}  // namespace haul::postgres
