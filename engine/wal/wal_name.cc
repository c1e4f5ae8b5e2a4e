#include "engine/wal/wal_name.h"

#include <algorithm>

#include "engine/postgres/wal_segment.h"

namespace haul::wal {
namespace {

constexpr std::uint32_t kSmallestSegmentBytes = 1U << 20;
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kBackupSuffix = ".backup";
constexpr std::size_t kOffsetDigits = 8;
// There is no such file, as the first timeline has no ancestors, but a server that leaves it asks
// whether there is one.
constexpr std::string_view kFirstHistory = "00000001.history";

// ".00000028.backup"
bool is_backup_suffix(std::string_view text) {
  if (text.size() != 1 + kOffsetDigits + kBackupSuffix.size()) return false;
  if (text.front() != '.' || !text.ends_with(kBackupSuffix)) return false;
  return std::ranges::all_of(text.substr(1, kOffsetDigits), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
  });
}

}  // namespace

std::optional<WalName> parse_wal_name(std::string_view text) {
  if (text == kFirstHistory) return WalName{WalFileKind::history, TimelineId{1}, std::string(text)};
  if (const auto timeline = postgres::parse_timeline_history_name(text)) {
    return WalName{WalFileKind::history, *timeline, std::string(text)};
  }
  const auto segment = postgres::parse_wal_segment_name(text.substr(0, WalName::kSegmentNameLength),
                                                        kSmallestSegmentBytes);
  if (!segment) return std::nullopt;
  const std::string_view suffix = text.substr(WalName::kSegmentNameLength);
  WalName name{WalFileKind::segment, segment->timeline, std::string(text)};
  if (suffix.empty()) return name;
  if (suffix == kPartialSuffix) {
    name.kind = WalFileKind::partial;
    return name;
  }
  if (!is_backup_suffix(suffix)) return std::nullopt;
  name.kind = WalFileKind::backup_history;
  return name;
}

}  // namespace haul::wal
