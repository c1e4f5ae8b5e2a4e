// The server's side of an online backup: one session that stays open from start to stop, and a
// second one that watches it.
//
// The server keeps full-page writes forced on only while the first session lives, so losing it
// makes the backup worthless: health() fails, stop() fails, and nothing is ever stopped on a new
// session.
//
// Memory:   constant.
// Threads:  one owner at a time; health(), current_wal_insert_lsn() and cancel() from any thread.
//           Owns one thread, which pings.
// Errors:   server_state (unreachable, wrong version or state, session lost, promoted), permission
// (a
//           right is missing; the hint names the grant), interrupted (cancel()), unsupported (a
//           server older or newer than 13 to 18), usage (a label the server could not keep).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/control_file.h"

namespace haul::postgres {

// What the server says of itself when the session opens.
struct ServerFacts {
  int version = 0;  // 150004
  int major = 0;
  std::uint64_t system_identifier = 0;
  bool in_recovery = false;
  TimelineId timeline;  // of the last checkpoint
  std::string data_directory;
  std::string config_file;
  std::string hba_file;
  std::string ident_file;
  std::string unix_socket_directories;
  std::string archive_mode;
  WalLevel wal_level = WalLevel::minimal;
  bool full_page_writes = false;
  bool wal_log_hints = false;
  bool data_checksums = false;
  std::uint32_t block_size_bytes = 0;
  std::uint32_t wal_block_size_bytes = 0;
  std::uint32_t wal_segment_size_bytes = 0;
};

struct Tablespace {
  std::uint32_t oid = 0;
  std::string name;
  std::string location;   // absolute, or "pg_tblspc/<oid>" when in place
  bool in_place = false;  // a directory in pg_tblspc, no link
};

// Where a database's own directory lies: in base for tablespace pg_default, else in its tablespace.
struct DatabasePlace {
  std::uint32_t oid = 0;
  std::uint32_t tablespace = 0;

  auto operator<=>(const DatabasePlace&) const = default;
};
inline constexpr std::uint32_t kDefaultTablespace = 1663;

enum class CheckpointMode : std::uint8_t { fast, spread };

struct StartResult {
  Lsn start;
  TimelineId timeline;
  std::string start_time;  // the server's clock, ISO 8601 with offset
};

struct StopResult {
  Lsn stop;
  TimelineId timeline;
  std::string backup_label;    // byte for byte what the server returned; never empty
  std::string tablespace_map;  // the same; may be empty
  std::string stop_time;
};

struct SessionOptions {
  ConnectionOptions connection;
  std::chrono::milliseconds ping_interval{5000};  // at most 10 s
  std::chrono::milliseconds ping_timeout{30000};
};

class BackupSession {
 public:
  // Connects twice and checks: version, a real session (a pooler in transaction mode is refused),
  // wal_level, full_page_writes, the right to start a backup. Changes nothing. Blocks.
  static Result<std::unique_ptr<BackupSession>> open(const SessionOptions& options);
  // Ends the server's backup mode if it is still on.
  virtual ~BackupSession() = default;

  virtual const ServerFacts& facts() const = 0;
  // All but pg_default and pg_global, by oid.
  virtual Result<std::vector<Tablespace>> tablespaces() = 0;

  // Begins backup mode; with CheckpointMode::spread it may take minutes. Once per session.
  virtual Result<StartResult> start(const std::string& label, CheckpointMode mode) = 0;
  // Ends it, without waiting for the archive. Fails when health() does. After success health() no
  // longer changes.
  virtual Result<StopResult> stop() = 0;

  // ok while the first session lives, the server neither left nor entered recovery, nor changed its
  // timeline. The first failure stays.
  virtual Status health() = 0;
  // On the second session; in recovery the position replayed.
  virtual Result<Lsn> current_wal_insert_lsn() = 0;
  // On the second session, what is committed now, in order; without databases whose DROP was cut
  // off.
  virtual Result<std::vector<DatabasePlace>> databases() = 0;

  // Makes a running or later start() or stop() return `interrupted`.
  virtual void cancel() = 0;
};

// Exactly the rules for a label: at most 1024 bytes of UTF-8, no control characters (a line feed
// would forge lines of backup_label).
Status check_label(const std::string& label);

}  // namespace haul::postgres
