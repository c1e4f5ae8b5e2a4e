// What WAL of one system is archived: contiguous ranges by timeline, what is missing between them,
// and how far recovery can get.
//
// Made from names alone, and the header of one segment in 4 GiB for its size.
//
// Units:    positions are bytes in the WAL stream; ranges begin and end with a segment.
// Memory:   one entry per contiguous range and per history file; the names of 4 GiB of WAL at once.
// Threads:  immutable once read.
// Errors:   io and permission; what is damaged is listed and counts as missing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/wal_segment.h"
#include "engine/repository/cluster.h"
#include "engine/wal/tail.h"
#include "engine/wal/timeline_history.h"

namespace haul::wal {

struct WalRange {
  Lsn start;
  Lsn end;
  std::uint32_t segment_size_bytes = 0;
  std::uint64_t segments = 0;

  bool operator==(const WalRange&) const = default;
};

// Segments that recovery would ask for on its way through a timeline, and not get.
struct WalGap {
  std::string first;
  std::string last;
  std::uint64_t segments = 0;

  bool operator==(const WalGap&) const = default;
};

struct TimelineWal {
  TimelineId timeline;
  std::vector<WalRange> ranges;  // ascending, apart from each other
  // Its history file's content, where it is archived.
  std::optional<TimelineHistory> history;
};

// What recovery from `start` to `stop` needs, both as a backup reports them.
struct WalSpan {
  Lsn start;
  Lsn stop;
  TimelineId start_timeline;
  TimelineId stop_timeline;
  std::uint32_t segment_size_bytes = 0;
};

// The first position that is not covered, and the timeline whose segment should cover it.
struct WalReach {
  Lsn end;
  TimelineId timeline;

  bool operator==(const WalReach&) const = default;
};

// A segment that is there in part: as a tail, or as the partial segment that a server archives when
// it leaves a timeline. Recovery that wants it has it in pg_wal.
struct UnfinishedSegment {
  enum class Kind : std::uint8_t { tail, partial } kind = Kind::tail;
  Lsn end;  // its WAL goes at least so far

  bool operator==(const UnfinishedSegment&) const = default;
};

// The names of a range's first and last segment.
std::string first_segment(const TimelineWal& timeline, const WalRange& range);
std::string last_segment(const TimelineWal& timeline, const WalRange& range);

class WalInventory {
 public:
  // Of nothing.
  WalInventory() = default;
  static Result<WalInventory> read(const repository::Cluster& cluster,
                                   std::uint64_t system_identifier);

  std::uint64_t system_identifier() const { return system_identifier_; }
  // By number, those that have WAL or a history.
  const std::vector<TimelineWal>& timelines() const { return timelines_; }
  // Of all timelines, by name. Nearly always one per timeline: what a segment was, when the stream
  // ended or the timeline was left.
  const std::vector<Tail>& tails() const { return tails_; }
  // The names of partial segments and of backup histories.
  const std::vector<std::string>& partials() const { return partials_; }
  const std::vector<std::string>& backup_histories() const { return backup_histories_; }
  // What could not be made sense of, one line each.
  const std::vector<std::string>& damage() const { return damage_; }

  // Between its ranges; from where its history has it begin; and to where a later one takes over.
  std::vector<WalGap> gaps(TimelineId timeline) const;

  // The ancestors of a timeline; nothing when its history is needed and not archived.
  std::optional<TimelineHistory> lineage(TimelineId timeline) const;
  // What there is of a segment that is not stored whole; of two the one that goes farther.
  std::optional<UnfinishedSegment> unfinished(const postgres::WalSegment& segment,
                                              std::uint32_t segment_size_bytes) const;
  // How far the WAL goes on from `start` without a gap, along this lineage.
  WalReach reach(Lsn start, const TimelineHistory& lineage, std::uint32_t segment_size_bytes) const;
  // The first file that is missing from a span; nothing when it is covered.
  std::optional<std::string> first_missing(const WalSpan& span) const;

 private:
  friend class InventoryReader;

  const TimelineWal* find(TimelineId timeline) const;
  Lsn end_of_partial(const postgres::WalSegment& segment, std::uint32_t segment_size_bytes) const;

  std::uint64_t system_identifier_ = 0;
  std::vector<TimelineWal> timelines_;
  std::vector<Tail> tails_;
  std::vector<std::string> partials_;
  std::vector<std::string> backup_histories_;
  std::vector<std::string> damage_;
};

}  // namespace haul::wal
