#include "engine/postgres/internal/server_answers.h"

#include <bit>

#include "base/format.h"
#include "engine/postgres/internal/text.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {
namespace {

// The clock as ISO 8601 in UTC.
constexpr std::string_view kNow =
    R"(to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))";

Error nonsense(std::string_view what) {
  return {ErrorCode::server_state, format("the server's answer makes no sense: {}", what)};
}

// Reads the columns of one row in order, remembering the first that is wrong.
class RowReader {
 public:
  explicit RowReader(const Row& row) : row_(row) {}

  std::string text(std::string_view what) {
    const std::optional<std::string>* value = next(what);
    if (value == nullptr || !*value) {
      fail(what);
      return {};
    }
    return **value;
  }

  std::string text_or_empty(std::string_view what) {
    const std::optional<std::string>* value = next(what);
    return value == nullptr ? std::string() : value->value_or("");
  }

  bool flag(std::string_view what) {
    const std::string value = text(what);
    if (value != "t" && value != "f" && value != "on" && value != "off") fail(what);
    return value == "t" || value == "on";
  }

  template <std::integral Integer>
  Integer number(std::string_view what) {
    const auto value = parse_number<Integer>(text(what));
    if (!value) fail(what);
    return value.value_or(0);
  }

  Lsn position(std::string_view what) {
    const auto value = parse_lsn(text(what));
    if (!value || !value->valid()) fail(what);
    return value.value_or(Lsn{});
  }

  void fail(std::string_view what) {
    if (failed_.empty()) failed_ = what;
  }

  Status finish() {
    if (column_ != row_.size()) fail("number of columns");
    if (!failed_.empty()) return nonsense(failed_);
    return ok();
  }

 private:
  const std::optional<std::string>* next(std::string_view what) {
    if (column_ < row_.size()) return &row_[column_++];
    fail(what);
    return nullptr;
  }

  const Row& row_;
  std::size_t column_ = 0;
  std::string failed_;
};

WalLevel read_wal_level(RowReader& reader) {
  const std::string value = reader.text("wal_level");
  for (const WalLevel level : {WalLevel::minimal, WalLevel::replica, WalLevel::logical}) {
    if (value == to_string(level)) return level;
  }
  reader.fail("wal_level");
  return WalLevel::minimal;
}

}  // namespace

std::string server_facts_sql() {
  // A setting the role may not see has no row in pg_settings, where current_setting() would fail.
  const auto hidden = [](std::string_view name) {
    return format("(SELECT setting FROM pg_settings WHERE name = '{}')", name);
  };
  return format(
      "SELECT s.system_identifier, pg_is_in_recovery(), c.timeline_id, {}, {}, {}, {}, {},"
      " current_setting('archive_mode'), current_setting('wal_level'), {},"
      " current_setting('wal_log_hints'), i.data_page_checksum_version,"
      " i.database_block_size, i.wal_block_size, i.bytes_per_wal_segment"
      " FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_init() i",
      hidden("data_directory"), hidden("config_file"), hidden("hba_file"), hidden("ident_file"),
      hidden("unix_socket_directories"),
      // A standby replays what its primary had set.
      "CASE WHEN pg_is_in_recovery() THEN c.full_page_writes"
      " ELSE current_setting('full_page_writes')::bool END");
}

Result<ServerFacts> parse_server_facts(const Row& row, int server_version) {
  RowReader reader(row);
  ServerFacts facts;
  facts.version = server_version;
  facts.major = server_version / 10000;
  // pg_control_system() gives a signed number, whose bits count.
  facts.system_identifier =
      static_cast<std::uint64_t>(reader.number<std::int64_t>("system_identifier"));
  facts.in_recovery = reader.flag("pg_is_in_recovery");
  facts.timeline = TimelineId{reader.number<std::uint32_t>("timeline_id")};
  facts.data_directory = reader.text_or_empty("data_directory");
  facts.config_file = reader.text_or_empty("config_file");
  facts.hba_file = reader.text_or_empty("hba_file");
  facts.ident_file = reader.text_or_empty("ident_file");
  facts.unix_socket_directories = reader.text_or_empty("unix_socket_directories");
  facts.archive_mode = reader.text("archive_mode");
  facts.wal_level = read_wal_level(reader);
  facts.full_page_writes = reader.flag("full_page_writes");
  facts.wal_log_hints = reader.flag("wal_log_hints");
  facts.data_checksums = reader.number<std::uint32_t>("data_page_checksum_version") != 0;
  facts.block_size_bytes = reader.number<std::uint32_t>("database_block_size");
  facts.wal_block_size_bytes = reader.number<std::uint32_t>("wal_block_size");
  facts.wal_segment_size_bytes = reader.number<std::uint32_t>("bytes_per_wal_segment");
  HAUL_TRY(reader.finish());
  if (facts.system_identifier == 0) return nonsense("system_identifier");
  if (facts.timeline.value == 0) return nonsense("timeline_id");
  if (!std::has_single_bit(facts.block_size_bytes)) return nonsense("database_block_size");
  if (!std::has_single_bit(facts.wal_block_size_bytes) || facts.wal_block_size_bytes > 65536) {
    return nonsense("wal_block_size");
  }
  if (!is_valid_wal_segment_size(facts.wal_segment_size_bytes)) {
    return nonsense("bytes_per_wal_segment");
  }
  return facts;
}

