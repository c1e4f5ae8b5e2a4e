#include "engine/wal/wal_inventory.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/format.h"
#include "engine/wal/wal_layout.h"
#include "engine/wal/wal_object.h"

namespace haul::wal {

using postgres::WalSegment;
using repository::Cluster;

namespace {

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported;
}

Lsn segment_start(Lsn lsn, std::uint32_t segment_size_bytes) {
  return {lsn.value - lsn.value % segment_size_bytes};
}

// The segments from `from` to `to`, both where one begins.
WalGap names_between(TimelineId timeline, Lsn from, Lsn to, std::uint32_t segment_size_bytes) {
  const WalSegment first = postgres::segment_of(from, timeline, segment_size_bytes);
  const WalSegment last = postgres::segment_before(to, timeline, segment_size_bytes);
  return {postgres::to_name(first, segment_size_bytes), postgres::to_name(last, segment_size_bytes),
          last.number - first.number + 1};
}

// Collects ranges from segments that come in order.
class RangeBuilder {
 public:
  void add(const WalSegment& segment, std::uint32_t segment_size_bytes) {
    const Lsn start = segment.start(segment_size_bytes);
    const Lsn end = segment.end(segment_size_bytes);
    const bool goes_on = !ranges_.empty() && ranges_.back().end == start &&
                         ranges_.back().segment_size_bytes == segment_size_bytes;
    if (!goes_on) {
      ranges_.push_back({start, end, segment_size_bytes, 1});
      return;
    }
    ranges_.back().end = end;
    ++ranges_.back().segments;
  }
  std::vector<WalRange> take() && { return std::move(ranges_); }

 private:
  std::vector<WalRange> ranges_;
};

}  // namespace

class InventoryReader {
 public:
  InventoryReader(const Cluster& cluster, std::uint64_t system_identifier)
      : cluster_(cluster), layout_(cluster.layout, system_identifier) {
    inventory_.system_identifier_ = system_identifier;
  }

  Result<WalInventory> run() {
    for (const std::string& name : HAUL_TRY(cluster_.store->list_names(layout_.root())).prefixes) {
      const auto timeline = parse_timeline(name);
      if (timeline) HAUL_TRY(read_timeline(*timeline));
    }
    HAUL_TRY(read_histories());
    inventory_.partials_ = HAUL_TRY(names_of(layout_.partials(), WalFileKind::partial));
    inventory_.backup_histories_ =
        HAUL_TRY(names_of(layout_.backup_histories(), WalFileKind::backup_history));
    for (auto& [timeline, wal] : timelines_) inventory_.timelines_.push_back(std::move(wal));
    return std::move(inventory_);
  }

 private:
  static std::optional<TimelineId> parse_timeline(const std::string& name) {
    const auto history = postgres::parse_timeline_history_name(name + ".history");
    if (history) return history;
    if (name == "00000001") return TimelineId{1};
    return std::nullopt;
  }

  TimelineWal& timeline(TimelineId id) {
    TimelineWal& wal = timelines_[id];
    wal.timeline = id;
    return wal;
  }

  Status read_timeline(TimelineId id) {
    const std::string prefix = layout_.timeline(id);
    RangeBuilder ranges;
    for (const std::string& group : HAUL_TRY(cluster_.store->list_names(prefix)).prefixes) {
      HAUL_TRY(read_group(prefix + "/" + group, ranges));
    }
    std::vector<WalRange> found = std::move(ranges).take();
    if (!found.empty()) timeline(id).ranges = std::move(found);
    return ok();
  }

