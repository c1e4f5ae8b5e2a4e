#include "engine/wal/timeline_history.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"

namespace haul::wal {
namespace {

constexpr std::string_view kBlanks = " \t\r";

struct Switch {
  TimelineId parent;
  Lsn point;
};

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::optional<Switch> parse_switch(std::string_view line) {
  const std::string_view number = take_word(line);
  std::uint32_t parent = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, parent);
  const auto point = parse_lsn(take_word(line));
  if (error != std::errc{} || stop != end || parent == 0 || !point || !point->valid()) {
    return std::nullopt;
  }
  return Switch{TimelineId{parent}, *point};
}

}  // namespace

const TimelinePeriod& TimelineHistory::period_of(Lsn lsn) const {
  for (const TimelinePeriod& period : periods) {
    if (!period.end.valid() || lsn < period.end) return period;
  }
  return periods.back();
}

TimelineHistory first_timeline(TimelineId timeline) { return {timeline, {{timeline, {}, {}}}}; }

Result<TimelineHistory> parse_timeline_history(TimelineId timeline, std::string_view text) {
  const auto damage = [&](std::size_t number, std::string_view what) {
    return Error(
        ErrorCode::corrupt,
        format("{}, line {}: {}", postgres::timeline_history_name(timeline), number, what));
  };
  if (text.size() > kTimelineHistoryBytesMax || text.find('\0') != std::string_view::npos) {
    return damage(0, "not a timeline history");
  }
  TimelineHistory history{timeline, {}};
  Lsn begin;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    std::string_view rest = line;
    const std::string_view word = take_word(rest);
    if (word.empty() || word.starts_with('#')) continue;
    const auto parsed = parse_switch(line);
    if (!parsed) return damage(number, "not a timeline and the position of its end");
    const bool ascends =
        history.periods.empty() || parsed->parent > history.periods.back().timeline;
    if (!ascends || parsed->parent >= timeline) return damage(number, "timelines do not ascend");
    if (parsed->point < begin) return damage(number, "positions do not ascend");
    history.periods.push_back({parsed->parent, begin, parsed->point});
    begin = parsed->point;
  }
  if (history.periods.empty()) return damage(1, "names no ancestor");
  history.periods.push_back({timeline, begin, {}});
  return history;
}

}  // namespace haul::wal
