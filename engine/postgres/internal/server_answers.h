// What is asked of the server in a backup, release by release, and how its answers are read.
//
// Answers are data from outside: every value is parsed strictly and bounded.
//
// Threads:  functions over values.
// Errors:   server_state (an answer that makes no sense).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/postgres/backup_session.h"

namespace haul::postgres {

using Row = std::vector<std::optional<std::string>>;

// Columns as parse_server_facts() reads them.
std::string server_facts_sql();
Result<ServerFacts> parse_server_facts(const Row& row, int server_version);

std::string tablespaces_sql();
Result<std::vector<Tablespace>> parse_tablespaces(const std::vector<Row>& rows);

// pg_start_backup and pg_stop_backup until 14, pg_backup_start and pg_backup_stop from 15.
std::string start_function_signature(int server_major);
std::string stop_function_signature(int server_major);

// Parameters: label, fast ("true" or "false").
std::string start_sql(int server_major);
Result<StartResult> parse_start(const Row& row);

std::string stop_sql(int server_major);
// `timeline` is left for the caller to fill.
Result<StopResult> parse_stop(const Row& row);

// Parameters: process id and backend_start of the session that is watched.
std::string ping_sql();
struct PingAnswer {
  bool session_alive = false;
  bool in_recovery = false;
  TimelineId timeline;
};
Result<PingAnswer> parse_ping(const Row& row);

// The position up to which WAL was inserted, in recovery replayed.
std::string wal_position_sql();
Result<Lsn> parse_position(const Row& row);

}  // namespace haul::postgres
