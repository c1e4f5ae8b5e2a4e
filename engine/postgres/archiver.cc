#include "engine/postgres/archiver.h"

#include <charconv>
#include <optional>

#include "base/format.h"

namespace haul::postgres {

namespace {

Error not_understood(std::string_view what) {
  return Error(ErrorCode::server_state,
               format("the server's answer about its {} cannot be understood", what));
}

std::optional<ArchiverState::Mode> parse_mode(std::string_view text) {
  if (text == "off") return ArchiverState::Mode::off;
  if (text == "on") return ArchiverState::Mode::on;
  if (text == "always") return ArchiverState::Mode::always;
  return std::nullopt;
}

std::optional<TimelineId> parse_timeline(std::string_view digits) {
  TimelineId timeline;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), timeline.value, 16);
  if (error != std::errc{} || end != digits.data() + digits.size() || timeline.value == 0) {
    return std::nullopt;
  }
  return timeline;
}

}  // namespace

Result<ArchiverState> archiver_state(PgConnection& connection) {
  // A failure counts until something is archived after it.
  const auto row = HAUL_TRY(connection.query_row(
      "SELECT current_setting('archive_mode'), current_setting('archive_command'), "
      "current_setting('archive_library', true), last_archived_wal, "
      "CASE WHEN last_archived_time IS NULL OR last_failed_time > last_archived_time "
      "THEN last_failed_wal END FROM pg_stat_archiver"));
  const auto mode = row.size() == 5 ? parse_mode(row[0].value_or("")) : std::nullopt;
  if (!mode) return not_understood("archiver");
  ArchiverState state;
  state.mode = *mode;
  const std::string library = row[2].value_or("");
  state.command = library.empty() ? row[1].value_or("") : library;
  state.last_archived = row[3].value_or("");
  state.last_failed = row[4].value_or("");
  return state;
}

Result<WalSegment> switch_segment(PgConnection& connection, std::uint32_t segment_size_bytes) {
  HAUL_TRY(connection.query("SELECT pg_logical_emit_message(false, 'pghaul', '')"));
  const auto row = HAUL_TRY(connection.query_row(
      "SELECT pg_switch_wal()::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"));
  const auto end = row.size() == 2 ? parse_lsn(row[0].value_or("")) : std::nullopt;
  const auto timeline = row.size() == 2 ? parse_timeline(row[1].value_or("")) : std::nullopt;
  if (!end || !end->valid() || !timeline) return not_understood("WAL position");
  return segment_before(*end, *timeline, segment_size_bytes);
}

}  // namespace haul::postgres
