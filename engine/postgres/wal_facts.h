// What WAL records say that a backup, a recovery or a search for changed pages has to know.
//
// Which pages change is told by WalRecord::blocks(); here is the rest: when transactions ended,
// where timelines begin, which settings applied, which files came and went.
//
// Units:    times are UTC, to the microsecond.
// Memory:   nothing is copied: texts and lists point into the record.
// Threads:  functions over values.
// Errors:   corrupt (a record whose content does not fit its kind).
// Format:   PostgreSQL's xact.h, xlog_internal.h, pg_control.h, storage_xlog.h, dbcommands_xlog.h
// and tablespace.h, 13 to 18.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/assert.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/file_grammar.h"
#include "engine/postgres/wal_record.h"

namespace haul::postgres {

// Items stored one after another, not aligned.
template <typename Item>
class PackedList {
  static_assert(std::is_trivially_copyable_v<Item>);

 public:
  PackedList() = default;
  // A whole number of items.
  explicit PackedList(ByteSpan bytes) : bytes_(bytes) {
    HAUL_ASSERT(bytes.size() % sizeof(Item) == 0);
  }

  std::size_t size() const { return bytes_.size() / sizeof(Item); }
  bool empty() const { return bytes_.empty(); }
  Item operator[](std::size_t index) const {
    HAUL_ASSERT(index < size());
    Item item;
    std::memcpy(&item, bytes_.data() + index * sizeof(Item), sizeof item);
    return item;
  }

 private:
  ByteSpan bytes_;
};

// RelFileLocator, as it is stored.
static_assert(sizeof(RelationId) == 12);
using RelationIds = PackedList<RelationId>;
using Oids = PackedList<std::uint32_t>;

struct TransactionEnd {
  enum class Outcome : std::uint8_t { committed, aborted };

  Outcome outcome = Outcome::committed;
  // It had been prepared; `xid` is its own, not that of the session that ended it.
  bool was_prepared = false;
  std::uint32_t xid = 0;
  UtcTime time;
  std::size_t subtransaction_count = 0;
  // Their files go, all forks.
  RelationIds dropped;
};

struct RestorePoint {
  std::string_view name;
  UtcTime time;
};

struct Checkpoint {
  enum class Kind : std::uint8_t { online, shutdown };

  Kind kind = Kind::online;
  Lsn redo;
  TimelineId timeline;
  // Another one where the record begins a timeline.
  TimelineId previous_timeline;
  bool full_page_writes = false;
  UtcTime time;  // to the second
};

struct EndOfRecovery {
  UtcTime time;
  TimelineId timeline;
  TimelineId previous_timeline;
  std::optional<WalLevel> wal_level;  // told from 17 on
};

struct ParameterChange {
  WalLevel wal_level = WalLevel::minimal;
  bool wal_log_hints = false;

  bool operator==(const ParameterChange&) const = default;
};

struct FullPageWritesChange {
  bool full_page_writes = false;

  bool operator==(const FullPageWritesChange&) const = default;
};

struct BackupEnd {
  // The backup's start, as in its backup_label.
  Lsn start;
};

struct TablespaceCreate {
  std::uint32_t tablespace = 0;
  // Absolute; empty for one inside the data directory.
  std::string_view path;
};

struct TablespaceDrop {
  std::uint32_t tablespace = 0;
};

struct DatabaseCreate {
  std::uint32_t database = 0;
  std::uint32_t tablespace = 0;
  // Its files are copied from here, page for page, without a word in WAL. Nothing where its pages
  // are logged.
  struct Source {
    std::uint32_t database = 0;
    std::uint32_t tablespace = 0;

    bool operator==(const Source&) const = default;
  };
  std::optional<Source> copied_from;
};

struct DatabaseDrop {
  std::uint32_t database = 0;
  Oids tablespaces;
};

struct RelationCreate {
  RelationId relation;
  Fork fork = Fork::main;
};

struct RelationTruncate {
  RelationId relation;
  // The first block of the main fork that goes. What goes of the other two follows from it.
  std::uint32_t block = 0;
  bool truncates_main = false;
  bool truncates_fsm = false;
  bool truncates_vm = false;
};

using WalFact =
    std::variant<std::monostate, TransactionEnd, RestorePoint, Checkpoint, EndOfRecovery,
                 ParameterChange, FullPageWritesChange, BackupEnd, TablespaceCreate, TablespaceDrop,
                 DatabaseCreate, DatabaseDrop, RelationCreate, RelationTruncate>;

// Nothing (monostate) for a record of any other kind. `server_major` must be 13 to 18.
Result<WalFact> wal_fact(const WalRecord& record, int server_major);

// PostgreSQL counts microseconds since 2000-01-01 UTC. Nothing when UtcTime cannot hold it.
std::optional<UtcTime> utc_of_postgres_time(std::int64_t microseconds);

}  // namespace haul::postgres