  // The segments of 4 GiB. Their size is that of the first one that can be read.
  Status read_group(const std::string& prefix, RangeBuilder& ranges) {
    SegmentGroup group = HAUL_TRY(list_segment_group(cluster_, prefix));
    const auto is_stray = [&](const WalName& name) { return layout_.prefix(name) != prefix; };
    std::erase_if(group.segments, is_stray);
    std::erase_if(group.pieces, [&](const PieceName& piece) { return is_stray(piece.segment); });
    std::ranges::copy(tails_of(group), std::back_inserter(inventory_.tails_));
    const auto size = HAUL_TRY(size_of_segments(group.segments));
    if (!size) return ok();
    for (const WalName& name : group.segments) {
      const auto segment = postgres::parse_wal_segment_name(name.text, *size);
      if (segment) {
        ranges.add(*segment, *size);
      } else {
        inventory_.damage_.push_back(
            format("{}: no segment of {} bytes has this name", layout_.key(name), *size));
      }
    }
    return ok();
  }

  Result<std::optional<std::uint32_t>> size_of_segments(const std::vector<WalName>& names) {
    for (const WalName& name : names) {
      const auto header = read_wal_header(cluster_, {inventory_.system_identifier_, name});
      if (header) return std::optional(header->facts.segment_size_bytes);
      if (!is_damage(header.error())) return header.error();
      inventory_.damage_.push_back(header.error().message());
    }
    return std::nullopt;
  }

  Result<std::vector<std::string>> names_of(const std::string& prefix, WalFileKind kind) {
    std::vector<std::string> names;
    for (std::string& text : HAUL_TRY(cluster_.store->list_names(prefix)).objects) {
      const auto name = parse_wal_name(text);
      if (name && name->kind == kind) names.push_back(std::move(text));
    }
    return names;
  }

  Status read_histories() {
    for (const std::string& text : HAUL_TRY(names_of(layout_.histories(), WalFileKind::history))) {
      const WalName name = *parse_wal_name(text);
      const auto content = read_wal_content(cluster_, {inventory_.system_identifier_, name});
      if (!content) {
        if (!is_damage(content.error())) return content.error();
        inventory_.damage_.push_back(content.error().message());
        continue;
      }
      timeline(name.timeline).history =
          HAUL_TRY(parse_timeline_history(name.timeline, text_of(*content)));
    }
    return ok();
  }

  const Cluster& cluster_;
  const WalLayout layout_;
  WalInventory inventory_;
  std::map<TimelineId, TimelineWal> timelines_;
};

std::string first_segment(const TimelineWal& timeline, const WalRange& range) {
  return names_between(timeline.timeline, range.start, range.end, range.segment_size_bytes).first;
}

std::string last_segment(const TimelineWal& timeline, const WalRange& range) {
  return names_between(timeline.timeline, range.start, range.end, range.segment_size_bytes).last;
}

Result<WalInventory> WalInventory::read(const Cluster& cluster, std::uint64_t system_identifier) {
  return InventoryReader(cluster, system_identifier).run();
}

const TimelineWal* WalInventory::find(TimelineId timeline) const {
  const auto found = std::ranges::find(timelines_, timeline, &TimelineWal::timeline);
  return found == timelines_.end() ? nullptr : &*found;
}

std::vector<WalGap> WalInventory::gaps(TimelineId timeline) const {
  const TimelineWal* wal = find(timeline);
  std::vector<WalGap> gaps;
  if (wal == nullptr || wal->ranges.empty()) return gaps;
  const WalRange& front = wal->ranges.front();
  if (wal->history) {
    const Lsn begin = segment_start(wal->history->periods.back().begin, front.segment_size_bytes);
    if (begin < front.start) {
      gaps.push_back(names_between(timeline, begin, front.start, front.segment_size_bytes));
    }
  }
  for (std::size_t i = 1; i < wal->ranges.size(); ++i) {
    const WalRange& before = wal->ranges[i - 1];
    // Segments of another size may follow at once, or lie across each other.
    if (before.end >= wal->ranges[i].start) continue;
    gaps.push_back(
        names_between(timeline, before.end, wal->ranges[i].start, before.segment_size_bytes));
  }
  // The farthest point at which another timeline left this one.
  Lsn left_at;
  for (const TimelineWal& other : timelines_) {
    if (!other.history || other.ranges.empty()) continue;
    for (const TimelinePeriod& period : other.history->periods) {
      if (period.timeline == timeline) left_at = std::max(left_at, period.end);
    }
  }
  const WalRange& back = wal->ranges.back();
  const Lsn needed = segment_start(left_at, back.segment_size_bytes);
  if (back.end < needed) {
    gaps.push_back(names_between(timeline, back.end, needed, back.segment_size_bytes));
  }
  return gaps;
}

