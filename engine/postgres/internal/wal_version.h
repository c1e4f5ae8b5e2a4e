// What differs between the WAL of PostgreSQL 13 and of 18, in one table.
//
// Threads:  functions over values.
// Format:   xlogrecord.h, rmgr.h, dbcommands_xlog.h, xact.h, xlog_internal.h of the releases.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace haul::postgres::internal {

struct WalVersion {
  int server_major = 0;
  // Bits of bimg_info; 0 where the release has no such method.
  std::uint8_t image_applied_flag = 0;
  std::uint8_t image_pglz_flag = 0;
  std::uint8_t image_lz4_flag = 0;
  std::uint8_t image_zstd_flag = 0;
  // Numbers from 128 on belong to extensions.
  bool has_custom_managers = false;
  // CREATE DATABASE whose pages are logged one by one.
  bool has_logged_database_create = false;
  // Of an xl_xact_stats_item; 0 where commits do not list dropped statistics.
  std::size_t dropped_statistics_size_bytes = 0;
  // xl_end_of_recovery tells the wal_level.
  bool end_of_recovery_has_wal_level = false;
};

inline constexpr std::array<WalVersion, 6> kWalVersions = {{
    {13, 0x04, 0x02, 0, 0, false, false, 0, false},
    {14, 0x04, 0x02, 0, 0, false, false, 0, false},
    {15, 0x02, 0x04, 0x08, 0x10, true, true, 12, false},
    {16, 0x02, 0x04, 0x08, 0x10, true, true, 12, false},
    {17, 0x02, 0x04, 0x08, 0x10, true, true, 12, true},
    {18, 0x02, 0x04, 0x08, 0x10, true, true, 16, true},
}};

// Null for a release that is not 13 to 18.
inline const WalVersion* find_wal_version(int server_major) {
  for (const WalVersion& version : kWalVersions) {
    if (version.server_major == server_major) return &version;
  }
  return nullptr;
}

}  // namespace haul::postgres::internal
