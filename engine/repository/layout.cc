#include "engine/repository/layout.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/format.h"

namespace haul::repository {

namespace {

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The rest of `key` after `prefix` and a slash.
std::optional<std::string_view> beneath(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix) || key.size() <= prefix.size() || key[prefix.size()] != '/')
    return std::nullopt;
  return key.substr(prefix.size() + 1);
}

}  // namespace

Status check_cluster_name(std::string_view name) {
  const bool plain = std::ranges::all_of(
      name, [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.'; });
  if (name.empty() || name.size() > 63 || !plain || name[0] == '-' || name[0] == '.') {
    return Error(
        ErrorCode::usage, format("invalid cluster name \"{}\"", name),
        "use at most 63 letters, digits, '_', '-' and '.', beginning with a letter, digit or '_'");
  }
  return ok();
}

std::optional<UtcTime> backup_time(std::string_view name) {
  static constexpr std::string_view kPattern = "ddddddddTddddddZ-";
  if (name.size() != kPattern.size() + 1) return std::nullopt;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] == 'd' ? !is_digit(name[i]) : name[i] != kPattern[i]) return std::nullopt;
  }
  if (name.back() != 'F' && name.back() != 'I') return std::nullopt;
  using namespace std::chrono;
  const auto number = [name](std::size_t first, std::size_t digits) {
    int value = 0;
    for (const char c : name.substr(first, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(4, 2))),
                            day(static_cast<unsigned>(number(6, 2))));
  const int hour = number(9, 2);
  const int minute = number(11, 2);
  const int second = number(13, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const sys_time<microseconds> time =
      sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
  return UtcTime{time.time_since_epoch().count()};
}

bool is_backup_name(std::string_view name) { return backup_time(name).has_value(); }

std::optional<PackRef> ClusterLayout::parse_pack(std::string_view key) const {
  const auto rest = beneath(key, packs());
  if (!rest) return std::nullopt;
  const std::size_t slash = rest->find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  PackRef result;
  result.lease = std::string(rest->substr(0, slash));
  if (!is_backup_name(result.lease) || !from_hex(rest->substr(slash + 1), result.name.bytes))
    return std::nullopt;
  return result;
}

std::optional<RunRef> ClusterLayout::parse_run(std::string_view key) const {
  const auto rest = beneath(key, index());
  if (!rest) return std::nullopt;
  const std::size_t dash = rest->rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  RunRef result;
  result.lease = std::string(rest->substr(0, dash));
  const std::string_view number = rest->substr(dash + 1);
  if (!is_backup_name(result.lease) || number.empty() || number[0] == '0') return std::nullopt;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), result.number);
  if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  return result;
}

std::optional<std::string> ClusterLayout::parse_snapshot(std::string_view key) const {
  const auto rest = beneath(key, snapshots());
  if (!rest || !is_backup_name(*rest)) return std::nullopt;
  return std::string(*rest);
}

}  // namespace haul::repository