std::optional<TimelineHistory> WalInventory::lineage(TimelineId timeline) const {
  if (timeline.value == 1) return first_timeline(timeline);
  const TimelineWal* wal = find(timeline);
  return wal == nullptr ? std::nullopt : wal->history;
}

// Where the first timeline that left it there did: all that did have the same WAL up to there.
Lsn WalInventory::end_of_partial(const WalSegment& segment,
                                 std::uint32_t segment_size_bytes) const {
  const Lsn start = segment.start(segment_size_bytes);
  std::optional<Lsn> end;
  for (const TimelineWal& wal : timelines_) {
    if (!wal.history) continue;
    for (const TimelinePeriod& period : wal.history->periods) {
      const bool leaves_it = period.timeline == segment.timeline && period.end > start &&
                             period.end <= segment.end(segment_size_bytes);
      if (leaves_it) end = std::min(period.end, end.value_or(period.end));
    }
  }
  return end.value_or(start);
}

std::optional<UnfinishedSegment> WalInventory::unfinished(const WalSegment& segment,
                                                          std::uint32_t segment_size_bytes) const {
  using Kind = UnfinishedSegment::Kind;
  const std::string name = postgres::to_name(segment, segment_size_bytes);
  std::optional<UnfinishedSegment> found;
  if (std::ranges::find(partials_, name + ".partial") != partials_.end()) {
    found = {Kind::partial, end_of_partial(segment, segment_size_bytes)};
  }
  for (const Tail& tail : tails_) {
    const Lsn end{segment.start(segment_size_bytes).value + tail.size_bytes};
    if (tail.segment.text != name || (found && found->end >= end)) continue;
    found = {Kind::tail, end};
  }
  return found;
}

// The server asks for a segment on the newest timeline that has begun by its end: a new timeline
// begins with a copy of the segment in which it left the old one.
WalReach WalInventory::reach(Lsn start, const TimelineHistory& lineage,
                             std::uint32_t segment_size_bytes) const {
  const std::vector<TimelinePeriod>& periods = lineage.periods;
  Lsn at = segment_start(start, segment_size_bytes);
  std::size_t current = 0;
  for (;;) {
    while (current + 1 < periods.size() &&
           segment_start(periods[current + 1].begin, segment_size_bytes) <= at) {
      ++current;
    }
    const TimelineId timeline = periods[current].timeline;
    const TimelineWal* wal = find(timeline);
    if (wal == nullptr) return {at, timeline};
    const auto range = std::ranges::find_if(
        wal->ranges, [at](const WalRange& r) { return r.start <= at && at < r.end; });
    if (range == wal->ranges.end()) return {at, timeline};
    at = range->end;
    if (current + 1 < periods.size()) {
      at = std::min(at, segment_start(periods[current + 1].begin, segment_size_bytes));
    }
  }
}

std::optional<std::string> WalInventory::first_missing(const WalSpan& span) const {
  std::optional<TimelineHistory> path = first_timeline(span.stop_timeline);
  if (span.start_timeline != span.stop_timeline) path = lineage(span.stop_timeline);
  if (!path) return postgres::timeline_history_name(span.stop_timeline);
  // Where the span ends before a timeline begins, nothing of it is needed.
  while (path->periods.size() > 1 && path->periods.back().begin >= span.stop) {
    path->periods.pop_back();
  }
  const WalReach reached = reach(span.start, *path, span.segment_size_bytes);
  if (reached.end >= span.stop) return std::nullopt;
  return postgres::to_name(
      postgres::segment_of(reached.end, reached.timeline, span.segment_size_bytes),
      span.segment_size_bytes);
}

}  // namespace haul::wal
