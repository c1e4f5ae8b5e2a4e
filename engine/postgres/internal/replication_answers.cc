#include "engine/postgres/internal/replication_answers.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "engine/postgres/internal/text.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {
namespace {

constexpr std::size_t kHistoryBytesMax = std::size_t{1} << 20;

Error nonsense(std::string_view what) {
  return {ErrorCode::server_state, format("the server's answer to {} makes no sense", what)};
}

// A column that is there and not NULL, as a text.
std::string_view text_at(const ReplicationRow& row, std::size_t column) {
  return column < row.size() && row[column] ? std::string_view(*row[column]) : std::string_view();
}

std::optional<TimelineId> parse_timeline(std::string_view text) {
  const auto number = parse_number<std::uint32_t>(text);
  if (!number || *number == 0) return std::nullopt;
  return TimelineId{*number};
}

struct Refusal {
  std::string_view sqlstate;
  ErrorCode code;
};

constexpr std::array kRefusals = {
    Refusal{"", ErrorCode::io},
    // The server ends, ended in a crash, or has only just begun.
    Refusal{"57P01", ErrorCode::io},
    Refusal{"57P02", ErrorCode::io},
    Refusal{"57P03", ErrorCode::io},
    Refusal{"53300", ErrorCode::io},    // too many connections
    Refusal{"55006", ErrorCode::busy},  // another process streams from the slot
    Refusal{"58P01", ErrorCode::not_found},
    Refusal{"42501", ErrorCode::permission},
};

}  // namespace

Result<ServerIdentity> parse_identity(const ReplicationRow& row) {
  const auto system = parse_number<std::uint64_t>(text_at(row, 0));
  const auto timeline = parse_timeline(text_at(row, 1));
  const auto flushed = parse_lsn(text_at(row, 2));
  if (!system || *system == 0 || !timeline || !flushed) return nonsense("IDENTIFY_SYSTEM");
  ServerIdentity identity;
  identity.system_identifier = *system;
  identity.timeline = *timeline;
  identity.flushed = *flushed;
  return identity;
}

Result<std::uint32_t> parse_segment_size(const ReplicationRow& row) {
  std::string_view text = text_at(row, 0);
  std::uint64_t unit = 0;
  if (text.ends_with("MB")) unit = std::uint64_t{1} << 20;
  if (text.ends_with("GB")) unit = std::uint64_t{1} << 30;
  if (unit != 0) text.remove_suffix(2);
  const auto count = parse_number<std::uint16_t>(text);
  if (!count || !is_valid_wal_segment_size(*count * unit)) {
    return nonsense("SHOW wal_segment_size");
  }
  return static_cast<std::uint32_t>(*count * unit);
}

Result<std::optional<SlotState>> parse_slot(const ReplicationRow& row) {
  constexpr std::string_view kQuestion = "READ_REPLICATION_SLOT";
  if (row.size() < 2) return nonsense(kQuestion);
  if (!row[0]) return std::nullopt;
  if (*row[0] != "physical") {
    return Error(ErrorCode::server_state, format("the replication slot is {}, not physical",
                                                 *row[0] == "logical" ? "logical" : "unknown"));
  }
  SlotState slot;
  if (!row[1]) return slot;
  slot.restart = parse_lsn(*row[1]);
  if (!slot.restart || !slot.restart->valid()) return nonsense(kQuestion);
  return slot;
}

Result<std::vector<std::byte>> parse_history(TimelineId timeline, const ReplicationRow& row) {
  const std::string_view content = text_at(row, 1);
  if (text_at(row, 0) != timeline_history_name(timeline) || content.empty() ||
      content.size() > kHistoryBytesMax) {
    return nonsense("TIMELINE_HISTORY");
  }
  const ByteSpan bytes = bytes_of(content);
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<TimelineEnd> parse_timeline_end(const ReplicationRow& row) {
  const auto next = parse_timeline(text_at(row, 0));
  const auto switch_point = parse_lsn(text_at(row, 1));
  if (!next || !switch_point || !switch_point->valid()) return nonsense("START_REPLICATION");
  return TimelineEnd{*next, *switch_point};
}

ErrorCode code_of_refusal(std::string_view sqlstate) {
  const auto found = std::ranges::find(kRefusals, sqlstate, &Refusal::sqlstate);
  return found == kRefusals.end() ? ErrorCode::server_state : found->code;
}

}  // namespace haul::postgres
