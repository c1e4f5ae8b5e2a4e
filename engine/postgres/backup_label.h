// backup_label and tablespace_map: the two texts that pg_backup_stop returns and a restore writes.
//
// The bytes themselves are what counts: a restored server trusts them, and without the label it
// would start from the wrong checkpoint and lose data silently. Parsing is for checks and reports;
// only a tablespace_map whose paths change is ever written anew.
//
// Threads:  functions over values.
// Errors:   corrupt (not what PostgreSQL 13 to 18 writes), usage (a mapping that fits nothing).
// Format:   PostgreSQL's xlogbackup.c (writing) and xlogrecovery.c (reading).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace haul::postgres {

inline constexpr std::string_view kBackupLabelName = "backup_label";
inline constexpr std::string_view kTablespaceMapName = "tablespace_map";

struct BackupLabel {
  enum class Source : std::uint8_t { primary, standby };

  Lsn start;                   // "START WAL LOCATION"
  std::string start_wal_file;  // the segment that contains it, checked against start and timeline
  Lsn checkpoint;              // "CHECKPOINT LOCATION"
  Source source = Source::primary;
  std::string start_time;  // as the server printed it
  std::string label;
  TimelineId timeline;  // "START TIMELINE"
};

// Strict: every line that PostgreSQL writes in its order, ended by line feeds, nothing else. A
// label of an incremental pg_basebackup or of an exclusive backup is `corrupt`: no online backup of
// ours has it.
Result<BackupLabel> parse_backup_label(std::string_view text, std::uint32_t wal_segment_size_bytes);

struct TablespaceMapEntry {
  std::uint32_t oid = 0;
  std::string location;  // absolute

  bool operator==(const TablespaceMapEntry&) const = default;
};

using TablespaceMap = std::vector<TablespaceMapEntry>;

// The empty text is the empty map. Each oid and each location occurs once.
Result<TablespaceMap> parse_tablespace_map(std::string_view text);
// Escapes line feeds, carriage returns and backslashes as the server does.
std::string serialize(const TablespaceMap& map);

struct TablespaceMapping {
  std::string from;  // OLD of -T OLD=NEW: an absolute location in the map
  std::string to;    // NEW: absolute

  bool operator==(const TablespaceMapping&) const = default;
};

// "OLD=NEW" with absolute paths; "\=" stands for an equals sign within one, as in pg_basebackup.
Result<TablespaceMapping> parse_tablespace_mapping(std::string_view text);

// Replaces locations. `usage` when an OLD is not in the map or occurs twice, or when two
// tablespaces would end up in one place or one beneath another.
Result<TablespaceMap> remap(TablespaceMap map, const std::vector<TablespaceMapping>& mappings);

}  // namespace haul::postgres
