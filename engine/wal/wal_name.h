// The names of the files that a server archives and asks for.
//
// Nothing but what the server itself makes: segments, the partial last segment of a timeline that
// was left, timeline histories, backup histories. A partial segment never passes for a whole one.
//
// Threads:  functions over values.
// Format:   PostgreSQL's xlog_internal.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace haul::wal {

enum class WalFileKind : std::uint8_t {
  segment,         // 24 hexadecimal digits
  partial,         // SEGMENT.partial
  history,         // 00000002.history
  backup_history,  // SEGMENT.00000028.backup
};

struct WalName {
  WalFileKind kind = WalFileKind::segment;
  TimelineId timeline;
  std::string text;

  bool operator==(const WalName&) const = default;

  // What a segment is, whole or not.
  bool holds_pages() const { return kind == WalFileKind::segment || kind == WalFileKind::partial; }
  // The name of the segment that the file is, or is about; not for a timeline history.
  std::string_view segment() const { return std::string_view(text).substr(0, kSegmentNameLength); }

  static constexpr std::size_t kSegmentNameLength = 24;
};

// The segment's number within its 4 GiB is not judged further than the smallest segments allow.
std::optional<WalName> parse_wal_name(std::string_view text);

}  // namespace haul::wal
