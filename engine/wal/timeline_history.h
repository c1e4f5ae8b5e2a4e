// Timeline history files: from where to where each ancestor of a timeline counts.
//
// Memory:   one entry per ancestor; a file has at most kTimelineHistoryBytesMax.
// Threads:  values.
// Errors:   corrupt (a line that the server would refuse as well).
// Format:   PostgreSQL's timeline.c: "parent TLI, switch point, reason", one line per ancestor,
//           oldest first; "#" begins a comment.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace haul::wal {

inline constexpr std::size_t kTimelineHistoryBytesMax = std::size_t{1} << 20;

// A timeline between the point where it began and the one where the next one did.
struct TimelinePeriod {
  TimelineId timeline;
  Lsn begin;  // 0 for the first one
  Lsn end;    // 0: the timeline's own, open end

  bool operator==(const TimelinePeriod&) const = default;
};

// The ancestors of a timeline and itself, oldest first; each begins where the one before ends.
struct TimelineHistory {
  TimelineId timeline;
  std::vector<TimelinePeriod> periods;

  bool operator==(const TimelineHistory&) const = default;

  // The period that WAL at `lsn` belongs to. The byte at a switch point belongs to the new one.
  const TimelinePeriod& period_of(Lsn lsn) const;
};

// Of a timeline without ancestors.
TimelineHistory first_timeline(TimelineId timeline);
Result<TimelineHistory> parse_timeline_history(TimelineId timeline, std::string_view text);

}  // namespace haul::wal
