// What PostgreSQL's side of a backup has to remember: the `facts` of a snapshot.
//
// Units:    sizes are bytes.
// Memory:   values; at most kBadPagesMax bad pages are named, all are counted.
// Threads:  values.
// Errors:   corrupt (a member is missing or not valid).
// Format:   docs/format.md, "Facts".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "engine/postgres/control_file.h"

namespace haul::postgres {

// A page whose checksum did not match and which did not change while it was read again and again.
struct BadPage {
  std::string path;
  std::uint32_t block = 0;  // within the relation fork, not the file

  bool operator==(const BadPage&) const = default;
};

struct TablespaceFact {
  std::uint32_t oid = 0;
  std::string location;  // absolute; empty when in place
  bool in_place = false;

  bool operator==(const TablespaceFact&) const = default;
};

// A file from outside the data directory that came along.
struct ConfigurationFact {
  std::string path;  // absolute, where it was
  std::string role;  // "config_file", "hba_file", "ident_file" or "include"

  bool operator==(const ConfigurationFact&) const = default;
};

struct BackupFacts {
  static constexpr std::size_t kBadPagesMax = 10'000;

  bool online = true;      // false: a cluster that was cleanly shut down
  int server_version = 0;  // 150004; only the major for an offline backup (150000)
  std::uint64_t system_identifier = 0;
  std::uint32_t catalog_version = 0;
  std::uint32_t block_size_bytes = 0;
  std::uint32_t relation_segment_blocks = 0;
  std::uint32_t wal_segment_size_bytes = 0;
  std::uint32_t data_checksum_version = 0;
  WalLevel wal_level = WalLevel::minimal;
  bool wal_log_hints = false;
  bool from_standby = false;

  Lsn start;
  Lsn stop;
  TimelineId start_timeline;
  TimelineId stop_timeline;
  bool wal_included = false;  // start to stop lie in the tree under pg_wal
  std::string label;
  std::string start_time;  // the server's clock
  std::string stop_time;
  std::string backup_label;    // byte for byte; empty for an offline backup
  std::string tablespace_map;  // byte for byte

  std::string data_directory;  // absolute, where it was
  // Owner of the data directory: the name counts, the numbers where the name is unknown.
  std::string owner_user;
  std::string owner_group;
  std::uint32_t owner_user_id = 0;
  std::uint32_t owner_group_id = 0;
  // PGDATA identity: equal for two backups of one node.
  std::string node;

  std::vector<TablespaceFact> tablespaces;
  std::vector<ConfigurationFact> configuration;
  std::uint64_t bad_page_count = 0;
  std::vector<BadPage> bad_pages;

  bool operator==(const BackupFacts&) const = default;
};

Json to_json(const BackupFacts& facts);
Result<BackupFacts> backup_facts_from_json(const Json& json);

}  // namespace haul::postgres
