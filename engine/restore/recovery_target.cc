#include "engine/restore/recovery_target.h"

#include <array>
#include <charconv>
#include <chrono>

#include "base/format.h"

namespace haul::restore {

namespace {

constexpr std::size_t kTargetNameBytesMax = 63;
constexpr std::uint32_t kFirstNormalXid = 3;
constexpr std::int64_t kSecond = 1'000'000;
// Farther from Greenwich than any zone; PostgreSQL's own limit.
constexpr int kZoneHoursMax = 15;
// The years 1 to 9999.
constexpr UtcTime kFirstTime{-62'135'596'800 * kSecond};
constexpr UtcTime kEndOfTime{253'402'300'800 * kSecond};

constexpr std::array kActions = {RecoveryTarget::Action::promote, RecoveryTarget::Action::pause,
                                 RecoveryTarget::Action::shutdown};

// Takes a text apart from the front.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly so many digits.
  std::optional<int> digits(std::size_t count) {
    int value = 0;
    if (rest_.size() < count) return std::nullopt;
    for (const char c : rest_.substr(0, count)) {
      if (!is_digit(c)) return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  // One to six digits after the point.
  std::optional<int> microseconds() {
    int value = 0;
    std::size_t count = 0;
    for (; count < rest_.size() && is_digit(rest_[count]); ++count) {
      if (count == 6) return std::nullopt;
      value = value * 10 + (rest_[count] - '0');
    }
    if (count == 0) return std::nullopt;
    rest_.remove_prefix(count);
    for (; count < 6; ++count) value *= 10;
    return value;
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  std::string_view rest_;
};

// Midnight of the day, in seconds since the epoch.
std::optional<std::int64_t> scan_date(Scanner& scanner) {
  const auto year = scanner.digits(4);
  if (!year || !scanner.take('-')) return std::nullopt;
  const auto month = scanner.digits(2);
  if (!month || !scanner.take('-')) return std::nullopt;
  const auto day = scanner.digits(2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *year == 0) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::sys_days(date)).time_since_epoch().count();
}

// Microseconds since midnight.
std::optional<std::int64_t> scan_time_of_day(Scanner& scanner) {
  const auto hour = scanner.digits(2);
  if (!hour || !scanner.take(':')) return std::nullopt;
  const auto minute = scanner.digits(2);
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  int second = 0;
  int fraction = 0;
  if (scanner.take(':')) {
    const auto scanned = scanner.digits(2);
    if (!scanned || *scanned > 59) return std::nullopt;
    second = *scanned;
    if (scanner.take('.')) {
      const auto part = scanner.microseconds();
      if (!part) return std::nullopt;
      fraction = *part;
    }
  }
  return (*hour * 3600LL + *minute * 60LL + second) * kSecond + fraction;
}

// Seconds east of Greenwich, to the end of the text.
std::optional<std::int64_t> scan_zone(Scanner& scanner) {
  if (scanner.take('Z')) return scanner.at_end() ? std::optional<std::int64_t>(0) : std::nullopt;
  const bool west = scanner.take('-');
  if (!west && !scanner.take('+')) return std::nullopt;
  const auto hours = scanner.digits(2);
  if (!hours || *hours > kZoneHoursMax) return std::nullopt;
  int minutes = 0;
  if (!scanner.at_end()) {
    scanner.take(':');
    const auto scanned = scanner.digits(2);
    if (!scanned || *scanned > 59 || !scanner.at_end()) return std::nullopt;
    minutes = *scanned;
  }
  const std::int64_t seconds = *hours * 3600LL + minutes * 60LL;
  return west ? -seconds : seconds;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

}  // namespace

Result<UtcTime> parse_target_time(std::string_view text) {
  const Error invalid(ErrorCode::usage, format("\"{}\" is no time", text),
                      "write it as 2026-11-24 10:00:00.123456+00");
  Scanner scanner(text);
  const auto day = scan_date(scanner);
  if (!day || !(scanner.take(' ') || scanner.take('T'))) return invalid;
  const auto time = scan_time_of_day(scanner);
  if (!time) return invalid;
  if (scanner.at_end()) {
    return Error(ErrorCode::usage, format("\"{}\" does not say in which time zone", text),
                 "add it: +00 or Z for UTC, +01:00 for an hour east of it");
  }
  scanner.take(' ');
  const auto zone = scan_zone(scanner);
  if (!zone) return invalid;
  const UtcTime utc{(*day - *zone) * kSecond + *time};
  // What it is in UTC has to have a year of four digits as well.
  if (utc < kFirstTime || utc >= kEndOfTime) return invalid;
  return utc;
}

std::string to_target_time(UtcTime time) {
  const std::int64_t fraction = ((time.microseconds % kSecond) + kSecond) % kSecond;
  std::string text = to_iso8601(time);  // 2026-11-24T10:00:00Z
  text[text.size() - 10] = ' ';
  text.pop_back();
  return text + format(".{:06}+00", fraction);
}

Result<Lsn> parse_target_lsn(std::string_view text) {
  const auto lsn = parse_lsn(text);
  if (!lsn || !lsn->valid()) {
    return Error(ErrorCode::usage, format("\"{}\" is no position in WAL", text),
                 "write it as pg_current_wal_lsn() does: 16/B374D848");
  }
  return *lsn;
}

Result<std::uint32_t> parse_target_xid(std::string_view text) {
  const auto number = parse_number<std::uint64_t>(text);
  const auto xid = static_cast<std::uint32_t>(number.value_or(0));
  if (!number || xid < kFirstNormalXid) {
    return Error(ErrorCode::usage, format("\"{}\" is no transaction id", text));
  }
  return xid;
}

Result<std::string> parse_target_name(std::string_view text) {
  if (text.empty() || text.size() > kTargetNameBytesMax ||
      text.find('\0') != std::string_view::npos) {
    return Error(ErrorCode::usage, format("\"{}\" is no name of a restore point", text),
                 format("they have 1 to {} bytes", kTargetNameBytesMax));
  }
  return std::string(text);
}

Status parse_target_timeline(std::string_view text, RecoveryTarget& target) {
  if (text == "latest" || text == "current") {
    target.timeline =
        text == "latest" ? RecoveryTarget::Timeline::latest : RecoveryTarget::Timeline::current;
    return ok();
  }
  const auto number = parse_number<std::uint32_t>(text);
  if (number.value_or(0) == 0) {
    return Error(ErrorCode::usage,
                 format("\"{}\" is neither latest nor current nor a timeline", text),
                 "timelines are decimal numbers here: 00000002.history is 2");
  }
  target.timeline = RecoveryTarget::Timeline::number;
  target.timeline_number = TimelineId{*number};
  return ok();
}

Result<RecoveryTarget::Action> parse_target_action(std::string_view text) {
  for (const auto action : kActions) {
    if (text == to_string(action)) return action;
  }
  return Error(ErrorCode::usage, format("\"{}\" is not one of pause, promote, shutdown", text));
}

Status check_target(const RecoveryTarget& target, ActionGiven action) {
  const bool is_standby = target.role == RecoveryTarget::Role::standby;
  if (is_standby && target.stops()) {
    return Error(ErrorCode::usage, "a standby follows to the end of the WAL, not to a target",
                 "leave out --standby, or the target");
  }
  if (is_standby && target.timeline != RecoveryTarget::Timeline::latest) {
    return Error(ErrorCode::usage, "a standby follows the latest timeline",
                 "leave out --standby, or --target-timeline");
  }
  if (is_standby && target.archiving == RecoveryTarget::Archiving::take_over) {
    return Error(ErrorCode::usage, "a standby does not take over the archive");
  }
  const bool is_bounded = target.kind == RecoveryTarget::Kind::time ||
                          target.kind == RecoveryTarget::Kind::lsn ||
                          target.kind == RecoveryTarget::Kind::xid;
  if (target.bound == RecoveryTarget::Bound::exclusive && !is_bounded) {
    return Error(ErrorCode::usage, "only a time, a position or a transaction can be excluded",
                 "leave out --target-exclusive");
  }
  if (action == ActionGiven::yes && !target.stops()) {
    return Error(ErrorCode::usage, "without a target there is nothing to stop at",
                 "name a target, or leave out --target-action");
  }
  return ok();
}

std::string describe(const RecoveryTarget& target) {
  const std::string_view excluded =
      target.bound == RecoveryTarget::Bound::exclusive ? ", exclusive" : "";
  switch (target.kind) {
    case RecoveryTarget::Kind::unspecified:
    case RecoveryTarget::Kind::latest: break;
    case RecoveryTarget::Kind::immediate: return "the end of the backup";
    case RecoveryTarget::Kind::time:
      return format("time {}{}", to_target_time(target.time), excluded);
    case RecoveryTarget::Kind::lsn: return format("position {}{}", to_string(target.lsn), excluded);
    case RecoveryTarget::Kind::xid: return format("transaction {}{}", target.xid, excluded);
    case RecoveryTarget::Kind::name: return format("restore point \"{}\"", target.name);
  }
  return "the end of the archive";
}

std::string_view to_string(RecoveryTarget::Action action) {
  switch (action) {
    case RecoveryTarget::Action::promote: return "promote";
    case RecoveryTarget::Action::pause: return "pause";
    case RecoveryTarget::Action::shutdown: return "shutdown";
  }
  return "promote";
}

}  // namespace haul::restore
