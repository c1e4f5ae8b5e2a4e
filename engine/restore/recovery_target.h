// Up to which moment a restored server replays WAL, and what it does there.
//
// Units:    times are microseconds, UTC.
// Threads:  functions over values.
// Errors:   usage (a text that is no such target).
// Format:   PostgreSQL's recovery_target* settings, 13 to 18.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"

namespace haul::restore {

struct RecoveryTarget {
  enum class Kind : std::uint8_t {
    unspecified,  // the end of the archive, where there is one
    latest,       // the end of the archive
    immediate,    // where the backup ends
    time,
    lsn,
    xid,
    name,
  };
  // Whether what lies exactly at the target is still replayed.
  enum class Bound : std::uint8_t { inclusive, exclusive };
  enum class Timeline : std::uint8_t {
    latest,   // the newest one that the backup lies on
    current,  // the backup's own
    number,
  };
  // At the target; without one a server is promoted at the end of the archive.
  enum class Action : std::uint8_t { promote, pause, shutdown };
  // A standby goes on at the end of the archive, waiting for more.
  enum class Role : std::uint8_t { primary, standby };
  enum class Archiving : std::uint8_t { off, take_over };

  Kind kind = Kind::unspecified;
  Bound bound = Bound::inclusive;
  UtcTime time;           // of Kind::time
  Lsn lsn;                // of Kind::lsn
  std::uint32_t xid = 0;  // of Kind::xid
  std::string name;       // of Kind::name

  Timeline timeline = Timeline::latest;
  TimelineId timeline_number;  // of Timeline::number
  Action action = Action::promote;
  Role role = Role::primary;
  Archiving archiving = Archiving::off;

  // Recovery stops before the WAL ends.
  bool stops() const { return kind != Kind::unspecified && kind != Kind::latest; }
  // Nothing about recovery was asked for.
  bool is_default() const { return *this == RecoveryTarget{}; }

  bool operator==(const RecoveryTarget&) const = default;
};

// "2026-11-24 10:00:00.123456+00": ISO 8601 with a space or T, up to six digits of a second, and a
// zone, which is Z or +HH, +HHMM, +HH:MM. Without a zone an hour of data would hang on whose time
// was meant.
Result<UtcTime> parse_target_time(std::string_view text);
// The same form, in UTC, always with microseconds; the server reads it back exactly.
std::string to_target_time(UtcTime time);

Result<Lsn> parse_target_lsn(std::string_view text);
// A transaction id, with or without its epoch, which the server leaves aside.
Result<std::uint32_t> parse_target_xid(std::string_view text);
// The name of a restore point: 1 to 63 bytes, as the server has them.
Result<std::string> parse_target_name(std::string_view text);
// "latest", "current" or a number, into the target.
Status parse_target_timeline(std::string_view text, RecoveryTarget& target);
Result<RecoveryTarget::Action> parse_target_action(std::string_view text);

// Parts that exclude each other: an action where nothing stops, a standby with a target.
enum class ActionGiven : std::uint8_t { no, yes };
Status check_target(const RecoveryTarget& target, ActionGiven action);

// "time 2026-11-24 10:00:00.000000+00, exclusive", for messages and reports.
std::string describe(const RecoveryTarget& target);
std::string_view to_string(RecoveryTarget::Action action);

}  // namespace haul::restore