std::string tablespaces_sql() {
  return "SELECT oid, spcname, pg_tablespace_location(oid) FROM pg_tablespace"
         " WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid";
}

Result<std::vector<Tablespace>> parse_tablespaces(const std::vector<Row>& rows) {
  std::vector<Tablespace> tablespaces;
  for (const Row& row : rows) {
    RowReader reader(row);
    Tablespace tablespace;
    tablespace.oid = reader.number<std::uint32_t>("tablespace oid");
    tablespace.name = reader.text("tablespace name");
    // Empty for one that was dropped meanwhile.
    tablespace.location = reader.text_or_empty("tablespace location");
    HAUL_TRY(reader.finish());
    if (tablespace.location.empty()) continue;
    tablespace.in_place = tablespace.location == format("pg_tblspc/{}", tablespace.oid);
    if (!tablespace.in_place && !tablespace.location.starts_with('/')) {
      return nonsense(format("location of tablespace {}", tablespace.oid));
    }
    tablespaces.push_back(std::move(tablespace));
  }
  return tablespaces;
}

std::string start_function_signature(int server_major) {
  return server_major >= 15 ? "pg_backup_start(text,boolean)"
                            : "pg_start_backup(text,boolean,boolean)";
}

std::string stop_function_signature(int server_major) {
  return server_major >= 15 ? "pg_backup_stop(boolean)" : "pg_stop_backup(boolean,boolean)";
}

std::string start_sql(int server_major) {
  const std::string_view call = server_major >= 15 ? "pg_backup_start($1, $2::boolean)"
                                                   : "pg_start_backup($1, $2::boolean, false)";
  // In this order of evaluation the checkpoint is over when the control file is looked at.
  return format(
      "WITH started AS MATERIALIZED (SELECT {} AS lsn, {} AS at)"
      " SELECT lsn, at, (SELECT timeline_id FROM pg_control_checkpoint() WHERE lsn IS NOT NULL)"
      " FROM started",
      call, kNow);
}

Result<StartResult> parse_start(const Row& row) {
  RowReader reader(row);
  StartResult result;
  result.start = reader.position("start position");
  result.start_time = reader.text("start time");
  result.timeline = TimelineId{reader.number<std::uint32_t>("timeline_id")};
  HAUL_TRY(reader.finish());
  if (result.timeline.value == 0) return nonsense("timeline_id");
  return result;
}

std::string stop_sql(int server_major) {
  const std::string_view call =
      server_major >= 15 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  return format("SELECT lsn, labelfile, spcmapfile, {} FROM {}", kNow, call);
}

Result<StopResult> parse_stop(const Row& row) {
  RowReader reader(row);
  StopResult result;
  result.stop = reader.position("stop position");
  result.backup_label = reader.text("labelfile");
  result.tablespace_map = reader.text_or_empty("spcmapfile");
  result.stop_time = reader.text("stop time");
  HAUL_TRY(reader.finish());
  if (result.backup_label.empty()) return nonsense("labelfile");
  return result;
}

std::string ping_sql() {
  return "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1::int"
         " AND backend_start::text = $2), pg_is_in_recovery(),"
         " (SELECT timeline_id FROM pg_control_checkpoint())";
}

Result<PingAnswer> parse_ping(const Row& row) {
  RowReader reader(row);
  PingAnswer answer;
  answer.session_alive = reader.flag("session");
  answer.in_recovery = reader.flag("pg_is_in_recovery");
  answer.timeline = TimelineId{reader.number<std::uint32_t>("timeline_id")};
  HAUL_TRY(reader.finish());
  return answer;
}

std::string wal_position_sql() {
  return "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
         " ELSE pg_current_wal_insert_lsn() END";
}

Result<Lsn> parse_position(const Row& row) {
  RowReader reader(row);
  const Lsn position = reader.position("WAL position");
  HAUL_TRY(reader.finish());
  return position;
}

}  // namespace haul::postgres
