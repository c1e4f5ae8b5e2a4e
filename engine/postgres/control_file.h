// The cluster's control file, global/pg_control, of PostgreSQL 13 to 18 on little-endian machines.
//
// Units:    sizes are bytes unless the name says blocks; positions are Lsn.
// Memory:   an image keeps the file's 8 KiB.
// Threads:  values, no sharing.
// Errors:   corrupt (short, CRC32C wrong, impossible fields), unsupported (another format or
//           server version, another machine's byte order), and what reading the file gives.
// Format:   PostgreSQL's src/include/catalog/pg_control.h; versions 1300, 1700 and 1800.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "io/directory.h"

namespace haul::postgres {

inline constexpr std::string_view kControlFilePath = "global/pg_control";
// Physical size: PostgreSQL pads the file with zeros.
inline constexpr std::size_t kControlFileSizeBytes = 8192;

inline constexpr int kServerMajorMin = 13;
inline constexpr int kServerMajorMax = 18;

// PostgreSQL's DBState, in its order.
enum class DatabaseState : std::uint32_t {
  starting_up,
  shut_down,
  shut_down_in_recovery,
  shutting_down,
  in_crash_recovery,
  in_archive_recovery,
  in_production,
};

// "in production", as pg_controldata prints it.
std::string_view to_string(DatabaseState state);

// PostgreSQL's WalLevel, in its order.
enum class WalLevel : std::uint32_t { minimal, replica, logical };

std::string_view to_string(WalLevel level);

struct ControlFile {
  std::uint64_t system_identifier = 0;
  std::uint32_t pg_control_version = 0;
  std::uint32_t catalog_version = 0;
  int server_major = 0;  // by catalog_version: 13..16 share one pg_control_version

  DatabaseState state = DatabaseState::starting_up;
  std::int64_t modified_s = 0;  // since the Unix epoch

  Lsn checkpoint;       // of the last checkpoint's record
  Lsn checkpoint_redo;  // where replay from it begins
  TimelineId timeline;
  TimelineId previous_timeline;  // equal to `timeline` unless that checkpoint began it
  bool full_page_writes = false;
  std::int64_t checkpoint_time_s = 0;

  Lsn min_recovery_point;  // invalid outside archive recovery
  TimelineId min_recovery_timeline;
  Lsn backup_start_point;
  Lsn backup_end_point;
  bool backup_end_required = false;

  WalLevel wal_level = WalLevel::minimal;
  bool wal_log_hints = false;

  std::uint32_t block_size_bytes = 0;
  std::uint32_t relation_segment_blocks = 0;  // RELSEG_SIZE
  std::uint32_t wal_block_size_bytes = 0;
  std::uint32_t wal_segment_size_bytes = 0;
  std::uint32_t data_checksum_version = 0;  // 0: data checksums are off

  bool data_checksums() const { return data_checksum_version != 0; }
  bool cleanly_shut_down() const {
    return state == DatabaseState::shut_down || state == DatabaseState::shut_down_in_recovery;
  }
  std::uint64_t relation_segment_size_bytes() const {
    return std::uint64_t{block_size_bytes} * relation_segment_blocks;
  }
};

struct ControlFileImage {
  ControlFile parsed;
  std::vector<std::byte> bytes;  // as read, whole
};

// The release whose catalogs carry this number; 0 when it is none of 13 to 18.
int server_major_of_catalog(std::uint32_t catalog_version);
// The catalog number of a release from 13 to 18; 0 for another.
std::uint32_t catalog_version_of_server(int server_major);

Result<ControlFile> parse_control_file(ByteSpan bytes);

// Reads global/pg_control beneath `data_directory`. The server rewrites the file in place, so a
// read may see two halves: a copy whose CRC is wrong is read again, at most 100 times 10 ms apart.
// The same wrong bytes still there 50 ms later are no half-written file but damage, and `corrupt`.
// Blocks.
Result<ControlFileImage> read_control_file(io::Directory& data_directory, Clock& clock);

}  // namespace haul::postgres
